"""Raw BGP: messages as they are on the wire (RFC 4271 section 4.1), one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from .. import accel
from ..wire.block import Block
from ..wire.context import AS4, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, WireContext
from ..wire.errors import WireError
from ..wire.flags import context_flags
from ..wire.item import Item
from ..wire.message import HEADER, MARKER, MIN_LENGTH, UPDATE, Message, check_header
from . import base
from .base import Damage, Format, encode_block, ignore_damage

_UPDATE: Final = bytes((UPDATE,))
_START: Final = re.compile(MARKER + b"(?s:..)[" + bytes(sorted(MIN_LENGTH)) + b"]")
"""A header: marker, length, a known type."""
_raw_out: Any = getattr(accel, "raw_out", None)
_frame: Any = accel.frame.frame if accel.AVAILABLE else None


def sniff(octets: bytes) -> bool:
    return octets.startswith(MARKER)


class RawEncoder(base.Encoder):
    """The octets of each message."""

    def encode(self, item: Item) -> bytes:
        if isinstance(item, Block) and _raw_out is not None:
            return encode_block(item, _raw_out.encode, self.encode_message)
        return super().encode(item)

    def encode_one(self, message: Message) -> bytes:
        return message.octets


class RawDecoder(base.Decoder):
    """Octets to messages. Where no message can start, one damage, and on at the next place where one does."""

    def __init__(self, *, on_damage: Callable[[Damage], None] = ignore_damage, context: WireContext = AS4) -> None:
        super().__init__(on_damage=on_damage, context=context)
        self._waiting = b""
        self._offset = 0
        """Octets of the stream before those that wait."""
        self._lost = False
        """Damage was reported, and no message has been found since then."""

    def feed(self, octets: bytes) -> Iterator[Item]:
        return self._read(self._waiting + octets if self._waiting else octets, last=False)

    def end(self) -> Iterator[Item]:
        return self._read(self._waiting, last=True)

    def _read(self, octets: bytes, last: bool) -> Iterator[Item]:
        """All messages in `octets`; what is left waits for more, unless these are the `last` ones."""
        pos, end = 0, len(octets)
        flags = context_flags(self.context) if _frame is not None else None
        while pos < end:
            if flags is not None and not self._lost and octets.startswith(_UPDATE, pos + HEADER - 1):
                index, stop = _frame(octets, pos, end, flags, 0, MAX_EXTENDED_MESSAGE, False)
                block = Block(octets, index)
                if octets.count(MARKER, pos, stop) > len(block) or not _is_marker(octets, stop):
                    flags = None  # one of them may hold the next: let's look at each
                elif len(block):
                    self.counts.records += len(block)
                    self.counts.messages += len(block)
                    yield block
                    pos = stop
                    continue
            try:
                length, type_code = self._find(octets, pos, last)
            except WireError as error:
                self._lose(error.text, self._offset + pos)
                pos = _next_start(octets, pos + 1, last)
                continue
            if not length:
                break
            self._lost = False
            self.counts.records += 1
            self.counts.messages += 1
            yield Message(type_code, octets[pos + HEADER : pos + length], context=self.context)
            pos += length
        self._waiting = octets[pos:]
        self._offset += pos

    def _find(self, octets: bytes, pos: int, last: bool) -> tuple[int, int]:
        """(length, type) of the message at `pos`, (0, 0) if it is not there in full yet. Raises WireError.

        To find back into a stream takes more than a marker, since 0xff stands in other places too: a known type, and
        a length that doesn't reach over the next marker to where none is.
        """
        left = len(octets) - pos
        if left < HEADER:
            if last:
                raise WireError(f"cut short: {left} octets are left at the end")
            if not octets.startswith(MARKER[:left], pos):
                raise WireError("marker is not all ones")
            return 0, 0
        length, type_code = check_header(octets, pos)
        if type_code not in MIN_LENGTH and (self._lost or length > MAX_MESSAGE):
            raise WireError(f"length {length} is not possible for a message of unknown type {type_code}")
        if length > left:
            if last:
                raise WireError(f"cut short: {left} of {length} octets are left at the end")
            return 0, 0
        if octets.find(MARKER, pos + 1, pos + length + len(MARKER) - 1) >= 0:
            after = octets[pos + length : pos + length + len(MARKER)]
            if not MARKER.startswith(after):
                raise WireError(f"length {length} reaches into the next message")
            if len(after) < len(MARKER) and not last:
                return 0, 0
        return length, type_code

    def _lose(self, text: str, offset: int) -> None:
        if not self._lost:
            self._lost = True
            self.damage(text, offset=offset)


def _is_marker(octets: bytes, pos: int) -> bool:
    """Whether a marker is at a place, as far as octets are there."""
    return MARKER.startswith(octets[pos : pos + len(MARKER)])


def _next_start(octets: bytes, pos: int, last: bool) -> int:
    """Where, from `pos` on, a message may start; the end of the octets if nowhere.

    A megabyte of 0xff has a million markers: only those with a known type behind them are looked at.
    """
    if found := _START.search(octets, pos):
        return found.start()
    if last:
        return len(octets)
    pos = max(pos, len(octets) - HEADER + 1)
    while pos < len(octets) and not MARKER.startswith(octets[pos : pos + len(MARKER)]):
        pos += 1
    return pos


FORMAT: Final = Format(
    name="raw",
    suffixes=(".raw", ".bin", ".bgp"),
    sniff=sniff,
    decoder=lambda options: RawDecoder(on_damage=options.on_damage, context=options.context),
    encoder=lambda options: RawEncoder(on_report=options.on_report),
)
