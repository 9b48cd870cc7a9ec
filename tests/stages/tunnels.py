"""Two bgpipes with a tunnel between them, whose connections a relay can cut, delay and swallow, and two routers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessions import Running, address, eventually, make_open, running

from bgpipe.wire.caps import Capability
from bgpipe.wire.message import HEADER, KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message, check_header


class Relay:
    """A TCP relay on loopback.

    delay: seconds before it passes on what it has read. swallows: it passes on nothing. refuses: it takes nobody.
    """

    def __init__(self, target: str) -> None:
        self.address = address()
        self.delay = 0.0
        self.swallows = False
        self.refuses = False
        self.connections = 0
        self._target = target.split(":")
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        host, _, port = self.address.partition(":")
        self._server = await asyncio.start_server(self._accept, host, int(port))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            writer.transport.abort()
            return
        try:
            other, onward = await asyncio.open_connection(self._target[0], int(self._target[1]))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward}
        await asyncio.gather(self._pass(reader, onward), self._pass(other, writer))
        for each in (writer, onward):
            self._writers.discard(each)
            each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(4096):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.swallows:
                    continue
                writer.write(octets)
                await writer.drain()
        if not self.swallows:
            writer.transport.abort()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()


class Router:
    """A speaker that keeps what it has got. ended: its session is over."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.got: list[Message] = []
        self.updates: list[bytes] = []
        self.ended = False
        self.notification: Message | None = None
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        try:
            while True:
                length, type_code = check_header(header := await self.reader.readexactly(HEADER))
                message = Message(type_code, await self.reader.readexactly(length - len(header)))
                self.got.append(message)
                if type_code == UPDATE:
                    self.updates.append(message.octets)
                elif type_code == NOTIFICATION:
                    self.notification = message
        except (OSError, asyncio.IncompleteReadError):
            self.ended = True

    def send(self, *messages: Message) -> None:
        self.writer.write(b"".join(message.octets for message in messages))

    def count(self, type_code: int) -> int:
        return sum(message.type_code == type_code for message in self.got)

    def close(self) -> None:
        self.task.cancel()
        self.writer.transport.abort()


class Site:
    """Where a router is called: each call is a Router of `calls`."""

    def __init__(self) -> None:
        self.address = address()
        self.calls: list[Router] = []

    async def start(self) -> None:
        host, _, port = self.address.partition(":")
        self._server = await asyncio.start_server(self._accept, host, int(port))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls.append(Router(reader, writer))

    def stop(self) -> None:
        for call in self.calls:
            call.close()
        self._server.close()


async def call(where: str) -> Router:
    host, _, port = where.partition(":")
    return Router(*await asyncio.open_connection(host, int(port)))


class Tunnel:
    """near: `listen -- websocket -LR --retry`; far: `websocket -LR --listen -- connect`. left, right: the routers."""

    near: Running
    far: Running
    left: Router

    def __init__(self) -> None:
        self.server = address()
        self.relay = Relay(self.server)
        self.site = Site()
        self.listening = address()

    @property
    def right(self) -> Router:
        return self.site.calls[-1]

    async def establish(self, *capabilities: Capability, as4: bool = True) -> None:
        """capabilities: of both routers, beside that for IPv4 unicast. as4: AS numbers have 4 octets."""
        self.left = await call(self.listening)
        self.left.send(make_open(65001, *capabilities, as4=as4))
        await eventually(lambda: self.site.calls and self.right.count(OPEN))
        self.right.send(make_open(65002, *capabilities, as4=as4), Message(KEEPALIVE))
        await eventually(lambda: self.left.count(OPEN))
        self.left.send(Message(KEEPALIVE))
        await eventually(lambda: self.left.count(KEEPALIVE) and self.right.count(KEEPALIVE))


@asynccontextmanager
async def tunnel(*words: str, near: tuple[str, ...] = (), far: tuple[str, ...] = ()) -> AsyncIterator[Tunnel]:
    """words: of both stages websocket, near and far: of one of them."""
    made = Tunnel()
    await made.relay.start()
    await made.site.start()
    server = ("websocket", "-LR", "--listen", "--open", *words, *far, f"ws://{made.server}/bgp")
    client = ("websocket", "-LR", "--retry", *words, *near, f"ws://{made.relay.address}/bgp")
    try:
        async with running(*server, "--", "connect", made.site.address) as made.far:
            await made.far.until(lambda: any("listening on" in text for text in made.far.log.texts))
            async with running("listen", made.listening, "--", *client) as made.near:
                await made.near.until(lambda: f"listening on {made.listening}" in made.near.log.texts)
                yield made
    finally:
        if hasattr(made, "left"):
            made.left.close()
        made.site.stop()
        await made.relay.stop()
