"""Callbacks: what a stage registers for the messages and blocks on its lines."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ..wire.block import Block
from ..wire.item import Item
from ..wire.message import Message
from .rate import TokenBucket

if TYPE_CHECKING:
    from ..filters import Filter
    from .stage_base import StageBase

OnMessage = Callable[[Message], "bool | list[Message] | None"]
OnBlock = Callable[[Block], "Block | list[Item] | None"]
"""What a stage registers; see Stage.watch."""


class Callback:
    """A callback of a stage for messages; see Stage.watch."""

    __slots__ = (
        "bucket",
        "conditions",
        "decodes",
        "ending",
        "late",
        "on_block",
        "on_message",
        "on_unchecked",
        "passive",
        "samples",
        "selects",
        "stage",
        "types",
    )

    def __init__(
        self,
        stage: StageBase,
        on_message: OnMessage,
        on_block: OnBlock | None,
        types: Collection[int] | None,
        passive: bool,
        decodes: bool,
        selects: bool,
    ) -> None:
        self.stage = stage
        self.on_message = on_message
        self.on_block = on_block
        self.on_unchecked: Callable[[Block], Block | None] | None = None
        """the same as on_block for a block that was not validated: it returns the messages that pass, marked as
        well-formed; or None, without effect, if one of them may be malformed"""
        self.late = False
        """whether the stage can get messages and blocks that were not validated: it has them judged itself"""
        self.types = frozenset(types) if types is not None else None
        self.passive = passive
        self.decodes = decodes
        self.selects = selects
        self.conditions: list[Filter] = []
        self.bucket: TokenBucket | None = None
        self.samples = False
        self.ending: list[Callback] = []
        """callbacks further on the line whose stages may end the input while this callback works on a block"""

    def shut(self) -> None:
        """From now on, drops every message, whatever its type, and whether or not it matches --if."""
        self.conditions, self.types, self.bucket = [], None, None
        self.passive = False
        self.on_message = lambda message: False
        self.on_block = lambda block: None
        self.on_unchecked = None

    def prepare(self, conditions: list[Filter], clock: Callable[[], float]) -> None:
        """Called once, when the options are known."""
        self.conditions = conditions
        self.samples = self.stage.rate_sample > 0
        if rate := self.stage.rate_sample or self.stage.rate_limit:
            self.bucket = TokenBucket(rate, clock)
        # --if, types and a rate choose single messages, so blocks are opened, unless the callback can do with a part
        chooses = bool(conditions) or self.types is not None
        if chooses and (self.bucket or not (self.passive or self.selects)):
            self.on_block = self.on_unchecked = None
        elif self.passive and self.on_block and self.types is not None:
            self.conditions = [*conditions, type_filter(self.types)]

    def pass_block(self, block: Block) -> Block | list[Item] | None:
        """Gives a block to the callback, which must have on_block. Returns what is left of the block."""
        assert self.on_block is not None
        if not self.passive:
            return self.on_block(block)
        part = block
        for condition in self.conditions:
            part = condition.select(part, True)
        if len(part):
            self.on_block(part)
        return block


def type_filter(types: Collection[int]) -> Filter:
    """A filter for messages of these types. It is for blocks, which hold only BGP messages and no state changes."""
    from ..filters import compile_filter

    wanted = {code for code in types if code < 256}
    others = set(range(256)) - wanted
    if len(wanted) < len(others):
        return compile_filter(" || ".join(f"type == {code}" for code in sorted(wanted)) or "type == 0 && type == 1")
    return compile_filter(" && ".join(f"type != {code}" for code in sorted(others)) or "type == 0 || type != 0")
