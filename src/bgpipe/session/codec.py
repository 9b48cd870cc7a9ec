"""The codec of one end of a session: octets of the peer to messages, and messages to octets for the peer.

Messages from the peer are decoded, and messages to it encoded, as its OPEN and the OPEN that was sent to it agree (see
session.facts). The two ends of a proxied session may have agreed on different capabilities, if a stage edits OPENs.
Each peer still gets messages that it can decode. A message that needs no change keeps its octets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from .. import accel
from ..wire import nlri, treatment
from ..wire.block import Block
from ..wire.context import AS4, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, NO_FAMILIES, WireContext
from ..wire.errors import TextError, WireError
from ..wire.family import IPV4_UNICAST
from ..wire.flags import ADD_PATH_FLAGS, CONTEXT_FLAGS, FLAG_ADD_PATH, FLAG_AS4, FLAG_GUESS_AS
from ..wire.item import Item
from ..wire.message import HEADER, MARKER, NOTIFICATION, UPDATE, Message, check_header, split_messages
from ..wire.peer import make_peer
from ..wire.update import Update
from .facts import Facts


class Unsent(NamedTuple):
    """An UPDATE that could not be written for the peer, and why. withdrawn: the peer got withdrawals in its place."""

    message: Message
    error: WireError | TextError
    withdrawn: bool


class SessionCodec:
    """Decodes the messages of one peer, and encodes the messages for it. Times are microseconds since 1970 (UTC).

    facts: those of the connection to the peer; the codec updates them. fault: the error after which nothing more can be
    decoded, None without one.
    """

    def __init__(self, facts: Facts | None = None, context: WireContext = AS4) -> None:
        """context: how to decode and encode before the OPENs are known, if no `facts` are given."""
        self.facts = facts if facts is not None else Facts(context)
        self.fault: WireError | None = None
        self.addresses: tuple[bytes, ...] = ()
        """addresses of the peer and of us. With them, messages get a per-peer header (wire.peer), and so tags"""
        self.interface = 0
        """the number of the interface at which a peer with a link-local address is; 0 for none"""
        self.received: Counter[int] = Counter()
        self.sent: Counter[int] = Counter()
        """messages so far, by type code"""
        self.unsent: list[Unsent] = []
        """UPDATEs that `encode` could not encode; the code that reports them clears the list"""
        self._rest = b""
        self._fed, self._at, self._end = b"", 0, 0
        """what `feed` works on, and from where to where in it nothing has been given out yet"""
        self._flags: int | None = None

    def _peer_header(self) -> bytes:
        """The per-peer header for messages from the peer, b"" if they get none."""
        if not self.addresses:
            return b""
        opens = (self.facts.peer_open, self.facts.sent_open)
        peer_as, local_as = (each.asn if each is not None else 0 for each in opens)
        interface = min(self.interface, 0xFFFF).to_bytes(2, "big")
        return make_peer(peer_as, self.addresses[0], local_as, self.addresses[1], interface)

    # from the peer

    def feed(self, octets: bytes, time: int) -> Iterator[Item]:
        """The messages that are complete with these octets. It stops at an invalid header, and sets `fault`."""
        octets = self._rest + octets if self._rest else octets
        pos, end = 0, len(octets)
        peer = self._peer_header()
        octets += peer
        self._fed, self._end = octets, end
        while end - pos >= HEADER and self.fault is None:
            if accel.AVAILABLE and (flags := self._block_flags()) is not None:
                index, stop = accel.frame.frame(octets, pos, end, flags, time, self._limit, bool(peer))
                if stop > pos:
                    block = Block(octets, index)
                    self.received[UPDATE] += len(block)
                    self._at = pos = stop
                    yield block
                    continue
            try:
                length, type_code = check_header(octets, pos, self._limit)
            except WireError as fault:
                self.fault = fault
                break
            if pos + length > end:
                break
            body = octets[pos + HEADER : pos + length]
            self._at = pos = pos + length
            yield self._receive(type_code, body, time)
        self._fed, self._at, self._end = b"", 0, 0
        self._rest = octets[pos:end] if self.fault is None else b""

    def take_notification(self, more: bytes, time: int) -> tuple[Message | None, int]:
        """The NOTIFICATION that is still to come of what was fed and of `more` behind it, and how many messages were to
        come before it. These must not be asked for any more.
        """
        octets = self._fed[self._at : self._end] + more
        count, pos, length = _find_notification(octets)
        if not length:
            return None, 0
        return self._receive(NOTIFICATION, octets[pos + HEADER : pos + length], time), count

    def has_notification(self, more: bytes) -> bool:
        """Whether `take_notification` would find one."""
        return _find_notification(self._fed[self._at : self._end] + more)[2] > 0

    def skip(self, more: bytes) -> int:
        """Drops octets that were fed and not given out, and `more` behind them. Returns the number of messages in them,
        which count as received. Nothing can be fed any more."""
        octets = self._fed[self._at : self._end] + more
        self._fed, self._at, self._end = b"", 0, 0
        skipped = 0
        with suppress(WireError):
            for _, _, type_code in split_messages(octets):
                self.received[type_code] += 1
                skipped += 1
        return skipped

    def lost(self) -> int:
        """Octets of a message that was not received completely."""
        return len(self._rest)

    def _receive(self, type_code: int, body: bytes, time: int) -> Message:
        self.received[type_code] += 1
        if type_code != UPDATE:
            self.facts.on_received(Message(type_code, body, time=time))
            self._flags = None
        return Message(type_code, body, time=time, context=self.facts.receiving, peer=self._peer_header() or None)

    @property
    def _limit(self) -> int:
        """The longest message that the peer may send, in octets."""
        return MAX_EXTENDED_MESSAGE if self.facts.receiving.extended_message else MAX_MESSAGE

    def _block_flags(self) -> int | None:
        """The flags for the messages of a block; None if flags can't express the context."""
        if self._flags is None:
            self._flags = _flags(self.facts.receiving, self.facts)
        return self._flags if self._flags >= 0 else None

    # to the peer

    def encode(self, item: Item) -> bytes:
        """The octets of a message for the peer. An UPDATE from a session with other capabilities is encoded again, and
        split if it is too long.

        If that fails, the routes of the UPDATE are withdrawn, so that the peer keeps no older ones. If the routes can't
        be decoded, the UPDATE is left out. See `unsent`.
        """
        if isinstance(item, Message):
            return self._encode_message(item)
        if not accel.AVAILABLE:
            return b"".join(map(self._encode_message, item))
        every, some, longest = accel.frame.survey(item.octets, item.index)
        if self._block_fits(every, some) and longest <= self.facts.sending.max_message:
            self.sent[UPDATE] += len(item)
            return bytes(accel.raw_out.encode(item.octets, item.index, 0)[0])
        return b"".join(map(self._encode_message, item))

    def _block_fits(self, every: int, some: int) -> bool:
        mask = CONTEXT_FLAGS & ~FLAG_GUESS_AS
        return every & mask == some & mask == _flags(self.facts.sending, self.facts)

    def _encode_message(self, message: Message) -> bytes:
        if message.type_code != UPDATE:
            self.facts.on_sent(message)
            self._flags = None
        elif not self._fits(message):
            bodies = self._rewrite(message)
            self.sent[UPDATE] += len(bodies)
            return b"".join(_frame(UPDATE, body) for body in bodies)
        self.sent[message.type_code] += 1
        return message.octets

    def _rewrite(self, message: Message) -> list[bytes]:
        """The bodies of an UPDATE for this peer."""
        try:
            return message.update.encode_split(self.facts.sending)
        except (WireError, TextError) as error:
            bodies = self._withdraw(message.update)
            self.unsent.append(Unsent(message, error, bool(bodies)))
            return bodies

    def _withdraw(self, update: Update) -> list[bytes]:
        """Bodies that withdraw all routes of an UPDATE; none if it can't be told which these are."""
        try:
            found = [Update(body, update.context) for body in treatment.withdraw(update)]
            return [body for each in found if not each.is_eor for body in each.encode_split(self.facts.sending)]
        except (WireError, TextError):
            return []

    def _fits(self, message: Message) -> bool:
        read, write = message.context, self.facts.sending
        same = read.as4 == write.as4 and (read.add_path is write.add_path or read.add_path == write.add_path)
        return (same or read.assumed) and len(message.body) + HEADER <= write.max_message


def _find_notification(octets: bytes) -> tuple[int, int, int]:
    """How many messages are before the first NOTIFICATION, where it starts, and its length, 0 if there is none."""
    try:
        for count, (pos, length, type_code) in enumerate(split_messages(octets)):
            if type_code == NOTIFICATION:
                return count, pos, length
    except WireError:
        pass  # behind an invalid header, no message can be found
    return 0, 0, 0


def _frame(type_code: int, body: bytes) -> bytes:
    return MARKER + (len(body) + HEADER).to_bytes(2, "big") + bytes((type_code,)) + body


_MIXED: Final = -1


def _flags(context: WireContext, facts: Facts) -> int:
    """The flags of blocks for a context, _MIXED where they can't say it: ADD-PATH holds for a part of the families
    that is not IPv4 unicast, IPv6 unicast or both, or for none that was agreed, or the context is only assumed."""
    if context.assumed:
        return _MIXED
    flags = FLAG_AS4 if context.as4 else 0
    if context.add_path == NO_FAMILIES:
        return flags
    agreed = facts.families if facts.agreement is not None else [IPV4_UNICAST]
    families = [family for family in agreed if family.address_bits or family in nlri.TABLE]
    covered = {family for family in families if family in context.add_path}
    if families and len(covered) == len(families):
        return flags | FLAG_ADD_PATH
    if not families or not covered <= set(ADD_PATH_FLAGS.values()):
        return _MIXED
    return flags | sum(flag for flag, family in ADD_PATH_FLAGS.items() if family in covered)
