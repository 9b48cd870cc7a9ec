"""The HTTP server: who may see something, and that nobody can take more than his share."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from bgpipe.net import http
from bgpipe.net.http import HttpServer, is_loopback, parse_http_address, read_credentials

HOST = "127.84.1.1"
_ports = count(18410)


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {request.path}\n")


async def large(request: web.Request) -> web.Response:
    return web.Response(body=bytes(50 << 20))


async def broken(request: web.Request) -> web.Response:
    raise RuntimeError("secret reason")


class Client:
    """Sends octets to the server, and gives back all that comes until it closes."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self.port)

    async def talk(self, octets: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(octets)
        answer = b""
        try:
            async with asyncio.timeout(10):
                while piece := await reader.read(1 << 16):
                    answer += piece
        except ConnectionError:
            pass
        writer.close()
        return answer

    async def get(self, path: str, user: str | None = None, *more: str) -> tuple[int, str]:
        """(status, all of the answer) of a GET."""
        lines = [f"GET {path} HTTP/1.1", "Host: x", *more]
        if user is not None:
            lines.append(f"Authorization: Basic {base64.b64encode(user.encode()).decode()}")
        answer = (await self.talk("\r\n".join([*lines, "", ""]).encode())).decode()
        return int(answer.split()[1]) if answer else 0, answer


@asynccontextmanager
async def serving(
    credentials: str | None = None, **settings: Any
) -> AsyncIterator[tuple[Client, HttpServer, list[str]]]:
    errors: list[str] = []
    server = HttpServer(
        {"/": hello, "/stage/{slug}/": hello, "/broken": broken, "/large": large},
        credentials=credentials,
        on_error=lambda path, error: errors.append(f"{path} {error}"),
        **settings,
    )
    port = free_port()
    await server.start(HOST, port)
    try:
        yield Client(port), server, errors
    finally:
        await server.close()


def free_port() -> int:
    """A port of this address that nobody uses now."""
    for port in _ports:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError


# who may


async def test_refusals_are_told():
    refused: list[tuple[str, str]] = []
    async with serving("user:word", on_refused=lambda *about: refused.append(about)) as (client, _, _):
        assert (await client.get("/"))[0] == 401
        assert (await client.get("/", "user:wrong"))[0] == 401
        assert (await client.get("/", "user:word", "Authorization: Basic dXNlcjp3b3Jk"))[0] == 400
        assert (await client.get("/", "user:word"))[0] == 200
    reasons = [
        "no user and password",
        "wrong user or password (user 'user')",
        "the header Authorization is there 2 times",
    ]
    assert [reason for _, reason in refused] == reasons
    assert all(remote.startswith("127.") for remote, _ in refused)


def test_credentials_as_they_are():
    assert read_credentials("user:pass:word") == "user:pass:word"


def test_credentials_of_a_variable():
    assert read_credentials("$WATCH", {"WATCH": "user:word"}) == "user:word"


def test_credentials_of_a_file(tmp_path):
    path = tmp_path / "auth"
    path.write_text("user:word \nmore\n")
    assert read_credentials(str(path)) == "user:word "


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("secret", "it must be user:password"),
        ("$NONE", r"the variable \$NONE is not set"),
        ("$BAD", r"the variable \$BAD must be user:password"),
        ("/nowhere/auth", "/nowhere/auth: No such file"),
    ],
)
def test_credentials_that_are_none(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        read_credentials(text, {"BAD": "secret"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("path", ["/", "/stage/x/", "/broken", "/nowhere"])
async def test_every_path_needs_the_credentials(path):
    async with serving("user:word") as (client, _, errors):
        for user in (None, "", "user:", "user:wor", "user:word ", "User:word", "ü:x"):
            status, answer = await client.get(path, user)
            assert status == 401
            assert 'WWW-Authenticate: Basic realm="bgpipe"' in answer
            assert answer.endswith("\r\n\r\nunauthorized\n")
        assert errors == []
        status, _ = await client.get(path, "user:word")
        assert status == {"/": 200, "/stage/x/": 200, "/broken": 500, "/nowhere": 404}[path]


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic dXNlcjp3b3J", "Bearer dXNlcjp3b3Jk", "dXNlcjp3b3Jk"])
async def test_other_authorizations(header):
    async with serving("user:word") as (client, _, _):
        status, _ = await client.get("/", None, f"Authorization: {header}")
        assert status == 401
        assert (await client.get("/", None, "Authorization: basic dXNlcjp3b3Jk"))[0] == 200


async def test_open_to_everybody():
    async with serving() as (client, _, _):
        assert (await client.get("/"))[0] == 200
        assert (await client.get("/", "some:body"))[0] == 200


def test_addresses():
    assert parse_http_address(":8080") == ("", 8080)
    assert parse_http_address("[::1]:8080") == ("::1", 8080)
    with pytest.raises(ValueError, match="no port"):
        parse_http_address("127.0.0.1")
    assert [is_loopback(host) for host in ("127.0.0.9", "::1", "localhost", "", "0.0.0.0", "192.0.2.1", "router")] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]


# what it answers


async def test_an_answer():
    async with serving() as (client, _, _):
        _, answer = await client.get("/stage/a-b/")
        head, _, body = answer.partition("\r\n\r\n")
        assert body == "hello /stage/a-b/\n"
        assert "Connection: close" in head
        assert "Cache-Control: no-store" in head
        assert "default-src 'none'" in head


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_changed(method):
    async with serving() as (client, _, _):
        answer = await client.talk(f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: GET,HEAD\r\n" in answer


async def test_a_failure_is_told_here_and_not_there():
    async with serving() as (client, _, errors):
        status, answer = await client.get("/broken")
        assert status == 500
        assert "secret" not in answer
        assert errors == ["/broken secret reason"]
        assert (await client.get("/"))[0] == 200


async def test_an_address_that_is_taken():
    async with serving() as (client, _, _):
        other = HttpServer({}, credentials=None, on_error=lambda path, error: None)
        with pytest.raises(OSError, match="in use"):
            await other.start(HOST, client.port)
        await other.close()


# abuse

ABUSE: dict[str, Callable[[], bytes]] = {
    "long line": lambda: b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "long header": lambda: b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "10,000 headers": lambda: b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
    "endless header": lambda: b"GET / HTTP/1.1\r\n" + b"X" * 1_000_000,
    "no HTTP": lambda: b"\xff" * 16 + b"\0\x1d\1\4" + bytes(50),
    "bad length": lambda: b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "two lengths": lambda: b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "bad version": lambda: b"GET / HTTP/9.9\r\n\r\n",
}


@pytest.mark.parametrize("what", ABUSE)
async def test_abuse_is_refused(what):
    async with serving() as (client, _, errors):
        answer = await client.talk(ABUSE[what]())
        assert answer == b"" or answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.1 431"))
        assert (await client.get("/"))[0] == 200
        assert errors == []


async def test_a_large_body_is_not_read():
    async with serving() as (client, _, _):
        answer = await client.talk(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + bytes(100_000))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 200")
        assert (await client.get("/"))[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nX: "])
async def test_who_is_slow_is_cut_off(said):
    async with serving(timeout=0.05) as (client, _, _):
        assert await client.talk(said) == b""


async def test_there_is_no_second_request():
    async with serving() as (client, _, _):
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await client.talk(request * 3)).count(b"HTTP/1.1 200") == 1


async def test_too_many_connections_are_closed():
    async with serving(most=3) as (client, server, _):
        oldest, *inside = [await client.connect() for _ in range(3)]
        assert (await client.get("/"))[0] == 200
        assert await oldest[0].read() == b""
        oldest[1].close()
        assert server.refused == 1
        for reader, writer in inside:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
        assert (await client.get("/"))[0] == 200


async def test_500_slow_ones_and_a_quick_one():
    """Slow heads fill what there is; when they are cut off, there is room again."""
    async with serving(timeout=0.5) as (client, server, _):
        slow = [await client.connect() for _ in range(500)]
        for _, writer in slow:
            writer.write(b"GET / HTTP/1.1\r\nX")
        for reader, writer in slow:
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert server.refused >= 500 - 2 * http.MAX_CONNECTIONS


async def test_connections_that_say_nothing_keep_nobody_out():
    """Nor do requests of which only a half comes: whoever comes next is answered."""
    async with serving() as (client, server, _):
        held = [await client.connect() for _ in range(70)]
        for _, writer in held[::2]:
            writer.write(b"GET /livez HTTP/1.1\r\nHo")
        assert (await client.get("/"))[0] == 200
        assert server.refused >= 70 - http.MAX_PER_ADDRESS
        for _, writer in held:
            writer.close()


async def test_who_does_not_read_the_answer_holds_nothing_up():
    async with serving() as (client, server, _):
        _, writer = await client.connect()
        writer.transport.pause_reading()
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.get("/"))[0] == 200
        async with asyncio.timeout(3):
            await server.close()
        writer.close()


async def test_who_does_not_read_the_answer_is_cut_off():
    async with serving(timeout=0.3) as (client, _, _):
        reader, writer = await client.connect()
        writer.transport.pause_reading()
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.get("/"))[0] == 200
        assert await client.talk(b"") == b""  # which takes as long as the other one may take
        writer.transport.resume_reading()
        with suppress(ConnectionError):
            assert len(await reader.read()) < 50 << 20
        writer.close()
