"""The lists of prefixes: what each is now, how it came there, and what happens when its source says something else.

A list changes only when its source has given a whole new one. One that shrinks below half or to nothing, grows tenfold
or beyond the `Max` of its source is held back until somebody accepts it; until then the old one stays. All of it is
kept on disk, so that a restart without any source announces what was announced before.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from ..pipeline.log import Log
from ..routes.prefixes import PrefixSet
from ..tasks import Tasks, in_thread
from .config import AutoRefresh, PrefixSource
from .ends import Ends
from .list import OWNERS, Held, List, Owner, origin_of
from .sources import make_source
from .sources.base import Fetched, NotYet, Source, SourceError, UnusableSource
from .sources.content import Content, ContentError
from .sources.context import Context
from .sources.worker import Lane, read_list
from .versions import Difference, Version, VersionError, VersionFolder

MANY: Final = 200_000
"""Prefixes of two versions whose difference is not counted at once."""
SAMPLES: Final = 10
"""Prefixes of a difference that are shown where only its size is asked for."""
FIRST_RETRY: Final = 30.0
"""Seconds until a source that has failed is asked again; then twice as long each time."""
LEAST_INTERVAL: Final = 60.0
FILE_INTERVAL: Final = 2.0
"""Seconds between two looks at a file: that costs next to nothing."""
DOMAIN_INTERVAL: Final = 300.0
"""Seconds between two times that domain names are resolved."""
SET_INTERVAL: Final = 86400.0
"""Seconds after which a set is worked out although none of its lists has changed."""


def _with_settings(each: List | None) -> tuple[List, PrefixSource] | None:
    return (each, each.settings) if each is not None else None


ListEvent = Literal["list.held", "list.failed", "list.recovered"]


class Lists:
    """All lists. on_change: called with the name of a list that has become another one."""

    def __init__(self, contexts: Mapping[Owner, Context], folder: Path, refresh: AutoRefresh, log: Log) -> None:
        """contexts: what the lists of each owner have to work with. folder: where versions are kept."""
        self.on_change: Callable[[str], object] = lambda name: None
        self.on_note: Callable[[ListEvent, List, str], object] = lambda kind, each, text: None
        """called with what else happens to a list, and why"""
        self.lists: dict[str, List] = {}
        self._wanted: dict[Owner, dict[str, PrefixSource]] = {owner: {} for owner in OWNERS}
        self._lanes = {owner: Lane() for owner in OWNERS}
        self._suspects = {owner: Lane(1) for owner in OWNERS}
        """for lists that could not be read the last time"""
        self._folder = folder
        self.clock: Callable[[], float] = time.time
        self._ends = Ends(self._on_end, lambda: self.clock())
        self.configure(contexts, refresh)
        self._tasks: Tasks | None = None
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._log = log
        self._wakes: dict[str, asyncio.Event] = {}

    def __getitem__(self, name: str) -> List:
        return self.lists[name]

    def __contains__(self, name: str) -> bool:
        return name in self.lists

    def awaits(self, name: str, above: frozenset[str] = frozenset()) -> bool:
        """Whether a list was never read, and is about to be: its source has not answered yet. above: sets of which it
        is a part."""
        each = self.lists.get(name)
        if each is None or each.known or each.failures or name in above:
            return False
        if each.settings.kind != "set":
            return True
        if any(self.awaits(other, above | {name}) for other in each.settings.members):
            return True
        read = {other for other in each.settings.members if other in self.lists and self.lists[other].known}
        return not read.isdisjoint(each.settings.sources) and read.issuperset(each.settings.without)

    @property
    def public(self) -> list[List]:
        """Those to which every peer may subscribe."""
        return [each for each in self.lists.values() if not each.private]

    def configure(self, contexts: Mapping[Owner, Context], refresh: AutoRefresh) -> None:
        """From now on lists work with this."""
        self._contexts = {owner: replace(context, member=self.lists.get) for owner, context in contexts.items()}
        self._refresh = refresh
        for each in self.lists.values():
            each.source = self._source(each.settings, each.owner)

    def want(self, owner: Owner, sources: Mapping[str, PrefixSource]) -> set[str]:
        """These are the lists of one owner, by name, and no others. One whose source is another one keeps what it has
        until that has answered.

        Returns the names of lists that have come, gone or changed.
        """
        self._wanted[owner] = dict(sources)
        wanted: dict[str, tuple[Owner, PrefixSource]] = {}
        for each in OWNERS:
            wanted = {name: (each, settings) for name, settings in self._wanted[each].items()} | wanted
        before = {name: (each, each.settings) for name, each in self.lists.items()}
        made = {name: self._made(name, *wanted[name]) for name in wanted}
        changed = {name for name in made.keys() | before.keys() if before.get(name) != _with_settings(made.get(name))}
        gone = {name for name in before if made.get(name) is not self.lists[name]}
        for name in gone & self._watching.keys():
            self._watching.pop(name).cancel()
            del self._wakes[name]
        for name in before.keys() - made.keys():
            self._forget(self.lists[name])
        self.lists.clear()
        self.lists.update({name: made[name] for owner in OWNERS for name in made if made[name].owner == owner})
        for name in made.keys() - (before.keys() - gone):
            self._start(made[name])
        for name in changed:
            self._wake_sets(name)
        return changed

    def _made(self, name: str, owner: Owner, settings: PrefixSource) -> List:
        """The list that there is, or a new one."""
        found = self.lists.get(name)
        if found is not None and found.owner == owner and found.origin == origin_of(settings):
            if found.settings != settings:
                found.settings, found.source = settings, self._source(settings, owner)
            return found
        made = List(settings, self._source(settings, owner), VersionFolder.of(self._folder, name), owner)
        try:
            made.load(self.clock())
        except OSError as error:
            self._log.warning("kept versions of a list can't be read", list=name, error=str(error))
        return made

    def _source(self, settings: PrefixSource, owner: Owner) -> Source:
        folder = VersionFolder.of(self._folder, settings.name).path
        try:
            return make_source(settings.kind, settings, replace(self._contexts[owner], state=folder))
        except ValueError as error:  # the package that has its kind is broken, or not there any more
            return UnusableSource(str(error))

    def _forget(self, each: List) -> None:
        """A list that nobody wants any more. What the configuration names may come back to it."""
        if each.owner == "config":
            return
        try:
            each.folder.remove()
        except OSError as error:
            self._log.warning("kept versions of a list can't be removed", list=each.name, error=str(error))

    def start(self, tasks: Tasks) -> None:
        """Asks all sources, now and then again and again."""
        self._tasks = tasks
        self._ends.start(tasks)
        for each in self.lists.values():
            self._start(each)

    def _start(self, each: List) -> None:
        if self._tasks is None:
            return
        self._watch_ends((each,))
        wake = self._wakes[each.name] = asyncio.Event()
        self._watching[each.name] = self._tasks.spawn(f"list {each.name}", self._watch(each, wake))

    def refresh(self, name: str) -> None:
        """Asks a source at once."""
        self._wakes[name].set()

    def accept(self, name: str) -> None:
        """The version of a list that is held back counts from now on. Raises KeyError if none is."""
        found = self.lists[name]
        if found.held is None:
            raise KeyError(name)
        held, found.held = found.held, None
        self._take(found, held.version, held.prefixes)

    async def versions(self, name: str) -> list[Version]:
        """The versions of a list, the newest first; one that is held back comes before the others.

        Raises KeyError if there is no such list, OSError.
        """
        found = self.lists[name]
        kept = {version.number: version for version in await in_thread("versions", found.folder.all)}
        held = [found.held.version] if found.held is not None else []
        kept |= {version.number: version for version in (found.version, *held) if version is not None}
        return sorted(kept.values(), key=lambda version: -version.number)

    async def difference(self, name: str, old: int, new: int) -> Difference:
        """What version `new` of a list has more than version `old`, and what it has not any more.

        Raises KeyError if there is no such list, VersionError, OSError.
        """
        found = self.lists[name]
        before, after = await self._version(found, old), await self._version(found, new)
        return await in_thread("difference", lambda: Difference.between(before.prefixes, after.prefixes))

    async def rollback(self, name: str, number: int) -> None:
        """A list becomes what one of its versions was, and stays so: what its source says is held back from now on,
        until somebody accepts it, or until that is the same again.

        Raises KeyError if there is no such list, VersionError, OSError.
        """
        found = self.lists[name]
        version = await self._version(found, number)
        if found.version is None or (found.held is not None and version is found.held.version):
            raise VersionError(f"version {number} of this list waits for a word: accept it")
        last = max(each.number for each in await self.versions(name))
        found.held = None
        copy = msgspec.structs.replace(
            version, number=last + 1, fetched_at=self.clock(), validator="", rolled_back=version.rolled_back or number
        )
        self._take(found, copy, version.prefixes)

    async def _version(self, found: List, number: int) -> Version:
        version = await in_thread("version", partial(found.get_version, number))
        if version is None:
            raise VersionError(f"there is no version {number} of this list")
        return version

    async def _watch(self, each: List, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            try:
                await self._check(each)
            except Exception as error:  # a source of another package may do anything
                self._failed(each, f"{type(error).__name__}: {error}")
            try:
                async with asyncio.timeout(self._wait(each)):
                    await wake.wait()
            except TimeoutError:
                pass

    def _wait(self, each: List) -> float:
        """Seconds until the source is asked again."""
        kind, refresh = each.settings.kind, self._refresh
        interval = max(LEAST_INTERVAL, float(refresh.interval_seconds if refresh.enabled else 3600))
        if not each.validator:
            interval = max(interval, float(refresh.no_etag_interval_seconds))
        interval = _INTERVALS.get(kind, interval)
        if each.settings.interval is not None:
            interval = max(_LEAST.get(kind, LEAST_INTERVAL), float(each.settings.interval))
        if each.failures:
            interval = min(interval, FIRST_RETRY * 2.0 ** min(each.failures - 1, 32))
        if kind not in ("file", "set"):
            interval += random.uniform(0, min(refresh.max_jitter_ms / 1000, 60))
        return interval

    async def _check(self, each: List) -> None:
        """Asks the source of a list. Whatever that does, the list stays as it was or becomes a whole new one."""
        try:
            fetched = await each.source.fetch(each.validator)
            content = await self._content(each, fetched) if fetched is not None else None
        except NotYet as error:
            each.error = str(error)
            return
        except (SourceError, ContentError) as error:
            self._failed(each, str(error))
            return
        if fetched is not None and content is not None:
            await self._changed(each, content, fetched.validator)
        if fetched is not None and fetched.trouble:
            self._failed(each, fetched.trouble)
        else:
            self._succeeded(each)

    async def _content(self, each: List, fetched: Fetched) -> Content:
        """Raises ContentError."""
        if fetched.prefixes is not None:
            return Content(fetched.prefixes, len(fetched.prefixes))
        lanes = self._suspects if each.failures else self._lanes
        return await read_list(fetched.octets, fetched.form, lanes[each.owner])

    def _succeeded(self, each: List) -> None:
        each.checked_at = time.time()
        if each.failures:
            self._log.info("a list can be read again", list=each.name)
            self.on_note("list.recovered", each, "")
        each.error, each.failures = "", 0

    async def _changed(self, each: List, content: Content, validator: str) -> None:
        """This is what a source says now."""
        now = self.clock()
        self._end(each, now)
        prefixes = content.lifetimes.alive(content.prefixes, now)
        version = each.next_version(content, validator, now)
        why = each.objection(prefixes) if prefixes != each.prefixes or not each.known else ""
        if why and each.held is not None and each.held.version.says_as(version):
            return
        if why:
            before = each.prefixes
            difference = await in_thread("difference", lambda: Difference.between(before, prefixes))
            each.held = Held(version, content.prefixes, why, difference)
            self._log.warning(f"a list is held back: {why}", list=each.name)
            self.on_note("list.held", each, why)
            return
        each.held = None
        if each.version is not None and each.version.says_as(version):
            each.version = version  # only the validator is new
        else:
            self._take(each, version, content.prefixes)

    def _failed(self, each: List, why: str) -> None:
        if why != each.error:
            self._log.warning("a list can't be read", list=each.name, error=why)
            self.on_note("list.failed", each, why)
        each.error = why
        each.failures += 1
        each.checked_at = time.time()
        if not each.known:
            self._wake_sets(each.name)

    def _wake_sets(self, name: str) -> None:
        """A list is another one: those of which it is a part may be so too."""
        for each in self.lists.values():
            if each.settings.kind == "set" and name in each.settings.members and each.name in self._wakes:
                self._wakes[each.name].set()

    def _take(self, each: List, version: Version, prefixes: PrefixSet) -> None:
        before = each.prefixes
        try:
            each.folder.keep(version)
        except OSError as error:  # it counts all the same; only a restart would not know it
            self._log.error("a list can't be kept on disk", list=each.name, error=str(error))
        each.set(version, prefixes, self.clock())
        self._watch_ends((each,))
        counts = _counts(before, each.prefixes)
        shown = {"prefixes": len(each.prefixes), **counts, "bad_lines": version.bad}
        self._log.info("a list has changed", list=each.name, **shown)
        if each.warning:
            self._log.warning(f"a list: {each.warning}", list=each.name)
        self._wake_sets(each.name)
        self.on_change(each.name)

    def _on_end(self, after: float, now: float) -> None:
        """Lines of lists may be over."""
        for each in tuple(self.lists.values()):
            self._end(each, now)
        self._watch_ends(self.lists.values())

    def _end(self, each: List, now: float) -> None:
        """Leaves out the lines of a list that are over."""
        before = len(each.prefixes)
        if each.end(now):
            ended = before - len(each.prefixes)
            self._log.info("lines of a list are over", list=each.name, prefixes=len(each.prefixes), ended=ended)
            self._wake_sets(each.name)
            self.on_change(each.name)

    def _watch_ends(self, lists: Iterable[List]) -> None:
        now = self.clock()
        self._ends.watch(each.lifetimes.next(now) for each in lists)


def _counts(before: PrefixSet, after: PrefixSet) -> dict[str, int]:
    """How many prefixes come and go; of large lists only how many there were, for sessions must not wait for that."""
    if len(before) + len(after) > MANY:
        return {"before": len(before)}
    same = len(before & after)
    return {"more": len(after) - same, "fewer": len(before) - same}


_INTERVALS: Final = {"file": FILE_INTERVAL, "set": SET_INTERVAL, "domain": DOMAIN_INTERVAL}
"""By kind: seconds until a source is asked again."""
_LEAST: Final = {"file": 1.0, "set": 1.0}
