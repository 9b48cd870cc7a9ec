"""WebSocket (RFC 6455): a connection to a server, as a link (see pipes.Link), and code for both ends.

`remote` of a link is the address of the partner that has sent the octets that were read last.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections import deque
from collections.abc import Callable, Sequence
from ssl import SSLContext, SSLError
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import urlsplit

from ..tasks import OnError, Tasks, Timer
from .errors import explain_failure
from .tcp import format_endpoint
from .tls import explain_tls, tell_failures

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.connection import Connection
    from websockets.typing import Subprotocol

MAX_FRAME: Final = 4 << 20
"""Octets of the longest message that is received."""
QUIET: Final = 1.0
"""Seconds of silence after which a peer that knows that we send no more counts as finished."""
ASK_AFTER: Final = 0.02
"""Seconds between two questions whether the peer has read what it was sent."""
PIECE: Final = 8 << 10
"""Octets that are parsed at once. 8 KiB can hold 1,300 empty frames, which take 30 ms."""
GOING_AWAY: Final = 1001
NORMAL: Final = 1000

SILENT: Final = logging.getLogger("bgpipe.websocket")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


class _Pausable(Protocol):
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class PieceFeeder:
    """Gives received octets to a connection in pieces, and lets other tasks run between two of them.

    A read of 256 KiB can hold 40,000 frames, which would take a second in one go. `transport` is not read while pieces
    wait, or while the connection itself wants no more. tasks: the owner of the turns.
    """

    def __init__(self, transport: _Pausable, receive: Callable[[bytes], None], tasks: Tasks) -> None:
        self._tasks = tasks
        self._transport = transport
        self._receive = receive
        self._pieces: deque[bytes] = deque()
        self._wanted = True
        self._turn: Timer | None = None

    def feed(self, octets: bytes) -> None:
        if len(octets) <= PIECE and not self._pieces:
            self._receive(octets)
            return
        self._pieces.extend(octets[at : at + PIECE] for at in range(0, len(octets), PIECE))
        if self._turn is None:
            self._transport.pause_reading()
            self._next()

    def flush(self) -> None:
        """Gives the connection all octets that wait at once, because nothing follows them."""
        while self._pieces:
            self._receive(self._pieces.popleft())

    def close(self) -> None:
        self._pieces.clear()
        if self._turn is not None:
            self._turn.cancel()

    def pause(self) -> None:
        self._wanted = False
        self._transport.pause_reading()

    def resume(self) -> None:
        self._wanted = True
        if self._pieces:
            if self._turn is None:
                self._turn = self._tasks.call_soon("next frames", self._next)
        else:
            self._transport.resume_reading()

    def _next(self) -> None:
        self._turn = None
        if self._pieces:
            self._receive(self._pieces.popleft())
        if not self._wanted:
            return
        if self._pieces:
            self._turn = self._tasks.call_soon("next frames", self._next)
        else:
            self._transport.resume_reading()


def in_pieces(kind: type[Any], tasks: Tasks, on_error: OnError) -> type[Any]:
    """A subclass of `kind`, a class of connections of the library websockets, that receives in pieces.

    tasks: the owner of its tasks. on_error: called with an exception in a callback of asyncio; the connection is closed
    then.
    """

    class InPieces(kind):  # type: ignore[misc]
        lost_by: Exception | None = None
        """the error that has ended the connection, if there was one"""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.guarded(super().connection_made, transport)
            self.feeder = feeder = PieceFeeder(self.transport, self.take, tasks)
            self.recv_messages.pause, self.recv_messages.resume = feeder.pause, feeder.resume

        def guarded(self, callback: Callable[..., object], *arguments: object) -> None:
            try:
                callback(*arguments)
            except Exception as error:
                on_error(error)
                self.transport.abort()

        def take(self, piece: bytes) -> None:
            self.guarded(super().data_received, piece)

        def data_received(self, data: bytes) -> None:
            self.feeder.feed(data)

        def eof_received(self) -> None:
            self.feeder.flush()
            self.guarded(super().eof_received)

        def connection_lost(self, exc: Exception | None) -> None:
            self.feeder.close()
            self.lost_by = exc
            self.guarded(super().connection_lost, exc)

    return InPieces


def frames_of(octets: bytes, lines: bool) -> list[bytes]:
    """Splits encoded octets into frames: one for each line, without its end, or a single one."""
    return [line for line in octets.split(b"\n") if line] if lines else [octets]


class StatusError(ConnectionRefusedError):
    """A server has refused us with an HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(errno.ECONNREFUSED, text)
        self.status = status


async def dial(
    url: str,
    *,
    tls: SSLContext | None,
    headers: Sequence[tuple[str, str]] = (),
    subprotocols: Sequence[Subprotocol] = (),
    timeout: float = 10.0,
    tasks: Tasks | None = None,
) -> ClientConnection:
    """A connection to a server.

    url: ws:// or wss://. subprotocols: offered, the best first. timeout: seconds until the connection must be open, 0
    for any time. tasks: the owner of the connection. Raises OSError.
    """
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI

    tasks = tasks or Tasks()
    kind = in_pieces(ClientConnection, tasks, tasks.fail)
    made: list[Any] = []
    failures: list[str] = []
    if tls is not None:
        tell_failures(tls, failures.append)

    def make(*arguments: Any, **options: Any) -> Any:
        made.append(kind(*arguments, **options))
        return made[-1]

    def explain(error: Exception) -> str:
        """The error of TLS if that has ended the connection, because it says more than the error that followed."""
        alert = made[-1].lost_by if made else None
        if isinstance(alert, SSLError):
            failures.append(explain_tls(alert))
        return f"{place(url)}: {failures[-1] if failures else error}"

    try:
        connection = await connect(
            url,
            ssl=tls,
            additional_headers=list(headers),
            open_timeout=timeout or None,
            max_size=MAX_FRAME,
            compression=None,
            subprotocols=list(subprotocols) or None,
            logger=SILENT,
            create_connection=cast(Any, make),
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise StatusError(status, f"{place(url)}: HTTP status {status}") from error
    except (InvalidHandshake, InvalidURI, InvalidProxy) as error:
        raise ConnectionError(errno.EPROTO, explain(error)) from error
    except TimeoutError as error:
        text = f"{place(url)}: {failures[-1] if failures else f'no answer within {timeout:g} s'}"
        raise TimeoutError(errno.ETIMEDOUT, text) from error
    except SSLError as error:
        raise ConnectionError(errno.EPROTO, f"{place(url)}: {explain_tls(error)}") from error
    except OSError as error:
        raise OSError(error.errno, f"{place(url)}: {failures[-1] if failures else explain_failure(error)}") from error
    return connection


class WebSocketClient:
    """A connection that we have made.

    What the peer has read is known by its answers to pings, which come behind all that was sent before the ping. A peer
    that closes the connection in order is taken to have read everything.

    lines: whether each line becomes a frame. answers: whether messages may still come after the last one that we send.
    tasks: its owner.
    """

    tells_unread = True

    def __init__(self, connection: Connection, *, lines: bool, answers: bool, tasks: Tasks | None = None) -> None:
        self.remote = remote_of(connection)
        self._tasks = tasks or Tasks()
        self._connection = connection
        self._lines = lines
        self._answers = answers
        self._heard = 0.0
        self._given = 0
        self._sent = 0
        self._read = 0
        """octets that the peer has read, as far as it has said"""
        self._asking: asyncio.Task[None] | None = None
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
        tasks: Tasks | None = None,
    ) -> WebSocketClient:
        """Connects as `dial` does. Raises OSError."""
        connection = await dial(url, tls=tls, headers=headers, timeout=timeout, tasks=tasks)
        return cls(connection, lines=lines, answers=answers, tasks=tasks)

    @property
    def waiting(self) -> int:
        return self._given - self.taken

    @property
    def taken(self) -> int:
        closed = self._connection.protocol.close_rcvd
        return self._sent if closed is not None and closed.code in (NORMAL, GOING_AWAY) else self._read

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
            alert = getattr(self._connection, "lost_by", None)
            reason = explain_tls(alert) if isinstance(alert, SSLError) else explain_close(error)
            raise ConnectionResetError(errno.ECONNRESET, reason) from error
        self._heard = asyncio.get_running_loop().time()
        return octets

    async def write(self, octets: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        self._given += len(octets)
        try:
            for frame in frames_of(octets, self._lines):
                if self._asking is None or self._asking.done():
                    self._asking = self._tasks.spawn("ask what the WebSocket has read", self._ask())
                await self._connection.send(frame)
                self._sent += len(frame) + self._lines  # the end of the line is no part of the frame
        except ConnectionClosed as error:
            raise BrokenPipeError(errno.EPIPE, explain_close(error)) from error
        self._sent = self._given

    async def _ask(self) -> None:
        """Asks until all that was given is read."""
        with contextlib.suppress(Exception):  # the connection is lost, which `read` tells
            while self._read < self._given:
                await asyncio.sleep(ASK_AFTER)
                sent = self._sent
                await (await self._connection.ping())
                self._read = sent

    def end(self) -> None:
        if self._ending is None:
            self._ending = self._tasks.spawn("drain the WebSocket", self._end())

    async def _end(self) -> None:
        """Waits for the last answers before the close, because WebSocket has no half-closed connections."""
        with contextlib.suppress(Exception):
            await (await self._connection.ping())  # answered when the peer has read all before it
            self._read = self._sent
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
        for task in (self._asking, self._ending):
            if task is not None:
                task.cancel()
        self._connection.transport.abort()


async def quiet(heard: Callable[[], float]) -> None:
    """Returns when nothing has come for QUIET seconds. heard: the time of the last octets, by the loop's clock."""
    rest = QUIET
    while rest > 0:
        await asyncio.sleep(rest)
        rest = heard() + QUIET - asyncio.get_running_loop().time()


def explain_close(error: Exception) -> str:
    """A text for a ConnectionClosed."""
    frame = getattr(error, "rcvd", None)
    if frame is None:
        return "the connection is lost"
    return f"closed by the peer: {frame.code}{f' ({frame.reason})' if frame.reason else ''}"


def place(url: str) -> str:
    """A URL without secrets, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def remote_of(connection: Connection) -> str:
    address = connection.remote_address
    return format_endpoint(address) if isinstance(address, tuple) else str(address)
