"""The records of a table that was read, for one that is written: what a message can't say comes back from them.

That is what the PEER_INDEX_TABLE says beyond addresses and AS numbers (BGP identifiers, the name of the view, the order
of the peers, and those without a route), and of a route when it came to the peer, the place of its entry, and its
attributes octet by octet. A route is taken from its record if its message has the time of that record. A record of
which all routes are left as they were is written as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from ..wire.cursor import Cursor
from ..wire.family import Family
from .mrt_record import RECORD_HEADER
from .mrt_rib import PEER_INDEX_TABLE, RIB_FAMILIES, RIB_GENERIC, RIB_GENERIC_ADD_PATH, nlri_measure, read_peers

MAX_ENTRIES: Final = 0xFFFF
"""Entries of a record, whose count has two octets: more are in records of the same prefix behind it."""
_COUNT: Final = Struct(">H")
_MAX_KNOWN: Final = 1 << 16
"""Path attributes that are remembered."""
Cut = Callable[[bytes, Family], bytes]
"""The attributes of an entry, with their length before them, as a table has them."""


class Peers(NamedTuple):
    """A PEER_INDEX_TABLE. time: of its record. head: the collector's BGP identifier, and the view's name with its
    length. entries: its peers as they came. headers: of each peer, see wire.peer."""

    time: bytes
    head: bytes
    entries: bytes
    headers: list[bytes]


class Source:
    """The last table of those that were read. records: pieces of whole records, the first of which is its
    PEER_INDEX_TABLE."""

    def __init__(self, records: Sequence[bytes]) -> None:
        time, _, _, length = RECORD_HEADER.unpack_from(records[0])
        stop = RECORD_HEADER.size + length
        self.peers = Peers(time.to_bytes(4, "big"), *read_peers(Cursor(records[0], RECORD_HEADER.size, stop)))
        self._records = [records[0][stop:], *records[1:]]
        self._known: dict[tuple[bytes, Family], bytes] = {}
        self.sequence = 0
        """the number that follows those of its records"""

    def restore(
        self, table: Callable[[Family, bool], Any], numbers: list[int], ranks: list[int], cut: Cut
    ) -> Iterator[bytes]:
        """Its records with the routes that are in the tables, in pieces. The prefixes are then marked in the tables.

        table: the table of a family (formats.rib.PlainTable). numbers: of its peers in the tables, -1 for one that has
        none. ranks: by these numbers, the indexes of peers. cut: may raise WireError.
        """
        self._numbers, self._ranks, self._cut = numbers, ranks, cut
        for octets in self._records:
            pos = 0
            while pos < len(octets):
                subtype = int.from_bytes(octets[pos + 6 : pos + 8], "big")
                fast = getattr(table(*RIB_FAMILIES[subtype]), "restore", None) if subtype in RIB_FAMILIES else None
                if fast is not None:
                    is_same = self._is_same_of(RIB_FAMILIES[subtype][0])
                    made, pos, self.sequence = fast(octets, pos, subtype, numbers, is_same, self.sequence)
                    yield made
                    if octets[pos + 6 : pos + 8] != subtype.to_bytes(2, "big"):
                        continue
                stop = pos + RECORD_HEADER.size + RECORD_HEADER.unpack_from(octets, pos)[3]
                yield self._record(table, octets, pos, stop, subtype)
                pos = stop

    def _record(self, table: Callable[[Family, bool], Any], octets: bytes, pos: int, stop: int, subtype: int) -> bytes:
        """One record with what is left of it; b"" for none."""
        if subtype == PEER_INDEX_TABLE:
            return b""
        start = pos + RECORD_HEADER.size
        self.sequence = max(self.sequence, int.from_bytes(octets[start : start + 4], "big") + 1)
        place = start + 4
        if subtype in (RIB_GENERIC, RIB_GENERIC_ADD_PATH):
            family = Family(int.from_bytes(octets[place : place + 2], "big"), octets[place + 2])
            add_path = subtype == RIB_GENERIC_ADD_PATH
            place += 3
        else:
            family, add_path = RIB_FAMILIES[subtype]
        measure = nlri_measure(family)
        assert measure is not None  # a record that was read
        behind = place + measure(octets[place:stop], 0)
        routes = table(family, add_path).routes(octets[place:behind])
        if not 0 < len(routes) <= MAX_ENTRIES:
            return b""
        table(family, add_path).mark(octets[place:behind])
        made = self._entries(octets, behind, octets[pos : pos + 4], self._is_same_of(family), add_path, routes)
        content = b"".join((octets[start:behind], _COUNT.pack(len(made)), *made))
        return RECORD_HEADER.pack(*RECORD_HEADER.unpack_from(octets, pos)[:3], len(content)) + content

    def _entries(
        self,
        octets: bytes,
        pos: int,
        time: bytes,
        is_same: Callable[[bytes, bytes], bool],
        add_path: bool,
        routes: dict[Any, tuple[bytes, bytes]],
    ) -> list[bytes]:
        """The entries of a prefix: those that its record has, in their order, and others behind them."""
        made, size = [], 10 if add_path else 6
        count = int.from_bytes(octets[pos : pos + 2], "big")
        pos += 2
        for _ in range(count):
            index = int.from_bytes(octets[pos : pos + 2], "big")
            number = self._numbers[index] if index < len(self._numbers) else -1
            head = octets[pos : pos + size]
            start = pos + size
            pos = start + 2 + int.from_bytes(octets[start : start + 2], "big")
            route = routes.pop((number, head[6:]) if add_path else number, None)
            if route is None:
                continue
            when, attributes = route
            if when != time:
                head = head[:2] + when + head[6:]
            elif is_same(octets[start:pos], attributes):
                attributes = octets[start:pos]
            made.append(head + attributes)
        others = []
        for key, (when, attributes) in routes.items():
            number, path_id = (key, b"") if isinstance(key, int) else key
            others.append(b"".join((self._ranks[number].to_bytes(2, "big"), when, path_id, attributes)))
        return made + sorted(others)

    def _is_same_of(self, family: Family) -> Callable[[bytes, bytes], bool]:
        """Whether the attributes of an entry, with their length, lead to those that its route has now."""

        def is_same(attributes: bytes, now: bytes) -> bool:
            if attributes == now:
                return True
            key = attributes, family
            cut = self._known.get(key)
            if cut is None:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                cut = self._known[key] = self._cut(attributes[2:], family)
            return cut == now

        return is_same


def last_source(tables: Sequence[Sequence[bytes]]) -> Source | None:
    """The last table of those that were read. tables: of each input, pieces of whole records."""
    for records in reversed(tables):
        starts = [at for at, octets in enumerate(records) if octets[4:8] == b"\0\x0d\0\x01"]
        if starts:
            return Source(records[starts[-1] :])
    return None
