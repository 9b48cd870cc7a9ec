"""zstd (RFC 8878): frames of blocks, and skippable frames.

A frame is given to the library block by block. So all data before damage or a wrong checksum is used, and only one
block and the window of the frame are in memory.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final

from .members import Compression, DataError, OnDamage, decompress_members

MAGIC: Final = b"\x28\xb5\x2f\xfd"
SKIPPABLE: Final = b"\x2a\x4d\x18"
"""The last three octets of a skippable frame's magic number; the first one is 0x50 to 0x5f."""
MAX_WINDOW: Final = 1 << 27
"""The largest window, in octets of memory, that is accepted. The command zstd has the same limit by default."""
MAX_USED: Final = 1 << 26
"""The largest window that is used, in octets. Of a frame with a larger one, only so many octets are decompressed."""
_MAX_BLOCK: Final = 1 << 17
"""Octets of the longest block, compressed or not (RFC 8878 section 3.1.1.2.4)."""
_RLE: Final = 1
_RESERVED: Final = 3


def zstd_library() -> Any:
    """The standard library's module, or for older versions its backport."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def decompress_zstd(chunks: Iterable[bytes], on_damage: OnDamage) -> Iterator[bytes]:
    """Decompresses a zstd stream of one or more frames."""
    return decompress_members(
        Compression("zstd", starts_frame, re.compile(re.escape(MAGIC)), _Frame), chunks, on_damage
    )


def starts_frame(octets: bytes) -> bool | None:
    """Whether a frame, or one to be skipped, starts with these octets; None if there are too few of them to know."""
    if octets.startswith(MAGIC) or _is_skippable(octets):
        return True
    more = MAGIC.startswith(octets) or (_is_skippable(octets[:1] + SKIPPABLE) and SKIPPABLE.startswith(octets[1:]))
    return None if more else False


def _is_skippable(octets: bytes) -> bool:
    return octets[1:4] == SKIPPABLE and octets[0] >> 4 == 5


class _Frame:
    """See members.StreamMember."""

    def __init__(self) -> None:
        library = zstd_library()
        self.ended = False
        self.rest = b""
        self.fault = ""
        self._error: type[Exception] = library.ZstdError
        self._decompressor: Any = library.ZstdDecompressor()
        self._waiting = b""
        self._out = b""
        self._given = 0
        """octets of the frame so far"""
        self._parts = self._walk()
        self._need = next(self._parts)

    def feed(self, octets: bytes) -> Iterator[bytes]:
        self._waiting += octets
        start = 0
        while not self.ended and len(self._waiting) - start >= self._need:
            part = self._waiting[start : start + self._need]
            start += self._need
            self._out = b""
            try:
                self._need = self._parts.send(part)
            except StopIteration:
                self.ended = True
                self.rest = self._waiting[start:]
            except DataError:
                self.rest = self._waiting[start - len(part) + 1 :]
                raise
            if self._out:
                yield self._out
        self._waiting = self._waiting[start:]

    def _walk(self) -> Generator[int, bytes, None]:
        """The parts of a frame: asks for so many octets, and is sent them (RFC 8878 section 3.1)."""
        magic = yield 4
        if magic != MAGIC:
            size = int.from_bytes((yield 4), "little")
            while size:
                size -= len((yield min(size, _MAX_BLOCK)))
            return
        descriptor = yield 1
        size, has_checksum = _header_size(descriptor[0]), descriptor[0] & 4
        fields = yield size
        window = _window(descriptor[0], fields)
        if window > MAX_WINDOW:
            self._pass_over(window)
        self._decompress(magic + descriptor + fields)
        last = 0
        while not last:
            head = yield 3
            value = int.from_bytes(head, "little")
            last, kind, size = value & 1, value >> 1 & 3, value >> 3
            if kind == _RESERVED or size > _MAX_BLOCK:
                raise DataError("a block of a kind or length that can't be")
            block = yield 1 if kind == _RLE else size
            self._decompress(head + block)
            if window > MAX_USED and self._given > MAX_USED - _MAX_BLOCK and not last:
                self._pass_over(window)
        if has_checksum:
            self._compare((yield 4))

    def _pass_over(self, window: int) -> None:
        """Takes no more of the frame: its blocks are passed over."""
        if self._decompressor is not None:
            self._decompressor = None
            self.fault = (
                f"a frame asks for a window of {window >> 20} MiB, and gets {MAX_USED >> 20} at most:"
                f" decompress it with zstd -d{' --long=31' if window > MAX_WINDOW else ''}"
            )

    def _decompress(self, octets: bytes) -> None:
        if self._decompressor is None:
            return
        try:
            self._out = self._decompressor.decompress(octets)
            self._given += len(self._out)
        except self._error as error:
            raise DataError(str(error).rpartition(": ")[2]) from None

    def _compare(self, checksum: bytes) -> None:
        try:
            self._decompress(checksum)
        except DataError:
            self.fault = "wrong checksum of a frame; its data is used all the same"


def _header_size(descriptor: int) -> int:
    """Octets of a frame's header behind its descriptor (RFC 8878 section 3.1.1.1)."""
    single = descriptor >> 5 & 1
    return (not single) + (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[descriptor >> 6]


def _window(descriptor: int, fields: bytes) -> int:
    """Octets of memory that a frame needs. One of a single segment needs as many as it gives."""
    if descriptor >> 5 & 1:
        size = fields[(0, 1, 2, 4)[descriptor & 3] :]
        return int.from_bytes(size, "little") + (256 if len(size) == 2 else 0)
    base = 1 << (10 + (fields[0] >> 3))
    return base + (base >> 3) * (fields[0] & 7)
