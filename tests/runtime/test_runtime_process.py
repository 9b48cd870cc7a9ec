"""The one owner of the event loop and of signals, with a service that is not bgpipe's."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parent.parent.parent / "src/bgpipe"

SERVICE = """
import asyncio, sys
from bgpipe.pipeline.errors import StageError
from bgpipe.runtime.log import StderrLog
from bgpipe.runtime.process import serve

class Service:
    def __init__(self):
        self.reloads = 0
    async def start(self, process):
        self.over = asyncio.Event()
        self.process = process
        if "fail" in sys.argv:
            raise StageError("can't start")
        print("start", flush=True)
    async def run(self):
        self.process.tasks.spawn("lost", self.lost())
        if "loop" in sys.argv:
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await self.over.wait()
        if "hang" in sys.argv:
            print("hang", flush=True)
            await asyncio.sleep(3600)
    async def lost(self):
        raise KeyError("x")
    async def close(self):
        print("close", flush=True)
    def stop(self):
        print("stop", flush=True)
        self.over.set()
    def reload(self):
        self.reloads += 1
        print("reload", self.reloads, flush=True)
    def health(self):
        return f"reloaded {self.reloads} times" if self.reloads else ""

serve(Service(), StderrLog())
"""


class Running:
    """A process with the service; reads its lines."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVICE, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        )

    def line(self) -> str:
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, list[str], str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines(), err


@pytest.fixture
def running(request):
    started: list[Running] = []

    def start(*words: str, **environment: str) -> Running:
        started.append(Running(*words, **environment))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reload_and_stop_a_service(running, number):
    service = running()
    assert service.line() == "start"
    for count in (1, 2):
        service.process.send_signal(signal.SIGHUP)
        assert service.line() == f"reload {count}"
    service.process.send_signal(number)
    code, out, err = service.end()
    assert (code, out) == (0, ["stop", "close"])
    assert "ERR unexpected error: KeyError: 'x' where=process count=1" in err
    assert "INF signal received, stopping..." in err
    assert "Traceback" not in err


def test_the_second_signal_ends_the_process(running):
    service = running("hang")
    assert service.line() == "start"
    service.process.send_signal(signal.SIGTERM)
    assert [service.line(), service.line()] == ["stop", "hang"]
    service.process.send_signal(signal.SIGTERM)
    assert service.end()[0] == -signal.SIGTERM


def test_what_nobody_has_caught_goes_to_the_log(running):
    service = running("loop")
    assert service.line() == "start"
    while "ZeroDivisionError" not in (line := service.process.stderr.readline()):
        assert line
    assert 'ERR unexpected error: ZeroDivisionError: integer division or modulo by zero where="event loop"' in line
    service.process.send_signal(signal.SIGTERM)
    assert service.end()[0] == 0


def test_a_service_that_cannot_start_is_closed(running):
    code, out, err = running("fail").end()
    assert (code, out) == (1, ["close"])
    assert err.endswith("StageError: can't start\n")


def test_systemd_is_told(running, tmp_path):
    """Type=notify: ready, reloading, stopping, and a sign of life as often as WatchdogSec= wants."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(path)
        link.settimeout(30)
        service = running(NOTIFY_SOCKET=path, WATCHDOG_USEC="40000")

        def told(word: str) -> list[str]:
            while word not in (lines := link.recv(4096).decode().splitlines()):
                pass
            return lines

        assert told("READY=1") == ["READY=1", "STATUS=ok"]
        assert told("WATCHDOG=1") == ["WATCHDOG=1", "STATUS=ok"]
        service.process.send_signal(signal.SIGHUP)
        assert told("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
        assert told("READY=1") == ["READY=1", "STATUS=reloaded 1 times"]
        service.process.send_signal(signal.SIGTERM)
        assert told("STOPPING=1") == ["STOPPING=1"]
        assert service.end()[0] == 0


def test_nothing_else_handles_signals():
    """Nor the exception handler of the loop. Which module creates loops, tests/test_house.py says."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text()
        if "signal" not in text and "exception_handler" not in text:
            continue  # to parse all modules takes long
        for node in ast.walk(ast.parse(text)):
            name = node.attr if isinstance(node, ast.Attribute) else ""
            if name == "signal":
                name = ast.unparse(node)
            if name == "signal.signal" or name.endswith(("signal_handler", "set_exception_handler")):
                found.add(str(path.relative_to(SOURCES)))
    found.discard("routeserver/shell/follow.py")  # a command without a loop, which looks whether its reader is there
    assert found == {"runtime/process.py"}
