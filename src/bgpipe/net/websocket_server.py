"""A WebSocket server (RFC 6455), which is one link (see pipes.Link) to all of its clients."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..tasks import Tasks
from .basic_auth import CHALLENGE, authorized, explain_refusal
from .tcp import format_endpoint
from .tls import tell_failures
from .websocket import GOING_AWAY, MAX_FRAME, SILENT, frames_of, in_pieces, quiet, remote_of

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol

HIGH_WATER: Final = 1 << 20
"""If more octets than these wait for every client of a server, the senders have to wait."""
MAX_BEHIND: Final = 16 << 20
"""Octets that may wait for one client while others are faster. A client that is further behind is dropped."""
MAX_UNREAD: Final = 256
"""Frames that may wait to be read. Above that, the clients have to wait."""
ONCE: Final = ("Authorization", "Host", "Origin")
"""Header fields that may come only once in a request, because they decide about access."""


class _Seat:
    """A client of a server, and the octets that wait for it."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.remote = remote_of(connection)
        self.frames: deque[bytes] = deque()
        self.size = 0
        self.wake = asyncio.Event()
        self.task = asyncio.current_task()

    def put(self, frames: list[bytes], size: int) -> None:
        self.frames.extend(frames)
        self.size += size
        self.wake.set()


class WebSocketListener:
    """Listens, and decides which clients may connect. Subclasses use the connections."""

    def __init__(self) -> None:
        self.on_refused: Callable[[str, str], object] = lambda remote, reason: None
        """called with the address of a client that may not come in, and why"""
        self.on_client: Callable[[str, str], object] = lambda what, remote: None
        """called with "connected" or "disconnected", and the client's address"""
        self.tasks = Tasks(self._on_error)
        self._server: Any = None
        self._starting = asyncio.Lock()
        self._path = ""
        self._credentials: bytes | None = None

    async def start(
        self, url: str, *, tls: SSLContext | None, credentials: tuple[str, str] | None = None, timeout: float = 10.0
    ) -> None:
        """Listens at the address of the URL, or at all addresses if it has no host. A second call does nothing.

        Raises OSError.
        """
        from websockets.asyncio.server import ServerConnection, serve

        async with self._starting:
            if self._server is not None:
                return
            parts = urlsplit(url)
            self._path = parts.path or "/"
            if credentials is not None:
                self._credentials = ":".join(credentials).encode()
            if tls is not None:
                tell_failures(tls, lambda reason: self.on_refused("", reason))
            self._server = await serve(
                self._guarded,
                parts.hostname,
                parts.port or (443 if parts.scheme == "wss" else 80),
                ssl=tls,
                ssl_handshake_timeout=(timeout or None) if tls is not None else None,
                process_request=self._judge,
                process_response=self._complete,
                select_subprotocol=self._select,
                open_timeout=timeout or None,
                max_size=MAX_FRAME,
                compression=None,
                logger=SILENT,
                create_connection=in_pieces(ServerConnection, self.tasks, self._on_failure),
            )

    def _on_failure(self, error: Exception) -> None:
        """Called when a connection has failed. Only that one is closed."""
        self.on_client(f"client dropped: {type(error).__name__}: {error}", "")

    def _on_error(self, error: Exception) -> None:
        """Called when something has failed that concerns more than one client."""
        self._on_failure(error)

    @property
    def addresses(self) -> list[str]:
        """The addresses at which it listens."""
        return [format_endpoint(each.getsockname()) for each in self._server.sockets]

    async def _guarded(self, connection: ServerConnection) -> None:
        """Reports an exception in a handler; the library would close the connection without a report."""
        try:
            await self._handle(connection)
        except Exception as error:
            self._on_failure(error)
            connection.transport.abort()

    async def _handle(self, connection: ServerConnection) -> None:
        """Serves a client; returns when its connection may be closed."""
        raise NotImplementedError

    def _select(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Chooses the subprotocol, None for none."""
        return None

    def _complete(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Adds header fields to the answer for an accepted client."""

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a client that is refused; None if it is accepted."""
        status, reason = self._objection(request)
        if not status:
            return None
        self.on_refused(remote_of(connection), reason)
        answer = connection.respond(status, f"{reason.partition(' (')[0]}\n")
        if status == 401:
            answer.headers["WWW-Authenticate"] = CHALLENGE
        return answer

    def _objection(self, request: Request) -> tuple[int, str]:
        """The HTTP status of a refusal and its reason; 0 for none."""
        fields = {name: request.headers.get_all(name) for name in ONCE}
        for name, values in fields.items():
            if len(values) > 1:
                return 400, f"the header {name} is there {len(values)} times"
        if urlsplit(request.path).path != self._path:
            return 404, "not found"
        host, origin, authorization = ("".join(fields[name]) for name in ("Host", "Origin", "Authorization"))
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "a request from another origin"
        if self._credentials is not None and not authorized(authorization, self._credentials):
            return 401, explain_refusal(authorization)
        return 0, ""


class WebSocketServer(WebSocketListener):
    """A server, which is a link to all its clients together as long as there is one.

    All clients get all that is written. The writer waits for the fastest client. A client that is too far behind is
    dropped, and reported to `on_slow`.
    """

    tells_unread = False

    def __init__(
        self,
        *,
        lines: bool = True,
        answers: bool = True,
        on_client: Callable[[str, str], None] = lambda what, remote: None,
        on_slow: Callable[[str], None] = lambda remote: None,
        on_refused: Callable[[str, str], None] = lambda remote, reason: None,
    ) -> None:
        """on_client: called with "connected" or "disconnected", and the client's address. on_refused: called with the
        address of a client that may not come in, and why."""
        super().__init__()
        self.on_client, self.on_refused = on_client, on_refused
        self.remote = ""
        self._lines = lines
        self._answers = answers
        self._on_slow = on_slow
        self._seats: set[_Seat] = set()
        self._heard = 0.0
        self._given = self._taken = 0
        self._received: deque[tuple[bytes, str]] = deque()
        self._news = asyncio.Event()
        self._read = asyncio.Event()
        self._someone = asyncio.Event()
        self._room = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    def _on_error(self, error: Exception) -> None:
        """Called when something has failed that concerns all clients. All waits end."""
        self.on_client(f"all clients dropped: {type(error).__name__}: {error}", "")
        self.abort()

    async def someone(self) -> None:
        """Waits until there is a client."""
        await self._someone.wait()

    async def nobody(self) -> None:
        """Waits until there is no client."""
        while self._seats:
            self._room.clear()
            await self._room.wait()

    async def flush(self) -> None:
        """Waits until all octets for the clients are sent."""
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
                seat.task.cancel()  # it may wait for a reader that has gone
        self.abort()
        await self._server.wait_closed()
        await self.tasks.close()

    async def _handle(self, connection: ServerConnection) -> None:
        """Serves a client from its connection to its end."""
        from websockets.exceptions import ConnectionClosed

        seat = _Seat(connection)
        self._seats.add(seat)
        self._someone.set()
        self.on_client("connected", seat.remote)
        sending = self.tasks.spawn(f"send to {seat.remote}", self._send(seat), partial(self._on_send_error, seat))
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
            self._leave(seat)
            self._room.set()
            if not self._seats:
                self._someone.clear()
                self._news.set()
            self.on_client("disconnected", seat.remote)

    def _on_send_error(self, seat: _Seat, error: Exception) -> None:
        self.on_client(f"client dropped: {type(error).__name__}: {error}", seat.remote)
        self._drop(seat)

    async def _receive(self, octets: bytes, remote: str) -> None:
        """Keeps a frame for the reader. Waits if there are too many."""
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
                    self._room.set()  # a waiting reader or writer may go on

    # the link

    @property
    def waiting(self) -> int:
        return sum(seat.size for seat in self._seats)

    @property
    def taken(self) -> int:
        """Octets that the fastest client has taken."""
        if self._seats:
            self._taken = max(self._taken, self._given - min(seat.size for seat in self._seats))
        return self._taken

    async def read(self) -> bytes:
        """The next octets from any client, with several lines together; b"" when the last client has gone."""
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
        """Writes octets, and returns when at least one client has room for more."""
        frames = frames_of(octets, self._lines)
        size = sum(map(len, frames))
        self._given += len(octets) if self._seats else 0
        for seat in tuple(self._seats):
            if seat.size < MAX_BEHIND:
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
            self._ending = self.tasks.spawn("drain the clients", self._end())

    async def _end(self) -> None:
        await self.flush()
        with contextlib.suppress(Exception):
            for pong in [await seat.connection.ping() for seat in self._seats]:
                await pong
            if self._answers:
                await quiet(lambda: self._heard)
        await self.tasks.together("close", *[seat.connection.close() for seat in self._seats])

    async def close(self, timeout: float) -> str:
        """Ends the connections to the clients. The server goes on waiting for others."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self.abort()
        return ""

    def abort(self) -> None:
        for seat in tuple(self._seats):
            self._drop(seat)

    def _leave(self, seat: _Seat) -> None:
        """Called when a client has gone. Octets that waited for the last client were not taken."""
        if seat in self._seats:
            self._given = max(self.taken, self._given - (seat.size if len(self._seats) == 1 else 0))
            self._seats.discard(seat)

    def _drop(self, seat: _Seat) -> None:
        self._leave(seat)
        self._room.set()
        seat.connection.transport.abort()


class SharedServer:
    """A server as the link of one of several sessions that write to its clients and read nothing from them."""

    tells_unread = False

    remote = ""

    def __init__(self, server: WebSocketServer) -> None:
        self._server = server
        self._given = 0
        self._over = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._deserted = server.tasks.spawn("wait for the last client", self._wait(), self._on_error)

    def _on_error(self, error: Exception) -> None:
        """Ends a waiting read."""
        self._server.on_client(f"link ended: {type(error).__name__}: {error}", "")
        self._over.set()

    async def _wait(self) -> None:
        await self._server.nobody()
        self._over.set()

    @property
    def waiting(self) -> int:
        return self._server.waiting

    @property
    def taken(self) -> int:
        return self._given

    async def read(self) -> bytes:
        await self._over.wait()
        return b""

    async def write(self, octets: bytes) -> None:
        self._given += len(octets)
        await self._server.write(octets)

    def end(self) -> None:
        if self._ending is None:
            self._ending = self._server.tasks.spawn("drain", self._end(), self._on_error)

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
        """Drops all clients at once."""
        self._server.abort()
