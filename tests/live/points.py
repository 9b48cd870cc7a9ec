"""A command at each step of a session's life, where test_live_signals.py ends it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from peers import (
    Bgpipe,
    Peer,
    Router,
    bgpipe,
    place,
)


@dataclass
class Ready:
    """A command at the point that is tried.

    told: peers that must hear of the end; untold: those that see the connection end, and nothing else. code: the exit
    code. check: what must hold then.
    """

    running: Bgpipe
    told: list[Peer] = field(default_factory=list)
    untold: list[Peer] = field(default_factory=list)
    code: int = 0
    check: Callable[[], object] = lambda: None


Point = Callable[[Path, ExitStack], Ready]
POINTS: dict[str, Point] = {}
QUICK: set[str] = set()
"""those that `make test` tries too"""


def point(name: str, quick: bool = False) -> Callable[[Point], Point]:
    def add(function: Point) -> Point:
        POINTS[name] = function
        if quick:
            QUICK.add(name)
        return function

    return add


def start(stack: ExitStack, *words: str | Path, stdin: Path | None = None) -> Bgpipe:
    return stack.enter_context(bgpipe(*map(str, words), fails=True, stdin=stdin))


def router(stack: ExitStack, buffer: int = 0) -> Router:
    made = Router(buffer)
    stack.callback(made.close)
    return made


def where() -> str:
    host, port = place()
    return f"{host}:{port}"


def between(stack: ExitStack, *stages: str | Path, listen: tuple[str, ...] = (), **more: int) -> tuple[Bgpipe, Router]:
    """A proxy with stages between its ends, and where it connects to."""
    other = router(stack, **more)
    middle = ("--", *stages) if stages else ()
    words = ("--", "listen", *listen, where(), *middle, "--", "connect", "-W", "listen", other.address)
    return start(stack, *words), other


def script(folder: Path, text: str) -> tuple[str, str, str]:
    """The words that run a program in Python."""
    path = folder / "program.py"
    path.write_text(text)
    return "-A", sys.executable, str(path)


def hanging_names(stack: ExitStack, folder: Path) -> None:
    """From now on, in processes that are started, the resolver never answers for hangs.example."""
    (folder / "sitecustomize.py").write_text(
        "import socket, sys, time\n"
        "real = socket.getaddrinfo\n"
        "def getaddrinfo(host, *words, **more):\n"
        "    if host == 'hangs.example':\n"
        "        print('resolving', file=sys.stderr, flush=True)\n"
        "        time.sleep(3600)\n"
        "    return real(host, *words, **more)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", "")))))


@contextmanager
def full_listener() -> Iterator[str]:
    """An address at which connections are taken by nobody: a SYN is not answered."""
    host, port = place()
    with socket.socket() as listening:
        listening.bind((host, port))
        listening.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for each in filling:
            each.setblocking(False)
            each.connect_ex((host, port))
        yield f"{host}:{port}"
        for each in filling:
            each.close()
