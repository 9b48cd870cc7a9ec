"""gzip (RFC 1952): members of a header, deflated data (RFC 1951), a checksum and a length.

Header and checksum are read here and not by zlib, so that the data can be used if only these are wrong. If isal is
installed, it inflates the data, twice as fast as zlib.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from .members import CHUNK, Compression, DataError, OnDamage, decompress_members

MAGIC: Final = b"\x1f\x8b\x08"
_HEADER: Final = re.compile(rb"\x1f\x8b\x08[\0-\x1f].{4}[\0\2\4][\0-\x0d\xff]", re.DOTALL)
"""Magic, flags, time, hints of the compressor, operating system (RFC 1952 section 2.3)."""
_MAX_HEADER: Final = 1 << 17
"""Octets of the longest header that is accepted: an extra field has up to 65,535, name and comment have no limit."""
_STEP: Final = 1 << 14
"""Compressed octets that zlib inflates at once."""
_FAST_STEP: Final = 1 << 12
"""Compressed octets that isal inflates at once. They are fewer, because if they are damaged, all that they give is
lost: unlike zlib, isal can't copy its state to try again from there."""
_PAST: Final = 1 << 20
"""Compressed octets of a member that are kept, to inflate them again with zlib if isal finds damage."""
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16


@cache
def fast_zlib() -> Any:
    """The module isal_zlib if it is installed, else zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


def decompress_gzip(chunks: Iterable[bytes], on_damage: OnDamage) -> Iterator[bytes]:
    """Decompresses a gzip stream of one or more members."""
    return decompress_members(Compression("gzip", _starts, _HEADER, _GzipMember), chunks, on_damage)


def _starts(octets: bytes) -> bool | None:
    if octets.startswith(MAGIC):
        return True
    return None if MAGIC.startswith(octets) else False


class _GzipMember:
    """See members.StreamMember."""

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self.fault = ""
        self._library = fast_zlib()
        self._step = _STEP if self._library is zlib else _FAST_STEP
        self._inflate: Any = self._library.decompressobj(-15)
        self._head: bytes | None = b""
        self._tail = b""
        self._checksum = self._size = 0
        # to inflate again from an earlier place: a decompressor, the octets it has given, and its input since then
        self._earlier: Any = zlib.decompressobj(-15)
        self._earlier_size = 0
        self._past: list[bytes] | None = []

    def feed(self, octets: bytes) -> Iterator[bytes]:
        if self._head is not None:
            self._head += octets
            size = _header_size(self._head)
            if not size:
                if len(self._head) > _MAX_HEADER:
                    self.rest = self._head[1:]
                    raise DataError("a header without an end")
                return
            octets, self._head = self._head[size:], None
        if not self._inflate.eof:
            yield from self._feed_data(octets)
            octets = self.rest
        if self._inflate.eof:
            self._end(octets)

    def _feed_data(self, octets: bytes) -> Iterator[bytes]:
        """Inflates octets. Sets `rest` to those behind the deflated data."""
        self.rest = b""
        for start in range(0, len(octets), self._step):
            piece = octets[start : start + self._step]
            self._remember(piece)
            try:
                yield from self._inflated(piece)
            except (zlib.error, self._library.error) as error:
                yield from self._recover(piece)
                self.rest = octets[start + 1 :]
                raise DataError(re.sub(r"^Error -?\d+ ", "", str(error))) from None
            if self._inflate.eof:
                self.rest = self._inflate.unused_data + octets[start + self._step :]
                return

    def _inflated(self, piece: bytes) -> Iterator[bytes]:
        while True:
            out: bytes = self._inflate.decompress(self._inflate.unconsumed_tail + piece, CHUNK)
            piece = b""
            if out:
                self._count(out)
                yield out
            if self._inflate.eof or (len(out) < CHUNK and not self._inflate.unconsumed_tail):
                return

    def _count(self, out: bytes) -> None:
        self._checksum = self._library.crc32(out, self._checksum)
        self._size += len(out)

    def _remember(self, piece: bytes) -> None:
        """Keeps what `_recover` needs to inflate this piece again."""
        if self._library is zlib:
            self._earlier = self._inflate.copy()
            self._earlier_size = self._size
        elif self._past is not None:
            self._past.append(piece)
            if len(self._past) * self._step > _PAST:
                self._past = None

    def _recover(self, piece: bytes) -> Iterator[bytes]:
        """The octets of a piece before the damage in it. They are inflated again in smaller steps, because a call that
        fails gives nothing."""
        if self._past is None:
            return
        octets = b"".join((*self._past[:-1], piece))
        skip = self._size - self._earlier_size
        sure = len(octets) - len(piece)
        for start in (*range(0, sure, 256), *range(sure, len(octets))):
            try:
                out = self._earlier.decompress(octets[start : min(start + 256, sure) if start < sure else start + 1])
            except zlib.error:
                return
            if len(out) > skip:
                yield out[skip:]
            skip = max(0, skip - len(out))

    def _end(self, octets: bytes) -> None:
        """Takes the trailer: compares checksum and length (RFC 1952 section 2.3.1)."""
        self._tail += octets
        if len(self._tail) < 8:
            return
        checksum, size = struct.unpack_from("<II", self._tail)
        self.ended = True
        self.rest = self._tail[8:]
        if checksum != self._checksum:
            self.fault = "wrong checksum of a member; its data is used all the same"
        elif size != self._size & 0xFFFFFFFF:
            self.fault = "wrong length of a member; its data is used all the same"


def _header_size(octets: bytes) -> int:
    """Octets of a member's header; 0 if more are needed to know (RFC 1952 section 2.3)."""
    if len(octets) < 10:
        return 0
    flags = octets[3]
    size = 10
    if flags & _FEXTRA:
        if len(octets) < size + 2:
            return 0
        size += 2 + int.from_bytes(octets[size : size + 2], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            size = octets.find(b"\0", size) + 1
            if not size:
                return 0
    if flags & _FHCRC:
        size += 2
    return size if len(octets) >= size else 0
