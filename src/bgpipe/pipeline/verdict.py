"""Verdicts: whether a message is malformed (wire/validation.py). It is found once, and stored in the message or in the
index of its block.

Messages are validated before the first stage that decodes, so that all messages that reach it are counted.
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
        """on_malformed: called with a message, its first error, and the texts of its other errors."""
        self._on_malformed = on_malformed
        self._told: dict[tuple[str, int], None] = {}
        """direction and number of the messages reported last, the oldest first"""

    def mark(self, block: Block) -> tuple[Block, list[int]]:
        """Marks the messages of a block that are certainly well-formed. Returns the block, and the positions of the
        others.

        The block has a copy of the index, because other stages may have the same block.
        """
        index = bytearray(block.index)
        if _check is not None:
            unknown = _check(block.octets, index)
        else:
            unknown = [at for at, flags in enumerate(FLAGS.of(index)) if not flags & FLAG_CHECKED]
        return block.with_index(index), unknown

    def judge_block(self, block: Block, unknown: list[int], returned: bool) -> None:
        """Validates the messages that `mark` has not marked. returned: as in `judge`."""
        flags = FLAGS.of(block.index)
        for position in unknown:
            message = block.message(position)
            self.judge(message, returned)
            flags[position] |= message.verdict

    def judge(self, message: Message, returned: bool = False) -> None:
        """Validates a message. returned: it comes from a program that may send back a message that was reported
        before."""
        message.verdict |= FLAG_CHECKED
        # before both OPENs are known, the context is only assumed
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
