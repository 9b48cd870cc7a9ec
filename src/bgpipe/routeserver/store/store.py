"""Reads and writes peers. What has been written before a method returns is there after a crash of this process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..peers import Peer
from .schema import peers

BUSY_TIMEOUT: Final = 5.0
"""Seconds that a write waits for another process that has locked the database."""
_COLUMNS: Final = frozenset(peers.c.keys())


class StoreError(Exception):
    """The database can't be read or written; the text says why."""


class Store:
    """url: of the database, as SQLAlchemy writes it, or the path of a file for SQLite."""

    def __init__(self, url: str) -> None:
        self.url = url if "://" in url else f"sqlite+aiosqlite:///{url}"
        self._engine: AsyncEngine | None = None
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Opens the database, and brings its tables up to date. Raises StoreError."""
        try:
            engine = create_async_engine(self.url, json_serializer=_to_json, json_deserializer=msgspec.json.decode)
            if engine.dialect.name == "sqlite":
                event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            async with engine.begin() as connection:
                await connection.run_sync(_migrate)
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise StoreError(f"{self.place}: {_explain(error)}") from error
        self._engine = engine

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        from sqlalchemy.engine import make_url

        url = make_url(self.url)
        return url.database or "" if url.drivername.startswith("sqlite") else url.render_as_string(hide_password=True)

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def load(self) -> list[Peer]:
        """All peers. Raises StoreError."""

        async def work(connection: Any) -> list[Peer]:
            return [_peer(row._mapping) for row in await connection.execute(select(peers))]

        return await self._do(work)  # type: ignore[no-any-return]

    async def save(self, peer: Peer) -> None:
        """Adds a peer, or changes it, in one transaction. Raises StoreError."""

        async def work(connection: Any) -> None:
            await connection.execute(delete(peers).where(peers.c.id == peer.id))
            await connection.execute(peers.insert().values(_row(peer)))

        async with self._writing:
            await self._do(work)

    async def remove(self, id: str) -> None:
        """Raises StoreError."""

        async def work(connection: Any) -> None:
            await connection.execute(delete(peers).where(peers.c.id == id))

        async with self._writing:
            await self._do(work)

    async def _do(self, work: Any) -> Any:
        if self._engine is None:
            raise StoreError("the database is not open")
        try:
            async with self._engine.begin() as connection:
                return await work(connection)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"{self.place}: {_explain(error)}") from error


def _prepare_sqlite(connection: Any, record: object) -> None:
    for statement in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_TIMEOUT * 1000:.0f}"):
        connection.execute(f"PRAGMA {statement}")


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _row(peer: Peer) -> dict[str, Any]:
    """A row; what has no column of its own is the subscription."""
    fields = msgspec.to_builtins(peer)
    del fields["owner"]
    row = {name: fields.pop(name) for name in tuple(fields) if name in _COLUMNS}
    return row | {"subscription": fields}


def _peer(row: Any) -> Peer:
    fields = {str(name): value for name, value in row.items()}
    return msgspec.convert(fields.pop("subscription") | fields, Peer)


def _explain(error: Exception) -> str:
    origin = getattr(error, "orig", None) or error
    return str(origin).partition("\n")[0] or type(origin).__name__
