"""Talking to a pipeline that runs in this process: a command line, and peers on loopback that the test lets speak.

Nothing sleeps: a test reads until what it waits for is there, and fails when that takes too long.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.pipeline.errors import StageError
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.runtime.runner import Runner
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability, mp
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST
from bgpipe.wire.message import HEADER, KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message, check_header
from bgpipe.wire.open import Open
from bgpipe.wire.update import Update

CLOSE_TIMEOUT = 10.0
_ports = count()
MP4, MP6 = (Capability(caps.MP, mp.encode(family)) for family in (IPV4_UNICAST, IPV6_UNICAST))
ALIVE = Message(KEEPALIVE)
ORIGIN, AS_PATH, NEXT_HOP = "40010100", "4002060201" + "0000fdea", "400304c0000202"
GOOD = ORIGIN + AS_PATH + NEXT_HOP
"""path attributes of a route, in hexadecimal"""


def place(host: str = "") -> str:
    """An address with a port that nobody else uses."""
    number = next(_ports)
    return f"{host or f'127.83.{os.getpid() % 250 + 1}.{number // 90 + 1}'}:{18300 + number % 90}"


def opening(asn: int = 65002, *more: Capability, hold_time: int = 90, bgp_id: str = "192.0.2.2") -> Open:
    """The OPEN of a peer that speaks both unicast families, with AS numbers of four octets."""
    return Open(asn, hold_time, bgp_id, (MP4, MP6, Capability(caps.AS4, asn.to_bytes(4, "big")), *more))


def announce(*prefixes: str, **attrs: object) -> Message:
    settings = {"ORIGIN": "IGP", "ASPATH": [65002]} | attrs
    next_hop = "2001:db8::1" if ":" in prefixes[0] else "192.0.2.2"
    return Message(UPDATE, Update.make(reach=list(prefixes), attrs=settings, next_hop=next_hop).body)


def attributes(octets: str, withdrawn: str = "", nlri: str = "") -> Message:
    """An UPDATE of raw parts."""
    parts = bytes.fromhex(withdrawn), bytes.fromhex(octets), bytes.fromhex(nlri)
    return Message(
        UPDATE,
        b"".join((len(part).to_bytes(2, "big") if number < 2 else b"") + part for number, part in enumerate(parts)),
    )


class Peer:
    """The other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *messages: Message | Open | bytes) -> None:
        for each in messages:
            each = Message(OPEN, each.encode()) if isinstance(each, Open) else each
            self.writer.write(each.octets if isinstance(each, Message) else each)
        await self.writer.drain()

    async def hear(self) -> Message | None:
        """The next message, None at the end of the connection, which is closed from here too then."""
        async with asyncio.timeout(CLOSE_TIMEOUT):
            try:
                header = await self.reader.readexactly(HEADER)
            except (asyncio.IncompleteReadError, ConnectionError):
                await self.close()
                return None
            length, type_code = check_header(header)
            return Message(type_code, await self.reader.readexactly(length - HEADER))

    async def expect(self, type_code: int) -> Message:
        """The next message, which must be of this type."""
        message = await self.hear()
        assert message is not None, "the connection has ended"
        assert message.type_code == type_code, message.format_json()
        return message

    async def all(self) -> list[Message]:
        """All messages to the end of the connection, which must come."""
        heard = []
        while (message := await self.hear()) is not None:
            heard.append(message)
        return heard

    async def fault(self) -> tuple[int, int, bytes]:
        """Code, subcode and data of the NOTIFICATION with which the session must end, whatever came before."""
        heard = await self.all()
        assert [each.type_code for each in heard].count(NOTIFICATION) == 1, heard
        told = heard[-1].notification
        return told.code, told.subcode, told.data

    async def establish(self, ours: Open | None = None) -> Open:
        """Opens the session; the other speaker's OPEN."""
        await self.say(ours or opening())
        theirs = (await self.expect(OPEN)).open
        await self.say(ALIVE)
        await self.expect(KEEPALIVE)
        return theirs

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


class Records:
    """A log that a test can read."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.changed = asyncio.Event()

    def _add(self, text: str, **fields: Any) -> None:
        self.lines.append(" ".join([text, *(f"{key}={value}" for key, value in fields.items())]))
        self.changed.set()

    debug = info = warning = error = _add

    def bind(self, **fields: Any) -> Records:
        return self

    def shows(self, level: str) -> bool:
        return True


class Running:
    """A command line that runs."""

    def __init__(self, pipeline: Pipeline, log: Records) -> None:
        self.pipeline = pipeline
        self.log = log
        self.runner = Runner(pipeline)
        self.task = asyncio.create_task(self.runner.run())
        self.peers: list[Peer] = []

    async def until(self, happened: Callable[[], bool]) -> None:
        """Waits for something that is told in the log."""
        async with asyncio.timeout(CLOSE_TIMEOUT):
            while not happened():
                self.log.changed.clear()
                await self.log.changed.wait()

    async def told(self, text: str) -> str:
        """The line of the log with this text, when it is there."""
        await self.until(lambda: any(text in line for line in self.log.lines))
        return next(line for line in self.log.lines if text in line)

    async def dial(self, bind: str = "") -> Peer:
        """A peer that connects to where it listens."""
        where = (await self.told("listening on ")).split()[-1]
        host, _, port = where.rpartition(":")
        local = (bind, 0) if bind else None
        self.peers.append(Peer(*await asyncio.open_connection(host.strip("[]"), int(port), local_addr=local)))
        return self.peers[-1]

    async def end(self) -> str:
        """Waits for it to end: why it failed, "" if it did not."""
        async with asyncio.timeout(CLOSE_TIMEOUT):
            try:
                await self.task
            except StageError as error:
                return str(error)
        return ""


@asynccontextmanager
async def running(words: str) -> AsyncIterator[Running]:
    """Runs a command line until the test is through."""
    log = Records()
    run = Running(build(parse(shlex.split(words), {}), log), log)  # type: ignore[arg-type]
    try:
        yield run
    finally:
        for peer in run.peers:
            await peer.close()
        if not run.task.done():
            run.runner.interrupt()
            with suppress(StageError):
                await asyncio.wait_for(run.task, CLOSE_TIMEOUT)


@asynccontextmanager
async def router(host: str = "", **settings: Any) -> AsyncIterator[tuple[str, asyncio.Queue[Peer]]]:
    """An address to connect to, and the peers that have connected."""
    peers: asyncio.Queue[Peer] = asyncio.Queue()
    known: list[Peer] = []

    def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known.append(Peer(reader, writer))
        peers.put_nowait(known[-1])

    where = place(host)
    listening = socket.socket(socket.AF_INET6 if "[" in where else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    name, _, port = where.rpartition(":")
    listening.bind((name.strip("[]"), int(port)))
    server = await asyncio.start_server(on_connect, sock=listening, **settings)
    try:
        yield where, peers
    finally:
        server.close()
        for peer in known:
            await peer.close()
        await server.wait_closed()
