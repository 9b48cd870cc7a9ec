"""RTR caches: StayRTR; and that of `rtr_cache.py` in a thread, with an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemons import Installed, mortal, wait_until

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


@dataclass
class StayRtr:
    """An RTR cache that serves a file of JSON, which it looks at every second."""

    installed: Installed
    folder: Path
    address: str
    port: int
    file: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        return f"{self.address}:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [self.installed.program("stayrtr"), "-bind", self.place, "-cache", str(self.file), "-refresh", "1"]
        command += ["-checktime=false", "-metrics.addr", f"{self.address}:{self.port + 1}", *self.options]
        with open(self.folder / "stayrtr.log", "wb") as log:
            self.process = subprocess.Popen(mortal(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("StayRTR listens", self._listens)

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.address, self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
