"""What happens in a route server, told to whoever listens: programs over HTTP (server-sent events), and webhooks."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

Kind = Literal[
    "peer.added",
    "peer.changed",
    "peer.deleted",
    "session.up",
    "session.down",
    "list.changed",
    "list.held",
    "list.failed",
    "list.recovered",
    "config.reloaded",
]
MAX_KEPT: Final = 1000
"""Events that are kept for a listener that comes back."""
MAX_WAITING: Final = 1000
"""Events that may wait for one listener: one that is slower loses the oldest, and is told how many."""


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """at: seconds since 1970 (UTC). peer_id: of the peer that it is about, "" if it is about none. missed: events
    before this one that came too fast for this listener."""

    id: int
    at: float
    kind: Kind
    peer_id: str = ""
    data: dict[str, Any] = {}
    missed: int = 0


class Listener:
    """Waits for events."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._missed = 0
        self._wake = asyncio.Event()

    def put(self, event: Event) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(event)
        self._wake.set()

    async def next(self) -> Event:
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        event = self._waiting.popleft()
        if self._missed:
            event, self._missed = msgspec.structs.replace(event, missed=self._missed), 0
        return event


class Events:
    """Those that happen from now on, and the last ones."""

    def __init__(self) -> None:
        self._number = time.time_ns() // 1000
        """numbers go on after a restart"""
        self._kept: deque[Event] = deque(maxlen=MAX_KEPT)
        self._listeners: list[Listener] = []

    def tell(self, kind: Kind, peer_id: str = "", **data: Any) -> None:
        """data: what JSON has; no secrets."""
        self._number += 1
        event = Event(id=self._number, at=time.time(), kind=kind, peer_id=peer_id, data=data)
        self._kept.append(event)
        for listener in self._listeners:
            listener.put(event)

    def listen(self, after: int | None = None) -> Listener:
        """after: the number of the last event that this listener knows, for those since then."""
        listener = Listener()
        for event in self._since(after):
            listener.put(event)
        self._listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def _since(self, after: int | None) -> Iterator[Event]:
        return (event for event in self._kept if after is not None and event.id > after)
