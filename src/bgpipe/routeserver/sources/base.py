"""What a source of prefixes is, and what it has to work with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from .fetch import Fetcher

MAX_CONTENT: Final = 64 << 20
"""Octets of a list as it is fetched."""


class SourceError(Exception):
    """A list can't be had now; the text says why."""


class Fetched(NamedTuple):
    """What a source said.

    validator: what to ask with the next time, so that it can answer that nothing has changed; "" if it gave none.
    path: where the prefixes are in JSON, for content.read.
    """

    octets: bytes
    validator: str = ""
    path: str = ""


class Source(Protocol):
    """Somewhere a list comes from."""

    async def fetch(self, validator: str) -> Fetched | None:
        """What it says now; None if nothing has changed since it gave `validator`. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class Context:
    """What sources have to work with. folder: where relative paths begin. ripe_stat: URL of RIPEstat. ripe_timeout:
    seconds that it may take."""

    folder: Path
    fetcher: Fetcher
    ripe_stat: str = ""
    ripe_timeout: float = 180.0
