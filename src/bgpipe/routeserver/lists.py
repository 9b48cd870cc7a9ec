"""The lists of prefixes: what each is now, how it came there, and what happens when its source says something else.

A list changes only when its source has given a whole new one. One that shrinks below half, grows tenfold or beyond the
`Max` of its source is held back until somebody accepts it; until then the old one stays. All of it is kept on disk, so
that a restart without any source announces what was announced before.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from ..pipeline.log import Log
from ..routes.prefixes import EMPTY, PrefixSet
from ..tasks import Tasks, in_thread
from .config import AutoRefresh, PrefixSource
from .sources import make_source
from .sources.base import Source, SourceError
from .sources.content import Content, ContentError
from .sources.fetch import Context
from .sources.worker import pack_prefixes, read_list
from .versions import Difference, Version, VersionError, VersionFolder

SMALL: Final = 100
"""Prefixes up to which a list may change as much as it likes, unless its source says otherwise."""
MAX_SHRINK: Final = 0.5
"""The part of a list that may go at once."""
MAX_GROWTH: Final = 10.0
"""So many times as large may a list become at once."""
SAMPLES: Final = 10
"""Prefixes of a difference that are shown where only its size is asked for."""
FIRST_RETRY: Final = 30.0
"""Seconds until a source that has failed is asked again; then twice as long each time."""
LEAST_INTERVAL: Final = 60.0
FILE_INTERVAL: Final = 2.0
"""Seconds between two looks at a file: that costs next to nothing."""


@dataclass(slots=True)
class Held:
    """A version that waits for a word, why, and how it differs from the list."""

    version: Version
    prefixes: PrefixSet
    why: str
    difference: Difference


class List:
    """One list. error: why its source could not be read the last time, "" if it could. Times: seconds since 1970."""

    def __init__(self, settings: PrefixSource, source: Source, folder: VersionFolder, *, private: bool = False) -> None:
        """private: only those peers have it that have asked for it, and nobody else sees it."""
        self.private = private
        self.settings = settings
        self.source = source
        self.folder = folder
        self.version: Version | None = None
        self.prefixes = EMPTY
        self.held: Held | None = None
        self.error = ""
        self.failures = 0
        self.checked_at = self.changed_at = 0.0

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def known(self) -> bool:
        """Whether it has ever been read: else nobody knows what is in it."""
        return self.version is not None

    def load(self) -> None:
        """The newest version that was kept. Raises OSError."""
        version = self.folder.newest()
        if version is not None:
            self.set(version, version.prefixes)

    def set(self, version: Version, prefixes: PrefixSet) -> None:
        """From now on this is the list."""
        self.version, self.prefixes, self.changed_at = version, prefixes, version.fetched_at

    def get_version(self, number: int) -> Version | None:
        """The current version, the one that is held back, or one on disk. Raises OSError."""
        held = [self.held.version] if self.held is not None else []
        for version in (self.version, *held):
            if version is not None and version.number == number:
                return version
        return self.folder.get(number)

    def objection(self, prefixes: PrefixSet) -> str:
        """Why a new version must wait for a word; "" if it need not."""
        settings = self.settings
        before, now = len(self.prefixes), len(prefixes)
        if now > settings.max:
            return f"{now} prefixes, more than its Max of {settings.max}"
        if self.version is None:
            return ""
        if self.version.rolled_back:
            return f"the list was rolled back to version {self.version.rolled_back}"
        small = max(before, now) <= SMALL
        if now < before * (1 - _limit(settings.max_shrink, MAX_SHRINK, 1.0, small)):
            return f"it has shrunk from {before} to {now} prefixes"
        if now > before * _limit(settings.max_growth, MAX_GROWTH, math.inf, small):
            return f"it has grown from {before} to {now} prefixes"
        return ""

    def next_version(self, content: Content, validator: str, now: float) -> Version:
        """What its source gives now. The number is a new one, unless the prefixes are those that it has."""
        version = self.version
        number = version.number if version is not None else 0
        if version is None or content.prefixes != self.prefixes:
            number += 1
        packed = pack_prefixes(content.prefixes)
        return Version(number, now, validator, *packed, content.lines, content.bad, content.samples)


def _limit(own: float | None, default: float, none: float, small: bool) -> float:
    """The limit that a source has of its own, or that of all; `none` for small lists."""
    return own if own is not None else none if small else default


def _differ(found: List | None, settings: PrefixSource | None) -> bool:
    return found is None or found.settings != settings


class Lists:
    """All lists. on_change: called with the name of a list that has become another one."""

    def __init__(
        self,
        sources: Iterable[PrefixSource],
        context: Context,
        folder: Path,
        refresh: AutoRefresh,
        log: Log,
    ) -> None:
        """folder: where versions are kept. Raises ValueError for a kind of source that there is not."""
        self.on_change: Callable[[str], object] = lambda name: None
        self.lists: dict[str, List] = {}
        self._folder = folder
        for settings in sources:
            self._add(settings, context, private=False)
        self._refresh = refresh
        self._tasks: Tasks | None = None
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._log = log
        self._wakes: dict[str, asyncio.Event] = {}

    def __getitem__(self, name: str) -> List:
        return self.lists[name]

    def __contains__(self, name: str) -> bool:
        return name in self.lists

    def _add(self, settings: PrefixSource, context: Context, *, private: bool) -> List:
        folder = VersionFolder.of(self._folder, settings.name)
        made = List(settings, make_source(settings.kind, settings, context), folder, private=private)
        self.lists[settings.name] = made
        return made

    @property
    def public(self) -> list[List]:
        """Those to which every peer may subscribe."""
        return [each for each in self.lists.values() if not each.private]

    def configure(self, sources: Iterable[PrefixSource], context: Context, refresh: AutoRefresh) -> set[str]:
        """Other public lists. One whose source is another one keeps what it has until that has answered.

        Returns the names of those that have come, gone or changed.
        """
        self._refresh = refresh
        return self._replace({settings.name: settings for settings in sources}, context, private=False)

    def want(self, sources: Mapping[str, PrefixSource], context: Context) -> set[str]:
        """These are the lists that single peers have for themselves; others are asked for no more.

        Returns the names of those that have come or gone.
        """
        return self._replace(sources, context, private=True)

    def _replace(self, wanted: Mapping[str, PrefixSource], context: Context, *, private: bool) -> set[str]:
        before = {each.name: each for each in self.lists.values() if each.private is private}
        changed = {name for name in before.keys() | wanted.keys() if _differ(before.get(name), wanted.get(name))}
        for name in changed:
            if name in self._watching:
                self._watching.pop(name).cancel()
            self.lists.pop(name, None)
            if name in wanted:
                made = self._add(wanted[name], context, private=private)
                self._load(made)
                if self._tasks is not None:
                    self._start(made)
        return changed

    def load(self) -> None:
        """What was kept on disk."""
        for each in self.lists.values():
            self._load(each)

    def _load(self, each: List) -> None:
        try:
            each.load()
        except OSError as error:
            self._log.warning("kept versions of a list can't be read", list=each.name, error=str(error))

    def start(self, tasks: Tasks) -> None:
        """Asks all sources, now and then again and again."""
        self._tasks = tasks
        for each in self.lists.values():
            self._start(each)

    def _start(self, each: List) -> None:
        assert self._tasks is not None
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
            version, number=last + 1, fetched_at=time.time(), validator="", rolled_back=version.rolled_back or number
        )
        self._take(found, copy, version.prefixes)

    async def _version(self, found: List, number: int) -> Version:
        version = await in_thread("version", partial(found.get_version, number))
        if version is None:
            raise VersionError(f"there is no version {number} of this list")
        return version

    async def _watch(self, each: List, wake: asyncio.Event) -> None:
        while True:
            await self._check(each)
            wake.clear()
            try:
                async with asyncio.timeout(self._wait(each)):
                    await wake.wait()
            except TimeoutError:
                pass

    def _wait(self, each: List) -> float:
        """Seconds until the source is asked again."""
        refresh = self._refresh
        interval = max(LEAST_INTERVAL, float(refresh.interval_seconds if refresh.enabled else 3600))
        if each.settings.kind == "file":
            interval = FILE_INTERVAL
        elif each.version is None or not each.version.validator:
            interval = max(interval, float(refresh.no_etag_interval_seconds))
        if each.failures:
            interval = min(interval, FIRST_RETRY * 2 ** (each.failures - 1))
        if each.settings.kind != "file":
            interval += random.uniform(0, min(refresh.max_jitter_ms / 1000, 60))
        return interval

    async def _check(self, each: List) -> None:
        """Asks the source of a list. Whatever that does, the list stays as it was or becomes a whole new one."""
        asked = each.held.version if each.held is not None else each.version
        try:
            fetched = await each.source.fetch(asked.validator if asked is not None else "")
            content = await read_list(fetched.octets, fetched.path) if fetched is not None else None
        except (SourceError, ContentError) as error:
            self._failed(each, str(error))
            return
        each.checked_at = time.time()
        if each.error:
            self._log.info("a list can be read again", list=each.name)
        each.error, each.failures = "", 0
        if fetched is None or content is None:
            return
        version = each.next_version(content, fetched.validator, each.checked_at)
        if each.known and content.prefixes == each.prefixes:
            each.version, each.held = version, None  # only the validator is new
            return
        if why := each.objection(content.prefixes):
            if each.held is None or each.held.prefixes != content.prefixes:
                each.held = Held(version, content.prefixes, why, Difference.between(each.prefixes, content.prefixes))
                self._log.warning(f"a list is held back: {why}", list=each.name)
            return
        each.held = None
        self._take(each, version, content.prefixes)

    def _failed(self, each: List, why: str) -> None:
        if why != each.error:
            self._log.warning("a list can't be read", list=each.name, error=why)
        each.error = why
        each.failures += 1
        each.checked_at = time.time()

    def _take(self, each: List, version: Version, prefixes: PrefixSet) -> None:
        before = each.prefixes
        try:
            each.folder.keep(version)
        except OSError as error:  # it counts all the same; only a restart would not know it
            self._log.error("a list can't be kept on disk", list=each.name, error=str(error))
        each.set(version, prefixes)
        same = len(before & prefixes)
        self._log.info(
            "a list has changed",
            list=each.name,
            prefixes=len(prefixes),
            more=len(prefixes) - same,
            fewer=len(before) - same,
            bad_lines=version.bad,
        )
        self.on_change(each.name)
