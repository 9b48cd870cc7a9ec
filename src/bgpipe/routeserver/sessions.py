"""The BGP side of a route server: who may come in, and a pipeline for each peer.

    announcer -- limit -L ... -- (the connection)

A peer's session is a pipeline like those of `bgpipe`, so that its own routes are checked (RFC 7606), counted and
bounded by the same code. What it announces goes no further.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from ..net.acceptor import Acceptor, Arrival
from ..net.errors import explain_error
from ..net.tcp import TcpOptions, parse_networks
from ..pipeline import events
from ..pipeline.errors import StageError
from ..pipeline.events import Event
from ..pipeline.log import Log
from ..pipeline.pipeline import Pipeline
from ..pipeline.wiring import attach
from ..routes.peer_routes import PeerRoutes
from ..runtime.runner import Runner
from ..runtime.sessions import session_fields
from ..session.greeting import say
from ..session.session import Settings
from ..stages.limit import Limit
from ..stages.listen import GREETING, Listen
from ..tasks import Tasks
from ..wire.notification import CEASE, CONNECTION_REJECTED, Notification
from ..wire.open import Open
from .announcer import Announcer
from .config import Bgp
from .peers import Peer
from .settings import session_settings
from .tables import View

RESTART_WINDOW: Final = 120.0
"""Seconds after our start in which peers may still have routes of the run before (RFC 4724)."""
MINUTE: Final = 60.0


@dataclass(slots=True, eq=False)
class PeerSession:
    """A session with a peer. since: when it came up, in seconds since 1970, 0 before."""

    peer: Peer
    arrival: Arrival
    announcer: Announcer
    pipeline: Pipeline
    runner: Runner
    began: float
    since: float = 0.0

    @property
    def uptime(self) -> float:
        """Seconds since it came up, 0 before."""
        return time.time() - self.since if self.since else 0.0

    @property
    def up(self) -> bool:
        return self.since > 0 and not self.pipeline.stopping

    @property
    def connection_stage(self) -> Listen:
        found = self.pipeline.stages[-1]
        assert isinstance(found, Listen)
        return found


class Throttle:
    """Connections of each address in the last minute."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def admits(self, host: str) -> bool:
        """Counts a connection; whether it may come in."""
        if not self._most:
            return True
        now = self._clock()
        times = self._times.setdefault(host, deque())
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) >= self._most:
            return False
        times.append(now)
        if len(self._times) > 4096:
            self._times = {each: kept for each, kept in self._times.items() if kept[-1] > now - MINUTE}
        return True


class PeerSessions:
    """identify: the peer that a peer is, from its address and OPEN; None if it may not come in.
    begin: the first routes for a session. on_up, on_down: called when a session comes up, and when it is over."""

    def __init__(
        self,
        bgp: Bgp,
        log: Log,
        *,
        identify: Callable[[str, Open], Peer | None],
        begin: Callable[[PeerSession], tuple[PeerRoutes, View]],
    ) -> None:
        self.bgp = bgp
        self.sessions: dict[str, PeerSession] = {}
        """by the peer's id"""
        self.on_up: Callable[[PeerSession], object] = lambda session: None
        self.on_down: Callable[[PeerSession, str], object] = lambda session, reason: None
        self.acceptors: list[Acceptor] = []
        self._log = log
        self._identify = identify
        self._begin_routes = begin
        self._throttle = Throttle(bgp.max_accepts_per_ip_per_minute)
        self._started = time.monotonic()
        self._number = 0
        self._stopping = False
        self._tasks: Tasks
        self._runs: set[asyncio.Task[None]] = set()
        self._keys: dict[str, str] = {}
        """those that are set, by address"""

    def configure(self, bgp: Bgp) -> None:
        """Sessions that begin from now on are like this; our AS number and identifier, and where we listen, stay."""
        ours = self.bgp
        self.bgp = msgspec.structs.replace(
            bgp, asn=ours.asn, router_id=ours.router_id, port=ours.port, listen=ours.listen, listeners=ours.listeners
        )

    async def listen(self) -> None:
        """Opens the listening sockets. Raises OSError, ValueError."""
        places = [(address, self.bgp.port, "") for address in self.bgp.listen]
        places += [(each.address, each.port, each.md5_key) for each in self.bgp.listeners]
        for host, port, key in places or [("", self.bgp.port, "")]:
            options = TcpOptions(md5=key, min_ttl=self.bgp.min_ttl, ttl=255 if self.bgp.min_ttl else 0)
            acceptor = Acceptor(
                host, port, options, (), self._log, GREETING, timeout=float(self.bgp.open_timeout_seconds)
            )
            acceptor.objection = self._objection
            acceptor.on_arrival = self._on_arrival
            await acceptor.open()
            self.acceptors.append(acceptor)

    def start(self, tasks: Tasks) -> None:
        """Lets peers in."""
        self._tasks = tasks
        for acceptor in self.acceptors:
            acceptor.start(tasks)

    def set_keys(self, keys: Mapping[str, str]) -> None:
        """The keys of TCP MD5 (RFC 2385), by address; what is not there is not signed any more."""
        for address in self._keys.keys() | keys.keys():
            key = keys.get(address, "")
            if key == self._keys.get(address, ""):
                continue
            try:
                for acceptor in self.acceptors:
                    acceptor.sign(parse_networks([address])[0], key)
            except OSError as error:
                full = "; more keys need a larger net.core.optmem_max" if error.errno == errno.ENOMEM else ""
                text = f"the key of a peer can't be set: {error.strerror}{full}"
                self._log.error(text, peer=address)
                continue
            self._keys[address] = key
        self._keys = {address: key for address, key in self._keys.items() if key}

    async def stop(self) -> None:
        """Ends all sessions: silently where the peer keeps our routes, else with Cease."""
        self._stopping = True
        for acceptor in self.acceptors:
            await acceptor.close()
        for session in tuple(self.sessions.values()):
            session.runner.interrupt()
        while self._runs:
            await asyncio.wait(self._runs)

    def end(self, peer: Peer, notification: Notification) -> None:
        """Ends the session of a peer, if there is one, with a NOTIFICATION."""
        session = self.sessions.get(peer.id)
        if session is not None:
            session.connection_stage.notify(notification)
            session.runner.interrupt()

    # peers that come in

    def _objection(self, host: str) -> str:
        return "" if self._throttle.admits(host) else f"more than {self.bgp.max_accepts_per_ip_per_minute} a minute"

    def _on_arrival(self, arrival: Arrival) -> None:
        if self._stopping:
            arrival.refuse("stopping", "we are stopping", say(Notification.shutdown()))
            return
        peer = self._identify(arrival.host, arrival.first)
        if peer is None:
            text = f"AS{arrival.first.asn} at this address is no peer of ours"
            arrival.refuse("unknown", text, say(Notification(CEASE, CONNECTION_REJECTED)))
            return
        if peer.id in self.sessions:  # a peer that has lost its session knows it before we do
            self._log.info("a newer connection takes the place of a session", peer=arrival.endpoint)
            self.sessions.pop(peer.id).runner.interrupt()
        self._begin(peer, arrival)

    def _begin(self, peer: Peer, arrival: Arrival) -> None:
        restarting = time.monotonic() - self._started < min(RESTART_WINDOW, self.bgp.restart_time)
        settings = session_settings(self.bgp, arrival.first, remote_asn=peer.asn, restarting=restarting)
        pipeline = self._pipeline(peer, arrival, settings)
        announcer = pipeline.stages[0]
        assert isinstance(announcer, Announcer)
        session = PeerSession(peer, arrival, announcer, pipeline, Runner(pipeline, self._tasks), time.time())
        announcer.begin = partial(self._begin_routes, session)
        self.sessions[peer.id] = session
        pipeline.bus.on([events.ESTABLISHED], partial(self._on_established, session))
        task = self._tasks.begin("session", self._run(session))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    def _pipeline(self, peer: Peer, arrival: Arrival, settings: Settings) -> Pipeline:
        self._number += 1
        log = self._log.bind(session=self._number) if hasattr(self._log, "bind") else self._log
        pipeline = Pipeline(log=log)
        pipeline.number = self._number
        pipeline.on_kill = lambda reason: pipeline.fail(StageError(f"{reason}", reason="limit"))
        pipeline.add(Announcer(settings, first_wait=self.bgp.first_wait, retains=self.bgp.graceful_restart), index=1)
        most = self.bgp.max_prefixes_per_peer if peer.max_prefix is None else peer.max_prefix
        if most:
            limit = Limit("limit")
            limit.scan(["--left", "--ipv4", "--ipv6", f"--session={most}"])
            pipeline.add(limit, index=2)
            pipeline.bus.on(["limit/session"], lambda event: pipeline.kill(event.name, event))
        connection = Listen("listen", [":179"])
        connection.scan([])
        connection.adopt(arrival)
        pipeline.add(connection, index=3)
        attach(pipeline)
        return pipeline

    def _on_established(self, session: PeerSession, event: Event) -> None:
        session.since = time.time()
        self.on_up(session)

    async def _run(self, session: PeerSession) -> None:
        log, reason = session.pipeline.log, "ended"
        try:
            await session.runner.run()
            log.info("session ended", **session_fields(session.pipeline, session.uptime))
        except StageError as error:
            reason = str(error)
            log.info(f"session ended: {error}", **session_fields(session.pipeline, session.uptime, error))
        except Exception as error:
            reason = explain_error(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            log.error(f"session ended: unexpected {reason}")
            log.debug("unexpected error", exc_info=error)
        finally:
            session.arrival.abort()
            if self.sessions.get(session.peer.id) is session:
                del self.sessions[session.peer.id]
            self.on_down(session, reason)
