"""MRT archives, as route collectors and routers write them (RFC 6396, RFC 8050).

Read: BGP4MP and BGP4MP_ET messages, with ADD-PATH or not; state changes on request; TABLE_DUMP and TABLE_DUMP_V2,
whose routes become UPDATEs (see mrt_bundle); and the old type BGP. Written: BGP4MP_ET.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from .. import accel
from ..wire.attrs import MP_REACH
from ..wire.block import Block
from ..wire.context import ALL_FAMILIES, AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH, MAX_EXTENDED_MESSAGE, WireContext
from ..wire.cursor import Cursor
from ..wire.errors import ShortError, TextError, WireError
from ..wire.family import IPV4_UNICAST, Family
from ..wire.item import Item
from ..wire.message import HEADER, KEEPALIVE, MARKER, NOTIFICATION, OPEN, UPDATE, Message
from ..wire.peer import make_peer, peer_from_tags, read_peer, shorten_peer
from ..wire.state import BMP, StateChange
from . import base
from .base import Format, encode_block, ignore_damage
from .mrt_record import (
    ADDRESSES,
    AS4_SUBTYPES,
    BGP,
    BGP4MP,
    BGP4MP_ET,
    BGP4PLUS,
    MAX_RECORD,
    MESSAGES,
    RECORD_HEADER,
    STATES,
    TABLE_DUMP,
    TABLE_DUMP_V2,
    follows,
    holds_record,
    is_known,
    is_record,
    is_sane,
    likely_records,
    overlaps_record,
    record_end,
    record_name,
)

if TYPE_CHECKING:
    from .mrt_rib import RibDecoder

_accel: Any = accel if accel.AVAILABLE else None
_BLOCK: Final = 1 << 20
"""About the most octets of a block: larger input is cut into pieces."""
_BACK: Final = 4096
"""How many octets before damage the search for the next record begins. If octets are missing inside a record, its
length reaches into the next record, and the damage shows only behind that."""
_CONTEXTS: Final[dict[int, WireContext]] = {
    1: AS2,
    4: AS4,
    6: AS2,
    7: AS4,
    8: AS2_ADD_PATH,
    9: AS4_ADD_PATH,
    10: AS2_ADD_PATH,
    11: AS4_ADD_PATH,
}
"""How to read the message, by the subtypes of BGP4MP."""
MAX_BODY: Final = MAX_EXTENDED_MESSAGE - HEADER
"""Octets of the longest message without its header."""
_BGP_TYPES: Final = {1: UPDATE, 5: OPEN, 6: NOTIFICATION, 7: KEEPALIVE}
"""Message types, by the subtypes of BGP."""
_BGP_STATE: Final = 3
_MP_UNREACH: Final = 15


def sniff(octets: bytes) -> bool:
    """Whether these octets start with a record of a BGP archive."""
    if len(octets) < RECORD_HEADER.size or not is_sane(*RECORD_HEADER.unpack_from(octets)[1:]):
        return False
    return is_record(octets, 0, last=False) is not False


class MrtDecoder(base.Decoder):
    """MRT records to messages.

    A record that can't be decoded is one damage, and decoding goes on with the next one. If the length of a record is
    not
    plausible, the next record is searched: a plausible header, with a BGP message that fills its record or with another
    plausible header behind it.

    context: its `guess_as` and `add_path` hold for all messages of BGP4MP and BGP. The width of AS numbers is what the
    record says.
    states: give state changes too (as StateChange), rather than only count them.
    entries: give each entry of a RIB as a message of its own, in their order.
    on_table: called with the records of TABLE_DUMP_V2 before their messages are given, see base.DecoderOptions.
    """

    def __init__(
        self,
        *,
        on_damage: Callable[[base.Damage], None] = ignore_damage,
        context: WireContext = AS4,
        states: bool = False,
        entries: bool = False,
        on_table: Callable[[bytes], None] | None = None,
    ) -> None:
        super().__init__(on_damage=on_damage, context=context)
        self._on_table = on_table
        guess_as = context.guess_as
        self._states = states
        self._guess_as = guess_as
        # Who says that there are path identifiers knows it better than a record that has no place to say it.
        self._plain = not context.add_path
        self._contexts = {
            subtype: each._replace(guess_as=guess_as, add_path=each.add_path or context.add_path)
            for subtype, each in _CONTEXTS.items()
        }
        self._as2 = self._contexts[1]
        self._entries = entries
        self._in_rib = False  # whether routes of a RIB may wait for more that go into the same message
        # Octets wait in pieces until a record is complete: then they are joined once.
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = 0
        # All of these count octets from the start of the stream.
        self._base = 0  # where the pieces start
        self._pos = 0  # where the next record starts, or while lost, where to search on
        self._lost: tuple[int, str] | None = None  # where damage was met, and what it is
        self._floor = 0  # where no search goes back beyond, so that no place is judged twice

    @classmethod
    def of(cls, options: base.DecoderOptions) -> MrtDecoder:
        damage, context, states, _, entries, on_table = options
        return cls(on_damage=damage, context=context, states=states, entries=entries, on_table=on_table)

    def feed(self, octets: bytes) -> Iterator[Item]:
        for start in range(0, len(octets), _BLOCK):
            piece = octets if len(octets) <= _BLOCK else octets[start : start + _BLOCK]
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size >= self._wanted:
                yield from self._count(self._read(last=False))

    def end(self) -> Iterator[Item]:
        yield from self._count(self._read(last=True))
        yield from self._count(iter(self._leave_rib()))

    def _count(self, items: Iterator[Item]) -> Iterator[Item]:
        counts = self.counts
        for item in items:
            if isinstance(item, Block):
                counts.messages += len(item)
            elif not isinstance(item, StateChange):
                counts.messages += 1
            yield item

    def _read(self, last: bool) -> Iterator[Item]:
        """Reads all complete records in the pieces. last: no more octets will come."""
        octets = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = [octets]
        end = len(octets)
        wanted = 0
        while True:
            if self._lost:
                wanted = self._search(octets, last)
            elif _accel:
                yield from self._run(octets)
            pos = self._pos - self._base
            if self._lost or pos == end:
                break
            if pos + RECORD_HEADER.size > end:
                wanted = pos + RECORD_HEADER.size
                if not last:
                    break
                self._lose(f"{end - pos} octets are left over after the last record")
                continue
            seconds, kind, subtype, length = RECORD_HEADER.unpack_from(octets, pos)
            stop = pos + RECORD_HEADER.size + length
            if is_sane(kind, subtype, length):
                if stop > end:
                    wanted = stop
                    if not last:
                        break
                    self._lose(f"record is cut short: {end - pos} of {stop - pos} octets")
                    continue
                if self._in_rib and kind not in (TABLE_DUMP, TABLE_DUMP_V2):
                    yield from self._leave_rib()
                try:
                    yield from self._record(octets, pos, stop, seconds, kind, subtype)
                except WireError as error:
                    self._lose(f"{record_name(kind, subtype)}: {error.text}")
                    continue
            else:
                framed = length <= MAX_RECORD and follows(octets, stop, last, any_type=True)
                if framed is None:
                    wanted = stop + RECORD_HEADER.size
                    break
                if not framed or overlaps_record(octets, max(0, pos - _BACK), pos, stop):
                    self._lose(f"not the header of an MRT record: type {kind}, subtype {subtype}, length {length}")
                    continue
                self._skip(kind, subtype, length)
            self.counts.records += 1
            self._pos = self._base + stop
        keep = max(0, self._pos - self._base - _BACK)
        self._pieces = [octets[keep:]]
        self._size = end - keep
        self._wanted = wanted - keep
        self._base += keep

    def _leave_rib(self) -> list[Item]:
        """The routes that wait, because what comes behind them is not of a RIB."""
        if not self._in_rib:
            return []
        self._in_rib = False
        self._rib.flush()
        return self._rib.take()

    @cached_property
    def _rib(self) -> RibDecoder:
        from .mrt_rib import RibDecoder  # only then, for a quick start

        return RibDecoder(self._bad_entries, self._guess_as, entries=self._entries)

    def _run(self, octets: bytes) -> Iterator[Item]:
        """The records from here on that accel reads, up to the first that it declines."""
        while True:
            pos = self._pos - self._base
            kind = octets[pos + 4 : pos + 6]
            if kind in (b"\0\x10", b"\0\x11") and self._plain:
                index, end, records, states = _accel.index.mrt(octets, pos, self._states)
                self.counts.states += states
                items = self._leave_rib() if end > pos else []  # what is declined may be damage, and no record at all
                if index:
                    items.append(self._block(octets, index))
            elif kind in (b"\0\x0c", b"\0\x0d"):
                end, records = self._rib.run(octets, pos)
                items = self._rib.take()
                self._in_rib = True
                if self._on_table is not None and end > pos and kind == b"\0\x0d":
                    self._on_table(octets[pos:end])
            else:
                return
            self.counts.records += records
            self._pos = self._base + end
            yield from items
            if end == pos and not items:
                return

    def _block(self, octets: bytes, index: bytearray) -> Item:
        block = Block(octets, index)
        if self._guess_as:
            block.guess_as()
        return block

    def _record(self, octets: bytes, pos: int, stop: int, seconds: int, kind: int, subtype: int) -> Sequence[Item]:
        """The items of one record whose length is possible. Raises WireError."""
        start = pos
        pos += RECORD_HEADER.size
        time = seconds * 1_000_000
        if kind in (BGP4MP, BGP4MP_ET) and (subtype in MESSAGES or subtype in STATES):
            if kind == BGP4MP_ET:
                time += int.from_bytes(octets[pos : pos + 4], "big")
                pos += 4
            return self._bgp4mp(octets, pos, stop, subtype, time)
        record = Cursor(octets, pos, stop)
        if kind == TABLE_DUMP or (kind == TABLE_DUMP_V2 and self._rib.reads(record, subtype)):
            self._in_rib = True
            self._rib.feed(record, kind, subtype, time)
            if self._on_table is not None and kind == TABLE_DUMP_V2:
                self._on_table(octets[start:stop])
            return self._rib.take()
        if kind == BGP or kind in BGP4PLUS:
            return self._bgp(record, kind, subtype, time)
        self.counts.skip(record_name(kind, subtype))
        return ()

    def _bgp4mp(self, octets: bytes, pos: int, stop: int, subtype: int, time: int) -> Sequence[Item]:
        """RFC 6396 sections 4.4.1 to 4.4.3, RFC 8050 section 3. The length is sane: a per-peer header has room."""
        as4 = subtype in AS4_SUBTYPES
        addresses = pos + (12 if as4 else 8)
        size = ADDRESSES.get(octets[addresses - 2 : addresses])
        if size is None:
            raise WireError(f"peer with addresses of AFI {int.from_bytes(octets[addresses - 2 : addresses], 'big')}")
        start = addresses + size
        if start > stop:
            raise ShortError(f"{size} octets of addresses expected, {stop - addresses} left")
        peer = read_peer(octets, pos, as4)
        if subtype in STATES:
            return self._state(Cursor(octets, start, stop), AS4 if as4 else AS2, time, peer)
        if octets[start : start + 16] != MARKER:
            raise WireError("the BGP message does not start with a marker")
        length = int.from_bytes(octets[start + 16 : start + 18], "big")
        end = start + length
        if end > stop or length < HEADER or (end < stop and holds_record(octets, end, stop)):
            raise WireError(f"message says that it has {length} octets, but the record holds {stop - start}")
        if end < stop:
            self.damage(f"{stop - end} octets after the message in its record are left out", offset=self._pos)
        body = octets[start + HEADER : end]
        return (Message(octets[start + 18], body, time=time, context=self._contexts[subtype], peer=peer),)

    def _bgp(self, record: Cursor, kind: int, subtype: int, time: int) -> Sequence[Item]:
        """The types of the first archives: 2-octet AS numbers, messages without their header, IPv4 peers in BGP, and
        IPv6 peers in BGP4PLUS (RFC 6396 appendix B)."""
        size = 4 if kind == BGP else 16
        if subtype == _BGP_STATE:
            return self._state(record, AS2, time, make_peer(record.u16(), record.take(size)))
        if subtype not in _BGP_TYPES:
            self.counts.skip(record_name(kind, subtype))
            return ()
        peer = make_peer(record.u16(), record.take(size), record.u16(), record.take(size))
        if record.left > MAX_BODY:
            raise WireError(f"message of {record.left} octets without its header; it can have {MAX_BODY}")
        return (Message(_BGP_TYPES[subtype], record.rest(), time=time, context=self._as2, peer=peer),)

    def _state(self, record: Cursor, context: WireContext, time: int, peer: bytes) -> Sequence[Item]:
        old, new = record.u16(), record.u16()
        if record.left:
            raise WireError(f"{record.left} octets after a state change")
        self.counts.states += 1
        return (StateChange(old, new, time=time, context=context, peer=peer),) if self._states else ()

    def _skip(self, kind: int, subtype: int, length: int) -> None:
        """A record that is framed, but not one that we read."""
        name = record_name(kind, subtype)
        if is_known(kind, subtype):
            self.damage(f"{name} with an impossible length of {length} octets", offset=self._pos)
        else:
            self.counts.skip(name)

    def _bad_entries(self, text: str) -> None:
        self.damage(text, offset=self._pos)

    def _lose(self, text: str) -> None:
        """There is no record where one should start. From here on the decoder searches for one."""
        self._lost = (self._pos, text)
        self._pos, self._floor = max(self._base, self._pos - _BACK, self._floor), max(self._floor, self._pos + 1)

    def _search(self, octets: bytes, last: bool) -> int:
        """Continues where the next record starts, and reports the damage before it.

        Where none starts, or where more octets are needed to know, the search goes on with more octets: so many in
        all as are returned.
        """
        assert self._lost
        damaged, text = self._lost
        end = len(octets)
        found, sure = (end, True) if last else (max(self._pos - self._base, end - 8), False)
        wanted = 0
        for place in likely_records(octets, self._pos - self._base):
            start, stop = self._base + place, self._base + record_end(octets, place)
            # One that starts and ends before the damage has been read already.
            if start == damaged or (start < damaged and stop <= damaged):
                continue
            good = is_record(octets, place, last)
            if good is not False:
                found, sure = place, good is True
                wanted = 0 if sure else stop - self._base + RECORD_HEADER.size
                break
        self._pos = self._base + found
        if sure:
            skipped = self._pos - damaged
            self.damage(f"{text}; {skipped} octets skipped" if skipped > 0 else text, offset=damaged)
            self.counts.records += 1
            self._lost = None
        return wanted


_RECORD: Final = Struct(">IHHII")
"""A record's header with the microseconds of the extended timestamp (RFC 6396 section 3)."""


class MrtEncoder(base.Encoder):
    """Messages, and state changes, to records of type BGP4MP_ET.

    What the per-peer header says comes from the message's tags PEER_AS, PEER_IP, LOCAL_AS, LOCAL_IP and INTERFACE; it
    is zero where they don't say it.
    """

    def encode(self, item: Item) -> bytes:
        if isinstance(item, Block) and _accel:
            return encode_block(item, _accel.mrt_out.encode, self.encode_message)
        return super().encode(item)

    def encode_one(self, message: Message) -> bytes:
        if message.type_code == BMP:
            return b""
        as4 = message.context.as4
        peer = message.peer or peer_from_tags(message.tags)
        if not as4:
            peer = shorten_peer(peer)
        if isinstance(message, StateChange):
            subtype, content = (5 if as4 else 0), message.body
        elif _has_path_ids(message):
            subtype, content = (9 if as4 else 8), message.octets
        else:
            subtype, content = (4 if as4 else 1), message.octets
        seconds, micros = divmod(message.time, 1_000_000)
        if not 0 <= seconds <= 0xFFFFFFFF:
            raise TextError("MRT can only say times from 1970 to 2106")
        return _RECORD.pack(seconds, BGP4MP_ET, subtype, 4 + len(peer) + len(content), micros) + peer + content


def _has_path_ids(message: Message) -> bool:
    """Whether the NLRI of a message carry path identifiers: MRT says it of a message as a whole.

    Raises TextError where those of one family do, and those of another don't.
    """
    add_path = message.context.add_path
    if add_path is ALL_FAMILIES or message.type_code != UPDATE:
        return add_path is ALL_FAMILIES
    if not add_path:
        return False
    having = {family in add_path for family in _families(message.body)}
    if len(having) > 1:
        raise TextError("path identifiers in one family and none in another: MRT has no form for that")
    return having.pop()


def _families(body: bytes) -> list[Family]:
    """The families of an UPDATE's NLRI; IPv4 unicast where there are none, or none can be found."""
    found = []
    try:
        update = Cursor(body)
        withdrawn, attributes = update.take(update.u16()), update.take(update.u16())
        if withdrawn or update.left:
            found.append(IPV4_UNICAST)
        from .mrt_bundle import attributes_of  # only then, for a quick start

        for code, _, value in attributes_of(attributes):
            if code in (MP_REACH, _MP_UNREACH) and len(value) >= 3:
                found.append(Family(int.from_bytes(value[:2], "big"), value[2]))
    except WireError:
        pass
    return found or [IPV4_UNICAST]


FORMAT: Final = Format(
    name="mrt",
    suffixes=(".mrt",),
    sniff=sniff,
    decoder=MrtDecoder.of,
    encoder=lambda options: MrtEncoder(on_report=options.on_report),
    says_context=True,
)
