"""The stage that speaks with one peer: it answers the OPEN, announces the peer's routes, and then what changes.

What is announced is a table that never changes; a change is another table. So the difference between what the peer
was told and what it is to have now is all that is ever sent, however often the table was replaced meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from ..routes.peer_routes import PeerRoutes, Survey, survey
from ..routes.table import Table
from ..runtime.runner import feed
from ..session.session import Settings
from ..stages.speaker import Speaker
from ..wire import caps
from ..wire.block import Block
from ..wire.family import Family
from ..wire.message import ROUTE_REFRESH, UPDATE, Message
from ..wire.refresh import BORR, EORR, RouteRefresh
from ..wire.update_body import encode_end_of_rib
from .tables import View

MAX_WAITING: Final = 16 << 10
"""Octets that may wait for a peer to read them: a thousand peers that read slowly must not take all memory."""


class Announcer(Speaker):
    """settings: of the session. first_wait: seconds that the first announcement waits for lists that are being read,
    and the End-of-RIB for a table that is whole. retains: that the peer keeps our routes when we stop, if it can
    (RFC 4724). turns: of all announcers, for what takes time."""

    def __init__(self, settings: Settings, *, first_wait: float, retains: bool, turns: asyncio.Lock) -> None:
        super().__init__("announcer")
        self.turns = turns
        self._settings = settings
        self._first_wait = first_wait
        self._retains = retains
        self.begin: Callable[[], Awaitable[tuple[PeerRoutes, View]]]
        """called when the session is up: the first routes, in the form that this session wants"""
        self._view: View | None = None
        """what the peer is to have"""
        self._told: View | None = None
        """what it has, or will have when all is sent that is being sent"""
        self._survey = Survey(0, {})
        """of what it has"""
        self._explained: tuple[str, dict[str, int]] = "", {}
        """what the log says of routes that it does not get"""
        self.updates = 0
        """UPDATEs sent so far"""
        self._wake = asyncio.Event()
        self._asked: dict[Family, None] = {}
        """families that the peer has asked to hear again"""
        self._complete = False

    def settings(self) -> Settings:
        return self._settings

    def attach(self) -> None:
        super().attach()
        self.stream = self.feed_into(session=True)

    @property
    def outlives_session(self) -> bool:
        return False

    def announce(self, view: View) -> None:
        """This is what the peer is to have from now on."""
        self._view = view
        self._wake.set()

    @property
    def told(self) -> View | None:
        """What the peer has, or will have when all is sent that is being sent; None before the first."""
        return self._told

    def announce_again(self) -> None:
        """Sends all routes once more, as if the peer had asked for it (ROUTE-REFRESH)."""
        self._asked |= dict.fromkeys(self._families)
        self._wake.set()

    @property
    def count(self) -> int:
        """How many routes the peer has."""
        return self._survey.told

    @property
    def left_out(self) -> dict[str, int]:
        """How many routes it is to have and does not get, by the reason."""
        return self._survey.left_out

    @property
    def table(self) -> Table | None:
        """What the peer has, None before anything was announced."""
        return self._told.table if self._told is not None else None

    @property
    def whole(self) -> bool:
        """Whether it has all that it is to have, and nothing is still to be fetched."""
        return self._told is not None and self._told is self._view and self._told.whole

    @property
    def why(self) -> str:
        """Why it has no routes, "" if it has some."""
        if self._told is None:
            reading = self._view.reading if self._view is not None else ()
            why = f": lists are being read for the first time: {', '.join(reading)}" if reading else ""
            return f"nothing was announced yet{why}"
        if self._survey.told:
            return ""
        return self._told.why or "; ".join(self._survey.left_out)

    @property
    def limit(self) -> str:
        """What MaxRoutes has done to its routes, in words; "" if nothing."""
        return self._view.limit if self._view is not None else ""

    @property
    def foreign(self) -> tuple[int, int]:
        """IPv4 addresses, and IPv6 networks of 64 bits, that it has because routes were widened."""
        budget = self._told.table.budget if self._told is not None else None
        return (budget.foreign, budget.foreign_ipv6) if budget is not None else (0, 0)

    # the session

    def on_established(self) -> None:
        peer = self.peer
        assert peer is not None
        assert peer.connection is not None
        peer.connection.limit_waiting(MAX_WAITING)
        if self._retains and self.session.facts.agreed(caps.GRACEFUL_RESTART):
            peer.says_goodbye = False
        self.pipeline.session_up()
        self.call_later(self._first_wait, self._wait_no_longer)
        self.spawn("announces", self._announce())

    def collided(self) -> None:
        """Another connection with the same peer stays (RFC 4271 section 6.8)."""
        self.session.collided(asyncio.get_running_loop().time())
        self._act()

    def on_refresh(self, refresh: RouteRefresh) -> None:
        """Answered also for a peer that has not offered the capability: RouterOS asks without it."""
        if not refresh.subtype and refresh.family in self._families:
            self._asked[refresh.family] = None
            self._wake.set()

    def end_ribs(self) -> None:
        """Sends the End-of-RIB of each family, once, when the table is whole, or has taken too long (RFC 4724)."""
        if self.whole or self._complete:
            for family in self._families:
                if family not in self._ended:
                    self.say(self.replay, Message(UPDATE, encode_end_of_rib(family)))

    def before_stop(self) -> None:
        peer = self.peer
        if peer is None or peer.says_goodbye or self.pipeline.errors:
            super().before_stop()

    def status(self) -> dict[str, Any]:
        return super().status() | {"routes": self.count, "complete": self.whole}

    def _wait_no_longer(self) -> None:
        self._complete = True
        self._wake.set()

    async def _announce(self) -> None:
        """One after the other: what is asked for again, and what has changed. So a route that is announced again is
        never one that was withdrawn meanwhile."""
        routes, view = await self.begin()
        self._view = self._view or view
        view = await self._first()
        self._told, routes.table = view, view.table
        afis = [family.afi for family in self._families]
        self._look(routes, afis)
        for family in self._families:
            await self._send(routes.replay(family))
        while True:
            self._wake.clear()
            if self._asked:
                await self._again(routes, next(iter(self._asked)))
            elif self._told is not self._view:
                self._told = self._view
                changes = routes.change(self._view.table, afis)
                self._look(routes, afis)
                await self._send(changes)
            else:
                self.end_ribs()
                self._explain()
                await self._wake.wait()

    async def _first(self) -> View:
        """What is announced first: so that a peer that comes early gets one table, and not several, it waits for lists
        that are being read for the first time, and until routes are widened."""
        while True:
            assert self._view is not None
            if self._complete or self._view.ready:
                self._asked.clear()  # all of it is announced now
                return self._view
            self._wake.clear()
            await self._wake.wait()

    def _look(self, routes: PeerRoutes, afis: list[int]) -> None:
        self._survey = survey(routes.table, routes.form, afis)

    def _explain(self) -> None:
        """Logs why a session that is up gets nothing, or not all that it is to have; once for each reason."""
        if not (self.whole or self._complete) or (self.why, self.left_out) == self._explained:
            return
        self._explained = self.why, self.left_out
        if self.why:
            self.pipeline.log.warning("the session is up, and nothing is announced to it", why=self.why)
        for reason, count in self.left_out.items() if not self.why else ():
            self.pipeline.log.warning(f"routes are not announced: {reason}", routes=count)

    async def _again(self, routes: PeerRoutes, family: Family) -> None:
        """Answers a ROUTE-REFRESH (RFC 2918, RFC 7313)."""
        del self._asked[family]
        marks = self.session.facts.agreed(caps.ENHANCED_ROUTE_REFRESH) and family in self._ended
        if marks:
            self.say(self.replay, Message(ROUTE_REFRESH, RouteRefresh(family, BORR).encode()))
        await self._send(routes.replay(family))
        if marks:
            self.say(self.replay, Message(ROUTE_REFRESH, RouteRefresh(family, EORR).encode()))

    async def _send(self, blocks: Iterator[Block | None]) -> None:
        """Puts blocks on the line, which has an index of its own: the blocks are those of other peers too. Of all peers
        one works for some milliseconds each time that the event loop goes round."""
        while True:
            async with self.turns:
                try:
                    block = next(blocks)
                except StopIteration:
                    return
                await asyncio.sleep(0)
            if block is None:
                continue
            self.updates += len(block)
            await feed(self.pipeline, self.stream, (Block(block.octets, bytearray(block.index)),))
            self.pipeline.flush()
