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
"""Octets that are given to a partner together, about."""
SHORT: Final = 30
"""Octets of the longest UPDATE that may be an End-of-RIB (RFC 4724 section 2)."""


class SendQueue:
    """Octets in their order, and what they were made of. They stay here until the partner has taken them: those that
    it has been given and has not read, such as what lies in a pipe, are not lost with it.

    size: octets in all. weight: octets of memory for them and for what they were made of.
    """

    def __init__(self) -> None:
        self.size = 0
        self.weight = 0
        self._entries: deque[tuple[bytes, Item | None, int]] = deque()
        """octets, what they were made of if that is of use, and how many messages that was"""
        self._given = 0
        """entries that the partner has been given"""
        self._gone = 0
        """octets that this partner has taken, in whole entries"""
        self._before = 0
        """octets that those before it have taken, in whole entries"""
        self._partial = 0
        """octets that this partner has taken of the first entry"""

    @property
    def taken(self) -> int:
        """Octets that partners have taken so far; of an entry in part only as long as its partner is there."""
        return self._before + self._gone + self._partial

    def __len__(self) -> int:
        """Entries that are still to be given."""
        return len(self._entries) - self._given

    @property
    def messages(self) -> int:
        """How many messages no partner has taken."""
        return sum(messages for _, _, messages in self._entries)

    def put(self, octets: bytes, item: Item, *, keep: bool = True) -> None:
        """keep: whether the item is of use if no partner takes the octets."""
        kept = compact(item) if keep else None
        self._entries.append((octets, kept, count((item,))))
        self._weigh(octets, kept, 1)

    def _weigh(self, octets: bytes, item: Item | None, sign: int) -> None:
        """An entry has come or (sign is -1) gone."""
        self.size += sign * len(octets)
        self.weight += sign * (len(octets) + (weigh(item) if item is not None else 0))

    def give(self, most: int | None) -> bytes:
        """The octets to be given next, of at most so many entries."""
        parts, size = [], 0
        for octets, _, _ in islice(self._entries, self._given, None if most is None else self._given + most):
            parts.append(octets)
            size += len(octets)
            if size >= PIECE:
                break
        self._given += len(parts)
        return b"".join(parts)

    def confirm(self, taken: int) -> None:
        """This partner has taken so many octets in all."""
        while self._given and self._gone + len(self._entries[0][0]) <= taken:
            octets, item, _ = self._entries.popleft()
            self._given -= 1
            self._gone += len(octets)
            self._weigh(octets, item, -1)
        self._partial = max(0, taken - self._gone) if self._given else 0

    def put_first(self, octets: bytes, item: Item) -> None:
        """Before all others, when no partner has been given any of them."""
        self._entries.appendleft((octets, item, count((item,))))
        self._weigh(octets, item, 1)

    def holds(self, item: Item) -> bool:
        return any(each is item for _, each, _ in self._entries)

    def begin(self) -> None:
        """There is another partner, who is given all that the one before has not taken."""
        self._before += self._gone
        self._given = self._gone = self._partial = 0

    def clear(self) -> list[Item]:
        """Takes all away that no partner has taken; what it was made of."""
        items = [item for _, item, _ in self._entries if item is not None]
        self._gone += sum(len(octets) for octets, _, _ in islice(self._entries, self._given))
        self._entries, self._given, self._partial, self.size, self.weight = deque(), 0, 0, 0, 0
        return items


def single_out(item: Item) -> Iterator[Item]:
    """Of a block, what is no UPDATE or may be an End-of-RIB comes as a message: events of a session come of these."""
    if isinstance(item, Message):
        yield item
        return
    octets = item.octets
    alone = [
        position
        for position, (length, offset) in enumerate(
            zip(LENGTH.of(item.index).tolist(), OFFSET.of(item.index).tolist(), strict=True)
        )
        if length <= SHORT or octets[offset + HEADER - 1] != UPDATE
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
    """The messages of a block but those taken of it, None if that leaves none."""
    if len(taken) == len(block):
        return None
    offsets = set(OFFSET.of(taken.index))
    return block.without(at for at, offset in enumerate(OFFSET.of(block.index)) if offset in offsets)
