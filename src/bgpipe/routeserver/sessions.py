"""The BGP side of a route server: who may come in, and a pipeline for each peer.

    announcer -- limit -L ... -- STAGES -- (the connection)

A peer's session is a pipeline like those of `bgpipe`, so that its own routes are checked (RFC 7606), counted and
bounded by the same code. What it announces goes no further. STAGES: those of the configuration (peer_stages.py).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec

from ..net.acceptor import Arrival
from ..net.connection import Connection, adopt
from ..net.errors import explain_error
from ..net.tcp import TcpOptions, dial, parse_endpoint, parse_networks, split_ao
from ..pipeline import events
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.events import Event
from ..pipeline.log import Log
from ..pipeline.pipeline import Pipeline
from ..pipeline.wiring import attach
from ..routes.peer_routes import PeerRoutes
from ..runtime.runner import Runner
from ..runtime.sessions import session_fields
from ..session.collision import COLLISION_WINDOW, survivor
from ..session.greeting import say
from ..session.session import Settings
from ..stages.limit import MOST, Limit
from ..tasks import Tasks
from ..wire.notification import (
    ADMINISTRATIVE_RESET,
    CEASE,
    COLLISION,
    CONNECTION_REJECTED,
    OUT_OF_RESOURCES,
    Notification,
)
from ..wire.open import Open
from .admission import Entrance
from .announcer import Announcer
from .caller import Caller
from .config import Bgp, Listener
from .link import Link
from .listening import Listening
from .peer_stages import PeerStages
from .peers import Peer
from .settings import session_settings
from .tables import View

DIAL_TIMEOUT: Final = 15.0
"""Seconds that a peer may take to answer when we call it."""
OPTIONS_CHANGED: Final = "the settings of this session were changed on the route server: connect again"
MAX_SESSIONS: Final = 16
"""Routers with one address and AS number, told apart by their identifiers, that may have sessions."""
RESTART_WINDOW: Final = 120.0
"""Seconds after our start in which peers may still have routes of the run before (RFC 4724)."""
MINUTE: Final = 60.0


@dataclass(slots=True, eq=False)
class PeerSession:
    """A session with a peer.

    key: under which it is shown. theirs: the peer's OPEN, as soon as it is there. since: when it came up, in seconds
    since 1970, 0 before. over: set when it has ended. told: what we have told the peer when we ended it.
    """

    peer: Peer
    connection: Connection
    announcer: Announcer
    link: Link
    pipeline: Pipeline
    runner: Runner
    began: float
    theirs: Open | None = None
    since: float = 0.0
    key: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    told: str = ""

    @property
    def called(self) -> bool:
        """Whether the peer opened the connection."""
        return self.link.server

    @property
    def local(self) -> str:
        """Our address."""
        return parse_endpoint(self.connection.local)[0]

    @property
    def uptime(self) -> float:
        """Seconds since it came up, 0 before."""
        return time.time() - self.since if self.since else 0.0

    @property
    def prefixes_received(self) -> int:
        """How many prefixes the peer announces to us."""
        return sum(stage.routes.count for stage in self.pipeline.stages if isinstance(stage, Limit))

    @property
    def up(self) -> bool:
        return self.since > 0 and not self.pipeline.stopping

    def end(self, notification: Notification) -> None:
        """Ends it with a NOTIFICATION."""
        self.told = notification.text or str(notification)
        self.link.notify(notification)
        self.runner.interrupt()


_STAGE: Final = re.compile(r"^\[\d+\] (?:announcer|limit|peer): ")
"""A stage that every session has, at the beginning of an error: who reads of a session knows nothing of these."""


class Throttle:
    """Connections of each address in the last minute. most: so many are admitted, 0 for any number."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def admits(self, host: str) -> bool:
        """Counts a connection; whether it may come in."""
        if not self.most:
            return True
        now = self._clock()
        times = self._times.setdefault(host, deque())
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) >= self.most:
            return False
        times.append(now)
        if len(self._times) > 4096:
            self._times = {each: kept for each, kept in self._times.items() if kept[-1] > now - MINUTE}
        return True


class PeerSessions:
    """identify: the peer that a peer is, from its address, its OPEN and how it has come in; or why it may not come in.
    begin: the first routes for a session. stages: words of stages that each has. on_up, on_down: called when a session
    comes up, and when it is over."""

    def __init__(
        self,
        bgp: Bgp,
        log: Log,
        *,
        identify: Callable[[str, Open, Entrance], Peer | str],
        begin: Callable[[PeerSession], Awaitable[tuple[PeerRoutes, View]]],
        stages: Sequence[str] = (),
    ) -> None:
        self.bgp = bgp
        self.stages = PeerStages(stages)
        self.sessions: dict[str, PeerSession] = {}
        """by the peer's id, for all but the first router behind one address with one AS number with `/` and its
        identifier; of two connections with one router the one that goes on, or is nearer to that"""
        self.calls: dict[str, Caller] = {}
        """by the peer's id, who calls those that are to be called"""
        self.on_up: Callable[[PeerSession], object] = lambda session: None
        self.on_down: Callable[[PeerSession, str], object] = lambda session, reason: None
        self._log = log
        self._identify = identify
        self._begin_routes = begin
        self._throttle = Throttle(bgp.max_accepts_per_ip_per_minute)
        self._started = time.monotonic()
        self._number = 0
        self._stopping = False
        self._tasks: Tasks
        self._all: dict[str, list[PeerSession]] = {}
        """by the peer's id, all that have not ended"""
        self.turns = asyncio.Lock()
        self._runs: set[asyncio.Task[None]] = set()
        self.listening = Listening(log, self._objection, self._on_arrival)
        self.keys = self.listening.keys

    async def listen(self) -> None:
        """Opens the listening sockets. Raises OSError, ValueError."""
        await self.listening.open(self.bgp)

    def start(self, tasks: Tasks) -> None:
        """Lets peers in."""
        self._tasks = tasks
        self.listening.start(tasks)

    def configure(self, bgp: Bgp) -> None:
        """Sessions that begin from now on are like this. Those that there are stay, unless we are another one now."""
        before, self.bgp = self.bgp, bgp
        self._throttle.most = bgp.max_accepts_per_ip_per_minute
        if (before.asn, before.router_id) != (bgp.asn, bgp.router_id):
            for session in [each for sessions in self._all.values() for each in sessions]:
                session.end(Notification.shutdown(OPTIONS_CHANGED, ADMINISTRATIVE_RESET))
        self._tasks.spawn("listen", self._listen_anew(bgp))

    async def _listen_anew(self, bgp: Bgp) -> None:
        try:
            await self.listening.change(bgp)
        except (OSError, ValueError) as error:
            text = explain_error(error) if isinstance(error, OSError) else str(error)
            self._log.error(f"we listen where we did before: {text}")

    async def stop(self) -> None:
        """Ends all sessions: silently where the peer keeps our routes, else with Cease."""
        self._stopping = True
        await self.close()
        for caller in self.calls.values():
            caller.stop()
        for session in [each for sessions in self._all.values() for each in sessions]:
            session.runner.interrupt()
        while self._runs:
            await asyncio.wait(self._runs)
        await self.stages.close(self._log)

    async def close(self) -> None:
        """Stops listening."""
        await self.listening.close()

    def end(self, peer: Peer, notification: Notification) -> None:
        """Ends the sessions of a peer, if there are any, with a NOTIFICATION."""
        for session in self.of(peer.id):
            session.end(notification)

    # peers that we call

    def call(self, peers: Iterable[Peer]) -> None:
        """These are the peers that there are: those whose `connect` says so are called whenever they have no session.
        Sessions whose options have changed begin anew."""
        wanted = {peer.id: peer for peer in peers if peer.session.connect and peer.status != "barred"}
        for id in self.calls.keys() - wanted.keys():
            self.calls.pop(id).stop()
        for id, peer in wanted.items():
            if id not in self.calls:
                self.calls[id] = Caller(peer, self, self._tasks, self._log)
            self.calls[id].peer = peer

    def options_changed(self, peer: Peer) -> None:
        """Ends the sessions of a peer that began with other options than it has now. One that has got more keys of
        TCP-AO goes on, and takes these too."""
        for session in self.of(peer.id):
            before, now = session.peer.session, peer.session
            more = [each for each in split_ao(now.ao) if each not in split_ao(before.ao)]
            fewer = set(split_ao(before.ao)) - set(split_ao(now.ao))
            same = msgspec.structs.replace(now, ao=before.ao) == before
            if not same or fewer or (more and not before.ao) or session.peer.md5_password != peer.md5_password:
                session.end(Notification.shutdown(OPTIONS_CHANGED, ADMINISTRATIVE_RESET))
            elif more:
                self._add_keys(session, peer, more)

    def _add_keys(self, session: PeerSession, peer: Peer, keys: list[str]) -> None:
        try:
            session.connection.add_ao(keys, parse_networks([peer.ip])[0])
        except OSError as error:
            self._log.error("a session can't take a new key of TCP-AO", peer=peer.ip, error=explain_error(error))
            session.end(Notification.shutdown(OPTIONS_CHANGED, ADMINISTRATIVE_RESET))
        session.peer = peer

    async def free(self, id: str) -> None:
        """Waits until a peer has no session."""
        while sessions := self.of(id):
            await sessions[0].over.wait()

    async def dial(self, peer: Peer) -> Connection:
        """A connection to a peer. Raises OSError, ValueError."""
        options = self._tcp_options(peer)
        connected = await dial(peer.ip, peer.session.port, options, DIAL_TIMEOUT)
        return await adopt(connected, options, server=False)

    def begin_call(self, peer: Peer, connection: Connection, *, bare: bool) -> PeerSession:
        """A session on a connection that we have opened. bare: offer no capability. Raises ConfigError."""
        session = self._begin(peer, Link(connection), None, bare)
        session.link.on_peer_open = partial(self._on_open, session)
        return session

    def _tcp_options(self, peer: Peer) -> TcpOptions:
        options = peer.session
        version = ipaddress.ip_address(peer.ip).version
        ours = [each for each in self.bgp.listen if ipaddress.ip_address(each).version == version]
        min_ttl, key = self._min_ttl(peer), self.keys.of(peer.ip)
        return TcpOptions(
            md5=key.md5,
            ao=options.ao or key.ao,
            min_ttl=min_ttl,
            ttl=255 if min_ttl else 0,
            bind=_endpoint(options.local_address or (ours[0] if len(ours) == 1 else "")),
        )

    def _min_ttl(self, peer: Peer) -> int:
        return self.bgp.min_ttl if peer.session.min_ttl is None else peer.session.min_ttl

    def _on_open(self, session: PeerSession) -> None:
        """A peer that we have called has said its OPEN: it may have called us at the same time."""
        session.theirs = session.link.facts.peer_open
        if session.theirs is not None and not self._collide(session.peer, session.theirs, session):
            session.announcer.collided()

    # peers that come in

    def _objection(self, host: str) -> str:
        return "" if self._throttle.admits(host) else f"more than {self.bgp.max_accepts_per_ip_per_minute} a minute"

    def _on_arrival(self, listener: Listener, arrival: Arrival) -> None:
        if self._stopping:
            arrival.refuse("stopping", "we are stopping", say(Notification.shutdown("the route server is stopping")))
            return
        if trouble := self.keys.trouble(arrival.host):
            arrival.refuse("key", f"its key is not set: {trouble}", say(Notification(CEASE, CONNECTION_REJECTED)))
            return
        own = self.keys.of(arrival.host)
        ao = arrival.connection.ao_id if own.ao or listener.ao_key else None
        peer = self._identify(arrival.host, arrival.first, Entrance(listener, ao, own))
        if isinstance(peer, str):
            arrival.refuse("unknown", peer, say(Notification.shutdown(peer, CONNECTION_REJECTED)))
        elif not self._collide(peer, arrival.first, None):
            text = "a connection that we have opened to this peer at the same time stays (RFC 4271 section 6.8)"
            arrival.refuse("collision", text, say(Notification(CEASE, COLLISION)))
        elif len(self.of(peer.id)) >= MAX_SESSIONS:
            text = f"{MAX_SESSIONS} routers with this address and AS number have sessions already"
            arrival.refuse("sessions", text, say(Notification.shutdown(text, OUT_OF_RESOURCES)))
        else:
            if peer.session.min_ttl:
                with suppress(OSError):  # it is gone already
                    arrival.connection.require_ttl(peer.session.min_ttl)
            try:
                self._begin(peer, Link(arrival.connection, arrival), arrival.first)
            except ConfigError as error:
                farewell = Notification.shutdown("the route server is not well configured", OUT_OF_RESOURCES)
                arrival.refuse("stages", f"Stages: {error}", say(farewell))

    def _collide(self, peer: Peer, theirs: Open, new: PeerSession | None) -> bool:
        """Whether a connection stays of which the peer's OPEN is there; those that must end for it are ended. Routers
        behind one address with the same AS number are told apart by their identifiers.

        new: its session, None for a connection that the peer has opened just now. Of two that the same side has opened
        the newer stays, and one of the peer beside a session that is up for long: it knows before us that this is lost.
        """
        called = new is None or new.called
        ours = survivor(self.bgp.router_id, peer.session.local_asn or self.bgp.asn, theirs.bgp_id, theirs.asn)
        lost = []
        for other in self.of(peer.id):
            if other is new or other.theirs is None or other.theirs.bgp_id != theirs.bgp_id:
                continue
            settled = other.uptime > COLLISION_WINDOW
            if called != other.called and not (settled and called) and (settled or called == (ours == "ours")):
                return False
            lost.append(other)
        for other in lost:
            self._log.info("a newer connection takes the place of a session", peer=other.connection.remote)
            self._forget(other)
            other.announcer.collided()
            other.runner.interrupt()
        return True

    def of(self, id: str) -> list[PeerSession]:
        """All sessions of a peer, also those that are not up yet."""
        return self._all.get(id, [])

    def _forget(self, session: PeerSession) -> None:
        """The session of the peer is another one, or none."""
        id = session.peer.id
        left = [other for other in self.of(id) if other is not session]
        self._all.pop(id, None)
        if left:
            self._all[id] = left
        self._unlist(session)
        if left and id not in self.sessions:  # the next one of the peer takes its place
            self._list(left[-1])

    def _list(self, session: PeerSession) -> None:
        """Shows a session: under its peer's id, or behind that with its identifier if another router has that."""
        self._unlist(session)
        id = session.peer.id
        before = self.sessions.get(id)
        theirs = before.theirs if before is not None else None
        if theirs is not None and session.theirs is not None and theirs.bgp_id != session.theirs.bgp_id:
            session.key = f"{id}/{session.theirs.bgp_id}"
            self.sessions[session.key] = session
            return
        if before is not None:
            self._unlist(before)
        session.key = id
        self.sessions[id] = session

    def _unlist(self, session: PeerSession) -> None:
        if self.sessions.get(session.key) is session:
            del self.sessions[session.key]

    def _begin(self, peer: Peer, link: Link, theirs: Open | None, bare: bool = False) -> PeerSession:
        restarting = time.monotonic() - self._started < min(RESTART_WINDOW, self.bgp.restart_time)
        settings = session_settings(
            self.bgp, peer.session, theirs, remote_asn=peer.asn, restarting=restarting, bare=bare
        )
        pipeline = self._pipeline(peer, link, settings)
        announcer = pipeline.stages[0]
        assert isinstance(announcer, Announcer)
        runner = Runner(pipeline, self._tasks)
        session = PeerSession(peer, link.given, announcer, link, pipeline, runner, time.time(), theirs)
        announcer.begin = partial(self._begin_routes, session)
        self._all[peer.id] = [*self.of(peer.id), session]
        if theirs is not None or peer.id not in self.sessions:
            self._list(session)
        pipeline.bus.on([events.ESTABLISHED], partial(self._on_established, session))
        task = self._tasks.begin("session", self._run(session))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return session

    def _pipeline(self, peer: Peer, link: Link, settings: Settings) -> Pipeline:
        self._number += 1
        log = self._log.bind(session=self._number) if hasattr(self._log, "bind") else self._log
        pipeline = Pipeline(log=log)
        pipeline.number = self._number
        pipeline.on_kill = lambda reason: pipeline.fail(StageError(f"{reason}", reason="limit"))
        bgp = self.bgp
        announcer = Announcer(settings, first_wait=bgp.first_wait, retains=bgp.graceful_restart, turns=self.turns)
        pipeline.add(announcer, index=1)
        most = self.bgp.max_prefixes_per_peer if peer.max_prefix is None else peer.max_prefix
        limit = Limit("limit")  # which counts also where there is no limit
        limit.scan(["--left", "--ipv4", "--ipv6", f"--session={most or MOST}"])
        pipeline.add(limit, index=2)
        pipeline.bus.on(["limit/session"], lambda event: pipeline.kill(event.name, event))
        link.scan([])
        pipeline.add(link, index=self.stages.add(pipeline, 3))
        attach(pipeline)
        return pipeline

    def _on_established(self, session: PeerSession, event: Event) -> None:
        session.since = time.time()
        self._list(session)
        self.on_up(session)

    async def _run(self, session: PeerSession) -> None:
        log, reason = session.pipeline.log, "ended"
        try:
            await session.runner.run()
            reason = session.told or reason
            told = f": {session.told}" if session.told else ""
            log.info(f"session ended{told}", **session_fields(session.pipeline, session.uptime))
        except StageError as error:
            reason = _STAGE.sub("", str(error))
            log.info(f"session ended: {reason}", **session_fields(session.pipeline, session.uptime, error))
        except Exception as error:
            reason = explain_error(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            log.error(f"session ended: unexpected {reason}")
            log.debug("unexpected error", exc_info=error)
        finally:
            session.connection.abort()
            self.stages.ended(session.pipeline)
            self._forget(session)
            session.over.set()
            self.on_down(session, reason)


def _endpoint(address: str) -> str:
    """An address as TcpOptions.bind has it."""
    return f"[{address}]" if ":" in address else address
