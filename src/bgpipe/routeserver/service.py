"""A route server as what a process runs: it starts, reads its configuration anew, and ends within seconds."""

from __future__ import annotations

import asyncio
import gc
import os
from functools import partial
from pathlib import Path

from ..net.errors import explain_error
from ..net.http import is_loopback
from ..pipeline.errors import StageError
from ..pipeline.log import Log
from ..runtime.process import Process
from ..tasks import Tasks, in_thread
from .api.http import Api, place
from .config import Config
from .config_file import load
from .page.pages import PAGES, refusal
from .server import RouteServer
from .store.store import StoreError
from .yaml_records import ConfigFaults

STOP_TIMEOUT = 4.0
"""Seconds that all sessions together get to end."""
LOOK_INTERVAL = 1.0
"""Seconds between two looks at whether the configuration has changed."""


class RouteServerService:
    """path: of the configuration. data: the folder for all state, ./data if it is not said."""

    def __init__(self, path: Path, config: Config, log: Log) -> None:
        self.path = path
        self.log = log
        self._read = _identity(path)
        """of the file that was read last, with faults or without"""
        data = Path(os.environ.get("BGPLITE_DATA") or "data")
        self.server = RouteServer(config, path.resolve().parent, data, log)
        self.api = Api(self.server, PAGES, refusal)
        self._stopping = asyncio.Event()
        self._tasks: Tasks

    async def start(self, process: Process) -> None:
        """Raises StageError."""
        self._tasks = process.tasks
        config = self.server.config
        host, port = place(config)
        try:
            await self.server.start(process.tasks)
        except (OSError, ValueError) as error:
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            raise StageError(f"{where}{explain_error(error)}") from error
        except StoreError as error:
            raise StageError(str(error)) from error
        if why_not := self.server.access.objection(config):
            raise StageError(why_not)
        try:
            await self.api.start()
        except OSError as error:
            raise StageError(f"the API can't listen on {host}:{port}: {explain_error(error)}") from error
        self._tasks.spawn("configuration", self._look())
        self.log.info(f"API on http://{host}:{port}/api/server")
        if not gc.isenabled():
            gc.freeze()  # modules, lists and tables stay: a collection that looks at all of them makes sessions wait
            gc.enable()
        if not is_loopback(host) and self.server.access.anonymous_role in ("operator", "admin"):
            self.log.warning("everybody who reaches the API may change peers: AnonymousRole says so")

    async def run(self) -> None:
        await self._stopping.wait()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.server.stop()
        except TimeoutError:
            self.log.warning("not all sessions have ended in time")

    async def close(self) -> None:
        await self.api.close()
        await self.server.close()

    def stop(self) -> None:
        self._stopping.set()

    def reload(self) -> None:
        """Reads the configuration anew; a bad one changes nothing."""
        self._read = _identity(self.path)
        try:
            config = load(self.path)
        except (ConfigFaults, OSError) as error:
            self.log.error("the configuration is not taken: it has faults", faults=str(error))
            return
        if why_not := self.server.access.objection(config):
            self.log.error("the configuration is not taken", faults=why_not)
            return
        before = place(self.server.config)
        self.api.configure(config)
        self.server.reload(config)
        if place(config) != before:
            self._tasks.spawn("API", self._move(config))

    async def _move(self, config: Config) -> None:
        host, port = place(config)
        try:
            await self.api.move()
        except OSError as error:
            self.log.error(f"the API can't listen on {host}:{port}, and stays where it was: {explain_error(error)}")
        else:
            self.log.info(f"API on http://{host}:{port}/api/server")

    async def _look(self) -> None:
        """Reads the configuration anew when its file is another one, and is not being written any more."""
        before = self._read
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            now = await in_thread("configuration", partial(_identity, self.path))  # it may be on a network
            if now and now == before and now != self._read:
                self.reload()
            before = now

    def health(self) -> str:
        return ""


def _identity(path: Path) -> tuple[int, ...]:
    """Another one when a file has been changed or replaced; nothing where it is not there, as between two moves."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
