"""What AS numbers originate, of both families: as RIPEstat has seen it, or as it stands in an IRR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...tasks import Tasks
from ..config import PrefixSource
from .base import Fetched, Source, SourceError
from .content import Form
from .context import Context
from .irr import IrrSource

QUERY: Final = "list_prefixes=true&types=o&af=v4,v6"
FORM: Final = Form(json="*.data.prefixes.*.originating", whole=True)


class AsnSource:
    """The prefixes of some AS numbers. timeout: seconds for each. All of it comes each time: there is no validator."""

    def __init__(self, asns: Sequence[int], timeout: float | None, context: Context) -> None:
        self._asns = asns
        self._timeout = timeout
        self._ripe_stat = context.ripe_stat

    async def fetch(self, validator: str) -> Fetched | None:
        scope = Tasks()
        try:
            running = [scope.begin(f"AS{asn}", self._prefixes(asn)) for asn in self._asns]
            found = [await each for each in running]
        finally:
            await scope.close()
        return Fetched(b"[" + b",".join(found) + b"]", form=FORM)

    async def _prefixes(self, asn: int) -> bytes:
        try:
            return await self._ripe_stat.get(f"ris-prefixes/data.json?resource=AS{asn}&{QUERY}", self._timeout)
        except SourceError as error:
            raise SourceError(f"AS{asn}: {error}") from None


def make(settings: PrefixSource, context: Context) -> Source:
    asns = settings.asns or ((settings.asn,) if settings.asn else ())
    if settings.via == "irr":
        return IrrSource(asns, settings.as_sets, settings.timeout, context.irr)
    return AsnSource(asns, settings.timeout, context)
