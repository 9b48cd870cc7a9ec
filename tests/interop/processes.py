"""bgpipe in a process, beside the daemons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemons import inside, mortal, wait_until

from leaks import LEAKS

FOLDER = Path(__file__).resolve().parent.parent.parent / ".peers"
REQUIRED = os.environ.get("BGPIPE_INTEROP") == "require"
"""In CI: what can't be had is a failure."""


def add_namespace(name: str) -> None:
    """Adds a network namespace; where that can't be, the test is skipped, and in CI it fails."""
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        (pytest.fail if REQUIRED else pytest.skip)(f"no network namespaces here: {done.stderr.strip()}")


class Bgpipe:
    """A running bgpipe, in a network namespace if one is named. It prints what passes, if the words say -o.

    cwd: the folder that it runs in. env: more variables of its environment.
    """

    def __init__(
        self,
        folder: Path,
        words: list[str],
        namespace: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / "output.json"
        self.errors = folder / "errors.log"
        self._told = False
        command = [sys.executable, "-W", "error", "-m", "bgpipe", *words]
        command = [*inside(namespace), *command]
        with self.output.open("wb") as out, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                mortal(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                cwd=cwd,
                env={**os.environ, **(env or {})},
            )

    @property
    def log(self) -> str:
        return self.errors.read_text(errors="replace")

    def messages(self, direction: str = "LR", kind: str = "") -> list[Any]:
        """Of what has passed so far, the messages of one type: JSON arrays."""
        lines = self.output.read_text().split("\n")[:-1]
        found = map(json.loads, lines)
        return [message for message in found if message[0] in direction and message[3] == (kind or message[3])]

    def prefixes(self, direction: str) -> set[str]:
        """What was announced in a direction, without path identifiers."""
        found: set[str] = set()
        for message in self.messages(direction, "UPDATE"):
            body = message[4]
            found.update(prefix.rpartition("#")[2] for prefix in body.get("reach", ()))
            found.update(body.get("attrs", {}).get("MP_REACH", {}).get("value", {}).get("prefixes", ()))
        return found

    def listens(self) -> None:
        wait_until("bgpipe listens", lambda: "listening on" in self.log)

    def stop(self) -> None:
        """Tells it to end, as an operator would."""
        if not self._told and self.process.poll() is None:
            self._told = True
            self.process.send_signal(signal.SIGTERM)

    def finish(self) -> int:
        """Waits for its end; its exit code."""
        self.stop()
        try:
            return self.process.wait(10)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


Run = Callable[..., Bgpipe]


@contextmanager
def runner(folder: Path) -> Iterator[Run]:
    """Starts bgpipes, and ends them with what it started."""
    started: list[Bgpipe] = []

    def start(*words: object, **where: Any) -> Bgpipe:
        started.append(Bgpipe(folder / f"bgpipe{len(started)}", [str(word) for word in words], **where))
        return started[-1]

    try:
        yield start
        for each in started:
            assert not LEAKS.search(each.log), each.log[-2000:]
    finally:
        for each in started:
            each.finish()
