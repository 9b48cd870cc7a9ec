"""gzip, bzip2 and zstd, both ways.

Archives may be cut short, concatenated or damaged. Decompression gives all that can be read, reports what can't, and
goes on with the next member (gzip), block (bzip2) or frame (zstd).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from os.path import splitext
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .members import OnDamage

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
_GATHERED: Final = 1 << 19
"""Small chunks are joined until they have so many octets."""
_MRT_TYPES: Final = (11, 12, 13, 16, 17, 32, 33, 48, 49)


def parse_compression(text: str) -> str:
    """auto, none, gz, bzip2 or zstd, in any spelling. Raises ValueError."""
    name = NAMES.get(text.lower() or "none")
    if name is None:
        raise ValueError(f"unknown compression {text!r}: auto, gz, bzip2, zstd or none is expected")
    return name


def by_suffix(path: str) -> str:
    """The compression for the suffix of a file's name."""
    return SUFFIXES.get(splitext(path)[1].lower(), "none")


def by_content(octets: bytes) -> str | None:
    """The compression of a stream that starts with these octets; None if more octets are needed to know."""
    if octets.startswith(b"BZh"):
        # 10 octets are needed: "BZh" and a digit may also be the time of an MRT record
        if len(octets) < 10:
            return None
        return "bzip2" if octets[4:10] in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90") else "none"
    for magic, name in ((b"\x1f\x8b\x08", "gz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2")):
        if octets.startswith(magic):
            return name
        if magic.startswith(octets):
            return None
    return _by_skippable_frame(octets)


def _by_skippable_frame(octets: bytes) -> str | None:
    """Whether the stream is zstd that starts with a skippable frame, as pzstd writes. The magic number of such a frame
    may also be the time of an MRT record; type and length of the record tell them apart."""
    if octets[0] >> 4 != 5 or not b"\x2a\x4d\x18".startswith(octets[1:4]):
        return "none"
    if len(octets) < 12:
        return None
    kind, length = int.from_bytes(octets[4:6], "big"), int.from_bytes(octets[8:12], "big")
    return "none" if kind in _MRT_TYPES and octets[6] == 0 and 8 <= length <= 1 << 20 else "zstd"


def decompress(name: str, chunks: Iterable[bytes], on_damage: OnDamage, abreast: int = 1) -> Iterator[bytes]:
    """Decompresses a stream. on_damage: called with a text for each part that can't be read. abreast: how many streams
    are decompressed at the same time."""
    if name == "none":
        return iter(chunks)
    if name == "bzip2":
        from .bzip2 import decompress_bzip2

        return _gather(decompress_bzip2(chunks, on_damage, abreast=abreast))
    if name == "gz":
        from .gzip import decompress_gzip

        return _gather(decompress_gzip(chunks, on_damage))
    from .zstd import decompress_zstd

    return _gather(decompress_zstd(chunks, on_damage))


def _gather(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Joins small chunks."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= _GATHERED or not chunk:
            if size:
                yield b"".join(parts)
            parts, size = [], 0
    if size:
        yield b"".join(parts)


class Compressor:
    """Compresses octets. The output is what `compress` and `sync` return, and then what `flush` returns.

    new: makes a compressor of the library. mode: the argument of its `flush` for a sync; None if the library has none,
    as for bzip2: then `sync` ends the stream, and another one begins.
    """

    def __init__(self, new: Callable[[], Any], mode: int | None) -> None:
        self._new = new
        self._mode = mode
        self._inner = new()

    def compress(self, octets: bytes) -> bytes:
        packed: bytes = self._inner.compress(octets)
        return packed

    def sync(self) -> bytes:
        """After these octets, a reader can decompress all that was compressed so far."""
        packed: bytes = self._inner.flush(self._mode) if self._mode is not None else self._inner.flush()
        if self._mode is None:
            self._inner = self._new()
        return packed

    def flush(self) -> bytes:
        """The last octets."""
        packed: bytes = self._inner.flush()
        return packed


def compressor(name: str) -> Compressor:
    """A new compressor of gz, bzip2 or zstd."""
    if name == "gz":
        import zlib  # only then, for a quick start

        from .gzip import fast_zlib

        library = fast_zlib()
        level = 6 if library is zlib else 2
        return Compressor(lambda: library.compressobj(level, zlib.DEFLATED, 31), zlib.Z_SYNC_FLUSH)
    if name == "bzip2":
        import bz2

        return Compressor(bz2.BZ2Compressor, None)
    from .zstd import zstd_library

    zstd = zstd_library()
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: 3, parameter.checksum_flag: 1}
    return Compressor(lambda: zstd.ZstdCompressor(options=options), zstd.ZstdCompressor.FLUSH_BLOCK)
