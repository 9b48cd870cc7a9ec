"""What travels through a pipeline: a message, or a block of messages."""

from __future__ import annotations

from collections.abc import Iterable

from .block import Block
from .message import Message

Item = Message | Block


def count(items: Iterable[Item]) -> int:
    """How many messages these are, those in blocks included."""
    return sum(1 if isinstance(item, Message) else len(item) for item in items)
