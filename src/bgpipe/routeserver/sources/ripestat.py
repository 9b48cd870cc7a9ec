"""RIPEstat, which knows what AS numbers originate and what countries have.

It asks its clients to send no more than 8 requests at a time, and to name themselves (`sourceapp`).
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

from ..config import RipeStat
from .base import SourceError
from .delegated import DelegatedFiles
from .fetch import Fetcher

ABREAST: Final = 8
"""Requests at a time."""
LEAST_TIMEOUT: Final = 10
LONGEST_WAIT: Final = 60.0
"""Seconds between two attempts, at most."""


class RipeStatClient:
    """Asks RIPEstat, and again if that fails; and has the files of the registries, for when it does not answer."""

    def __init__(self, settings: RipeStat, fetcher: Fetcher) -> None:
        self.settings = settings
        self.delegated = DelegatedFiles(settings.delegated_files, fetcher)
        self._fetcher = fetcher
        self._free = asyncio.Semaphore(ABREAST)

    async def get(self, path: str, timeout: float | None = None) -> bytes:
        """The answer to a request, such as `ris-prefixes/data.json?resource=AS64500`. Raises SourceError.

        timeout: seconds for each attempt.
        """
        settings = self.settings
        url = f"{settings.url}/data/{path}&sourceapp=bgplite"
        seconds = timeout or float(max(LEAST_TIMEOUT, settings.timeout_seconds))
        for attempt in range(settings.retry_attempts + 1):
            try:
                async with self._free:
                    found = await self._fetcher.get(url, timeout=seconds)
                assert found is not None  # nothing was said that it could be compared with
                return found.octets
            except SourceError as error:
                if not error.temporary or attempt == settings.retry_attempts:
                    raise
            wait = min(LONGEST_WAIT, settings.retry_delay_seconds * 2**attempt)
            await asyncio.sleep(wait * random.uniform(1, 1.25))
        raise AssertionError("the last attempt returns or raises")
