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

from daemons import Bird, Frr, GoBgp, Installed, mortal, wait_until

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


def vrps_of(router: Bird | Frr | GoBgp) -> set[tuple[str, int, int]]:
    """(prefix, longest length, AS) of each VRP that a router has."""
    if isinstance(router, Bird):  # 192.0.2.0/24-28 AS65001  [cache ...
        lines = [line.partition("-") for table in ("r4", "r6") for line in _table(router, table)]
        return {(prefix, int(rest.split()[0]), int(rest.split()[1][2:])) for prefix, _, rest in lines}
    if isinstance(router, Frr):  # 192.0.2.0 24 - 28 65001
        rows = [line.split() for line in router.control("show rpki prefix-table").splitlines()]
        return {(f"{row[0]}/{row[1]}", int(row[3]), int(row[4])) for row in rows if len(row) == 5 and row[2] == "-"}
    shown = [router.control("rpki", "table", "-a", family) for family in ("ipv4", "ipv6")]
    rows = [line.split() for text in shown for line in text.splitlines()]  # 192.0.2.0/24 28 65001 ...
    return {(row[0], int(row[1]), int(row[2])) for row in rows if len(row) >= 3 and "/" in row[0]}


def _table(bird: Bird, table: str) -> list[str]:
    shown = bird.control("show", "route", "table", table)
    return [line for line in shown.splitlines() if "/" in line and " AS" in line]
