"""A compiled filter: it tells whether a message matches, selects messages of a block, and narrows UPDATEs to routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import accel
from ..wire.block import Block
from ..wire.message import UPDATE, Message
from .fields import bind
from .logic import closure, reduce
from .of_tags import answer_tags
from .program import make_program
from .syntax import parse

_select: Any = getattr(accel, "select", None)


class Filter:
    """A compiled filter. Call it with a Message: it returns whether the message matches, and never raises.

    text: the filter as it was written. program: the filter for accel (see program.py); None if Python decides alone.
    """

    __slots__ = ("_others", "_tag_tests", "_updates", "program", "text")

    def __init__(self, text: str) -> None:
        node = parse(text, bind)
        updates, others = reduce(node, updates=True), reduce(node, updates=False)
        self.text = text
        self.program, self._tag_tests = make_program(updates, others)
        self._updates = closure(updates)
        self._others = closure(others)

    def __call__(self, message: Message) -> bool:
        """Whether the message matches. Never raises, whatever its octets."""
        return bool(self._updates(message) if message.type_code == UPDATE else self._others(message))

    def select(self, block: Block, keep: bool = True) -> Block:
        """A block of the messages that match; with keep=False, of those that don't. Order and octets stay the same."""
        if _select is None or self.program is None:
            index, undecided = bytearray(block.index), list(range(len(block)))
        else:
            index, undecided = self._run(block, keep, False)
        return self._decide(block.with_index(index), undecided, keep)

    def select_checked(self, block: Block, keep: bool = True) -> Block | None:
        """As `select`, and each message that is left is marked as well-formed (FLAG_CHECKED).

        None if a message of the block may be malformed, whether it matches or not: then the block must be validated
        first.
        """
        if _select is None or self.program is None:
            return None
        found = self._run(block, keep, True)
        return self._decide(block.with_index(found[0]), found[1], keep) if found is not None else None

    def _run(self, block: Block, keep: bool, check: bool) -> Any:
        """The selection that accel makes."""
        answers = answer_tags(block, self._tag_tests) if self._tag_tests else b""
        return _select.select(block.octets, block.index, self.program, keep, check, answers)

    def _decide(self, selected: Block, undecided: list[int], keep: bool) -> Block:
        """A selection without the messages at these positions that don't belong to it."""
        wrong = [position for position in undecided if self(selected.message(position)) != keep]
        return selected.without(wrong) if wrong else selected

    def narrow(self, block: Block, keep: bool = True) -> Block:
        """The block with only the routes that match; with keep=False, only those that don't. See `narrow_message`.

        UPDATEs that lose routes get octets of their own, all others keep theirs.
        """
        undecided: Iterable[int]
        if _select is None or self.program is None:
            narrowed, undecided = block, range(len(block))
        else:
            octets, index, undecided = _select.narrow(block.octets, block.index, self.program, keep)
            narrowed = Block(octets, index, block.tags)
        bodies = {}
        for position in undecided:
            message = narrowed.message(position)
            body = self.narrow_message(message, keep)
            if body is not message.body:
                bodies[position] = body
        return narrowed.edited(bodies) if bodies else narrowed

    def narrow_message(self, message: Message, keep: bool = True) -> bytes | None:
        """The body of the message with only the routes that match; with keep=False, only those that don't. None if
        none is left.

        The filter decides about each route of an UPDATE as if it were alone in it (wire/narrow.py). A message without
        routes matches as a whole or not. If no route is removed, the result is the body object of the message.
        """
        if message.type_code != UPDATE:
            return message.body if self(message) == keep else None
        from ..wire.narrow import narrow
        from ..wire.update import Update

        context = message.context
        alone = Message(
            UPDATE,
            direction=message.direction,
            seq=message.seq,
            time=message.time,
            context=context,
            tags=message.tags if message.peer is None else None,
            peer=message.peer,
        )

        def wanted(body: bytes) -> bool:
            alone.update = Update(body, context)
            return self(alone) == keep

        return narrow(message.update, wanted)

    def __repr__(self) -> str:
        return f"<Filter {self.text!r}>"


def compile_filter(text: str) -> Filter:
    """Compiles a filter. Raises FilterError, which says where the text is wrong."""
    return Filter(text)
