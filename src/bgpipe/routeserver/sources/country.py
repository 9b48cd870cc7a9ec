"""What the registries have given to a country, as RIPEstat knows it, or their own files where it does not answer."""

from __future__ import annotations

from typing import Final

from ..config import PrefixSource
from .base import Fetched, SourceError
from .content import Form
from .context import Context

FORM: Final = Form(json="data.resources.ipv4,data.resources.ipv6")


class CountrySource:
    """country: two letters (ISO 3166). timeout: seconds; None as the configuration says."""

    def __init__(self, country: str, timeout: float | None, context: Context) -> None:
        self._country = country
        self._timeout = timeout
        self._ripe_stat = context.ripe_stat

    async def fetch(self, validator: str) -> Fetched | None:
        path = f"country-resource-list/data.json?resource={self._country.lower()}&v4_format=prefix"
        try:
            return Fetched(await self._ripe_stat.get(path, self._timeout), form=FORM)
        except SourceError as error:
            return await self._from_files(str(error))

    async def _from_files(self, why: str) -> Fetched:
        if not self._ripe_stat.delegated.urls:
            raise SourceError(f"RIPEstat: {why}")
        try:
            return Fetched(await self._ripe_stat.delegated.lines(self._country))
        except SourceError as error:
            raise SourceError(f"RIPEstat: {why}; the files of the registries: {error}") from None


def make(settings: PrefixSource, context: Context) -> CountrySource:
    return CountrySource(settings.country, settings.timeout, context)
