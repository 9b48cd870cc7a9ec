"""A line: one direction of a pipeline."""

from __future__ import annotations

from collections.abc import Callable

from ..wire.item import Item
from .callback import Callback


class Line:
    """One direction. Messages enter it at its inputs, pass the callbacks of the stages, and leave it at the end."""

    def __init__(self, direction: str) -> None:
        self.direction = direction
        self.next_seq = 1
        self.callbacks: list[Callback] = []
        """in the order in which messages meet them"""
        self.outputs: list[Callable[[Item], None]] = []
        """called with each item that leaves the line; without any, the item is dropped"""
        self.entered = 0
        self.left = 0
        """the number of messages that have entered and left the line so far"""
