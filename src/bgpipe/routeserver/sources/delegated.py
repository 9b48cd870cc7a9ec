"""What the registries have given to whom: the files `delegated-*-extended-latest` of all five.

A line is `registry|country|type|start|value|date|status|...`; the value is a number of addresses (IPv4) or a length
(IPv6). The first line has the number of records, the summaries that of each type: so a torn file is seen.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from ...tasks import in_thread
from .base import SourceError
from .fetch import Fetcher

KEPT: Final = 3600.0
"""Seconds after which a file is asked for again: the registries write one a day."""
TIMEOUT: Final = 120.0
_GIVEN: Final = (b"allocated", b"assigned")


class DelegatedFiles:
    """Prefixes by country, out of the files at some URLs. All of them count, or none."""

    def __init__(self, urls: Sequence[str], fetcher: Fetcher) -> None:
        self.urls = urls
        self._fetcher = fetcher
        self._lock = asyncio.Lock()
        self._read: dict[str, tuple[float, dict[str, bytes]]] = {}
        """by URL: when it was read, and the lines of each country"""

    async def lines(self, country: str) -> bytes:
        """Lines of text with the prefixes and ranges of a country. Raises SourceError."""
        async with self._lock:
            found = [(await self._of(url)).get(country.upper(), b"") for url in self.urls]
        return b"".join(found)

    async def _of(self, url: str) -> dict[str, bytes]:
        known = self._read.get(url)
        if known is not None and time.monotonic() - known[0] < KEPT:
            return known[1]
        fetched = await self._fetcher.get(url, timeout=TIMEOUT)
        assert fetched is not None
        try:
            countries = await in_thread("delegated", partial(by_country, fetched.octets))
        except ValueError as error:
            raise SourceError(f"{url}: {error}") from None
        self._read[url] = time.monotonic(), countries
        return countries


def by_country(octets: bytes) -> dict[str, bytes]:
    """The lines of each country. Raises ValueError if this is no such file, or not all of it."""
    found: dict[str, list[str]] = {}
    wanted: dict[bytes, int] = {}
    there: dict[bytes, int] = {b"ipv4": 0, b"ipv6": 0}
    for line in octets.splitlines():
        fields = line.split(b"|")
        if line.startswith(b"#") or len(fields) < 6:
            continue
        if fields[-1] == b"summary":
            wanted[fields[2]] = int(fields[4])
        elif fields[2] in there and len(fields) >= 7:
            there[fields[2]] += 1
            if fields[6] in _GIVEN:
                found.setdefault(fields[1].decode("ascii", "replace").upper(), []).extend(_texts(fields))
    for kind, number in there.items():
        if wanted.get(kind) != number:
            raise ValueError(f"{number} records of {kind.decode()} instead of {wanted.get(kind)}: this is not all")
    return {country: "".join(lines).encode() for country, lines in found.items()}


def _texts(fields: list[bytes]) -> Iterator[str]:
    start, value = fields[3].decode("ascii", "replace"), fields[4].decode("ascii", "replace")
    if fields[2] == b"ipv6":
        yield f"{start}/{value}\n"
        return
    first = ipaddress.IPv4Address(start)
    for network in ipaddress.summarize_address_range(first, first + (int(value) - 1)):
        yield f"{network}\n"
