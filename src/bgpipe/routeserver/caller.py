"""Calls one peer whenever it has no session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from ..net.backoff import STABLE_AFTER, backoff
from ..net.errors import explain_error
from ..pipeline.errors import ConfigError
from ..pipeline.log import Log
from ..tasks import Tasks
from ..wire.notification import UNSUPPORTED_CAPABILITY, UNSUPPORTED_PARAMETER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..net.connection import Connection
    from .link import Link
    from .peers import Peer

_REFUSED: Final = ((2, UNSUPPORTED_PARAMETER), (2, UNSUPPORTED_CAPABILITY))
"""NOTIFICATIONs of a peer that can't have what we offer, or misses something."""


class CalledSession(Protocol):
    """A session on a connection that we have opened, as a Caller uses it; it is a sessions.PeerSession."""

    over: asyncio.Event

    @property
    def link(self) -> Link: ...

    @property
    def uptime(self) -> float: ...


class Dialer(Protocol):
    """What opens connections and begins sessions for a Caller; it is sessions.PeerSessions."""

    @property
    def sessions(self) -> Mapping[str, object]:
        """The sessions by the peer's id."""

    async def free(self, id: str) -> None:
        """Waits until a peer has no session."""

    async def dial(self, peer: Peer) -> Connection:
        """A connection to a peer. Raises OSError, ValueError."""

    def begin_call(self, peer: Peer, connection: Connection, *, bare: bool) -> CalledSession:
        """A session on a connection that we have opened. bare: offer no capability. Raises ConfigError."""


class Caller:
    """peer: as it is now. attempts: in vain, since it had a session. error: why the last one was in vain."""

    def __init__(self, peer: Peer, sessions: Dialer, tasks: Tasks, log: Log) -> None:
        self.peer = peer
        self.attempts = 0
        self.error = ""
        self._bare = False
        """whether no capability is offered: the peer has refused those that we have"""
        self._sessions = sessions
        self._log = log
        self._task = tasks.spawn("calls a peer", self._run())

    def stop(self) -> None:
        """Calls no more; a session that there is goes on."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._sessions.free(self.peer.id)
            if self.attempts:
                await asyncio.sleep(backoff(self.attempts))
                await self._sessions.free(self.peer.id)
            try:
                connection = await self._sessions.dial(self.peer)
            except (OSError, ValueError) as error:
                self._note(explain_error(error) if isinstance(error, OSError) else str(error))
                continue
            try:
                session = self._sessions.begin_call(self.peer, connection, bare=self._bare)
            except ConfigError as error:
                connection.abort()
                self._note(f"Stages: {error}")
                continue
            await session.over.wait()
            self._learn(session)

    def _learn(self, session: CalledSession) -> None:
        """A session that we have opened is over, or has not come up."""
        first = session.link.facts.first_notification
        if first is not None and first.side == "peer" and first.notification[:2] in _REFUSED:
            self._bare = not self._bare
        if session.uptime >= STABLE_AFTER:
            self.attempts = 0
        if self.peer.id in self._sessions.sessions:
            return  # the peer has called at the same time, and that connection stays
        end = session.link.facts.end
        self._note(end.text if end is not None else "")

    def _note(self, error: str) -> None:
        self.attempts += 1
        if error != self.error:
            self._log.warning(f"call failed: {error}", peer=self.peer.ip, asn=self.peer.asn)
        self.error = error
