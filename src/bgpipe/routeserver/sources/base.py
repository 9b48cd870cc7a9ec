"""What a source of prefixes is, and what it gives."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from ...routes.prefixes import PrefixSet
from .content import ANYWHERE, Form

MAX_CONTENT: Final = 64 << 20
"""Octets of a list as it is fetched."""


class SourceError(Exception):
    """A list can't be had now; the text says why. temporary: whether asking again soon may help."""

    def __init__(self, text: str, *, temporary: bool = False) -> None:
        super().__init__(text)
        self.temporary = temporary


class NotYet(SourceError):
    """A list can't be had yet, which is no fault; the text says what it waits for."""


class Fetched(NamedTuple):
    """What a source said: octets to be read, or prefixes.

    validator: what to ask with the next time, so that it can answer that nothing has changed; "" if it gave none.
    form: where the prefixes are in the octets. trouble: what could not be had, "" if that is nothing.
    """

    octets: bytes = b""
    validator: str = ""
    form: Form = ANYWHERE
    prefixes: PrefixSet | None = None
    trouble: str = ""


class Source(Protocol):
    """Somewhere a list comes from."""

    async def fetch(self, validator: str) -> Fetched | None:
        """What it says now; None if nothing has changed since it gave `validator`. Raises SourceError."""


class UnusableSource:
    """In the place of a source that can't be made. text: why."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def fetch(self, validator: str) -> Fetched | None:
        raise SourceError(self._text)


class Member(Protocol):
    """A list that is a part of another one. edition: names its version and what of it is over. fetched: whether it may
    have bogons that must not be announced. tried: whether its source was asked at least once."""

    @property
    def known(self) -> bool: ...
    @property
    def edition(self) -> str: ...
    @property
    def fetched(self) -> bool: ...
    @property
    def tried(self) -> bool: ...
    @property
    def prefixes(self) -> PrefixSet: ...
