"""VRPs and ASPAs from a URL, which is asked again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ...pipeline.log import Log
from ...tasks import in_thread
from ...wire.errors import TextError
from .reading import read_octets
from .settings import REFRESH, RpkiSettings, SourceSpec
from .source import Source

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

TIMEOUT: Final = 300.0
"""Seconds for all of an answer."""
MAX_SIZE: Final = 512 << 20
"""Octets of the largest answer that is read, after decompression."""
MAX_SHOWN: Final = 200
"""Characters of what a server says that are shown."""


class UrlSource(Source):
    """A URL whose answer is VRPs and ASPAs, in one of the forms that docs/rpki.md names."""

    kind = "url"

    def __init__(self, spec: SourceSpec, settings: RpkiSettings, log: Log) -> None:
        super().__init__(spec, settings, log)
        self._refresh = settings.refresh or REFRESH
        self.retry = min(self.retry, self._refresh)
        self._validators: dict[str, str] = {}
        self._hash = b""
        self._wake = asyncio.Event()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            await self._fetch()
            try:
                async with asyncio.timeout(self.retry if self.error else self._refresh):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def look(self) -> None:
        self._wake.set()

    def forget(self) -> None:
        super().forget()
        self._validators, self._hash = {}, b""

    async def _fetch(self) -> None:
        try:
            octets, validators = await self._get()
            if octets is None:
                self.confirm()
                return
            digest = await in_thread("vrps", sha256(octets).digest)
            if digest == self._hash:
                self.confirm()
            else:
                self.take(await read_octets(octets, str(self), self.log))
            self._validators, self._hash = validators, digest
        except TextError as error:
            self.fail(f"{self}: {error}")

    async def _get(self) -> tuple[bytes | None, dict[str, str]]:
        """The body of the answer, None if nothing has changed; and the header fields that ask whether it has changed.
        Raises TextError."""
        async with (
            _telling(),
            self._session() as session,
            session.get(self.spec.place, headers=self._validators, **self._how()) as response,
        ):
            if response.status == 304 and self._validators:
                return None, self._validators
            if response.status != 200:
                raise TextError(f"the server answered {response.status} {response.reason or ''}"[:MAX_SHOWN].rstrip())
            return await _body(response), _validators(response)

    def _session(self) -> ClientSession:
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector

        bind = (self.settings.bind, 0) if self.settings.bind else None
        connector = TCPConnector(local_addr=bind, force_close=True)
        return ClientSession(
            connector=connector, cookie_jar=DummyCookieJar(), headers={"User-Agent": "bgpipe"}, trust_env=True
        )

    def _how(self) -> dict[str, Any]:
        """Raises ValueError."""
        return {"ssl": self.settings.tls_context()} if self.spec.place.startswith("https:") else {}


@asynccontextmanager
async def _telling() -> AsyncIterator[None]:
    """Raises TextError for all that can go wrong between us and a server."""
    from aiohttp import ClientError, ClientPayloadError, InvalidURL

    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except TimeoutError:
        raise TextError(f"no answer within {TIMEOUT:g} s") from None
    except InvalidURL:
        raise TextError("not a URL") from None
    except ClientPayloadError:
        raise TextError("the answer ends too early") from None
    except (ClientError, OSError, ValueError) as error:
        cause = getattr(error, "os_error", None)
        text = (cause.strerror or str(cause)) if cause is not None else str(error)
        raise TextError(text[:MAX_SHOWN] or type(error).__name__) from None


async def _body(response: ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_SIZE:
            raise TextError(f"the answer is larger than {MAX_SIZE >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _validators(response: ClientResponse) -> dict[str, str]:
    """RFC 9110 section 13.1: header fields for the next request, so that the server need not send it all again."""
    found = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
    return {sent: response.headers[got] for sent, got in found.items() if got in response.headers}
