"""Routers that call each other at the same moment, each through a bgpipe of its own: 300 pairs, 300 sessions.

A pipeline has one connection at each side, so bgpipe itself has no collisions. It carries those of others: of two
sessions between the same routers one is ended by them with 6/7 (RFC 4271 section 6.8), and that must end no other, and
lose nothing of the one that stays. The routers are sans-IO sessions of ours, on connections of the test.
"""

from __future__ import annotations

import asyncio
import socket
from random import Random

import pytest
from peers import CLOSE_TIMEOUT, Bgpipe, Router, announcement, bgpipe, place

from bgpipe.session.collision import losers
from bgpipe.session.fsm import FsmState
from bgpipe.session.session import CloseConnection, Deliver, Down, Established, Send, Session, Settings
from bgpipe.wire.message import HEADER, OPEN, Message, check_header
from bgpipe.wire.notification import Notification

PAIRS = 50
SKEW = 0.05
"""Seconds between two calls, at most."""
ROUTES = [announcement(f"10.0.{number}.0/24") for number in range(10)]
COLLISION = (6, 7)


class Speaker:
    """One router, with all sessions that it has."""

    def __init__(self, asn: int, bgp_id: str) -> None:
        self.settings = Settings(asn=asn, bgp_id=bgp_id)
        self.links: list[Link] = []

    @property
    def up(self) -> list[Link]:
        return [link for link in self.links if link.session.state is FsmState.ESTABLISHED]


class Link(asyncio.Protocol):
    """A connection and its session. speakers: by the identifier of the one who calls, whom he means."""

    def __init__(self, speaker: Speaker | None, speakers: dict[str, Speaker]) -> None:
        self.speakers = speakers
        self.speaker = speaker
        self.octets = b""
        self.routes: list[bytes] = []
        self.ends: set[tuple[int, int]] = set()
        """codes of NOTIFICATIONs that were sent or heard"""
        self.closed = False
        if speaker is not None:
            self.begin(speaker, called=False)

    def begin(self, speaker: Speaker, *, called: bool) -> None:
        self.speaker = speaker
        self.called = called
        self.session = Session(speaker.settings)
        self.session.start(0, passive=called)
        speaker.links.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.speaker is not None:
            self.session.connected(self.now, called=False)
            self.act()

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        self.octets += data
        while len(self.octets) >= HEADER and len(self.octets) >= (length := check_header(self.octets)[0]):
            message = Message(self.octets[18], self.octets[HEADER:length])
            self.octets = self.octets[length:]
            if self.speaker is None:  # whom it is for, the first OPEN says
                self.begin(self.speakers[message.open.bgp_id], called=True)
                self.session.connected(self.now, called=True)
            self.session.received(message, self.now)
            if message.type_code == OPEN:
                sessions = [link.session for link in self.speaker.links]
                for loser in losers(self.session, sessions, self.now):
                    loser.collided(self.now)
            for link in self.speaker.links:
                link.act()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.speaker is not None:
            self.session.disconnected(self.now)
            self.act()

    def act(self) -> None:
        for output in self.session.outputs():
            if isinstance(output, Send):
                self.transport.write(output.message.octets)
            elif isinstance(output, Established):
                self.transport.write(b"".join(ROUTES))
            elif isinstance(output, Deliver):
                self.routes.append(output.message.octets)
            elif isinstance(output, CloseConnection):
                self.transport.close()
            elif isinstance(output, Down):
                self.ends |= {_code(each) for each in (output.sent, output.received) if each is not None}


def _code(notification: Notification) -> tuple[int, int]:
    return notification.code, notification.subcode


async def meet(count: int, left: tuple[Bgpipe, Router], right: tuple[Bgpipe, Router]) -> tuple[int, list[Link]]:
    """How many sessions there are, when of each pair one is up at both ends, with all its routes, and the other one is
    closed; the ends of those that are closed."""
    loop, rng = asyncio.get_running_loop(), Random(11)
    pairs, called = [], ({}, {})
    for number in range(count):
        ids = [f"10.{side}.{number >> 8}.{number & 255}" for side in rng.sample((1, 2), 2)]
        pairs.append((Speaker(65001, ids[0]), Speaker(65002, ids[1])))
        called[1][ids[0]] = pairs[-1][1]
        called[0][ids[1]] = pairs[-1][0]
    servers = [
        await loop.create_server(lambda: Link(None, called[1]), sock=left[1].socket),
        await loop.create_server(lambda: Link(None, called[0]), sock=right[1].socket),
    ]
    addresses = left[0].address, right[0].address

    async def call(number: int, side: int) -> None:
        await asyncio.sleep(rng.uniform(0, SKEW))
        made = socket.socket()
        made.bind((f"127.86.{number >> 6}.{number % 64 + 1}", 0))
        made.setblocking(False)
        await loop.sock_connect(made, addresses[side])
        await loop.create_connection(lambda: Link(pairs[number][side], {}), sock=made)

    def settled(pair: tuple[Speaker, Speaker]) -> bool:
        return all(
            len(speaker.up) == 1
            and speaker.up[0].routes == ROUTES
            and all(link.closed for link in speaker.links if link not in speaker.up)
            for speaker in pair
        )

    try:
        async with asyncio.timeout(CLOSE_TIMEOUT), asyncio.TaskGroup() as calls:
            for number in range(count):
                for side in (0, 1):
                    calls.create_task(call(number, side))
        for pair in pairs:  # each has its time: how many there are is up to the test
            async with asyncio.timeout(CLOSE_TIMEOUT):
                while not settled(pair):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        kept = sum(one.up[0].called != other.up[0].called for one, other in pairs)
        lost = [link for pair in pairs for speaker in pair for link in speaker.links if link not in speaker.up]
    finally:
        for server in servers:
            server.close()
        for pair in pairs:
            for speaker in pair:
                for link in speaker.links:
                    link.transport.close()
    return kept, lost


@pytest.mark.parametrize("count", [PAIRS, pytest.param(6 * PAIRS, marks=pytest.mark.slow)])
def test_simultaneous_opens(count: int) -> None:
    """Pairs of speakers, up to 50 ms between the calls of each: one session survives at both ends, the same, with all
    its routes; of the other both know that it was a collision."""
    routers = Router(), Router()
    places = place(), place()
    words = [
        ("--", "listen", "--many", f"{host}:{port}", "--", "connect", "-W", "listen", router.address)
        for (host, port), router in zip(places, routers, strict=True)
    ]
    try:
        with bgpipe(*words[0]) as one, bgpipe(*words[1]) as other:
            kept, lost = asyncio.run(meet(count, (one, routers[0]), (other, routers[1])))
    finally:
        for router in routers:
            router.close()
    assert kept == count
    assert len(lost) > count
    for link in lost:
        assert link.ends == {COLLISION}
