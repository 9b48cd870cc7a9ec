"""Files, pipes and URLs as octets, in loops and coroutines."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bgpipe.net.bounded_queue import BoundedQueue, Closed
from bgpipe.net.errors import DamagedError, StreamError
from bgpipe.net.files import is_url, open_input
from bgpipe.net.input_stream import InputStream
from bgpipe.net.url import UrlOctets, redact

TEXT = b"".join(b"%d\n" % n for n in range(200_000))


def whole(chunks: Iterator[bytes] | InputStream) -> bytes:
    return b"".join(chunks)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that stands in for standard input: its write end."""
    read, write = os.pipe()
    kept = os.dup(0)
    os.dup2(read, 0)
    os.close(read)
    yield write, kept
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.parametrize(("name", "pack"), [("a", bytes), ("a.gz", gzip.compress), ("unnamed", gzip.compress)])
def test_a_file(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(TEXT))
    with open_input(str(path)) as stream:
        assert whole(stream) == TEXT
        assert stream.position == stream.total == path.stat().st_size
        assert stream.name == str(path)
    assert whole(open_input(str(path), "none")) == path.read_bytes()


async def test_a_file_in_a_coroutine(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TEXT))
    assert b"".join([octets async for octets in open_input(str(path))]) == TEXT


def test_an_empty_file(tmp_path: Path) -> None:
    for name in ("a", "a.gz", "a.bz2"):
        path = tmp_path / name
        path.write_bytes(b"")
        assert whole(open_input(str(path))) == b""


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for path, text in (
        (tmp_path / "no", "no such file or directory"),
        (tmp_path, "is a directory"),
        (file / "below", "a part of the path is not a directory"),
    ):
        with pytest.raises(StreamError) as caught:
            open_input(str(path))
        assert str(caught.value) == f"{path}: {text}"
        assert isinstance(caught.value, OSError)
    with pytest.raises(StreamError):
        open_input("a\0b")
    with pytest.raises(ValueError, match="unknown compression"):
        open_input(str(file), "rar")


def test_damage_is_told_in_its_place_or_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TEXT)[:-200])
    told: list[DamagedError] = []
    found = whole(open_input(str(path), on_damage=told.append))
    assert TEXT.startswith(found)
    assert len(found) > len(TEXT) // 2
    assert [str(error) for error in told] == [f"{path}: gzip data is cut short"]
    stream = open_input(str(path))
    parts: list[bytes] = []
    with pytest.raises(DamagedError, match="cut short"):
        parts.extend(stream)
    assert b"".join(parts) == found
    assert whole(stream) == b""


def test_a_name_that_promises_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.bz2"
    path.write_bytes(TEXT)
    with pytest.raises(DamagedError, match="octets that are not bzip2 data"):
        whole(open_input(str(path)))
    assert whole(open_input(str(path), "none")) == TEXT


def test_standard_input_comes_as_it_is_written(pipe: tuple[int, int]) -> None:
    write, _ = pipe
    stream = iter(open_input("-"))
    for line in (b"a", b"second line\n", b"B", b"x" * 1000):
        os.write(write, line)
        assert next(stream) == line
    os.close(write)
    assert list(stream) == []


def test_compressed_standard_input_comes_as_it_is_written(pipe: tuple[int, int]) -> None:
    import zlib

    write, _ = pipe
    packing = zlib.compressobj(6, zlib.DEFLATED, 31)
    stream = iter(open_input("-"))
    for line in (b"first\n", b"second\n", b"third\n"):
        os.write(write, packing.compress(line) + packing.flush(zlib.Z_SYNC_FLUSH))
        assert next(stream) == line
    os.write(write, packing.flush())
    os.close(write)
    assert list(stream) == []


async def test_a_coroutine_waits_for_a_pipe_without_blocking_others(pipe: tuple[int, int]) -> None:
    write, _ = pipe
    stream = aiter(open_input("-"))
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert not first.done()
    os.write(write, b"x")
    assert await first == b"x"
    os.close(write)
    assert [octets async for octets in stream] == []


def test_a_named_pipe_is_waited_for_by_the_thread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    stream = open_input(str(tmp_path / "pipe"))
    stream.begin()
    with open(tmp_path / "pipe", "wb") as writer:
        writer.write(TEXT[:9000])
    assert whole(stream) == TEXT[:9000]
    assert stream.total is None


def test_closing_ends_the_thread(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(20 << 20))
    stream = open_input(str(path))
    assert next(stream)
    (thread,) = (each for each in threading.enumerate() if each.name == f"read {path}")
    stream.close()
    thread.join(10)
    assert not thread.is_alive()
    assert list(stream) == []


def test_a_handoff_is_bounded_and_ends() -> None:
    handoff: BoundedQueue[int] = BoundedQueue(2)
    done = threading.Event()

    def produce() -> None:
        try:
            for n in range(1000):
                handoff.put(n)
        except Closed:
            done.set()

    thread = threading.Thread(target=produce)
    thread.start()
    assert [handoff.get() for _ in range(100)] == list(range(100))
    assert len(handoff._items) <= 2
    handoff.close()
    thread.join(10)
    assert done.is_set()
    with pytest.raises(Closed):
        handoff.get()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A URL on this machine."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    finally:
        await runner.cleanup()


async def read(stream: InputStream) -> bytes:
    return b"".join([octets async for octets in stream])


async def test_a_url() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.headers["User-Agent"] == "bgpipe"
        return web.Response(body=gzip.compress(TEXT) if request.path.endswith(".gz") else TEXT)

    async with server(handler) as url:
        for path, size in (("/a", len(TEXT)), ("/a.gz?x=1", len(gzip.compress(TEXT)))):
            stream = open_input(url + path)
            assert await read(stream) == TEXT
            assert stream.position == stream.total == size
            assert await asyncio.to_thread(whole, open_input(url + path)) == TEXT


async def test_what_http_compresses_is_not_compressed_again() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(TEXT), headers={"Content-Encoding": "gzip"})

    async with server(handler) as url:
        stream = open_input(url + "/updates.gz")
        assert await read(stream) == TEXT
        assert stream.total is None


async def test_a_url_streams() -> None:
    more = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await more.wait()
        await response.write(b"second")
        return response

    async with server(handler) as url:
        stream = aiter(open_input(url))
        assert await anext(stream) == b"first"
        more.set()
        assert [octets async for octets in stream] == [b"second"]


async def test_a_url_that_is_closed_early() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await asyncio.Event().wait()
        return response

    async with server(handler) as url:
        stream = open_input(url)
        assert await anext(stream) == b"first"
        (thread,) = (each for each in threading.enumerate() if each.name == f"read {url}")
        stream.close()
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()


@pytest.mark.parametrize("status", [204, 301, 404, 500])
async def test_another_status_is_an_error(status: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with server(handler) as url:
        with pytest.raises(StreamError, match=f"^{url}/a: the server answered {status}"):
            await read(open_input(url + "/a"))


@asynccontextmanager
async def raw_server(*parts: bytes) -> AsyncIterator[str]:
    """A URL whose answer is these octets, and then the end of the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/updates"


async def collect(stream: InputStream, parts: list[bytes]) -> None:
    async for octets in stream:
        parts.append(octets)  # noqa: PERF401


def chunk(octets: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(octets), octets)


HEAD = b"HTTP/1.1 200 OK\r\n"
CUT = {
    "length": (HEAD + b"Content-Length: 9000000\r\n\r\n", TEXT),
    "length, at once": (HEAD + b"Content-Length: 9000000\r\n\r\n" + TEXT[:900],),
    "chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk(TEXT[:500_000]), chunk(TEXT[500_000:])),
    "chunked, at once": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(TEXT[:900]),),
    "within a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk(TEXT)[:-9]),
}


@pytest.mark.parametrize("how", CUT)
async def test_an_answer_that_ends_too_early_gives_all_that_came_and_is_an_error(how: str) -> None:
    async with raw_server(*CUT[how]) as url:
        stream = open_input(url, on_damage=lambda error: pytest.fail(str(error)))
        parts: list[bytes] = []
        with pytest.raises(StreamError, match=r"the answer ends too early, after [0-9,]+ octets$"):
            await collect(stream, parts)
        found = b"".join(parts)
        size = 900 if "at once" in how else len(TEXT) - 7 if "within" in how else len(TEXT)
        assert found == TEXT[:size]
        assert stream.position == size


async def test_a_url_that_nobody_serves() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    async with server(handler) as url:
        pass
    with pytest.raises(StreamError, match=f"^{url}: "):
        await read(open_input(url))
    with pytest.raises(StreamError, match="http://: "):
        await read(open_input("http://"))


async def test_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=str(request.url))

    async with server(handler) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "")
        assert await read(open_input("http://archive.invalid/a")) == b"http://archive.invalid/a"


def test_passwords_are_not_told() -> None:
    assert redact("https://me:secret@host:8/a:b@c") == "https://me:***@host:8/a:b@c"
    assert redact("https://host/a@b") == "https://host/a@b"
    assert UrlOctets("http://me:secret@host/").name == "http://me:***@host/"
    assert [is_url(text) for text in ("HTTP://x", "https://x", "ftp://x", "http")] == [True, True, False, False]


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    before = len(os.listdir("/proc/self/fd"))
    stream = open_input(str(path))
    assert len(os.listdir("/proc/self/fd")) == before + 1, "it is open"
    stream.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(stream) == []
    stream = open_input(str(path))
    stream.begin(2)
    assert b"".join(stream) == b"abc"
