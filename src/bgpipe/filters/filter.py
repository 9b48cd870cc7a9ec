"""A compiled filter: a judge of messages, and a sieve of blocks."""

from __future__ import annotations

from typing import Any

from .. import accel
from ..wire.block import Block
from ..wire.message import UPDATE, Message
from .fields import bind
from .logic import closure, reduce
from .program import make_program
from .syntax import parse

_select: Any = getattr(accel, "select", None)


class Filter:
    """What `compile_filter` gives.

    text: the filter as it was written. program: what it is for accel (see program.py); None if Python does it all.
    """

    __slots__ = ("_others", "_updates", "program", "text")

    def __init__(self, text: str) -> None:
        node = parse(text, bind)
        updates, others = reduce(node, updates=True), reduce(node, updates=False)
        self.text = text
        self.program = make_program(updates, others)
        self._updates = closure(updates)
        self._others = closure(others)

    def __call__(self, message: Message) -> bool:
        """Whether the message matches. Never raises, whatever its octets."""
        return bool(self._updates(message) if message.type_code == UPDATE else self._others(message))

    def select(self, block: Block, keep: bool = True) -> Block:
        """The messages of the block that match, or (not keep) that don't, in their order, on the same octets."""
        if _select is None or self.program is None:
            index, undecided = bytearray(block.index), list(range(len(block)))
        else:
            index, undecided = _select.select(block.octets, block.index, self.program, keep)
        selected = Block(block.octets, index)
        wrong = [position for position in undecided if self(selected.message(position)) != keep]
        return selected.without(wrong) if wrong else selected

    def __repr__(self) -> str:
        return f"<Filter {self.text!r}>"


def compile_filter(text: str) -> Filter:
    """The filter that `text` says. Raises FilterError."""
    return Filter(text)
