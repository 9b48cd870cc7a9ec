"""VRPs and ASPAs from a URL, which is asked again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ...pipeline.log import Log
from ...rpki.entries import Parsed
from ...rpki.files import PIECE, FileReader
from ...tasks import in_thread
from ...wire.errors import TextError
from ..errors import explain_http, explain_status
from .polled import PolledSource
from .settings import REFRESH, RpkiSettings, SourceSpec

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

TIMEOUT: Final = 300.0
"""Seconds for all of an answer."""


class UrlSource(PolledSource):
    """A URL whose answer is VRPs and ASPAs, in one of the forms that docs/rpki.md names."""

    kind = "url"

    def __init__(self, spec: SourceSpec, settings: RpkiSettings, log: Log) -> None:
        super().__init__(spec, settings, log)
        self._refresh = settings.refresh or REFRESH
        self.retry = min(self.retry, self._refresh)
        self.forget_version()

    @property
    def interval(self) -> float:
        return self.retry if self.error else self._refresh

    def forget_version(self) -> None:
        self._validators: dict[str, str] = {}
        self._hash = b""

    async def read(self) -> Parsed | None:
        await in_thread("rpki url", partial(import_module, "aiohttp"))  # a tenth of a second, the first time
        async with (
            _telling(),
            self._session() as session,
            session.get(self.spec.place, headers=self._validators, **await self._how()) as response,
        ):
            if response.status == 304 and self._validators:
                return None
            _check(response, self.spec.place)
            reader, digest = FileReader(time.time()), sha256()
            async for octets in _pieces(response):
                await in_thread("vrps", partial(_feed, octets, reader, digest))
            validators = _validators(response)
        if digest.digest() == self._hash:
            self._validators = validators
            return None
        parsed = await in_thread("vrps", reader.finish)
        self._validators, self._hash = validators, digest.digest()
        return parsed

    def _session(self) -> ClientSession:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        bind = (self.settings.bind, 0) if self.settings.bind else None
        return ClientSession(
            connector=TCPConnector(local_addr=bind, force_close=True),
            timeout=ClientTimeout(total=TIMEOUT),
            cookie_jar=DummyCookieJar(),
            headers={"User-Agent": "bgpipe", "Accept-Encoding": "gzip"},
            auto_decompress=False,  # a reader of files does that, in a thread and within its limits
            trust_env=True,
        )

    async def _how(self) -> dict[str, Any]:
        """Raises ValueError."""
        if not self.spec.place.startswith("https:"):
            return {}
        return {"ssl": await in_thread("rpki tls", self.settings.tls_context)}


@asynccontextmanager
async def _telling() -> AsyncIterator[None]:
    """Raises TextError for all that can go wrong between us and a server."""
    from aiohttp import ClientError

    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except TimeoutError:
        raise TextError(f"no answer within {TIMEOUT:g} s") from None
    except TextError:
        raise
    except (ClientError, OSError, ValueError) as error:
        raise TextError(explain_http(error)) from None


def _check(response: ClientResponse, url: str) -> None:
    """Raises TextError if an answer is none that can be read."""
    if response.status != 200:
        raise TextError(explain_status(response))
    if url.startswith("https:") and response.url.scheme != "https":
        raise TextError(f"the server sends us to {response.url.with_query(None)}, which is not encrypted")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise TextError(f"the answer is encoded as {encoding[:20]}, which was not asked for")


async def _pieces(response: ClientResponse) -> AsyncIterator[bytes]:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size >= PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def _feed(octets: bytes, reader: FileReader, digest: Any) -> None:
    """Raises TextError."""
    digest.update(octets)
    reader.feed(octets)


def _validators(response: ClientResponse) -> dict[str, str]:
    """RFC 9110 section 13.1: header fields for the next request, so that the server need not send it all again."""
    found = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
    return {sent: response.headers[got] for sent, got in found.items() if got in response.headers}
