"""Tasks, timers and threads have an owner, and their exceptions somebody who hears of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bgpipe.tasks import Stopped, Tasks, thread


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
