"""A table of routes as TABLE_DUMP_V2 (RFC 6396 section 4.3, RFC 8050 section 4): those after the last message.

What is written is not a record for each message, so this format has two parts. The encoder makes the records of MRT
updates. `RibTable` is fed with these, in the order of the messages, and gives out the table when it is asked.

    PEER_INDEX_TABLE      the peers, by address and AS number
    RIB_IPV4_UNICAST ...  a record for each prefix, by address and length, with an entry for each peer that has a route
    RIB_GENERIC           for families that have no subtype of their own

The time of an entry is that of its message, that of a record the time of its latest entry. Where a table was read, what
its messages don't say comes from its records: see rib_source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from .. import accel
from ..wire.attrs import MP_REACH, MP_UNREACH, OPTIONAL
from ..wire.attrs.attribute import encode_header
from ..wire.block import ENTRY, NO_PEER, Block
from ..wire.context import AS4, WireContext
from ..wire.errors import TextError, WireError
from ..wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_MULTICAST, IPV6_UNICAST, Family
from ..wire.flags import CONTEXT_FLAGS, CONTEXTS, FLAG_PEER_AS4
from ..wire.message import HEADER, UPDATE
from ..wire.nlri.measure import split
from ..wire.peer import NOBODY, read_peer
from ..wire.state import StateChange
from ..wire.update import Update
from ..wire.update_body import split_attributes
from .base import Format, sniff_nothing
from .mrt import MrtDecoder, MrtEncoder
from .mrt_bundle import read_route
from .mrt_record import RECORD_HEADER, TABLE_DUMP_V2
from .mrt_rib import PEER_INDEX_TABLE, RIB_GENERIC, RIB_GENERIC_ADD_PATH, nlri_measure
from .rib_source import MAX_ENTRIES, Source, last_source

SUBTYPES: Final = {IPV4_UNICAST: 2, IPV4_MULTICAST: 3, IPV6_UNICAST: 4, IPV6_MULTICAST: 5}
ADD_PATH_SUBTYPES: Final = {IPV4_UNICAST: 8, IPV4_MULTICAST: 9, IPV6_UNICAST: 10, IPV6_MULTICAST: 11}
ESTABLISHED: Final = 6
PIECE: Final = 1 << 20
"""About so many octets are given out at once."""
MAX_PEERS: Final = 0xFFFF
MAX_GONE: Final = 64
"""So many peers whose sessions have ended are kept with their routes, which are then looked for all at once."""
MAX_SECTIONS: Final = 1 << 16
"""Path attributes that are remembered."""
_NEXT_HOP: Final = 3
_accel: Any = accel.rib_out if accel.AVAILABLE else None
_TIME: Final = Struct(">I")
_NUMBER: Final = _TIME
_COUNT: Final = Struct(">H")


class Route(NamedTuple):
    """What is said of prefixes in one message. time: seconds, as octets. attributes: with their length before them."""

    time: bytes
    attributes: bytes


Key = int | tuple[int, bytes]
"""The number of a peer, and its path identifier where there are any."""
Prefixes = dict[bytes, dict[Key, Route]]


class PlainTable:
    """The routes of a family, with path identifiers or without. accel.rib_out.Table is the same for IP prefixes."""

    def __init__(self, family: Family, add_path: bool) -> None:
        self._family = family
        self._add_path = add_path
        self._prefixes: Prefixes = {}
        self._written: set[bytes] = set()
        """prefixes that `records` leaves out"""

    def __len__(self) -> int:
        """Prefixes that have routes."""
        return len(self._prefixes)

    def announce(self, nlri: bytes, number: int, time: bytes, attributes: bytes) -> bool:
        """Takes the routes of a field; False if a prefix is too long or cut short, behind those that it has taken.

        number: of the peer. time: seconds. attributes: with their length before them.
        """
        prefixes, route = self._prefixes, Route(time, attributes)
        first = nlri[0] if nlri and self._family == IPV4_UNICAST and not self._add_path else 255
        if first <= 32 and len(nlri) == 1 + (first + 7 >> 3):
            prefixes.setdefault(nlri, {})[number] = route  # most UPDATEs have one prefix
            return True
        try:
            for key, prefix in _keys(number, self._family, nlri, self._add_path):
                entries = prefixes.get(prefix)
                if entries is None:
                    prefixes[prefix] = {key: route}
                else:
                    entries[key] = route
        except WireError:
            return False
        return True

    def withdraw(self, nlri: bytes, number: int) -> bool:
        """Takes away the routes of a field; False as `announce`."""
        try:
            for key, prefix in _keys(number, self._family, nlri, self._add_path):
                if (entries := self._prefixes.get(prefix)) is not None:
                    entries.pop(key, None)
                    if not entries:
                        del self._prefixes[prefix]
        except WireError:
            return False
        return True

    def purge(self, gone: bytes) -> None:
        """Takes away the routes of peers; gone: by their numbers, 1 for one whose routes go."""
        for prefix, entries in list(self._prefixes.items()):
            for key in [key for key in entries if gone[key if isinstance(key, int) else key[0]]]:
                del entries[key]
            if not entries:
                del self._prefixes[prefix]

    def routes(self, prefix: bytes) -> dict[Key, tuple[bytes, bytes]]:
        """The routes of a prefix, (time, attributes), by peer; empty if it is marked as written."""
        return {} if prefix in self._written else dict(self._prefixes.get(prefix, {}))

    def mark(self, prefix: bytes) -> None:
        """Marks a prefix as written."""
        self._written.add(prefix)

    def unmark(self) -> None:
        """Marks no prefix as written."""
        self._written.clear()

    def records(self, ranks: list[int], subtype: int, head: bytes, sequence: int) -> Iterator[tuple[bytes, int]]:
        """(octets, sequence), some records at each step, and the number of the next one. What is marked is left out.

        ranks: the index of each peer by its number. head: what stands before a prefix.
        """
        pieces: list[bytes] = []
        size = 0
        indexes = [index.to_bytes(2, "big") if index >= 0 else b"" for index in ranks]
        for prefix in sorted(self._prefixes.keys() - self._written, key=_by_address):
            for count, time, entries in _entries(self._prefixes[prefix], indexes):
                record = b"".join((_NUMBER.pack(sequence), head, prefix, _COUNT.pack(count), entries))
                size += len(record)
                pieces += RECORD_HEADER.pack(time, TABLE_DUMP_V2, subtype, len(record)), record
                sequence += 1
            if size > PIECE:
                yield b"".join(pieces), sequence
                pieces, size = [], 0
        yield b"".join(pieces), sequence


class RibTable:
    """The routes of all peers. read: the tables that were read, see base.Format.collect."""

    def __init__(self, read: Sequence[Sequence[bytes]] = ()) -> None:
        self._read = read
        self._unreadable = 0
        self._decoder = MrtDecoder(states=True)
        self._numbers: dict[bytes, int] = {}
        """of peers, by their per-peer headers"""
        self._peers: list[bytes | None] = []
        """their per-peer headers; None for one whose session has ended"""
        self._gone: list[int] = []
        """the numbers of peers whose session has ended, but whose routes are still there"""
        self._tables: dict[tuple[Family, bool], Any] = {}
        """PlainTable, or accel.rib_out.Table"""
        self._sections: dict[bytes, bytes] = {}
        """path attributes as they came, and as they are in an entry"""
        self._shared: dict[bytes, bytes] = {}
        """attributes of entries, so that equal ones are the same object"""
        self._latest = bytes(4)
        """the time of the latest message that announces something, as octets"""

    def __bool__(self) -> bool:
        """Whether there is a peer."""
        return bool(self._numbers)

    @property
    def prefixes(self) -> int:
        """Prefixes in the table, of all families."""
        return sum(map(len, self._tables.values()))

    def feed(self, octets: bytes) -> None:
        """Takes whole MRT records."""
        for item in self._decoder.feed(octets):
            if isinstance(item, Block):
                self._take_block(item)
            elif isinstance(item, StateChange):
                if item.new != ESTABLISHED and (number := self._numbers.pop(item.peer or NOBODY, None)) is not None:
                    self._peers[number] = None
                    self._gone.append(number)
                    if len(self._gone) >= MAX_GONE:
                        self._purge()
            elif item.type_code == UPDATE:
                self._take(item.peer or NOBODY, item.body, item.context, item.time)

    def _purge(self) -> None:
        """Takes away the routes of peers whose session has ended."""
        gone = bytearray(len(self._peers))
        for number in self._gone:
            gone[number] = 1
        for table in self._tables.values() if self._gone else ():
            table.purge(bytes(gone))
        self._gone.clear()

    def _take_block(self, block: Block) -> None:
        position, count = 0, len(block)
        while _accel is not None and position < count:
            tables = [self._table(family, add_path) for add_path in (False, True) for family in SUBTYPES]
            if len(self._shared) >= MAX_SECTIONS:
                self._shared.clear()
            known = self._numbers, self._peers, tables, self._shared, self._latest
            position, self._latest = _accel.take_block(block.octets, block.index, position, *known)
            if position < count:
                self._take_messages(block.part(position, position + 1))
                position += 1
        if _accel is None:
            self._take_messages(block)

    def _take_messages(self, block: Block) -> None:
        octets = block.octets
        peer, before = NOBODY, b""
        for _, time, offset, place, length, flags, _ in ENTRY.iter_unpack(block.index):
            if octets[offset + 18] == UPDATE:
                if place == NO_PEER:
                    peer = NOBODY
                elif octets[place : place + 44] != before:
                    before = octets[place : place + 44]
                    peer = read_peer(octets, place, bool(flags & FLAG_PEER_AS4))
                self._take(peer, octets[offset + HEADER : offset + length], CONTEXTS[flags & CONTEXT_FLAGS], time)

    def _take(self, peer: bytes, body: bytes, context: WireContext, time: int) -> None:
        try:
            if not context.as4:  # entries have 4 octets for an AS number
                wide = WireContext(as4=True, add_path=context.add_path, extended_message=True)
                for each in Update(body, context).encode_split(wide):
                    self._apply(peer, each, wide, time)
            else:
                self._apply(peer, body, context, time)
        except (WireError, TextError):
            self._unreadable += 1

    def _apply(self, peer: bytes, body: bytes, context: WireContext, time: int) -> None:
        """Takes an UPDATE with AS numbers of 4 octets. Raises WireError."""
        number = self._numbers.get(peer)
        if number is None:
            number = self._numbers[peer] = len(self._peers)
            self._peers.append(peer)
        at = 2 + int.from_bytes(body[:2], "big")
        start = at + 2
        stop = start + int.from_bytes(body[at:start], "big")
        if stop > len(body):
            raise WireError("the sections of the UPDATE are longer than it is")
        if at > 2:
            self._withdraw(number, IPV4_UNICAST, body[2:at], context)
        section = body[start:stop]
        attributes = self._sections.get(section)
        if attributes is None:
            attributes = self._read_section(number, section, context, time, has_nlri=stop < len(body))
        if stop < len(body):
            self._announce(number, IPV4_UNICAST, body[stop:], context, self._seconds(time), attributes)

    def _read_section(self, number: int, section: bytes, context: WireContext, time: int, *, has_nlri: bool) -> bytes:
        """Takes the multiprotocol attributes. Returns the others, with their length. Raises WireError."""
        found, reach, unreach = _split_section(section)
        attributes = _with_length(b"".join(whole for code, whole in found if code != MP_REACH))
        if not reach and not unreach:
            if len(self._sections) >= MAX_SECTIONS:
                self._sections.clear()
            self._sections[section] = attributes
        if unreach:
            self._withdraw(number, _family(unreach), unreach[3:], context)
        if reach:
            cut = _with_length(_cut_next_hop(found, reach, drop_next_hop=has_nlri))
            nlri = reach[5 + reach[3] :]
            self._announce(number, _family(reach), nlri, context, self._seconds(time), cut)
        return attributes

    def _seconds(self, time: int) -> bytes:
        seconds = _TIME.pack(time // 1_000_000 & 0xFFFFFFFF)
        if seconds > self._latest:
            self._latest = seconds
        return seconds

    def _announce(
        self, number: int, family: Family, nlri: bytes, context: WireContext, time: bytes, attributes: bytes
    ) -> None:
        table = self._table(family, bool(context.add_path) and family in context.add_path)
        if not table.announce(nlri, number, time, attributes):
            raise WireError(f"an NLRI of {family} can't be told from the next")

    def _withdraw(self, number: int, family: Family, nlri: bytes, context: WireContext) -> None:
        if not self._table(family, family in context.add_path).withdraw(nlri, number):
            raise WireError(f"an NLRI of {family} can't be told from the next")

    def _table(self, family: Family, add_path: bool) -> Any:
        table = self._tables.get((family, add_path))
        if table is None:
            fast = _accel is not None and family in SUBTYPES
            table = _accel.Table(family.address_bits, add_path) if fast else PlainTable(family, add_path)
            self._tables[family, add_path] = table
        return table

    # out

    @property
    def missing(self) -> str:
        """What is not in the table."""
        return f"{self._unreadable} UPDATEs that can't be read are not in the table" if self._unreadable else ""

    def dump(self) -> Iterator[bytes]:
        """The octets of the table, some at each step. Raises TextError if it has more than 65535 peers."""
        self._purge()
        source = last_source(self._read)
        known = source.peers.headers if source is not None else []
        among = set(known)
        others = [peer for peer in self._numbers if peer not in among]
        others.sort(key=lambda peer: (len(peer), peer[12:], peer))
        if len(known) + len(others) > MAX_PEERS:
            raise TextError(f"a PEER_INDEX_TABLE has at most {MAX_PEERS} peers, not {len(known) + len(others)}")
        numbers = [self._numbers.get(peer, -1) for peer in (*known, *others)]
        ranks = [-1] * len(self._peers)
        for index in reversed(range(len(numbers))):
            if numbers[index] >= 0:
                ranks[numbers[index]] = index
        yield b"".join(self._index_record(source, others))
        sequence = 0
        if source is not None:
            yield from source.restore(self._table, numbers, ranks, _cut_route)
            sequence = source.sequence
        for (family, add_path), table in sorted(self._tables.items()):
            for octets, after in table.records(ranks, *_subtype(family, add_path), sequence):
                yield octets
                sequence = after
            table.unmark()

    def _index_record(self, source: Source | None, others: list[bytes]) -> tuple[bytes, bytes]:
        """The PEER_INDEX_TABLE: that of a table that was read, or a new one, and other peers (RFC 6396 section
        4.3.1)."""
        if source is None:
            return _record(self._latest, PEER_INDEX_TABLE, _index_table(bytes(6), b"", 0, others))
        time, head, entries, headers = source.peers
        return _record(time, PEER_INDEX_TABLE, _index_table(head, entries, len(headers), others))


def _by_address(prefix: bytes) -> tuple[bytes, bytes]:
    return prefix[1:], prefix[:1]


def _entries(found: dict[Key, Route], indexes: list[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """For each record: the number of entries, the time of the latest one, and their octets, in the order of peers."""
    if len(found) == 1:
        ((key, (time, attributes)),) = found.items()
        number, path_id = (key, b"") if isinstance(key, int) else key
        yield 1, int.from_bytes(time, "big"), b"".join((indexes[number], time, path_id, attributes))
        return
    ranked: list[tuple[bytes, bytes, Route]] = []
    for key, route in found.items():
        number, path_id = (key, b"") if isinstance(key, int) else key
        ranked.append((indexes[number], path_id, route))
    ranked.sort()
    for start in range(0, len(ranked), MAX_ENTRIES):
        entries = ranked[start : start + MAX_ENTRIES]
        latest = max(route.time for _, _, route in entries)
        made = [part for index, path_id, route in entries for part in (index, route.time, path_id, route.attributes)]
        yield len(entries), int.from_bytes(latest, "big"), b"".join(made)


def _record(time: bytes, subtype: int, content: bytes) -> tuple[bytes, bytes]:
    return RECORD_HEADER.pack(int.from_bytes(time, "big"), TABLE_DUMP_V2, subtype, len(content)), content


def _index_table(head: bytes, entries: bytes, count: int, others: list[bytes]) -> bytes:
    """The content of PEER_INDEX_TABLE: of the `count` peers in `entries`, and others, whose BGP identifiers nobody
    knows. head: the collector's BGP identifier, and the view's name with its length."""
    made = [head, (count + len(others)).to_bytes(2, "big"), entries]
    for peer in others:
        size = (len(peer) - 12) // 2
        made += bytes((3 if size == 16 else 2,)), bytes(4), peer[12 : 12 + size], peer[:4]
    return b"".join(made)


def _subtype(family: Family, add_path: bool) -> tuple[int, bytes]:
    """The subtype, and what stands before the prefix."""
    known = (ADD_PATH_SUBTYPES if add_path else SUBTYPES).get(family)
    if known is not None:
        return known, b""
    head = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    return (RIB_GENERIC_ADD_PATH if add_path else RIB_GENERIC), head


def _split_section(section: bytes) -> tuple[list[tuple[int, bytes]], bytes, bytes]:
    """The path attributes (code, octets) without MP_UNREACH_NLRI; the value of MP_REACH_NLRI, whose octets are empty in
    the list, and that of MP_UNREACH_NLRI. Raises WireError."""
    reach = unreach = b""
    found = []
    for flags, code, value in split_attributes(section, 0, len(section)):
        if code == MP_UNREACH:
            unreach = value
        elif code == MP_REACH:
            reach = value
            found.append((code, b""))
        else:
            found.append((code, encode_header(flags, code, len(value)) + value))
    if (unreach and len(unreach) < 3) or (reach and (len(reach) < 5 or len(reach) < 5 + reach[3])):
        raise WireError("a multiprotocol attribute is cut short")
    return found, reach, unreach


def _cut_next_hop(section: Iterable[tuple[int, bytes]], reach: bytes, drop_next_hop: bool) -> bytes:
    """The attributes of an entry: MP_REACH_NLRI has only length and octets of the next hop (RFC 6396 section 4.3.4)."""
    hop = reach[3 : 4 + reach[3]]
    cut = encode_header(OPTIONAL, MP_REACH, len(hop)) + hop if len(hop) > 1 else b""
    left_out = _NEXT_HOP if drop_next_hop else 0
    return b"".join(cut if code == MP_REACH else whole for code, whole in section if code != left_out)


def _with_length(attributes: bytes) -> bytes:
    return len(attributes).to_bytes(2, "big") + attributes


def _family(value: bytes) -> Family:
    return Family(int.from_bytes(value[:2], "big"), value[2])


def _cut_route(attributes: bytes, family: Family) -> bytes:
    """The attributes, with their length, that an entry has when it was an UPDATE in between. Raises WireError."""
    _, head, hop, tail, _ = read_route(attributes, family, AS4)
    short = bytes((len(hop),)) + hop if hop else b""
    octets = head + (encode_header(OPTIONAL, MP_REACH, len(short)) + short if short else b"") + tail
    walked = split_attributes(octets, 0, len(octets))
    return _with_length(b"".join(encode_header(flags, code, len(each)) + each for flags, code, each in walked))


def _keys(number: int, family: Family, nlri: bytes, add_path: bool) -> Iterator[tuple[Key, bytes]]:
    """(key, octets of the NLRI) of each. Raises WireError."""
    if family not in SUBTYPES:
        measure = nlri_measure(family)
        if measure is None:
            raise WireError(f"nobody knows how long an NLRI of {family} is")
        for each in split(nlri, measure, add_path):
            yield ((number, each[:4]), each[4:]) if add_path else (number, each)
        return
    most = family.address_bits
    pos, end, before = 0, len(nlri), 4 if add_path else 0
    while pos < end:
        start = pos + before
        stop = start + 1 + (nlri[start] + 7 >> 3) if start < end else end + 1
        if stop > end or nlri[start] > most:
            raise WireError("a prefix is cut short or too long", offset=pos)
        yield (number, nlri[pos:start]) if add_path else number, nlri[start:stop]
        pos = stop


FORMAT: Final = Format(
    name="rib",
    suffixes=(".rib",),
    sniff=sniff_nothing,
    decoder=MrtDecoder.of,
    encoder=lambda options: MrtEncoder(on_report=options.on_report),
    states=True,
    routes_only=True,
    says_context=True,
    collect=RibTable,
    entries=True,
)
