"""Lists over time: versions, differences, rollback, what is held back, and what a restart finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgpipe.pipeline.log import NullLog
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routeserver.config import AutoRefresh, Irr, PrefixSource, RipeStat
from bgpipe.routeserver.list import OWNERS, List
from bgpipe.routeserver.lists import Lists
from bgpipe.routeserver.sources.base import Fetched
from bgpipe.routeserver.sources.content import Form, read
from bgpipe.routeserver.sources.context import Context
from bgpipe.routeserver.sources.fetch import Fetcher
from bgpipe.routeserver.sources.ripestat import RipeStatClient
from bgpipe.routeserver.sources.worker import Lane
from bgpipe.routeserver.versions import VersionError, VersionFolder
from bgpipe.tasks import Tasks


class Rig:
    """Lists of files in a folder, read in this process. changed: the names of lists that have become others."""

    def __init__(
        self, folder: Path, tasks: Tasks, *sources: PrefixSource, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self.changed: list[str] = []
        fetcher = Fetcher()
        context = Context(folder, fetcher, RipeStatClient(RipeStat(), fetcher), Irr())
        self.lists = Lists(dict.fromkeys(OWNERS, context), folder / "lists", AutoRefresh(), NullLog())
        self.lists.clock = clock
        self.lists.on_change = self.changed.append
        self.lists.want("config", {source.name: source for source in sources})
        self.lists.start(tasks)

    def write(self, name: str, *prefixes: str) -> None:
        path = self.folder / f"{name}.new"
        path.write_text("".join(f"{prefix}\n" for prefix in prefixes))
        path.replace(self.folder / f"{name}.txt")

    async def give(self, name: str, *prefixes: str) -> List:
        """The source of a list gives these prefixes. Returns when the list knows."""
        self.write(name, *prefixes)
        before = self.lists[name].checked_at
        self.lists.refresh(name)
        await until(lambda: self.lists[name].checked_at > before)
        return self.lists[name]


async def until(happened: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - several things happen
            await asyncio.sleep(0.002)


async def read_here(octets: bytes, form: Form, lane: Lane) -> Any:
    return read(octets, form)


@pytest.fixture(autouse=True)
def _reads_here(monkeypatch):
    monkeypatch.setattr("bgpipe.routeserver.lists.read_list", read_here)


@asynccontextmanager
async def rig(folder: Path, *sources: PrefixSource, clock: Callable[[], float] = time.time) -> AsyncIterator[Rig]:
    tasks = Tasks()
    try:
        yield Rig(folder, tasks, *(sources or (PrefixSource(name="a", path="a.txt"),)), clock=clock)
    finally:
        await tasks.close()


def hosts(number: int, net: str = "9.9") -> list[str]:
    return [f"{net}.{each // 256}.{each % 256}/32" for each in range(number)]


async def test_the_last_versions_are_kept_and_compared(tmp_path):
    async with rig(tmp_path) as here:
        for number in range(1, 13):
            await here.give("a", "1.0.0.0/8", f"{number + 1}.0.0.0/8")
        versions = await here.lists.versions("a")
        assert [version.number for version in versions] == list(range(12, 2, -1))
        found = await here.lists.difference("a", 3, 12)
        assert (list(found.more), list(found.fewer)) == (["13.0.0.0/8"], ["4.0.0.0/8"])
        with pytest.raises(VersionError, match="no version 2 of this list"):
            await here.lists.difference("a", 2, 12)
        with pytest.raises(KeyError):
            await here.lists.versions("b")


async def test_a_list_that_is_asked_in_vain_stays_at_its_version(tmp_path):
    async with rig(tmp_path) as here:
        for _ in range(3):
            found = await here.give("a", "1.0.0.0/8")
        assert found.version is not None
        assert found.version.number == 1
        assert here.changed == ["a"]


async def test_a_list_that_was_rolled_back_stays_so_until_somebody_accepts_what_its_source_says(tmp_path):
    async with rig(tmp_path) as here:
        await here.give("a", "1.0.0.0/8")
        found = await here.give("a", "2.0.0.0/8")
        await here.lists.rollback("a", 1)
        assert list(found.prefixes) == ["1.0.0.0/8"]
        await here.give("a", "3.0.0.0/8")
        assert found.held is not None
        assert found.held.why == "the list was rolled back to version 1"
        assert [list(each) for each in found.held.difference] == [["3.0.0.0/8"], ["1.0.0.0/8"]]
        assert [version.number for version in await here.lists.versions("a")] == [4, 3, 2, 1]
        with pytest.raises(VersionError, match="waits for a word"):
            await here.lists.rollback("a", 4)
    async with rig(tmp_path) as here:  # a restart has not forgotten it
        found = await here.give("a", "3.0.0.0/8")
        assert list(found.prefixes) == ["1.0.0.0/8"]
        here.lists.accept("a")
        assert list(found.prefixes) == ["3.0.0.0/8"]
        assert list((await here.give("a", "4.0.0.0/8")).prefixes) == ["4.0.0.0/8"]


async def test_a_source_that_comes_back_to_what_was_rolled_back_to_counts_again(tmp_path):
    async with rig(tmp_path) as here:
        await here.give("a", "1.0.0.0/8")
        await here.give("a", "2.0.0.0/8")
        await here.lists.rollback("a", 1)
        await here.give("a", "1.0.0.0/8")
        assert list((await here.give("a", "3.0.0.0/8")).prefixes) == ["3.0.0.0/8"]


@pytest.mark.parametrize(
    ("settings", "before", "after", "why"),
    [
        ({}, 300, 149, "it has shrunk from 300 to 149 prefixes"),
        ({}, 300, 150, ""),
        ({}, 300, 3001, "it has grown from 300 to 3001 prefixes"),
        ({}, 300, 3000, ""),
        ({}, 100, 1, ""),
        ({"max_shrink": 0.1}, 100, 89, "it has shrunk from 100 to 89 prefixes"),
        ({"max_shrink": 0.1}, 100, 90, ""),
        ({"max_shrink": 1.0}, 300, 1, ""),
        ({"max_growth": 2.0}, 10, 21, "it has grown from 10 to 21 prefixes"),
        ({"max_growth": 100.0}, 300, 4000, ""),
        ({"max": 200}, 100, 201, "201 prefixes, more than its Max of 200"),
    ],
)
async def test_a_list_that_collapses_or_explodes_waits_for_a_word(tmp_path, settings, before, after, why):
    async with rig(tmp_path, PrefixSource(name="a", path="a.txt", **settings)) as here:
        await here.give("a", *hosts(before))
        found = await here.give("a", *hosts(after))
        assert (found.held.why if found.held is not None else "") == why
        assert len(found.prefixes) == (before if why else after)
        if why:
            here.lists.accept("a")
            assert len(found.prefixes) == after


class Clock:
    """A clock that goes on when it is told."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


BEGIN = 1798761600.0  # 2027-01-01T00:00:00Z
SOON = BEGIN + 0.05  # the timer is a real one


def ending(prefix: str, end: float) -> str:
    return f"{prefix} expires={datetime.fromtimestamp(end, UTC).isoformat()}"


async def test_a_line_that_is_over_goes_by_itself(tmp_path):
    clock = Clock(BEGIN)
    parts = (PrefixSource(name="a", path="a.txt", max_shrink=0.0), PrefixSource(name="s", kind="set", sources=("a",)))
    async with rig(tmp_path, *parts, clock=clock) as here:
        late = ending("2.0.0.0/8", BEGIN + 3600)
        found = await here.give("a", "1.0.0.0/8", ending("9.9.9.0/24", SOON), late, ending("8.8.8.8/32", BEGIN))
        assert list(found.prefixes) == ["1.0.0.0/8", "2.0.0.0/8", "9.9.9.0/24"]
        await until(lambda: here.lists["s"].known)
        here.changed.clear()
        clock.now = SOON
        await until(lambda: here.changed == ["a", "s"])
        assert list(found.prefixes) == list(here.lists["s"].prefixes) == ["1.0.0.0/8", "2.0.0.0/8"]
        assert (found.number, found.held, found.failures) == (1, None, 0)
        found = await here.give("a", "1.0.0.0/8", ending("9.9.9.0/24", SOON), late, ending("8.8.8.8/32", BEGIN))
        assert (found.number, found.held) == (1, None)  # it still says the same
        assert here.changed == ["a", "s"]
    async with rig(tmp_path, *parts, clock=clock) as here:  # after a restart
        assert list(here.lists["a"].prefixes) == ["1.0.0.0/8", "2.0.0.0/8"]
        clock.now = BEGIN + 3600
        here.lists["a"].end(clock.now)
        assert list(here.lists["a"].prefixes) == ["1.0.0.0/8"]


async def test_a_line_whose_end_is_moved_stays(tmp_path):
    clock = Clock(BEGIN)
    async with rig(tmp_path, clock=clock) as here:
        await here.give("a", ending("9.9.9.0/24", SOON), ending("9.9.8.0/24", SOON))
        found = await here.give("a", ending("9.9.9.0/24", BEGIN + 3600), ending("9.9.8.0/24", SOON))
        assert found.number == 2
        clock.now = SOON
        await until(lambda: len(found.prefixes) == 1)
        assert list(found.prefixes) == ["9.9.9.0/24"]
        clock.now = BEGIN + 3600
        found = await here.give("a", ending("9.9.9.0/24", BEGIN + 3600), ending("9.9.7.0/24", BEGIN))
        assert (found.held, found.number) == (None, 3)  # none of it is left, since all of it is over
        assert list(found.prefixes) == []
        assert found.warning == "it is empty: all its lines are over"


async def test_what_is_over_does_not_come_back_by_a_rollback_or_a_word(tmp_path):
    clock = Clock(BEGIN)
    async with rig(tmp_path, PrefixSource(name="a", path="a.txt", max_growth=1.0), clock=clock) as here:
        await here.give("a", "1.0.0.0/8", ending("9.9.9.0/24", BEGIN + 60))
        await here.give("a", "2.0.0.0/8", "1.0.0.0/8")
        more = (ending("9.9.8.0/24", BEGIN + 60), ending("9.9.7.0/24", BEGIN + 90))
        found = await here.give("a", "1.0.0.0/8", "3.0.0.0/8", *more)
        assert found.held is not None
        clock.now = BEGIN + 60
        here.lists.accept("a")
        assert list(found.prefixes) == ["1.0.0.0/8", "3.0.0.0/8", "9.9.7.0/24"]
        await here.lists.rollback("a", 1)
        assert list(found.prefixes) == ["1.0.0.0/8"]


async def test_torn_ends_are_as_a_torn_version(tmp_path):
    async with rig(tmp_path) as here:
        await here.give("a", "1.0.0.0/8")
        found = await here.give("a", ending("9.9.9.0/24", BEGIN * 2))
        assert found.version is not None
        found.folder.keep(msgspec.structs.replace(found.version, number=3, ends=(b"x" * 8, b"", b"", b"")))
        newest = found.folder.newest()
        assert newest is not None
        assert (newest.number, list(newest.lifetimes.prefixes)) == (2, ["9.9.9.0/24"])


class Says:
    """A source that says whatever it is to say."""

    def __init__(self, *prefixes: str) -> None:
        self.prefixes = prefixes

    async def fetch(self, validator: str) -> Fetched:
        return Fetched(prefixes=PrefixSet.parse(self.prefixes))


async def test_a_list_of_which_nothing_is_left_waits_for_a_word_however_small(tmp_path):
    wanted = PrefixSource(name="a", kind="other", max_shrink=1.0)
    async with rig(tmp_path, wanted) as here:
        found = here.lists["a"]
        await until(lambda: found.error)
        found.source = says = Says()
        here.lists.refresh("a")
        await until(lambda: found.known)
        assert (len(found.prefixes), found.error, found.failures) == (0, "", 0)
        assert found.warning == "it is empty: its source says that there are no prefixes"
        says.prefixes = ("9.9.9.0/24",)
        here.lists.refresh("a")
        await until(lambda: found.prefixes)
        assert found.warning == ""
        says.prefixes = ()
        here.lists.refresh("a")
        await until(lambda: found.held)
        assert list(found.prefixes) == ["9.9.9.0/24"]
        assert found.held.why == "it has collapsed: its source says that none of its 1 prefixes is left"
        here.lists.accept("a")
        assert (len(found.prefixes), found.held) == (0, None)
    async with rig(tmp_path, wanted) as here:  # after a restart
        assert here.lists["a"].known
        assert here.lists["a"].warning


async def test_a_set_of_which_nothing_is_left_is_as_its_lists_are(tmp_path):
    parts = (PrefixSource(name="a", path="a.txt"), PrefixSource(name="b", path="b.txt"))
    async with rig(tmp_path, *parts, PrefixSource(name="s", kind="set", sources=("a",), without=("b",))) as here:
        await here.give("a", "9.9.9.0/24")
        await here.give("b", "8.8.8.0/24")
        await until(lambda: here.lists["s"].prefixes)
        await here.give("b", "9.9.0.0/16")
        await until(lambda: here.lists["s"].number == 2)
        assert (len(here.lists["s"].prefixes), here.lists["s"].held, here.lists["s"].warning) == (0, None, "")


async def test_a_first_version_beyond_the_maximum_is_held_back_too(tmp_path):
    async with rig(tmp_path, PrefixSource(name="a", path="a.txt", max=2)) as here:
        found = await here.give("a", *hosts(3))
        assert not found.known
        assert found.held is not None
        here.lists.accept("a")
        assert len(found.prefixes) == 3


async def test_what_a_source_says_wrong_changes_nothing(tmp_path):
    async with rig(tmp_path) as here:
        found = await here.give("a", *hosts(300))
        for content in ("", "<html>\n<body>\n", "not\na\nlist\n", "\0\0\0"):
            await here.give("a", content)
            assert found.error
            assert len(found.prefixes) == 300
        (tmp_path / "a.txt").unlink()
        here.lists.refresh("a")
        await until(lambda: "No such file" in found.error)
    async with rig(tmp_path) as here:
        assert len(here.lists["a"].prefixes) == 300


async def test_a_torn_version_on_disk_is_passed_over(tmp_path):
    async with rig(tmp_path) as here:
        await here.give("a", "1.0.0.0/8")
        await here.give("a", "2.0.0.0/8")
    newest = max((tmp_path / "lists/a").iterdir())
    octets = newest.read_bytes()
    for torn in (b"", octets[:-3], octets[:20], b"\xc1" * 40):
        newest.write_bytes(torn)
        async with rig(tmp_path) as here:
            assert list(here.lists["a"].prefixes) == ["1.0.0.0/8"]


@pytest.mark.parametrize("name", ["a", "..", ".", "../../x", "a/b", "\0", "é" * 200, "x" * 500, "a b"])
def test_the_versions_of_a_list_lie_below_the_folder_of_all_lists(tmp_path, name):
    folder = VersionFolder.of(tmp_path / "lists", name)
    assert folder.path.resolve().parent == (tmp_path / "lists").resolve()
    assert folder.newest() is None
    folder.remove()


def test_names_of_lists_have_folders_of_their_own(tmp_path):
    names = ["a", "A", "a/b", "a%2Fb", "..", ".", "x" * 500, "x" * 501]
    assert len({VersionFolder.of(tmp_path, name).path for name in names}) == len(names)


async def test_a_difference_is_what_comes_and_what_goes(tmp_path):
    async with rig(tmp_path) as here:
        await here.give("a", *hosts(200), "2001:db8::/32")
        await here.give("a", *hosts(200, "9.8"), "2001:db8::/33")
        found = await here.lists.difference("a", 1, 2)
        assert found.more == PrefixSet.parse([*hosts(200, "9.8"), "2001:db8::/33"])
        assert found.fewer == PrefixSet.parse([*hosts(200), "2001:db8::/32"])


@pytest.mark.parametrize(
    ("settings", "refresh", "seconds"),
    [
        ({"kind": "file", "path": "a"}, {}, 2),
        ({"kind": "file", "path": "a", "interval": 30}, {}, 30),
        ({"kind": "http", "url": "http://a.example/"}, {}, 3600),
        ({"kind": "http", "url": "http://a.example/"}, {"enabled": True}, 3600),
        ({"kind": "http", "url": "http://a.example/"}, {"enabled": True, "no_etag_interval_seconds": 700}, 700),
        ({"kind": "http", "url": "http://a.example/", "interval": 900}, {"enabled": True}, 900),
        ({"kind": "http", "url": "http://a.example/", "interval": 1}, {}, 60),
        ({"kind": "domain", "domain": "a.example"}, {}, 300),
        ({"kind": "set", "sources": ("a",)}, {}, 86400),
    ],
)
async def test_when_a_source_is_asked_again(tmp_path, settings, refresh, seconds):
    async with rig(tmp_path) as here:
        here.lists.configure(here.lists._contexts, AutoRefresh(max_jitter_ms=0, **refresh))
        here.lists.want("database", {"b": PrefixSource(name="b", **settings)})
        found = here.lists["b"]
        assert here.lists._wait(found) == seconds
        found.failures = 1
        assert here.lists._wait(found) == min(seconds, 30)
        found.failures = 5000  # a file that has been missing for hours is still asked for
        assert here.lists._wait(found) == seconds
        found.failures = 3
        assert here.lists._wait(found) == min(seconds, 120)


# sets


def with_set(**settings: Any) -> list[PrefixSource]:
    members = [PrefixSource(name=name, path=f"{name}.txt") for name in ("a", "b", "c")]
    return [*members, PrefixSource(name="s", kind="set", **settings)]


async def test_a_set_joins_lists_and_leaves_others_out_address_by_address(tmp_path):
    async with rig(tmp_path, *with_set(sources=("a", "b"), without=("c",))) as here:
        await here.give("a", "9.0.0.0/8", "2606::/32")
        await here.give("b", "11.0.0.0/8")
        assert not here.lists["s"].known  # without c it would have what it must not have
        await here.give("c", "9.128.0.0/9", "11.0.0.0/8", "2606::/33")
        await until(lambda: here.lists["s"].known)
        assert list(here.lists["s"].prefixes) == ["9.0.0.0/9", "2606:0:8000::/33"]
        await here.give("c", "11.0.0.0/9")
        await until(lambda: len(here.lists["s"].prefixes) == 3)
        assert list(here.lists["s"].prefixes) == ["9.0.0.0/8", "11.128.0.0/9", "2606::/32"]
        assert here.changed[-2:] == ["c", "s"]


async def test_a_set_changes_with_its_members_and_is_kept(tmp_path):
    sources = with_set(sources=("a", "b"))
    async with rig(tmp_path, *sources) as here:
        await here.give("a", *hosts(1000))
        await here.give("b", "9.8.0.0/16")
        await until(lambda: len(here.lists["s"].prefixes) == 1001)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.txt").unlink()
    async with rig(tmp_path, *sources) as here:
        assert len(here.lists["s"].prefixes) == 1001
        await here.give("a", *hosts(2))
        assert here.lists["a"].held is not None
        here.lists.accept("a")  # which is a word for the set too
        await until(lambda: len(here.lists["s"].prefixes) == 3)


async def test_a_member_that_was_never_read_does_not_keep_the_others_out(tmp_path):
    async with rig(tmp_path, *with_set(sources=("a", "b"))) as here:
        await here.give("a", "9.0.0.0/8")
        await until(lambda: here.lists["s"].known)
        assert list(here.lists["s"].prefixes) == ["9.0.0.0/8"]
        await here.give("b", "11.0.0.0/8")
        await until(lambda: len(here.lists["s"].prefixes) == 2)


async def test_a_set_of_sets(tmp_path):
    outer = PrefixSource(name="t", kind="set", sources=("s",), without=("b",))
    async with rig(tmp_path, *with_set(sources=("a",)), outer) as here:
        await here.give("b", "9.1.0.0/16")
        await here.give("a", "9.0.0.0/15")
        await until(lambda: here.lists["t"].known)
        assert list(here.lists["t"].prefixes) == ["9.0.0.0/16"]
        await here.give("a", "9.0.0.0/14")
        await until(lambda: list(here.lists["t"].prefixes) == ["9.0.0.0/16", "9.2.0.0/15"])


async def test_a_set_may_become_empty(tmp_path):
    async with rig(tmp_path, *with_set(sources=("a",), without=("b",))) as here:
        await here.give("b", "1.0.0.0/8")
        await here.give("a", *hosts(300))
        await until(lambda: len(here.lists["s"].prefixes) == 300)
        await here.give("b", "9.0.0.0/8")
        await until(lambda: not here.lists["s"].prefixes)


async def test_other_settings_of_a_source_do_not_count_as_unchanged(tmp_path):
    source = PrefixSource(name="a", path="a.txt")
    (tmp_path / "a.txt").write_text('{"x": ["9.0.0.0/8"], "y": ["11.0.0.0/8"]}')
    async with rig(tmp_path, source) as here:
        await until(lambda: len(here.lists["a"].prefixes) == 2)
    async with rig(tmp_path, PrefixSource(name="a", path="a.txt", json="y")) as here:
        await until(lambda: list(here.lists["a"].prefixes) == ["11.0.0.0/8"])


async def test_a_name_has_one_owner(tmp_path):
    mine, other = PrefixSource(name="a", path="a.txt"), PrefixSource(name="a", path="b.txt")
    async with rig(tmp_path, mine) as here:
        assert here.lists.want("database", {"a": other, "b": PrefixSource(name="b", path="b.txt")}) == {"b"}
        assert [(each.name, each.owner) for each in here.lists.public] == [("a", "config"), ("b", "database")]
        assert here.lists.want("config", {}) == {"a"}
        assert here.lists["a"].settings is other
        here.write("b", "9.0.0.0/8")
        here.lists.refresh("a")
        await until(lambda: here.lists["a"].known)
        assert here.lists.want("database", {}) == {"a", "b"}
        assert not list((tmp_path / "lists").iterdir())  # what nobody wants is forgotten


async def test_a_source_that_breaks_costs_itself(tmp_path):
    async with rig(tmp_path) as here:
        found = await here.give("a", "9.0.0.0/8")

        class Broken:
            async def fetch(self, validator: str) -> None:
                raise KeyError("x")

        sound, found.source = found.source, Broken()
        here.lists.refresh("a")
        await until(lambda: found.error == "KeyError: 'x'")
        found.source = sound
        assert list((await here.give("a", "11.0.0.0/8")).prefixes) == ["11.0.0.0/8"]
