"""RTR over real sockets: TCP, TLS, MD5, caches that die and come back, and one that takes the place of another."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bgpipe.net.rpki import rtr as rtr_module
from bgpipe.net.rpki import sources as sources_module
from bgpipe.net.rpki.settings import RpkiSettings, parse_source
from bgpipe.net.rpki.sources import RpkiSources, load
from bgpipe.net.tls import server_context
from bgpipe.pipeline.log import NullLog
from bgpipe.pipeline.metrics import Metrics
from bgpipe.rpki import rtr as machine
from bgpipe.rpki.current import Rpki, SourceState
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.tasks import Tasks
from bgpipe.wire.prefix import Prefix
from certificates import Authority
from rtr_cache import Cache
from rtr_server import CacheServer

PATIENCE = 60.0
"""Seconds until what a test waits for must have happened, on a machine that does much else."""


def vrps(count: int, asn: int = 64500, **aspas: Any) -> Snapshot:
    return Snapshot.of((Vrp(Prefix(1, number << 8, 24), 24, asn) for number in range(count)), {64500: [64501]})


class Client:
    """The sources of --rpki, and what became of them."""

    def __init__(self, sources: RpkiSources) -> None:
        self.sources = sources
        self.rpki = sources.rpki
        self.events: list[str] = []
        self.changed = asyncio.Event()
        self.rpki.on_change(lambda old, new: self.changed.set())
        sources.on_event = self._on_event

    def _on_event(self, name: str, values: tuple[Any, ...], error: Exception | None) -> None:
        self.events.append(name.removeprefix("rpki/"))

    async def until(self, holds: Callable[[], bool]) -> None:
        end = asyncio.get_running_loop().time() + PATIENCE
        while not holds():
            assert asyncio.get_running_loop().time() < end
            await asyncio.sleep(0.005)

    async def shows(self, snapshot: Snapshot) -> None:
        await self.until(lambda: self.rpki.snapshot == snapshot)

    def state(self, place: str) -> SourceState:
        return next(state for state in self.rpki.sources() if state.name == place)

    @property
    def active(self) -> list[str]:
        return [state.name for state in self.rpki.sources() if state.active]


@asynccontextmanager
async def client(*places: str, **settings: Any) -> Any:
    made = RpkiSettings(tuple(map(parse_source, places)), **({"retry": 0.05} | settings))
    made.check()
    tasks = Tasks()
    found = Client(RpkiSources(made, Rpki(), NullLog()))
    found.sources.start(tasks)
    try:
        yield found
    finally:
        await found.sources.close()
        assert await tasks.close() == []


def run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    def runner(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    runner.__name__, runner.__doc__ = test.__name__, test.__doc__
    runner.__signature__ = __import__("inspect").signature(test)  # type: ignore[attr-defined]
    return runner


@run
async def test_very_many_aspas_then_a_delta():
    data = Snapshot.of(aspas={customer: [1, 2] for customer in range(3, 3000)})
    async with CacheServer(Cache(data)) as server, client(server.place) as here:
        await here.shows(data)
        server.replace(vrps(3))
        await here.shows(vrps(3))


@run
async def test_a_question_to_a_cache():
    async with CacheServer(Cache(vrps(10))) as server:
        places = tuple(map(parse_source, ("127.0.0.1:1", server.place)))
        found = await load(RpkiSettings(places), NullLog(), PATIENCE)
        assert (found.error, found.snapshot) == ("", vrps(10))
        assert [(state.active, bool(state.error)) for state in found.sources()] == [(False, True), (True, False)]
        server.swallows = True
        found = await load(RpkiSettings(places), NullLog(), 0.3)
        assert "none within 0.3 s" in found.error


@run
async def test_all_data_then_deltas():
    async with CacheServer(Cache(vrps(10))) as server, client(server.place) as here:
        await here.shows(vrps(10))
        state = here.state(server.place)
        assert (state.state, state.version, state.session, state.serial) == ("up", 2, 4711, 1)
        server.replace(vrps(12))
        await here.shows(vrps(12))
        server.replace(vrps(12, 64501))
        await here.shows(vrps(12, 64501))
        assert [len(connection.asked) for connection in server.connections] == [3]
        assert server.connections[0].errors == []
        metrics = Metrics()
        here.sources.measure(metrics)
        assert metrics.get("bgpipe_rpki_vrps_ipv4") == 12
        assert metrics.get("bgpipe_rpki_source_serial", source=server.place) == 3
        assert metrics.get("bgpipe_rpki_source_active", source=server.place) == 1


@run
async def test_a_cache_that_is_killed_and_comes_back():
    cache = Cache(vrps(10))
    async with CacheServer(cache) as server, client(server.place) as here:
        await here.shows(vrps(10))
        await server.stop()
        await here.until(lambda: here.state(server.place).state == "stale")
        assert here.rpki.snapshot == vrps(10)
        cache.restart(4712)
        cache.data = vrps(11)
        await server.start()
        await here.shows(vrps(11))
        assert here.state(server.place).session == 4712
        assert [query[1] for query in server.connections[-1].asked] == [1, 2]  # a delta, and after Cache Reset all
        assert here.sources.trouble == ""


@run
async def test_another_cache_takes_the_place_and_gives_it_back():
    first, second = Cache(vrps(10)), Cache(vrps(9))
    async with (
        CacheServer(first) as one,
        CacheServer(second) as two,
        client(one.place, two.place, expire=0.5) as here,
    ):
        await here.shows(vrps(10))
        assert (here.active, two.connections) == ([one.place], [])
        await one.stop()
        await here.shows(vrps(9))
        assert here.active == [two.place]
        await one.start()
        await here.shows(vrps(10))
        assert here.active == [one.place]
        await here.until(lambda: not two._open)
        assert here.events.count("SOURCE") == 3


@run
async def test_the_second_source_counts_where_the_first_was_never_there(tmp_path: Path):
    file = tmp_path / "vrps.json"
    file.write_text('{"roas":[{"prefix":"192.0.2.0/24","asn":64500}]}')
    async with CacheServer(Cache()) as server:
        pass
    async with client(server.place, str(file)) as here:
        await here.until(lambda: len(here.rpki.snapshot) == 1)
        assert here.active == [str(file)]
        assert here.state(server.place).state == "fails"
        server.cache.replace(vrps(5))
        await server.start()
        await here.shows(vrps(5))
        assert here.active == [server.place]
        await server.stop()


@run
async def test_a_cache_without_data_is_passed_over():
    empty = Cache(None)
    async with CacheServer(empty) as one, CacheServer(Cache(vrps(3))) as two, client(one.place, two.place) as here:
        await here.shows(vrps(3))
        assert "No Data Available" in here.state(one.place).error
        empty.replace(vrps(4))
        async with asyncio.timeout(machine.RESPONSE_TIMEOUT / 2):  # it is asked again after the time to retry
            await here.shows(vrps(4))
        assert len(one.connections) == 1


@pytest.mark.parametrize("versions", [(0,), (0, 1), (0, 1, 2)])
def test_the_version_of_the_cache(versions: tuple[int, ...]):
    async def talk() -> None:
        async with CacheServer(Cache(vrps(3), versions=versions)) as server, client(server.place) as here:
            await here.until(lambda: len(here.rpki.snapshot) == 3)
            assert here.state(server.place).version == max(versions)
            assert bool(here.rpki.snapshot.aspas) == (2 in versions)
            assert len(server.connections) == (1 if 2 in versions else 2)

    asyncio.run(talk())


@run
async def test_a_silent_cache_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "RESPONSE_TIMEOUT", 0.2)
    monkeypatch.setattr(sources_module, "PATIENCE", 0.1)
    async with CacheServer(Cache(vrps(3))) as one, CacheServer(Cache(vrps(4))) as two:
        one.swallows = True
        async with client(one.place, two.place) as here:
            await here.shows(vrps(4))
            await here.until(lambda: "silent" in here.state(one.place).error)
            one.swallows = False
            await here.shows(vrps(3))


@run
async def test_tls(tmp_path: Path):
    authority, other = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "theirs", "theirs")
    cert, key = authority.issue("cache", "localhost")
    ours, our_key = authority.issue("router")
    tls = server_context(cert=str(cert), key=str(key), ca=str(authority.cert))
    async with CacheServer(Cache(vrps(3)), tls=tls) as server:
        good = {"ca": str(authority.cert), "cert": str(ours), "key": str(our_key)}
        async with client(server.place, **good) as here:
            await here.shows(vrps(3))
        async with client(server.place, **good | {"ca": str(other.cert)}) as here:
            await here.until(lambda: "certificate verify failed" in here.state(server.place).error)
            assert not here.rpki.ready
        async with client(server.place, **good | {"ca": "", "insecure": True}) as here:
            await here.shows(vrps(3))
        async with client(server.place, **good | {"ca": str(tmp_path / "none")}) as here:
            await here.until(lambda: "--rpki-ca" in here.state(server.place).error)


@run
async def test_md5(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rtr_module, "DIAL_TIMEOUT", 0.3)
    try:
        async with CacheServer(Cache(vrps(3)), md5="secret") as server:
            async with client(server.place, md5="secret") as here:
                await here.shows(vrps(3))
            for key in ("", "wrong"):
                async with client(server.place, md5=key) as here:
                    await here.until(lambda: "no answer" in here.state(server.place).error)
    except ValueError as error:
        pytest.skip(str(error))


@run
async def test_where_it_calls_from():
    async with CacheServer(Cache(vrps(3))) as server, client(server.place, bind="127.0.0.77") as here:
        await here.shows(vrps(3))
        assert [writer.get_extra_info("peername")[0] for writer in server._open] == ["127.0.0.77"]


@run
async def test_all_is_asked_for_at_sighup():
    async with CacheServer(Cache(vrps(3))) as server, client(server.place) as here:
        await here.shows(vrps(3))
        here.sources.reload()
        await here.until(lambda: [query[1] for query in server.connections[0].asked] == [2, 2])
        await here.until(lambda: here.sources._sources[0].fetches == 2)
        assert here.events == ["SOURCE", "UPDATE"]


@run
async def test_a_cache_that_breaks_the_rules_is_told_and_called_again():
    cache = Cache(vrps(3))
    async with CacheServer(cache) as server, client(server.place) as here:
        await here.shows(vrps(3))
        for writer in tuple(server._open):
            writer.write(b"\x02\x05" + bytes(2) + (8).to_bytes(4, "big"))
        await here.until(lambda: len(server.connections) > 1 and bool(server.connections[-1].asked))
        assert server.connections[0].errors == [(5, "a PDU of type 5")]
        assert here.rpki.snapshot == vrps(3)
        server.replace(vrps(4))
        await here.shows(vrps(4))


def test_secrets_are_not_shown():
    assert "secret" not in repr(RpkiSettings(md5="secret"))
    assert isinstance(RpkiSettings().tls_context(), ssl.SSLContext)
