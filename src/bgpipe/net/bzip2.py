"""bzip2 on all cores, and past damage.

A bzip2 stream is a header of 4 octets, blocks that start at any bit with a magic number of 48 bits, and an end mark.
Each block decompresses by itself once it has a stream of its own around it. So the blocks are found, and threads
decompress them side by side (libbz2 runs without the GIL). One that is damaged is left out, as bzip2recover does.
"""

from __future__ import annotations

import bz2
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

BLOCK_MAGIC: Final = 0x314159265359
END_MAGIC: Final = 0x177245385090
_MASK: Final = (1 << 48) - 1
_END: Final = 48 + 32
"""Bits of the end mark: its magic, and a checksum of the stream."""
_MAX_BLOCK: Final = 2_000_000
"""Compressed octets that are kept while no block starts: one block has 900,000, and some more if they don't shrink."""
_SHIFTS: Final = [((BLOCK_MAGIC << 8) >> shift).to_bytes(7, "big")[1:6] for shift in range(8)]
"""The five octets in the middle of a block's magic, as they are when it starts 0 to 7 bits into an octet."""


class _Block(NamedTuple):
    """Compressed octets, of which `bits` from bit `shift` on are one block. cut: the stream ends in or behind it."""

    octets: bytes
    shift: int
    bits: int
    cut: bool = False

    def join(self, other: _Block) -> _Block:
        """Both as one, for a magic number may also come about by chance."""
        shared = 1 if other.shift else 0
        octets = self.octets[: len(self.octets) - shared] + other.octets
        return _Block(octets, self.shift, self.bits + other.bits, other.cut)

    def decompress(self) -> bytes | None:
        """None if it is damaged."""
        bits = self.bits
        value = int.from_bytes(self.octets, "big") >> (len(self.octets) * 8 - self.shift - bits) & ((1 << bits) - 1)
        if not self.cut:
            # The checksum of a stream of one block is that of the block, which follows its magic.
            value = value << _END | END_MAGIC << 32 | (value >> (bits - _END)) & 0xFFFFFFFF
            bits += _END
        padding = -bits % 8
        stream = bz2.BZ2Decompressor()
        try:
            octets = stream.decompress(b"BZh9" + (value << padding).to_bytes((bits + padding) // 8, "big"))
        except (OSError, ValueError):
            return None
        return octets if stream.eof or (self.cut and octets) else None


def decompress_bzip2(chunks: Iterable[bytes], on_damage: Callable[[str], None], workers: int = 0) -> Iterator[bytes]:
    """The octets of a bzip2 stream, or of several one after the other; workers: threads, 0 for one per core."""
    workers = workers or _cores()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bzip2")
    waiting: deque[tuple[_Block, Future[bytes | None]]] = deque()
    try:
        for block in _blocks(chunks, on_damage):
            waiting.append((block, pool.submit(block.decompress)))
            while len(waiting) > workers + 1:
                yield from _next(waiting, on_damage)
        while waiting:
            yield from _next(waiting, on_damage)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 16)
    return min(os.cpu_count() or 1, 16)


def _next(waiting: deque[tuple[_Block, Future[bytes | None]]], on_damage: Callable[[str], None]) -> Iterator[bytes]:
    """What the first of the waiting blocks holds."""
    block, future = waiting.popleft()
    octets = future.result()
    if octets is None and waiting:
        octets = block.join(waiting[0][0]).decompress()
        if octets is not None:
            waiting.popleft()
    if octets is None and not block.cut:
        on_damage("a block of the bzip2 data is damaged")
    if octets:
        yield octets
    if block.cut:
        on_damage("bzip2 data is cut short")


def _blocks(chunks: Iterable[bytes], on_damage: Callable[[str], None]) -> Iterator[_Block]:
    """The blocks of a stream, as soon as the next one starts."""
    data = b""
    start = seen = -1  # bits of `data` where the block at hand starts, and where the last magic number was found
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
        yield _cut(data, start, mark) if mark > start else _piece(data, start, end)._replace(cut=True)
        if mark > start and mark + _END > end:
            on_damage("bzip2 data is cut short")
        elif mark > start and (mark + _END + 7) // 8 < len(data):
            on_damage("octets that are not bzip2 data")
    elif not begun and not (mark == 32 and data.startswith(b"BZh")):
        on_damage("bzip2 data is cut short" if b"BZh9".startswith(data[:3]) else "octets that are not bzip2 data")


def _magics(data: bytes, start: int, magic: int = BLOCK_MAGIC) -> list[int]:
    """The bits at which the magic number is, from octet `start` on."""
    places = []
    for shift in range(8):
        pattern = (magic << 8) >> shift
        core = pattern.to_bytes(7, "big")[1:6]
        at = data.find(core, start + 1)
        while at >= 0:
            server = int.from_bytes(data[at - 1 : at + 6].ljust(7, b"\0"), "big")
            if (server >> (8 - shift)) & _MASK == magic and at * 8 + shift + 40 <= len(data) * 8:
                places.append(at * 8 - 8 + shift)
            at = data.find(core, at + 1)
    return sorted(places)


def _cut(data: bytes, start: int, stop: int) -> _Block:
    """The block between two bits, without the end mark and the header of the next stream if these are at its end."""
    while stop % 8 == 0 and data[max(0, stop // 8 - 4) : stop // 8 - 1] == b"BZh":
        mark = _end_mark(data, stop - 32)
        if mark <= start:
            break
        stop = mark
    return _piece(data, start, stop)


def _piece(data: bytes, start: int, stop: int) -> _Block:
    return _Block(data[start // 8 : (stop + 7) // 8], start % 8, stop - start)


def _end_mark(data: bytes, stop: int) -> int:
    """The bit at which the end mark starts that ends, with its padding, at bit `stop`; -1 if none does."""
    if stop % 8 or stop < _END:
        return -1
    server = int.from_bytes(data[max(0, stop // 8 - 11) : stop // 8], "big")
    for padding in range(8):
        if (server >> (padding + 32)) & _MASK == END_MAGIC:
            return stop - padding - _END
    return -1
