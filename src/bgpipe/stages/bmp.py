"""Take in what routers report by BMP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ssl import SSLContext
from typing import Any

from ..formats.base import Damage
from ..net.acceptor import Acceptor, Arrival
from ..net.backoff import STABLE_AFTER, backoff
from ..net.connection import adopt
from ..net.errors import explain_error
from ..net.tcp import Network, dial, format_endpoint, parse_endpoint, parse_networks
from ..net.tls import client_context, server_context
from ..pipeline import events
from ..pipeline.errors import ArgumentError, ConfigError, StageError
from ..pipeline.measure import slug_of
from ..pipeline.metrics import Metrics
from ..pipeline.options import DURATION, FLAG, INTEGER, LIST, Option
from ..pipeline.stage import Progress
from ..wire.item import Item
from .base.bmp_router import ReportingRouter
from .base.bmp_station import EVENTS, GREETING, Limits, Station
from .base.coding import Reading
from .base.peer_options import TcpStage
from .base.types import chosen_types


class Bmp(Reading, TcpStage):
    """Take in what routers report by BMP.

    Any number of routers may connect to ADDR, `:PORT` or an address with a port. With --connect, we call routers that
    wait for it. A router that stalls, or sends something else, harms its own connection only.
    """

    argument = "ADDR"
    own_events = (*EVENTS.values(), "ROUTER_UP", "ROUTER_DOWN", "LIMIT")

    connect = Option(LIST, (), "call these routers, which wait for it", metavar="ADDR")
    retry = Option(FLAG, False, "with --connect, call again when a router does not answer, or has ended the connection")
    timeout = Option(DURATION, 15.0, "with --connect, wait this long for an answer; 0 waits for ever")
    insecure = Option(FLAG, False, "with --connect and --tls, accept any certificate")
    allow = Option(LIST, (), "accept only routers with these addresses", metavar="CIDR")
    open_timeout = Option(DURATION, 10.0, "close a connection if no BMP message comes within this time; 0 never does")
    max_routers = Option(INTEGER, 0, "refuse more than N routers at the same time; 0 sets no limit", metavar="N")
    max_peers = Option(
        INTEGER, 10_000, "close the connection to a router that reports more than N peers; 0 sets no limit", metavar="N"
    )
    max_routes = Option(
        INTEGER,
        0,
        "close the connection to a router that reports more than N routes, of all its peers together; 0 sets no limit",
        metavar="N",
    )
    state = Option(FLAG, False, "give the BMP messages without an UPDATE too, as lines of the type BMP")
    type = Option(LIST, (), "take only messages of these types", metavar="TYPES")
    skip = Option(LIST, (), "take no messages of these types", metavar="TYPES")

    acceptor: Acceptor | None = None

    @property
    def needs_argument(self) -> bool:
        return not self.connect

    def attach(self) -> None:
        try:
            self.places = [parse_endpoint(each, 0) for each in self.connect or self.arguments[:1]]
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        for host, port in self.places:
            if not port or "/" in host or (self.connect and not host):
                raise ArgumentError(f"not an address with a port: {format_endpoint((host, port))}")
        try:
            self.networks: list[Network] = parse_networks(self.allow)
        except ValueError as error:
            raise ConfigError(f"--allow: {error}") from None
        if min(self.max_routers, self.max_peers, self.max_routes) < 0:
            raise ConfigError("--max-routers, --max-peers and --max-routes can't be negative")
        mine = {"retry", "timeout", "insecure"} if not self.connect else {"allow", "open-timeout", "max-routers"}
        if wrong := sorted(mine & self.explicit):
            where = "only with --connect" if not self.connect else "not with --connect"
            raise ConfigError(f"--{wrong[0]}: {where}")
        self.check_options()
        if self.tls and not self.connect and not self.cert:
            raise ConfigError("--tls needs --cert, and --key if the key is in another file")
        self.choose_types(chosen_types(self.type, self.skip))
        self.inlet = self.feed_into()
        self._over = asyncio.Event()

    async def prepare(self) -> None:
        self.station = Station(
            self,
            self.inlet,
            Limits(self.max_peers, self.max_routes),
            states=self.state or any(stage.wants_states for stage in self.pipeline.stages),
            choose=self._choose,
            on_end=self._on_end,
            on_damage=self._on_router_damage,
        )
        self._counted = {"messages": 0, "damaged": 0}
        try:
            self.options = self.tcp_options()
            if not self.connect:
                await self._listen()
        except (OSError, ValueError) as error:
            raise StageError(f"{self}: {explain_error(error)}") from error

    def tls_context(self) -> SSLContext:
        if self.connect:
            return client_context(cert=self.cert, key=self.key, ca=self.ca, insecure=self.insecure)
        return server_context(cert=self.cert, key=self.key, ca=self.ca)

    def _choose(self, items: Iterator[Item]) -> Iterator[Item]:
        return iter(self.choose_items(self.inlet, items))

    # routers that call

    async def _listen(self) -> None:
        """Raises OSError, ValueError."""
        ((host, port),) = self.places
        self.acceptor = acceptor = Acceptor(
            host, port, self.options, self.networks, self.pipeline.log, GREETING, timeout=self.open_timeout
        )
        acceptor.on_arrival = self._on_arrival
        await acceptor.open()

    def _on_arrival(self, arrival: Arrival) -> None:
        if self.max_routers and len(self.station.routers) >= self.max_routers:
            arrival.refuse("full", f"{self.max_routers} routers are connected already (--max-routers)")
            return
        octets, arrival.octets = arrival.octets, b""
        self._add(arrival.connection, arrival.host, arrival.endpoint, octets)

    def _add(self, connection: Any, host: str, endpoint: str, octets: bytes = b"") -> ReportingRouter:
        self.pipeline.log.info("router connected", stage=str(self), remote=endpoint)
        self.event("ROUTER_UP", None, endpoint)
        return self.station.add(connection, host, endpoint, octets)

    def _on_end(self, router: ReportingRouter) -> None:
        counts = router.decoder.counts
        self._counted["messages"] += counts.messages
        self._counted["damaged"] += counts.damaged
        tell = self.pipeline.log.warning if router.reason in ("limit", "damaged", "error") else self.pipeline.log.info
        tell(
            f"router gone: {router.end}",
            stage=str(self),
            remote=router.endpoint,
            router=router.name,
            messages=counts.messages,
            damaged=counts.damaged,
        )
        self.event("ROUTER_DOWN", None, router.name, router.end)

    def _on_router_damage(self, router: ReportingRouter, damage: Damage) -> None:
        self.on_damage(f"{router.endpoint}: {damage}")

    # routers that are called

    async def run(self) -> None:
        if self.acceptor is not None:
            self.acceptor.start(self.tasks)
            await self._over.wait()
        else:
            calls = [self.spawn(f"call {format_endpoint(place)}", self._call(*place)) for place in self.places]
            await asyncio.wait(calls)
        self.judge_damage()

    async def _call(self, host: str, port: int) -> None:
        """Calls one router: again and again, with --retry."""
        place, attempt = format_endpoint((host, port)), 0
        loop = asyncio.get_running_loop()
        while True:
            attempt += 1
            timeout = self.timeout if self.timeout > 0 else None
            began = loop.time()
            try:
                connected = await dial(host, port, self.options, timeout)
                connection = await adopt(connected, self.options, server=False, host=host, timeout=timeout)
            except (OSError, ValueError) as error:
                if not self.retry:
                    raise StageError(f"{self}: {place}: {explain_error(error)}") from error
                self.pipeline.log.warning(f"{place}: {explain_error(error)}", stage=str(self))
            else:
                router = self._add(connection, host, connection.remote)
                await self.station.gone(router)
                if not self.retry:
                    return
                attempt = 0 if loop.time() - began > STABLE_AFTER else attempt
            self.pipeline.emit(events.RECONNECT, stage=str(self), values=(attempt,))
            await asyncio.sleep(backoff(max(attempt, 1)))

    def input_ended(self) -> None:
        self._over.set()

    async def stop(self) -> None:
        self._over.set()
        if self.acceptor is not None:
            await self.acceptor.close()
        self.station.close()

    # what it shows

    def _count(self, name: str) -> int:
        return self._counted[name] + sum(int(getattr(each.decoder.counts, name)) for each in self.station.routers)

    def progress(self) -> Progress | None:
        if not hasattr(self, "station"):
            return None
        states, messages = self.station.counts, self._count("messages")
        return Progress(
            records=messages + states.total(),
            messages=messages,
            states=states.total(),
            skipped=0,
            damages=self.damages,
            kinds=states,
        )

    def status(self) -> dict[str, Any]:
        if not hasattr(self, "station"):
            return {}
        counts = {"messages": self._count("messages"), "damaged": self.damages, "reports": dict(self.station.counts)}
        counts["ended"] = dict(self.station.ends)
        return {"metrics": counts} | self.station.status()

    def measure(self, metrics: Metrics) -> None:
        if self.acceptor is not None:
            self.acceptor.measure(metrics)
        if hasattr(self, "station"):
            self.station.measure(metrics, slug_of(self))
