"""Raw BGP: messages as they are on the wire (RFC 4271 section 4.1), one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from .. import kernel
from ..wire.block import Block
from ..wire.context import AS4, WireContext
from ..wire.errors import WireError
from ..wire.message import HEADER, MARKER, Message, check_header
from . import base
from .base import Damage, Item, encode_block, ignore_damage

name: Final = "raw"
suffixes: Final = (".raw", ".bin", ".bgp")
_raw_out: Any = getattr(kernel, "raw_out", None)


def sniff(octets: bytes) -> bool:
    return octets.startswith(MARKER)


class Encoder(base.Encoder):
    """The octets of each message."""

    def encode(self, item: Item) -> bytes:
        if isinstance(item, Block) and _raw_out is not None:
            return encode_block(item, _raw_out.encode, self.encode_message)
        return super().encode(item)

    def encode_message(self, message: Message) -> bytes:
        return message.octets


class Decoder(base.Decoder):
    """Octets to messages. Where no message can start, one damage, and on at the next place where one does.

    context: how the messages are to be read.
    """

    def __init__(self, *, on_damage: Callable[[Damage], None] = ignore_damage, context: WireContext = AS4) -> None:
        super().__init__(on_damage=on_damage)
        self._context = context
        self._waiting = b""
        self._offset = 0
        """Octets of the stream before those that wait."""
        self._lost = False
        """Damage was told, and no message has been found since."""

    def feed(self, octets: bytes) -> Iterator[Item]:
        octets = self._waiting + octets if self._waiting else octets
        pos, end = 0, len(octets)
        while pos + HEADER <= end:
            try:
                length, type_code = check_header(octets, pos)
            except WireError as error:
                self._lose(f"{error.text}; skipped to the next marker", self._offset + pos)
                found = octets.find(MARKER, pos + 1)
                pos = found if found >= 0 else max(pos + 1, end - len(MARKER) + 1)
                continue
            if pos + length > end:
                break
            self._lost = False
            self.counts.records += 1
            self.counts.messages += 1
            message = Message(type_code, octets[pos + HEADER : pos + length], context=self._context)
            pos += length
            yield message
        self._waiting = octets[pos:]
        self._offset += pos

    def end(self) -> Iterator[Item]:
        if self._waiting:
            self._lose(f"cut short: {len(self._waiting)} octets are left at the end", self._offset)
            self._waiting = b""
        return iter(())

    def _lose(self, text: str, offset: int) -> None:
        if not self._lost:
            self._lost = True
            self.damage(text, offset=offset)
