"""Which source of --rpki counts, when there are several, and what is held back or dropped; without a socket."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgpipe.net.rpki import sources as module
from bgpipe.net.rpki.file import FileSource
from bgpipe.net.rpki.settings import RpkiSettings, SourceSpec, parse_source
from bgpipe.net.rpki.source import Source
from bgpipe.net.rpki.sources import RpkiSources, load
from bgpipe.pipeline import events
from bgpipe.pipeline.log import NullLog
from bgpipe.rpki.current import Rpki
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.tasks import Tasks
from bgpipe.wire.prefix import Prefix


def vrps(count: int, asn: int = 64500) -> Snapshot:
    return Snapshot.of(Vrp(Prefix(1, number << 8, 24), 24, asn) for number in range(count))


class Clock:
    seconds = 1000.0


class Told(Source):
    """A source that says what the test lets it say."""

    kind = "file"
    running = False
    looks = 0

    async def run(self) -> None:
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False

    def look(self) -> None:
        self.looks += 1

    @property
    def now(self) -> float:
        return Clock.seconds


class Setting:
    """Sources called a, b, ... in this order."""

    def __init__(self, count: int, **settings: Any) -> None:
        specs = tuple(SourceSpec("file", name) for name in "abc"[:count])
        self.rpki = Rpki()
        self.events: list[str] = []
        self.sources = RpkiSources(RpkiSettings(specs, expire=100.0, **settings), self.rpki, NullLog())
        self.sources.on_event = lambda name, values, error: self.events.append(name.removeprefix("rpki/"))
        self.told: list[Any] = self.sources._sources

    async def settled(self) -> None:
        """What was asked for has been done: the work takes threads."""
        self.sources.evaluate()
        for _ in range(200):
            await asyncio.sleep(0.001)
            if not self.sources._wake.is_set():
                break
        await asyncio.sleep(0.02)

    @property
    def active(self) -> list[str]:
        return [state.name for state in self.rpki.sources() if state.active]

    @property
    def running(self) -> list[str]:
        return [str(source) for source in self.told if source.running]


def conversation(count: int, **settings: Any) -> Callable[[Callable[[Setting], Any]], Callable[[Any], None]]:
    """Runs a test in an event loop with so many sources."""

    def decorate(test: Callable[[Setting], Any]) -> Callable[[Any], None]:
        async def run() -> None:
            setting = Setting(count, **settings)
            tasks = Tasks()
            setting.sources.start(tasks)
            await setting.settled()
            try:
                await test(setting)
            finally:
                await setting.sources.close()
                await tasks.close()

        def runner(monkeypatch: pytest.MonkeyPatch) -> None:
            monkeypatch.setitem(module.KINDS, "file", Told)
            monkeypatch.setattr(Clock, "seconds", 1000.0)
            asyncio.run(run())

        runner.__name__, runner.__doc__ = test.__name__, test.__doc__
        return runner

    return decorate


@conversation(3)
async def test_the_next_source_is_asked_only_where_those_before_it_have_nothing(here: Setting):
    assert here.running == ["a"]
    here.told[0].fail("refused")
    await here.settled()
    assert here.running == ["a", "b"]
    here.told[1].take(vrps(2))
    await here.settled()
    assert (here.active, len(here.rpki.snapshot), here.running) == (["b"], 2, ["a", "b"])
    here.told[0].take(vrps(3))
    await here.settled()
    assert (here.active, len(here.rpki.snapshot), here.running) == (["a"], 3, ["a"])
    assert here.told[1].snapshot is None


@conversation(2)
async def test_a_source_that_does_not_answer_is_not_waited_for(here: Setting):
    Clock.seconds += module.PATIENCE
    await here.settled()
    assert here.running == ["a", "b"]


@conversation(2)
async def test_a_source_that_is_lost_counts_until_its_data_are_too_old(here: Setting):
    here.told[0].take(vrps(4))
    here.told[0].fail("gone")
    await here.settled()
    assert (here.active, here.running) == (["a"], ["a"])
    Clock.seconds += 51  # of 100: another one is made ready
    await here.settled()
    assert (here.active, here.running) == (["a"], ["a", "b"])
    here.told[1].take(vrps(5))
    await here.settled()
    assert here.active == ["a"]
    Clock.seconds += 50
    await here.settled()
    assert (here.active, len(here.rpki.snapshot)) == (["b"], 5)
    here.told[0].take(vrps(6))
    await here.settled()
    assert (here.active, len(here.rpki.snapshot), here.running) == (["a"], 6, ["a"])
    assert here.events.count("SOURCE") == 3


@conversation(1)
async def test_data_that_are_too_old_are_kept_and_told_once(here: Setting):
    here.told[0].take(vrps(4))
    here.told[0].fail("gone")
    await here.settled()
    assert here.sources.trouble == ""
    for _ in range(2):
        Clock.seconds += 101
        await here.settled()
    assert (here.events.count("STALE"), len(here.rpki.snapshot)) == (1, 4)
    assert "too old" in here.sources.trouble
    assert here.rpki.sources()[0].state == "expired"
    here.told[0].confirm()
    await here.settled()
    assert here.sources.trouble == ""


@conversation(1, drops_stale=True)
async def test_data_that_are_too_old_are_dropped(here: Setting):
    here.told[0].take(vrps(4))
    await here.settled()
    Clock.seconds += 101
    await here.settled()
    assert (here.rpki.snapshot, here.rpki.ready, here.active) == (EMPTY, True, [])
    here.told[0].take(vrps(4))
    await here.settled()
    assert len(here.rpki.snapshot) == 4


@conversation(1)
async def test_a_set_that_shrinks_by_more_than_half_waits_for_a_second_fetch(here: Setting):
    here.told[0].take(vrps(10))
    here.told[0].take(vrps(5))  # exactly half
    await here.settled()
    assert len(here.rpki.snapshot) == 5
    here.told[0].take(vrps(2))
    await here.settled()
    assert (len(here.rpki.snapshot), here.events.count("SHRINK")) == (5, 1)
    assert "shrunk" in here.sources.trouble
    here.told[0].take(vrps(4))  # it was a slip
    await here.settled()
    assert (len(here.rpki.snapshot), here.sources.trouble) == (4, "")
    here.told[0].take(vrps(1))
    await here.settled()
    here.told[0].confirm()
    await here.settled()
    assert (len(here.rpki.snapshot), here.sources.trouble) == (1, "")


@conversation(1)
async def test_nothing_at_all_waits_too(here: Setting):
    here.told[0].take(Snapshot.of(vrps(1).vrps(1), {64500: [64501]}))
    here.told[0].take(vrps(1))
    await here.settled()
    assert (len(here.rpki.snapshot.aspas), here.events.count("SHRINK")) == (1, 1)


@conversation(1, shrinks=True)
async def test_a_set_may_shrink_where_an_option_says_so(here: Setting):
    here.told[0].take(vrps(10))
    await here.settled()
    here.told[0].take(vrps(1))
    await here.settled()
    assert (len(here.rpki.snapshot), "SHRINK" in here.events) == (1, False)


@conversation(1)
async def test_the_same_again_is_no_change(here: Setting):
    for _ in range(3):
        here.told[0].take(vrps(3))
        await here.settled()
    assert here.events == ["SOURCE", "UPDATE"]


@conversation(2)
async def test_without_any_data_the_error_says_why(here: Setting):
    here.told[0].fail("a is gone")
    here.told[1].fail("b is gone")
    await here.settled()
    assert (here.rpki.ready, here.rpki.error) == (False, "a is gone; b is gone")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.8:8282", ("rtr", "192.0.2.8", 8282, False)),
        ("rtr.example:323", ("rtr", "rtr.example", 323, False)),
        ("[2001:db8::1]:8282", ("rtr", "2001:db8::1", 8282, False)),
        ("tls://rtr1:8283", ("rtr", "rtr1", 8283, True)),
        ("tls://[2001:db8::1]:324", ("rtr", "2001:db8::1", 324, True)),
        ("https://example.net/vrps.json", ("url", "", 0, False)),
        ("/var/lib/rpki/vrps.json", ("file", "", 0, False)),
        ("./a:b.json", ("file", "", 0, False)),
        ("vrps.json", ("file", "", 0, False)),
    ],
)
def test_what_kind_of_source_a_word_means(text: str, found: tuple[str, str, int, bool]):
    spec = parse_source(text)
    assert (spec.kind, spec.host, spec.port, spec.tls) == found
    assert spec.place == ("" if spec.kind == "rtr" else text)


@pytest.mark.parametrize("text", ["host:", "host:70000", "host:x", "tls://host", "tls://:1", "ftp://a/b", "http://"])
def test_words_that_mean_no_source(text: str):
    with pytest.raises(ValueError, match=r"expected|not a"):
        parse_source(text)


def test_a_password_in_a_url_is_not_shown():
    assert parse_source("https://joe:secret@example.net/a").name == "https://joe:***@example.net/a"


def write(path: Path, *asns: int) -> None:
    roas = [{"asn": asn, "prefix": f"10.{asn}.0.0/16", "maxLength": 16} for asn in asns]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"roas": roas}))
    os.utime(new, (1_000_000 + sum(asns), 1_000_000 + sum(asns)))  # it is older than what is being written
    new.replace(path)


def settings(*places: Path) -> RpkiSettings:
    return RpkiSettings(tuple(SourceSpec("file", place.name, place=str(place)) for place in places))


def test_a_file_is_read_again_when_it_changes(tmp_path: Path):
    path = tmp_path / "vrps.json"
    write(path, 1, 2)

    async def run() -> None:
        source = FileSource(settings(path).sources[0], settings(path), NullLog())
        await source._check()
        assert (len(source.snapshot or ()), source.fetches) == (2, 1)
        first = source.snapshot
        await source._check()
        assert (source.snapshot is first, source.fetches) == (True, 2)
        write(path, 1, 2, 3)
        await source._check()
        assert len(source.snapshot or ()) == 3
        path.unlink()
        await source._check()
        assert (len(source.snapshot or ()), source.errors) == (3, 1)
        assert "no such file" in source.error
        path.write_text("{")
        os.utime(path, (5, 5))
        await source._check()
        assert (len(source.snapshot or ()), source.errors) == (3, 2)
        path.unlink()
        os.mkfifo(path)
        await source._check()
        assert "not a regular file" in source.error

    asyncio.run(run())


def test_what_sources_say_once(tmp_path: Path):
    good, missing = tmp_path / "good.json", tmp_path / "missing.json"
    write(good, 1)
    rpki = asyncio.run(load(settings(missing, good), NullLog(), 30.0))
    assert (len(rpki.snapshot), rpki.error) == (1, "")
    rpki = asyncio.run(load(settings(missing), NullLog(), 30.0))
    assert (rpki.ready, "missing.json: no such file" in rpki.error) == (False, True)


def test_the_names_of_events_are_known():
    assert {events.RPKI_UPDATE, events.RPKI_STALE} <= events.PIPE_EVENTS


def test_local_exceptions_of_a_file(tmp_path: Path):
    data, slurm = tmp_path / "vrps.json", tmp_path / "slurm.json"
    write(data, 1, 2)
    filters = {"prefixFilters": [{"asn": 2}], "bgpsecFilters": []}
    added = {"prefixAssertions": [{"asn": 7, "prefix": "192.0.2.0/24"}], "bgpsecAssertions": []}
    said = {"slurmVersion": 1, "validationOutputFilters": filters, "locallyAddedAssertions": added}
    slurm.write_text(json.dumps(said))
    with_slurm = replace(settings(data), slurm=str(slurm))
    rpki = asyncio.run(load(with_slurm, NullLog(), 30.0))
    assert [vrp.asn for vrp in rpki.snapshot.vrps(1)] == [1, 7]
    slurm.write_text("{}")
    rpki = asyncio.run(load(with_slurm, NullLog(), 30.0))
    assert (rpki.ready, "--rpki-slurm" in rpki.error) == (False, True)
