"""The way round a stage, for messages that it has taken and then does not work on."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Iterator

from ...pipeline.line import Callback, Input
from ...pipeline.pipeline import Pipeline
from ...pipeline.stage import Stage
from ...wire.item import Item
from ...wire.message import Message


class Bypass(Input):
    """An input right behind the stage in the directions that it watches; what the stage's options say of its output
    doesn't hold here."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, session=False)
        self.told = False
        stage.inputs.append(self)
        self._items: deque[Item] = deque()
        self._feeding: Iterator[float] = iter(())
        self.busy = False
        """whether messages are on their way here that those behind them must not overtake"""

    @property
    def directions(self) -> str:
        return self.stage.watched

    def connect(self, pipeline: Pipeline) -> None:
        super().connect(pipeline)
        self.conditions, self.bucket = [], None

    def _meets(self, callback: Callback, direction: str) -> bool:
        ours, theirs = self.stage.index, callback.stage.index
        return callback.stage.hidden or (theirs > ours if direction == "R" else theirs < ours)

    def take(self, items: Iterable[Item]) -> None:
        """Lets them go on, in order, as soon as the lines take them."""
        self._items.extend(items)
        if not self.busy:
            self.busy = True
            self._feeding = self.feed(self._next())
            self._advance()

    def say(self, message: Message) -> None:
        """A message of our own, which waits for nobody."""
        self.put(message)
        self.pipeline.flush()

    def _next(self) -> Iterator[Item]:
        while self._items:
            yield self._items.popleft()

    def _advance(self) -> None:
        for seconds in self._feeding:
            if seconds == math.inf:
                self.pipeline.when_released(self._advance)
            else:
                asyncio.get_running_loop().call_later(seconds, self._advance)
            return
        self.busy = False
        self.pipeline.flush()
