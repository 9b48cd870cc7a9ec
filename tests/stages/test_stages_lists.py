"""Files with lists: read anew when they change, in a process of their own if they are large, and never empty by
accident."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from sessions import address, running

from bgpipe.pipeline.errors import StageError
from bgpipe.routes.prefix_lists import AsList, PrefixList
from bgpipe.stages.base import list_file
from bgpipe.stages.base.list_file import LOOK_EVERY, ListFile
from bgpipe.stages.base.list_reader import LARGE, parse_apart
from bgpipe.wire.errors import TextError
from bgpipe.wire.prefix import parse_prefix

ATTRIBUTES = json.dumps(
    {
        name: {"flags": "T", "value": value}
        for name, value in (("ORIGIN", "IGP"), ("ASPATH", [3333]), ("NEXTHOP", "193.0.4.28"))
    }
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    monkeypatch.setattr(list_file, "QUIET", 0)
    return Clock()


def lines(count: int, first: int = 1) -> str:
    return "".join(f"{first + number >> 8 & 0xFF}.{first + number & 0xFF}.0.0/16\n" for number in range(count))


def a_list(path: Path, clock: Clock, count: int = 10) -> ListFile[PrefixList]:
    path.write_text(lines(count))
    return ListFile(str(path), "prefixes", clock)


async def test_a_file_that_changes(tmp_path, clock):
    path = tmp_path / "list"
    made = a_list(path, clock)
    heard: list[int] = []
    made.on_change(lambda changes: heard.append(len(changes or ())))
    path.write_text(lines(8))
    assert not await made.look()  # it was looked at a moment ago
    clock.now += LOOK_EVERY
    assert await made.look()
    assert (len(made.current), made.version, heard) == (8, 2, [2])
    clock.now += LOOK_EVERY
    assert not await made.look()
    os.utime(path)
    clock.now += LOOK_EVERY
    assert not await made.look()  # it says the same
    assert made.version == 2


async def test_half_of_a_list_counts_only_if_it_stays(tmp_path, clock):
    path = tmp_path / "list"
    made = a_list(path, clock)
    path.write_text(lines(4))
    assert await made.look(again=True)
    assert (len(made.current), "4 entries instead of 10" in made.error) == (10, True)
    assert not await made.look(again=True)  # SIGHUP for the next session
    clock.now += LOOK_EVERY
    path.write_text(lines(3))
    assert await made.look()
    assert len(made.current) == 10
    clock.now += LOOK_EVERY
    assert await made.look()
    assert (len(made.current), made.error) == (3, "")


@pytest.mark.parametrize("text", ["", "! generated prefix-list NN is empty\n", "<html>", "10.0.0.0/8 le 7\n"])
async def test_what_is_no_list_never_counts(tmp_path, clock, text):
    path = tmp_path / "list"
    made = a_list(path, clock)
    path.write_text(text)
    for _ in range(3):
        clock.now += LOOK_EVERY
        await made.look()
        assert (len(made.current), bool(made.error)) == (10, True)
    path.write_text(lines(10))
    clock.now += LOOK_EVERY
    assert await made.look()  # there is no error any more
    assert (made.error, made.version) == ("", 1)


async def test_a_file_that_is_away_for_a_while(tmp_path, clock):
    path = tmp_path / "list"
    made = a_list(path, clock)
    path.rename(tmp_path / "away")
    clock.now += LOOK_EVERY
    assert await made.look()
    assert "no such file" in made.error
    (tmp_path / "away").rename(path)
    clock.now += LOOK_EVERY
    assert await made.look()
    assert made.error == ""


async def test_one_session_looks_for_all(tmp_path, clock):
    path = tmp_path / "list"
    made = a_list(path, clock)
    path.write_text(lines(9))
    told = await asyncio.gather(*(made.look(again=True) for _ in range(5)))
    assert told.count(True) == 1
    assert len(made.current) == 9


async def test_a_file_that_is_being_written(tmp_path, clock, monkeypatch):
    """Half of it is not taken for the whole."""
    monkeypatch.setattr(list_file, "QUIET", 0.05)
    path = tmp_path / "list"
    made = a_list(path, clock)

    def write_more(seconds: float) -> None:
        if len(path.read_text()) < len(lines(9)):
            path.write_text(lines(9))

    monkeypatch.setattr(list_file.time, "sleep", write_more)
    path.write_text(lines(7))
    assert await made.look(again=True)
    assert len(made.current) == 9


@pytest.mark.parametrize("path", ["fifo", "."])
def test_what_is_no_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with pytest.raises((TextError, OSError)):
        ListFile(path, "prefixes")


async def test_a_large_list_is_read_by_another_process(tmp_path, clock, monkeypatch):
    path = tmp_path / "list"
    made = a_list(path, clock)
    text = lines(30000) + "".join(f"2001:{number:x}::/32\n" for number in range(30))
    assert len(text) >= LARGE
    path.write_text(text)
    monkeypatch.setitem(list_file.KINDS, "prefixes", _refuse)  # not in this process
    assert await made.look(again=True)
    monkeypatch.undo()
    assert made.current == list_file.KINDS["prefixes"](text)
    assert made.current.covers(parse_prefix("2001:7:1::/48"))
    path.write_text(text + "<\n")
    assert await made.look(again=True)
    assert made.error.startswith("line 30031")


def _refuse(text: str) -> Any:
    raise AssertionError("it is read in the event loop")


async def test_a_large_list_is_read_by_another_process_the_first_time_too(tmp_path, clock, monkeypatch):
    path = tmp_path / "list"
    text = lines(30000)
    path.write_text(text)
    monkeypatch.setitem(list_file.KINDS, "prefixes", _refuse)
    made: ListFile[PrefixList] = ListFile(str(path), "prefixes", clock)
    assert not made.is_loaded
    await asyncio.gather(made.load(), made.load())
    monkeypatch.undo()
    assert made.current == list_file.KINDS["prefixes"](text)
    monkeypatch.setattr(list_file, "QUIET", 0)
    clock.now += LOOK_EVERY
    assert not await made.look()


@pytest.mark.parametrize(("text", "error"), [("x\n" * LARGE, "nothing in the list"), ("<\n" * LARGE, "line 1: ")])
async def test_a_large_file_that_is_no_list(tmp_path, clock, text, error):
    path = tmp_path / "list"
    path.write_text(text)
    made: ListFile[PrefixList] = ListFile(str(path), "prefixes", clock)
    with pytest.raises(TextError, match=error):
        await made.load()


async def test_a_large_list_that_can_not_be_read_ends_a_session(tmp_path):
    """It names the option and the file."""
    path = tmp_path / "list"
    path.write_text("<\n" * LARGE)
    async with running(
        "--", "listen", address(), "--", "guard", "--origins", path, "--", "connect", "-W", "listen", address()
    ) as it:
        with pytest.raises(StageError, match=r"--origins: .*list: line 1: '<' is no AS number"):
            await it.ended()


async def test_a_large_list_counts_from_the_first_message_on(tmp_path):
    path, out = tmp_path / "list", tmp_path / "out.json"
    path.write_text(lines(30000) + "8.8.8.0/24\n")
    rows = [
        f'["R",0,"","UPDATE",{{"reach":["{prefix}"],"attrs":{ATTRIBUTES}}}]' for prefix in ("8.8.8.0/24", "8.8.4.0/24")
    ]
    (tmp_path / "in.json").write_text("\n".join(rows) + "\n")
    async with running(tmp_path / "in.json", "--", "guard", "--prefixes", path, "--", "write", out) as it:
        await it.ended()
    assert [('"reach"' in line, '"unreach"' in line) for line in out.read_text().splitlines()] == [
        (True, False),
        (False, True),
    ]


async def test_a_large_list_of_as_numbers():
    found = await parse_apart("asns", "AS1\nAS3-AS5\n")
    assert isinstance(found, AsList)
    assert found.ranges == [(1, 1), (3, 5)]
    with pytest.raises(TextError, match="line 1"):
        await parse_apart("asns", "x")
