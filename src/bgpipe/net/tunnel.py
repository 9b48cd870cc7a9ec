"""A tunnel: one BGP session over WebSockets, on a stream that survives the loss of a connection (reliable_stream).

Two bgpipes agree on it by the subprotocol PROTOCOL. Binary frames are the stream. Text frames are JSON: {"ack": N}
acknowledges N frames, and is sent once a second as a sign of life too; {"end": WHY, "lost": BOOL} says that the session
has ended, and whether it was lost without a NOTIFICATION. A request names the stream (SESSION) and how
many frames of it were received (RECEIVED); the answer says RECEIVED of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from ..tasks import Tasks, Timer
from .reliable_stream import ReliableStream, StreamBroken
from .websocket import NORMAL, remote_of

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection

PROTOCOL: Final = "bgpipe-tunnel-1"
"""WebSocket subprotocol (RFC 6455 section 1.9)."""
SESSION: Final = "Bgpipe-Session"
RECEIVED: Final = "Bgpipe-Received"
"""Header fields: the name of the stream, chosen by the client; frames received, missing in a first request."""
WINDOW: Final = 4 << 20
"""Octets that are kept until the partner acknowledges them. Above that, the sender waits."""
FRAME: Final = 64 << 10
"""Octets of the longest frame. It is short, so that an acknowledgement does not wait long behind one."""
BURST: Final = 16
"""Frames that are acknowledged together at most."""
HEARTBEAT: Final = 1.0
"""Seconds between two acknowledgements, even if no new frame has come."""
SILENCE: Final = 4.0
"""Seconds without octets after which a connection counts as dead, and another one is opened."""
PATIENCE: Final = 10.0
"""Seconds that a stream lives without a connection, by default."""

Dial = Callable[["TunnelLink"], Awaitable["Connection | None"]]


class TunnelLink:
    """The link (see pipes.Link) of a stage to the other side of a tunnel.

    name: of the stream. patience: seconds that it lives without a connection. dial: opens a new connection for the
    stream when one is lost; None if the other side does that. It returns None if it fails now, and raises StreamBroken
    if it can never succeed. tasks: the scope that ends after it. partner_lost: the other side has lost its router
    without a NOTIFICATION.
    """

    tells_unread = False

    def __init__(
        self, name: str, *, patience: float = PATIENCE, dial: Dial | None = None, tasks: Tasks | None = None
    ) -> None:
        self.name = name
        self.stream = ReliableStream()
        self.remote = ""
        self.reason = ""
        """the reason that the other side gave for the end"""
        self.failed = ""
        """the reason why the stream could not go on"""
        self.partner_lost = False
        self.tells_loss = False
        """whether to tell the other side that our router is lost without a NOTIFICATION"""
        self.on_change: Callable[[str], object] = lambda what: None
        """called when a connection is lost or opened"""
        self._patience = patience or math.inf
        self._dial = dial
        self._connection: Connection | None = None
        self._tasks = Tasks(lambda error: self.give_up(f"{type(error).__name__}: {error}"), tasks)
        self._serving: asyncio.Task[None] | None = None
        self._deadline: Timer | None = None
        self._received: deque[bytes] = deque()
        self._unread = 0
        self._consumed = 0
        self._said = 0
        """the last number that we have acknowledged"""
        self._acknowledging = False
        self._heard = 0.0
        self._ending = False
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._wake = asyncio.Event()

    # connections

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def attach(self, connection: Connection, received: int) -> asyncio.Task[None]:
        """Goes on with a new connection, to a partner that has received so many frames. Raises StreamBroken."""
        self.stream.resume(received)
        if self._connection is not None:
            self._connection.transport.abort()
        if self._serving is not None:
            self._serving.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
        self._connection = connection
        self.remote = remote_of(connection)
        self._heard = self._tasks.loop.time()
        self._serving = self._tasks.begin("tunnel", self._serve(connection))
        return self._serving

    async def _serve(self, connection: Connection) -> None:
        """Sends and receives until the connection is lost."""
        scope = self._tasks.child()
        tasks = [
            scope.spawn("tunnel receives", self._receive(connection)),
            scope.spawn("tunnel sends", self._send(connection)),
            scope.spawn("tunnel watches", self._watch()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connection.transport.abort()
            if self._connection is connection:
                self._connection = None
                self._on_lost()
            await scope.close()

    def _on_lost(self) -> None:
        if self.over or self._tasks.closing:
            return
        self.on_change("the connection of the tunnel is lost")
        if self._patience != math.inf:
            text = f"no connection to the other side for {self._patience:g} s"
            self._deadline = self._tasks.call_later("tunnel lost", self._patience, lambda: self.give_up(text))
        if self._dial is not None:
            self._tasks.spawn("tunnel dials", self._redial(self._dial))

    async def _redial(self, dial: Dial) -> None:
        delay = 0.1
        while not self.over and self._connection is None:
            try:
                if await dial(self) is not None:
                    return
            except StreamBroken as error:
                self.give_up(str(error))
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, 1.0)

    async def _receive(self, connection: Connection) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                frame = await connection.recv()
                self._heard = self._tasks.loop.time()
                if isinstance(frame, str):
                    self._on_control(frame)
                elif octets := self.stream.receive(frame):
                    self._received.append(octets)
                    self._unread += len(octets)
                    self._news.set()
                    if self._unread > 2 * WINDOW:
                        raise StreamBroken(
                            f"the other side sends more than {2 * WINDOW} octets without an acknowledgement"
                        )
        except ConnectionClosed:
            return
        except StreamBroken as error:
            self.give_up(str(error))

    def _on_control(self, text: str) -> None:
        try:
            said = json.loads(text)
            number, ended, lost = said.get("ack"), said.get("end"), said.get("lost", False)
        except (ValueError, AttributeError):
            raise StreamBroken(f"not a message of the tunnel: {text[:40]!r}") from None
        if isinstance(number, int):
            self.stream.acknowledge(number)
            self._room.set()
            self._wake.set()
        if isinstance(ended, str):
            self.reason = ended or "the other side has ended the session"
            self.partner_lost = lost is True
            self._finish()

    async def _send(self, connection: Connection) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            while True:
                self._wake.clear()
                if self._acknowledging:
                    self._acknowledging, self._said = False, self._consumed
                    await connection.send(json.dumps({"ack": self._consumed}))
                if frame := self.stream.next():
                    await connection.send(frame)
                elif self._ending and self.stream.acknowledged == self.stream.sent:
                    await connection.send(json.dumps({"end": "", "lost": self.tells_loss}))
                    await connection.close(NORMAL)
                    self._finish()
                    return
                elif not self._acknowledging:
                    await self._wake.wait()

    async def _watch(self) -> None:
        """Sends an acknowledgement each HEARTBEAT. Returns when nothing has come from the other side for SILENCE
        seconds."""
        while self._tasks.loop.time() - self._heard < min(SILENCE, self._patience / 2):
            self._acknowledging = True
            self._wake.set()
            await asyncio.sleep(min(HEARTBEAT, self._patience / 8))

    def give_up(self, why: str) -> None:
        """Ends the stream, because it can't go on."""
        if not self.over:
            self.failed = why
            self._finish()
            if self._connection is not None:
                self._connection.transport.abort()

    def _finish(self) -> None:
        self._over.set()
        for event in (self._news, self._room, self._wake):
            event.set()

    # the link

    @property
    def waiting(self) -> int:
        return self.stream.size

    @property
    def taken(self) -> int:
        """All octets written: the stream keeps those that the other side has not acknowledged."""
        return self.stream.taken + self.stream.size

    async def read(self) -> bytes:
        self._acknowledge()
        while not self._received:
            if self.failed:
                raise ConnectionResetError(errno.ECONNRESET, self.failed)
            if self.over:
                return b""
            self._news.clear()
            await self._news.wait()
        octets = self._received.popleft()
        self._unread -= len(octets)
        self._consumed += 1
        return octets

    def _acknowledge(self) -> None:
        """Acknowledges frames that were read. Several that come together are acknowledged once."""
        unsaid = self._consumed - self._said
        if unsaid and (not self._received or unsaid >= BURST):
            self._acknowledging = True
            self._wake.set()

    async def write(self, octets: bytes) -> None:
        for at in range(0, len(octets), FRAME):
            while self.stream.size >= WINDOW and not self.over:
                self._room.clear()
                await self._room.wait()
            if self.failed:
                raise ConnectionResetError(errno.ECONNRESET, self.failed)
            if self.over:
                raise BrokenPipeError(errno.EPIPE, self.reason or "the tunnel is closed")
            self.stream.put(octets[at : at + FRAME])
            self._wake.set()

    def end(self) -> None:
        self._ending = True
        self._wake.set()

    async def close(self, timeout: float) -> str:
        self.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout if self.connected else 0):
                await self._over.wait()
        self.abort()
        await self._tasks.close(timeout)
        return ""

    def abort(self) -> None:
        self.give_up("given up")

    def status(self) -> dict[str, Any]:
        return {"doubles": self.stream.doubles, "unacknowledged_bytes": self.stream.size, "remote": self.remote}
