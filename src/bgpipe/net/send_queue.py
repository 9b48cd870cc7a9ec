"""What waits for a partner, and parts of blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from ..wire.block import LENGTH, OFFSET, Block
from ..wire.item import Item
from ..wire.message import Message

PIECE: Final = 1 << 18
"""Octets that are given to a partner together, about."""
SHORT: Final = 30
"""Octets of the longest UPDATE that may be an End-of-RIB (RFC 4724 section 2)."""


class SendQueue:
    """Octets in their order, and what they were made of.

    size: octets in all.
    """

    def __init__(self) -> None:
        self.size = 0
        self._entries: deque[tuple[bytes, Item | None]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, octets: bytes, item: Item | None) -> None:
        self._entries.append((octets, item))
        self.size += len(octets)

    def first(self, most: int | None) -> tuple[int, bytes]:
        """Of how many entries, at most so many, come the octets to be given next; they stay here until `drop`."""
        count = size = 0
        for octets, _ in islice(self._entries, most):
            count, size = count + 1, size + len(octets)
            if size >= PIECE:
                break
        return count, b"".join(octets for octets, _ in islice(self._entries, count))

    def drop(self, count: int) -> None:
        """So many entries are taken."""
        for _ in range(count):
            self.size -= len(self._entries.popleft()[0])

    def clear(self) -> list[Item]:
        """Takes all away; what they were made of."""
        entries, self._entries, self.size = self._entries, deque(), 0
        return [item for _, item in entries if item is not None]


def single_out(item: Item) -> Iterator[Item]:
    """Of a block, what is no UPDATE or may be an End-of-RIB comes as a message: events of a session come of these."""
    if isinstance(item, Message):
        yield item
        return
    lengths = LENGTH.of(item.index).tolist()
    start = 0
    for position, length in enumerate(lengths) if min(lengths) <= SHORT else ():
        if length <= SHORT:
            if position > start:
                yield item.part(start, position)
            yield item.message(position)
            start = position + 1
    if start < len(item):
        yield item if not start else item.part(start, len(item))


def rest(block: Block, taken: Block) -> Block | None:
    """The messages of a block but those taken of it, None if that leaves none."""
    if len(taken) == len(block):
        return None
    offsets = set(OFFSET.of(taken.index))
    return block.without(at for at, offset in enumerate(OFFSET.of(block.index)) if offset in offsets)
