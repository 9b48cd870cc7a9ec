"""Writes peers to the store where no request waits for that: what their sessions change, and what is over."""

from __future__ import annotations

import asyncio

from ..pipeline.log import Log
from ..tasks import Tasks
from .peers import Peer, Peers
from .store.store import Store, Turn


class PeerWriter:
    """changing: held by who changes peers, from what it reads to what it writes."""

    def __init__(self, peers: Peers, store: Store, changing: Turn, log: Log) -> None:
        self._peers = peers
        self._store = store
        self._changing = changing
        self._log = log
        self._tasks: Tasks
        self._touched: dict[str, None] = {}
        """the ids of peers whose status is to be written"""
        self._touching = asyncio.Lock()

    def start(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def touch(self, peer: Peer) -> None:
        """Writes the status of a peer and when its last session began, nothing else."""
        self._touched[peer.id] = None
        if len(self._touched) == 1 and not self._tasks.closing:
            self._tasks.spawn("store", self._touch(), self._on_error)

    async def _touch(self) -> None:
        """Those that come while others are written are written together: a thousand sessions that come up at once
        are some transactions. Nobody changes a peer meanwhile: what was approved would be pending again."""
        async with self._touching, self._changing:
            touched, self._touched = self._touched, {}
            found = [peer for peer in map(self._peers.get, touched) if peer is not None]
            if found:
                await self._store.touch(*found)

    def save(self, peer: Peer) -> None:
        """Writes a whole peer."""
        if not self._tasks.closing:
            self._tasks.spawn("store", self._save(peer.id), self._on_error)

    async def _save(self, id: str) -> None:
        """Writes it as it is when its turn comes, so that no change that was made meanwhile is undone."""
        async with self._changing:
            peer = self._peers.get(id)
            if peer is not None:
                await self._store.save(peer)

    def _on_error(self, error: Exception) -> None:
        self._log.error("a peer can't be stored", error=str(error))
