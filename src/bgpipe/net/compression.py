"""gzip, bzip2 and zstd, both ways.

Archives are cut, concatenated and damaged: decompression delivers what can be read, tells what can't, and goes on with
the next member (gzip), block (bzip2) or frame (zstd).
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from os.path import splitext
from typing import Any, Final, Protocol

NAMES: Final[dict[str, str]] = {
    "auto": "auto",
    "none": "none",
    "false": "none",
    "gz": "gz",
    "gzip": "gz",
    "bzip2": "bzip2",
    "bzip": "bzip2",
    "bz2": "bzip2",
    "bz": "bzip2",
    "zstd": "zstd",
    "zst": "zstd",
    "zstandard": "zstd",
}
"""The compressions that an option may name, in all their spellings."""
SUFFIXES: Final[dict[str, str]] = {".gz": "gz", ".bz2": "bzip2", ".zst": "zstd", ".zstd": "zstd"}
CHUNK: Final = 1 << 20
"""Octets of a decompressed chunk at most, bzip2's blocks excepted."""
_CHUNK_OCTETS: Final = 1 << 14
"""Compressed octets that are decompressed at once: if they are damaged, no more than these are lost."""

OnDamage = Callable[[str], None]


def parse_compression(text: str) -> str:
    """auto, none, gz, bzip2 or zstd, in any spelling. Raises ValueError."""
    name = NAMES.get(text.lower() or "none")
    if name is None:
        raise ValueError(f"unknown compression {text!r}: auto, gz, bzip2, zstd or none is expected")
    return name


def by_suffix(path: str) -> str:
    """The compression that a file's name promises."""
    return SUFFIXES.get(splitext(path)[1].lower(), "none")


def by_content(octets: bytes) -> str | None:
    """The compression of a stream that starts with these octets; None if more octets are needed to know."""
    if octets.startswith(b"BZh"):
        # As many as 10, for these three and a digit may also be the time of an MRT record.
        if len(octets) < 10:
            return None
        return "bzip2" if octets[4:10] in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90") else "none"
    for magic, name in ((b"\x1f\x8b\x08", "gz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2")):
        if octets.startswith(magic):
            return name
        if magic.startswith(octets):
            return None
    return "none"


def decompress(name: str, chunks: Iterable[bytes], on_damage: OnDamage) -> Iterator[bytes]:
    """The octets of a compressed stream; `on_damage` is told what could not be read."""
    if name == "none":
        return iter(chunks)
    if name == "bzip2":
        from .bzip2 import decompress_bzip2

        return decompress_bzip2(chunks, on_damage)
    return _gather((_gzip() if name == "gz" else _zstd()).decompress(chunks, on_damage))


def _gather(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Small chunks joined to some of about CHUNK octets."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= CHUNK // 2 or not chunk:
            if size:
                yield b"".join(parts)
            parts, size = [], 0
    if size:
        yield b"".join(parts)


class Decompressor(Protocol):
    """That of bz2 and zstd; one member."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Gunzip:
    """zlib's decompressor with the interface of the others; isal's, where it is installed, does the same faster."""

    def __init__(self) -> None:
        self._inner: Any = _fast_zlib().decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        octets: bytes = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(octets) < max_length and not self._inner.unconsumed_tail
        return octets


def _fast_zlib() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


class _Members:
    """A compression whose streams are members, one after the other."""

    def __init__(
        self,
        name: str,
        start: bytes,
        header: bytes,
        new: Callable[[], Decompressor],
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._name = name
        self._start = start
        self._header = re.compile(header, re.DOTALL)
        self._new = new
        self._errors = errors

    def decompress(self, chunks: Iterable[bytes], on_damage: OnDamage) -> Iterator[bytes]:
        """A chunk may be empty: then what comes next may be long in coming."""
        member: Decompressor | None = None
        lost = False
        octets = b""
        for chunk in chunks:
            for start in range(0, len(chunk), _CHUNK_OCTETS):
                octets += chunk[start : start + _CHUNK_OCTETS]
                while True:
                    if member is None:
                        if lost:
                            # Search on; a header may be cut in two by the end of these octets.
                            match = self._header.search(octets)
                            octets = octets[match.start() :] if match else octets[-9:]
                            if match is None:
                                break
                        else:
                            octets = octets.lstrip(b"\0")  # padding
                            if self._start.startswith(octets):
                                break
                            if not octets.startswith(self._start):
                                on_damage(f"octets that are not {self._name} data")
                                lost = True
                                continue
                        member, lost = self._new(), False
                    try:
                        out = member.decompress(octets, CHUNK)
                    except self._errors as error:
                        on_damage(f"damaged {self._name} data: {error}")
                        member, lost, octets = None, True, octets[1:]
                        continue
                    octets = b""
                    if out:
                        yield out
                    if member.eof:
                        octets, member = member.unused_data, None
                    elif member.needs_input:
                        break
            yield b""
        if member is not None:
            on_damage(f"{self._name} data is cut short")
        elif octets and not lost:
            on_damage(f"octets that are not {self._name} data")


@cache
def _gzip() -> _Members:
    library = _fast_zlib()
    # A header is magic, flags, time, hints of the compressor, and operating system (RFC 1952 section 2.3).
    header = rb"\x1f\x8b\x08[\0-\x1f].{4}[\0\2\4][\0-\x0d\xff]"
    return _Members("gzip", b"\x1f\x8b\x08", header, _Gunzip, (zlib.error, library.error))


@cache
def _zstd() -> _Members:
    library = _zstd_library()
    magic = b"\x28\xb5\x2f\xfd"
    return _Members("zstd", magic, re.escape(magic), library.ZstdDecompressor, (library.ZstdError,))


def _zstd_library() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def compressor(name: str) -> Compressor:
    """A new compressor of gz, bzip2 or zstd: one member, stream or frame, which `flush` ends."""
    if name == "gz":
        library = _fast_zlib()
        level = 6 if library is zlib else 2
        new: Compressor = library.compressobj(level, zlib.DEFLATED, 31)
        return new
    if name == "bzip2":
        import bz2

        return bz2.BZ2Compressor()
    library = _zstd_library()
    parameter = library.CompressionParameter
    frame: Compressor = library.ZstdCompressor(options={parameter.compression_level: 3, parameter.checksum_flag: 1})
    return frame
