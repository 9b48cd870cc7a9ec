"""SIGTERM and SIGINT at every step of a session's life: the process ends within 5 seconds, with the exit code that
docs/events.md says, every peer that has been sent an OPEN gets Cease/Administrative Shutdown, and outputs are whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import partner_points  # noqa: F401  (each adds its points)
import pytest
import session_points  # noqa: F401
import stage_points  # noqa: F401
from peers import notification
from points import POINTS, QUICK, where

from leaks import LEAKS

SIGNALS = [signal.SIGTERM, signal.SIGINT]
END_TIMEOUT = 5.0
"""Seconds in which the process must have ended."""
CEASE_SHUTDOWN = (6, 2)


def tries() -> Iterator[object]:
    for name in POINTS:
        for number in SIGNALS:
            for time_ in range(5):
                quick = name in QUICK and number == signal.SIGTERM and time_ == 0
                marks = [] if quick else [pytest.mark.slow]
                hangup = time_ % 2 == 1
                yield pytest.param(name, number, hangup, id=f"{name}-{number.name}-{time_}", marks=marks)


@pytest.mark.parametrize(("name", "number", "hangup"), list(tries()))
def test_it_ends(name: str, number: signal.Signals, hangup: bool, tmp_path: Path) -> None:
    """hangup: SIGHUP comes before, which ends nothing."""
    with ExitStack() as stack:
        ready = POINTS[name](tmp_path, stack)
        ended: list[float] = []
        process = ready.running.process
        if hangup:
            ready.running.signal(signal.SIGHUP)
            ready.running.waits_for_log("SIGHUP|reload")
        begun = time.monotonic()
        waiting = threading.Thread(target=lambda: (process.wait(30), ended.append(time.monotonic())))
        ready.running.signal(number)
        waiting.start()
        for peer in ready.told:
            assert notification(peer.hear_end()[-1]) == CEASE_SHUTDOWN
        for peer in ready.untold:
            assert peer.hear_end() == []
        waiting.join()
        assert ended, ready.running.log
        assert ended[0] - begun < END_TIMEOUT
        assert process.returncode == ready.code, ready.running.log
        ready.check()


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["bgpipe.app.grammar", "asyncio.base_events", "bgpipe.pipeline.pipeline"])
def test_while_it_starts(module: str, number: signal.Signals) -> None:
    """Nothing is open yet: the signal ends the process, with one line at most, and nobody sees where it was."""
    command = [sys.executable, "-X", "importtime", "-m", "bgpipe", "--", "listen", where(), "--", "grep", "ipv6"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.split(b"|")[-1].strip() == module.encode():
                break
        process.send_signal(number)
        rest = process.stderr.read().decode()
        assert process.wait(END_TIMEOUT) in (-number, 0, 1)
        assert not LEAKS.search(rest)
        assert "KeyboardInterrupt" not in rest
