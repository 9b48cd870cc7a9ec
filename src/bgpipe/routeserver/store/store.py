"""Reads and writes peers. What has been written before a method returns is there after a crash of this process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Executable, Row, bindparam, delete, event, func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ..access import Token
from ..audit import MAX_ENTRIES, Entry
from ..config import PrefixSource
from ..groups import PeerGroup
from ..peers import Peer
from ..values import NO_DATABASE, check_database
from .schema import REVISION, audit, groups, lists, metadata, peers, revisions, tokens
from .sealing import Change, Seal, SealError, change_list, change_peer, close_without_seal, open_without_seal

T = TypeVar("T")
BUSY_TIMEOUT: Final = 5.0
"""Seconds that a write waits for another process that has locked the database."""
WRITE_TIMEOUT: Final = 10.0
"""Seconds that a write may take, with those before it."""
CLOSE_TIMEOUT: Final = 0.5
"""Seconds for which the end waits for a write."""
LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks at whether the database can be used."""
_MAGIC: Final = {"": (b"SQLite format 3\0",), "-wal": (b"", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")}
"""What a file of SQLite begins with, by the end of its name; an empty one is none but a log of writes."""
_DRIVERS: Final = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}
"""What stands for a scheme that names no driver, or one that can't wait for a database."""
_FAILURES: Final = (SQLAlchemyError, sqlite3.Error, OSError, msgspec.MsgspecError, SealError)
"""What a database that is locked, broken or gone raises, also while a connection is made; and rows not of ours."""
_COLUMNS: Final = frozenset(peers.c.keys())


class StoreError(Exception):
    """The database can't be read or written; the text says why."""


class _Locked(Exception):
    """Another process is writing."""


class Turn:
    """One after the other, as asyncio.Lock; but who waits too long is told so.

    `async with` raises StoreError after WRITE_TIMEOUT: then those before wait for the database.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                await self._lock.acquire()
        except TimeoutError:
            raise StoreError(f"others have waited for the database for {WRITE_TIMEOUT:g} s") from None

    async def __aexit__(self, *error: object) -> None:
        self._lock.release()


class Store:
    """url: of the database, as SQLAlchemy writes it, or the path of a file for SQLite. seal: what encrypts the secrets
    in it, None if they are as they are, in a file that only its owner can read."""

    def __init__(self, url: str) -> None:
        scheme, sign, rest = url.partition("://")
        self.url = f"{_DRIVERS.get(scheme, scheme)}{sign}{rest}" if sign else f"sqlite+aiosqlite:///{url}"
        self.seal: Seal | None = None
        self._engine: AsyncEngine | None = None
        self._writing = asyncio.Lock()
        self._opened: tuple[int, int] | None = None
        self._descriptor: int | None = None
        """of the file of SQLite: to open and close it each time would take away the locks that SQLite has on it"""
        self._overwritten = ""
        """what to do about a file that is no database any more; what SQLite says of it does not count from then on"""
        self.trouble = ""
        """why the database can't be used, as the last one to try has found; "" if it can"""

    async def open(self) -> None:
        """Opens the database, and brings its tables up to date. Raises StoreError."""
        engine: AsyncEngine | None = None
        try:
            check_database(self.url)
            self._make_private()
            engine = create_async_engine(self.url, json_serializer=_to_json, json_deserializer=msgspec.json.decode)
            if engine.dialect.name == "sqlite":
                event.listen(engine.sync_engine, "connect", _prepare_sqlite)
                async with engine.connect() as connection:
                    found = (await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar_one()
                    if found != "ok":
                        raise StoreError(f"{self.place}: {found.strip()}: put a copy in its place")
            async with engine.begin() as connection:
                if why_not := await connection.run_sync(_migrate):
                    raise StoreError(f"{self.place}: {why_not}")
        except (*_FAILURES, ImportError, StoreError, ValueError) as error:
            if engine is not None:
                await engine.dispose()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self.place}: {_explain(error)}") from error
        self._engine = engine
        self._opened = self._file()
        self._descriptor = os.open(self._path, os.O_RDONLY) if self._path else None

    def _make_private(self) -> None:
        """Keys of peers are in the file: nobody else may read it. Raises OSError."""
        if path := self._path:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            os.chmod(path, 0o600)

    @property
    def is_file(self) -> bool:
        """Whether it is a file that only its owner can read."""
        return bool(self._path)

    @property
    def _path(self) -> str:
        """The file of SQLite; "" for other databases."""
        url = make_url(self.url)
        return url.database or "" if url.drivername.startswith("sqlite") else ""

    def _file(self) -> tuple[int, int] | None:
        """Which file it is. SQLite goes on writing to one that was removed or moved, and nobody would find that."""
        if not self._path:
            return None
        try:
            status = os.stat(self._path)
        except OSError:
            return 0, 0
        return status.st_dev, status.st_ino

    def _check_files(self) -> None:
        """Raises StoreError if what a write has changed would not be there after a restart.

        SQLite itself does not look at the file again, as long as it has pages of it in memory.
        """
        if self._overwritten:
            raise StoreError(self._overwritten)
        if self._file() != self._opened:
            raise StoreError(f"{self.place}: the file is gone, or another one took its place; then restart")
        for end, first in self._first_octets():
            if first not in _MAGIC[end]:
                self._overwritten = (
                    f"{self._path}{end}: it was overwritten: stop bgplite, put a copy of {self._path} in its place, "
                    "take away -wal and -shm beside it, and start bgplite again"
                )
                raise StoreError(self._overwritten)

    def _first_octets(self) -> Iterator[tuple[str, bytes]]:
        """(end of the name, what the file begins with) of the files of SQLite that have something in common."""
        if self._descriptor is None:
            return
        with suppress(OSError):  # SQLite tells why it can't read it
            yield "", os.pread(self._descriptor, len(_MAGIC[""][0]), 0)
        try:
            with open(f"{self._path}-wal", "rb", buffering=0) as file:
                yield "-wal", file.read(len(_MAGIC["-wal"][-1]))
        except OSError:
            pass

    async def watch(self, tell: Callable[[str], object]) -> None:
        """Looks again and again at whether the database can be used, and tells when that changes: see `trouble`."""
        told = ""
        while True:
            with suppress(StoreError):
                await self.check()
            if bool(self.trouble) != bool(told):
                told = self.trouble
                tell(told)
            await asyncio.sleep(LOOK_INTERVAL)

    async def check(self) -> None:
        """Looks at whether the database can be written. Raises StoreError."""
        if self._writing.locked():
            return  # who writes will find that

        async def work(connection: AsyncConnection) -> None:
            if self._path and not await _lock(connection):
                raise _Locked
            await connection.execute(select(peers.c.id).limit(1))

        with suppress(_Locked):  # by another process: a write waits for that, and tells if it waits in vain
            await self._write_by(work)

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        try:
            url = make_url(self.url)
        except ArgumentError:
            return "Database"
        return url.database or "" if url.drivername.startswith("sqlite") else url.render_as_string(hide_password=True)

    async def close(self) -> None:
        """Waits a moment for who writes, or looks: a connection that is being made can't be closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT), self._writing:
                pass
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def load(self) -> list[Peer]:
        """All peers. Raises StoreError."""

        async def work(connection: AsyncConnection) -> list[Peer]:
            rows = [_named(row) for row in await connection.execute(select(peers))]
            return [_peer(change_peer(row, self._open_text)) for row in rows]

        return await self._do(work)

    @property
    def _open_text(self) -> Change:
        return self.seal.open if self.seal is not None else open_without_seal

    @property
    def _close_text(self) -> Change:
        return self.seal.close if self.seal is not None else close_without_seal

    async def close_texts(self) -> None:
        """Encrypts what was written when nothing was encrypted yet. Raises StoreError."""
        if (seal := self.seal) is None:
            return

        async def work(connection: AsyncConnection) -> None:
            for row in map(_named, (await connection.execute(select(peers))).all()):
                changed = change_peer(row, seal.close_again)
                if changed != row:
                    await connection.execute(peers.update().where(peers.c.id == row["id"]).values(changed))
            for name, settings in (await connection.execute(select(lists.c.name, lists.c.settings))).all():
                changed = change_list(settings, seal.close_again)
                if changed != settings:
                    await connection.execute(lists.update().where(lists.c.name == name).values(settings=changed))

        await self._write_by(work)

    async def load_tokens(self) -> list[Token]:
        """Raises StoreError."""

        async def work(connection: AsyncConnection) -> list[Token]:
            return [msgspec.convert(_named(row), Token) for row in await connection.execute(select(tokens))]

        return await self._do(work)

    async def load_lists(self) -> list[PrefixSource]:
        """The lists that were made over the API. Raises StoreError."""

        async def work(connection: AsyncConnection) -> list[PrefixSource]:
            rows = await connection.execute(select(lists.c.settings).order_by(lists.c.name))
            return [msgspec.convert(change_list(row[0], self._open_text), PrefixSource) for row in rows]

        return await self._do(work)

    async def load_audit(self, before: int, most: int) -> list[tuple[int, Entry]]:
        """The newest entries of the audit log with a number below `before` (0: of any), the newest first.

        Raises StoreError.
        """
        wanted = select(audit).order_by(audit.c.id.desc()).limit(most)
        if before:
            wanted = wanted.where(audit.c.id < before)

        async def work(connection: AsyncConnection) -> list[tuple[int, Entry]]:
            rows = [_named(row) for row in await connection.execute(wanted)]
            return [(row.pop("id"), msgspec.convert(row, Entry)) for row in rows]

        return await self._do(work)

    async def save(self, peer: Peer, entry: Entry | None = None) -> None:
        """Adds a peer, or changes it. Raises StoreError."""
        row = change_peer(_row(peer), self._close_text)
        await self._write(delete(peers).where(peers.c.id == peer.id), peers.insert().values(row), *_audited(entry))

    async def touch(self, *touched: Peer) -> None:
        """Writes the status of peers and when their last sessions began, nothing else. Raises StoreError."""
        values: dict[str, Any] = {"status": bindparam("new_status"), "last_session_at": bindparam("new_time")}
        statement = peers.update().where(peers.c.id == bindparam("peer_id")).values(values)
        rows = [{"peer_id": peer.id, "new_status": peer.status, "new_time": peer.last_session_at} for peer in touched]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement, rows)

        await self._write_by(work)

    async def remove(self, id: str, entry: Entry | None = None) -> None:
        """Raises StoreError."""
        await self._write(delete(peers).where(peers.c.id == id), *_audited(entry))

    async def save_token(self, token: Token, entry: Entry | None = None) -> None:
        """Raises StoreError."""
        row = msgspec.to_builtins(token)
        del row["owner"]
        await self._write(
            delete(tokens).where(tokens.c.name == token.name), tokens.insert().values(row), *_audited(entry)
        )

    async def remove_token(self, name: str, entry: Entry | None = None) -> None:
        """Raises StoreError."""
        await self._write(delete(tokens).where(tokens.c.name == name), *_audited(entry))

    async def save_list(self, source: PrefixSource, entry: Entry | None = None) -> None:
        """Adds a list, or changes it. Raises StoreError."""
        row = {"name": source.name, "settings": change_list(msgspec.to_builtins(source), self._close_text)}
        await self._write(
            delete(lists).where(lists.c.name == source.name), lists.insert().values(row), *_audited(entry)
        )

    async def remove_list(self, name: str, entry: Entry | None = None) -> None:
        """Raises StoreError."""
        await self._write(delete(lists).where(lists.c.name == name), *_audited(entry))

    async def load_groups(self) -> list[PeerGroup]:
        """The groups that were made over the API. Raises StoreError."""

        async def work(connection: AsyncConnection) -> list[PeerGroup]:
            rows = await connection.execute(select(groups.c.settings).order_by(groups.c.name))
            return [msgspec.convert(row[0], PeerGroup) for row in rows]

        return await self._do(work)

    async def save_group(self, group: PeerGroup, entry: Entry | None = None) -> None:
        """Adds a group, or changes it. Raises StoreError."""
        row = {"name": group.name, "settings": msgspec.to_builtins(group)}
        await self._write(
            delete(groups).where(groups.c.name == group.name), groups.insert().values(row), *_audited(entry)
        )

    async def remove_group(self, name: str, entry: Entry | None = None) -> None:
        """Raises StoreError."""
        await self._write(delete(groups).where(groups.c.name == name), *_audited(entry))

    async def note(self, entry: Entry) -> None:
        """Writes to the audit log what changes nothing else here. Raises StoreError."""
        await self._write(*_audited(entry))

    async def _write(self, *statements: Executable) -> None:
        """All of it or nothing, in one transaction. Raises StoreError."""

        async def work(connection: AsyncConnection) -> None:
            for statement in statements:
                await connection.execute(statement)

        await self._write_by(work)

    async def _write_by(self, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Raises StoreError."""
        try:
            async with asyncio.timeout(WRITE_TIMEOUT), self._writing:
                self._check_files()
                await self._do(work)
                self._check_files()
        except TimeoutError:
            self.trouble = f"{self.place}: it took longer than {WRITE_TIMEOUT:g} s"
            raise StoreError(self.trouble) from None
        except StoreError as error:
            self.trouble = str(error)
            raise
        self.trouble = ""

    async def _do(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        if self._engine is None:
            raise StoreError("the database is not open")
        try:
            async with self._engine.begin() as connection:
                return await work(connection)
        except _FAILURES as error:
            if self._path and not (isinstance(error, IntegrityError) or _is_locked(error)):
                await self._let_go()
            raise StoreError(f"{self.place}: {_explain(error)}") from error

    async def _let_go(self) -> None:
        """Closes all connections; the next one is a new one.

        Where the memory that SQLite shares with other processes (`-shm`) was overwritten in the middle of a write,
        SQLite maps tens of thousands of pieces of it, and the kernel gives this process no more memory until they are
        closed.
        """
        if self._engine is not None:
            with suppress(*_FAILURES):
                await self._engine.dispose()


async def _lock(connection: AsyncConnection) -> bool:
    """Begins to write, without waiting for another process; False if that is writing."""
    await connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if _is_locked(error):
            return False
        raise
    finally:
        await connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")
    return True


def _is_locked(error: Exception) -> bool:
    """Whether another process has the database."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


def _prepare_sqlite(connection: Any, record: object) -> None:
    for statement in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "secure_delete=ON",
        f"busy_timeout={BUSY_TIMEOUT * 1000:.0f}",
    ):
        try:
            connection.execute(f"PRAGMA {statement}")
        except BaseException:
            connection.close()  # nobody else would: it has a thread of its own
            raise


def _migrate(connection: Connection) -> str:
    """Makes the tables, or brings them up to date; why that can't be, "" if it is done. alembic takes a fifth of a
    second and 11 MB to load, and is needed only for tables that an earlier version has made."""
    found = set(inspect(connection).get_table_names())
    if not found:
        metadata.create_all(connection)
        revisions.create(connection)
        connection.execute(revisions.insert().values(version_num=REVISION))
    elif revisions.name not in found or connection.execute(select(revisions)).scalars().all() != [REVISION]:
        return _upgrade(connection)
    return ""


def _upgrade(connection: Connection) -> str:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        return str(error)
    return ""


def _audited(entry: Entry | None) -> tuple[Executable, ...]:
    """What writes an entry to the audit log, and takes the oldest away."""
    if entry is None:
        return ()
    oldest = select(func.max(audit.c.id) - MAX_ENTRIES).scalar_subquery()
    return audit.insert().values(msgspec.to_builtins(entry)), delete(audit).where(audit.c.id <= oldest)


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _row(peer: Peer) -> dict[str, Any]:
    """A row; what has no column of its own is the subscription."""
    fields = msgspec.to_builtins(peer)
    del fields["owner"]
    row = {name: fields.pop(name) for name in tuple(fields) if name in _COLUMNS}
    return row | {"subscription": fields}


def _named(row: Row[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row._mapping.items()}


def _peer(fields: dict[str, Any]) -> Peer:
    return msgspec.convert(fields.pop("subscription") | fields, Peer)


def _explain(error: Exception) -> str:
    if isinstance(error, NoSuchModuleError):
        return NO_DATABASE
    origin = getattr(error, "orig", None) or error
    return str(origin).partition("\n")[0] or type(origin).__name__
