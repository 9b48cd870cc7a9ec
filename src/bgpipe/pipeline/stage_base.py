"""What the lines use of a stage: its place, whether its callbacks are called, and the options that all stages have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from .lifecycle import StageKind
from .options import FLAG, LIST, NUMBER, Option, Options

if TYPE_CHECKING:
    from ..filters import Filter
    from ..wire.block import Block


class StageBase(Options):
    """A stage as callbacks, inputs and lines see it. Stage (stage.py) adds what it does."""

    produces: ClassVar[bool] = False
    observable: bool = True
    """whether its work can be seen from outside: it writes, counts, keeps state, or emits events"""
    ends_input: ClassVar[bool] = False
    """whether it may end the input of the pipeline, as `head` does"""

    left = Option(FLAG, False, "work on messages that travel to the left", short="L")
    right = Option(FLAG, False, "work on messages that travel to the right", short="R")
    take_all = Option(FLAG, False, "take all words up to the next -- as arguments", short="A", name="args")
    wait_for = Option(LIST, (), "start on any of these events", short="W", name="wait", metavar="EVENTS")
    stop_on = Option(LIST, (), "stop on any of these events", short="S", name="stop", metavar="EVENTS")
    rate_limit = Option(NUMBER, 0.0, "let at most F messages a second through; the others wait")
    rate_sample = Option(
        NUMBER, 0.0, "work on at most F messages a second; the others pass by, or are dropped if this stage makes them"
    )

    def __init__(self, name: str = "", arguments: Sequence[str] = ()) -> None:
        super().__init__()
        self.name = name
        self.command = name
        """the word for stages of its class"""
        self.arguments = list(arguments)
        self.index = 0
        self.hidden = False
        self.is_last = False
        self.directions = ""
        self.watched = ""
        """directions in which its callbacks are called"""
        self.running = False
        self.is_shut = False
        self.drops: Counter[str] = Counter()
        """messages that ended here, by reason: dropped, taken (by a stage that makes messages itself), of, rate, ..."""
        self.drop_reason = "dropped"
        """the reason of messages that its callbacks do not let pass: dropped or taken"""

    def __str__(self) -> str:
        return self.name if self.hidden else f"[{self.index}] {self.name}"

    @property
    def kind(self) -> StageKind:
        """Which part the stage has in the end of the pipeline: see pipeline.lifecycle."""
        return StageKind.SOURCE if self.produces else StageKind.PASSIVE

    def opens(self, block: Block) -> bool:
        """Whether the callback must get the messages of this block one by one, although the stage has `on_block`."""
        return False

    # where its options mean something to the lines

    def conditions(self) -> list[Filter]:
        """The filters of --if: callbacks get only messages that match all of them."""
        return []

    def output_conditions(self) -> list[Filter]:
        """The filters of --of: messages that the stage makes are dropped unless they match all of them."""
        return []

    def target(self) -> str:
        """The value of --new: where messages of the stage enter the line."""
        return "next"
