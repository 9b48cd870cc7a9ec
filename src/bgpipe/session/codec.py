"""One end of a session that passes through: octets of the peer in, messages out, and the other way round.

The codec watches the OPENs in both directions. What comes from the peer is read by what the peer's OPEN and the
OPEN that was sent to it agree on; what goes to the peer is written by the same, whatever it was read by. So two
codecs may have agreed on different things, where a stage between them edits OPENs, and each peer still gets
messages that it can read. What needs no change leaves as it came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from .. import accel
from ..wire.block import FLAG_ADD_PATH, FLAG_AS4, Block
from ..wire.context import AS4, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, NO_FAMILIES, WireContext
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST
from ..wire.item import Item
from ..wire.message import HEADER, MARKER, OPEN, UPDATE, Message, check_header
from ..wire.negotiation import Agreement, negotiate
from ..wire.open import Open
from ..wire.peer import make_peer


class SessionCodec:
    """Frames and reads what one peer sends, and writes what goes to it. Times are microseconds since 1970 (UTC).

    context: how to read and write before the OPENs are known. agreement: what they say, None until both were seen.
    fault: why nothing more can be read, None as long as all is well.
    """

    def __init__(self, context: WireContext = AS4) -> None:
        self.context = context
        self.receiving = context
        self.sending = context
        self.agreement: Agreement | None = None
        self.fault: WireError | None = None
        self.addresses: tuple[bytes, ...] = ()
        """of the peer and of us: if they are there, messages get a per-peer header (wire.peer), which makes tags"""
        self.received: Counter[int] = Counter()
        self.sent: Counter[int] = Counter()
        """messages so far, by type code"""
        self._rest = b""
        self._received: Open | None = None
        self._sent: Open | None = None
        self._flags: int | None = None

    @property
    def peer_kind(self) -> str | None:
        """ "ibgp" or "ebgp": whether both speakers have the same AS number; None until that is known."""
        if self._received is None or self._sent is None:
            return None
        return "ibgp" if self._received.asn == self._sent.asn else "ebgp"

    @property
    def peer_open(self) -> Open | None:
        """The peer's OPEN, None as long as it is not there."""
        return self._received

    @property
    def sent_open(self) -> Open | None:
        """The OPEN that went to the peer, None as long as there is none."""
        return self._sent

    @property
    def opened(self) -> bool:
        """Whether the peer's OPEN is there."""
        return self._received is not None

    def _peer_header(self) -> bytes:
        """The per-peer header of what comes from the peer, b"" if nobody wants it."""
        if not self.addresses:
            return b""
        peer_as, local_as = (each.asn if each is not None else 0 for each in (self._received, self._sent))
        return make_peer(peer_as, self.addresses[0], local_as, self.addresses[1])

    # from the peer

    def feed(self, octets: bytes, time: int) -> Iterator[Item]:
        """The messages that `octets` complete. Stops at a header that can't be: see `fault`."""
        octets = self._rest + octets if self._rest else octets
        pos, end = 0, len(octets)
        peer = self._peer_header()
        octets += peer
        while end - pos >= HEADER and self.fault is None:
            if accel.AVAILABLE and (flags := self._block_flags()) is not None:
                index, stop = accel.frame.frame(octets, pos, end, flags, time, self._limit, bool(peer))
                if stop > pos:
                    block = Block(octets, index)
                    self.received[UPDATE] += len(block)
                    yield block
                    pos = stop
                    continue
            try:
                length, type_code = check_header(octets, pos, self._limit)
            except WireError as fault:
                self.fault = fault
                break
            if pos + length > end:
                break
            yield self._receive(type_code, octets[pos + HEADER : pos + length], time)
            pos += length
        self._rest = octets[pos:end] if self.fault is None else b""

    def lost(self) -> int:
        """Octets of a message that never came whole."""
        return len(self._rest)

    def _receive(self, type_code: int, body: bytes, time: int) -> Message:
        self.received[type_code] += 1
        if type_code == OPEN:
            self._received = _decode(body) or self._received
            self._agree()
        return Message(type_code, body, time=time, context=self.receiving, peer=self._peer_header() or None)

    @property
    def _limit(self) -> int:
        """Octets of the longest message that the peer may send."""
        return MAX_EXTENDED_MESSAGE if self.receiving.extended_message else MAX_MESSAGE

    def _block_flags(self) -> int | None:
        """The flags of a block's messages; None where they can't say how to read them."""
        if self._flags is None:
            self._flags = _flags(self.receiving, self.agreement)
        return self._flags if self._flags >= 0 else None

    # to the peer

    def encode(self, item: Item) -> bytes:
        """What goes on the wire. An UPDATE that doesn't fit the peer is written anew, in several if need be.

        Raises WireError where an UPDATE would have to be written anew and can't be read.
        """
        if isinstance(item, Message):
            return self._encode_message(item)
        every, some, longest = accel.frame.survey(item.octets, item.index)
        if self._block_fits(every, some) and longest <= self.sending.max_message:
            self.sent[UPDATE] += len(item)
            return bytes(accel.raw_out.encode(item.octets, item.index, 0)[0])
        return b"".join(map(self._encode_message, item))

    def _block_fits(self, every: int, some: int) -> bool:
        mask = FLAG_AS4 | FLAG_ADD_PATH
        return every & mask == some & mask == _flags(self.sending, self.agreement)

    def _encode_message(self, message: Message) -> bytes:
        if message.type_code == OPEN:
            self._sent = _decode(message.body) or self._sent
            self._agree()
        elif message.type_code == UPDATE and not self._fits(message):
            bodies = message.update.encode_split(self.sending)
            self.sent[UPDATE] += len(bodies)
            return b"".join(_frame(UPDATE, body) for body in bodies)
        self.sent[message.type_code] += 1
        return message.octets

    def _fits(self, message: Message) -> bool:
        read, write = message.context, self.sending
        same = read.as4 == write.as4 and (read.add_path is write.add_path or read.add_path == write.add_path)
        return same and len(message.body) + HEADER <= write.max_message

    def _agree(self) -> None:
        """Both OPENs are known, or one of them anew: what follows is read and written by them."""
        if self._received is None or self._sent is None:
            return
        self.agreement = negotiate(self._sent, self._received)
        self.sending, self.receiving = self.agreement.contexts
        self._flags = None


def _decode(body: bytes) -> Open | None:
    """None if it can't be read; whether a session can start with what it says is for the speakers to decide."""
    try:
        found = Open.decode(body, strict=False)
    except WireError:
        return None
    return found if found.readable else None


def _frame(type_code: int, body: bytes) -> bytes:
    return MARKER + (len(body) + HEADER).to_bytes(2, "big") + bytes((type_code,)) + body


_MIXED: Final = -1


def _flags(context: WireContext, agreement: Agreement | None) -> int:
    """The flags of blocks for a context, _MIXED where ADD-PATH holds for a part of the families only."""
    flags = FLAG_AS4 if context.as4 else 0
    if context.add_path == NO_FAMILIES:
        return flags
    families = agreement.families if agreement is not None else [IPV4_UNICAST]
    covered = [family in context.add_path for family in families if family.address_bits]
    return flags | FLAG_ADD_PATH if all(covered) else _MIXED
