"""Two routers with a pipeline between them: what the one announces, and what the other then knows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count, takewhile
from random import Random

from sessions import Session

from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import AS4, WireContext
from bgpipe.wire.family import IPV4_UNICAST
from bgpipe.wire.message import ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.update import Update

MP6 = Capability(caps.MP, b"\0\2\0\1")
REFRESH = Capability(2, b"")
ENHANCED = Capability(70, b"")
SENTINEL = "192.0.2.0/24"
"""No list and no VRP is about it."""


def announce(*reach: str, path: tuple[int, ...] = (65001,), context: WireContext = AS4, **more: object) -> Message:
    hop = "2001:db8::1" if ":" in reach[0] else "192.0.2.1"
    attributes = {"ORIGIN": "IGP", "ASPATH": list(path)} | more
    made = Update.make(reach=reach, attrs=attributes, next_hop=hop, context=context)
    return Message(UPDATE, made.body, context=context)


def withdraw(*prefixes: str, context: WireContext = AS4) -> Message:
    return Message(UPDATE, Update.make(withdrawn=prefixes, context=context).body, context=context)


class Table:
    """What a router knows: prefixes, and the path of each. updates: by prefix, the last that announced it."""

    def __init__(self, context: WireContext = AS4) -> None:
        self.routes: dict[str, str] = {}
        self.updates: dict[str, Update] = {}
        self.context = context
        self.refreshing: set[int] = set()
        self.stale: dict[int, set[str]] = {}

    def take(self, message: Message) -> None:
        if message.type_code == ROUTE_REFRESH:
            afi, subtype = message.body[1], message.body[2]
            if subtype == 1:
                self.stale[afi] = {each for each in self.routes if (":" in each) == (afi == 2)}
            elif subtype == 2:
                for each in self.stale.pop(afi, ()):
                    self.routes.pop(each, None)
        if message.type_code != UPDATE:
            return
        update = Update(message.body, self.context)
        for prefix in map(str, update.withdrawn):
            self.routes.pop(prefix, None)
        for prefix in map(str, update.reach):
            self.routes[prefix] = str(update.as_path)
            self.updates[prefix] = update
            for stale in self.stale.values():
                stale.discard(prefix)


class Routers:
    """A session; table: of the router on the right."""

    def __init__(
        self, session: Session, context: WireContext = AS4, *, stage_name: str = "rov", sentinel: str = SENTINEL
    ) -> None:
        self.session = session
        self.sentinel = sentinel
        self.table = Table(context)
        self.rpki = session.pipeline.pipeline.shared.rpki
        stages = session.pipeline.pipeline.stages
        self.stages = [stage for stage in stages if hasattr(stage, "revalidations")]
        """those that judge routes again"""
        self.stage = next(stage for stage in self.stages if stage.name == stage_name)
        self.path = (64999,)
        """that of the sentinels"""
        self.sent = 0

    def send(self, *messages: Message) -> None:
        self.session.left.send(*messages)

    async def _synchronize(self) -> None:
        """Sends a route, and reads until it is there."""
        self.sent += 1
        prefix = self.sentinel if IPV4_UNICAST not in self.table.context.add_path else f"#1#{self.sentinel}"
        self.send(announce(prefix, path=self.path, MED=self.sent, context=self.table.context))
        while prefix not in self.table.routes or self.table.updates[prefix].med != self.sent:
            self.table.take(await self.session.right.next())

    def is_idle(self) -> bool:
        return not any(each.busy for stage in self.stages for each in stage.revalidations.values())

    async def settled(self) -> dict[str, str]:
        """The routes of the router on the right, when it has all that was sent, and no stage has anything to tell."""
        await self._synchronize()
        await self.session.pipeline.until(self.is_idle)
        await self._synchronize()  # behind what followed from the last messages
        return {prefix: path for prefix, path in self.table.routes.items() if self.sentinel not in prefix}


def turns_of(least: int) -> Iterator[int]:
    """So many turns, and as many more as there is time for: BGPIPE_RACE_SECONDS."""
    end = time.monotonic() + float(os.environ.get("BGPIPE_RACE_SECONDS", "0"))
    return takewhile(lambda turn: turn < least or time.monotonic() < end, count())


async def race(
    pair: Routers,
    rng: Random,
    turns: Iterable[int],
    *,
    neighbor: int,
    origins: list[int],
    random_prefix: Callable[[Random], str],
    change: Callable[[], object],
    allowed: Callable[[dict[str, int]], set[str]],
) -> None:
    """Announcements, withdrawals, refreshes and changes in any order: the right router ends with what is allowed.

    neighbor: the first AS number of all paths. change: makes other routes valid. allowed: what the right router should
    have, of these prefixes with their origins.
    """
    sent: dict[str, int] = {}
    for _ in turns:
        what = rng.random()
        if what < 0.5:
            prefixes = {random_prefix(rng) for _ in range(rng.randrange(1, 9))}
            origin = rng.choice(origins)
            for six in (False, True):
                if reach := [each for each in prefixes if (":" in each) is six]:
                    pair.send(announce(*reach, path=(neighbor, origin), MED=rng.randrange(4)))
                    sent |= dict.fromkeys(reach, origin)
        elif what < 0.65 and sent:
            gone = rng.sample(sorted(sent), min(len(sent), 5))
            pair.send(withdraw(*gone))
            for each in gone:
                del sent[each]
        elif what < 0.7:
            await refresh(pair, rng, sent, neighbor, change)
        else:
            change()
        if rng.random() < 0.3:
            await asyncio.sleep(0)
        if rng.random() < 0.02:
            assert set(await pair.settled()) == allowed(sent)
    assert set(await pair.settled()) == allowed(sent)


async def refresh(
    pair: Routers, rng: Random, sent: dict[str, int], neighbor: int, change: Callable[[], object]
) -> None:
    """An enhanced refresh of one family (RFC 7313), in which some routes have gone."""
    afi = rng.choice([1, 2])
    pair.send(Message(ROUTE_REFRESH, bytes((0, afi, 1, 1))))
    mine = [each for each in sent if (":" in each) == (afi == 2)]
    for each in mine:
        if rng.random() < 0.8:
            pair.send(announce(each, path=(neighbor, sent[each])))
        else:
            del sent[each]
        if rng.random() < 0.1:
            await asyncio.sleep(0)
            change()
    pair.send(Message(ROUTE_REFRESH, bytes((0, afi, 2, 1))))
