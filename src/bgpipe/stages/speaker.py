"""Run our end of a BGP session: OPEN, KEEPALIVE, ROUTE-REFRESH, NOTIFICATION."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Coroutine
from typing import Any, Final

from ..net.connection import Connection
from ..pipeline.errors import ConfigError, SessionLost
from ..pipeline.events import Event
from ..pipeline.input import Input
from ..pipeline.lifecycle import StageKind
from ..pipeline.options import DURATION, FLAG, INTEGER, LIST, TEXT, Option
from ..pipeline.stage import Producing
from ..routes.adj_rib_out import AdjRibOut
from ..routes.provider import Routes
from ..runtime.runner import pause
from ..session.fsm import FsmState
from ..session.session import LEAST_HOLD_TIME, Deliver, Down, Established, Send, Session, Settings
from ..wire import caps
from ..wire.address import parse_address
from ..wire.block import Block
from ..wire.caps import Capability, mp
from ..wire.errors import TextError, WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.message import KEEPALIVE, ROUTE_REFRESH, UPDATE, Message
from ..wire.notification import Notification
from ..wire.refresh import BORR, EORR, RouteRefresh
from ..wire.update_body import encode_end_of_rib
from .base.peer import PeerStage
from .base.source import ReadStage

FLOWSPEC: Final = 133
DEFAULT_ASN: Final = 64512
"""Our AS number with --active, where the peer's is not known yet: the first of those for private use (RFC 6996)."""
DEFAULT_ID: Final = "0.0.0.2"
"""Our BGP identifier with --active. A passive speaker takes the one before it, which must not be 0.0.0.0."""
FAMILIES: Final = (IPV4_UNICAST, Family(1, FLOWSPEC), IPV6_UNICAST, Family(2, FLOWSPEC))
"""The families that we offer, unless --caps names others."""
_CHECKS_PER_SEND_HOLD: Final = 10
"""How often in each send hold time we check whether the peer has taken octets."""
_MAX_END_OF_RIB: Final = 11
"""Octets of body that an End-of-RIB marker has at most."""


class ReplayInput(Input):
    """The input for routes that are announced again: they don't pass the stages a second time."""

    @property
    def target(self) -> str:
        return "last"


class Speaker(Producing):
    """Run our end of a BGP session: OPEN, KEEPALIVE, ROUTE-REFRESH, NOTIFICATION.

    Messages of the speaker travel in its own direction; the peer is at the end of that line. Without --active it
    waits for the peer's OPEN, and takes the AS number and an identifier from there unless told which.
    """

    active = Option(FLAG, False, "send our OPEN first")
    asn = Option(INTEGER, -1, f"our AS number; -1 takes the peer's, or {DEFAULT_ASN} with --active", metavar="ASN")
    id = Option(
        TEXT,
        "",
        f"our BGP identifier; by default the peer's minus 1, or {DEFAULT_ID} with --active",
        metavar="IP",
    )
    hold = Option(INTEGER, 90, "our hold time, in seconds", metavar="N")
    remote_asn = Option(INTEGER, -1, "accept only a peer with this AS number; -1 accepts any", metavar="ASN")
    remote_hold = Option(INTEGER, 0, "accept only a peer that offers at least this hold time, in seconds", metavar="N")
    require = Option(LIST, (), "accept only a peer that offers these capabilities", metavar="CAPS")
    text = Option(TEXT, "", "shutdown communication that we send with Cease (RFC 9003)", metavar="TEXT")
    open_wait = Option(DURATION, 240.0, "wait this long for the peer's OPEN")
    send_hold = Option(
        DURATION, 0.0, "end the session if the peer reads nothing for this time (RFC 9687); 0 means 8 minutes or more"
    )
    linger = Option(FLAG, True, "keep the session up when all input has been sent; this is the default")
    no_linger = Option(FLAG, False, "end the session with Cease when all input has been sent")

    @property
    def kind(self) -> StageKind:
        return StageKind.BACKGROUND if self.no_linger or not self.linger else StageKind.SOURCE

    @property
    def originates_session(self) -> bool:
        return True

    @property
    def speaks_first(self) -> bool:
        return self.active

    def attach(self) -> None:
        if not any(stage.produces for stage in self.pipeline.stages if stage is not self):
            raise ConfigError("there is no peer to speak with: add connect ADDR or listen ADDR")
        row = [stage for stage in self.pipeline.stages if not stage.hidden]
        if self is row[0 if self.directions == "L" else -1] and len(row) > 1:
            side, option = ("right", "--left") if self.directions == "R" else ("left", "--right")
            raise ConfigError(f"there is no peer at the {side} to speak with: add connect ADDR there, or use {option}")
        self.inlet = self.feed_into(session=True)
        self.replay = self.add_input(ReplayInput(self, session=True))
        self.session = Session(self.settings(), jitter=lambda: random.uniform(0.75, 1.0))
        self.adj_rib_out = AdjRibOut()
        self.routes: Routes = self.adj_rib_out
        """the routes to announce when the session is up, and again when the peer asks for them"""
        self._unreadable = 0
        self._changed = asyncio.Event()
        self._down: Down | None = None
        self._keeps = self._repeating = False
        self._ended: set[Family] = set()
        """families whose End-of-RIB has passed"""
        self._replays: dict[Family | None, asyncio.Task[None]] = {}
        """by family, those that the peer has asked for; None: that of all routes when the session is up"""
        self._digesting = False
        self._taken = 0
        opposite = "L" if self.directions == "R" else "R"
        self.pipeline.lines[opposite].outputs.append(self._on_item)
        self.pipeline.lines[self.directions].outputs.append(self._on_sent)
        sources = [stage for stage in self.pipeline.stages if isinstance(stage, ReadStage)]
        self.pipeline.bus.on({f"{stage.name}/STOP" for stage in sources}, self._on_source_stop)

    def settings(self) -> Settings:
        """Raises ConfigError."""
        for name, asn in (("asn", self.asn), ("remote-asn", self.remote_asn)):
            if not -1 <= asn <= 0xFFFFFFFF:
                raise ConfigError(f"--{name}: an AS number of at most 32 bits, or -1, is expected")
        if self.asn > 0xFFFF and not self.pipeline.context.as4:
            raise ConfigError("--asn: with --short-asn, an AS number has at most 16 bits")
        for name, hold in (("hold", self.hold), ("remote-hold", self.remote_hold)):
            if not 0 <= hold <= 0xFFFF:
                raise ConfigError(f"--{name}: 0 to 65535 seconds are expected")
        if self.open_wait <= 0 or self.send_hold < 0:
            raise ConfigError("--open-wait must be more than 0, and --send-hold can't be negative")
        try:
            if self.id and (self.id == "0.0.0.0" or not is_ipv4(self.id)):
                raise TextError(f"--id: not a BGP identifier: {self.id!r}; one looks like 192.0.2.1")
            Notification.shutdown(self.text)
            required = tuple(map(caps.parse_name, self.require))
        except TextError as error:
            raise ConfigError(str(error)) from None
        return Settings(
            asn=self.asn if self.asn >= 0 or not self.active else DEFAULT_ASN,
            bgp_id=self.id or (DEFAULT_ID if self.active else ""),
            hold_time=max(self.hold, LEAST_HOLD_TIME) if self.hold else 0,
            capabilities=self.capabilities(),
            remote_asn=self.remote_asn,
            remote_hold=self.remote_hold,
            passive=not self.active,
            open_wait=self.open_wait,
            send_hold=self.send_hold,
            required=required,
            text=self.text,
        )

    def capabilities(self) -> tuple[Capability, ...]:
        """The capabilities to offer: those of --caps, and of ours those that it does not name."""
        given = self.pipeline.capabilities
        codes = {capability.code for capability in given}
        ours = [Capability(caps.MP, mp.encode(family)) for family in FAMILIES]
        ours += [Capability(caps.ROUTE_REFRESH), Capability(caps.EXTENDED_MESSAGE)]
        if self.pipeline.context.as4:
            ours.append(Capability(caps.AS4, bytes(4)))
        return tuple(sorted([*given, *(each for each in ours if each.code not in codes)], key=lambda each: each.code))

    # life

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        if self.outlives_session:
            self._take_record()
        self.session.start(loop.time(), passive=True)
        self.session.connected(loop.time(), facts=self.peer.facts if self.peer is not None else None)
        self._act()
        look = loop.time()
        while self._down is None:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(min(look, self.session.deadline or look)):
                    await self._changed.wait()
            except TimeoutError:
                look = loop.time() + self.session.send_hold / _CHECKS_PER_SEND_HOLD
                if self._peer_takes():
                    self.session.progressed(loop.time())
                self._excuse(loop.time())
                self.session.tick(loop.time())
                self._act()
        if not self.pipeline.stopping:
            raise SessionLost(f"{self}: session is down: {self._down.reason}", reason=self._down.word)

    def before_stop(self) -> None:
        for task in self._replays.values():
            task.cancel()
        if self._down is None and not self.pipeline.lost:
            self.session.stop(asyncio.get_running_loop().time())
            self._act()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = {"state": str(self.session.state), "hold": self.session.hold_time}
        status["families"] = list(map(str, self._families))
        return status

    @property
    def _families(self) -> list[Family]:
        """Those that are agreed, once the session is up."""
        return self.session.facts.families if self.session.state is FsmState.ESTABLISHED else []

    @property
    def peer(self) -> PeerStage | None:
        """The stage that has the connection to our peer; None if the peer is reached through a program or a tunnel."""
        peers = (stage for stage in self.pipeline.stages if isinstance(stage, PeerStage))
        return next((stage for stage in peers if stage.side == self.directions), None)

    def _connections(self) -> list[Connection]:
        return [self.peer.connection] if self.peer is not None and self.peer.connection is not None else []

    def _excuse(self, now: float) -> None:
        """Does not count time in which the peer was not read, because an output is full, for the hold timer."""
        if self.peer is not None and self.peer.connection is not None:
            self.session.receiving_paused(now if self.peer.incoming.holds_back else self.peer.connection.resumed_at)

    def _peer_takes(self) -> bool:
        """Whether the peer has taken octets since the last call, or there are none for it (RFC 9687)."""
        connections = self._connections()
        waiting = sum(connection.waiting for connection in connections)
        before, self._taken = self._taken, sum(each.octets_written for each in connections) - waiting
        return not waiting or self._taken > before

    # what passes

    def _on_item(self, item: Message | Block) -> None:
        """Called with each item from the peer."""
        if self._down is not None:
            return
        now = asyncio.get_running_loop().time()
        if isinstance(item, Message):
            self.session.received(item, now)
        else:
            self.session.received(item.message(0), now)  # all of them are UPDATEs
        self._act()

    def _on_sent(self, item: Message | Block) -> None:
        """Called with each item that is sent to the peer, whichever stage has made it."""
        if isinstance(item, Message) and item.type_code not in (UPDATE, KEEPALIVE):
            return
        loop = asyncio.get_running_loop()
        self.session.sent(loop.time())
        if isinstance(item, Message):
            if item.type_code == KEEPALIVE:
                return
            if len(item.body) <= _MAX_END_OF_RIB and (family := end_of_rib(item)):
                self._ended.add(family)
                return
        if self._keeps and not self._repeating:
            self.adj_rib_out.add(item)
            if self.adj_rib_out.full and not self._digesting:
                self._digesting = True
                self.call_soon(self._digest)

    # what was announced is kept while `connect --retry` makes new sessions

    @property
    def outlives_session(self) -> bool:
        """Whether routes of this session are announced again in the next one. Routes from files need not be kept,
        because the files are read again. Other routes would be lost."""
        others = [stage for stage in self.pipeline.stages if stage.produces and stage is not self and not stage.side]
        again = all(isinstance(stage, ReadStage) and stage.begins_anew for stage in others)
        return not again and any(stage.reconnects for stage in self.pipeline.stages)

    def _take_record(self) -> None:
        """Takes the record of announced routes, which all sessions of this command line share."""
        if self.routes is self.adj_rib_out:
            key = "routes of a speaker", self.index
            self.routes = self.adj_rib_out = self.pipeline.shared.setdefault(key, AdjRibOut)

    def _digest(self) -> None:
        """Decodes what was announced, a part in each turn of the event loop."""
        self._digesting = self.adj_rib_out.digest()
        self._tell_unreadable()
        if self._digesting:
            self.call_soon(self._digest)

    def _act(self) -> None:
        """Carries out the requests of the session."""
        for output in self.session.outputs():
            if isinstance(output, Send):
                self.say(self.inlet, output.message)
            elif isinstance(output, Established):
                self.on_established()
            elif isinstance(output, Deliver) and output.message.type_code == ROUTE_REFRESH:
                self.on_refresh(output.message.refresh)
            elif isinstance(output, Down):
                self._down = output
        self._changed.set()

    # what a stage that has its own table of routes does in another way

    def on_established(self) -> None:
        """Announces the recorded routes. After them, other stages may send UPDATEs."""
        sent = self.session.facts.sent_open
        self._keeps = self.outlives_session or (sent is not None and sent.has(caps.ROUTE_REFRESH))
        if self.routes:
            self._spawn(None, self._announce())
        else:
            self._announced()

    async def _announce(self) -> None:
        for family in self._families:
            count = await self._replay(family)
            self.pipeline.log.info("routes announced again", stage=str(self), family=str(family), updates=count)
        self._announced()

    def _announced(self) -> None:
        self.pipeline.session_up()
        self.end_ribs()

    def _spawn(self, family: Family | None, replaying: Coroutine[Any, Any, None]) -> None:
        """Repeats routes in a task; one for each family, so that a peer that asks twice is answered once."""
        if family in self._replays:
            self._replays.pop(family).cancel()
        self._replays[family] = self.spawn("replays", replaying)

    def say(self, inlet: Input, message: Message) -> None:
        message.direction = self.directions
        inlet.put(message)

    # End-of-RIB (RFC 4724)

    def _on_source_stop(self, event: Event) -> None:
        self.end_ribs()

    def end_ribs(self) -> None:
        """Sends the End-of-RIB of each family, when all that is to be read into our direction has been read."""
        sources = [stage for stage in self.pipeline.stages if isinstance(stage, ReadStage)]
        ours = [inlet for stage in sources for inlet in stage.inputs if self.directions in inlet.lines]
        if not any(inlet.open or inlet.busy for inlet in ours) and not self.pipeline.stopping and self._down is None:
            for family in self._families:
                if family not in self._ended:
                    self.say(self.replay, Message(UPDATE, encode_end_of_rib(family)))

    # ROUTE-REFRESH (RFC 2918, RFC 7313)

    def on_refresh(self, refresh: RouteRefresh) -> None:
        """The peer asks for all routes of a family again (RFC 2918). If the family was not agreed, that is ignored."""
        family = refresh.family
        sent = self.session.facts.sent_open
        if sent is None or not sent.has(caps.ROUTE_REFRESH) or refresh.subtype or family not in self._families:
            return
        self._spawn(family, self._refresh(family))

    async def _refresh(self, family: Family) -> None:
        marks = self.session.facts.agreed(caps.ENHANCED_ROUTE_REFRESH)
        marks = marks and family in self._ended  # not before End-of-RIB (RFC 7313 section 4)
        if marks:
            self._repeat(Message(ROUTE_REFRESH, RouteRefresh(family, BORR).encode()))
        count = await self._replay(family)
        if marks:
            self._repeat(Message(ROUTE_REFRESH, RouteRefresh(family, EORR).encode()))
        self.pipeline.log.info("route refresh answered", stage=str(self), family=str(family), updates=count)

    async def _replay(self, family: Family) -> int:
        """Announces all routes of a family; returns how many UPDATEs that took."""
        count = 0
        for message in self.routes.replay(family):
            if message is not None:
                self._repeat(message)
                count += 1
            await asyncio.sleep(0)
            while self.pipeline.holds[self.directions]:
                await pause(self.pipeline, math.inf)
        self._tell_unreadable()
        return count

    def _tell_unreadable(self) -> None:
        """Logs, once, that an UPDATE was sent that can't be repeated."""
        if self.adj_rib_out.unreadable > self._unreadable == 0:
            error = str(self.adj_rib_out.last_error)
            self.pipeline.log.warning("an UPDATE that can't be read is not repeated", stage=str(self), error=error)
        self._unreadable = self.adj_rib_out.unreadable

    def _repeat(self, message: Message) -> None:
        self._repeating = True
        self.say(self.replay, message)
        self._repeating = False


def is_ipv4(text: str) -> bool:
    try:
        return len(parse_address(text)) == 4
    except TextError:
        return False


def end_of_rib(message: Message) -> Family | None:
    """The family that a short UPDATE is the End-of-RIB marker of."""
    try:
        return message.update.end_of_rib
    except WireError:
        return None
