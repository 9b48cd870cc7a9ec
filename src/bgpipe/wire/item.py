"""What travels through a pipeline: a message, or a block of messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .block import Block
from .message import Message

Item = Message | Block
MESSAGE_OVERHEAD: Final = 400
"""Octets of memory that a message takes beside its body, about."""


def weigh(item: Item) -> int:
    """Octets of memory that it takes, about."""
    return item.weight if isinstance(item, Block) else len(item.body) + MESSAGE_OVERHEAD


def compact(item: Item) -> Item:
    """The item as it should be kept for a while: a block without octets that its messages do not need
    (Block.compact)."""
    return item.compact() if isinstance(item, Block) else item


class Replacement(list[Item]):
    """What goes on in place of a block.

    dropped: of so many of its messages nothing is left.
    """

    def __init__(self, items: Iterable[Item], dropped: int) -> None:
        super().__init__(items)
        self.dropped = dropped


def count(items: Iterable[Item]) -> int:
    """How many messages these are, those in blocks included."""
    return sum(1 if isinstance(item, Message) else len(item) for item in items)
