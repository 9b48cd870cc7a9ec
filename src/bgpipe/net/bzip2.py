"""Decompresses bzip2 on all cores, and goes on behind damage.

A bzip2 stream is a header of 4 octets, then blocks, then an end mark. A block starts at any bit, with a magic number of
48 bits. A block can be decompressed alone, as a stream of one block. So this module searches for the magic numbers, and
threads decompress the blocks in parallel (libbz2 releases the GIL).

A damaged block is left out, as bzip2recover does: its octets would come in another order, and could look like routes
that no peer announced. If only the checksum of a block is damaged, its octets are used.
"""

from __future__ import annotations

import bz2
import os
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import Final, NamedTuple

from ..tasks import thread_pool
from .members import CHUNK

BLOCK_MAGIC: Final = 0x314159265359
END_MAGIC: Final = 0x177245385090
_MASK: Final = (1 << 48) - 1
_END: Final = 48 + 32
"""Bits of the end mark: its magic number, and the checksum of the stream."""
_MAX_BLOCK: Final = 2_000_000
"""Compressed octets that are kept while no next block is found. The data of a block is at most 900,000 octets, which
may get somewhat longer by compression."""
_FIRST: Final = 2 << 20
"""Octets that a thread decompresses of a block. A block of zeros can give 46 million: the rest is decompressed in
chunks, when it is needed."""
_SPOILT_BITS: Final = 6
"""If the checksum of a block differs from the computed one in at most so many bits, the checksum is taken for damaged,
and the data for good. With damaged data, this happens by chance in 3 of 10,000 cases."""
_REVERSED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))

OnDamage = Callable[[str], None]


class _BlockResult(NamedTuple):
    """The result of decompressing a block.

    octets: the first ones, None if the block is damaged. more: the decompressor, if the block has more octets.
    checksum: the computed one, if it is not the one in the block.
    """

    octets: bytes | None
    more: bz2.BZ2Decompressor | None = None
    checksum: int | None = None


class _CompressedBlock(NamedTuple):
    """Compressed octets. The block is the `bits` bits from bit `shift` on.

    cut: the input ends in the block, or behind it without an end mark. total: for the last block of a stream, the
    checksum of the stream.
    """

    octets: bytes
    shift: int
    bits: int
    cut: bool = False
    total: int | None = None

    @property
    def checksum(self) -> int:
        """The checksum in the block: the 32 bits behind its magic number."""
        return self._value() >> (self.bits - _END) & 0xFFFFFFFF

    def join(self, other: _CompressedBlock) -> _CompressedBlock:
        """Both blocks as one. It is needed if the bits of a magic number occur by chance inside a block."""
        shared = 1 if other.shift else 0
        octets = self.octets[: len(self.octets) - shared] + other.octets
        return _CompressedBlock(octets, self.shift, self.bits + other.bits, other.cut, other.total)

    def decompress(self, *, recover: bool = True) -> _BlockResult:
        """Decompresses the block. recover: return the octets even if their checksum is wrong."""
        value, bits = self._value(), self.bits
        stream = bz2.BZ2Decompressor()
        try:
            octets = stream.decompress(self._framed(value), _FIRST)
        except (OSError, ValueError):
            return self._despite_checksum(value) if recover and bits > 2 * _END and not self.cut else _BlockResult(None)
        if not stream.eof and not stream.needs_input:
            return _BlockResult(octets, stream)
        return _BlockResult(octets if stream.eof or (self.cut and octets) else None)

    def _value(self) -> int:
        value = int.from_bytes(self.octets, "big") >> (len(self.octets) * 8 - self.shift - self.bits)
        return value & ((1 << self.bits) - 1)

    def _framed(self, value: int) -> bytes:
        """A bzip2 stream that has only this block. The checksum of the stream is that of the block."""
        bits = self.bits
        if not self.cut:
            value = value << _END | END_MAGIC << 32 | (value >> (bits - _END)) & 0xFFFFFFFF
            bits += _END
        padding = -bits % 8
        return b"BZh9" + (value << padding).to_bytes((bits + padding) // 8, "big")

    def _despite_checksum(self, value: int) -> _BlockResult:
        """The octets of a block with a wrong checksum; none if they can't be decompressed.

        libbz2 gives all octets but the last one before it compares the checksum. To get the last one too, the block is
        decompressed again from another origin: the data is a rotation (Burrows-Wheeler), and the origin is a number of
        24 bits behind the checksum and one more bit. Then the last octet comes earlier.
        """
        octets = _all_but_last(self._framed(value))
        found = _BlockResult(None)
        tail = octets[-min(1000, len(octets) // 2) :]
        for origin in (1, 2, 3) if tail else ():
            turned = _all_but_last(self._framed(value ^ origin << (self.bits - 48 - 32 - 25)))
            at = turned.find(tail) + len(tail)
            if len(tail) <= at < len(turned):
                whole = octets + turned[at : at + 1]
                found = _BlockResult(whole, checksum=_checksum(whole))
                if self.is_near(found):
                    break
        return found

    def is_near(self, result: _BlockResult) -> bool:
        """Whether the checksum in the block is probably damaged, and not the data."""
        return result.checksum is not None and (result.checksum ^ self.checksum).bit_count() <= _SPOILT_BITS


def _all_but_last(framed: bytes) -> bytes:
    """All that libbz2 gives of a stream of one block before it compares the checksum; b"" if that is more than
    _FIRST."""
    octets, size = b"", 0
    for step in (1 << 16, 1 << 8, 1):
        stream = bz2.BZ2Decompressor()
        try:
            octets = stream.decompress(framed, size) if size else b""
            while size < _FIRST:
                octets += stream.decompress(b"" if octets else framed, step)
                size = len(octets)
            return b""
        except (OSError, ValueError):
            pass
    return octets


def _checksum(octets: bytes) -> int:
    """The CRC of bzip2. It is the CRC-32 of zlib with the bits of each octet, and those of the result, reversed."""
    return int(f"{zlib.crc32(octets.translate(_REVERSED)):032b}"[::-1], 2)


def decompress_bzip2(
    chunks: Iterable[bytes], on_damage: OnDamage, workers: int = 0, abreast: int = 1
) -> Iterator[bytes]:
    """Decompresses a bzip2 stream, or several one after the other. workers: threads, 0 for one for each core. abreast:
    how many calls share the cores."""
    workers = workers or max(1, _cores() // abreast)
    pool = thread_pool("bzip2", workers)
    waiting: deque[tuple[_CompressedBlock, Future[_BlockResult]]] = deque()
    totals = _Totals(on_damage)
    try:
        for block in _blocks(chunks, on_damage):
            waiting.append((block, pool.submit(block.decompress)))
            while len(waiting) > workers + 1:
                yield from _next(waiting, totals, on_damage)
        while waiting:
            yield from _next(waiting, totals, on_damage)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    """The number of threads to use: at most 8, because each holds up to 8 MB."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 8)
    return min(os.cpu_count() or 1, 8)


class _Totals:
    """The checksum of a stream, which is computed from the checksums of its blocks."""

    def __init__(self, on_damage: OnDamage) -> None:
        self._on_damage = on_damage
        self._total = 0
        self._known = True

    def fits(self, block: _CompressedBlock, result: _BlockResult) -> bool:
        """Whether the checksum of the stream shows that the octets of its last block are right."""
        return self._known and result.checksum is not None and self._with(result.checksum) == block.total

    def add(self, block: _CompressedBlock, checksum: int) -> None:
        self._total = self._with(checksum)
        if block.total is not None:
            if self._known and self._total != block.total:
                self._on_damage("wrong checksum of a bzip2 stream; its data is used all the same")
            self._total, self._known = 0, True

    def miss(self, block: _CompressedBlock) -> None:
        """A block is damaged, so the checksum of its stream can't be computed."""
        self._known = block.total is not None
        self._total = 0

    def _with(self, checksum: int) -> int:
        return ((self._total << 1 | self._total >> 31) & 0xFFFFFFFF) ^ checksum


def _next(
    waiting: deque[tuple[_CompressedBlock, Future[_BlockResult]]], totals: _Totals, on_damage: OnDamage
) -> Iterator[bytes]:
    """The octets of the first of the waiting blocks."""
    block, future = waiting.popleft()
    result = future.result()
    if (result.octets is None or result.checksum is not None) and waiting:
        joined = block.join(waiting[0][0])
        again = joined.decompress(recover=False)
        if again.octets is not None:
            waiting.popleft()
            block, result = joined, again
    if result.checksum is not None:
        if totals.fits(block, result) or block.is_near(result):
            on_damage("wrong checksum of a block of the bzip2 data; the block is used all the same")
        else:
            result = _BlockResult(None)
    if result.octets:
        yield result.octets
    if result.more is not None and not (yield from _more(result.more)):
        result = _BlockResult(None)
    if result.octets is not None:
        if not block.cut:
            totals.add(block, block.checksum if result.checksum is None else result.checksum)
    else:
        totals.miss(block)
        if not block.cut:
            on_damage("a block of the bzip2 data is damaged")
    if block.cut:
        on_damage("bzip2 data is cut short")


def _more(stream: bz2.BZ2Decompressor) -> Generator[bytes, None, bool]:
    """The rest of a block of more than _FIRST octets. Returns whether its checksum is right."""
    try:
        while not stream.eof and not stream.needs_input:
            if octets := stream.decompress(b"", CHUNK):
                yield octets
    except (OSError, ValueError):
        return False
    return True


def _blocks(chunks: Iterable[bytes], on_damage: OnDamage) -> Iterator[_CompressedBlock]:
    """The blocks in the input. Each is given as soon as the start of the next one is found."""
    data = b""
    start = seen = -1  # bits of `data` at which the current block starts, and the last magic number was found
    scanned = 0
    begun = False
    for chunk in chunks:
        data += chunk
        for place in _magics(data, scanned):
            if place <= seen:
                continue
            if start >= 0:
                yield _cut(data, start, place)
            elif not begun and not (data.startswith(b"BZh") and data[max(0, place // 8 - 4) :].startswith(b"BZh")):
                on_damage("octets that are not bzip2 data")
            begun, start, seen = True, place, place
        if start >= 0 and len(data) - start // 8 > _MAX_BLOCK:
            mark = min(_magics(data, start // 8, END_MAGIC), default=-1)
            if mark > start:
                yield _last(data, start, mark)  # what follows is long padding, or something else
                if data[(mark + _END + 7) // 8 :].strip(b"\0"):
                    on_damage("octets that are not bzip2 data")
            else:
                on_damage("a block of the bzip2 data is damaged")
            start = -1
        keep = start // 8 if start >= 0 else max(0, len(data) - (64 if begun else _MAX_BLOCK))
        data = data[keep:]
        start, seen = max(-1, start - keep * 8), seen - keep * 8
        scanned = max(0, len(data) - 7)
    end = len(data) * 8
    mark = _end_mark(data, end)
    if start >= 0:
        if mark <= start:
            # Something may follow the end mark; or else the stream is cut short.
            mark = min(_magics(data, start // 8, END_MAGIC), default=-1)
        if mark > start:
            yield _last(data, start, _before_headers(data, start, mark))
        else:
            yield _piece(data, start, end)._replace(cut=True)
        if mark > start and mark + _END > end:
            on_damage("bzip2 data is cut short")
        elif mark > start and data[(mark + _END + 7) // 8 :].strip(b"\0"):
            on_damage("octets that are not bzip2 data")
    elif not begun and not (data.startswith(b"BZh") and _only_empty_streams(data)):
        on_damage("bzip2 data is cut short" if b"BZh9".startswith(data[:3]) else "octets that are not bzip2 data")


def _only_empty_streams(data: bytes) -> bool:
    return _before_headers(data, 0, _padded_end_mark(data, 0, len(data))) == 32


def _magics(data: bytes, start: int, magic: int = BLOCK_MAGIC) -> list[int]:
    """The bits at which the magic number occurs, from octet `start` on."""
    places = []
    for shift in range(8):
        pattern = (magic << 8) >> shift
        core = pattern.to_bytes(7, "big")[1:6]
        at = data.find(core, start + 1)
        while at >= 0:
            last = int.from_bytes(data[at - 1 : at + 6].ljust(7, b"\0"), "big")
            if (last >> (8 - shift)) & _MASK == magic and at * 8 + shift + 40 <= len(data) * 8:
                places.append(at * 8 - 8 + shift)
            at = data.find(core, at + 1)
    return sorted(places)


def _cut(data: bytes, start: int, stop: int) -> _CompressedBlock:
    """The block between two bits. If a new stream begins behind it, end mark, padding and header are left out."""
    mark = _before_headers(data, start, stop)
    return _last(data, start, mark) if mark < stop else _piece(data, start, stop)


def _before_headers(data: bytes, start: int, stop: int) -> int:
    """The bit of the end mark, if a stream header ends at bit `stop`, with or without empty streams before it; else
    `stop`."""
    while stop % 8 == 0 and data[max(0, stop // 8 - 4) : stop // 8 - 1] == b"BZh":
        mark = _padded_end_mark(data, start, stop // 8 - 4)
        if mark <= start:
            break
        stop = mark
    return stop


def _last(data: bytes, start: int, mark: int) -> _CompressedBlock:
    """The last block of a stream. mark: the bit at which the end mark starts."""
    after = (mark + _END + 7) // 8
    value = int.from_bytes(data[mark // 8 : after], "big") >> (after * 8 - mark - _END)
    total = value & 0xFFFFFFFF if after <= len(data) else None
    return _piece(data, start, mark)._replace(total=total)


def _piece(data: bytes, start: int, stop: int) -> _CompressedBlock:
    return _CompressedBlock(data[start // 8 : (stop + 7) // 8], start % 8, stop - start)


def _padded_end_mark(data: bytes, start: int, stop: int) -> int:
    """The bit at which the end mark before octet `stop` starts, with or without zeros between; -1 if there is none."""
    mark = _end_mark(data, stop * 8)
    if mark < 0 and not data[stop - 1]:
        solid = len(data[start // 8 : stop].rstrip(b"\0")) + start // 8
        # the checksum in the end mark may itself end with zeros
        mark = max(_end_mark(data, octet * 8) for octet in range(solid, min(solid + 6, stop) + 1))
    return mark


def _end_mark(data: bytes, stop: int) -> int:
    """The bit at which the end mark starts, if one ends, with its padding, at bit `stop`; else -1."""
    if stop % 8 or stop < _END:
        return -1
    last = int.from_bytes(data[max(0, stop // 8 - 11) : stop // 8], "big")
    for padding in range(8):
        if (last >> (padding + 32)) & _MASK == END_MAGIC:
            return stop - padding - _END
    return -1
