"""The addresses of domain names.

Many names have other addresses each time they are asked for, so an address stays for a week after it was last seen. A
name that can't be resolved keeps its addresses; a name that is no more asked for loses them at once.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ...tasks import Tasks, in_thread
from ..config import PrefixSource
from .base import Fetched, SourceError
from .content import read_lines
from .context import Context

KEPT: Final = 7 * 86400.0
"""Seconds that an address stays after it was last seen."""
ABREAST: Final = 8
"""Names that are resolved at the same time."""
TIMEOUT: Final = 10.0
"""Seconds that a name may take."""
MAX_ADDRESSES: Final = 1000
"""Addresses of one name."""
FILE: Final = "addresses.json"
Seen = dict[str, dict[str, float]]
"""By domain name and address: when it was last seen, in seconds since 1970."""
Resolve = Callable[[str], Awaitable[Sequence[str]]]


class DomainSource:
    """path: where to remember what was seen. resolve, clock: for tests."""

    def __init__(
        self,
        domains: Sequence[str],
        path: Path,
        timeout: float = TIMEOUT,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.domains = tuple(dict.fromkeys(domain.rstrip(".").lower() for domain in domains))
        self._path = path
        self._timeout = timeout
        self._resolve = resolve or addresses_of
        self._clock = clock
        self._seen: Seen | None = None

    async def fetch(self, validator: str) -> Fetched | None:
        seen = self._seen = self._seen if self._seen is not None else await in_thread("read", self._load)
        failed = await self._ask(seen)
        if len(failed) == len(self.domains):
            raise SourceError(f"none of {len(self.domains)} names can be resolved, such as {failed[0]}")
        await in_thread("write", lambda: self._save(seen))
        prefixes = read_lines(address for found in seen.values() for address in found).prefixes
        if not prefixes:
            raise SourceError("the names have no addresses")
        return Fetched(prefixes=prefixes, trouble=f"can't be resolved: {', '.join(failed)}" if failed else "")

    async def _ask(self, seen: Seen) -> list[str]:
        """Resolves all names. Returns those for which that was not possible."""
        free = asyncio.Semaphore(ABREAST)

        async def ask(domain: str) -> Sequence[str]:
            async with free, asyncio.timeout(self._timeout):
                return await self._resolve(domain)

        scope = Tasks()
        failed: list[str] = []
        try:
            running = {domain: scope.begin(domain, ask(domain)) for domain in self.domains}
            for domain, task in running.items():
                try:
                    self._note(seen.setdefault(domain, {}), await task)
                except (OSError, UnicodeError):  # TimeoutError is one
                    failed.append(domain)
        finally:
            await scope.close()
        for domain in seen.keys() - running.keys():
            del seen[domain]
        return failed

    def _note(self, known: dict[str, float], found: Sequence[str]) -> None:
        """A name has these addresses now."""
        now = self._clock()
        known.update(dict.fromkeys(found, now))
        newest = sorted(known.items(), key=lambda each: -each[1])[:MAX_ADDRESSES]
        known.clear()
        known.update((address, last) for address, last in newest if last > now - KEPT)

    def _load(self) -> Seen:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Seen)
        except (OSError, msgspec.DecodeError):  # the first time; or torn, and then the names are asked anew
            return {}

    def _save(self, seen: Seen) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(seen))
            new.replace(self._path)
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror or error}") from None


async def addresses_of(domain: str) -> list[str]:
    """The addresses of a domain name; none if it has none. Raises OSError if nobody can say, UnicodeError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(f"{domain}.", None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return []
        raise
    return list(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))


def make(settings: PrefixSource, context: Context) -> DomainSource:
    domains = (*settings.domains, *((settings.domain,) if settings.domain else ()))
    return DomainSource(domains, context.state / FILE, float(settings.timeout or TIMEOUT))
