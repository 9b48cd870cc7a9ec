"""WebSocket links: frames, ends, clients that come and go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from websockets.asyncio.client import connect

from bgpipe.net import websocket
from bgpipe.net.websocket import WebSocketClient, frames_of, place
from bgpipe.net.websocket_server import SharedServer, WebSocketServer

HOST = f"127.82.{os.getpid() % 200 + 10}.250"
_ports = count(18290)


@asynccontextmanager
async def serving(**settings: bool) -> AsyncIterator[tuple[WebSocketServer, str, list[str]]]:
    told: list[str] = []
    server = WebSocketServer(on_client=lambda what, remote: told.append(what), on_slow=told.append, **settings)
    for port in _ports:
        url = f"ws://{HOST}:{18290 + port % 10}/bgp"
        try:
            await server.start(url, tls=None)
            break
        except OSError:
            if port > 18400:
                raise
    try:
        yield server, url, told
    finally:
        await server.stop(1)


def test_frames():
    assert frames_of(b"a\n\nb\n", lines=True) == [b"a", b"b"]
    assert frames_of(b"a\nb", lines=False) == [b"a\nb"]


def test_nothing_secret():
    assert place("wss://user:p%40ss@host:1/path?token=x") == "wss://host:1/path"


async def test_to_and_fro():
    async with serving() as (server, url, told):
        client = await WebSocketClient.connect(url, tls=None)
        async with asyncio.timeout(20):
            await server.someone()
            await client.write(b"one\ntwo\n")
            got = b""
            while got.count(b"\n") + bool(got) < 2:
                got += (b"\n" if got else b"") + await server.read()
            assert got == b"one\ntwo"
            assert server.remote == client._connection.local_address[0] + f":{client._connection.local_address[1]}"
            await server.write(b"three\n")
            assert await client.read() == b"three"
            while client.taken < 8:  # noqa: ASYNC110 - its answer to our question comes a little later
                await asyncio.sleep(0.01)
            assert client.waiting == 0
            assert await client.close(1) == ""
            assert await server.read() == b"", "the last client has gone"
            assert told == ["connected", "disconnected"]
            with pytest.raises(BrokenPipeError):
                await server.write(b"x")


async def test_the_end_of_a_client_waits_for_answers(monkeypatch):
    monkeypatch.setattr(websocket, "QUIET", 0.1)
    async with serving() as (server, url, _):
        client = await WebSocketClient.connect(url, tls=None)
        await server.someone()
        await client.write(b"question\n")
        client.end()
        async with asyncio.timeout(20):
            assert await server.read() == b"question"
            await server.write(b"answer\n")
            assert await client.read() == b"answer"
            assert await client.read() == b""
        await client.close(1)


async def test_the_end_of_a_server(monkeypatch):
    monkeypatch.setattr(websocket, "QUIET", 0.1)
    async with serving() as (server, url, _), connect(url) as client:
        await server.someone()
        await server.write(b"last\n")
        server.end()
        async with asyncio.timeout(20):
            assert await client.recv() == b"last"
            assert await server.read() == b""
        assert client.close_code == 1000
        await server.close(1)


async def test_many_who_write_to_one_server():
    async with serving(answers=False) as (server, url, _), connect(url) as client:
        await server.someone()
        one, other = SharedServer(server), SharedServer(server)
        async with asyncio.timeout(20):
            await one.write(b"a\n")
            one.end()
            assert await one.read() == b""
            await one.close(1)
            await other.write(b"b\n")
            assert [await client.recv(), await client.recv()] == [b"a", b"b"]
            await client.close()
            assert await other.read() == b"", "nobody is left"
            await other.close(1)


async def test_starting_twice_and_stopping_unstarted():
    async with serving() as (server, url, _):
        await server.start(url, tls=None)
        assert len(server.addresses) == 1
    await WebSocketServer().stop(1)


async def test_a_server_that_is_not_there():
    with pytest.raises(OSError, match=r"ws://127\.82\.0\.1:18299/: "):
        await WebSocketClient.connect("ws://127.82.0.1:18299/", tls=None)


async def test_no_answer():
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda reader, writer: writers.append(writer), HOST, 0)
    port = silent.sockets[0].getsockname()[1]
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        await WebSocketClient.connect(f"ws://{HOST}:{port}/", tls=None, timeout=0.05)
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    silent.close()


@pytest.mark.parametrize("where", ["data_received", "handler"])
async def test_what_a_callback_raises_costs_that_client_and_is_told(where, monkeypatch):
    """Neither asyncio nor the library hears of it first: they would tell nobody."""
    async with serving() as (server, url, told):

        async def fail(*words: object) -> None:
            raise ZeroDivisionError("a bug")

        if where == "handler":
            monkeypatch.setattr(server, "_receive", fail)
        async with connect(url) as bad, connect(url) as good:
            await server.someone()
            if where == "data_received":
                seat = next(seat for seat in server._seats if seat.connection.remote_address == bad.local_address)
                monkeypatch.setattr(seat.connection.protocol, "receive_data", lambda octets: [].pop())
            await bad.send(b"octets")
            async with asyncio.timeout(10):
                await bad.wait_closed()
            error = "ZeroDivisionError: a bug" if where == "handler" else "IndexError: pop from empty list"
            assert f"client dropped: {error}" in told
            await good.ping()


async def test_what_the_server_has_not_read_is_known():
    """Also when the connection is lost: it has answered no question behind that."""
    async with serving() as (server, url, _):
        client = await WebSocketClient.connect(url, tls=None, lines=True)
        async with asyncio.timeout(20):
            await server.someone()
            await client.write(b"one\n")
            while client.taken < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await client.write(b"two\nthree\n")
            client._connection.transport.abort()
            with pytest.raises(ConnectionResetError):
                await client.read()
        await client.close(1)
        assert client.tells_unread
        assert (client.taken, client.waiting) == (4, 10)
