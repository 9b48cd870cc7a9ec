"""WebSocket (RFC 6455), one message to a frame: a connection to a server, and a server with any number of clients.

They are links (see pipes.Link), of which `remote` is the address of who has sent what was read last.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections import deque
from collections.abc import Callable, Sequence
from ssl import SSLContext, SSLError
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .tcp import explain_failure, format_endpoint
from .tls import explain_tls

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

MAX_FRAME: Final = 4 << 20
"""Octets of the longest message that is received."""
HIGH_WATER: Final = 1 << 20
"""Octets that wait for every client of a server before who sends has to wait."""
MAX_FRAME_OCTETS: Final = 16 << 20
"""Octets that wait for a client while others go ahead; one that is further behind is dropped."""
MAX_UNREAD: Final = 256
"""Frames that wait to be read before the clients have to wait."""
LOG_INTERVAL: Final = 1.0
"""Seconds of silence after which a peer that knows that we send no more is taken to have said all that it has to."""
GOING_AWAY: Final = 1001
NORMAL: Final = 1000
REALM: Final = "bgpipe"

_log = logging.getLogger("bgpipe.websocket")
_log.addHandler(logging.NullHandler())
_log.propagate = False


def frames_of(octets: bytes, lines: bool) -> list[bytes]:
    """What was encoded, as frames: each line, without its end, or all of it."""
    return [line for line in octets.split(b"\n") if line] if lines else [octets]


class WebSocketClient:
    """A connection that we have made.

    lines: whether each line is to be a frame. answers: whether something may still come after the last that we send.
    """

    def __init__(self, connection: Connection, *, lines: bool, answers: bool) -> None:
        self.remote = _remote(connection)
        self._connection = connection
        self._lines = lines
        self._answers = answers
        self._heard = 0.0
        self._unsent = 0
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        tls: SSLContext | None,
        headers: Sequence[tuple[str, str]] = (),
        timeout: float = 10.0,
        lines: bool = True,
        answers: bool = True,
    ) -> WebSocketClient:
        """url: ws:// or wss://. timeout: seconds until the connection must be open, 0 for any time. Raises OSError."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI

        try:
            connection = await connect(
                url,
                ssl=tls,
                additional_headers=list(headers),
                open_timeout=timeout or None,
                max_size=MAX_FRAME,
                compression=None,
                logger=_log,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"{place(url)}: HTTP status {status}") from error
        except (InvalidHandshake, InvalidURI, InvalidProxy) as error:
            raise ConnectionError(errno.EPROTO, f"{place(url)}: {error}") from error
        except TimeoutError as error:
            raise TimeoutError(errno.ETIMEDOUT, f"{place(url)}: no answer within {timeout:g} s") from error
        except SSLError as error:
            raise ConnectionError(errno.EPROTO, f"{place(url)}: {explain_tls(error)}") from error
        except OSError as error:
            raise OSError(error.errno, f"{place(url)}: {explain_failure(error)}") from error
        return cls(connection, lines=lines, answers=answers)

    @property
    def waiting(self) -> int:
        return self._unsent + self._connection.transport.get_write_buffer_size()

    async def read(self) -> bytes:
        from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

        try:
            while not (octets := await self._connection.recv(decode=False)):
                pass
        except ConnectionClosedOK:
            return b""
        except ConnectionClosed as error:
            if self._ending is not None:
                return b""
            raise ConnectionResetError(errno.ECONNRESET, explain_close(error)) from error
        self._heard = asyncio.get_running_loop().time()
        return octets

    async def write(self, octets: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        self._unsent = len(octets)
        try:
            for frame in frames_of(octets, self._lines):
                await self._connection.send(frame)
                self._unsent -= len(frame)
        except ConnectionClosed as error:
            raise BrokenPipeError(errno.EPIPE, explain_close(error)) from error
        self._unsent = 0

    def end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        """WebSocket has no half-closed connections, so that the last answers have to be waited for."""
        with contextlib.suppress(Exception):
            await (await self._connection.ping())  # answered when the peer has read all before it
            if self._answers:
                await quiet(lambda: self._heard)
        await self._connection.close()

    async def close(self, timeout: float) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._connection.close(GOING_AWAY)
        self.abort()
        return ""

    def abort(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._connection.transport.abort()


class _Seat:
    """A client of a server, and what waits for it."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.remote = _remote(connection)
        self.frames: deque[bytes] = deque()
        self.size = 0
        self.wake = asyncio.Event()
        self.task = asyncio.current_task()

    def put(self, frames: list[bytes], size: int) -> None:
        self.frames.extend(frames)
        self.size += size
        self.wake.set()


class WebSocketServer:
    """A server, which is a link to all its clients together as long as there is one.

    What is written goes to each of them; who writes has to wait for the fastest. One that is too far behind the others
    is dropped, and told to `on_slow`.
    """

    def __init__(
        self,
        *,
        lines: bool = True,
        answers: bool = True,
        on_client: Callable[[str, str], None] = lambda what, remote: None,
        on_slow: Callable[[str], None] = lambda remote: None,
    ) -> None:
        """on_client: called with "connected" or "disconnected", and the client's address."""
        self.remote = ""
        self._lines = lines
        self._answers = answers
        self._on_client = on_client
        self._on_slow = on_slow
        self._server: Any = None
        self._starting = asyncio.Lock()
        self._seats: set[_Seat] = set()
        self._heard = 0.0
        self._received: deque[tuple[bytes, str]] = deque()
        self._news = asyncio.Event()
        self._read = asyncio.Event()
        self._someone = asyncio.Event()
        self._room = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._path = ""
        self._authorize: Callable[[ServerConnection, Request], Any] | None = None

    async def start(
        self, url: str, *, tls: SSLContext | None, credentials: tuple[str, str] | None = None, timeout: float = 10.0
    ) -> None:
        """Listens where the URL says, without a host at all addresses; if it does so already, that is all right.

        Raises OSError.
        """
        from websockets.asyncio.server import basic_auth, serve

        async with self._starting:
            if self._server is not None:
                return
            parts = urlsplit(url)
            self._path = parts.path or "/"
            if credentials is not None:
                self._authorize = basic_auth(realm=REALM, credentials=credentials)
            self._server = await serve(
                self._handle,
                parts.hostname,
                parts.port or (443 if parts.scheme == "wss" else 80),
                ssl=tls,
                process_request=self._judge,
                open_timeout=timeout or None,
                max_size=MAX_FRAME,
                compression=None,
                logger=_log,
            )

    @property
    def addresses(self) -> list[str]:
        """Where it listens."""
        return [format_endpoint(each.getsockname()) for each in self._server.sockets]

    async def someone(self) -> None:
        """Returns when there is a client."""
        await self._someone.wait()

    async def nobody(self) -> None:
        """Returns when there is no client."""
        while self._seats:
            self._room.clear()
            await self._room.wait()

    async def flush(self) -> None:
        """Returns when the clients have been sent all that waits for them."""
        while any(seat.size for seat in self._seats):
            self._room.clear()
            await self._room.wait()

    async def stop(self, timeout: float) -> None:
        if self._server is None:
            return
        self._server.close(code=GOING_AWAY)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._server.wait_closed()
        for seat in tuple(self._seats):
            if seat.task is not None:
                seat.task.cancel()  # it may wait for who reads here no more
        self.abort()
        await self._server.wait_closed()

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Who may come in."""
        if urlsplit(request.path).path != self._path:
            return connection.respond(404, "not found\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
            return connection.respond(403, "this is not for other origins\n")
        if self._authorize is not None:
            answer: Response | None = await self._authorize(connection, request)
            return answer
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        """A client's stay."""
        from websockets.exceptions import ConnectionClosed

        seat = _Seat(connection)
        self._seats.add(seat)
        self._someone.set()
        self._on_client("connected", seat.remote)
        sending = asyncio.create_task(self._send(seat))
        try:
            while True:
                octets = await connection.recv(decode=False)
                self._heard = asyncio.get_running_loop().time()
                if octets:
                    await self._receive(octets, seat.remote)
        except ConnectionClosed:
            pass
        finally:
            sending.cancel()
            self._seats.discard(seat)
            self._room.set()
            if not self._seats:
                self._someone.clear()
                self._news.set()
            self._on_client("disconnected", seat.remote)

    async def _receive(self, octets: bytes, remote: str) -> None:
        """Keeps a frame for who reads; waits when there are many."""
        while len(self._received) >= MAX_UNREAD:
            self._read.clear()
            await self._read.wait()
        self._received.append((octets, remote))
        self._news.set()

    async def _send(self, seat: _Seat) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            while True:
                while not seat.frames:
                    seat.wake.clear()
                    await seat.wake.wait()
                frame = seat.frames.popleft()
                await seat.connection.send(frame)
                seat.size -= len(frame)
                if seat.size < HIGH_WATER:
                    self._room.set()  # one of those who wait may have what it waits for

    # the link

    @property
    def waiting(self) -> int:
        return sum(seat.size for seat in self._seats)

    async def read(self) -> bytes:
        """What one of the clients has sent, lines together; b"" when the last one has gone."""
        while not self._received:
            if not self._seats:
                return b""
            self._news.clear()
            await self._news.wait()
        octets, self.remote = self._received.popleft()
        lines = [octets]
        while self._lines and self._received and self._received[0][1] == self.remote:
            lines.append(self._received.popleft()[0])
        self._read.set()
        return b"\n".join(lines)

    async def write(self, octets: bytes) -> None:
        """Returns when there is room for more at one client."""
        frames = frames_of(octets, self._lines)
        size = sum(map(len, frames))
        for seat in tuple(self._seats):
            if seat.size < MAX_FRAME_OCTETS:
                seat.put(frames, size)
            else:
                self._drop(seat)
                self._on_slow(seat.remote)
        while self._seats and all(seat.size >= HIGH_WATER for seat in self._seats):
            self._room.clear()
            await self._room.wait()
        if not self._seats:
            raise BrokenPipeError(errno.EPIPE, "no client is left")

    def end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self.flush()
        with contextlib.suppress(Exception):
            await asyncio.gather(*[await seat.connection.ping() for seat in self._seats])
            if self._answers:
                await quiet(lambda: self._heard)
        await asyncio.gather(*[seat.connection.close() for seat in self._seats])

    async def close(self, timeout: float) -> str:
        """Without its clients, it waits for others."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self.abort()
        return ""

    def abort(self) -> None:
        for seat in tuple(self._seats):
            self._drop(seat)

    def _drop(self, seat: _Seat) -> None:
        self._seats.discard(seat)
        self._room.set()
        seat.connection.transport.abort()


class SharedServer:
    """A server as the link of one of many who write to its clients, and don't read what these send."""

    remote = ""

    def __init__(self, server: WebSocketServer) -> None:
        self._server = server
        self._over = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._deserted = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        await self._server.nobody()
        self._over.set()

    @property
    def waiting(self) -> int:
        return self._server.waiting

    async def read(self) -> bytes:
        await self._over.wait()
        return b""

    async def write(self, octets: bytes) -> None:
        await self._server.write(octets)

    def end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        await self._server.flush()
        self._over.set()

    async def close(self, timeout: float) -> str:
        self._deserted.cancel()
        if self._ending is not None:
            self._ending.cancel()
        self._over.set()
        return ""

    def abort(self) -> None:
        """None of the clients takes anything."""
        self._server.abort()


async def quiet(heard: Callable[[], float]) -> None:
    """Returns when for QUIET seconds nothing was heard; `heard`: when something last was, by the loop's clock."""
    rest = LOG_INTERVAL
    while rest > 0:
        await asyncio.sleep(rest)
        rest = heard() + LOG_INTERVAL - asyncio.get_running_loop().time()


def explain_close(error: Exception) -> str:
    """What a ConnectionClosed says."""
    frame = getattr(error, "rcvd", None)
    if frame is None:
        return "the connection is lost"
    return f"closed by the peer: {frame.code}{f' ({frame.reason})' if frame.reason else ''}"


def place(url: str) -> str:
    """A URL without what is secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _remote(connection: Connection) -> str:
    address = connection.remote_address
    return format_endpoint(address) if isinstance(address, tuple) else str(address)
