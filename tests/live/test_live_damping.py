"""Peers that come up, end the session and come again, a hundred times: who calls them, and who is called by them, waits
longer each time, from five seconds up to four minutes. To be up does not clear that, five minutes up do; so there are
at most eight sessions in ten minutes.

The command line runs in this process, on a clock that the test puts forward; the connections are real.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.pipeline.errors import StageError
from bgpipe.runtime.sessions import Sessions
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.notification import Notification
from conversation import ALIVE, Peer, Records, announce, opening, place, router

FLAPS = 40
ENDS = {
    "fatal UPDATE": Message(UPDATE, bytes.fromhex("0010 0000")).octets,
    "NOTIFICATION": Message(NOTIFICATION, Notification.shutdown().encode()).octets,
    "nothing": b"",
}
EACH_END = pytest.mark.parametrize(
    "end",
    [pytest.param(end, id=name, marks=pytest.mark.slow if name != "nothing" else ()) for name, end in ENDS.items()],
)
WAITS = [5, 10, 20, 40, 80, 160, *[240] * (FLAPS - 6)]


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time is put forward by hand."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run(test: Callable[[Clock], Coroutine[Any, Any, None]]) -> None:
    loop = Clock()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(test(loop))


@asynccontextmanager
async def sessions(words: str) -> AsyncIterator[Records]:
    """The log of a command line that runs."""
    log = Records()

    def make(**how: Any):
        return build(parse(shlex.split(words), {}), log, **how)  # type: ignore[arg-type]

    made = Sessions(make(), make, log)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    try:
        yield log
    finally:
        made.interrupt()
        with suppress(StageError):
            await asyncio.wait_for(task, 10)


async def told(log: Records, pattern: str, count: int) -> str:
    """What the count-th line that matches says."""
    while len(found := [match for line in log.lines if (match := re.search(pattern, line))]) < count:
        log.changed.clear()
        await log.changed.wait()
    return found[count - 1][1]


async def flap(peer: Peer, end: bytes) -> None:
    """Comes up, and ends the session."""
    await peer.say(opening(65001, hold_time=0), ALIVE)
    while (message := await peer.hear()) is not None and message.type_code != KEEPALIVE:
        pass
    if end:
        await peer.say(end)
        while await peer.hear() is not None:
            pass
    await peer.close()


def most(starts: list[float]) -> int:
    """The most that began within ten minutes."""
    return max(sum(start <= each < start + 600 for each in starts) for start in starts)


@EACH_END
def test_a_peer_that_we_call(end: bytes) -> None:
    async def test(clock: Clock) -> None:
        starts, waits = [], []
        words = "-- speaker --active --asn 65055 -- connect --retry"
        async with router() as (address, peers), sessions(f"{words} {address}") as log:
            for number in range(1, FLAPS + 1):
                peer = await peers.get()
                starts.append(clock.time())
                await flap(peer, end)
                waits.append(int(await told(log, r"next session in (\d+) s", number)))
                clock.ahead += waits[-1] - 1
                await asyncio.sleep(0)
                assert peers.empty(), "not before its time"
                clock.ahead += 1
        assert waits == WAITS
        assert most(starts) <= 8

    run(test)


@EACH_END
def test_a_peer_that_calls_us(end: bytes) -> None:
    """listen --damp: a peer that calls every five seconds is let in when its time has come; others always."""

    async def test(clock: Clock) -> None:
        where = place()
        host, _, port = where.rpartition(":")

        async def dial(source: str = "127.83.251.7") -> Peer:
            return Peer(*await asyncio.open_connection(host, int(port), local_addr=(source, 0)))

        starts: list[float] = []
        words = f"-- listen --many --damp {where} -- speaker --active --asn 65055"
        async with sessions(words) as log:
            await told(log, "(listening on)", 1)
            while len(starts) < FLAPS:
                peer = await dial()
                heard = await peer.hear()
                assert heard is not None
                if heard.type_code == OPEN:
                    starts.append(clock.time())
                    await flap(peer, end)
                    await told(log, "(session ended)", len(starts))
                else:
                    await peer.close()
                clock.ahead += 5
            other = await dial("127.83.251.8")
            await other.establish()
            await other.close()
            assert any("sessions with this address have failed" in line for line in log.lines)
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert all(wait <= gap < wait + 10 for gap, wait in zip(gaps, WAITS, strict=False))
        assert most(starts) <= 8

    run(test)


@pytest.mark.parametrize(("seconds", "waits"), [(299, [5, 10, 20]), (301, [5, 5, 5])])
def test_five_minutes_up_clear_it(seconds: float, waits: list[int]) -> None:
    async def test(clock: Clock) -> None:
        words = "-- speaker --active --asn 65055 -- connect --retry"
        async with router() as (address, peers), sessions(f"{words} {address}") as log:
            for number, wait in enumerate(waits, 1):
                peer = await peers.get()
                await peer.establish(opening(65001, hold_time=0))
                await told(log, "(negotiated)", number)
                clock.ahead += seconds
                await peer.close()
                assert int(await told(log, r"next session in (\d+) s", number)) == wait
                clock.ahead += wait

    run(test)


def test_a_peer_over_its_limit_is_not_called_for_so_long() -> None:
    async def test(clock: Clock) -> None:
        words = "-- connect --retry {} -- limit -R --session 1 --on-limit restart=15m -- speaker --active --asn 65055"
        async with router() as (address, peers), sessions(words.format(address)) as log:
            peer = await peers.get()
            await peer.establish(opening(65001, hold_time=0))
            await peer.say(announce("10.0.0.0/8", "11.0.0.0/8"))
            assert int(await told(log, r"next session in (\d+) s", 1)) == 900
            await peer.close()
            clock.ahead += 899
            await asyncio.sleep(0)
            assert peers.empty()
            clock.ahead += 1
            await (await peers.get()).establish(opening(65001, hold_time=0))

    run(test)
