"""A session that is written to an output which fails: the routers notice nothing, and what is there is good."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sessions import Session, between, eventually, make_open, make_update

import bgpipe
from bgpipe.pipeline.errors import Incomplete
from bgpipe.wire.message import UPDATE

OPENS = make_open(65001), make_open(65002)
COUNT = 600
LIMIT = 1500
"""Octets that a file may have: less than these messages take, packed."""
KINDS = ("json", "mrt", "raw", "json.gz", "mrt.bz2", "raw.zst", "mrt.gz", "json.zst")


@pytest.fixture
def small_files() -> Iterator[None]:
    """A disk that is full soon."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def pour(session: Session, start: int, stop: int) -> None:
    """Sends UPDATEs from the left router, and waits for all of them at the right one."""
    session.left.send(*map(make_update, range(start, stop)))
    got = [message for message in await session.right.until(make_update(stop - 1)) if message.type_code == UPDATE]
    assert [message.octets for message in got] == [make_update(number).octets for number in range(start, stop)]


def options(kind: str) -> list[str]:
    form, _, packed = kind.partition(".")
    return ["--format", form, *(["--compress", packed] if packed else [])]


def written(path: Path, kind: str) -> list[bytes]:
    """The UPDATEs in a file that may be cut short."""
    messages = bgpipe.read(path, format=kind.partition(".")[0])
    return [message.octets for message in messages if message.type_code == UPDATE]


def expect_told(session: Session) -> None:
    """The failure was told once, and named the stage."""
    told = [fields for level, text, fields in session.pipeline.log.lines if "misses messages" in text]
    assert len(told) == 1
    assert "write" in told[0]["stage"]


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_disk_that_is_full(tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    path_before = b"old"
    path.write_bytes(path_before)
    async with between("write", "-R", "--flush", "0.05s", *options(kind), str(path)) as session:
        await session.establish(*OPENS)
        stage = session.pipeline.stage("write")
        await pour(session, 0, 2)
        if not kind.endswith("bz2"):  # which writes a block of 900 kB, or at the end
            await eventually(lambda: any(len(written(new, kind)) == 2 for new in set(tmp_path.iterdir()) - {path}))
        for number in range(4):
            await pour(session, number * COUNT or 2, (number + 1) * COUNT)
        if not kind.endswith("bz2"):
            await eventually(lambda: stage.trouble)
            expect_told(session)
    assert path.read_bytes() == path_before, "the old file stays"
    sent = [make_update(number).octets for number in range(4 * COUNT)]
    for kept in set(tmp_path.iterdir()) - {path}:
        assert kept.name == f"{path.name}.partial"
        found = written(kept, kind)
        assert found == sent[: len(found)], "what was written before is there, and nothing else"
        assert len(found) >= 2 or kind.endswith("bz2")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_device_that_takes_nothing(kind):
    async with between("write", "-R", "--flush", "0.1s", *options(kind), "/dev/full") as session:
        await session.establish(*OPENS)
        await pour(session, 0, COUNT)
        await eventually(lambda: session.pipeline.stage("write").trouble)
        await pour(session, COUNT, 2 * COUNT)
        expect_told(session)


@pytest.mark.parametrize("kind", ["json", "mrt.gz", "raw"])
async def test_a_fifo_whose_reader_dies(tmp_path, kind):
    fifo = tmp_path / "out"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    async with between("write", "-R", *options(kind), str(fifo)) as session:
        await session.establish(*OPENS)
        await pour(session, 0, 3)
        output = session.pipeline.stage("write").writer
        await eventually(lambda: output.written)
        os.close(reader)
        await pour(session, 3, COUNT)
        if not kind.endswith("gz"):
            await eventually(lambda: session.pipeline.stage("write").trouble)
            expect_told(session)
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["json", "mrt.gz", "raw.zst", "json.bz2"])
async def test_a_folder_that_is_gone_at_the_next_file(tmp_path, kind):
    """Each interval has a file; those that can't be opened are told, and the first that can goes on."""
    folder = tmp_path / "archive"
    path = folder / f"out.$TIME.{kind}"
    layout = "20060102.150405"
    async with between("write", "-R", "--every", "60s", "--time-format", layout, str(path)) as session:
        await session.establish(*OPENS)
        stage, now = session.pipeline.stage("write"), time.time()
        output = stage.writer.output
        output._clock = lambda: now
        await pour(session, 0, COUNT)
        await eventually(lambda: not stage._kept and not stage.writer.waiting)
        stage.writer.rotate()
        await eventually(lambda: list_files(folder))
        os.rename(folder, tmp_path / "away")
        folder.write_bytes(b"")  # no folder can be made there
        now += 120
        await pour(session, COUNT, 2 * COUNT)
        await eventually(lambda: stage.trouble)
        expect_told(session)
        await eventually(lambda: not stage._kept and not stage.writer.waiting)
        folder.unlink()
        now += 120
        stage.writer.rotate()
        await eventually(lambda: not stage.trouble)
        await pour(session, 2 * COUNT, 3 * COUNT)
    (error,) = session.pipeline.pipeline.errors
    assert isinstance(error, Incomplete)
    assert re.search(r"write: at least \d+ messages? not written", str(error))
    (last,) = folder.iterdir()
    (first,) = (tmp_path / "away").iterdir()
    found = written(first, kind)
    assert found == [make_update(number).octets for number in range(len(found))]
    assert found or kind.endswith("bz2")
    assert written(last, kind) == [make_update(number).octets for number in range(2 * COUNT, 3 * COUNT)]


def list_files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
