"""VRPs and ASPAs of a cache that speaks RTR, over TCP or TLS."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ...pipeline.log import Log
from ...rpki.rtr import Action, Apply, Close, NoData, Note, RtrClient, Send, State
from ...tasks import in_thread
from ..connection import Connection, adopt
from ..errors import explain_error
from ..tcp import TcpOptions, dial
from .settings import RpkiSettings, SourceSpec
from .source import Source

DIAL_TIMEOUT: Final = 15.0
"""Seconds until there must be a connection, and as many for its TLS handshake."""
CLOSE_TIMEOUT: Final = 1.0
"""Seconds for an Error Report to be taken."""


class RtrSource(Source):
    """A cache. The protocol is in rpki.rtr; this has the connection, the clock and the thread."""

    kind = "rtr"

    def __init__(self, spec: SourceSpec, settings: RpkiSettings, log: Log) -> None:
        super().__init__(spec, settings, log)
        self.client = RtrClient(
            settings.version,
            refresh=settings.refresh,
            retry=settings.retry,
            expire=settings.expire,
            jitter=random.random,
        )
        self._attempts = 0
        """connections in a row that have brought nothing"""
        self._wake = asyncio.Event()
        self._look = False
        self._apply: Apply | None = None
        self._end: Close | None = None

    async def run(self) -> None:
        while True:
            end = await self._connect_and_talk()
            if end.again:
                self.log.info(f"RTR: {end.text}; trying version {self.client.version}", source=str(self))
                continue
            self.fail(f"{self}: {end.text}")
            self._attempts += 1
            await self._pause()

    async def _pause(self) -> None:
        """Waits until the next attempt: a second, then each time longer."""
        longest = self.settings.retry or self.client.retry
        seconds = min(longest, 2.0 ** min(self._attempts - 1, 20)) * random.uniform(0.75, 1.0)
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def look(self) -> None:
        self._look = True
        self._wake.set()

    def forget(self) -> None:
        super().forget()
        self.client.forget()
        self._attempts = 0

    def details(self) -> dict[str, Any]:
        known = self.client.state is not State.CLOSED and self.client.negotiated
        return {
            "version": self.client.version if known else None,
            "session": self.client.session,
            "serial": self.client.serial,
        }

    # a connection

    async def _connect_and_talk(self) -> Close:
        """One connection, to its end."""
        try:
            connection = await self._connect()
        except (OSError, ValueError) as error:
            return Close(_option(explain_error(error)))
        try:
            return await self._talk(connection)
        finally:
            self.client.abandon()
            connection.abort()

    async def _connect(self) -> Connection:
        """Raises OSError, ValueError."""
        options = TcpOptions(md5=self.settings.md5, bind=self.settings.bind)
        if self.spec.tls:
            options = replace(options, tls=await in_thread("rpki tls", self.settings.tls_context))
        connected = await dial(self.spec.host, self.spec.port, options, DIAL_TIMEOUT)
        return await adopt(connected, options, server=False, host=self.spec.host, timeout=DIAL_TIMEOUT)

    async def _talk(self, connection: Connection) -> Close:
        self._apply = self._end = None
        self._connection = connection
        connection.on_octets = self._on_octets
        connection.on_closed = self._on_closed
        connection.on_error = self._on_unexpected
        self._do(self.client.opened(self.now))
        connection.resume()
        while self._end is None:
            if self.client.more:
                await asyncio.sleep(0)  # others have their turn
                self._do(self.client.go_on(self.now))
            else:
                await self._next()
            if self._apply is not None:
                await self._apply_changes(connection, self._apply)
            elif not self.client.more:
                connection.resume()
            if self._look:
                self._look = False
                self._do(self.client.ask(self.now))
        await connection.close(CLOSE_TIMEOUT)
        return self._end

    async def _next(self) -> None:
        """Waits until there is something to do for the task, or the time has come for the client."""
        due = self.client.due
        try:
            async with asyncio.timeout(max(0.0, due - self.now) if due is not None else None):
                await self._wake.wait()
            self._wake.clear()
        except TimeoutError:
            self._do(self.client.tick(self.now))

    def _on_octets(self, octets: bytes) -> None:
        before = self.client.due
        self._do(self.client.received(octets, self.now))
        if self.client.more:
            self._connection.pause()
            self._wake.set()
        elif self.client.due is not None and (before is None or self.client.due < before):
            self._wake.set()  # `_next` waits for the old time

    def _on_closed(self, error: Exception | None) -> None:
        self._do(self.client.closed(self.now))
        if self._end is None:
            self._end = Close(f"the connection is lost: {explain_error(error)}" if error else "the connection is lost")
        self._wake.set()

    def _on_unexpected(self, error: Exception) -> None:
        self.log.debug("unexpected error", exc_info=error)
        self._end = self._end or Close(f"unexpected {type(error).__name__}: {error}")
        self._wake.set()

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(octets):
                    self._connection.write(octets)
                case Apply():
                    self._connection.pause()  # what comes meanwhile would wait without a limit
                    self._apply = action
                    self._wake.set()
                case Close():
                    self._end = self._end or action
                    self._wake.set()
                case Note(text):
                    self.log.warning(f"RTR: {text}", source=str(self))
                case NoData(text):
                    self.fail(f"{self}: {text}")

    async def _apply_changes(self, connection: Connection, apply: Apply) -> None:
        """Makes a snapshot of what has come, in a thread: it takes its time for a million VRPs."""
        self._apply = None
        applied = await in_thread("rtr", partial(apply.changes.apply, apply.base))
        had = self.client.serial
        self._do(self.client.applied(applied, self.now))
        connection.resume()
        if self._end is not None or self.client.snapshot is not applied.snapshot:
            return
        self._attempts, self.expire = 0, self.client.expire
        if had is None or self.snapshot is None:
            fields = {"version": self.client.version, "session": self.client.session, "serial": self.client.serial}
            self.log.info("RTR: all data are there", source=str(self), **fields)
        if self.snapshot is not None and applied.snapshot == self.snapshot:
            self.confirm()
        else:
            self.take(applied.snapshot)


def _option(text: str) -> str:
    """An error of the socket names the option of `connect`: ours has another name."""
    for name in ("--md5", "--bind"):
        text = text.replace(name, f"--rpki-{name[2:]}") if text.startswith(name) else text
    return text
