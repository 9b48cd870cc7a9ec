"""The prefixes that the registries have given to holders in a country, as RIPEstat knows them."""

from __future__ import annotations

from ..config import PrefixSource
from .base import Fetched
from .fetch import Context

PATH = "data.resources.ipv4,data.resources.ipv6"


class CountrySource:
    """country: two letters (ISO 3166). timeout: seconds."""

    def __init__(self, country: str, timeout: float, context: Context) -> None:
        self._country = country.lower()
        self._timeout = timeout
        self._context = context

    async def fetch(self, validator: str) -> Fetched | None:
        url = (
            f"{self._context.ripe_stat}/data/country-resource-list/data.json?resource={self._country}"
            "&v4_format=prefix&sourceapp=bgplite"
        )
        found = await self._context.fetcher.get(url, timeout=self._timeout)
        assert found is not None
        return Fetched(found.octets, path=PATH)


def make(settings: PrefixSource, context: Context) -> CountrySource:
    return CountrySource(settings.country, float(settings.timeout or context.ripe_timeout), context)
