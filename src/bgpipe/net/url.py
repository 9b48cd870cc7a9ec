"""Reads octets from http and https URLs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from ..tasks import PrivateLoop
from .bounded_queue import Closed
from .errors import StreamError, explain_http, explain_status
from .files_in_use import Identity

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

T = TypeVar("T")

CONNECT_TIMEOUT: Final = 30.0
"""Seconds until there must be a connection."""
READ_TIMEOUT: Final = 60.0
"""Seconds without octets after which reading fails."""


def redact(url: str) -> str:
    """The URL without the password that it may hold, for messages."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if at:
        user = user.partition(":")[0] + ":***"
    return f"{scheme}{mark}{user}{at}{host}{slash}{path}"


class _CutShort(StreamError):
    """The answer has ended before its length, or before its last chunk."""


class UrlOctets:
    """The body of the answer to a GET, which must have status 200. Proxies are taken from the environment.

    It runs an event loop of its own in the thread that reads. Raises StreamError when reading can't begin, and where it
    breaks off, behind all that has come.
    """

    def __init__(self, url: str) -> None:
        self.name = redact(url)
        self.position = 0
        self.total: int | None = None
        self.identity: Identity | None = None
        self.encoded = False
        """Whether the answer came compressed by HTTP itself, of which nothing is left here."""
        self._url = url
        self._loop = PrivateLoop()

    def __iter__(self) -> Iterator[bytes]:
        with self._loop:
            session, response = self._run(self._open)
            try:
                while octets := self._run(response.content.readany):
                    self.position += len(octets)
                    yield octets
            except StreamError as error:
                if rest := _arrived(response):
                    self.position += len(rest)
                    yield rest
                if isinstance(error, _CutShort):
                    raise StreamError(self.name, f"{error.text}, after {self.position:,} octets") from error
                raise
            finally:
                response.close()
                self._loop.run(session.close, always=True)

    def close(self) -> None:
        self._loop.cancel()

    def release(self) -> None:
        """Does nothing: the connection is opened by the first read."""

    async def _open(self) -> tuple[ClientSession, ClientResponse]:
        from aiohttp import ClientSession, ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
        session = ClientSession(trust_env=True, timeout=timeout, headers={"User-Agent": "bgpipe"})
        try:
            response = await session.get(self._url)
            if response.status != 200:
                response.close()
                raise StreamError(self.name, explain_status(response))
        except BaseException:
            await session.close()
            raise
        self.encoded = "Content-Encoding" in response.headers
        if not self.encoded:
            self.total = response.content_length
        return session, response

    def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, which `close` can cancel. Errors become a StreamError with a clear text."""
        from aiohttp import ClientError, ClientPayloadError

        try:
            return self._loop.run(work)
        except asyncio.CancelledError:
            raise Closed from None
        except ClientPayloadError as error:
            raise _CutShort(self.name, explain_http(error)) from error
        except TimeoutError as error:
            raise StreamError(self.name, f"no answer within {READ_TIMEOUT:.0f} seconds") from error
        except StreamError:
            raise
        except (ClientError, OSError) as error:
            raise StreamError(self.name, explain_http(error)) from error


def _arrived(response: ClientResponse) -> bytes:
    """What has come of an answer that broke off, and was not read. aiohttp raises the error before it gives that, and
    has no public function that doesn't."""
    octets: bytes = response.content._read_nowait(-1)
    return octets
