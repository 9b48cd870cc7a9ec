"""Verdicts: whether a message is malformed (wire/validation.py). It is found once, and stored in the message or in the
index of its block.

A line asks before the first stage that decodes, so that all that reaches it is counted, whatever the stage then does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from .. import accel
from ..wire.block import FLAGS, Block
from ..wire.flags import FLAG_CHECKED, FLAG_MALFORMED, FLAG_TOLD
from ..wire.message import UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..wire.errors import WireError
    from ..wire.message import Message
    from ..wire.update import Update

MAX_RETURNING: Final = 16384
"""The number of malformed messages that are recognized when a program sends them back."""

_check: Any = accel.frame.check if accel.AVAILABLE else None


class Verdicts:
    """Finds the verdicts of messages, and emits the event PARSE once for each malformed message."""

    def __init__(self, on_malformed: Callable[..., None]) -> None:
        """on_malformed: called with a message, what is wrong with it, and texts of what else is."""
        self._on_malformed = on_malformed
        self._told: dict[tuple[str, int], None] = {}
        """direction and number of those told last, the oldest first"""

    def mark(self, block: Block) -> tuple[Block, list[int]]:
        """The block with a verdict on what is beyond doubt well-formed, and the positions of what has none yet.

        Its index is a copy: others may have seen the one that came.
        """
        index = bytearray(block.index)
        if _check is not None:
            unknown = _check(block.octets, index)
        else:
            unknown = [at for at, flags in enumerate(FLAGS.of(index)) if not flags & FLAG_CHECKED]
        return block.with_index(index), unknown

    def judge_block(self, block: Block, unknown: list[int], returned: bool) -> None:
        """Gives their verdict to the messages that `mark` left without one. returned: as in `judge`."""
        flags = FLAGS.of(block.index)
        for position in unknown:
            message = block.message(position)
            self.judge(message, returned)
            flags[position] |= message.verdict

    def judge(self, message: Message, returned: bool = False) -> None:
        """Gives a message its verdict. returned: it comes from a stage that had it before, and may have told of it."""
        message.verdict |= FLAG_CHECKED
        # what came before both OPENs can't be judged: nobody knows how it is to be read
        if message.type_code == UPDATE and not message.context.assumed and (errors := _malformed()(message.update)):
            message.verdict |= FLAG_MALFORMED
            if returned and (message.direction, message.seq) in self._told:
                message.verdict |= FLAG_TOLD
            self.tell(message, errors[0], *map(str, errors[1:]))

    def tell(self, message: Message, error: Exception, *more: str) -> None:
        """Reports a malformed message."""
        if message.verdict & FLAG_TOLD:
            return
        message.verdict |= FLAG_CHECKED | FLAG_MALFORMED | FLAG_TOLD
        if len(self._told) >= MAX_RETURNING:
            del self._told[next(iter(self._told))]
        self._told[message.direction, message.seq] = None
        self._on_malformed(message, error, *more)


@lru_cache(maxsize=1)
def _malformed() -> Callable[[Update], list[WireError]]:
    """Imports the check when the first UPDATE is judged, so that programs start faster."""
    from ..wire.validation import malformed

    return malformed
