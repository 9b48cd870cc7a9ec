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
        """what on_block does, for a block without verdicts: it leaves messages that are marked as well-formed, or
        returns None and has done nothing, as one may be malformed"""
        self.types = frozenset(types) if types is not None else None
        self.passive = passive
        self.decodes = decodes
        self.selects = selects
        self.conditions: list[Filter] = []
        self.bucket: TokenBucket | None = None
        self.samples = False
        self.ending: list[Callback] = []
        """further on the line: callbacks of stages that may end the input while a block is under way here"""

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
        # what one message at a time must decide can't be decided for a block; a stage that only copies sees a part
        chooses = bool(conditions) or self.types is not None
        if chooses and (self.bucket or not (self.passive or self.selects)):
            self.on_block = self.on_unchecked = None
        elif self.passive and self.on_block and self.types is not None:
            self.conditions = [*conditions, type_filter(self.types)]

    def pass_block(self, block: Block) -> Block | list[Item] | None:
        """The rest of a block after this callback, which can work on blocks."""
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
    """The filter that messages of these types match, for blocks, which hold nothing but messages of BGP."""
    from ..filters import compile_filter

    wanted = {code for code in types if code < 256}
    others = set(range(256)) - wanted
    if len(wanted) < len(others):
        return compile_filter(" || ".join(f"type == {code}" for code in sorted(wanted)) or "type == 0 && type == 1")
    return compile_filter(" && ".join(f"type != {code}" for code in sorted(others)) or "type == 0 || type != 0")
