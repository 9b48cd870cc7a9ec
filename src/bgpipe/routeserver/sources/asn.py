"""What RIPEstat has seen AS numbers originate, of both families.

RIPEstat asks for at most 8 requests at a time, which the fetcher holds to, and for a name (`sourceapp`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...tasks import Tasks
from ..config import PrefixSource
from .base import Fetched, SourceError
from .fetch import Context

QUERY = "list_prefixes=true&types=o&af=v4,v6&sourceapp=bgplite"
PATH = "*.data.prefixes.*.originating"


class AsnSource:
    """The prefixes of some AS numbers. timeout: seconds for each. All of it comes each time: there is no validator."""

    def __init__(self, asns: Sequence[int], timeout: float, context: Context) -> None:
        self._asns = asns
        self._timeout = timeout
        self._context = context

    async def fetch(self, validator: str) -> Fetched | None:
        scope = Tasks()
        try:
            running = [scope.begin(f"AS{asn}", self._prefixes(asn)) for asn in self._asns]
            found = [await each for each in running]
        finally:
            await scope.close()
        return Fetched(b"[" + b",".join(found) + b"]", path=PATH)

    async def _prefixes(self, asn: int) -> bytes:
        url = f"{self._context.ripe_stat}/data/ris-prefixes/data.json?resource=AS{asn}&{QUERY}"
        try:
            found = await self._context.fetcher.get(url, timeout=self._timeout)
        except SourceError as error:
            raise SourceError(f"AS{asn}: {error}") from None
        assert found is not None
        return found.octets


def make(settings: PrefixSource, context: Context) -> AsnSource:
    return AsnSource(settings.asns or (settings.asn,), float(settings.timeout or context.ripe_timeout), context)
