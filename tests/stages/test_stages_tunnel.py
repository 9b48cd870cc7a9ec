"""A BGP session through a tunnel of two bgpipes: nothing is lost on a link that fails, or both sides end."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from sessions import CLOSE_TIMEOUT, Recorder, address, eventually, make_open, make_update, running
from tunnels import Site, Tunnel, call, tunnel
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidStatus

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.net.tunnel import TunnelLink
from bgpipe.net.tunnel_client import TunnelClient
from bgpipe.net.tunnel_server import TunnelServer
from bgpipe.net.websocket import StatusError
from bgpipe.pipeline.errors import ConfigError
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.runtime.sessions import Sessions
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message

COUNT = 4000
"""UPDATEs of each router."""
FAULTS = ("cut", "cut for long", "delayed", "black hole", "short black hole")


PREFIXES = {
    "IPv4": (b"", 0),
    "IPv4 ADD-PATH": (b"", 0),
    "IPv4, AS numbers of 2 octets": (b"", 0),
    "IPv6": (b"\0\2\1\x10" + bytes.fromhex("20010db8000000000000000000000001") + b"\0\x30\x20\1\x0d\xb8", 1),
    "VPNv4": (b"\0\1\x80\x0c" + bytes(8) + b"\xc0\0\2\1\0\x70\0\0\x11\0\0\xfd\xe9\0\0\0\1\x0a", 128),
    "EVPN": (b"\0\x19\x46\4\xc0\0\2\1\0\3\x11\0\0\xfd\xe9\0\0\0\1" + bytes(4) + b"\x20\x0a", 70),
    "FlowSpec": (b"\0\1\x85\0\0\5\1\x18\x0a", 133),
    "unknown": (b"\x40\4\xf0\4\xc0\0\2\1\0\x0a", 240),
}
"""By family: the start of an MP_REACH_NLRI up to two octets of a number, and the SAFI; no octets for IPv4."""
CAPABILITIES = {
    "IPv4 ADD-PATH": Capability(caps.ADD_PATH, b"\0\1\1\3"),
    "IPv6": Capability(caps.MP, b"\0\2\0\1"),
    "VPNv4": Capability(caps.MP, b"\0\1\0\x80"),
    "EVPN": Capability(caps.MP, b"\0\x19\0\x46"),
    "FlowSpec": Capability(caps.MP, b"\0\1\0\x85"),
    "unknown": Capability(caps.MP, b"\x40\4\0\xf0"),
}


def make_route(family: str, number: int) -> Message:
    """An UPDATE of a family that no other number makes."""
    start, safi = PREFIXES[family]
    if not start:
        path_id = number % 7 if family == "IPv4 ADD-PATH" else None
        return make_update(number, path_id=path_id, as4=family != "IPv4, AS numbers of 2 octets")
    end = b"\1" if safi == 70 else b""
    value = start + number.to_bytes(2, "big") + end
    attributes = b"\x40\1\1\0\x40\2\6\2\1\0\0\xfd\xe9\x80\x0e" + bytes((len(value),)) + value
    return Message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes)


async def fail(made: Tunnel, what: str, chance: random.Random) -> None:
    """Lets something happen to the link."""
    relay = made.relay
    if what.startswith("cut"):
        relay.cut()
        relay.refuses = True
        await asyncio.sleep(chance.uniform(0, 0.5) if what == "cut" else 4.0)
        relay.refuses = False
    elif what == "delayed":
        relay.delay = 0.02
        await asyncio.sleep(chance.uniform(0.1, 1.0))
        relay.delay = 0.0
    else:
        relay.swallows = True
        await asyncio.sleep(4.0 if what == "black hole" else chance.uniform(0.1, 1.5))
        relay.swallows = False
        relay.cut()


def moments() -> list[object]:
    made = []
    for number in range(50):
        what = FAULTS[number % len(FAULTS)]
        family = [*PREFIXES][number % len(PREFIXES)]
        made.append(pytest.param(what, family, number, marks=[pytest.mark.slow] if number >= 5 else []))
    return made


@pytest.mark.parametrize(("what", "family", "seed"), moments())
async def test_a_link_that_fails_under_full_load(what, family, seed):
    """At a moment that is random: all arrives in order and once, or both sessions are ended with a NOTIFICATION."""
    chance = random.Random(seed)
    async with tunnel("--stall-timeout", "2s") as made:
        more = [CAPABILITIES[family]] if family in CAPABILITIES else []
        await made.establish(*more, as4="2 octets" not in family)
        sent = [make_route(family, number) for number in range(COUNT)]
        moment = chance.randrange(COUNT)
        for at in range(0, COUNT, 200):
            made.left.send(*sent[at : at + 200])
            made.right.send(*sent[at : at + 200])
        await eventually(lambda: len(made.right.updates) >= moment or made.right.ended)
        await fail(made, what, chance)
        expected = [each.octets for each in sent]

        def decided() -> bool:
            through = len(made.right.updates) >= COUNT and len(made.left.updates) >= COUNT
            return through or (made.right.ended and made.left.ended)

        await eventually(decided)
        assert made.right.updates == expected[: len(made.right.updates)]
        assert made.left.updates == expected[: len(made.left.updates)]
        if made.right.ended:
            assert made.left.notification is not None
            assert made.right.notification is not None
            assert any("both sides of the session end" in text for text in made.near.log.texts)
        else:
            assert len(made.left.updates) == len(made.right.updates) == COUNT
        if what in ("cut", "delayed"):
            assert not made.right.ended, "a short fault is made good"


async def test_a_notification_goes_through_before_the_end():
    """Who ends the session says why, and both routers hear it; then the tunnel takes the next session."""
    async with tunnel() as made:
        await made.establish()
        cease = Message(NOTIFICATION, bytes((6, 4)))
        made.right.send(*map(make_update, range(500)), cease)
        made.right.writer.close()
        await eventually(lambda: made.left.ended)
        assert len(made.left.updates) == 500
        assert made.left.notification is not None
        assert made.left.notification.octets == cease.octets


async def test_a_router_that_is_lost_is_lost_at_the_other_side_too():
    """Without a NOTIFICATION, so that graceful restart works through the tunnel (RFC 4724)."""
    async with tunnel() as made:
        await made.establish()
        made.left.writer.transport.abort()
        await eventually(lambda: made.right.ended)
        assert made.right.notification is None


async def test_the_server_takes_the_next_session():
    server = address()
    site = Site()
    await site.start()
    log = Recorder()
    words = ["websocket", "--listen", "--open", f"ws://{server}/", "--", "connect", site.address]

    def make(**how: Any) -> Pipeline:
        return build(parse(words), log, **how)  # type: ignore[arg-type]

    sessions = Sessions(make(), make, log)  # type: ignore[arg-type]
    task = asyncio.create_task(sessions.run())
    try:
        await eventually(lambda: any("listening on" in text for text in log.texts))
        for number in range(2):
            listening = address()
            async with running("listen", listening, "--", "websocket", "--retry", f"ws://{server}/") as near:
                await near.until(lambda near=near, where=listening: f"listening on {where}" in near.log.texts)
                router = await call(listening)
                router.send(make_open(65001 + number))
                await eventually(lambda number=number: len(site.calls) == number + 1)
                await eventually(lambda: site.calls[-1].count(OPEN) == 1)
                router.close()
            await eventually(lambda: site.calls[-1].ended)
    finally:
        sessions.interrupt()
        await asyncio.wait_for(task, CLOSE_TIMEOUT)
        site.stop()


async def test_one_client_at_a_time():
    """A second one is refused while the first is there, whether it is a bgpipe or not."""
    async with tunnel() as made:
        await made.establish()
        url = f"ws://{made.server}/bgp"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == 409
        with pytest.raises(StatusError, match="409"):
            await TunnelClient(url, tls=None).connect()
        made.left.send(make_update(1))
        await eventually(lambda: len(made.right.updates) == 1)
        assert any("another client has a session" in text for text in made.far.log.texts)


async def test_a_new_client_never_gets_the_old_session():
    """The first bgpipe is gone without a word: its session ends before that of another begins."""
    async with tunnel("--stall-timeout", "60s") as made:
        await made.establish()
        made.relay.swallows = True
        made.relay.cut()
        stage = made.far.stage("websocket")
        await eventually(lambda: not stage.link.connected)
        with pytest.raises(StatusError, match="503"):
            await TunnelClient(f"ws://{made.server}/bgp", tls=None).connect()
        await eventually(lambda: made.right.ended)
        assert made.right.notification is not None


async def test_a_server_that_was_restarted():
    """It knows nothing of the session: the near side ends it at once, and does not wait for its patience to end."""
    async with tunnel(near=("--stall-timeout", "60s")) as made:
        await made.establish()
        await made.far.stop()
        made.relay.cut()
        words = ("websocket", "--listen", "--open", f"ws://{made.server}/bgp", "--", "connect", made.site.address)
        async with running(*words):
            await eventually(lambda: made.left.ended)
            assert made.left.notification is not None


async def test_a_server_that_is_no_bgpipe():
    """Frames are as they were before; when the connection is lost, so is the session, and the router is told."""
    url, listening = f"ws://{address()}/", address()
    got: list[bytes] = []

    async def answer(connection: Any) -> None:
        assert connection.subprotocol is None
        async for frame in connection:
            got.append(frame)
            if len(got) == 1:
                await connection.send('["L",1,null,"OPEN",{"bgp":4,"asn":65002,"id":"10.0.0.2","hold":90,"caps":{}}]')
            if len(got) == 3:
                connection.transport.abort()
                return

    host, _, port = url.partition("//")[2].rstrip("/").partition(":")
    async with (
        serve(answer, host, int(port), compression=None),
        running("listen", listening, "--", "websocket", "--retry", url) as near,
    ):
        await near.until(lambda: f"listening on {listening}" in near.log.texts)
        router = await call(listening)
        router.send(make_open(65001), Message(KEEPALIVE), make_update(1))
        await eventually(lambda: router.ended)
        assert router.count(OPEN) == 1
        assert [json.loads(frame)[3] for frame in got] == ["OPEN", "KEEPALIVE", "UPDATE"]
        assert router.notification is not None
        assert any(level == "warning" and "both sides of the session end" in text for level, text, _ in near.log.lines)
        router.close()


async def test_a_client_that_is_no_bgpipe():
    """Its connection is its session: the other side ends with it, and the next client gets a new one."""
    url, site = f"ws://{address()}/", Site()
    await site.start()
    async with running("websocket", "--listen", "--open", url, "--", "connect", site.address) as far:
        await far.until(lambda: any("listening on" in text for text in far.log.texts))
        async with connect(url) as client:
            await client.send('["R",1,null,"OPEN",{"bgp":4,"asn":65001,"id":"10.0.0.1","hold":90,"caps":{}}]')
            await eventually(lambda: site.calls and site.calls[0].count(OPEN))
            site.calls[0].send(make_open(65002), Message(KEEPALIVE))
            frames = [json.loads(await asyncio.wait_for(client.recv(), CLOSE_TIMEOUT)) for _ in range(2)]
            assert [frame[3] for frame in frames] == ["OPEN", "KEEPALIVE"]
        await eventually(lambda: site.calls[0].ended)
        assert site.calls[0].notification is not None
    site.stop()


@pytest.mark.parametrize("how", ["pass", "drop"])
def test_an_end_has_nobody_behind_it(how):
    words = ["listen", ":1", "--", "websocket", "--on-exit", how, "ws://127.0.0.1:1/"]
    with pytest.raises(ConfigError, match="this stage is an end of the session"):
        build(parse(words), Recorder())  # type: ignore[arg-type]


async def test_nothing_stays_of_a_session_that_is_released():
    server = TunnelServer()
    for number in range(3):
        link = TunnelLink(f"{number:032x}", tasks=server.tasks)
        server.release(link)
    await asyncio.sleep(0.01)
    assert len(server.tasks) == 0
    assert not server.tasks._children
