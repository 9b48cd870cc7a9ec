"""A pipeline from a command line, running in the test's own event loop, between two peers that the test plays."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.pipeline.events import Event
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.runtime.runner import Runner
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import HEADER, KEEPALIVE, OPEN, UPDATE, Message, check_header
from bgpipe.wire.open import Open

CLOSE_TIMEOUT = 20
"""Seconds after which what a test waits for will not come."""
_ports = itertools.cycle(range(18220, 18290))


def address() -> str:
    """An address with a port that nobody else has."""
    return f"127.82.{os.getpid() % 200 + 10}.{os.getpid() // 200 % 250 + 1}:{next(_ports)}"


class Recorder:
    """A log that a test reads."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def _add(self, level: str, text: str, fields: dict[str, Any]) -> None:
        self.lines.append((level, text, fields))

    def debug(self, text: str, **fields: Any) -> None:
        self._add("debug", text, fields)

    def info(self, text: str, **fields: Any) -> None:
        self._add("info", text, fields)

    def warning(self, text: str, **fields: Any) -> None:
        self._add("warning", text, fields)

    def error(self, text: str, **fields: Any) -> None:
        self._add("error", text, fields)

    def bind(self, **fields: Any) -> Recorder:
        return self

    @property
    def texts(self) -> list[str]:
        return [text for _, text, _ in self.lines]


async def eventually(what: Callable[[], object]) -> None:
    """Returns when something is so; the test fails when it is not in time."""
    async with asyncio.timeout(CLOSE_TIMEOUT):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Running:
    """A pipeline that runs. events: the names of what has happened."""

    def __init__(self, *words: str) -> None:
        self.log = Recorder()
        self.pipeline: Pipeline = build(parse([*map(str, words)]), self.log)  # type: ignore[arg-type]
        self.events: list[Event] = []
        self.pipeline.bus.on(["*"], self.events.append)
        self.runner = Runner(self.pipeline)
        self.task = asyncio.create_task(self.runner.run())

    def stage(self, name: str) -> Any:
        return next(stage for stage in self.pipeline.stages if stage.name == name)

    def happened(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    async def until(self, what: Callable[[], object]) -> None:
        """Returns when something is so; the test fails when it is not in time, or the pipeline ends before."""
        async with asyncio.timeout(CLOSE_TIMEOUT):
            while not what():
                if self.task.done() and not what():
                    self.task.result()
                    raise AssertionError("the pipeline has ended")
                await asyncio.sleep(0.005)

    async def ended(self) -> None:
        """Raises what the pipeline raises."""
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await self.task

    async def stop(self) -> None:
        self.runner.interrupt()
        with suppress(Exception):
            await self.ended()


@asynccontextmanager
async def running(*words: str) -> AsyncIterator[Running]:
    made = Running(*words)
    try:
        yield made
    finally:
        await made.stop()


class Peer:
    """A speaker at one end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.got: list[Message] = []

    def send(self, *messages: Message) -> None:
        self.writer.write(b"".join(message.octets for message in messages))

    async def next(self) -> Message:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            header = await self.reader.readexactly(HEADER)
            length, type_code = check_header(header)
            message = Message(type_code, await self.reader.readexactly(length - HEADER))
        self.got.append(message)
        return message

    async def until(self, wanted: Message) -> list[Message]:
        """Reads up to this message; what came with it."""
        messages = [await self.next()]
        while messages[-1].octets != wanted.octets:
            messages.append(await self.next())
        return messages

    async def until_type(self, type_code: int) -> Message:
        while (message := await self.next()).type_code != type_code:
            pass
        return message

    def close(self) -> None:
        self.writer.close()


class Session:
    """left and right: the peers of a pipeline that begins with listen and ends with connect."""

    def __init__(self, pipeline: Running, left: Peer, called: asyncio.Future[Peer]) -> None:
        self.pipeline = pipeline
        self.left = left
        self._called = called

    @property
    def right(self) -> Peer:
        """Which is called when the left one has sent its OPEN."""
        return self._called.result()

    async def called(self) -> Peer:
        """The right one, when it is called."""
        return await asyncio.wait_for(asyncio.shield(self._called), CLOSE_TIMEOUT)

    async def establish(self, left: Message, right: Message) -> None:
        """Both send their OPEN, and a KEEPALIVE when they have that of the other."""
        self.left.send(left)
        await asyncio.wait_for(asyncio.shield(self._called), CLOSE_TIMEOUT)
        self.right.send(right)
        for peer in (self.left, self.right):
            assert (await peer.next()).type_code == OPEN
            peer.send(Message(KEEPALIVE))
        for peer in (self.left, self.right):
            assert (await peer.next()).type_code == KEEPALIVE
        await self.pipeline.until(lambda: self.pipeline.pipeline.tracker.established)


@asynccontextmanager
async def between(*stages: str, options: tuple[str, ...] = (), listen: tuple[str, ...] = ()) -> AsyncIterator[Session]:
    """The pipeline `listen -- STAGES -- connect` with its two peers. listen: options of `listen`."""
    ours, theirs = address(), address()
    accepted: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    async def on_peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(Peer(reader, writer))

    host, _, port = theirs.partition(":")
    server = await asyncio.start_server(on_peer, host, int(port))
    async with running(
        *options, "--", "listen", *listen, ours, "--", *stages, "--", "connect", "-W", "listen", theirs
    ) as made:
        host, _, port = ours.partition(":")
        await made.until(lambda: f"listening on {ours}" in made.log.texts)
        left = Peer(*await asyncio.open_connection(host, int(port)))
        try:
            yield Session(made, left, accepted)
        finally:
            left.close()
            if accepted.done():
                accepted.result().close()
            server.close()


def make_open(asn: int, *capabilities: Capability, hold: int = 90, as4: bool = True) -> Message:
    given = [Capability(caps.MP, b"\0\1\0\1"), *capabilities]
    if as4:
        given.append(Capability(caps.AS4, asn.to_bytes(4, "big")))
    return Message(OPEN, Open(asn if asn < 65536 else 23456, hold, f"10.0.0.{asn % 250}", tuple(given)).encode())


def make_update(number: int, *, as4: bool = True, path_id: int | None = None, asn: int = 65001) -> Message:
    """An UPDATE that announces 10.A.B.0/24, the number being 256 A + B."""
    path = bytes((2, 1)) + asn.to_bytes(4 if as4 else 2, "big")
    attributes = b"\x40\x01\x01\x00" + b"\x40\x02" + bytes((len(path),)) + path + b"\x40\x03\x04\xc0\x00\x02\x01"
    prefix = bytes((24, 10)) + number.to_bytes(2, "big")
    if path_id is not None:
        prefix = path_id.to_bytes(4, "big") + prefix
    return Message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + prefix)
