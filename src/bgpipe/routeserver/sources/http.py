"""Lists at URLs, asked for with If-None-Match or If-Modified-Since where the server gives what that needs."""

from __future__ import annotations

from ..config import PrefixSource
from .base import Fetched
from .content import Form
from .context import Context
from .fetch import TIMEOUT


class HttpSource:
    """A list at a URL."""

    def __init__(self, settings: PrefixSource, context: Context) -> None:
        self._settings = settings
        self._fetcher = context.fetcher
        self._form = Form(json=settings.json, column=settings.column)

    async def fetch(self, validator: str) -> Fetched | None:
        settings = self._settings
        timeout = float(settings.timeout or TIMEOUT)
        found = await self._fetcher.get(settings.url, validator, headers=settings.headers, timeout=timeout)
        return found and found._replace(form=self._form)


def make(settings: PrefixSource, context: Context) -> HttpSource:
    return HttpSource(settings, context)
