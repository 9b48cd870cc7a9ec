"""One command line for many sessions: side by side, and one after the other."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.pipeline.errors import SessionLost, StageError
from bgpipe.runtime.sessions import Sessions
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.update import Update
from conversation import ALIVE, CLOSE_TIMEOUT, Peer, Records, opening, place, router


class Run:
    """The sessions of a command line."""

    def __init__(self, words: str) -> None:
        self.log = Records()

        def make(**how: Any):
            return build(parse(shlex.split(words), {}), self.log, **how)  # type: ignore[arg-type]

        self.sessions = Sessions(make(), make, self.log)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.sessions.run())
        self.peers: list[Peer] = []

    async def told(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            while sum(text in line for line in self.log.lines) < times:
                self.log.changed.clear()
                await self.log.changed.wait()

    async def dial(self, bind: str = "") -> Peer:
        await self.told("listening on ")
        where = next(line for line in self.log.lines if "listening on" in line).split()[2]
        host, _, port = where.rpartition(":")
        local = (bind, 0) if bind else None
        self.peers.append(Peer(*await asyncio.open_connection(host, int(port), local_addr=local)))
        return self.peers[-1]


@asynccontextmanager
async def many(words: str) -> AsyncIterator[Run]:
    run = Run(words)
    try:
        yield run
    finally:
        for peer in run.peers:
            await peer.close()
        run.sessions.interrupt()
        with suppress(StageError):
            await asyncio.wait_for(run.task, CLOSE_TIMEOUT)


async def join(left: Peer, peers: asyncio.Queue[Peer], asn: int) -> Peer:
    """Lets a peer open a session with the router that is called for it."""
    await left.say(opening(asn))
    right = await peers.get()
    assert (await right.expect(OPEN)).open == opening(asn)
    await right.say(opening(65000, bgp_id="192.0.2.9"))
    assert (await left.expect(OPEN)).open.asn == 65000
    for one, other in ((left, right), (right, left)):
        await one.say(ALIVE)
        await other.expect(KEEPALIVE)
    return right


def route(prefix: str) -> Message:
    attrs = {"ORIGIN": "IGP", "ASPATH": [65000]}
    return Message(UPDATE, Update.make(reach=[prefix], attrs=attrs, next_hop="192.0.2.1").body)


async def test_a_peer_is_refused_before_its_session_has_ended() -> None:
    """Messages on their way may take seconds until then."""
    async with (
        router() as (address, peers),
        many(f"-- listen --many {place()} -- connect --wait listen {address}") as run,
    ):
        left = await run.dial()
        await join(left, peers, 65001)
        (inside,) = run.sessions._running.values()
        assert run.sessions._refused_for(inside.arrival) <= 0
        error = SessionLost("too many prefixes", refuse_for=900.0)
        run.sessions.active[1].end_session("L", Notification.shutdown(), error)
        assert run.sessions._refused_for(inside.arrival) > 0
        assert (await left.fault())[:2] == (6, 2)


async def test_a_list_is_read_once_for_all_sessions(tmp_path: Path) -> None:
    """Also by those that begin while its file can't be read."""
    file = tmp_path / "list"
    file.write_text("11.0.0.0/8 le 24\n")
    guard = f"guard -R --prefixes {file} --on first-as=keep --on bogon-as=keep"
    async with (
        router() as (address, peers),
        many(f"-- listen --many {place()} -- {guard} -- connect --wait listen {address}") as run,
    ):
        for number in (1, 2):
            left = await run.dial()
            right = await join(left, peers, 65000 + number)
            file.write_text("<html>")
            await left.say(route("12.0.0.0/16"), route(f"11.{number}.0.0/16"))
            assert [bool((await right.expect(UPDATE)).update.reach) for _ in range(2)] == [False, True]
        one, other = (pipeline.stages[1] for pipeline in run.sessions.active.values())
        assert one.lists.files["prefixes"] is other.lists.files["prefixes"]
        assert one.pipeline.shared is other.pipeline.shared


async def test_side_by_side(tmp_path: Path) -> None:
    """The death of one touches no other; what they write to is the same, and tags tell them apart."""
    out = tmp_path / "all.json"
    async with router() as (address, peers):
        words = f"-- listen --many {place()} -- write -LR {out} -- connect --wait listen {address}"
        async with many(words) as run:
            pairs = []
            for number in range(3):
                left = await run.dial(f"127.83.254.{number + 1}")
                pairs.append((left, await join(left, peers, 65001 + number)))
            for number, (left, right) in enumerate(pairs):
                await left.say(route(f"10.{number}.0.0/16"))
                await right.expect(UPDATE)
            pairs[0][0].writer.transport.abort()
            assert await pairs[0][1].hear() is None
            await pairs[1][0].say(b"\0" * 19)  # a fault of one
            assert (await pairs[1][0].fault())[:2] == (1, 1)
            left, right = pairs[2]
            await left.say(route("10.99.0.0/16"))
            assert (await right.expect(UPDATE)).update.reach
            run.sessions.interrupt()
            for peer in (left, right):
                assert (await peer.fault())[:2] == (6, 2)
            await asyncio.wait_for(run.task, CLOSE_TIMEOUT)
    told = [json.loads(line) for line in out.read_text().splitlines()]
    tags = {message[4]["reach"][0]: message[5]["PEER_IP"] for message in told if message[3] == "UPDATE"}
    assert tags == {f"10.{number}.0.0/16": f"127.83.254.{number + 1}" for number in range(3)} | {
        "10.99.0.0/16": "127.83.254.3"
    }


async def test_as_many_as_told() -> None:
    async with (
        router() as (address, peers),
        many(f"-- listen --many=1 {place()} -- connect --wait listen {address}") as run,
    ):
        left = await run.dial()
        await join(left, peers, 65001)
        other = await run.dial()
        await other.say(opening(65009))
        assert (await other.fault())[:2] == (6, 5)
        await run.told("refused")
        await left.close()
        await run.told("session ended")
        left = await run.dial()
        await join(left, peers, 65002)


async def test_one_after_the_other() -> None:
    async with (
        router() as (address, peers),
        many(f"-- listen --again {place()} -- connect --wait listen {address}") as run,
    ):
        for number in range(3):
            left = await run.dial()
            right = await join(left, peers, 65001 + number)
            await left.close()
            assert await right.hear() is None
            await run.told("session ended", number + 1)


async def test_a_lost_session_is_tried_again() -> None:
    async with (
        router() as (address, peers),
        many(f"-- speaker --active --asn 65001 -- connect --retry {address}") as run,
    ):
        peer = await peers.get()
        await peer.establish()
        await peer.close()
        await run.told("next session in")
        await (await peers.get()).establish()
        run.sessions.interrupt()
        await asyncio.wait_for(run.task, CLOSE_TIMEOUT)


async def test_what_ends_by_itself_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    path.write_text('["R",0,null,"UPDATE",{"unreach":["10.0.0.0/8"]}]\n')
    async with (
        router() as (address, peers),
        many(f"-- speaker --no-linger --active --asn 65001 -- read {path} -- connect --retry {address}") as run,
    ):
        peer = await peers.get()
        await peer.establish()
        assert (await peer.fault())[:2] == (6, 2)
        await asyncio.wait_for(run.task, CLOSE_TIMEOUT)


async def test_a_second_connection_of_a_peer_is_a_collision() -> None:
    """The one that is up stays, and the other router never hears of the second (RFC 4271 section 6.8)."""
    async with (
        router() as (address, peers),
        many(f"-- listen --many {place()} -- connect --wait listen {address}") as run,
    ):
        left = await run.dial()
        right = await join(left, peers, 65001)
        second = await run.dial()
        await second.say(opening(65001))
        assert (await second.fault())[:2] == (6, 7)
        await run.told("has a session already")
        await left.say(route("10.0.0.0/8"))
        await right.expect(UPDATE)
        assert peers.empty()
        await left.close()
        await run.told("session ended")
        again = await run.dial()
        await join(again, peers, 65001)


async def test_silent_strangers_are_no_sessions() -> None:
    async with (
        router() as (address, peers),
        many(f"-- listen --many=2 {place()} -- connect --wait listen {address}") as run,
    ):
        strangers = [await run.dial("127.83.254.99") for _ in range(20)]
        for number in range(2):
            await join(await run.dial(), peers, 65001 + number)
        assert run.sessions.count == 2
        assert strangers[-1].writer.is_closing() is False


async def test_the_router_that_connect_calls_must_not_call() -> None:
    async with (
        router("127.83.254.77") as (address, peers),
        many(f"-- listen --many {place()} -- connect --wait listen {address}") as run,
    ):
        itself = await run.dial("127.83.254.77")
        await itself.say(opening(65000))
        assert (await itself.fault())[:2] == (6, 5)
        await run.told("connect calls this router, so it must be passive")
        await join(await run.dial("127.83.254.1"), peers, 65001)


async def test_sides_belong_to_addresses(tmp_path: Path) -> None:
    """With --left-is, L and R mean the same routers, whichever of them calls; the other one is called."""
    out = tmp_path / "all.json"
    async with router("127.83.254.11") as (left_at, lefts), router("127.83.254.12") as (right_at, rights):
        words = f"listen --again --left-is {left_at} {place()} -- write -LR {out} -- connect --wait listen {right_at}"
        async with asyncio.timeout(CLOSE_TIMEOUT), many(f"-- {words}") as run:
            for number, (caller, called) in enumerate((("11", rights), ("12", lefts), ("11", rights)), 1):
                one = await run.dial(f"127.83.254.{caller}")
                other = await join(one, called, 65001)
                left, right = (one, other) if caller == "11" else (other, one)
                await left.say(route(f"10.{number}.1.0/24"))
                assert str((await right.expect(UPDATE)).update.reach[0]) == f"10.{number}.1.0/24"
                await right.say(route(f"10.{number}.2.0/24"))
                assert str((await left.expect(UPDATE)).update.reach[0]) == f"10.{number}.2.0/24"
                await one.close()
                await run.told("session ended", number)
    told = [json.loads(line) for line in out.read_text().splitlines()]
    directions = {message[4]["reach"][0]: message[0] for message in told if message[3] == "UPDATE"}
    assert directions == {
        f"10.{number}.{side}.0/24": "R" if side == 1 else "L" for number in (1, 2, 3) for side in (1, 2)
    }


async def test_who_comes_around_a_signal_is_refused() -> None:
    """No session begins after it, so the process ends in time."""
    async with (
        router() as (address, _peers),
        many(f"-- listen --many {place()} -- connect --wait listen {address}") as run,
    ):
        late = [await run.dial() for _ in range(5)]
        run.sessions.interrupt()
        for peer in late:
            with suppress(OSError):
                await peer.say(opening(65001))
        await asyncio.wait_for(run.task, 3)
        assert run.sessions.count == 0


async def test_the_end_of_a_session_is_told_in_one_line() -> None:
    async with (
        router() as (address, peers),
        many(f"-- listen --many {place()} -- connect --wait listen {address}") as run,
    ):
        left = await run.dial()
        right = await join(left, peers, 65001)
        cease = Message(NOTIFICATION, Notification.shutdown("upgrade").encode())
        await right.say(cease)
        await right.close()
        await run.told("session ended")
        (line,) = [line for line in run.log.lines if "session ended" in line]
        assert "connect: peer sent Cease/Administrative Shutdown: upgrade" in line
        assert "reason=notification side=right" in line
        assert f"right={address} AS65000" in line
        assert " AS65001" in line
        assert "established_for=" in line


async def test_a_prefix_limit_that_kills_is_told_to_the_peers() -> None:
    """Cease / Maximum Number of Prefixes Reached with family and limit to the one that is over it (RFC 4486)."""
    words = f"--kill limit/session -- listen --many {place()} -- limit -LR --session 2 -- connect --wait listen"
    async with router() as (address, peers), many(f"{words} {address}") as run:
        left = await run.dial()
        right = await join(left, peers, 65001)
        await left.say(*(route(f"10.{number}.0.0/16") for number in range(50)))
        assert await left.fault() == (6, 1, bytes.fromhex("0001 01 00000002"))
        assert (await right.fault())[:2] == (6, 2)
        await run.told("session killed by event")
        (line,) = [line for line in run.log.lines if "killed by event" in line]
        assert "side=left peer=127." in line
