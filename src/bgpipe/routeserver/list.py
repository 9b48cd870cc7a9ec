"""One list of prefixes: what it is now, and what of a new version must wait for a word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from ..routes.prefixes import EMPTY, PrefixSet
from .config import PrefixSource
from .lifetimes import NO_ENDS
from .sources.base import Source
from .sources.content import Content
from .sources.worker import pack_lifetimes, pack_prefixes
from .versions import Difference, Version, VersionFolder

SMALL: Final = 100
"""Prefixes up to which a list may change as much as it likes, unless its source says otherwise."""
MAX_SHRINK: Final = 0.5
"""The part of a list that may go at once."""
MAX_GROWTH: Final = 10.0
"""So many times as large may a list become at once."""
EMPTY_LIST: Final = "it is empty: its source says that there are no prefixes"
ALL_OVER: Final = "it is empty: all its lines are over"
_ORIGIN: Final = (
    *("kind", "url", "headers", "path", "json", "column", "asn", "asns", "as_sets", "via", "country"),
    *("domain", "domains", "sources", "without", "options"),
)
"""The settings that say where a list comes from."""
Owner = Literal["config", "database", "peers"]
OWNERS: Final[tuple[Owner, ...]] = ("config", "database", "peers")
"""Who says that there is a list. A name that several want is the first one's."""


@dataclass(slots=True)
class Held:
    """A version that waits for a word, why, and how it differs from the list. prefixes: all that its source says."""

    version: Version
    prefixes: PrefixSet
    why: str
    difference: Difference


class List:
    """One list. prefixes: those that count, without those that are over. lifetimes: of what its source says. error: why
    its source could not be read the last time, "" if it could. Times: seconds since 1970."""

    def __init__(self, settings: PrefixSource, source: Source, folder: VersionFolder, owner: Owner = "config") -> None:
        self.owner = owner
        self.settings = settings
        self.source = source
        self.origin = origin_of(settings)
        self.folder = folder
        self.version: Version | None = None
        self.prefixes = EMPTY
        self.lifetimes = NO_ENDS
        self.held: Held | None = None
        self.error = ""
        self.failures = 0
        self.checked_at = self.changed_at = 0.0

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def private(self) -> bool:
        """Whether only those peers have it that have asked for it, and nobody else sees it."""
        return self.owner == "peers"

    @property
    def known(self) -> bool:
        """Whether it has ever been read: else nobody knows what is in it."""
        return self.version is not None

    @property
    def warning(self) -> str:
        """What people should know of it although nothing has failed; "" for nothing."""
        if self.version is None or self.prefixes or self.settings.kind == "set":
            return ""
        return ALL_OVER if len(self.version) else EMPTY_LIST

    @property
    def number(self) -> int:
        """Of its version."""
        return self.version.number if self.version is not None else 0

    @property
    def edition(self) -> str:
        """Names what counts of its version: another one where more of it is over."""
        over = len(self.lifetimes.prefixes - self.prefixes)
        return f"{self.number}.{over}" if over else str(self.number)

    @property
    def tried(self) -> bool:
        return bool(self.checked_at)

    @property
    def fetched(self) -> bool:
        """Whether it comes from elsewhere, so that bogons in it must not be announced. Sets have none of those."""
        return self.settings.kind not in ("file", "set")

    @property
    def validator(self) -> str:
        """What its source gave the last time, to be asked with; "" if that was another source."""
        last = self.held.version if self.held is not None else self.version
        return last.validator if last is not None and last.origin == self.origin else ""

    def load(self, now: float) -> None:
        """The newest version that was kept. Raises OSError."""
        version = self.folder.newest()
        if version is not None:
            self.set(version, version.prefixes, now)

    def set(self, version: Version, prefixes: PrefixSet, now: float) -> None:
        """From now on this is the list. prefixes: all that its source says."""
        self.version, self.changed_at, self.lifetimes = version, version.fetched_at, version.lifetimes
        self.prefixes = self.lifetimes.alive(prefixes, now)

    def end(self, now: float) -> bool:
        """Leaves out what is over. Returns whether that is anything."""
        before, self.prefixes = self.prefixes, self.lifetimes.alive(self.prefixes, now)
        return len(self.prefixes) < len(before)

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
        if before and not now and settings.kind != "set":
            return f"it has collapsed: its source says that none of its {before} prefixes is left"
        small = max(before, now) <= SMALL or settings.kind == "set"  # what it is made of has its own limits
        if now < before * (1 - _limit(settings.max_shrink, MAX_SHRINK, 1.0, small)):
            return f"it has shrunk from {before} to {now} prefixes"
        if now > before * _limit(settings.max_growth, MAX_GROWTH, math.inf, small):
            return f"it has grown from {before} to {now} prefixes"
        return ""

    def next_version(self, content: Content, validator: str, now: float) -> Version:
        """What its source gives now. The number is a new one, unless it says what it has said."""
        ipv4, ipv6 = pack_prefixes(content.prefixes)
        lines, bad, samples, ends = content.lines, content.bad, content.samples, pack_lifetimes(content.lifetimes)
        made = Version(self.number, now, validator, ipv4, ipv6, lines, bad, samples, origin=self.origin, ends=ends)
        if self.version is not None and made.says_as(self.version):
            return made
        return msgspec.structs.replace(made, number=self.number + 1)


def origin_of(settings: PrefixSource) -> str:
    """Two settings with the same one say the same of where a list comes from."""
    said = [getattr(settings, name) for name in _ORIGIN]
    return blake2b(msgspec.json.encode(said), digest_size=8).hexdigest()


def _limit(own: float | None, default: float, none: float, small: bool) -> float:
    """The limit that a source has of its own, or that of all; `none` for small lists."""
    return own if own is not None else none if small else default
