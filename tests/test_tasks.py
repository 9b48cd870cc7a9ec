"""Tasks, timers and threads have an owner, and their exceptions somebody who hears of them."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time

import pytest

from bgpipe.pipeline.errors import Stopped
from bgpipe.tasks import PrivateLoop, Readiness, Tasks, ThreadEvent, in_thread, run, thread


async def fail() -> None:
    raise ValueError("no")


async def sleep_for_ever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("cancelled")


def scope() -> tuple[Tasks, list[str]]:
    errors: list[str] = []
    return Tasks(lambda error: errors.append(str(error))), errors


async def test_an_exception_goes_to_the_error_handler_once():
    tasks, errors = scope()
    others: list[str] = []
    assert await tasks.spawn("one", fail()) is None
    assert await tasks.spawn("two", fail(), lambda error: others.append(str(error))) is None
    assert (errors, others) == (["no"], ["no"])


async def test_who_begins_a_task_gets_its_exception():
    tasks, errors = scope()
    with pytest.raises(ValueError, match="no"):
        await tasks.begin("one", fail())
    assert errors == []


async def test_timers():
    tasks, errors = scope()
    called = asyncio.Event()
    tasks.call_soon("fails", lambda: [].pop())
    cancelled = tasks.call_later("cancelled", 0, lambda: errors.append("called"))
    cancelled.cancel()
    cancelled.cancel()
    tasks.call_later("called", 0.001, called.set)
    await called.wait()
    assert errors == ["pop from empty list"]


async def test_the_end_of_a_scope_ends_its_children_first_and_refuses_what_begins_after_it():
    tasks, errors = scope()
    child = tasks.child()
    ended: list[str] = []
    child.spawn("child", sleep_for_ever(ended))
    child.call_later("timer", 0, lambda: errors.append("called"))
    tasks.spawn("parent", sleep_for_ever(ended))
    await asyncio.sleep(0)
    assert len(tasks) == 2
    assert await tasks.close() == []
    assert ended == ["cancelled", "cancelled"]
    assert len(tasks) == 0
    for closed in (tasks, child):
        with pytest.raises(Stopped):
            closed.spawn("late", fail())
        closed.call_soon("late", lambda: errors.append("late"))
    with pytest.raises(Stopped):
        tasks.child()
    await asyncio.sleep(0)
    assert errors == []


async def test_tasks_that_do_not_end_are_named():
    tasks, _ = scope()
    stubborn = asyncio.Event()

    async def work() -> None:
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                continue

    tasks.spawn("stubborn", work())
    await asyncio.sleep(0)
    assert await tasks.close(0.01) == ["stubborn"]
    stubborn.set()


async def test_calls_from_threads():
    tasks, errors = scope()
    done = asyncio.Event()

    def work() -> None:
        assert tasks.call_threadsafe(errors.append, "called")
        assert tasks.call_threadsafe([].pop)
        tasks.call_threadsafe(done.set)

    thread("worker", work, lambda error: errors.append("thread")).join()
    await done.wait()
    assert errors == ["called", "pop from empty list"]


def test_a_loop_that_has_ended_calls_nobody():
    async def make() -> Tasks:
        return Tasks(lambda error: None)

    assert asyncio.run(make()).call_threadsafe(print, "called") is False


def test_an_exception_in_a_thread():
    heard = threading.Event()
    thread("worker", lambda: [].pop(), lambda error: heard.set()).join()
    assert heard.is_set()


async def test_who_names_no_error_handler_leaves_it_to_the_loop():
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(str(context["exception"])))
    await Tasks().spawn("one", fail())
    assert told == ["no"]


async def test_side_by_side():
    tasks, errors = scope()
    both = asyncio.Barrier(2)

    async def meet() -> None:
        await both.wait()

    await tasks.together("meet", meet(), meet(), fail())
    await tasks.together("nobody")
    assert errors == ["no"]
    ended: list[str] = []
    waiting = tasks.begin("waits", tasks.together("sleep", sleep_for_ever(ended), sleep_for_ever(ended)))
    await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.sleep(0.001)
    assert ended == ["cancelled", "cancelled"]
    assert len(tasks) == 0


async def test_what_a_thread_gives():
    assert await in_thread("one", lambda: threading.current_thread().name) == "one"
    with pytest.raises(IndexError):
        await in_thread("two", lambda: [].pop())


async def test_an_event_that_a_thread_sets():
    event = ThreadEvent()
    thread("sets", event.set, lambda error: None)
    await event.wait()


async def test_waiting_for_a_descriptor():
    reader, writer = os.pipe()
    readable, woken = Readiness(), Readiness()
    os.set_blocking(reader, False)
    asyncio.get_running_loop().call_later(0.001, os.write, writer, b"x")
    await readable.wait(reader)
    assert os.read(reader, 9) == b"x"
    asyncio.get_running_loop().call_later(0.001, woken.wake)
    assert not woken.waiting
    await woken.wait(reader)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await readable.wait(reader)
    assert not readable.waiting
    room = Readiness(writes=True)
    await room.wait(writer)
    os.close(reader)
    os.close(writer)


def test_the_end_of_a_command_waits_for_no_resolver(monkeypatch):
    """asyncio would wait for its own threads without a limit."""
    hung = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *words, **more: hung.wait(60))

    async def main() -> str:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await loop.getaddrinfo("router.example", 179)
        assert await loop.run_in_executor(None, str.upper, "done") == "DONE"
        return "done"

    begun = time.monotonic()
    assert run(main()) == "done"
    assert time.monotonic() - begun < 30  # not the minute of the resolver
    hung.set()


def test_a_loop_of_one_thread():
    async def double() -> int:
        return 2

    with PrivateLoop() as loop:
        assert loop.run(double) == 2
        thread("cancels", lambda: (time.sleep(0.01), loop.cancel()), lambda error: None)
        with pytest.raises(asyncio.CancelledError):
            loop.run(asyncio.Event().wait)
        with pytest.raises(asyncio.CancelledError):
            loop.run(double)
        assert loop.run(double, always=True) == 2
    loop.cancel()


async def test_a_task_that_is_cancelled_before_it_begins_leaves_no_coroutine_behind():
    tasks, _ = scope()
    ended: list[str] = []
    coroutine = sleep_for_ever(ended)
    tasks.spawn("never", coroutine).cancel()
    await tasks.close()
    assert coroutine.cr_frame is None  # closed: else Python warns of it later
    assert ended == []
