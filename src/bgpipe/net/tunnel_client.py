"""The side of a tunnel that connects, and connects again when the connection is lost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ssl import SSLContext
from typing import TYPE_CHECKING, Final, cast

from ..tasks import Tasks
from .errors import explain_error
from .reliable_stream import StreamBroken
from .tunnel import PROTOCOL, RECEIVED, SESSION, TunnelLink
from .websocket import StatusError, WebSocketClient, dial

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection
    from websockets.typing import Subprotocol

REDIAL_TIMEOUT: Final = 3.0
"""Seconds to open another connection. They are few, so that there is time for more attempts."""
FINAL_ANSWERS: Final = (404, 409, 410)
"""HTTP statuses of a server that does not know the stream, or has ended it."""


class TunnelClient:
    """Connects to a server. retries: whether to open another connection when one is lost. patience: seconds in all for
    that.

    lines: whether for a server that is no bgpipe each line is to be a frame. tasks: the owner of the connections.
    """

    def __init__(
        self,
        url: str,
        *,
        tls: SSLContext | None,
        headers: Sequence[tuple[str, str]] = (),
        timeout: float = 10.0,
        retries: bool = True,
        patience: float = 10.0,
        lines: bool = True,
        tasks: Tasks | None = None,
    ) -> None:
        self._url = url
        self._tasks = tasks
        self._tls = tls
        self._headers = list(headers)
        self._timeout = timeout
        self._retries = retries
        self._patience = patience
        self._lines = lines

    async def connect(self) -> TunnelLink | WebSocketClient:
        """A link to a bgpipe, or to another server. Raises OSError."""
        name = os.urandom(16).hex()
        connection = await self._dial(self._timeout, (SESSION, name))
        if connection.subprotocol != PROTOCOL:
            return WebSocketClient(connection, lines=self._lines, answers=True, tasks=self._tasks)
        link = TunnelLink(name, patience=self._patience, dial=self._redial, tasks=self._tasks)
        link.attach(connection, 0)
        return link

    async def _redial(self, link: TunnelLink) -> ClientConnection | None:
        """Opens another connection for a stream. Raises StreamBroken."""
        if not self._retries:
            raise StreamBroken("the connection is lost (--retry would make another one)")
        received = str(link.stream.received)
        timeout = min(self._timeout or REDIAL_TIMEOUT, REDIAL_TIMEOUT)
        try:
            connection = await self._dial(timeout, (SESSION, link.name), (RECEIVED, received))
        except StatusError as error:
            if error.status in FINAL_ANSWERS:
                raise StreamBroken(
                    f"the other side does not know this session any more: {explain_error(error)}"
                ) from error
            return None
        except OSError:
            return None
        told = connection.response.headers.get(RECEIVED, "") if connection.response is not None else ""
        if connection.subprotocol != PROTOCOL or not told.isdecimal():
            connection.transport.abort()
            raise StreamBroken("the other side was restarted, and does not know this session")
        link.attach(connection, int(told))
        return connection

    async def _dial(self, timeout: float, *headers: tuple[str, str]) -> ClientConnection:
        return await dial(
            self._url,
            tls=self._tls,
            headers=[*self._headers, *headers],
            subprotocols=[cast("Subprotocol", PROTOCOL)],
            timeout=timeout,
            tasks=self._tasks,
        )
