"""Sources that are looked at again and again: files and URLs."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from contextlib import suppress
from typing import Final

from ...pipeline.log import Log
from ...rpki.entries import Parsed
from ...wire.errors import TextError
from ..errors import explain
from .settings import RpkiSettings, SourceSpec
from .source import Source

EXPIRY_PAUSE: Final = 60.0
"""Seconds, at least, between two looks because an entry has expired: in old data one after the other does."""


class PolledSource(Source):
    """Reads its data anew when they have changed, or when an entry of them has expired."""

    def __init__(self, spec: SourceSpec, settings: RpkiSettings, log: Log) -> None:
        super().__init__(spec, settings, log)
        self._until: float | None = None
        """when the next entry expires, in seconds since 1970"""
        self._wake = asyncio.Event()

    @abstractmethod
    async def read(self) -> Parsed | None:
        """The data; None if they are those that were read before. Raises TextError, OSError."""

    @abstractmethod
    def forget_version(self) -> None:
        """Makes `read` give the data even if they have not changed."""

    @property
    @abstractmethod
    def interval(self) -> float:
        """Seconds until the next look."""

    async def run(self) -> None:
        while True:
            self._wake.clear()
            await self._check()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    def look(self) -> None:
        self._wake.set()

    def forget(self) -> None:
        super().forget()
        self._until = None
        self.forget_version()

    def _pause(self) -> float:
        if self._until is None:
            return self.interval
        return min(self.interval, max(EXPIRY_PAUSE, self._until - time.time()))

    async def _check(self) -> None:
        if self._until is not None and time.time() >= self._until:
            self.forget_version()
        try:
            parsed = await self.read()
        except OSError as error:
            self.fail(f"{self}: {explain(error)}")
        except TextError as error:
            self.fail(f"{self}: {error}")
        else:
            if parsed is None:
                self.confirm()
            else:
                self._until = parsed.until
                self._tell(parsed)
                self.take(parsed.snapshot)

    def _tell(self, parsed: Parsed) -> None:
        """Tells what is left out."""
        name = str(self)
        if parsed.bad:
            fields = {"entries": parsed.bad, "first": parsed.faults[0]}
            self.log.warning("RPKI data that can't be read are left out", source=name, **fields)
        if parsed.expired:
            self.log.info("RPKI data whose time is over are left out", source=name, entries=parsed.expired)
