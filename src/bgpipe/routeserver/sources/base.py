"""What a source of prefixes is."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

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
