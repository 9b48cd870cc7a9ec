"""Take in what routers report by BMP, or report a session to BMP stations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ssl import SSLContext
from typing import Any, Final

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
from ..pipeline.options import DURATION, FLAG, INTEGER, LIST, TEXT, Option
from ..pipeline.stage import Progress
from ..wire.item import Item
from .base.bmp_collector import Collector
from .base.bmp_report import Report, ReportedPeer
from .base.bmp_router import ReportingRouter
from .base.bmp_station import EVENTS, GREETING, Limits, Station
from .base.coding import Reading
from .base.peer import PeerStage
from .base.peer_options import TcpStage
from .base.tap import GuardedTap
from .base.types import chosen_types

_MODES: Final = (
    ({"retry"}, ("--connect",)),
    ({"timeout", "insecure"}, ("--connect", "--send")),
    ({"allow", "open-timeout", "max-routers"}, ("ADDR",)),
    ({"max-peers", "max-routes", "state", "type", "skip", "pardon", "strict"}, ("ADDR", "--connect")),
    ({"sys-name", "stats", "stall-timeout"}, ("--send",)),
)
"""Options, and with what they mean something."""


class Bmp(Reading, TcpStage):
    """Take in what routers report by BMP, or report a session to BMP stations.

    Any number of routers may connect to ADDR, `:PORT` or an address with a port. With --connect, we call routers that
    wait for it. A router that stalls, or sends something else, harms its own connection only. With --send, the peers of
    a session are reported to stations.
    """

    argument = "ADDR"
    both = True
    own_events = (*EVENTS.values(), "ROUTER_UP", "ROUTER_DOWN", "LIMIT", "STATION_UP", "STATION_DOWN")

    connect = Option(LIST, (), "call these routers, which wait for it", metavar="ADDR")
    send = Option(
        LIST,
        (),
        "report both peers of the session to these stations: with -R or -L only what travels in that direction",
        metavar="ADDR",
    )
    sys_name = Option(TEXT, "", "with --send: who we say that we are (sysName); the name of the host", metavar="NAME")
    stats = Option(DURATION, 60.0, "with --send: report statistics each time this duration has passed; 0 never does")
    stall_timeout = Option(
        DURATION, 30.0, "with --send: cut a station off that takes nothing for this time; 0 waits for ever"
    )
    retry = Option(FLAG, False, "with --connect, call again when a router does not answer, or has ended the connection")
    timeout = Option(DURATION, 15.0, "with --connect or --send, wait this long for an answer; 0 waits for ever")
    insecure = Option(FLAG, False, "with --tls and --connect or --send, accept any certificate")
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
    report: Report | None = None

    @property
    def needs_argument(self) -> bool:
        return not (self.connect or self.send)

    @property
    def produces(self) -> bool:  # type: ignore[override]
        return not self.send

    @property
    def takes(self) -> bool:  # type: ignore[override]
        return bool(self.send)

    def attach(self) -> None:
        self.reported: list[ReportedPeer] = []
        if self.send and self.connect:
            raise ConfigError("--send and --connect exclude each other")
        calls = self.connect or self.send
        try:
            self.places = [parse_endpoint(each, 0) for each in calls or self.arguments[:1]]
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        for host, port in self.places:
            if not port or "/" in host or (calls and not host):
                raise ArgumentError(f"not an address with a port: {format_endpoint((host, port))}")
        try:
            self.networks: list[Network] = parse_networks(self.allow)
        except ValueError as error:
            raise ConfigError(f"--allow: {error}") from None
        if min(self.max_routers, self.max_peers, self.max_routes) < 0:
            raise ConfigError("--max-routers, --max-peers and --max-routes can't be negative")
        self._check_options()
        if self.send:
            if not any(isinstance(stage, PeerStage) for stage in self.pipeline.stages):
                raise ConfigError("--send reports a session: it needs listen or connect in the command line")
            return
        self.choose_types(chosen_types(self.type, self.skip))
        self.inlet = self.feed_into()
        self._over = asyncio.Event()

    def _check_options(self) -> None:
        """Raises ConfigError."""
        mode = "--send" if self.send else "--connect" if self.connect else "ADDR"
        for names, modes in _MODES:
            if (wrong := sorted(names & self.explicit)) and mode not in modes:
                raise ConfigError(f"--{wrong[0]}: only with {' or '.join(modes)}")
        self.check_options()
        if self.tls and mode == "ADDR" and not self.cert:
            raise ConfigError("--tls needs --cert, and --key if the key is in another file")

    async def prepare(self) -> None:
        if self.send:
            self._begin_report()
            return
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
        if self.connect or self.send:
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
        if not self.send:
            self._over.set()

    async def stop(self) -> None:
        if self.send:
            return
        self._over.set()
        if self.acceptor is not None:
            await self.acceptor.close()
        self.station.close()

    # stations that are reported to

    def _begin_report(self) -> None:
        """Raises StageError."""
        try:
            options = self.tcp_options()
        except (OSError, ValueError) as error:
            raise StageError(f"{self}: {explain_error(error)}") from error

        def make() -> Report:
            return Report(
                self.places,
                options,
                name=self.sys_name,
                timeout=self.timeout,
                stall_timeout=self.stall_timeout,
                log=self.pipeline.log,
            )

        self.report = report = self.pipeline.shared.take(self._report_key, make, Report.close)
        report.on_change.append(self._on_station)
        every = self.left == self.right
        for stage in self.pipeline.stages:
            if isinstance(stage, PeerStage):
                peer = ReportedPeer(
                    stage,
                    incoming=every or (self.right if stage.side == "L" else self.left),
                    outgoing=every or (self.left if stage.side == "L" else self.right),
                    now=self.pipeline.now,
                    write=report.write,
                )
                stage.taps.append(GuardedTap(self, peer))
                self.reported.append(peer)
                report.peers[peer] = None
        if self.stats > 0:
            self.spawn("statistics", self._tell_statistics(report))

    @property
    def _report_key(self) -> tuple[str, str]:
        """The key under which all sessions of a command line share the stations."""
        return "bmp", str(self)

    async def _tell_statistics(self, report: Report) -> None:
        while True:
            await asyncio.sleep(self.stats)
            for peer in self.reported:
                for _ in iter(peer.digest, False):  # others have their turn
                    await asyncio.sleep(0)
            report.tell_statistics(self.reported)

    def _on_station(self, station: Collector) -> None:
        self.event("STATION_UP" if station.connected else "STATION_DOWN", None, station.place)
        text = "reporting by BMP" if station.connected else "the connection to a BMP station has ended"
        self.pipeline.log.info(text, stage=str(self), remote=station.place)

    async def conclude(self) -> None:
        """All connections to peers have ended."""
        if self.report is None:
            return
        for peer in self.reported:
            peer.end()
            del self.report.peers[peer]
        self.report.on_change.remove(self._on_station)
        await self.pipeline.shared.give_back(self._report_key)

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
        if self.report is not None:
            stations = [each.status() for each in self.report.collectors]
            counts = {"connects": sum(each["connects"] for each in stations)}
            counts["cut_off"] = sum(each["cut_off"] for each in stations)
            return {"metrics": counts, "stations": stations, "peers": [peer.status() for peer in self.reported]}
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
