"""The accept loop, with a protocol of one line: what a callback raises costs its own connection."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bgpipe.net.acceptor import Acceptor, Arrival, Greeting
from bgpipe.net.tcp import TcpOptions

HOST = f"127.86.{os.getpid() % 200 + 10}.250"


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str, /, **fields: Any) -> None:
        self.lines.append(f"{text} {fields['error']}")

    def debug(self, text: str, /, **fields: Any) -> None: ...
    def info(self, text: str, /, **fields: Any) -> None: ...
    def warning(self, text: str, /, **fields: Any) -> None: ...


def read(octets: bytes) -> bytes | None:
    if octets == b"bug\n":
        raise ZeroDivisionError("a bug")
    return octets if octets.endswith(b"\n") else None


@pytest.fixture
async def acceptor() -> AsyncIterator[Acceptor]:
    greeting = Greeting("line", read, UnicodeError, lambda error: b"")
    made = Acceptor(HOST, 18431, TcpOptions(), (), Log(), greeting)
    await made.open()
    made.start()
    yield made
    await made.close()


async def say(octets: bytes) -> bytes:
    """What comes back until the connection ends."""
    reader, writer = await asyncio.open_connection(HOST, 18431)
    writer.write(octets)
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()


@pytest.mark.parametrize("where", ["reading the first message", "taking the client"])
async def test_a_callback_that_raises(acceptor, where):
    def take(arrival: Arrival) -> None:
        if arrival.first == b"taken\n":
            [].pop()
        arrival.connection.write(b"hello")
        asyncio.get_running_loop().call_soon(arrival.abort)

    acceptor.on_arrival = take
    if where == "reading the first message":
        await say(b"bug\n")
        assert acceptor.log.lines == ["unexpected error of a listener ZeroDivisionError: a bug"]
    else:
        await say(b"taken\n")
        assert acceptor.log.lines == ["unexpected error of a listener IndexError: pop from empty list"]
    assert (await say(b"good\n"))[:5] in (b"hello", b"reset")  # the next one
    assert len(acceptor._oldest) == 0


MOST = Path("/proc/sys/net/core/somaxconn")


@pytest.mark.skipif(not MOST.exists() or int(MOST.read_text()) < 500, reason="the kernel keeps fewer connections")
async def test_clients_that_come_at_once_wait_in_the_queue_of_the_kernel(acceptor):
    """None is reset, nor has to try again, however busy this process is: here it accepts nothing meanwhile."""
    arrived: list[str] = []
    everybody = asyncio.Event()

    def take(arrival: Arrival) -> None:
        arrived.append(arrival.host)
        arrival.abort()
        if len(arrived) == 400:
            everybody.set()

    acceptor.on_arrival = take
    with ExitStack() as stack:
        for number in range(400):
            client = stack.enter_context(socket.socket())
            client.bind((f"127.87.{number // 250}.{number % 250 + 1}", 0))
            client.settimeout(0.9)  # the kernel tries again after a second
            client.connect((HOST, 18431))
            client.sendall(b"hello\n")
        async with asyncio.timeout(30):
            await everybody.wait()
