"""An archive's messages to every kind of output, with a failure of every kind: what is on disk after it, and the exit
code. Nothing takes the place of a file unless all that there was has arrived everywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from bgpipe.net.files import open_input
from commandline import command, spawn
from fork_server import Process

OUTPUTS = {
    "json": ("out.json", ()),
    "mrt.gz": ("out.mrt.gz", ()),
    "json.bz2": ("out.json.bz2", ()),
    "raw.zst": ("out.raw.zst", ()),
    "append": ("out.json", ("--append",)),
    "append gz": ("out.json.gz", ("--append",)),
    "every": ("out.$TIME.json", ("--every", "1h", "--time-format", "2006")),
}
"""The file's name and the options of each kind."""
DIES = "import sys; [sys.stdin.readline() for _ in range(9)]; sys.exit(3)"


class Failure(NamedTuple):
    """Words around `write PATH`, and what else is done to the process."""

    before: Sequence[str] = ()
    after: Sequence[str] = ()
    stdout: str = "null"
    signal: int = 0
    limit: int = 0
    reads: Sequence[str] = ("read", "SAMPLE")


FAILURES = {
    "standard output is full": Failure(before=("-o",), stdout="full"),
    "standard output is full, one message": Failure(before=("-o",), stdout="full", after=("--", "head", "-n", "1")),
    "nobody reads standard output": Failure(before=("-o",), stdout="head"),
    "another file is full": Failure(after=("--", "write", "--json", "/dev/full")),
    "another file, packed, is full at its end": Failure(
        after=("--", "head", "-n", "1", "--", "write", "--format", "json", "--compress", "bz2", "/dev/full")
    ),
    "a program dies": Failure(after=("--", "exec", "-R", "--on-exit", "kill", "DIES")),
    "a program can't be started": Failure(after=("--", "exec", "-R", "/no/such/program")),
    "a policy raises": Failure(after=("--", "py", "--on-error", "kill", "POLICY")),
    "another input is missing": Failure(reads=("read", "SAMPLE", "--", "read", "-R", "/no/such/file.mrt")),
    "another output stands in a file": Failure(after=("--", "write", "SAMPLE/out.json")),
    "a signal": Failure(before=("-o",), stdout="head", signal=signal.SIGTERM),
}
LATE = ("another file is full", "nobody reads standard output", "standard output is full", "a signal")
"""Failures that come when megabytes are packed, which takes bzip2 long."""


@pytest.fixture(scope="module")
def big(sample, tmp_path_factory) -> Path:
    """More than fits into pipes and queues: 60,000 messages."""
    path = tmp_path_factory.mktemp("big") / "big.mrt"
    path.write_bytes(sample.read_bytes() * 40)
    return path


@pytest.fixture
def run(big, tmp_path) -> Callable[[Failure, str, Sequence[str]], int]:
    policy = tmp_path / "policy.py"
    policy.write_text("def message(message):\n    if message.seq > 9:\n        raise ValueError('no')\n")
    dies = tmp_path / "dies.py"
    dies.write_text(f"#!{sys.executable}\n{DIES}\n")
    dies.chmod(0o700)
    names = {"DIES": str(dies), "SAMPLE": str(big), "POLICY": str(policy), "SAMPLE/out.json": f"{big}/out.json"}

    def run(failure: Failure, path: str, options: Sequence[str]) -> int:
        words = [*failure.before, *failure.reads, "--", "write", *options, path, *failure.after]
        words = [names.get(word, word) for word in words]
        return _run(words, failure)

    return run


def _run(words: Sequence[str | Path], failure: Failure) -> int:
    reader, writer = os.pipe()
    if failure.stdout != "head":
        os.dup2(os.open(f"/dev/{failure.stdout}", os.O_WRONLY), writer)
    with Process(words, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        if failure.stdout == "head":
            os.read(reader, 100)
            if failure.signal:
                process.send_signal(failure.signal)
                while os.read(reader, 1 << 16):
                    pass
        os.close(reader)
        _, said = process.communicate(timeout=60)
    assert b"Traceback" not in said
    return process.returncode


def contents(path: Path) -> bytes:
    return b"".join(open_input(str(path)))


def files(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith("out"))


def place(folder: Path, name: str) -> Path:
    from datetime import UTC, datetime

    return folder / name.replace("$TIME", f"{datetime.now(UTC):%Y}")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        pytest.param(kind, name, marks=[pytest.mark.slow] if kind == "json.bz2" and name in LATE else [])
        for kind, name in product(OUTPUTS, FAILURES)
    ],
)
def test_the_old_file_stays_whatever_fails(run, tmp_path, kind, failure):
    name, options = OUTPUTS[kind]
    path = place(tmp_path, name)
    appends = "append" in kind or kind == "every"  # a file of this interval is continued
    if not appends:
        path.write_bytes(b"old")
    code = run(FAILURES[failure], str(tmp_path / name), options)
    if failure == "a signal" and code == 0:  # it came when all was through
        assert contents(path).count(b"\n") > 50_000
        return
    assert code == 1
    if not appends:
        assert path.read_bytes() == b"old"
    unnamed = {f"{path.name}.tmp"} if failure == "a signal" else set()  # there may be no time left to rename it
    assert set(files(tmp_path)) <= {path.name, f"{path.name}.partial", *unnamed}
    kept = Path(f"{path}.partial")
    if kept.exists():
        assert contents(kept)
    elif "append" in kind and path.exists():
        contents(path)  # it can be decompressed


@pytest.mark.parametrize("kind", ["json", "mrt.gz", "append", "every"])
def test_without_a_failure_the_new_file_is_there(run, sample, tmp_path, kind):
    name, options = OUTPUTS[kind]
    path = place(tmp_path, name)
    assert run(Failure(before=("-o",)), str(tmp_path / name), options) == 0
    assert files(tmp_path) == [path.name]
    assert run(Failure(before=("-o",), after=("--", "head", "-n", "3")), str(tmp_path / name), options) == 0
    assert contents(path)


def test_what_head_lets_in_is_complete(run, tmp_path):
    path = tmp_path / "out.json"
    path.write_bytes(b"old")
    reads = ("read", "SAMPLE", "--", "head", "-n", "5")
    assert run(Failure(reads=reads), str(path), ()) == 0
    assert len(path.read_bytes().splitlines()) == 5
    assert files(tmp_path) == ["out.json"]


def test_what_was_written_before_a_failure_is_kept(run, tmp_path, sample_json):
    path = tmp_path / "out.json"
    path.write_bytes(b"old")
    assert run(FAILURES["nobody reads standard output"], str(path), ()) == 1
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["out.json", "out.json.partial"]
    lines = (tmp_path / "out.json.partial").read_bytes().splitlines()
    assert 0 < len(lines) < 40 * len(sample_json)


@pytest.mark.parametrize("words", [(), ("--", "grep", "update"), ("--", "head", "-n", "9999")])
def test_nobody_reads_and_there_is_no_file(big, sample, words):
    """As with other programs: `| head` ends it, quietly."""
    for name in (big, sample):
        assert _run(["-o", "read", name, *words], Failure(stdout="head")) == 0


@pytest.mark.parametrize("compress", ["none", "gz", "bzip2", "zstd"])
@pytest.mark.parametrize("octets", [0, 1, 100_000])
def test_a_packed_stream_that_nobody_reads_to_its_end(big, compress, octets):
    reader, writer = os.pipe()
    words = ["read", big, "--", "write", "--format", "json", "--compress", compress, "-"]
    with Process(words, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        while octets > 0:
            octets -= len(os.read(reader, octets))
        os.close(reader)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")


@pytest.mark.parametrize("options", [(), ("--create",), ("--append",)])
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".zst"])
def test_a_file_that_may_not_grow(sample, tmp_path, options, suffix):
    """As on a full disk, or beyond a quota."""
    path = tmp_path / f"out.json{suffix}"
    done = spawn("read", sample, "--", "write", *options, path, largest=20_000)
    assert done.code == 1
    assert "file too large" in done.err
    if not options or options == ("--create",):
        assert not path.exists()
    for name in files(tmp_path):
        assert contents(tmp_path / name)


@pytest.mark.parametrize("kind", ["fifo", "standard output"])
def test_what_a_signal_leaves_no_time_for_is_a_failure(big, tmp_path, kind):
    """Who reads is too slow: the rest is not written, and exit code 0 would say that it was."""
    fifo = tmp_path / "out"
    os.mkfifo(fifo)
    path = fifo if kind == "fifo" else "-"
    words = command(["read", big, "--", "write", "--format", "json", path])
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        reader = os.open(fifo, os.O_RDONLY) if kind == "fifo" else process.stdout.fileno()
        assert os.read(reader, 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 1
        said = process.stderr.read().decode()
    assert "no time to write" in said or "lost at the end" in said
    if kind == "fifo":
        os.close(reader)
