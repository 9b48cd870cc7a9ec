"""What all tests share: where the vectors and the real archives are, if they are anywhere."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import fork_server
from commandline import bgpipe, sample, sample_json  # noqa: F401  (fixtures)
from leaks import LEAKS
from vectors import SHARED

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # until all tests are collected, which makes many objects and no garbage


for profile, count in (("check", 40), ("all", 150)):  # make test, make test-all
    settings.register_profile(
        profile,
        derandomize=True,
        deadline=None,
        max_examples=count,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
settings.register_profile(
    "hunt", deadline=None, max_examples=20_000, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))


TIMEOUT, SLOW_TIMEOUT = 180, 900
"""Seconds that a test may take, on a machine that does much else: these find what never ends."""
LIVE = Path(__file__).parent / "live"
TRIES = 2
"""How often a test that waits for real timers is tried again."""
AGAIN = 10
"""Seconds after which what went on in spite of that is told again."""


def pytest_configure(config: pytest.Config) -> None:
    """One server of each command for all workers (see fork_server)."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        fork_server.share()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with `vectors/` and `data/`."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED.name}/ folder beside the repository (BGPIPE_SHARED names another place)")
    return SHARED


@pytest.fixture(scope="session")
def data(shared: Path) -> Path:
    """Real MRT archives."""
    return shared / "data"


@pytest.fixture(autouse=True)
def nothing_without_owner(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test fails if the exception handler of an event loop was called and the test has set none, or if a command
    that it has run has let something of asyncio or of the interpreter out."""
    told: list[str] = []

    def default_exception_handler(loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        message = str(context.get("message"))
        # asyncio's own servers, which only tests use, are cancelled, or left by a client before it has asked.
        left = "client_connected_cb" in message and isinstance(error, EOFError | ConnectionError)
        if not left and not isinstance(error, asyncio.CancelledError):
            told.append(f"{message}: {error!r} {context.get('task') or ''}")

    def listening(kind: Any) -> Any:
        original = kind.communicate

        def communicate(self: Any, *words: Any, **more: Any) -> Any:
            done = original(self, *words, **more)
            program = " ".join(map(str, self.args)) if isinstance(self.args, list | tuple) else str(self.args)
            ours = kind is fork_server.Process or re.search(r"-m bgpipe|^\S*bgpipe ", program)
            for octets in done if ours and "debug" not in program else ():
                text = octets.decode(errors="replace") if isinstance(octets, bytes) else octets or ""
                if leak := LEAKS.search(text):
                    told.append(f"{program}: {text[max(0, leak.start() - 300) : leak.end() + 2000]}")
            return done

        return communicate

    monkeypatch.setattr(asyncio.BaseEventLoop, "default_exception_handler", default_exception_handler)
    for kind in (subprocess.Popen, fork_server.Process):
        monkeypatch.setattr(kind, "communicate", listening(kind))
    yield
    assert told == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait for real timers, ours or those of daemons, are tried again on a busy machine. The end of
    the run names them."""
    for item in items:
        if item.path.is_relative_to(LIVE) or any(map(item.get_closest_marker, ("slow", "interop"))):
            item.add_marker(pytest.mark.flaky(reruns=TRIES))


def pytest_collection_finish() -> None:
    gc.freeze()  # no collection looks at them again
    gc.set_threshold(20_000, 10, 10)  # a tenth of the time went into collections
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that hangs fails, and says where each thread and each task stood."""
    slow = item.get_closest_marker("slow")
    seconds = SLOW_TIMEOUT if slow or item.get_closest_marker("interop") else TIMEOUT
    seconds += slow.kwargs.get("seconds", 0) if slow else 0  # what it takes anyhow

    def on_alarm(number: int, frame: object) -> None:
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        with suppress(RuntimeError):
            for task in asyncio.all_tasks():
                task.print_stack(file=sys.stderr)
        pytest.fail(f"the test takes more than {seconds} s: see where it stands in standard error")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the tests that were tried again: somebody has to look at each."""
    again = [report.nodeid for report in terminalreporter.stats.get("rerun", ())]
    if again:
        terminalreporter.section(f"{len(again)} tried again")
        for nodeid in again:
            terminalreporter.write_line(nodeid)
