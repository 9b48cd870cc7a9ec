"""Running command lines in tests: in this process where possible, in another one where it is about processes."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

import fork_server
from bgpipe.cli.main import main
from bgpipe.sample import grow, updates

MESSAGES = 1500


class Done(NamedTuple):
    """What a command line has come to."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """Runs command lines; standard input is `stdin`."""

    def __init__(self, capfd: Any, monkeypatch: Any) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None) -> Done:
        for name, value in (env or {}).items():
            self._monkeypatch.setenv(name, value)
        self._capfd.readouterr()
        with open(os.devnull, "rb") as nothing:
            saved = os.dup(0)
            reader, writer = os.pipe()
            try:
                os.dup2(reader if stdin else nothing.fileno(), 0)
                os.write(writer, stdin)  # as much as a pipe holds
                os.close(writer)
                code = main([str(word) for word in words])
            finally:
                os.dup2(saved, 0)
                os.close(saved)
                os.close(reader)
        out, err = self._capfd.readouterr()
        assert b"Traceback" not in err
        assert b"unexpected error" not in err, err.decode()
        return Done(code, out, err.decode())


@pytest.fixture
def bgpipe(capfdbinary, monkeypatch) -> Terminal:
    for name in [name for name in os.environ if name.startswith("BGPIPE_") and name != "BGPIPE_ACCEL"]:
        monkeypatch.delenv(name)
    return Terminal(capfdbinary, monkeypatch)


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    """An MRT archive of some thousand records."""
    path = tmp_path_factory.mktemp("sample") / "updates.mrt"
    path.write_bytes(b"".join(updates(grow(Random(1)), Random(1), MESSAGES)))
    return path


@pytest.fixture(scope="session")
def sample_json(sample) -> list[Any]:
    """Its messages, as JSON has them."""
    done = spawn("read", sample, "--", "write", "-")
    assert done.code == 0
    return done.lines


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, the same for all workers: the first that asks makes it."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / name).exists():
            make(root / f"{name}.new")
            (root / f"{name}.new").rename(root / name)
    return root / name


def spawn(*words: str | Path, **settings: Any) -> Done:
    """Runs a command line in a process of its own. settings: those of `fork_server.run`."""
    code, out, err = fork_server.run(words, **settings)
    assert b"unexpected error" not in err, err.decode()
    return Done(code, out, err.decode())


def command(words: Sequence[str | Path]) -> list[str]:
    """The argv of a command line, for an interpreter of its own."""
    return [sys.executable, "-W", "error", "-m", "bgpipe", *map(str, words)]


def script(folder: Path, text: str) -> Path:
    """A program for the shell."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


__all__ = ["Done", "Terminal", "bgpipe", "command", "once", "sample", "sample_json", "script", "spawn"]
