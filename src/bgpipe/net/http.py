"""An HTTP server for status pages, metrics and APIs.

It runs in the event loop of the BGP sessions, so all is bounded: a connection has one request, of at most MAX_REQUEST
octets, and at most REQUEST_TIMEOUT seconds; MAX_CONNECTIONS are open at a time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

from aiohttp import web

from ..tasks import Tasks
from .basic_auth import CHALLENGE, authorized, explain_refusal
from .secret import read_secret
from .tcp import TcpOptions, listen, parse_endpoint, plain_address

MAX_CONNECTIONS: Final = 64
"""Connections that may be open at the same time. For one more, the oldest one is closed."""
MAX_PER_ADDRESS: Final = 16
"""The same for one address."""
REQUEST_TIMEOUT: Final = 10.0
"""Seconds that a connection lives at most, from its first octet to the last of the answer."""
MAX_LONG: Final = 64
"""Connections with answers without an end (event streams) that may be open at the same time."""
MAX_LONG_PER_ADDRESS: Final = 8
"""The same for one address."""
CLOSING: Final = 0.5
"""Seconds for answers that are being sent when the server closes."""
MAX_LINE: Final = 4096
"""Octets of a request line or of one header field."""
MAX_REQUEST: Final = 64 << 10
"""Octets of a request with its body; a connection on which more come is cut off."""

T = TypeVar("T")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Server": "bgpipe",
}
_SILENT: Final = logging.getLogger("bgpipe.http")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def parse_http_address(text: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT or :PORT. Raises ValueError."""
    host, port = parse_endpoint(text, 0)
    if not port:
        raise ValueError(f"{text!r} has no port; HOST:PORT or :PORT is expected")
    return host, port


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can connect to this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_credentials(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """`user:password`, from `text` itself, a variable (`$NAME`), or the first line of a file (`/a/file`).

    Raises ValueError; its text has no secret.
    """
    found, where = read_secret(text, environment)
    if ":" not in found:
        raise ValueError(f"{where} must be user:password, with a colon between them")
    return found


class Failure(Protocol):
    """Makes the answer to a request that failed."""

    def __call__(self, status: int, reason: str, headers: Mapping[str, str]) -> web.StreamResponse: ...


def plain_failure(status: int, reason: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """An answer of one line of text."""
    return web.Response(status=status, text=f"{reason.lower()}\n", headers=headers)


class HttpServer:
    """Answers to GET, by path, or to the method that stands before the path (`POST /peers`; paths are those of
    aiohttp's router). Everything else is refused.

    max_request: octets of a request with its body. failure: makes the answer to a request that failed.
    credentials: `user:password` that every request must have (RFC 7617); None if none is needed.
    on_error: called with an exception of a handler; the client gets status 500. on_refused: called with the address of
    a client with wrong or missing credentials, and the reason.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer],
        *,
        credentials: str | None,
        on_error: Callable[[str, Exception], object],
        on_refused: Callable[[str, str], object] = lambda remote, reason: None,
        most: int = MAX_CONNECTIONS,
        timeout: float = REQUEST_TIMEOUT,
        max_request: int = MAX_REQUEST,
        failure: Failure = plain_failure,
    ) -> None:
        self.refused = 0
        """connections closed because there were too many"""
        self._open: dict[_Connection, str] = {}
        """open connections with the addresses of their clients, the oldest first"""
        self._long: dict[_Connection, str] = {}
        """the same for those with answers without an end"""
        self._expected = credentials.encode() if credentials is not None else None
        self._on_error = on_error
        self._on_refused = on_refused
        self._most = most
        self._timeout = timeout
        self._max_request = max_request
        self._failure = failure
        self._servers: list[asyncio.Server] = []
        self._place = "", 0
        self._tasks: Tasks | None = None
        application = web.Application(middlewares=[self._guard], client_max_size=max_request)
        for place, answer in answers.items():
            method, _, path = place.rpartition(" ")
            if method in ("", "GET"):
                application.router.add_get(path, answer)
            else:
                application.router.add_route(method, path, answer)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_SILENT,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            lingering_time=0,
            shutdown_timeout=CLOSING,
        )

    async def start(self, host: str, port: int, tasks: Tasks | None = None) -> None:
        """tasks: the scope that ends after it. Raises OSError."""
        self._tasks = Tasks(lambda error: self._on_error("", error), tasks)
        await self._runner.setup()
        await self._listen(host, port)

    async def _listen(self, host: str, port: int) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        self._servers = [
            await loop.create_server(self._accept, sock=each)
            for each in await listen(host, port, TcpOptions(keepalive=0))
        ]
        self._place = host, port

    async def move(self, host: str, port: int) -> None:
        """Listens there from now on; connections that are open go on. Raises OSError: then it listens where it did."""
        before = self._place
        self._close_servers()
        try:
            await self._listen(host, port)
        except OSError:
            await self._listen(*before)
            raise

    def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []

    async def close(self) -> None:
        self._close_servers()
        await self._runner.cleanup()
        if self._tasks is not None:
            await self._tasks.close()

    def _accept(self) -> asyncio.Protocol:
        """Makes the protocol object of the next connection."""
        server = self._runner.server
        assert server is not None
        assert self._tasks is not None
        return _Connection(server(), self._timeout, self._max_request, self._tasks, self._enter, self._leave)

    def _enter(self, connection: _Connection, host: str) -> None:
        """The oldest connection makes room, first of those from the same address: requests take milliseconds, so it is
        idle, or sends its request too slowly."""
        same = [each for each, address in self._open.items() if address == host]
        if len(same) >= MAX_PER_ADDRESS:
            oldest = same[0]
        elif len(self._open) >= self._most:
            oldest = next(iter(self._open))
        else:
            self._open[connection] = host
            return
        self.refused += 1
        self._on_refused(self._open.pop(oldest), "too many connections: the oldest one is closed")
        oldest.abort()
        self._open[connection] = host

    def _leave(self, connection: _Connection) -> None:
        self._open.pop(connection, None)
        self._long.pop(connection, None)

    def prolong(self, request: web.Request) -> bool:
        """Lets the connection of a request live on, for an answer without an end: it has no time limit, and makes no
        room for others. False if there are too many of these. Whoever answers ends it when the client does not read."""
        found = next((each for each in self._open if each.carries(request.transport)), None)
        if found is None:
            return False
        host = self._open[found]
        if len(self._long) >= MAX_LONG or list(self._long.values()).count(host) >= MAX_LONG_PER_ADDRESS:
            return False
        self._long[found] = self._open.pop(found)
        found.prolong()
        return True

    @web.middleware
    async def _guard(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        """Checks every request, also those for unknown paths."""
        fields = request.headers.getall("Authorization", [])
        response: web.StreamResponse
        if len(fields) > 1:
            self._on_refused(request.remote or "", f"the header Authorization is there {len(fields)} times")
            response = self._failure(400, "Bad request", {})
        elif self._expected is not None and not authorized("".join(fields), self._expected):
            self._on_refused(request.remote or "", explain_refusal("".join(fields)))
            response = self._failure(401, "Unauthorized", {"WWW-Authenticate": CHALLENGE})
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
                response = self._failure(error.status, error.reason, allow)
            except Exception as error:
                self._on_error(request.path, error)
                response = self._failure(500, "Internal server error", {})
        if not response.prepared:
            for name, text in _HEADERS.items():
                response.headers.setdefault(name, text)
            response.force_close()
        return response


class _Connection(asyncio.Protocol):
    """Gives `inner` what comes, until time or octets are used up. tasks: hears of what the callbacks raise."""

    def __init__(
        self,
        inner: asyncio.Protocol,
        timeout: float,
        room: int,
        tasks: Tasks,
        on_made: Callable[[_Connection, str], None],
        on_lost: Callable[[_Connection], None],
    ) -> None:
        self._inner = inner
        self._timeout = timeout
        self._tasks = tasks
        self._on_made = on_made
        self._on_lost = on_lost
        self._room = room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = self._tasks.call_later("too slow", self._timeout, transport.abort)
        self._guarded(self._inner.connection_made, transport)
        self._on_made(self, plain_address(transport.get_extra_info("peername") or ("",)))

    def _guarded(self, callback: Callable[..., T], *arguments: object) -> T | None:
        try:
            return callback(*arguments)
        except Exception as error:
            self._tasks.fail(error)
            self._transport.abort()
            return None

    def abort(self) -> None:
        self._transport.abort()

    def carries(self, transport: asyncio.BaseTransport | None) -> bool:
        return self._transport is transport

    def prolong(self) -> None:
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            self._transport.abort()
        else:
            self._guarded(self._inner.data_received, data)

    def eof_received(self) -> bool | None:
        return self._guarded(self._inner.eof_received)

    def pause_writing(self) -> None:
        self._guarded(self._inner.pause_writing)

    def resume_writing(self) -> None:
        self._guarded(self._inner.resume_writing)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._on_lost(self)
        self._guarded(self._inner.connection_lost, exc)
