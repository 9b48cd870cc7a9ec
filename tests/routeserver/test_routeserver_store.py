"""The store: the same against SQLite and PostgreSQL; and BGP, which goes on when the database does not."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from bgplite import bgplite
from peers import wait_until
from postgresql import PostgreSql, missing, postgresql
from sqlalchemy import create_engine, inspect

from bgpipe.routeserver.access import Token
from bgpipe.routeserver.audit import Actor
from bgpipe.routeserver.groups import PeerGroup
from bgpipe.routeserver.peers import UrlSource, new_peer
from bgpipe.routeserver.rules import Entry
from bgpipe.routeserver.settings import SessionOptions
from bgpipe.routeserver.store import schema
from bgpipe.routeserver.store import store as store_module
from bgpipe.routeserver.store.store import Store, StoreError

PRECIOUS = Entry(prefix="203.0.113.0/24", communities=("65000:1",), expires="2030-01-01T00:00:00Z")


@pytest.fixture(scope="module")
def server_of_postgresql() -> Iterator[PostgreSql]:
    if why := missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    folder.chmod(0o755)
    try:
        with postgresql(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def store(request, tmp_path):
    if request.param == "sqlite":
        url = str(tmp_path / "x.db")
    else:
        url = request.getfixturevalue("server_of_postgresql").url
    made = Store(url)
    await made.open()
    yield made
    for peer in await made.load():
        await made.remove(peer.id)
    for token in await made.load_tokens():
        await made.remove_token(token.name)
    await made.close()


def peer(ip: str = "192.0.2.1", **more):
    return new_peer(ip, 4200000000, **more)


async def again(store: Store) -> Store:
    """Another one on the same database, as after a restart."""
    made = Store(store.url)
    await made.open()
    return made


async def test_a_peer_is_as_it_was(store):
    source = UrlSource(id="s", name="mine", url="https://list.example/?key=x", active=True)
    whole = peer(
        description="Büro\n'); DROP TABLE peers; --", status="pending", last_session_at=1.5, max_prefix=0,
        md5_password="sesame", lists=("one", "two"), custom_prefixes=("2001:db8::/32", PRECIOUS), custom_asns=(65001,),
        communities=("65000:1:2",), exclude=("10.0.0.0/8",), sources=(source,), next_hop="self", max_routes=5,
        session=SessionOptions(connect=True, ao="7:a key"),
    )  # fmt: skip
    await store.save(whole)
    other = await again(store)
    assert await other.load() == [whole]
    await other.close()


async def test_a_group_is_as_it_was(store):
    made = PeerGroup(name="homes", lists=("one",), exclude=("10.0.0.0/8", PRECIOUS), local_asn=64999, max_routes=0)
    await store.save_group(PeerGroup(name="homes"))
    await store.save_group(made)
    other = await again(store)
    assert await other.load_groups() == [made]
    await other.close()
    await store.remove_group("homes")
    assert await store.load_groups() == []


async def test_a_peer_is_changed_touched_and_removed(store):
    one, two = peer(), peer("192.0.2.2")
    for each in (one, two):
        await store.save(each)
    changed = new_peer(one.ip, one.asn, lists=("cloud",))
    with pytest.raises(StoreError):  # one peer for each address and AS number
        await store.save(changed)
    await store.touch(peer("192.0.2.9"))  # one that is gone does not come back
    kept = msgspec.structs.replace(one, lists=("cloud",))
    await store.save(kept)
    await store.touch(msgspec.structs.replace(one, status="active", last_session_at=2.0))  # it knows no lists
    found = {each.id: each for each in await store.load()}
    assert found[one.id] == msgspec.structs.replace(kept, status="active", last_session_at=2.0)
    both = [msgspec.structs.replace(each, status="pending") for each in (found[one.id], two)]
    await store.touch(*both, peer("192.0.2.9"))
    assert {each.id: each for each in await store.load()} == {each.id: each for each in both}
    await store.remove(two.id)
    assert [each.id for each in await store.load()] == [one.id]


async def test_what_fails_changes_nothing(store):
    one = peer()
    await store.save(one)
    entries = await store.load_audit(0, 10)
    with pytest.raises(StoreError):
        await store.save(new_peer(one.ip, one.asn), Actor("x").entry("add peer", "y"))
    assert await store.load() == [one]
    assert await store.load_audit(0, 10) == entries


async def test_tokens_and_the_audit_log(store):
    token = Token(name="night", role="operator", hash="0" * 64, created_at=3.5)
    await store.save_token(token, Actor("boss", "192.0.2.9").entry("add token", "night", {"role": ("", "operator")}))
    assert await store.load_tokens() == [token]
    await store.note(Actor("boss").entry("accept list", "cloud"))
    (second, newest), (first, older) = await store.load_audit(0, 2)
    assert second > first
    assert (newest.action, older.who, older.client) == ("accept list", "boss", "192.0.2.9")
    assert older.changes == {"role": ("", "operator")}
    assert [number for number, _ in await store.load_audit(second, 1)] == [first]
    await store.remove_token("night")
    assert await store.load_tokens() == []


def tables_of(path):
    """What SQLite says of all tables in a file, without the white space, in the order of their names."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
        number = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return sorted((name, "".join((sql or "").replace('"', "").split())) for name, sql in rows), number


async def test_a_new_database_has_the_tables_that_migrations_make(tmp_path, monkeypatch):
    new, migrated = Store(str(tmp_path / "new.db")), Store(str(tmp_path / "migrated.db"))
    await new.open()
    await new.close()
    monkeypatch.setattr("bgpipe.routeserver.store.store._migrate", store_module._upgrade)
    await migrated.open()
    await migrated.close()
    assert tables_of(tmp_path / "new.db") == tables_of(tmp_path / "migrated.db")


async def test_tables_of_an_earlier_version_are_migrated(tmp_path):
    path = tmp_path / "x.db"
    store = Store(str(path))
    await store.open()
    await store.close()
    made = tables_of(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE groups")
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    await store.open()
    await store.close()
    assert tables_of(path) == made


async def test_tables_of_a_later_version_are_told(tmp_path):
    path = tmp_path / "x.db"
    store = Store(str(path))
    await store.open()
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"x\.db: .*9999"):
        await store.open()


async def test_tables_are_those_that_the_migrations_make(tmp_path):
    store = Store(str(tmp_path / "x.db"))
    await store.open()
    await store.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.connect() as connection:
        made = inspect(connection)
        assert set(made.get_table_names()) == {*schema.metadata.tables, "alembic_version"}
        for name, table in schema.metadata.tables.items():
            columns = {(each["name"], each["nullable"]) for each in made.get_columns(name)}
            assert columns == {(each.name, bool(each.nullable)) for each in table.columns}
            assert made.get_pk_constraint(name)["constrained_columns"] == [each.name for each in table.primary_key]
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("/no/such/folder/x.db", "No such file"),
        ("postgresql+asyncpg://user:sesame@127.0.0.1:1/db", "127.0.0.1:1"),
        ("postgresql://user:sesame@127.0.0.1:1/db", "127.0.0.1:1"),
        ("nosuch://user:sesame@127.0.0.1:1/db", "there is no such kind of database"),
        ("nosuch://user:sesame@host/db", "nosuch"),
        ("mysql://user:sesame@host/db", "there is no such kind of database"),
        ("postgresql+nosuch://user:sesame@host/db", "there is no such kind of database"),
        ("://", "Database"),
    ],
)
async def test_a_database_that_can_not_be_had_is_told_without_its_password(url, error):
    store = Store(url)
    with pytest.raises(StoreError, match=error) as caught:
        await store.open()
    assert "sesame" not in str(caught.value)


async def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        await Store(str(tmp_path / "x.db")).open()


async def test_a_database_of_which_a_part_was_overwritten_is_told_at_the_start(tmp_path):
    store = Store(str(tmp_path / "x.db"))
    await store.open()
    for number in range(100):
        await store.save(peer(f"192.0.2.{number}", description="x" * 1000))
    await store.close()
    with (tmp_path / "x.db").open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes((tmp_path / "x.db").stat().st_size - 4096))
    with pytest.raises(StoreError, match="put a copy in its place"):
        await Store(str(tmp_path / "x.db")).open()


CONFIG = "PrefixSources:\n  - {Name: cloud, Path: cloud.txt}\n"


def prepare(folder: Path) -> None:
    (folder / "cloud.txt").write_text("1.0.0.0/24\n1.1.0.0/24\n")


def goes_on(server, client, count: int) -> None:
    """A session gets what changes, and another one comes up, whatever the database does."""
    server.write("cloud.txt", [f"1.{number}.0.0/24" for number in range(count)])
    client.until("the change", lambda: len(client.routes) == count)
    other = server.client(65009)
    other.peer.close()
    assert server.call("GET", "/api/peers")[0] == 200


def overwrite(path: Path) -> None:
    """With nonsense, in its place."""
    with path.open("r+b") as file:
        file.write(random.Random(1).randbytes(path.stat().st_size))


def pieces_of(name: str) -> int:
    """How many pieces of a file this process has mapped; 0 where that is not told."""
    maps = Path("/proc/self/maps")
    return maps.read_text().count(name) if maps.exists() else 0


def test_a_database_that_is_overwritten_is_noticed_while_nobody_writes(tmp_path):
    prepare(tmp_path)
    with bgplite(tmp_path, CONFIG) as server:
        wait_until("ready", lambda: server.call("GET", "/readyz")[0] == 200)
        overwrite(tmp_path / "data/bgplite.db")
        server.waits_for_log("bgplite.db: it was overwritten")
        assert server.call("GET", "/readyz")[0] == 503
        assert "the database can't be used" in server.get("/hc")["trouble"]
        assert server.call("POST", "/api/peers", {"ip": "127.93.1.1", "asn": 65003})[0] == 503
        assert server.call("GET", "/livez")[0] == 200


@pytest.mark.parametrize("end", ["", "-wal"])
async def test_what_is_written_to_an_overwritten_database_is_not_acknowledged(tmp_path, end):
    store = Store(str(tmp_path / "x.db"))
    await store.open()
    await store.save(peer())
    kept = (tmp_path / f"x.db{end}").read_bytes()
    overwrite(tmp_path / f"x.db{end}")
    with pytest.raises(StoreError, match="it was overwritten: stop bgplite"):
        await store.save(peer("192.0.2.2"))
    assert "overwritten" in store.trouble
    (tmp_path / f"x.db{end}").write_bytes(kept)
    with pytest.raises(StoreError, match="overwritten"):  # what SQLite has in memory may not be what is in the file
        await store.check()
    await store.close()


async def test_memory_that_sqlite_shares_and_that_was_overwritten_in_a_write_takes_none_of_ours(tmp_path):
    """SQLite maps as many pieces of it as the nonsense says: two million frames of its log are 488 pieces. With more of
    them the kernel gives the process no memory."""
    store = Store(str(tmp_path / "x.db"))
    await store.open()
    await store.save(peer())

    async def work(connection) -> None:
        await connection.execute(schema.peers.insert().values(store_module._row(peer("192.0.2.2"))))
        with (tmp_path / "x.db-shm").open("r+b") as file:
            for copy in (0, 48):  # of the header of the index, which has the number of frames at 16
                file.seek(copy + 16)
                file.write((2_000_000).to_bytes(4, sys.byteorder))
        await connection.exec_driver_sql("INSERT INTO nothing VALUES (1)")

    with pytest.raises(StoreError):
        await store._write_by(work)
    assert pieces_of("x.db-shm") < 10
    await store.check()
    assert [each.ip for each in await store.load()] == ["192.0.2.1"]
    await store.close()


@pytest.mark.slow
def test_sessions_go_on_while_the_database_is_locked_gone_and_broken(tmp_path):
    prepare(tmp_path)
    with bgplite(tmp_path, CONFIG) as server:
        add = {"ip": "127.93.1.1", "asn": 65003, "lists": ["cloud"]}
        assert server.call("POST", "/api/peers", add)[0] == 200
        client = server.client(65003, source="127.93.1.1")
        client.until("routes", lambda: len(client.routes) == 2)
        database = tmp_path / "data/bgplite.db"
        unavailable = (503, {"error": "the database can't be used now"})
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert server.call("POST", "/api/peers", add | {"description": "locked"}) == unavailable
            goes_on(server, client, 3)
            other.execute("ROLLBACK")
        wait_until("it can be written", lambda: server.call("POST", "/api/peers", add | {"description": "a"})[0] == 200)
        # gone: nothing that can't be found after a restart may be acknowledged
        moved = tmp_path / "moved"
        moved.mkdir()
        for path in database.parent.glob("bgplite.db*"):
            path.rename(moved / path.name)
        assert server.call("POST", "/api/peers", add | {"description": "gone"}) == unavailable
        goes_on(server, client, 4)
        for path in database.parent.glob("bgplite.db*"):
            path.unlink()
        for path in moved.iterdir():
            path.rename(database.parent / path.name)
        wait_until("it is back", lambda: server.call("POST", "/api/peers", add | {"description": "b"})[0] == 200)
        assert server.get("/api/peers?ip=127.93.1.1")[0]["description"] == "b"
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("ALTER TABLE peers RENAME TO broken")
        assert server.call("POST", "/api/peers", add | {"description": "broken"}) == unavailable
        goes_on(server, client, 5)
        for path in database.parent.glob("bgplite.db*"):
            overwrite(path)
        assert server.call("POST", "/api/peers", add | {"description": "overwritten"}) == unavailable
        goes_on(server, client, 6)
        assert server.call("GET", "/readyz") == (503, "the database can't be used: see the log\n")
        assert client.withdrawn == []
        assert server.call("GET", "/livez")[0] == 200
        assert server.stop() == 0


@pytest.mark.slow
def test_sessions_go_on_while_postgresql_is_away(tmp_path, server_of_postgresql):
    prepare(tmp_path)
    (tmp_path / "url").write_text(server_of_postgresql.url + "\n")
    with bgplite(tmp_path, CONFIG, environment={"Database_FILE": str(tmp_path / "url")}) as server:
        add = {"ip": "127.93.2.1", "asn": 65003, "lists": ["cloud"]}
        assert server.call("POST", "/api/peers", add)[0] == 200
        client = server.client(65003, source="127.93.2.1")
        client.until("routes", lambda: len(client.routes) == 2)
        server_of_postgresql.stop()
        try:
            status = server.call("POST", "/api/peers", add | {"description": "away"})[0]
            goes_on(server, client, 3)
        finally:
            server_of_postgresql.start()
        assert status == 503
        wait_until("it is back", lambda: server.call("POST", "/api/peers", add | {"description": "back"})[0] == 200)
        assert "sesame" not in server.log
        assert server.stop() == 0
    with bgplite(tmp_path, CONFIG, environment={"Database_FILE": str(tmp_path / "url")}) as server:
        assert server.get("/api/peers?ip=127.93.2.1")[0]["description"] == "back"


@pytest.mark.slow
def test_what_was_acknowledged_is_there_after_a_kill(tmp_path):
    """Killed at random moments under four writers: no acknowledged write is lost, and the database is whole.

    `make kills` kills it 200 times.
    """
    generator = random.Random(7)
    acknowledged: dict[int, str] = {}
    asked: dict[int, list[str]] = {65001 + number: [] for number in range(4)}
    """since the last that was acknowledged"""
    for life in range(int(os.environ.get("BGPLITE_KILLS", "6"))):
        with bgplite(tmp_path) as server:
            shown = {each["asn"]: each["description"] for each in server.get("/api/peers")}
            for asn, description in acknowledged.items():
                assert shown[asn] in (description, *asked[asn])
            stopped = threading.Event()

            def write(asn: int, server=server, life=life, stopped=stopped) -> None:
                for number in range(10_000):
                    if stopped.is_set():
                        return
                    text = f"{life} {number}"
                    asked[asn].append(text)
                    body = {"ip": "127.93.3.1", "asn": asn, "description": text}
                    with contextlib.suppress(OSError, ValueError):
                        if server.call("POST", "/api/peers", body)[0] == 200:
                            acknowledged[asn] = text
                            asked[asn].clear()

            writers = [threading.Thread(target=write, args=(asn,)) for asn in asked]
            for writer in writers:
                writer.start()
            wait_until(
                "something was written", lambda life=life: any(t.startswith(f"{life} ") for t in acknowledged.values())
            )
            stopped.wait(generator.uniform(0, 0.5))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(20)
            stopped.set()
            for writer in writers:
                writer.join(30)
        with contextlib.closing(sqlite3.connect(tmp_path / "data/bgplite.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(acknowledged) == 4
