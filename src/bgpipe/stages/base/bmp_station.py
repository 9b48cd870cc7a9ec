"""Takes in what many routers report by BMP, each in its turn, so that none keeps the event loop or others waiting."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ...formats.base import Damage
from ...formats.bmp import first_message
from ...net.acceptor import Greeting
from ...pipeline.errors import StageError
from ...wire.bmp import (
    INITIATION,
    PEER_DOWN,
    PEER_UP,
    STATISTICS,
    TERMINATION,
    BmpMessage,
)
from ...wire.errors import WireError
from ...wire.item import Item
from .bmp_router import READ_SIZE, ReportingRouter

if TYPE_CHECKING:
    from ...net.connection import Connection
    from ...pipeline.input import Feed, Input
    from ...pipeline.metrics import Metrics
    from ...pipeline.stage import Stage

TURN: Final = 0.01
"""Seconds for which messages are taken in before timers and others have their turn."""
EVENTS: Final = {
    INITIATION: "INITIATION",
    PEER_UP: "PEER_UP",
    PEER_DOWN: "PEER_DOWN",
    STATISTICS: "STATISTICS",
    TERMINATION: "TERMINATION",
}
"""The events of BMP messages, by type."""

GREETING: Final = Greeting(name="BMP message", read=first_message, errors=WireError, explain=lambda error: b"")


class Limits:
    """The most that one router may have; 0 sets no limit."""

    def __init__(self, peers: int, routes: int) -> None:
        self.peers = peers
        self.routes = routes

    def exceeded(self, router: ReportingRouter) -> str:
        """What is too much, "" for nothing."""
        if self.peers and max(len(router.router.contexts), router.tables // 8) > self.peers:
            return f"more than {self.peers} peers (--max-peers)"
        if self.routes and router.routes > self.routes:
            return f"more than {self.routes} routes (--max-routes)"
        return ""


class Station:
    """Feeds what routers send into the input of a stage.

    states: give BmpMessages to the line too. choose: which items enter. on_end: called with a router whose connection
    has ended. on_damage: called with a router, and what of it can't be read.
    """

    def __init__(
        self,
        stage: Stage,
        inlet: Input,
        limits: Limits,
        *,
        states: bool,
        choose: Callable[[Iterator[Item]], Iterator[Item]],
        on_end: Callable[[ReportingRouter], object],
        on_damage: Callable[[ReportingRouter, Damage], None],
    ) -> None:
        self._stage = stage
        self._inlet = inlet
        self._limits = limits
        self._states = states
        self._choose = choose
        self._on_end = on_end
        self._on_damage = on_damage
        self.routers: dict[ReportingRouter, None] = {}
        self.ends: Counter[str] = Counter()
        """connections that have ended, by reason"""
        self.counts: Counter[str] = Counter()
        """BMP messages without an UPDATE, by type, of all routers so far"""
        self._queue: deque[tuple[ReportingRouter, bytes]] = deque()
        """routers that wait for their turn, with what was read of them; they are not read meanwhile"""
        self._feed: Feed | None = None
        self._current: ReportingRouter | None = None
        self._turn_ends = 0.0
        self._waits_for_turn = False

    def add(self, connection: Connection, host: str, endpoint: str, octets: bytes = b"") -> ReportingRouter:
        """Takes a connection. octets: what has been read of it so far."""
        stage = self._stage
        router = ReportingRouter(connection, host, endpoint, context=stage.pipeline.context, on_damage=self._on_damage)
        self.routers[router] = None
        connection.on_octets = partial(self._on_octets, router)
        connection.on_error = partial(self._on_error, router)
        connection.on_closed = partial(self._on_closed, router)
        connection.limit_reading(READ_SIZE)
        if octets:
            self._on_octets(router, octets)
        if self._current is not router and not any(waiting is router for waiting, _ in self._queue):
            connection.resume()
        return router

    def close(self) -> None:
        """Closes all connections."""
        self._queue.clear()
        for router in tuple(self.routers):
            router.refuse("stopped", "we are stopping")

    # octets

    def _on_octets(self, router: ReportingRouter, octets: bytes) -> None:
        octets = router.complete(octets)
        if not octets:
            return
        if self._feed is not None or self._queue or (self._waits_for_turn and monotonic() >= self._turn_ends):
            router.connection.pause()
            self._queue.append((router, octets))
            return
        self._begin(router, octets)
        self._advance()

    def _begin(self, router: ReportingRouter, octets: bytes) -> None:
        if not self._waits_for_turn:
            self._waits_for_turn = True
            self._turn_ends = monotonic() + TURN
            self._stage.call_soon(self._next_turn)
        self._current = router
        self._feed = self._inlet.feed(self._choose(self._items(router, octets)))

    def _next_turn(self) -> None:
        self._waits_for_turn = False
        while self._feed is None and self._queue:
            router, octets = self._queue.popleft()
            if router.refused:
                continue
            self._begin(router, octets)
            self._advance()
            if monotonic() >= self._turn_ends:
                return

    def _advance(self) -> None:
        """Takes in what was read of the current router, as far as the lines take it."""
        router, pipeline = self._current, self._stage.pipeline
        assert router is not None
        assert self._feed is not None
        wait = self._feed.step()
        pipeline.flush()
        if wait is not None:
            router.connection.pause()
            if wait == math.inf:
                pipeline.when_released(self._go_on, self._stage)
            else:
                self._stage.call_later(wait, self._go_on)
            return
        self._feed = self._current = None
        router.decoded()
        if router in self.routers:
            router.connection.resume()
        elif not any(waiting is router for waiting, _ in self._queue):
            self._finish(router)

    def _go_on(self) -> None:
        if self._feed is None:
            return
        self._advance()
        if not self._waits_for_turn:
            self._next_turn()

    def _items(self, router: ReportingRouter, octets: bytes) -> Iterator[Item]:
        items = router.decoder.feed(octets)
        while not router.refused:
            try:
                item = next(items, None)
            except StageError:
                raise  # --strict
            except Exception as error:  # whatever it is, it is this router's alone
                text = f"unexpected {type(error).__name__}: {error}"
                self._stage.pipeline.log.error(text, stage=str(self._stage), router=router.endpoint)
                self._stage.pipeline.log.debug("unexpected error", exc_info=error)
                router.refuse("error", text)
                return
            if item is None:
                break
            if isinstance(item, BmpMessage):
                self._take(router, item)
                if self._states:
                    yield item
            else:
                if self._limits.routes:
                    router.count_routes(item)
                yield item
            if excess := self._limits.exceeded(router):
                self._stage.event("LIMIT", None, router.name, excess)
                router.refuse("limit", excess)

    def _take(self, router: ReportingRouter, message: BmpMessage) -> None:
        router.note(message)
        self.counts[message.format_type().lower()] += 1
        if name := EVENTS.get(message.bmp_type if message.is_known else -1):
            told = (f"{key}={value}" for key, value in message.content().items())
            peer = (message.tags["PEER_IP"],) if "PEER_IP" in message.tags else ()
            self._stage.event(name, message, router.name, *peer, *told)
            if name == "TERMINATION":
                router.refuse("termination", str(message.content().get("reason", "Termination")))

    # ends

    def _on_error(self, router: ReportingRouter, error: Exception) -> None:
        """An unexpected error in what was read of one router, or in a stage that has got it."""
        if self._feed is not None and self._current is router:
            self._feed.end()
            self._feed = self._current = None
        router.refuse("error", f"{type(error).__name__}: {error}")
        self._stage.on_failure(error)

    def _on_closed(self, router: ReportingRouter, error: Exception | None) -> None:
        if router not in self.routers:
            return
        del self.routers[router]
        if not router.end:
            router.reason, router.end = ("reset", "connection reset") if error is not None else ("closed", "closed")
        self.ends[router.reason] += 1
        if router is not self._current and not any(waiting is router for waiting, _ in self._queue):
            self._finish(router)

    def _finish(self, router: ReportingRouter) -> None:
        """All that a router has sent is taken in, and its connection is closed."""
        if not router.refused:
            router.cut_short()
        self._on_end(router)
        router.over.set()

    # what it shows

    def status(self) -> dict[str, Any]:
        return {"routers": [router.status() for router in self.routers]}

    def measure(self, metrics: Metrics, stage: str) -> None:
        """Adds gauges of the routers that are connected, and what they say about their peers."""
        metrics.add("bgpipe_bmp_routers", len(self.routers), stage=stage)
        for router in self.routers:
            labels = {"stage": stage, "router": router.name}
            metrics.add("bgpipe_bmp_peers", len(router.told_peers), **labels)
            for (ip, asn, _), told in router.statistics.items():
                for name, value in told.items():
                    metrics.add("bgpipe_bmp_statistics", value, **labels, peer=ip, asn=asn, statistic=name)

    async def gone(self, router: ReportingRouter) -> None:
        """Waits until the connection of a router has ended, and all that it has sent is taken in."""
        await router.over.wait()
