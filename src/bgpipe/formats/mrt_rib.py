"""RIB dumps: the routes of TABLE_DUMP and TABLE_DUMP_V2 records (RFC 6396 sections 4.2 and 4.3, RFC 8050 section 4).

mrt_bundle, or accel's twin of it, makes UPDATEs of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .. import accel
from ..wire.block import Block
from ..wire.context import AS2, AS4, AS4_ADD_PATH, WireContext
from ..wire.cursor import Cursor
from ..wire.errors import WireError
from ..wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_MULTICAST, IPV6_UNICAST, Family
from ..wire.item import Item
from ..wire.nlri.measure import MEASURES, Measure
from ..wire.peer import NOBODY, make_peer
from ..wire.prefix import AFI_BITS
from .mrt_bundle import Bundler, RouteAttributes, read_route
from .mrt_record import TABLE_DUMP

_accel: Any = getattr(accel, "rib", None)

PEER_INDEX_TABLE: Final = 1
RIB_FAMILIES: Final[dict[int, tuple[Family, bool]]] = {
    2: (IPV4_UNICAST, False),
    3: (IPV4_MULTICAST, False),
    4: (IPV6_UNICAST, False),
    5: (IPV6_MULTICAST, False),
    8: (IPV4_UNICAST, True),
    9: (IPV4_MULTICAST, True),
    10: (IPV6_UNICAST, True),
    11: (IPV6_MULTICAST, True),
}
"""Family of the RIB subtypes of TABLE_DUMP_V2, and whether their entries have path identifiers."""
RIB_GENERIC: Final = 6
RIB_GENERIC_ADD_PATH: Final = 12
RIB_SUBTYPES: Final = frozenset((PEER_INDEX_TABLE, *RIB_FAMILIES, RIB_GENERIC, RIB_GENERIC_ADD_PATH))
"""Subtypes of TABLE_DUMP_V2 that are read."""
_V1_FAMILIES: Final = {1: IPV4_UNICAST, 2: IPV6_UNICAST}


class RibDecoder:
    """RIB records in, by `run` and `feed`; UPDATEs out, by `take`.

    on_bad: called with what was wrong in a record of which the rest was read. entries: no two entries go into one
    UPDATE.
    """

    def __init__(self, on_bad: Callable[[str], None], guess_as: bool = False, *, entries: bool = False) -> None:
        self._on_bad = on_bad
        self._guess_as = guess_as
        self._as2, self._as4, self._as4_add_path = (
            context._replace(guess_as=guess_as) for context in (AS2, AS4, AS4_ADD_PATH)
        )
        self._bundler: Any = _accel.Bundler(entries) if _accel else Bundler(entries)
        self._routes: dict[tuple[bytes, Family, bool], RouteAttributes] = {}
        self._has_table = False
        self._unknown = 0
        """The number of peers that replace a missing PEER_INDEX_TABLE."""

    @staticmethod
    def reads(record: Cursor, subtype: int) -> bool:
        """Whether a record of TABLE_DUMP_V2 holds routes, or peers, that can be read. Of RIB_GENERIC, the family
        tells."""
        if subtype not in (RIB_GENERIC, RIB_GENERIC_ADD_PATH):
            return subtype in RIB_SUBTYPES
        family = record.octets[record.pos + 4 : record.pos + 7]
        return len(family) == 3 and nlri_measure(Family(int.from_bytes(family[:2], "big"), family[2])) is not None

    def run(self, octets: bytes, pos: int) -> tuple[int, int]:
        """(end, records): what accel takes of the records from `pos` on."""
        if not _accel:
            return pos, 0
        end, records = self._bundler.feed(octets, pos)
        return end, records

    def feed(self, record: Cursor, kind: int, subtype: int, time: int) -> None:
        """Takes one record. Raises WireError before it takes anything of a bad one."""
        if kind == TABLE_DUMP:
            self._table_dump(record, _V1_FAMILIES[subtype], time)
        elif subtype == PEER_INDEX_TABLE:
            self._peer_index_table(record)
        elif subtype in (RIB_GENERIC, RIB_GENERIC_ADD_PATH):
            self._rib_generic(record, subtype == RIB_GENERIC_ADD_PATH, time)
        else:
            self._rib(record, *RIB_FAMILIES[subtype], time)

    def flush(self) -> None:
        """Gives out the UPDATEs to which more prefixes could be added."""
        self._bundler.flush()

    def take(self) -> list[Item]:
        """The UPDATEs that are complete."""
        if not _accel:
            return list(self._bundler.take())
        octets, index = self._bundler.take()
        if not index:
            return []
        block = Block(octets, index)
        if self._guess_as:
            block.guess_as()
        return [block]

    def _peer_index_table(self, record: Cursor) -> None:
        """RFC 6396 section 4.3.1."""
        _, _, peers = read_peers(record)
        self._bundler.set_peers(peers)
        self._has_table = True

    def _rib(self, record: Cursor, family: Family, add_path: bool, time: int) -> None:
        """RFC 6396 section 4.3.2, RFC 8050 section 4.1."""
        record.u32()  # the sequence number
        length = _prefix_length(record, family)
        prefix = bytes((length,)) + record.take((length + 7) >> 3)
        self._entries(record, prefix, family, add_path, time)

    def _rib_generic(self, record: Cursor, add_path: bool, time: int) -> None:
        """RFC 6396 section 4.3.3, RFC 8050 section 4.2."""
        record.u32()  # the sequence number
        family = Family(record.u16(), record.u8())
        prefix = _first_nlri(record, family)
        self._entries(record, prefix, family, add_path, time)

    def _entries(self, record: Cursor, prefix: bytes, family: Family, add_path: bool, time: int) -> None:
        """RFC 6396 section 4.3.4, RFC 8050 section 4.1."""
        entries = []
        for _ in range(record.u16()):
            index = record.u16()
            record.u32()  # when the peer's route came
            path_id = record.take(4) if add_path else b""
            entries.append((index, path_id + prefix, record.take(record.u16())))
        _expect_end(record)
        if not self._has_table:
            self._stand_in(max((index for index, _, _ in entries), default=-1) + 1)
        self._add(entries, family, self._as4_add_path if add_path else self._as4, time)

    def _table_dump(self, record: Cursor, family: Family, time: int) -> None:
        """RFC 6396 section 4.2."""
        size = family.address_bits >> 3
        record.u32()  # the view's number and the sequence number
        address = record.take(size)
        length = _prefix_length(record, family)
        record.u8()  # the status, which means nothing
        record.u32()  # when the peer's route came
        peer_ip = record.take(size)
        peer = make_peer(record.u16(), peer_ip)
        attributes = record.take(record.u16())
        _expect_end(record)
        prefix = bytes((length,)) + address[: (length + 7) >> 3]
        self._add([(self._bundler.number(peer), prefix, attributes)], family, self._as2, time)

    def _add(self, entries: list[tuple[int, bytes, bytes]], family: Family, context: WireContext, time: int) -> None:
        """Takes the entries (index of the peer, NLRI, attributes) of one record; bad ones are left out."""
        bad, why = 0, ""
        for index, nlri, attributes in entries:
            try:
                self._bundler.add(index, time, self._route(attributes, family, context), nlri)
            except ValueError as error:
                bad += 1
                why = why or str(error)
        if bad:
            self._on_bad(f"{bad} of {len(entries)} RIB entries left out: {why}")

    def _route(self, attributes: bytes, family: Family, context: WireContext) -> RouteAttributes:
        """read_route, remembered: prefixes that stand together often have the same attributes. Raises WireError."""
        key = (attributes, family, context is self._as4_add_path)
        route = self._routes.get(key)
        if route is None or route.context is not context:
            if len(self._routes) >= 4096:
                self._routes.clear()
            route = self._routes[key] = read_route(attributes, family, context)
        return route

    def _stand_in(self, count: int) -> None:
        """Makes up unknown peers if the PEER_INDEX_TABLE is missing."""
        if not self._unknown:
            self._on_bad("RIB entries without a PEER_INDEX_TABLE before them: their peers are not known")
        if count > self._unknown:
            self._unknown = max(count, 64)
            self._bundler.set_peers([NOBODY] * self._unknown)


def read_peers(record: Cursor) -> tuple[bytes, bytes, list[bytes]]:
    """The content of a PEER_INDEX_TABLE: what is before the number of peers, their entries, and the per-peer header of
    each. Raises WireError."""
    start = record.pos
    record.u32()  # the collector's BGP identifier
    record.take(record.u16())  # the view's name
    stop = record.pos
    headers = []
    for _ in range(record.u16()):
        kind = record.u8()
        record.u32()  # the peer's BGP identifier
        address = record.take(16 if kind & 1 else 4)
        headers.append(make_peer(record.u32() if kind & 2 else record.u16(), address))
    _expect_end(record)
    return record.octets[start:stop], record.octets[stop + 2 : record.pos], headers


def _prefix_length(record: Cursor, family: Family) -> int:
    length = record.u8()
    if length > AFI_BITS[family.afi]:
        raise WireError(f"prefix length {length} is more than {AFI_BITS[family.afi]}", offset=record.pos - 1)
    return length


def _expect_end(record: Cursor) -> None:
    if record.left:
        raise WireError(f"{record.left} octets after the last entry", offset=record.pos)


def nlri_measure(family: Family) -> Measure | None:
    """What tells the octets of the NLRI at a place; None if nobody knows."""
    if family.address_bits:
        return lambda octets, pos: 1 + (octets[pos] + 7 >> 3)
    return MEASURES.get(family)


def _first_nlri(record: Cursor, family: Family) -> bytes:
    """The one NLRI of a RIB_GENERIC record. Raises WireError if nobody knows how long it is."""
    measure = nlri_measure(family)
    if measure is None:
        raise WireError(f"RIB_GENERIC of {family}: nobody knows how long an NLRI is", offset=record.pos)
    rest = record.octets[record.pos : record.end]
    try:
        return record.take(measure(rest, 0))
    except IndexError:
        raise WireError("RIB_GENERIC: the NLRI is cut short", offset=record.pos) from None
