"""The RTR cache of `rtr_cache.py` in a thread with an event loop of its own, for tests that wait for daemons."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from bgpipe.rpki.snapshot import Snapshot
from rtr_cache import Cache
from rtr_server import CacheServer


class CacheThread:
    """place: where it listens."""

    def __init__(self, data: Snapshot, **settings: Any) -> None:
        self.server = CacheServer(Cache(data, **settings))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self.server.start())

    @property
    def place(self) -> str:
        return self.server.place

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def replace(self, data: Snapshot) -> None:
        """Other data, of which all routers are told."""

        async def replace() -> None:
            self.server.replace(data)

        self._call(replace())

    def stop(self) -> None:
        self._call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def cache(data: Snapshot, **settings: Any) -> Iterator[CacheThread]:
    made = CacheThread(data, **settings)
    try:
        yield made
    finally:
        made.stop()
