"""The bypass of a stage: an input for messages that the stage took from the line but does not handle."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from ...pipeline.callback import Callback
from ...pipeline.input import Feed, Input
from ...pipeline.pipeline_base import PipelineBase
from ...pipeline.stage import Stage
from ...wire.item import Item, count
from ...wire.message import Message


class Bypass(Input):
    """An input directly behind the stage, in the directions that it watches. --new, --of and --rate-limit of the stage
    do not apply to it."""

    stage: Stage

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, session=False)
        self.own = False
        stage.add_input(self)
        self._items: deque[Item] = deque()
        self._feeding: Feed | None = None
        self.blocked = False
        """whether messages have to wait here, because messages that they must not overtake are still to come"""

    @property
    def directions(self) -> str:
        return self.stage.watched

    def connect(self, pipeline: PipelineBase[Any]) -> None:
        super().connect(pipeline)
        self.conditions, self.bucket = [], None

    def _meets(self, callback: Callback, direction: str) -> bool:
        ours, theirs = self.stage.index, callback.stage.index
        return callback.stage.hidden or (theirs > ours if direction == "R" else theirs < ours)

    def take(self, items: Iterable[Item]) -> None:
        """Passes items on in order, as soon as the lines accept them."""
        self._items.extend(items)
        if not self.blocked and self._feeding is None:
            self._feeding = self.feed(self._next())
            self._advance()

    @property
    def busy(self) -> bool:
        """Whether messages wait or are on their way here. Later messages must not overtake them."""
        return self.blocked or self._feeding is not None

    def block(self) -> None:
        """From now on, messages wait for `unblock`."""
        self.blocked = True

    def unblock(self) -> None:
        self.blocked = False
        self.take(())

    def shut(self) -> None:
        """Does nothing: messages here have entered the line before, so they go on until the stage has ended."""

    def cancel(self) -> int:
        lost = super().cancel() + count(self._items)
        self._items.clear()
        self._feeding, self.blocked = None, False
        return lost

    def say(self, message: Message) -> None:
        """Puts a message of the stage itself into the line, without waiting."""
        self.put(message)
        self.pipeline.flush()

    def _next(self) -> Iterator[Item]:
        while self._items:
            yield self._items.popleft()

    def _advance(self) -> None:
        if self._feeding is None:
            return
        seconds = self._feeding.step()
        self.pipeline.flush()
        if seconds is None:
            self._feeding = None
            self.pipeline.on_change()
        elif seconds == math.inf:
            self.pipeline.when_released(self._advance, self.stage)
        else:
            self.stage.call_later(seconds, self._advance)
