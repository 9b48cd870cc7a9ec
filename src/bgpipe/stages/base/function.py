"""Stages of plain Python functions and of iterables, for pipelines that are run from Python."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar, Final

from ...library import Reader
from ...pipeline.stage import Consuming, Producing, Progress, Stage
from ...runtime.runner import feed, session_up
from ...wire.item import Item, count
from ...wire.message import Message
from .policy import Answer, ask

PIECE: Final = 64
"""Items of an iterable that enter before other tasks of the event loop run."""


class Function(Consuming):
    """Let a Python function decide about messages, as one of a `py` file does."""

    both = True
    takes = True
    function: ClassVar[Any]

    def attach(self) -> None:
        self.watch(self.on_message)

    def on_message(self, message: Message) -> Answer:
        return ask(self.function, message)


class Observer(Stage):
    """Shows a Python function all messages that have passed the other stages. What it returns does not matter."""

    both = True
    takes = True
    function: ClassVar[Any]

    def attach(self) -> None:
        self.watch(self.on_message, passive=True)

    def on_message(self, message: Message) -> None:
        self.function(message)


class Messages(Producing):
    """Messages and blocks of an iterable."""

    both = True
    make: ClassVar[Any]

    def attach(self) -> None:
        self.inlet = self.feed_into()
        self.messages = 0

    async def run(self) -> None:
        await session_up(self.pipeline)
        items = self.make()
        if isinstance(items, AsyncIterable):
            await self._read_async(items)
        else:
            await self._read(iter(items.items() if isinstance(items, Reader) else items))

    async def _read(self, items: Iterator[Item]) -> None:
        while self.inlet.open and (piece := list(islice(items, PIECE))):
            await self._feed(piece)

    async def _read_async(self, items: AsyncIterable[Item]) -> None:
        iterator = aiter(items)
        try:
            async for item in iterator:
                await self._feed([item])
                if not self.inlet.open:
                    return
        finally:
            if inspect.isasyncgen(iterator):
                await iterator.aclose()

    async def _feed(self, items: list[Item]) -> None:
        self.messages += count(items)
        await feed(self.pipeline, self.inlet, items)
        self.pipeline.flush()
        await asyncio.sleep(0)  # signals and other stages have their turn, however fast the input is

    def progress(self) -> Progress:
        return Progress(records=self.messages, messages=self.messages, states=0, skipped=0, damages=0)


def is_source(what: Any) -> bool:
    """Whether it is an iterable of messages, or a function that makes one."""
    if inspect.isgeneratorfunction(what) or inspect.isasyncgenfunction(what):
        return True
    return isinstance(what, Iterable | AsyncIterable) and not isinstance(what, str | bytes | type)


def make_source(what: Any) -> Messages:
    class Source(Messages):
        make = staticmethod(what if callable(what) else lambda: what)

    return Source(getattr(what, "__name__", "messages"))


def make_function(called: Callable[[Message], object]) -> Function:
    class Called(Function):
        function = staticmethod(called)

    return Called(_name(called))


def make_observer(called: Callable[[Message], object]) -> Observer:
    class Called(Observer):
        function = staticmethod(called)

    observer = Called(_name(called))
    observer.left = observer.right = True
    return observer


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", type(function).__name__).strip("<>")
