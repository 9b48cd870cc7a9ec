"""What nobody has foreseen is a line of the log, and counted; nothing of it reaches standard error by itself."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from typing import Any

import pytest

from bgpipe.runtime.unexpected import MAX_IN_A_MINUTE, Unexpected, caught


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, text: str, /, **fields: Any) -> None:
        self.errors.append(f"{text} where={fields['where']}")

    def debug(self, text: str, /, **fields: Any) -> None: ...
    def info(self, text: str, /, **fields: Any) -> None: ...
    def warning(self, text: str, /, **fields: Any) -> None: ...


@pytest.fixture
def unexpected():
    made = Unexpected(Log(), clock=lambda: 0.0)
    with caught(made):
        yield made


async def test_a_future_that_nobody_awaits(unexpected):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(unexpected.in_loop)
    future = loop.create_future()
    future.set_exception(ValueError("lost"))
    del future
    assert unexpected._log.errors == ["unexpected error: ValueError: lost where=event loop"]


def test_a_thread(unexpected):
    thread = threading.Thread(target=lambda: [].pop(), name="worker")
    thread.start()
    thread.join()
    assert unexpected._log.errors == ["unexpected error: IndexError: pop from empty list where=thread worker"]


def test_a_destructor(unexpected):
    class Broken:
        def __del__(self) -> None:
            raise ValueError("gone")

    broken = Broken()
    del broken
    assert unexpected._log.errors == ["unexpected error: ValueError: gone where=destructor"]


def test_what_libraries_log_and_warn_of(unexpected, capfd):
    logging.getLogger("asyncio").error("Task was destroyed")
    logging.getLogger("websockets.server").info("quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", UserWarning, stacklevel=1)
    first, second = unexpected._log.errors
    assert first == "unexpected error: Task was destroyed where=asyncio"
    assert "UserWarning: old" in second
    assert capfd.readouterr().err == ""


def test_a_flood_of_them_is_counted(unexpected):
    for _ in range(5 * MAX_IN_A_MINUTE):
        unexpected.tell("test", ValueError("again"))
    assert len(unexpected._log.errors) == MAX_IN_A_MINUTE
    assert unexpected.count == 5 * MAX_IN_A_MINUTE
