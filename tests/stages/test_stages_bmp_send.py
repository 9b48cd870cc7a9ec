"""bmp --send: what a session between two routers says to BMP stations."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sessions import CLOSE_TIMEOUT, address, between, make_open, make_update

from bgpipe import accel
from bgpipe.formats.bmp import BmpDecoder
from bgpipe.net import tcp
from bgpipe.routes.reported_routes import ReportedRoutes
from bgpipe.stages.base import bmp_collector
from bgpipe.wire import bmp, caps
from bgpipe.wire.block import Block
from bgpipe.wire.bmp import BmpMessage, PeerHeader, monitor
from bgpipe.wire.caps import Capability
from bgpipe.wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_UNICAST
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.update import Update

LEFT, RIGHT = make_open(65001), make_open(65002)


class Station:
    """A BMP station that decodes what it is told; each connection anew."""

    def __init__(self) -> None:
        self.where = address()
        self.connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.messages: list[Message] = []
        """of the last connection"""
        self.octets = b""
        self.damage: list[str] = []
        self.reads = True
        self._tasks: list[asyncio.Task[None]] = []

    async def on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append((reader, writer))
        self.messages, self.octets = [], b""
        decoder = BmpDecoder(on_damage=lambda damage: self.damage.append(str(damage)), states=True)
        while self.reads and (octets := await reader.read(1 << 16)):
            self.octets += octets
            for item in decoder.feed(octets):
                self.messages += item if isinstance(item, Block) else [item]

    async def close(self) -> None:
        for _, writer in self.connections:
            writer.transport.abort()
        await asyncio.sleep(0)

    def about(self, asn: int, kind: int | None = None) -> list[Message]:
        """What is told of a peer; kind: BMP messages of this type."""
        found = [each for each in self.messages if each.tags.get("PEER_AS") == str(asn)]
        return [each for each in found if isinstance(each, BmpMessage) and each.bmp_type == kind] if kind else found

    def routes(self, asn: int, rib: str) -> list[str]:
        told = [each for each in self.about(asn) if each.type_code == UPDATE and each.tags["RIB"] == rib]
        return [str(prefix) for each in told for prefix in each.update.nlri]

    @property
    def ends(self) -> list[tuple[str, str]]:
        """AS number of the peer and RIB of each End-of-RIB."""
        updates = [each for each in self.messages if each.type_code == UPDATE]
        return sorted((each.tags["PEER_AS"], each.tags["RIB"]) for each in updates if each.update.is_eor)


async def eventually(what: Callable[[], object]) -> None:
    async with asyncio.timeout(CLOSE_TIMEOUT):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def station() -> AsyncIterator[Station]:
    made = Station()
    host, _, port = made.where.rpartition(":")
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ports come again after some tests
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # so that one that does not read is soon full
    listening.bind((host, int(port)))
    server = await asyncio.start_server(made.on_connection, sock=listening)
    try:
        yield made
    finally:
        server.close()
        await made.close()


async def test_both_peers_are_reported():
    async with station() as there, between("bmp", "--send", there.where, "-LR", "--sys-name", "edge1") as session:
        await session.establish(LEFT, RIGHT)
        await eventually(lambda: len(there.about(65002, bmp.PEER_UP)) == len(there.about(65001, bmp.PEER_UP)) == 1)
        for number in (1, 2):
            session.left.send(make_update(number))
        session.right.send(make_update(9, asn=65002))
        await eventually(lambda: len([each for each in there.messages if each.type_code == UPDATE]) == 6)
        assert there.routes(65001, "in-pre") == ["10.0.1.0/24", "10.0.2.0/24"] == there.routes(65002, "out-post")
        assert there.routes(65002, "in-pre") == ["10.0.9.0/24"] == there.routes(65001, "out-post")
        session.left.send(Message(NOTIFICATION, b"\6\2"))
        session.left.close()
        await eventually(lambda: len(there.about(65002, bmp.PEER_DOWN)) == len(there.about(65001, bmp.PEER_DOWN)) == 1)
        await eventually(lambda: getattr(there.messages[-1], "bmp_type", None) == bmp.TERMINATION)
    assert there.damage == []
    first, last = there.messages[0], there.messages[-1]
    assert (first.bmp_type, first.content()["sysName"]) == (bmp.INITIATION, "edge1")
    assert last.content() == {"reason": "administratively closed"}
    opens = {asn: [each.octets for each in there.about(asn) if each.type_code == OPEN] for asn in (65001, 65002)}
    assert opens == {65001: [LEFT.octets, RIGHT.octets], 65002: [RIGHT.octets, LEFT.octets]}
    downs = {asn: there.about(asn, bmp.PEER_DOWN)[0].content()["reason"] for asn in (65001, 65002)}
    assert downs == {65001: "remote, NOTIFICATION received", 65002: "local, NOTIFICATION sent"}


@pytest.mark.parametrize(("switch", "told"), [("-R", 65001), ("-L", 65002)])
async def test_one_direction(switch, told):
    """What travels to the right is what the left peer sends, and the right one gets."""
    other = 65003 - told + 65000
    async with station() as there, between("bmp", switch, "--send", there.where) as session:
        await session.establish(LEFT, RIGHT)
        await eventually(lambda: there.about(65001, bmp.PEER_UP) and there.about(65002, bmp.PEER_UP))
        session.left.send(make_update(1))
        session.right.send(make_update(2))
        await eventually(lambda: there.routes(told, "in-pre") and there.routes(other, "out-post"))
        await session.left.until(make_update(2))
        assert not there.routes(other, "in-pre")
        assert not there.routes(told, "out-post")


async def test_policy_is_between_what_came_in_and_what_left():
    policy = "--", "drop", "prefix == 10.0.1.0/24"
    async with station() as there, between("bmp", "-LR", "--send", there.where, *policy) as session:
        await session.establish(LEFT, RIGHT)
        await eventually(lambda: there.about(65002, bmp.PEER_UP) and there.about(65001, bmp.PEER_UP))
        for number in (1, 2):
            session.left.send(make_update(number))
        await eventually(lambda: there.routes(65002, "out-post") == ["10.0.2.0/24"])
        assert there.routes(65001, "in-pre") == ["10.0.1.0/24", "10.0.2.0/24"]


async def test_capabilities_that_differ():
    """The left peer has 4-octet AS numbers and path identifiers, the right one has neither."""
    left = make_open(65001, Capability(caps.ADD_PATH, b"\0\1\1\3"))
    right = make_open(65002, as4=False)
    async with station() as there, between("bmp", "-LR", "--send", there.where) as session:
        await session.establish(left, right)
        await eventually(lambda: there.about(65002, bmp.PEER_UP) and there.about(65001, bmp.PEER_UP))
        session.left.send(make_update(1, as4=False))
        await eventually(lambda: there.routes(65001, "in-pre") and there.routes(65002, "out-post"))
    assert there.damage == []
    told = [each for each in there.messages if each.type_code == UPDATE]
    assert [each.context.as4 for each in told] == [False, False]
    assert [each.update.origin_as for each in told] == [65001, 65001]


async def test_the_table_again_after_a_reconnect(monkeypatch):
    monkeypatch.setattr(bmp_collector, "backoff", lambda attempt: 0.01)
    async with station() as there, between("bmp", "-LR", "--send", there.where) as session:
        await session.establish(LEFT, RIGHT)
        await eventually(lambda: there.about(65002, bmp.PEER_UP) and there.about(65001, bmp.PEER_UP))
        numbers = range(300)
        session.left.send(*(make_update(number) for number in numbers))
        session.left.send(Message(UPDATE, Update.make(withdrawn=["10.0.7.0/24", "10.0.8.0/24"]).body))
        await eventually(lambda: len([each for each in there.messages if each.type_code == UPDATE]) == 602)
        there.connections[-1][1].close()
        await eventually(lambda: len(there.connections) == 2)
        expected = sorted(f"10.{n >> 8}.{n & 255}.0/24" for n in numbers if n not in (7, 8))
        await eventually(lambda: len(there.routes(65002, "out-post")) == len(expected))
        assert sorted(there.routes(65001, "in-pre")) == expected == sorted(there.routes(65002, "out-post"))
        assert len(there.about(65001, bmp.PEER_UP)) == len(there.about(65002, bmp.PEER_UP)) == 1
        await eventually(lambda: len(there.ends) == 4)
        assert there.ends == [(asn, rib) for asn in ("65001", "65002") for rib in ("in-pre", "out-post")]
        session.left.send(make_update(500))
        await eventually(lambda: "10.1.244.0/24" in there.routes(65002, "out-post"))
        assert session.pipeline.stage("bmp").status()["metrics"] == {"connects": 2, "cut_off": 0}
    assert there.damage == []


async def test_a_station_that_is_not_there_yet(monkeypatch):
    monkeypatch.setattr(bmp_collector, "backoff", lambda attempt: 0.01)
    late = Station()
    async with between("bmp", "-LR", "--send", late.where) as session:
        await session.establish(LEFT, RIGHT)
        session.left.send(make_update(1))
        await session.right.until(make_update(1))
        host, _, port = late.where.rpartition(":")
        server = await asyncio.start_server(late.on_connection, host, int(port))
        async with server:
            await eventually(lambda: late.routes(65002, "out-post") == ["10.0.1.0/24"])
            assert late.routes(65001, "in-pre") == ["10.0.1.0/24"]
            await late.close()


async def test_a_station_that_stalls_is_cut_off(monkeypatch):
    """The session does not notice."""
    monkeypatch.setattr(bmp_collector, "MAX_WAITING", 1 << 16)
    monkeypatch.setattr(tcp, "_BUFFER", 1 << 16)
    monkeypatch.setattr(bmp_collector, "backoff", lambda attempt: 3600.0)
    async with station() as there, station() as well:
        there.reads = False
        both = f"{there.where},{well.where}"
        async with between("bmp", "-LR", "--send", both) as session:
            await session.establish(LEFT, RIGHT)
            status = session.pipeline.stage("bmp").status
            await eventually(lambda: status()["metrics"]["connects"] == 2)
            number = 0
            while not status()["metrics"]["cut_off"]:
                session.left.send(*(make_update(n % 60000) for n in range(number, number + 500)))
                number += 500
                await session.right.until(make_update((number - 1) % 60000))
            session.left.send(make_update(60000))
            await eventually(lambda: "10.234.96.0/24" in well.routes(65002, "out-post"))
            assert [each["cut_off"] for each in status()["stations"]] == [1, 0]


async def test_a_station_that_takes_nothing_for_long_is_cut_off(monkeypatch):
    monkeypatch.setattr(bmp_collector, "backoff", lambda attempt: 3600.0)
    monkeypatch.setattr(tcp, "_BUFFER", 1 << 16)
    async with station() as there:
        there.reads = False
        async with between("bmp", "-LR", "--stall-timeout", "200ms", "--send", there.where) as session:
            await session.establish(LEFT, RIGHT)
            status = session.pipeline.stage("bmp").status
            await eventually(lambda: status()["stations"][0]["connected"])
            number = 0
            while not status()["stations"][0]["queue_bytes"]:
                session.left.send(*(make_update(n % 60000) for n in range(number, number + 500)))
                number += 500
                await session.right.until(make_update((number - 1) % 60000))
            await eventually(lambda: status()["metrics"]["cut_off"] == 1)


async def test_statistics():
    async with station() as there, between("bmp", "-LR", "--stats", "50ms", "--send", there.where) as session:
        await session.establish(LEFT, RIGHT)
        session.left.send(make_update(1), make_update(2), make_update(2))
        await eventually(
            lambda: (
                [each.content() for each in there.about(65001, bmp.STATISTICS)][-1:]
                == [
                    {
                        "treated_as_withdraw": 0,
                        "adj_rib_in": 2,
                        "adj_rib_out_post": 0,
                        "adj_rib_in_family:1/1": 2,
                        "adj_rib_out_post_family:1/1": 0,
                    }
                ]
            )
        )
        content = there.about(65002, bmp.STATISTICS)[-1].content()
        assert content["adj_rib_out_post"] == content["adj_rib_out_post_family:1/1"] == 2


@pytest.mark.parametrize("without_accel", [False, True])
def test_routes_are_counted_by_family(monkeypatch, without_accel):
    if without_accel:
        monkeypatch.setattr("bgpipe.routes.adj_rib_in.accel.AVAILABLE", False)
    both = ReportedRoutes([IPV6_UNICAST, IPV4_UNICAST])
    attrs = {"ORIGIN": "IGP", "ASPATH": [65001]}
    for prefixes, hop in ((["10.0.0.0/8", "10.1.0.0/16"], "192.0.2.1"), (["2001:db8::/32"], "2001:db8::1")):
        both.take(Message(UPDATE, Update.make(reach=prefixes, attrs=attrs, next_hop=hop).body))
    assert both.counts() == {IPV4_UNICAST: 2, IPV6_UNICAST: 1}
    both.take(Message(UPDATE, Update.make(withdrawn=["2001:db8::/32", "10.0.0.0/8"]).body))
    assert both.counts() == {IPV4_UNICAST: 1, IPV6_UNICAST: 0}
    more = ReportedRoutes([IPV4_UNICAST, IPV4_MULTICAST])
    more.take(Message(UPDATE, Update.make(reach=["10.0.0.0/8"], attrs=attrs, next_hop="192.0.2.1").body))
    while more.digest():
        pass
    assert more.counts() == {IPV4_UNICAST: 1, IPV4_MULTICAST: 0}


@pytest.mark.parametrize("families", [[IPV4_UNICAST], [IPV4_UNICAST, IPV4_MULTICAST]])
def test_routes_are_told_again_as_they_are(families):
    """Also if they change while they are told."""
    table = ReportedRoutes(families)
    for number in range(200):
        table.take(make_update(number))
    steps = table.replay()
    told = next(steps) or next(steps)
    table.take(Message(UPDATE, Update.make(withdrawn=["10.0.3.0/24"]).body))
    for more in steps:
        told = [*told, *more]
    found = {str(prefix) for message in told for prefix in message.update.nlri}
    assert found | {"10.0.3.0/24"} == {f"10.0.{number}.0/24" for number in range(200)}
    assert len(told) < 10
    assert {message.update.next_hop for message in told} == {make_update(0).update.next_hop}
    again = {str(prefix) for step in table.replay() for message in step for prefix in message.update.nlri}
    assert again == {f"10.0.{number}.0/24" for number in range(200) if number != 3}


@pytest.mark.parametrize("kinds", [[UPDATE], [UPDATE, KEEPALIVE, UPDATE], [KEEPALIVE], []])
def test_monitor(kinds, monkeypatch):
    """Accel and Python make the same octets."""
    peer = PeerHeader(0, 0x50, bytes(8), bytes((192, 0, 2, 1)), 65001, bytes(4), 1_700_000_000_000_001)
    messages = [make_update(7) if kind == UPDATE else Message(kind) for kind in kinds]
    octets = b"".join(each.octets for each in messages)
    made = monitor(octets, peer)
    monkeypatch.setattr(accel, "AVAILABLE", False)
    assert monitor(octets, peer) == made
    decoder = BmpDecoder()
    found = [message.octets for item in decoder.feed(made) for message in item]
    assert found == [each.octets for each in messages if each.type_code == UPDATE]


@pytest.mark.skipif(not accel.AVAILABLE, reason="it is about accel")
@pytest.mark.parametrize("octets", [b"x", make_update(1).octets[:-1], make_update(1).octets + b"\xff" * 18, bytes(40)])
def test_accel_declines_what_is_cut_short(octets):
    assert accel.bmp_out.monitor(octets, bytes(48)) is None
    assert accel.bmp_out.monitor(make_update(1).octets, bytes(47)) is None
