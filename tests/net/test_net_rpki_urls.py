"""URLs of --rpki against a server over HTTP: what is asked, what is refused, and which of two counts."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from bgpipe.net.rpki import polled, url
from bgpipe.net.rpki.settings import RpkiSettings, parse_source
from bgpipe.net.rpki.sources import RpkiSources
from bgpipe.pipeline.log import NullLog
from bgpipe.rpki import files
from bgpipe.rpki.current import Rpki
from bgpipe.tasks import Tasks
from bgpipe.wire.errors import TextError

DEADLINE = 30.0


def body(count: int, **more: Any) -> bytes:
    roas = [{"asn": 64500, "prefix": f"192.0.{number}.0/24", "maxLength": 24} for number in range(count)]
    return json.dumps({"roas": roas} | more).encode()


class Server:
    """Answers each request with what `answer` gives: (status, header fields, octets)."""

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.answer: Callable[[dict[str, str]], tuple[int, dict[str, str], bytes]] = lambda _: (200, {}, body(4))

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        self.requests.append(fields)
        status, more, octets = self.answer(fields)
        head = "".join(f"{name}: {value}\r\n" for name, value in ({"Content-Length": len(octets)} | more).items())
        writer.write(f"HTTP/1.1 {status} Word\r\nConnection: close\r\n{head}\r\n".encode() + octets)
        writer.close()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/vrps.json"
        finally:
            server.close()
            await close(self.writers)


async def close(writers: Iterable[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Here:
    """The sources of these URLs, as a process has them."""

    def __init__(self, *urls: str, **settings: Any) -> None:
        self.rpki = Rpki()
        self.events: list[str] = []
        specs = tuple(map(parse_source, urls))
        settings = {"refresh": 0.02, "retry": 0.02} | settings
        self.sources = RpkiSources(RpkiSettings(specs, **settings), self.rpki, NullLog())
        self.sources.on_event = lambda name, values, error: self.events.append(name)

    def __getitem__(self, number: int) -> Any:
        return self.sources._sources[number]

    @property
    def active(self) -> int:
        return [state.active for state in self.rpki.sources()].index(True)


@asynccontextmanager
async def running(*urls: str, **settings: Any) -> AsyncIterator[Here]:
    here, tasks = Here(*urls, **settings), Tasks()
    here.sources.start(tasks)
    try:
        yield here
    finally:
        await here.sources.close()
        await tasks.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("field", "value", "asks"),
    [("ETag", '"abc"', "if-none-match"), ("Last-Modified", "Sun, 22 Feb 2026 15:30:00 GMT", "if-modified-since")],
)
def test_what_has_not_changed_is_not_sent_again(field, value, asks):
    async def talk() -> None:
        server = Server()
        server.answer = lambda asked: (304, {}, b"") if asked.get(asks) == value else (200, {field: value}, body(4))
        async with server.serve() as address, running(address) as here:
            await until(lambda: here.rpki.ready)
            snapshot = here.rpki.snapshot
            await until(lambda: here[0].fetches >= 3)
            assert [asks in asked for asked in server.requests[:3]] == [False, True, True]
            assert here[0].snapshot == snapshot == here.rpki.snapshot
            assert here.events.count("rpki/UPDATE") == 1

            server.answer = lambda asked: (200, {field: "other"}, body(5))
            await until(lambda: len(here.rpki.snapshot) == 5)

    asyncio.run(talk())


def test_the_same_octets_change_nothing():
    async def talk() -> None:
        server = Server()
        async with server.serve() as address, running(address) as here:
            await until(lambda: here[0].fetches >= 3)
            assert here.events.count("rpki/UPDATE") == 1
            server.answer = lambda _: (304, {}, b"")  # which nobody has asked for
            await until(lambda: "304" in here[0].error)
            assert len(here.rpki.snapshot) == 4

    asyncio.run(talk())


def test_data_that_shrink_count_when_they_are_said_twice():
    async def talk() -> None:
        server = Server()
        async with server.serve() as address, running(address) as here:
            await until(lambda: here.rpki.ready)
            server.answer = lambda _: (200, {}, body(1))
            await until(lambda: len(here.rpki.snapshot) == 1)
            assert here.events.count("rpki/SHRINK") == 1
            assert here[0].fetches >= 3

    asyncio.run(talk())


def test_an_entry_that_expires_goes_though_the_server_has_no_news(monkeypatch):
    monkeypatch.setattr(polled, "EXPIRY_PAUSE", 0.02)

    async def talk() -> None:
        server = Server()
        soon = {"customer": 64500, "providers": [64501], "expires": time.time() + 0.5}
        octets = body(2, aspas=[soon, {"customer": 64502, "providers": [64501]}])
        server.answer = lambda asked: (304, {}, b"") if "if-none-match" in asked else (200, {"ETag": "1"}, octets)
        async with server.serve() as address, running(address, refresh=3600.0) as here:
            await until(lambda: here.rpki.ready)
            assert here.rpki.snapshot.aspas.keys() <= {64500, 64502}
            await until(lambda: here.rpki.snapshot.aspas.keys() == {64502})

    asyncio.run(talk())


def test_the_next_url_counts_while_the_first_one_fails():
    async def talk() -> None:
        first, second = Server(), Server()
        second.answer = lambda _: (200, {}, body(3))
        async with (
            first.serve() as one,
            second.serve() as other,
            running(one, other, expire=0.5) as here,
        ):
            await until(lambda: here.rpki.ready)
            assert (here.active, len(here.rpki.snapshot), second.requests) == (0, 4, [])
            first.answer = lambda _: (503, {}, b"")
            await until(lambda: here.active == 1 and len(here.rpki.snapshot) == 3)
            assert "the server answered 503 Word" in here[0].error
            first.answer = lambda _: (200, {}, body(5))
            await until(lambda: here.active == 0 and len(here.rpki.snapshot) == 5)
            asked = len(second.requests)
            await until(lambda: here[0].fetches >= 5)
            assert len(second.requests) <= asked + 1

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("status", "fields", "octets", "error"),
    [
        (404, {}, b"", "the server answered 404 Word"),
        (500, {}, body(2), "the server answered 500 Word"),
        (206, {}, body(2), "the server answered 206 Word"),
        (200, {}, b"", "the file is empty"),
        (200, {}, b"<!DOCTYPE html>\n<html>", "line 1 is neither a header nor a VRP: '<!DOCTYPE html>'"),
        (200, {}, b'{"error": "busy"}', 'neither "roas" nor "aspas" is there'),
        (200, {}, body(2)[:-9], "it ends too early"),
        (200, {"Content-Length": "500"}, body(2), "the answer ends too early"),
        (200, {"Content-Encoding": "br"}, body(2), "the answer is encoded as br"),
        (200, {}, b" " * 5000 + body(2), "more than 0 MiB"),
        (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 50_000 + body(2), mtime=0), "more than 0 MiB"),
        (200, {}, gzip.compress(body(2), mtime=0)[:-1], "gzip: the file is cut short"),
    ],
)
def test_what_is_no_data_leaves_those_that_are_there(status, fields, octets, error, monkeypatch):
    monkeypatch.setattr(files, "MAX_SIZE", 4000)

    async def talk() -> None:
        server = Server()
        async with server.serve() as address, running(address) as here:
            await until(lambda: here.rpki.ready)
            server.answer = lambda _: (status, fields, octets)
            await until(lambda: bool(here[0].error))
            assert error in here[0].error
            assert len(here.rpki.snapshot) == 4

    asyncio.run(talk())


@pytest.mark.parametrize("fields", [{}, {"Content-Encoding": "gzip"}])
def test_an_answer_that_is_compressed(fields):
    async def talk() -> None:
        server = Server()
        server.answer = lambda _: (200, fields, gzip.compress(body(200)[:40]) + gzip.compress(body(200)[40:]))
        async with server.serve() as address, running(address) as here:
            await until(lambda: len(here.rpki.snapshot) == 200)
            assert server.requests[0]["accept-encoding"] == "gzip"

    asyncio.run(talk())


def test_a_server_that_is_not_there_or_says_nothing(monkeypatch):
    monkeypatch.setattr(url, "TIMEOUT", 0.05)

    async def talk() -> None:
        async with Server().serve() as gone:
            pass
        silent = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
        address = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"
        async with running(gone, address) as here:
            await until(lambda: bool(here[0].error and here[1].error))
            assert "Connection refused" in here[0].error
            assert "no answer within 0.05 s" in here[1].error
            assert not here.rpki.ready
        silent.close()
        await close(writers)

    writers: list[asyncio.StreamWriter] = []
    asyncio.run(talk())


def test_data_do_not_come_from_where_they_are_not_encrypted():
    place = SimpleNamespace(scheme="http", with_query=lambda query: "http://example/")
    response: Any = SimpleNamespace(status=200, headers={}, url=place)
    with pytest.raises(TextError, match="the server sends us to http://example/, which is not encrypted"):
        url._check(response, "https://example/")
    url._check(response, "http://example/")
