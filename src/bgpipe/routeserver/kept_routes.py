"""The routes of peers whose MaxRoutes has changed them, on disk: after a restart they are announced what they had."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import msgspec

from ..pipeline.log import Log
from ..routes.attributes import Attributes
from ..routes.budget import Budgeted, Routes
from ..routes.table import Table, now
from ..tasks import Tasks, in_thread
from .sources.worker import pack_prefixes, unpack_prefixes

_Packed = list[tuple[Attributes, bytes, bytes]]


class Kept(msgspec.Struct, frozen=True):
    """See budget.Budgeted, and worker.pack_prefixes for the octets."""

    routes: _Packed
    merged: _Packed
    foreign: int
    foreign_ipv6: int


class KeptRoutes:
    """folder: with a file for each peer. Peers are named by access.peer_key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> Budgeted | None:
        """What is kept of a peer, None if that is nothing, or can't be read."""
        try:
            kept = msgspec.msgpack.decode(self._path(key).read_bytes(), type=Kept)
            return Budgeted(
                _unpack(kept.routes), kept.foreign, _unpack(kept.merged), held=True, foreign_ipv6=kept.foreign_ipv6
            )
        except (OSError, msgspec.DecodeError, ValueError):
            return None

    def save(self, key: str, table: Table | None) -> None:
        """Keeps the routes of a table; None forgets them. It takes a while with long lists. Raises OSError."""
        if table is None:
            with suppress(FileNotFoundError):
                self._path(key).unlink()
            return
        found = now(table) or Budgeted({})
        kept = Kept(_pack(found.routes), _pack(found.merged), found.foreign, found.foreign_ipv6)
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._path(key).with_suffix(".new")
        new.write_bytes(msgspec.msgpack.encode(kept))
        new.replace(self._path(key))

    def _path(self, key: str) -> Path:
        return self._folder / f"{quote(key, safe='')}.routes"


class RouteKeeper:
    """Writes the routes of peers to the disk, in a thread, one after the other; of each peer the newest alone."""

    def __init__(self, kept: KeptRoutes, log: Log) -> None:
        self.kept = kept
        self._log = log
        self._waiting: dict[str, Table | None] = {}
        """by the peer's key"""
        self._busy = False
        self._tasks: Tasks

    def start(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def keep(self, key: str, table: Table | None) -> None:
        """See KeptRoutes.save."""
        self._waiting[key] = table
        if not self._busy and not self._tasks.closing:
            self._busy = True
            self._tasks.spawn("keeps routes", self._save_all())

    async def _save_all(self) -> None:
        try:
            while self._waiting:
                key, table = self._waiting.popitem()
                try:
                    await in_thread("routes", partial(self.kept.save, key, table))
                except OSError as error:
                    self._log.error("the routes of a peer can't be kept on disk", error=str(error))
        finally:
            self._busy = False


def _pack(routes: Routes) -> _Packed:
    return [(attributes, *pack_prefixes(prefixes)) for attributes, prefixes in routes.items()]


def _unpack(packed: _Packed) -> Routes:
    """Raises ValueError."""
    return {attributes: unpack_prefixes(ipv4, ipv6) for attributes, ipv4, ipv6 in packed}
