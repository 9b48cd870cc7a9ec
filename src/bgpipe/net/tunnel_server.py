"""The server side of a tunnel: one client at a time, and one session for each client."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .reliable_stream import StreamBroken
from .tunnel import PATIENCE, PROTOCOL, RECEIVED, SESSION, TunnelLink
from .websocket import GOING_AWAY, WebSocketClient
from .websocket_server import WebSocketListener

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response
    from websockets.typing import Subprotocol

TRY_AGAIN: Final = 1013
"""Close status that asks the client to connect again later."""
NAME: Final = re.compile(r"[0-9a-f]{32}")

Partner = TunnelLink | WebSocketClient
"""A client that is a bgpipe, on a stream that survives its connections; or another one, whose session is its
connection."""


class TunnelServer(WebSocketListener):
    """lines: whether for a client that is no bgpipe each line is to be a frame."""

    def __init__(self, *, lines: bool = True) -> None:
        super().__init__()
        self.patience = PATIENCE
        self._lines = lines
        self._link: Partner | None = None
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()

    async def next(self) -> Partner:
        """Waits for the next client that begins a session. The client before it can't come back any more."""
        await self._arrived.wait()
        self._arrived.clear()
        assert self._link is not None
        return self._link

    def release(self, link: object) -> None:
        """Called when the session has ended. Another client may connect."""
        if self._link is link:
            self._link = None
            self._arrived.clear()
            self._left.set()
        if isinstance(link, TunnelLink) and not self.tasks.closing:
            self.tasks.spawn("close the tunnel", link.close(0))  # nothing of it stays behind

    async def stop(self, timeout: float) -> None:
        if self._server is None:
            return
        link, self._link = self._link, None
        self._left.set()
        if isinstance(link, TunnelLink):
            await link.close(timeout)
        self._server.close(code=GOING_AWAY)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._server.wait_closed()
        await self.tasks.close()

    def _objection(self, request: Request) -> tuple[int, str]:
        status, reason = super()._objection(request)
        if status:
            return status, reason
        name, resumes = request.headers.get(SESSION, ""), RECEIVED in request.headers
        link = self._link
        if link is None:
            return (410, "the session is over, or not known here") if resumes else (0, "")
        if isinstance(link, TunnelLink) and name == link.name:
            return (410, "the session is over") if link.over else (0, "")
        if isinstance(link, TunnelLink) and not link.connected:
            link.give_up("another client has come, and the one before has lost its connection")
            return 503, "the session before is ending"
        return 409, "another client has a session"

    def _select(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        request = connection.request
        named = request is not None and NAME.fullmatch(request.headers.get(SESSION, ""))
        return next((each for each in offered if each == PROTOCOL and named), None)

    def _complete(self, connection: ServerConnection, request: Request, response: Response) -> None:
        if response.headers.get("Sec-WebSocket-Protocol") == PROTOCOL:
            link = self._link
            received = 0
            if isinstance(link, TunnelLink) and link.name == request.headers[SESSION]:
                received = link.stream.received
            response.headers[RECEIVED] = str(received)

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        headers = connection.request.headers
        if connection.subprotocol == PROTOCOL:
            await self._serve(connection, headers[SESSION], headers.get(RECEIVED, "0"))
        elif self._link is None:
            self._link = link = WebSocketClient(connection, lines=self._lines, answers=True, tasks=self.tasks)
            self.on_client("connected", link.remote)
            self._arrived.set()
            await connection.wait_closed()
            self.on_client("disconnected", link.remote)
        else:
            await connection.close(TRY_AGAIN, "another client has a session")

    async def _serve(self, connection: ServerConnection, name: str, received: str) -> None:
        """Serves a bgpipe as client, as long as this connection lasts."""
        link = self._link
        if link is None:
            self._link = link = TunnelLink(name, patience=self.patience, tasks=self.tasks)
            self._arrived.set()
        if not isinstance(link, TunnelLink) or link.name != name:
            await connection.close(TRY_AGAIN, "another client has a session")
            return
        try:
            serving = link.attach(connection, int(received) if received.isdecimal() else -1)
        except StreamBroken as error:
            link.give_up(str(error))
            return
        self.on_client("connected", link.remote)
        await asyncio.wait((serving,))
        self.on_client("disconnected", link.remote)
