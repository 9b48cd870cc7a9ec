"""The versions of a list: what its source has given over time, each in a file of its own."""

from __future__ import annotations

import shutil
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from ..routes.prefixes import PrefixSet
from .lifetimes import Lifetimes
from .sources.worker import NO_LIFETIMES, PackedLifetimes, unpack_lifetimes, unpack_prefixes

KEPT: Final = 10
"""Versions of each list that are kept on disk."""
MAX_NAME: Final = 120
"""Characters of the name of a folder; longer names of lists are hashed."""
_SUFFIX: Final = ".list"


class Version(msgspec.Struct, frozen=True):
    """A list as its source gave it. fetched_at: seconds since 1970 (UTC). ipv4, ipv6: see worker.pack_prefixes.

    rolled_back: the number of the version of which this is a copy, made by a rollback; 0 if the source gave it.
    origin: names the settings of the source, of which alone the validator is. ends: see worker.pack_lifetimes.
    """

    number: int
    fetched_at: float
    validator: str
    ipv4: bytes
    ipv6: bytes
    lines: int
    bad: int
    samples: list[tuple[int, str]]
    rolled_back: int = 0
    origin: str = ""
    ends: PackedLifetimes = NO_LIFETIMES

    @property
    def prefixes(self) -> PrefixSet:
        """Raises ValueError if the octets are no prefixes."""
        return unpack_prefixes(self.ipv4, self.ipv6)

    @property
    def lifetimes(self) -> Lifetimes:
        """When its prefixes are over, of those that have an end. Raises ValueError if the octets are torn."""
        return unpack_lifetimes(self.ends)

    def says_as(self, other: Version) -> bool:
        """Whether its source said the same in both."""
        return (self.ipv4, self.ipv6, self.ends) == (other.ipv4, other.ipv6, other.ends)

    def __len__(self) -> int:
        """How many prefixes it has."""
        return len(self.ipv4) // 8 + len(self.ipv6) // 17


class VersionError(Exception):
    """There is no such version, or nothing can be done with it; the text says why."""


class Difference(NamedTuple):
    """What one version has more than another one, and what it has not any more."""

    more: PrefixSet
    fewer: PrefixSet

    @classmethod
    def between(cls, old: PrefixSet, new: PrefixSet) -> Difference:
        return cls(new - old, old - new)


class VersionFolder:
    """The kept versions of one list. All methods but `of` touch the disk, and raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, folder: Path, name: str) -> VersionFolder:
        """The one of a list. folder: of all lists."""
        word = quote(name, safe="")
        if len(word) > MAX_NAME or word.startswith("."):  # `..` is another folder
            word = blake2b(name.encode(), digest_size=16).hexdigest()
        return cls(folder / word)

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.path.glob(f"*{_SUFFIX}"), reverse=True)

    def newest(self) -> Version | None:
        """The newest version that can be read."""
        return next((version for version in map(_read, self._files()) if version is not None), None)

    def all(self) -> list[Version]:
        """Those that can be read, the newest first."""
        return [version for version in map(_read, self._files()) if version is not None]

    def get(self, number: int) -> Version | None:
        return _read(self._file(number))

    def keep(self, version: Version) -> None:
        """Writes a version, and forgets the oldest."""
        self.path.mkdir(parents=True, exist_ok=True)
        path = self._file(version.number)
        new = path.with_suffix(".new")
        new.write_bytes(msgspec.msgpack.encode(version))
        new.replace(path)
        for old in self._files()[KEPT:]:
            old.unlink()

    def remove(self) -> None:
        """Forgets all versions."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def _file(self, number: int) -> Path:
        return self.path / f"{number:08}{_SUFFIX}"


def _read(path: Path) -> Version | None:
    """The version in a file; None if it is not there, or torn by a crash of the machine."""
    try:
        version = msgspec.msgpack.decode(path.read_bytes(), type=Version)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    try:
        whole = len(version.ipv4) % 8 == 0 and len(version.ipv6) % 17 == 0
        version.lifetimes  # noqa: B018 - raises ValueError
    except ValueError:
        return None
    return version if whole else None
