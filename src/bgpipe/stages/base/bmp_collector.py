"""The connection to a BMP station that we report to. It is opened again when it is lost, and cut off when it stalls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ...net.backoff import STABLE_AFTER, backoff
from ...net.connection import Connection, adopt
from ...net.errors import explain_error
from ...net.tcp import TcpOptions, dial, format_endpoint
from ...tasks import Tasks
from ...wire.bmp import encode_initiation, encode_termination

if TYPE_CHECKING:
    from ...pipeline.log import Log

MAX_WAITING: Final = 64 << 20
"""Octets that may wait for a station; then it is cut off, and gets all routes again in its next connection."""
REPLAY_WAITING: Final = 1 << 20
"""Octets that may wait while routes are told again; then the next ones wait until the station has read."""
CLOSE_TIMEOUT: Final = 1.0
"""Seconds in which the last octets must be taken at the end."""


class Collector:
    """One station. `write` sends to it while it is connected, and otherwise does nothing.

    name, description: for Initiation. replay: the octets to tell all that is known, some at each step; called when a
    connection has begun. What `write` is given meanwhile goes out between two steps. on_change: called with a text when
    the connection has begun or ended.
    """

    def __init__(
        self,
        place: tuple[str, int],
        options: TcpOptions,
        *,
        timeout: float,
        stall_timeout: float,
        initiation: tuple[str, str],
        replay: Callable[[], Iterator[bytes]],
        log: Log,
        on_change: Callable[[Collector], object],
    ) -> None:
        self.place = format_endpoint(place)
        self.connects = 0
        self.cut_off = 0
        """how often it has stalled"""
        self._place = place
        self._options = options
        self._timeout = timeout
        self._stall_timeout = stall_timeout
        self._initiation = encode_initiation(*initiation)
        self._replay = replay
        self._log = log
        self._on_change = on_change
        self._connection: Connection | None = None
        self._tasks = Tasks(self._on_error)
        self._tasks.spawn(f"report to {self.place}", self._run())

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def waiting(self) -> int:
        """Octets that the station has not taken."""
        return self._connection.waiting if self._connection is not None else 0

    def write(self, octets: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        connection.write(octets)
        if connection.waiting > MAX_WAITING:
            self._cut_off(connection, f"{connection.waiting} octets wait for it")

    def _cut_off(self, connection: Connection, text: str) -> None:
        self.cut_off += 1
        self._connection = None
        self._log.warning(f"BMP station cut off: {text}", remote=self.place)
        connection.abort()

    def _on_error(self, error: Exception) -> None:
        self._log.error(f"unexpected {type(error).__name__}: {error}", remote=self.place)
        self._log.debug("unexpected error", exc_info=error)

    async def _run(self) -> None:
        attempt, loop = 0, asyncio.get_running_loop()
        while True:
            attempt += 1
            began = loop.time()
            timeout = self._timeout if self._timeout > 0 else None
            try:
                connected = await dial(*self._place, self._options, timeout)
                connection = await adopt(connected, self._options, server=False, host=self._place[0], timeout=timeout)
            except (OSError, ValueError) as error:
                self._log.warning(f"BMP station: {explain_error(error)}", remote=self.place)
            else:
                await self._tell(connection)
                attempt = 0 if loop.time() - began > STABLE_AFTER else attempt
            await asyncio.sleep(backoff(max(attempt, 1)))

    async def _tell(self, connection: Connection) -> None:
        """From the begin of a connection to its end."""
        connection.on_octets = lambda octets: None  # a station has nothing to say
        connection.on_error = self._on_error
        room = asyncio.Event()
        room.set()
        connection.on_full, connection.on_room = room.clear, room.set
        connection.limit_waiting(REPLAY_WAITING)
        connection.resume()
        replay = self._replay()
        connection.write(self._initiation + next(replay, b""))
        self.connects += 1
        self._connection = connection  # from now on, `write` writes
        self._on_change(self)
        watch = self._tasks.spawn(f"watch {self.place}", self._watch(connection))
        try:
            for octets in replay:
                connection.write(octets)
                await asyncio.sleep(0)  # sessions have their turn
                await room.wait()
                if not connection.is_open:
                    break
            await connection.closed.wait()
        finally:
            watch.cancel()
            self._connection = None
            connection.abort()
            self._on_change(self)

    async def _watch(self, connection: Connection) -> None:
        """Cuts the station off when it takes nothing of what waits for so long."""
        loop = asyncio.get_running_loop()
        taken, since = -1, loop.time()
        while self._stall_timeout > 0:
            await asyncio.sleep(self._stall_timeout / 8)
            now = connection.octets_written - connection.waiting
            if now != taken or not connection.waiting:
                taken, since = now, loop.time()
            elif loop.time() - since >= self._stall_timeout:
                self._cut_off(connection, f"it takes nothing, and {connection.waiting} octets wait for it")
                return

    async def close(self) -> None:
        """Says goodbye, and waits until the station has taken all of it, or stalls."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.write(encode_termination(0))
            await connection.close(CLOSE_TIMEOUT)
        await self._tasks.close()

    def status(self) -> dict[str, Any]:
        return {
            "station": self.place,
            "connected": self.connected,
            "connects": self.connects,
            "cut_off": self.cut_off,
            "queue_bytes": self.waiting,
        }
