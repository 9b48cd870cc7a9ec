"""Tasks, timers and threads: this module alone creates them, so that each has a name, an owner and an error handler.

An exception in a task, a timer or a thread goes to `on_error`, once; asyncio never sees it. A scope ends with its
owner, a process or a session: then its tasks are cancelled, its timers don't call any more, and nothing new begins.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
OnError = Callable[[Exception], object]


class Stopped(Exception):
    """The owner is ending: nothing new begins."""


class Timer:
    """A call that is still to come. `cancel` may be called at any time, also twice."""

    __slots__ = ("_function", "_handle", "_on_error", "_owner", "name")

    def __init__(self, owner: Tasks, name: str, function: Callable[[], object], on_error: OnError) -> None:
        self.name = name
        self._owner = owner
        self._function = function
        self._on_error = on_error
        self._handle: asyncio.Handle | None = None

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._owner._timers.discard(self)

    def _call(self) -> None:
        self._handle = None
        self._owner._timers.discard(self)
        try:
            self._function()
        except Exception as error:
            self._on_error(error)


class Tasks:
    """The tasks and timers of one owner, in the event loop that runs when it is made.

    on_error: what to do with an exception for which nobody else was named. parent: the scope that ends after this one.
    """

    def __init__(self, on_error: OnError, parent: Tasks | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self._on_error = on_error
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: set[Timer] = set()
        self._children: set[Tasks] = set()
        self._parent = parent
        if parent is not None:
            parent._children.add(self)

    def __len__(self) -> int:
        """How many tasks there are, those of children included."""
        return len(self._tasks) + sum(map(len, self._children))

    def child(self, on_error: OnError | None = None) -> Tasks:
        """A scope that ends before this one does. Raises Stopped."""
        if self.closing:
            raise Stopped
        return Tasks(on_error or self._on_error, self)

    def spawn(
        self, name: str, coroutine: Coroutine[Any, Any, T], on_error: OnError | None = None
    ) -> asyncio.Task[T | None]:
        """A task, whose exception goes to `on_error` (of the scope, if none is named); its result is None then.

        Raises Stopped once the owner is ending.
        """
        return self._add(name, _guard(coroutine, on_error or self._on_error), coroutine)

    def begin(self, name: str, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that the caller awaits, and whose exception is the caller's. Raises Stopped as `spawn` does."""
        return self._add(name, coroutine, coroutine)

    def _add(self, name: str, running: Coroutine[Any, Any, T], coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[T]:
        if self.closing:
            running.close()
            coroutine.close()
            raise Stopped(name)
        task = self.loop.create_task(running, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def call_soon(self, name: str, function: Callable[[], object], on_error: OnError | None = None) -> Timer:
        """Calls in the next turn of the loop, if the owner is still there."""
        timer = Timer(self, name, function, on_error or self._on_error)
        if not self.closing:
            timer._handle = self.loop.call_soon(timer._call)
            self._timers.add(timer)
        return timer

    def call_later(
        self, name: str, delay: float, function: Callable[[], object], on_error: OnError | None = None
    ) -> Timer:
        """Calls in so many seconds, if the owner is still there."""
        timer = Timer(self, name, function, on_error or self._on_error)
        if not self.closing:
            timer._handle = self.loop.call_later(delay, timer._call)
            self._timers.add(timer)
        return timer

    def call_threadsafe(self, function: Callable[..., object], *args: object) -> bool:
        """From any thread: calls in the loop. False if the loop has ended, and nobody will be called."""
        try:
            self.loop.call_soon_threadsafe(partial(self._from_thread, function, *args))
        except RuntimeError:
            return False
        return True

    def _from_thread(self, function: Callable[..., object], *args: object) -> None:
        try:
            function(*args)
        except Exception as error:
            self._on_error(error)

    async def close(self, deadline: float = 1.0) -> list[str]:
        """Cancels all tasks and timers, and waits for them.

        deadline: seconds. Returns the names of tasks that have not ended by then.
        """
        self.closing = True
        for timer in tuple(self._timers):
            timer.cancel()
        left = []
        for child in tuple(self._children):
            left += await child.close(deadline)
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            _, pending = await asyncio.wait(others, timeout=deadline)
            left += [task.get_name() for task in pending]
        if self._parent is not None:
            self._parent._children.discard(self)
        return left


def thread(name: str, function: Callable[[], object], on_error: OnError) -> threading.Thread:
    """A thread for what may block for ever. It is a daemon: the process ends without it.

    An exception goes to `on_error`, which is called in that thread.
    """

    def run() -> None:
        try:
            function()
        except Exception as error:
            on_error(error)

    started = threading.Thread(target=run, name=name, daemon=True)
    started.start()
    return started


async def _guard(coroutine: Coroutine[Any, Any, T], on_error: OnError) -> T | None:
    try:
        return await coroutine
    except Exception as error:
        on_error(error)
        return None
