"""Rotation of outputs, and what a full disk does."""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from outputs import LINES, TEXT, contents, names, write, write_all

from bgpipe.net.errors import StreamError
from bgpipe.net.files import open_output
from bgpipe.net.output_file import OutputFile


class Clock:
    """Seconds since 1970, as a test says."""

    def __init__(self, now: float = 1_700_000_123.4) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


ROTATES = """
import sys
from bgpipe.net.output_file import OutputFile
now = [0]
output = OutputFile(sys.argv[1], sys.argv[2], every=60, clock=lambda: now[0])
while True:
    for line in range(200):
        output.write(b"%d of many lines\\n" % line)
    now[0] += 60
    output.rotate()
    print(now[0], flush=True)
"""


@pytest.mark.parametrize("kills", [2, pytest.param(75, marks=pytest.mark.slow)])
@pytest.mark.parametrize("compression", ["none", "gz", "bzip2", "zstd"])
def test_who_is_killed_while_rotating_has_published_whole_files(compression: str, kills: int, tmp_path: Path) -> None:
    """At random moments. What was not published is kept aside by the next one that writes there."""
    rng, last = random.Random(kills), b"199 of many lines\n"
    for number in range(kills):
        folder = tmp_path / str(number)
        argv = [sys.executable, "-c", ROTATES, f"{folder}/$TIME", compression]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 8)):
                process.stdout.readline()
            select.select([], [], [], rng.uniform(0, 0.01))
            process.send_signal(signal.SIGKILL)
        left = [name for name in names(folder) if name.endswith(".tmp")]
        published = [name for name in names(folder) if not name.endswith(".tmp")]
        assert published
        assert len(left) <= 1
        for name in published:
            found = contents(folder / name)
            assert found.count(b"\n") == 200
            assert found.endswith(last)
        for name in left:
            size = (folder / name).stat().st_size
            write(folder / name.removesuffix(".tmp"), last)
            assert (folder / name.replace(".tmp", ".partial")).exists() == (size > 0)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 10,000 octets."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_keeps_the_whole_records(tmp_path: Path) -> None:
    output = open_output(str(tmp_path / "a"))
    with pytest.raises(StreamError, match=r"a: file too large: .*; what was written is in .*a\.partial$") as caught:
        write_all(output, LINES)
    with pytest.raises(StreamError) as again:
        output.write(b"more")
    assert again.value is caught.value
    output.close()
    assert names(tmp_path) == ["a.partial"]
    kept = (tmp_path / "a.partial").read_bytes()
    assert TEXT.startswith(kept)
    assert kept.endswith(b" of many lines\n")
    assert 9900 < len(kept) <= 10_000


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_and_append(tmp_path: Path) -> None:
    for name in ("a", "a.gz"):
        write(tmp_path / name, b"first\n", append=True)
        output = open_output(str(tmp_path / name), append=True)
        with pytest.raises(StreamError, match="file too large"):
            write_all(output, [b"second\n", *(os.urandom(500) for _ in range(400))])
        found = contents(tmp_path / name)
        assert found.startswith(b"first\nsecond\n" if name == "a" else b"first\n")
        assert found == b"first\n" or name == "a"
        write(tmp_path / f"{name}x", b"ok", append=True)


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_is_full_when_the_file_ends(tmp_path: Path) -> None:
    """bzip2 writes nothing before it has a block."""
    write(tmp_path / "a.bz2", b"first\n")
    for append in (False, True):
        output = open_output(str(tmp_path / "a.bz2"), append=append)
        output.write(os.urandom(50_000))
        with pytest.raises(StreamError, match="file too large"):
            output.close()
        assert contents(tmp_path / "a.bz2") == b"first\n"
    write(tmp_path / "a.bz2", b"second\n", append=True)
    assert contents(tmp_path / "a.bz2") == b"first\nsecond\n"


def test_rotation(tmp_path: Path) -> None:
    clock = Clock()
    pattern = f"{tmp_path}/${{2006/01}}/out.$TIME.gz"
    output = OutputFile(pattern, "gz", every=300, clock=clock)
    assert output.deadline == 1_700_000_100 + 300
    output.write(b"first\n")
    clock.now += 270
    output.write(b"second\n")
    clock.now += 10
    output.write(b"third\n")
    assert names(tmp_path) == ["2023/11/out.20231114.2215.gz", "2023/11/out.20231114.2220.gz.tmp"]
    clock.now += 3000
    output.rotate()
    assert output.deadline is None
    assert names(tmp_path) == ["2023/11/out.20231114.2215.gz", "2023/11/out.20231114.2220.gz"]
    output.rotate()
    output.write(b"fourth\n")
    assert output.path.endswith("/2023/11/out.20231114.2310.gz")
    output.close()
    parts = [contents(tmp_path / name) for name in names(tmp_path)]
    assert parts == [b"first\nsecond\n", b"third\n", b"fourth\n"]


def test_a_restart_within_the_interval_goes_on_with_its_file(tmp_path: Path) -> None:
    clock = Clock()
    for line in (b"first\n", b"second\n"):
        output = OutputFile(f"{tmp_path}/$TIME", every=3600, clock=clock)
        output.write(line)
        output.close()
        clock.now += 1
    assert [(name, contents(tmp_path / name)) for name in names(tmp_path)] == [("20231114.2200", b"first\nsecond\n")]


@pytest.mark.usefixtures("small_files")
def test_rotation_goes_on_after_a_full_disk(tmp_path: Path) -> None:
    clock = Clock()
    output = OutputFile(f"{tmp_path}/$TIME", every=60, clock=clock)
    with pytest.raises(StreamError, match="file too large"):
        output.write(bytes(20_000))
    with pytest.raises(StreamError, match="file too large"):
        output.write(b"small")
    clock.now += 60
    output.write(b"small")
    output.close()
    assert names(tmp_path) == ["20231114.2216"]


def test_one_file_with_its_time(tmp_path: Path) -> None:
    clock = Clock()
    output = OutputFile(f"{tmp_path}/$TIME", time_format="Jan_2 15h04:05.000", clock=clock)
    output.write(b"x")
    clock.now += 100_000
    output.write(b"y")
    output.close()
    assert [(name, contents(tmp_path / name)) for name in names(tmp_path)] == [("Nov14 22h15:23.400", b"xy")]


def test_rotation_wants_a_time_in_the_path_and_a_minute(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"\$TIME or \${LAYOUT} must be in the path"):
        open_output(str(tmp_path / "a"), every=60)
    with pytest.raises(StreamError, match="--every must be at least 60s"):
        open_output(str(tmp_path / "$TIME"), every=59)
