"""One connection: octets both ways, a peer that is slow, a peer that is gone, and its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from bgpipe.net.connection import HIGH_WATER, Connection, adopt
from bgpipe.net.tcp import TcpOptions


class Ends:
    """A connection, and the socket at its other end."""

    def __init__(self, connection: Connection, other: socket.socket) -> None:
        self.connection = connection
        self.other = other
        self.told: list[object] = []
        self.changed = asyncio.Event()
        connection.on_octets = self.tell
        connection.on_closed = self.tell
        connection.on_full = lambda: self.tell("full")
        connection.on_room = lambda: self.tell("room")
        connection.resume()

    def tell(self, what: object) -> None:
        self.told.append(what)
        self.changed.set()

    async def until(self, *what: object) -> None:
        """Waits until so much has been told."""
        async with asyncio.timeout(10):
            while len(self.told) < len(what):
                self.changed.clear()
                await self.changed.wait()
        assert tuple(self.told) == what

    async def read(self) -> bytes:
        """What comes up to the end of the connection."""
        octets = b""
        async with asyncio.timeout(10):
            while piece := await asyncio.get_running_loop().sock_recv(self.other, 1 << 20):
                octets += piece
        return octets


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.83.251.1", 0)) as listening:
        listening.setblocking(False)
        other = socket.socket()
        other.setblocking(False)
        await loop.sock_connect(other, listening.getsockname())
        accepted, _ = await loop.sock_accept(listening)
    made = Ends(await adopt(accepted, TcpOptions(), server=True), other)
    yield made
    made.connection.abort()
    other.close()
    await made.connection.closed.wait()


async def test_both_ways(ends: Ends) -> None:
    assert ends.connection.remote == "%s:%d" % ends.other.getsockname()
    assert ends.connection.local == "%s:%d" % ends.other.getpeername()
    ends.other.send(b"hello")
    await ends.until(b"hello")
    ends.connection.write(b"and hello")
    ends.connection.write(b"")
    assert await asyncio.get_running_loop().sock_recv(ends.other, 100) == b"and hello"
    assert (ends.connection.octets_read, ends.connection.octets_written) == (5, 9)


async def test_pause(ends: Ends) -> None:
    ends.connection.pause()
    ends.connection.pause()
    ends.other.send(b"hello")
    ends.connection.resume()
    ends.connection.resume()
    await ends.until(b"hello")


async def test_peer_that_closes(ends: Ends) -> None:
    ends.other.shutdown(socket.SHUT_WR)
    await ends.until(None)
    assert not ends.connection.is_open
    ends.connection.write(b"too late")
    assert ends.connection.octets_written == 0
    await ends.connection.close(1)


async def test_peer_that_resets(ends: Ends) -> None:
    ends.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.other.close()
    async with asyncio.timeout(10):
        await ends.connection.closed.wait()
    assert isinstance(ends.told[0], ConnectionError)


async def test_slow_peer(ends: Ends) -> None:
    octets = bytes(HIGH_WATER * 4)
    ends.connection.write(octets)
    await ends.until("full")
    assert ends.connection.full
    assert ends.connection.waiting > HIGH_WATER
    closing = asyncio.create_task(ends.connection.close(5))
    assert await ends.read() == octets, "all of it comes, though the connection closes"
    ends.other.close()
    await closing
    assert not ends.connection.full


async def test_peer_that_takes_nothing(ends: Ends) -> None:
    ends.connection.write(bytes(HIGH_WATER * 4))
    await ends.connection.close(0.05)
    assert ends.connection.closed.is_set()
    assert 0 < ends.connection.unsent <= HIGH_WATER * 4


async def test_peer_that_takes_an_octet_now_and_then(ends: Ends, monkeypatch) -> None:
    """It can't keep what is closing for hours."""
    left = iter(range(HIGH_WATER, 0, -1))
    decodes: list[int] = []

    def waiting(connection: Connection) -> int:
        decodes.append(next(left))
        return decodes[-1]

    monkeypatch.setattr(Connection, "waiting", property(waiting))
    await ends.connection.close(0.01)
    assert ends.connection.closed.is_set()
    assert len(decodes) == 2


async def test_peer_that_does_not_close(ends: Ends) -> None:
    ends.connection.write(b"bye")
    await ends.connection.close(0.05)
    assert ends.connection.closed.is_set()
    assert await ends.read() == b"bye"


async def test_last_words_arrive_though_the_peer_goes_on_talking(ends: Ends) -> None:
    """Unread octets would make the kernel reset the connection."""
    ends.connection.pause()
    ends.other.send(bytes(1000))
    ends.connection.write(b"bye")
    closing = asyncio.create_task(ends.connection.close(5))
    assert await ends.read() == b"bye"
    ends.other.send(bytes(1000))
    ends.other.close()
    await closing
    assert bytes(1000) not in ends.told, "nobody wants it"
