"""Counts at the end, and progress meanwhile."""

from __future__ import annotations

import asyncio
import sys

import pytest

from bgpipe.formats.base import Counts
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.runtime import report
from bgpipe.stages.read import Read
from bgpipe.stages.stdout import Stdout
from bgpipe.stages.write import Write


class Stream:
    """Half of a file of a thousand octets."""

    total: int | None = 1000
    position = 500


class Decoder:
    """What a decoder has counted."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts


def reading(*counts: Counts, last: type = Write) -> Pipeline:
    pipeline = Pipeline()
    for number, count in enumerate(counts, 1):
        source = Read("read", ["x.mrt"])
        source.decoder = Decoder(count)
        source.stream = Stream()
        pipeline.add(source, index=number)
    pipeline.add(last(last.__name__.lower(), ["y.json"]), index=9)
    return pipeline


def test_a_summary_adds_up_all_sources():
    first = Counts(records=1500, messages=1000, states=3, skipped=2, kinds={"RIB_GENERIC": 2})
    second = Counts(records=10, messages=10, skipped=5, kinds={"OSPF": 4, "RIB_GENERIC": 1})
    pipeline = reading(first, second)
    pipeline.stages[0].damages = 2
    assert report.summary(pipeline, 0.5) == {
        "records": "1,510",
        "messages": "1,010",
        "states": "3",
        "skipped": "7 (OSPF 4, RIB_GENERIC 3)",
        "damaged": "2",
        "seconds": "0.50",
        "rate": "2,020/s",
    }


def test_what_is_rare_is_told_only_if_it_happened():
    pipeline = reading(Counts(records=1, messages=1))
    assert list(report.summary(pipeline, 0.0)) == ["records", "messages", "skipped", "damaged", "seconds", "rate"]
    pipeline.malformed_messages = 4
    assert report.summary(pipeline, 1.0)["malformed"] == "4"


@pytest.mark.parametrize("total", [1000, None])
async def test_progress(monkeypatch, capsys, total):
    monkeypatch.setattr(report, "QUIET", 0)
    monkeypatch.setattr(report, "REFRESH", 0)
    monkeypatch.setattr(Stream, "total", total)
    monkeypatch.setenv("FORCE_COLOR", "1")
    task = asyncio.create_task(report.show_progress(reading(Counts(messages=123456))))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    shown = capsys.readouterr().err
    assert "123,456 messages" in shown
    assert ("50%" in shown) is (total is not None)


def test_progress_needs_a_terminal_of_its_own(monkeypatch):
    printing, writing = reading(Counts(), last=Stdout), reading(Counts())
    assert not report.wants_progress(writing)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert report.wants_progress(writing)
    assert report.wants_progress(printing)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert not report.wants_progress(printing)
    assert report.wants_progress(writing)
