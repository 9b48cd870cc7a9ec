"""Secrets in a database: encrypted wherever it is no file of ours, or wherever a key is named."""

from __future__ import annotations

import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from bgplite import bgplite
from peers import wait_until
from postgresql import missing, postgresql, program

from bgpipe.routeserver.config import PrefixSource
from bgpipe.routeserver.peers import UrlSource, new_peer
from bgpipe.routeserver.settings import SessionOptions
from bgpipe.routeserver.store.sealing import KEY_FILE, Seal, kept_key
from bgpipe.routeserver.store.store import Store, StoreError

SECRETS = ("planted-md5", "planted-ao", "planted-url", "planted-list-url", "planted-header", "planted-option")
KEY = "a key that nobody can guess, for tests"


def secret_peer(ip: str = "192.0.2.1", md5: str = "planted-md5"):
    source = UrlSource(id="s", name="mine", url="https://list.example/?key=planted-url")
    return new_peer(ip, 65001, md5_password=md5, session=SessionOptions(ao="7:planted-ao"), sources=(source,))


LIST = PrefixSource(
    name="web", kind="http", url="https://planted-list-url@list.example/", headers={"X-Key": "planted-header"},
    options={"password": "planted-option"},
)  # fmt: skip


async def opened(path: Path, key: str = "") -> Store:
    store = Store(str(path))
    store.seal = Seal(key) if key else None
    await store.open()
    await store.close_texts()
    return store


def kept(path: Path) -> bytes:
    """All octets of a database."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))


async def test_what_is_sealed_comes_back_and_is_not_to_be_read(tmp_path):
    path, peer = tmp_path / "x.db", secret_peer()
    store = await opened(path, KEY)
    await store.save(peer)
    await store.save_list(LIST)
    assert ([*await store.load()], [*await store.load_lists()]) == ([peer], [LIST])
    await store.close()
    assert [secret for secret in SECRETS if secret.encode() in kept(path)] == []
    again = await opened(path, KEY)
    assert ([*await again.load()], [*await again.load_lists()]) == ([peer], [LIST])
    await again.close()


@pytest.mark.parametrize(
    ("key", "error"), [("", "DatabaseKey is missing"), (KEY + "!", "was encrypted with another DatabaseKey")]
)
async def test_another_key_is_told(tmp_path, key, error):
    store = await opened(tmp_path / "x.db", KEY)
    await store.save(secret_peer())
    await store.close()
    store = await opened(tmp_path / "x.db", key)
    with pytest.raises(StoreError, match=f"of the peer 192.0.2.1#65001 .*{error}"):
        await store.load()
    await store.close()


async def test_what_was_clear_is_sealed_when_there_is_a_key(tmp_path):
    path = tmp_path / "x.db"
    store = await opened(path)
    await store.save(secret_peer())
    await store.save_list(LIST)
    assert b"planted-md5" in kept(path)
    before = await store.load()
    await store.close()
    store = await opened(path, KEY)
    assert (await store.load(), await store.load_lists()) == (before, [LIST])
    await store.close()
    assert [secret for secret in SECRETS if secret.encode() in kept(path)] == []


@pytest.mark.parametrize("key", ["", KEY])
@pytest.mark.parametrize("md5", ["sealed:1:", "sealed:1:bm8=", "clear:1:x", "clear:1:sealed:1:"])
async def test_a_key_that_looks_as_if_it_were_sealed(tmp_path, key, md5):
    store = await opened(tmp_path / "x.db", key)
    await store.save(secret_peer(md5=md5))
    assert [each.md5_password for each in await store.load()] == [md5]
    await store.close()


async def test_a_text_of_one_peer_is_none_of_another():
    seal = Seal(KEY)
    one = seal.close("x", "MD5 key of the peer 192.0.2.1#1")
    assert seal.close("x", "MD5 key of the peer 192.0.2.1#1") != one
    with pytest.raises(Exception, match="another DatabaseKey"):
        seal.open(one, "MD5 key of the peer 192.0.2.2#1")


def test_the_file_of_the_key(tmp_path):
    key = kept_key(tmp_path / KEY_FILE)
    assert len(key) >= 32
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert kept_key(tmp_path / KEY_FILE) == key


def test_a_key_of_the_configuration(tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    with bgplite(tmp_path, f"DatabaseKey: {tmp_path / 'key'}\n") as server:
        body = {"ip": "127.94.3.1", "asn": 65001, "md5Password": "planted-md5"}
        assert server.call("POST", "/api/peers", body)[0] == 200
        server.stop()
    assert b"planted-md5" not in kept(tmp_path / "data/bgplite.db")


@pytest.mark.slow
def test_no_secret_is_clear_in_postgresql(tmp_path):
    if why := missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    folder.chmod(0o755)
    try:
        with postgresql(folder) as database:
            (tmp_path / "url").write_text(f"{database.url}\n")
            environment = {"Database_FILE": str(tmp_path / "url")}
            with bgplite(tmp_path, environment=environment) as server:
                body = {"ip": "127.94.3.2", "asn": 65001, "md5Password": "planted-md5"}
                made = server.call("POST", "/api/peers", body)[1]
                url = {"name": "mine", "url": "https://list.example/?key=planted-url"}
                assert server.call("POST", f"/api/peers/{made['id']}/sources", url)[0] == 200
                server.stop()
            dump = subprocess.run(
                [program("pg_dump"), database.url.replace("+asyncpg", "")],
                capture_output=True, text=True, check=True, timeout=60,
            ).stdout  # fmt: skip
            assert "127.94.3.2" in dump
            assert "planted" not in dump
            with bgplite(tmp_path, environment=environment) as server:
                assert server.get("/api/peers")[0]["tcpMd5"] is True
                assert server.get(f"/api/peers/{made['id']}/sources")[0]["url"] == url["url"]
                server.stop()
            (tmp_path / "data" / KEY_FILE).unlink()
            with pytest.raises(AssertionError), bgplite(tmp_path, environment=environment):
                pass
            wait_until("it is told", lambda: "was encrypted with another DatabaseKey" in (tmp_path / "log").read_text())
    finally:
        shutil.rmtree(folder)
