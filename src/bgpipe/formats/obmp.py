"""OpenBMP: BMP messages with the collector and the router that they come from, as OpenBMP's collector gives them to
Kafka (version 1.7, object type 12, bmp_raw).

    "OBMP" (4 octets), version 1.7 (2), octets of this header (2), octets behind it (4), flags (1), object type (1),
    seconds (4), micros (4), hash of the collector (16), its name (2 + n), hash of the router (16), its address (16),
    its name (2 + n), rows (4)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from ..wire.address import format_address, parse_address
from ..wire.context import AS4, WireContext
from ..wire.cursor import Cursor
from ..wire.errors import TextError, WireError
from ..wire.item import Item
from ..wire.message import Message
from . import base
from .base import Damage, Format, ignore_damage
from .bmp import MAX_LENGTH, BmpReader, Router, _length, encode_message
from .bmp_peers import PeerUps

MAGIC: Final = b"OBMP"
_HEADER: Final = Struct(">4sBBHIBB")
_RAW: Final = 12
"""Object type of a BMP message."""
_IPV6: Final = 0x40
"""Flag: the address of the router is an IPv6 address."""
_START: Final = re.compile(re.escape(MAGIC) + rb"\x01")
MAX_HEADER: Final = 4096


def sniff(octets: bytes) -> bool:
    return octets.startswith(MAGIC)


class ObmpDecoder(base.Decoder):
    """A stream of many routers. A message that can't be read is one damage; reading goes on at the next "OBMP"."""

    def __init__(
        self,
        *,
        on_damage: Callable[[Damage], None] = ignore_damage,
        context: WireContext = AS4,
        states: bool = False,
    ) -> None:
        super().__init__(on_damage=on_damage, context=context)
        self._reader = BmpReader(self, states=states)
        self._routers: dict[tuple[str, str], Router] = {}
        self._waiting = b""
        self._offset = 0
        self._lost = False

    def feed(self, octets: bytes) -> Iterator[Item]:
        return self._read(self._waiting + octets, last=False)

    def end(self) -> Iterator[Item]:
        return self._read(self._waiting, last=True)

    def _read(self, octets: bytes, *, last: bool) -> Iterator[Item]:
        pos, end = 0, len(octets)
        while pos < end:
            if end - pos < _HEADER.size:
                if not last and MAGIC.startswith(octets[pos : pos + 4]):
                    break
                pos = self._lose("cut short", octets, pos, last=last)
                continue
            magic, major, _, header, size, flags, kind = _HEADER.unpack_from(octets, pos)
            stop = pos + header + size
            if magic != MAGIC or major != 1 or not _HEADER.size <= header <= MAX_HEADER or size > MAX_LENGTH:
                pos = self._lose("not a message of OpenBMP 1", octets, pos, last=last)
                continue
            if stop > end:
                if not last:
                    break
                pos = self._lose(f"cut short: {end - pos} of {stop - pos} octets", octets, pos, last=last)
                continue
            inside = _START.search(octets, pos + 1, stop + len(MAGIC))
            if inside and octets[stop : stop + 4] != MAGIC[: end - stop]:
                pos = self._lose("the length reaches into the next message", octets, pos, last=last)
                continue
            try:
                messages = list(self._messages(octets[pos + _HEADER.size : stop], header - _HEADER.size, flags, kind))
            except WireError as error:
                pos = self._lose(error.text, octets, pos, last=last)
                continue
            self._lost = False
            self.counts.records += 1
            yield from messages
            pos = stop
        self._waiting = octets[pos:]
        self._offset += pos

    def _messages(self, octets: bytes, header: int, flags: int, kind: int) -> Iterator[Message]:
        """octets: from behind the object type on; `header` of them belong to the header. Raises WireError."""
        if kind != _RAW:
            self.counts.skip(f"object type {kind}")
            return
        router = self._router(octets[:header], flags)
        seconds, micros = (int.from_bytes(octets[at : at + 4], "big") if header else 0 for at in (0, 4))
        pos = header
        while pos < len(octets):
            length = _length(octets, pos)
            if not length or pos + length > len(octets):
                raise WireError("what it holds is no BMP message")
            yield from self._reader.read(octets, pos, router, seconds * 1_000_000 + micros)
            pos += length

    def _router(self, header: bytes, flags: int) -> Router:
        collector = router = ""
        if header:
            cursor = Cursor(header)
            cursor.take(8 + 16)
            collector = _text(cursor.take(cursor.u16()))
            cursor.take(16)
            address = cursor.take(16)
            router = _text(cursor.take(cursor.u16()))
            address = address if flags & _IPV6 else address[:4]
            router = router or (format_address(address) if any(address) else "")
        key = collector, router
        if key not in self._routers:
            tags = {"COLLECTOR": collector, "ROUTER": router}
            self._routers[key] = Router({name: value for name, value in tags.items() if value})
        return self._routers[key]

    def _lose(self, text: str, octets: bytes, pos: int, *, last: bool) -> int:
        """Reports damage once; returns where to go on."""
        if not self._lost:
            self._lost = True
            self.damage(text, offset=self._offset + pos)
        if found := _START.search(octets, pos + 1):
            return found.start()
        return len(octets) if last else max(pos + 1, len(octets) - len(MAGIC))


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace").rstrip("\0")


class ObmpEncoder(base.Encoder):
    """BMP messages (see bmp.py) with the tags COLLECTOR and ROUTER before them."""

    def __init__(self, *, on_report: base.OnReport | None = None) -> None:
        super().__init__(on_report=on_report)
        self._peers = PeerUps()

    def encode_one(self, message: Message) -> bytes:
        octets = encode_message(message)
        if not octets:
            return b""
        return b"".join(self._wrap(message, each) for each in (self._peers.before(message), octets) if each)

    def _wrap(self, message: Message, octets: bytes) -> bytes:
        tags = message.tags
        try:
            address, name = parse_address(tags.get("ROUTER", "0.0.0.0")), b""
        except TextError:
            address, name = bytes(4), tags["ROUTER"].encode()[:1024]
        collector = tags.get("COLLECTOR", "").encode()[:1024]
        seconds, micros = divmod(message.time, 1_000_000)
        more = b"".join(
            (
                (seconds & 0xFFFFFFFF).to_bytes(4, "big"),
                micros.to_bytes(4, "big"),
                bytes(16),
                len(collector).to_bytes(2, "big"),
                collector,
                bytes(16),
                address.ljust(16, b"\0"),
                len(name).to_bytes(2, "big"),
                name,
                b"\0\0\0\1",
            )
        )
        flags = _IPV6 if len(address) == 16 else 0
        return _HEADER.pack(MAGIC, 1, 7, _HEADER.size + len(more), len(octets), flags, _RAW) + more + octets


FORMAT: Final = Format(
    name="obmp",
    suffixes=(".obmp",),
    sniff=sniff,
    decoder=lambda options: ObmpDecoder(on_damage=options.on_damage, context=options.context, states=options.states),
    encoder=lambda options: ObmpEncoder(on_report=options.on_report),
    states=True,
    routes_only=True,
    in_order=True,
)
