"""The queue of messages for another program, and parts of blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from ..wire.block import LENGTH, OFFSET, Block
from ..wire.item import Item, compact, count, weigh
from ..wire.message import HEADER, UPDATE, Message

PIECE: Final = 1 << 18
"""About so many octets are given to a partner at once."""
SHORT: Final = 30
"""Octets of the longest UPDATE that may be an End-of-RIB (RFC 4724 section 2)."""


class SendQueue:
    """Encoded octets in order, and the items that they were made of. An entry stays until the partner has taken it, so
    that octets that were given to it and not read, such as those in a pipe, are not lost with the partner.

    size: octets in all. weight: octets of memory for them and for what they were made of.
    """

    def __init__(self) -> None:
        self.size = 0
        self.weight = 0
        self._entries: deque[tuple[bytes, Item | None, int]] = deque()
        """octets, the item if it may be needed again, and its number of messages"""
        self._given = 0
        """entries that the partner has been given"""
        self._gone = 0
        """octets of whole entries that this partner has taken"""
        self._before = 0
        """octets of whole entries that earlier partners have taken"""
        self._partial = 0
        """octets that this partner has taken of the first entry"""

    @property
    def taken(self) -> int:
        """Octets that partners have taken so far. A part of an entry counts only as long as its partner is there."""
        return self._before + self._gone + self._partial

    def __len__(self) -> int:
        """The number of entries that were not given yet."""
        return len(self._entries) - self._given

    @property
    def messages(self) -> int:
        """The number of messages that no partner has taken."""
        return sum(messages for _, _, messages in self._entries)

    def put(self, octets: bytes, item: Item, *, keep: bool = True) -> None:
        """Adds an entry. keep: whether the item may be needed again, if no partner takes the octets."""
        kept = compact(item) if keep else None
        self._entries.append((octets, kept, count((item,))))
        self._weigh(octets, kept, 1)

    def _weigh(self, octets: bytes, item: Item | None, sign: int) -> None:
        """Adjusts the weight for an entry that was added, or with sign -1 removed."""
        self.size += sign * len(octets)
        self.weight += sign * (len(octets) + (weigh(item) if item is not None else 0))

    def give(self, most: int | None) -> bytes:
        """The octets to give next, of at most so many entries."""
        parts, size = [], 0
        for octets, _, _ in islice(self._entries, self._given, None if most is None else self._given + most):
            parts.append(octets)
            size += len(octets)
            if size >= PIECE:
                break
        self._given += len(parts)
        return b"".join(parts)

    def confirm(self, taken: int) -> None:
        """Called with the number of octets that this partner has taken in all."""
        while self._given and self._gone + len(self._entries[0][0]) <= taken:
            octets, item, _ = self._entries.popleft()
            self._given -= 1
            self._gone += len(octets)
            self._weigh(octets, item, -1)
        self._partial = max(0, taken - self._gone) if self._given else 0

    def put_first(self, octets: bytes, item: Item) -> None:
        """Puts an entry before all others, if none of them was given to a partner."""
        self._entries.appendleft((octets, item, count((item,))))
        self._weigh(octets, item, 1)

    def holds(self, item: Item) -> bool:
        return any(each is item for _, each, _ in self._entries)

    def begin(self) -> None:
        """Called with a new partner. It is given all that the one before has not taken."""
        self._before += self._gone
        self._given = self._gone = self._partial = 0

    def clear(self) -> list[Item]:
        """Removes all entries that no partner has taken. Returns their items."""
        items = [item for _, item, _ in self._entries if item is not None]
        self._gone += sum(len(octets) for octets, _, _ in islice(self._entries, self._given))
        self._entries, self._given, self._partial, self.size, self.weight = deque(), 0, 0, 0, 0
        return items


def single_out(item: Item) -> Iterator[Item]:
    """Splits a block: messages that are no UPDATE or may be an End-of-RIB come alone, because events of the session
    depend on them."""
    if isinstance(item, Message):
        yield item
        return
    octets = item.octets
    alone = [
        position
        for position, (length, offset) in enumerate(
            zip(LENGTH.of(item.index).tolist(), OFFSET.of(item.index).tolist(), strict=True)
        )
        if octets[offset + HEADER - 1] != UPDATE
        or (length <= SHORT and octets[offset + HEADER : offset + HEADER + 2] == b"\0\0")  # no withdrawn routes
    ]
    start = 0
    for position in alone:
        if position > start:
            yield item.part(start, position)
        yield item.message(position)
        start = position + 1
    if start < len(item):
        yield item if not start else item.part(start, len(item))


def rest(block: Block, taken: Block) -> Block | None:
    """The messages of a block that were not taken, None if all were."""
    if len(taken) == len(block):
        return None
    offsets = set(OFFSET.of(taken.index))
    return block.without(at for at, offset in enumerate(OFFSET.of(block.index)) if offset in offsets)
