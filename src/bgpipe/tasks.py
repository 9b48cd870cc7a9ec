"""Tasks, timers, threads and event loops: this module alone creates them (tests/test_house.py holds it), so that each
has a name, an owner and an error handler.

An exception in a task, a timer or a thread is given to `on_error`, once; asyncio never sees it. A scope (Tasks) ends
with
its owner, a process or a session: its tasks are cancelled, its timers are stopped, and nothing new can be started.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .pipeline.errors import Stopped

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
OnError = Callable[[Exception], object]


class Timer:
    """A scheduled call. `cancel` may be called at any time, also twice."""

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
        except Stopped:
            pass
        except Exception as error:
            self._on_error(error)


class Tasks:
    """The tasks and timers of one owner, in the event loop that runs when it is made.

    on_error: called with exceptions of tasks and timers that have no handler of their own; without it, the exception
    handler of the event loop is called. parent: the scope that ends after this one.
    """

    def __init__(self, on_error: OnError | None = None, parent: Tasks | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self._on_error = on_error or self._tell_loop
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: set[Timer] = set()
        self._children: set[Tasks] = set()
        self._parent = parent
        if parent is not None:
            parent._children.add(self)

    def __len__(self) -> int:
        """The number of tasks that have not ended, those of child scopes included."""
        return len(self._tasks) + sum(map(len, self._children))

    def child(self, on_error: OnError | None = None) -> Tasks:
        """A new scope that ends with this one, or before. Raises Stopped."""
        if self.closing:
            raise Stopped
        return Tasks(on_error or self._on_error, self)

    def spawn(
        self, name: str, coroutine: Coroutine[Any, Any, T], on_error: OnError | None = None
    ) -> asyncio.Task[T | None]:
        """Starts a task. An exception in it is given to `on_error`, or to that of the scope; the result is None then.

        Raises Stopped once the owner is ending.
        """
        task = self._add(name, _guard(coroutine, on_error or self._on_error), coroutine)
        task.add_done_callback(lambda task: coroutine.close())  # it has not begun, if the task was cancelled at once
        return task

    def begin(self, name: str, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts a task that the caller awaits: an exception in it is raised there. Raises Stopped as `spawn` does."""
        return self._add(name, coroutine, coroutine)

    async def together(self, name: str, *coroutines: Coroutine[Any, Any, object]) -> None:
        """Runs coroutines concurrently, and returns when all have ended. Exceptions are given to `on_error` of the
        scope."""
        if running := [self.spawn(name, each) for each in coroutines]:
            try:
                await asyncio.wait(running)
            finally:
                for task in running:
                    task.cancel()

    async def unless(self, event: asyncio.Event, name: str, coroutine: Coroutine[Any, Any, T]) -> T | None:
        """The result of a coroutine. If the event is set first, the coroutine is cancelled, and the result is None.
        Raises the exceptions of the coroutine."""
        working = self.begin(name, coroutine)
        try:
            await self.until(event, working)
            return working.result() if working.done() else None
        finally:
            working.cancel()

    async def until(self, event: asyncio.Event, *working: asyncio.Task[Any]) -> None:
        """Waits until all tasks are done, or the event is set."""
        waiting = self.begin("event", event.wait())
        try:
            pending: set[asyncio.Task[Any]] = {*working}
            while pending and not waiting.done():
                _, pending = await asyncio.wait((*pending, waiting), return_when=asyncio.FIRST_COMPLETED)
                pending.discard(waiting)
        finally:
            waiting.cancel()

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
        """Calls a function in the next turn of the event loop, unless the scope has ended by then."""
        timer = Timer(self, name, function, on_error or self._on_error)
        if not self.closing:
            timer._handle = self.loop.call_soon(timer._call)
            self._timers.add(timer)
        return timer

    def call_later(
        self, name: str, delay: float, function: Callable[[], object], on_error: OnError | None = None
    ) -> Timer:
        """Calls a function after so many seconds, unless the scope has ended by then."""
        timer = Timer(self, name, function, on_error or self._on_error)
        if not self.closing:
            timer._handle = self.loop.call_later(delay, timer._call)
            self._timers.add(timer)
        return timer

    def call_threadsafe(self, function: Callable[..., object], *args: object) -> bool:
        """Calls a function in the event loop. It may be used in any thread. Returns False if the loop has ended: the
        function is not called then."""
        try:
            self.loop.call_soon_threadsafe(partial(self._from_thread, function, *args))
        except RuntimeError:
            return False
        return True

    def _from_thread(self, function: Callable[..., object], *args: object) -> None:
        try:
            function(*args)
        except Stopped:
            pass
        except Exception as error:
            self._on_error(error)

    def fail(self, error: Exception) -> None:
        """Gives an exception to the error handler."""
        self._on_error(error)

    def _tell_loop(self, error: Exception) -> None:
        self.loop.call_exception_handler({"message": "nobody else was to hear of it", "exception": error})

    async def close(self, deadline: float = 1.0) -> list[str]:
        """Cancels all tasks and timers, and waits for them.

        deadline: seconds. Returns the names of tasks that have not ended by then.
        """
        self.closing = True
        for timer in tuple(self._timers):
            timer.cancel()
        left: list[str] = []
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
    """Starts a thread for work that may block for ever. It is a daemon thread: the process does not wait for it at its
    end.

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


def thread_pool(name: str, workers: int) -> ThreadPoolExecutor:
    """A pool of threads for work that ends by itself. The caller takes the results, which raise the exceptions."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, thread_name_prefix=name)


async def in_thread(name: str, function: Callable[[], T]) -> T:
    """The result of a function that may block for ever, such as the resolver, a FIFO or a file over a network.

    The function runs in a thread of its own. If the caller is cancelled, the thread goes on, and its result is dropped.
    Raises what the function raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setting: Callable[[], None]) -> None:
        if not future.done():
            setting()

    def tell(setting: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(settle, setting)

    def work() -> None:
        result = function()
        tell(lambda: future.set_result(result))

    thread(name, work, lambda error: tell(lambda: future.set_exception(error)))
    return await future


class ThreadEvent:
    """An event of the running loop that any thread may set. `set` returns False if the loop has ended."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return False
        return True

    async def wait(self) -> None:
        await self._event.wait()


class Readiness:
    """Waits until a file descriptor can be read, or with `writes` written. `wake` ends the wait early."""

    def __init__(self, *, writes: bool = False) -> None:
        self._writes = writes
        self._waiter: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> bool:
        return self._waiter is not None

    async def wait(self, fd: int) -> None:
        """The descriptor must stay open until it returns, or `wake` is called."""
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        (loop.add_writer if self._writes else loop.add_reader)(fd, _wake, waiter)
        self._fd = fd
        try:
            await waiter
        finally:
            self._forget()

    def wake(self) -> None:
        if self._waiter is not None:
            _wake(self._waiter)
            self._forget()

    def _forget(self) -> None:
        if self._waiter is not None:
            self._waiter = None
            loop = asyncio.get_running_loop()
            (loop.remove_writer if self._writes else loop.remove_reader)(self._fd)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class PrivateLoop:
    """An event loop for one thread, which drives it step by step. `cancel` may be called by any thread."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    def __enter__(self) -> PrivateLoop:
        self._runner = asyncio.Runner(loop_factory=_Loop).__enter__()
        return self

    def __exit__(self, *about: Any) -> None:
        assert self._runner is not None
        self._runner.__exit__(*about)

    def run(self, work: Callable[[], Awaitable[T]], *, always: bool = False) -> T:
        """Runs a coroutine, and returns its result. Raises asyncio.CancelledError after `cancel`. always: run it even
        after `cancel`, and don't cancel it."""
        assert self._runner is not None
        return self._runner.run(self._drive(work, always))

    async def _drive(self, work: Callable[[], Awaitable[T]], always: bool) -> T:
        self._task = asyncio.current_task() if not always else None
        try:
            if self._cancelled and not always:
                raise asyncio.CancelledError
            return await work()
        finally:
            self._task = None

    def cancel(self) -> None:
        """Cancels what runs now, and all later runs."""
        self._cancelled = True
        if (task := self._task) is not None:
            with suppress(RuntimeError):  # the loop may just have ended
                task.get_loop().call_soon_threadsafe(task.cancel)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose default executor uses the threads of this module: at its end, asyncio would wait for its own
    threads without a limit, for example for the resolver."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        if executor is None:
            return self.create_task(in_thread(getattr(func, "__name__", "executor"), partial(func, *args)))
        return super().run_in_executor(executor, func, *args)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs the event loop of a command until `main` returns, as asyncio.run does; no thread is waited for."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


async def _guard(coroutine: Coroutine[Any, Any, T], on_error: OnError) -> T | None:
    try:
        return await coroutine
    except Stopped:
        return None
    except Exception as error:
        on_error(error)
        return None
