"""BMP messages (RFC 7854, RFC 8671, RFC 9069), one after the other, as a router sends them to a monitoring station.

An UPDATE comes from each Route Monitoring and Route Mirroring, the OPENs of a session from Peer Up, and a NOTIFICATION
from Peer Down. They have the tags of their per-peer header (see wire.bmp), and ROUTER, the sysName of Initiation.
What a peer and the router agreed on in their OPENs tells how its UPDATEs are read. The messages themselves that hold no
UPDATE are given where state changes are (wire.bmp.BmpMessage), and those of another version than 3 too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from ..wire.block import ENTRY, NO_PEER, Block
from ..wire.bmp import (
    COMMON_HEADER,
    INFO_SYS_NAME,
    INITIATION,
    LOC_RIB,
    PEER_DOWN,
    PEER_HEADER,
    PEER_UP,
    ROUTE_MIRRORING,
    ROUTE_MONITORING,
    TYPE_NAMES,
    VERSION,
    WITHOUT_PEER,
    BmpMessage,
    PeerHeader,
    encode_tlv,
    peer_from_tags,
    tlvs,
)
from ..wire.context import AS4, WireContext
from ..wire.errors import WireError
from ..wire.family import Family
from ..wire.flags import FLAG_OWN_PEER, context_flags
from ..wire.item import Item
from ..wire.message import HEADER, MARKER, NOTIFICATION, OPEN, UPDATE, Message, check_header
from ..wire.negotiation import Contexts, negotiate
from ..wire.open import Open
from ..wire.tags import TagTable
from . import base
from .base import Damage, Format, ignore_damage
from .bmp_peers import PeerUps

MAX_LENGTH: Final = 1 << 20
"""Octets of the longest BMP message that is read."""
VERSIONS: Final = (VERSION, 4)
_WITH_PEER: Final = COMMON_HEADER.size + PEER_HEADER.size
_TIME: Final = PEER_HEADER.size - 8
"""Where the time stands in a per-peer header: what is before it is the same for all messages of a peer's table."""
_START: Final = re.compile(rb"[\x03\x04]\x00[\x00-\x0f](?s:..)[\x00-\x06]")
LONGEST_FOUND: Final = 1 << 17
"""Octets of the longest message that is believed where one is searched."""
_BLOCK: Final = 1 << 20
MAX_NAME: Final = 255
"""Characters of the tag ROUTER."""
MAX_KNOWN: Final = 1 << 16
"""Peers of a router whose tags are kept ready."""
TAG: Final = "BMP"
"""The tag of a BGP message that another type of BMP message holds than usual: the name of that type."""


def sniff(octets: bytes) -> bool:
    return is_start(octets, 0) and (octets[0] == VERSION or len(octets) >= 64)


def is_start(octets: bytes, pos: int) -> bool:
    """Whether a message of BMP can start at `pos`, as far as the octets say."""
    if len(octets) < pos + COMMON_HEADER.size or not _START.match(octets, pos):
        return False
    version, length, kind = COMMON_HEADER.unpack_from(octets, pos)
    if not _shortest(kind) <= length <= MAX_LENGTH:
        return False
    if kind not in WITHOUT_PEER and octets[pos + COMMON_HEADER.size : pos + COMMON_HEADER.size + 1] > b"\x03":
        return False
    marker = octets[pos + _WITH_PEER : pos + _WITH_PEER + len(MARKER)]
    return kind != ROUTE_MONITORING or version != VERSION or MARKER.startswith(marker)


def _shortest(kind: int) -> int:
    """Octets of the shortest message of a type."""
    return COMMON_HEADER.size if kind in WITHOUT_PEER or kind not in TYPE_NAMES else _WITH_PEER


class Router:
    """What one router has said so far. tags: those of all its messages."""

    def __init__(self, tags: dict[str, str] | None = None) -> None:
        self.tags = tags or {}
        self.contexts: dict[tuple[int, bytes, bytes], Contexts] = {}
        """of each peer: `right` for what the peer sends, `left` for what it is sent"""
        self.families: dict[tuple[int, bytes, bytes], frozenset[Family]] = {}
        """of each peer, what its OPENs have agreed on"""
        self.known: dict[bytes, tuple[WireContext, dict[str, str]]] = {}
        """context and tags of an UPDATE, by the per-peer header without the time"""
        self.is_named = False

    def look(self, header: bytes, default: WireContext) -> tuple[WireContext, dict[str, str]]:
        """The context and the tags of what comes with a per-peer header. Raises WireError."""
        key = header[:_TIME]
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            peer = PeerHeader.decode(header)
            both = self.contexts.get((peer.type, peer.rd, peer.address))
            context = default if both is None else both.left if peer.rib.startswith("out") else both.right
            context = context._replace(as4=peer.as4, guess_as=default.guess_as)
            found = self.known[key] = context, peer.tags() | self.tags
        return found

    def peer_up(self, peer: PeerHeader, sent: Open, received: Open) -> None:
        """Raises WireError."""
        agreed = negotiate(received, sent)
        self.contexts[peer.type, peer.rd, peer.address] = agreed.contexts
        self.families[peer.type, peer.rd, peer.address] = frozenset(agreed.families)
        self.known.clear()

    def named(self, name: str) -> None:
        """Takes the sysName of Initiation. Of a later one that says another name, nothing changes: what a router has
        said so far is found by the first."""
        if not self.is_named:
            self.is_named = True
            self.tags = self.tags | {"ROUTER": name[:MAX_NAME]}
            self.known.clear()


class BmpReader:
    """The items of BMP messages that are complete, of any router. states: give BmpMessages too."""

    def __init__(self, decoder: base.Decoder, *, states: bool) -> None:
        self._decoder = decoder
        self._states = states

    def read(self, octets: bytes, pos: int, router: Router, time: int = 0) -> Iterator[Message]:
        """The messages of the BMP message at `pos`, which is complete. Raises WireError.

        time: of a message that says none, microseconds since 1970 (UTC).
        """
        version, length, kind = COMMON_HEADER.unpack_from(octets, pos)
        stop = pos + length
        counts = self._decoder.counts
        made: list[Message] = []
        shown = version != VERSION
        peer = None
        if not shown and kind not in WITHOUT_PEER:
            peer = PeerHeader.decode(octets[:stop], pos + COMMON_HEADER.size)
        if shown:
            pass
        elif kind == ROUTE_MONITORING:
            made = list(self._monitored(octets, pos, stop, router))
        elif kind == ROUTE_MIRRORING:
            made = list(self._mirrored(octets, pos, stop, router))
            shown = len(made) != 1
        elif kind == PEER_UP:
            assert peer is not None
            made, shown = list(self._peer_up(octets, pos + _WITH_PEER, stop, peer, router)), True
        elif kind == PEER_DOWN:
            assert peer is not None
            made, shown = list(self._peer_down(octets, pos + _WITH_PEER, stop, peer, router)), True
        else:
            shown = True
            if kind == INITIATION:
                for tlv in tlvs(octets[pos:stop], COMMON_HEADER.size):
                    if tlv.type == INFO_SYS_NAME and tlv.value:
                        router.named(tlv.value.decode("utf-8", "backslashreplace"))
        if shown and self._states:
            time = peer.time if peer is not None else time
            tags = peer.tags() | router.tags if peer is not None else dict(router.tags)
            yield BmpMessage(octets[pos:stop], time=time, tags=tags)
            counts.states += 1
        elif shown and not made:
            counts.skip(TYPE_NAMES.get(kind, str(kind)) if version == VERSION else f"version {version}")
        counts.messages += len(made)
        yield from made

    def _monitored(self, octets: bytes, pos: int, stop: int, router: Router) -> Iterator[Message]:
        header = octets[pos + COMMON_HEADER.size : pos + _WITH_PEER]
        context, tags = router.look(header, self._decoder.context)
        for message in _messages(octets, pos + _WITH_PEER, stop, context, PeerHeader.decode(header).time, tags):
            if message.type_code != UPDATE:
                message.tags = message.tags | {TAG: TYPE_NAMES[ROUTE_MONITORING]}
            yield message

    def _mirrored(self, octets: bytes, pos: int, stop: int, router: Router) -> Iterator[Message]:
        header = octets[pos + COMMON_HEADER.size : pos + _WITH_PEER]
        context, tags = router.look(header, self._decoder.context)
        time = PeerHeader.decode(header).time
        for tlv in tlvs(octets[pos + _WITH_PEER : stop]):
            if tlv.type == 0:
                tags = tags | {TAG: TYPE_NAMES[ROUTE_MIRRORING]}
                yield from _messages(tlv.value, 0, len(tlv.value), context, time, tags)

    def _peer_up(self, octets: bytes, pos: int, stop: int, peer: PeerHeader, router: Router) -> Iterator[Message]:
        """Two OPENs: that of the peer has the tag RIB `in-pre`, that of the router `out-pre`."""
        tags = peer.tags() | router.tags
        start = pos + 20
        opens: list[bytes] = []
        while len(opens) < 2:
            length, kind = check_header(octets[:stop], start)
            if kind != OPEN or start + length > stop:
                raise WireError("Peer Up: an OPEN is expected", offset=start)
            opens.append(octets[start + HEADER : start + length])
            start += length
        sent, received = (Open.decode(body) for body in opens)
        router.peer_up(peer, sent, received)
        for body, rib in ((opens[1], "in-pre"), (opens[0], "out-pre")):
            tags = tags if peer.type == LOC_RIB else tags | {"RIB": rib}
            yield Message(OPEN, body, time=peer.time, tags=dict(tags))

    def _peer_down(self, octets: bytes, pos: int, stop: int, peer: PeerHeader, router: Router) -> Iterator[Message]:
        """A NOTIFICATION, if one ended the session: of the router (reason 1) or of the peer (reason 3)."""
        router.contexts.pop((peer.type, peer.rd, peer.address), None)
        router.families.pop((peer.type, peer.rd, peer.address), None)
        router.known.clear()
        reason = octets[pos] if pos < stop else 0
        if reason in (1, 3):
            tags = peer.tags() | router.tags | {"RIB": "out-pre" if reason == 1 else "in-pre"}
            for message in _messages(octets, pos + 1, stop, AS4, peer.time, tags):
                if message.type_code == NOTIFICATION:
                    yield message


def _messages(
    octets: bytes, pos: int, stop: int, context: WireContext, time: int, tags: dict[str, str]
) -> Iterator[Message]:
    """BGP messages that fill octets[pos:stop]. Raises WireError."""
    while pos < stop:
        length, kind = check_header(octets[:stop], pos) if stop - pos >= HEADER else (0, 0)
        if not length or pos + length > stop:
            raise WireError("the BGP message is cut short", offset=pos)
        yield Message(kind, octets[pos + HEADER : pos + length], time=time, context=context, tags=dict(tags))
        pos += length


class BmpDecoder(base.Decoder):
    """A stream of one router. A BMP message that can't be read is one damage; reading goes on at the next.

    searches: where nobody knows where the next one starts, search for it; otherwise nothing more is read.
    """

    def __init__(
        self,
        *,
        on_damage: Callable[[Damage], None] = ignore_damage,
        context: WireContext = AS4,
        states: bool = False,
        router: Router | None = None,
        searches: bool = True,
    ) -> None:
        super().__init__(on_damage=on_damage, context=context)
        self._searches = searches
        self.router = router or Router()
        self._reader = BmpReader(self, states=states)
        self._waiting = b""
        self._offset = 0
        """Octets of the stream before those that wait."""
        self._lost = False
        """Damage was reported, and no message has been found since then."""

    def feed(self, octets: bytes) -> Iterator[Item]:
        for start in range(0, len(octets), _BLOCK):
            piece = octets[start : start + _BLOCK]
            yield from self._read(self._waiting + piece if self._waiting else piece, last=False)

    def end(self) -> Iterator[Item]:
        yield from self._read(self._waiting, last=True)

    @property
    def missing(self) -> int:
        """Octets without which the message at the end of what was fed is not complete: 0 if that is not known."""
        waiting = self._waiting
        if self._lost or len(waiting) < COMMON_HEADER.size:
            return 0
        return max(0, (_length(waiting, 0) or 0) - len(waiting))

    @property
    def lost(self) -> bool:
        """Whether nobody knows where the next message starts."""
        return self._lost

    def _read(self, octets: bytes, *, last: bool) -> Iterator[Item]:
        pos, end = 0, len(octets)
        while pos < end:
            if self._lost:
                if not self._searches:
                    return
                found, sure = self._search(octets, pos, end, last=last)
                pos = found
                if not sure:
                    break
                self._lost = False
            block, pos = self._run(octets, pos)
            if block is not None:
                self.counts.records += len(block)
                self.counts.messages += len(block)
                yield block
            if pos == end:
                break
            length = _length(octets, pos)
            if length is None:
                pos = self._lose("not a BMP message", pos)
                continue
            if not length or pos + length > end:
                if not last and _fits(octets, pos) is not False:
                    break
                pos = self._lose(f"cut short: {end - pos} octets are left at the end" if last else _WRONG_LENGTH, pos)
                continue
            behind = pos + length
            if not self._leads_on(octets, behind):
                inside, sure = self._search(octets, pos + 1, behind, last=last)
                if sure:  # octets are missing in it
                    self.damage(_WRONG_LENGTH, offset=self._offset + pos)
                    pos = inside
                    continue
            try:
                messages = list(self._reader.read(octets, pos, self.router))
            except WireError as error:
                name = TYPE_NAMES.get(octets[pos + 5], str(octets[pos + 5]))
                text = f"{name}: {error.text}"
                if (behind == end and last) or is_start(octets, behind):
                    self.damage(text, offset=self._offset + pos)  # the next one is where it should be
                    pos = behind
                elif behind + COMMON_HEADER.size > end and not last:
                    break
                else:
                    pos = self._lose(text, pos)
                continue
            self.counts.records += 1
            yield from messages
            pos = behind
        self._waiting = octets[pos:]
        self._offset += pos

    @staticmethod
    def _leads_on(octets: bytes, behind: int) -> bool:
        """Whether a message starts at this place, as far as the octets are there."""
        return behind + COMMON_HEADER.size > len(octets) or is_start(octets, behind)

    def _run(self, octets: bytes, pos: int) -> tuple[Block | None, int]:
        """The Route Monitorings from `pos` on that each hold one UPDATE, as a block; and where the next starts."""
        end = len(octets)
        index = bytearray()
        table = TagTable()
        router, default = self.router, self.context
        flags_of: dict[bytes, tuple[int, int] | None] = {}
        unpack, pack = PEER_HEADER.unpack_from, ENTRY.pack
        before, last = pos, 0
        while pos + _WITH_PEER + HEADER <= end:
            version, length, kind = COMMON_HEADER.unpack_from(octets, pos)
            start, stop = pos + _WITH_PEER, pos + length
            if (
                version != VERSION
                or kind != ROUTE_MONITORING
                or stop > end
                or octets[start : start + 16] != MARKER
                or int.from_bytes(octets[start + 16 : start + 18], "big") != stop - start
                or octets[start + 18] != UPDATE
                or stop - start < 23
            ):
                break
            key = octets[pos + 6 : pos + 6 + _TIME]
            if key not in flags_of:
                try:
                    context, tags = router.look(octets[pos + 6 : start], default)
                except WireError:
                    break
                entered, flags = table.enter(tags, None), context_flags(context)
                flags_of[key] = (
                    None
                    if entered is None or flags is None
                    else (entered[0], flags | (FLAG_OWN_PEER if entered[1] else 0))
                )
            found = flags_of[key]
            if found is None:
                break
            seconds, micros = unpack(octets, pos + 6)[6:]
            before, pos, last = pos, stop, len(index)
            index += pack(0, seconds * 1_000_000 + micros, start, NO_PEER, stop - start, found[1], found[0])
        if index and not self._leads_on(octets, pos):
            del index[last:]  # it may reach into the next one
            pos = before
        return (Block(octets, index, table.octets) if index else None), pos

    def _search(self, octets: bytes, pos: int, stop: int, *, last: bool) -> tuple[int, bool]:
        """Where from `pos` on, and before `stop`, a message starts: one that its UPDATEs fill, or that leads to another
        one.

        And whether that is sure. If not, the place from which on more octets are needed to know.
        """
        end = len(octets)
        while (found := _START.search(octets, pos)) and found.start() < stop:
            pos = found.start()
            if is_start(octets, pos):
                behind = pos + COMMON_HEADER.unpack_from(octets, pos)[1]
                fits = _fits(octets, pos)
                if fits is None and octets[pos + 5] != ROUTE_MONITORING:
                    known = behind + COMMON_HEADER.size <= end or last
                    fits = (behind == end or is_start(octets, behind)) if known else None
                    if fits is None and behind - pos > LONGEST_FOUND:
                        fits = False
                if fits:
                    return pos, True
                if fits is None and not last:
                    return pos, False
            pos += 1
        return max(pos, end if last else end - COMMON_HEADER.size + 1), False

    def _lose(self, text: str, pos: int) -> int:
        """Reports damage once. Returns where to search on."""
        if not self._lost:
            self._lost = True
            self.damage(text, offset=self._offset + pos)
        return pos + 1


_WRONG_LENGTH: Final = "the length is not that of the message"


def _fits(octets: bytes, pos: int) -> bool | None:
    """Whether the UPDATEs of a Route Monitoring fill it; None for other messages, and where more octets are needed."""
    length = _length(octets, pos)
    if not length or octets[pos] != VERSION or octets[pos + 5] != ROUTE_MONITORING:
        return None
    start = pos + _WITH_PEER
    while start < pos + length:
        if len(octets) < start + HEADER:
            return None
        if octets[start : start + len(MARKER)] != MARKER:
            return False
        start += max(HEADER, int.from_bytes(octets[start + 16 : start + 18], "big"))
    return start == pos + length


def _length(octets: bytes, pos: int) -> int | None:
    """Of the message at `pos`; 0 if its header is not there in full, None if it is none."""
    if len(octets) < pos + COMMON_HEADER.size:
        return 0 if octets[pos] in VERSIONS else None
    version, length, kind = COMMON_HEADER.unpack_from(octets, pos)
    if version not in VERSIONS or not _shortest(kind) <= length <= MAX_LENGTH:
        return None
    return int(length)


def first_message(octets: bytes) -> BmpMessage | None:
    """The first BMP message of a connection, an Initiation (RFC 7854 section 4.3) or another one; None as long as it is
    not complete. Raises WireError if it is none."""
    length = _length(octets, 0)
    if length is None:
        raise WireError("not a BMP message")
    return BmpMessage(octets[:length]) if length and len(octets) >= length else None


def encode_message(message: Message) -> bytes:
    """The BMP message for a message: Route Monitoring for an UPDATE, or what a tag says; b"" for others."""
    if isinstance(message, BmpMessage):
        return message.body
    tags = message.tags
    held = tags.get(TAG)
    mirrored = held == TYPE_NAMES[ROUTE_MIRRORING]
    if (message.type_code != UPDATE and held is None) or not message.octets:
        return b""
    header = peer_from_tags(tags, message.time, as4=message.context.as4).encode()
    octets = encode_tlv(0, message.octets) if mirrored else message.octets
    kind = ROUTE_MIRRORING if mirrored else ROUTE_MONITORING
    return COMMON_HEADER.pack(VERSION, _WITH_PEER + len(octets), kind) + header + octets


class BmpEncoder(base.Encoder):
    """UPDATEs as Route Monitoring, with the per-peer header that their tags say; and BmpMessages as they came.

    Before UPDATEs with path identifiers that have none, there is a Peer Up.
    """

    def __init__(self, *, on_report: base.OnReport | None = None) -> None:
        super().__init__(on_report=on_report)
        self._peers = PeerUps()

    def encode_one(self, message: Message) -> bytes:
        octets = encode_message(message)
        return self._peers.before(message) + octets if octets else b""


FORMAT: Final = Format(
    name="bmp",
    suffixes=(".bmp",),
    sniff=sniff,
    decoder=lambda options: BmpDecoder(on_damage=options.on_damage, context=options.context, states=options.states),
    encoder=lambda options: BmpEncoder(on_report=options.on_report),
    states=True,
    routes_only=True,
    in_order=True,
)
