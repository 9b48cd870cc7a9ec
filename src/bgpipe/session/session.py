"""One BGP session without I/O. Messages, errors and times go in; messages and requests come out.

The session never waits and never looks at a clock: every call says what time it is, in seconds on any clock that only
goes forward, and `deadline` says when to call `tick` next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ..wire import caps, message
from ..wire.address import format_address, parse_address
from ..wire.caps import Capability
from ..wire.errors import WireError
from ..wire.message import Message
from ..wire.negotiation import Agreement
from ..wire.notification import CEASE, HARD_RESET, Notification
from ..wire.open import AS_TRANS, Open
from ..wire.refresh import BORR, EORR, SUBTYPE_NAMES
from .damping import Damping
from .facts import Facts
from .fsm import FsmEvent, FsmState, step
from .timers import FsmTimer, Timers

LARGE_HOLD_TIME: Final = 240.0
"""Seconds to wait for the OPEN of a peer (RFC 4271 section 8.2.2)."""
LEAST_HOLD_TIME: Final = 3
"""Seconds; the least hold time that is not 0 (RFC 4271 section 4.2)."""
_TIMEOUTS: Final = (4, 8)
"""Codes of NOTIFICATIONs to a peer that did not speak, or did not listen, in time (RFC 4271, RFC 9687)."""


@dataclass(slots=True)
class Settings:
    """The settings of a session: what its OPEN has, and what it demands of the peer. Times are in seconds.

    asn: -1 for that of the peer (passive only). bgp_id: "" for the one before that of the peer (passive only).
    remote_asn: -1 for any. remote_hold: the least hold time that the peer may offer; 0 for any.
    passive: wait for the peer's OPEN before sending ours (DelayOpen, RFC 4271 section 8.1.1).
    open_wait: how long to wait for the peer's OPEN. send_hold: that of RFC 9687; 0 for the time that it recommends.
    """

    asn: int = -1
    bgp_id: str = ""
    hold_time: int = 90
    capabilities: tuple[Capability, ...] = ()
    remote_asn: int = -1
    remote_hold: int = 0
    passive: bool = False
    open_wait: float = LARGE_HOLD_TIME
    connect_retry: float = 120.0
    send_hold: float = 0.0
    required: tuple[int, ...] = ()
    """codes of capabilities that the peer must offer (RFC 5492)"""
    text: str = ""
    """the shutdown communication (RFC 9003)"""


@dataclass(slots=True)
class Send:
    """Request: send this message."""

    message: Message


@dataclass(slots=True)
class OpenConnection:
    """Request: open a connection, then call `connected` or `disconnected`."""


@dataclass(slots=True)
class CloseConnection:
    """Request: close the connection when everything has been sent."""


@dataclass(slots=True)
class Established:
    """The session is up."""

    agreement: Agreement


@dataclass(slots=True)
class Deliver:
    """An UPDATE or ROUTE-REFRESH that came in while the session was up."""

    message: Message


@dataclass(slots=True)
class Down:
    """The session ended, or never came up. `sent` or `received` is the NOTIFICATION that says why, if there was one."""

    reason: str
    sent: Notification | None = None
    received: Notification | None = None

    @property
    def word(self) -> str:
        """The reason in one word, for counting."""
        if self.received is not None:
            return "notification"
        if self.sent is None:
            return "closed"
        return "timeout" if self.sent.code in _TIMEOUTS else "refused"


Output = Send | OpenConnection | CloseConnection | Established | Deliver | Down


@dataclass(slots=True)
class Session:
    """A session with one peer, over one connection after the other. `outputs()` gives the requests."""

    settings: Settings
    damping: Damping = field(default_factory=Damping)
    state: FsmState = FsmState.IDLE
    facts: Facts = field(default_factory=Facts)
    """of the connection"""
    local: Open | None = None
    """the OPEN that we asked to send; `facts.sent_open` is what the peer got"""
    called: bool = False
    """whether the peer opened the connection"""
    timers: Timers = field(default_factory=Timers)
    jitter: Callable[[], float] = lambda: 1.0
    """factor for the times of KEEPALIVEs and of new attempts, so that many speakers do not act at the same moment (RFC
    4271 section 10: 0.75 to 1)"""
    _outputs: list[Output] = field(default_factory=list)
    _writes_facts: bool = True
    """whether the session itself updates the facts, because no codec does"""
    _now: float = 0.0
    _since: float | None = None
    _passive: bool = False
    _cause: FsmEvent = FsmEvent.STOP
    _before: FsmState = FsmState.IDLE
    _message: Message | None = None
    _fault: WireError | None = None
    _sent: Notification | None = None

    # what happens to it

    def start(self, now: float, *, passive: bool = False) -> None:
        """Opens a connection, or with `passive` waits for one. After a failure it waits and tries again."""
        self._passive = passive
        self._event(FsmEvent.START_PASSIVE if passive else FsmEvent.START, now)

    def stop(self, now: float) -> None:
        """Ends the session with Cease / Administrative Shutdown."""
        self._event(FsmEvent.STOP, now)

    def connected(self, now: float, *, called: bool = False, facts: Facts | None = None) -> None:
        """Called when there is a connection. called: the peer has opened it.

        facts: those of the connection, if a SessionCodec updates them; it must encode each `Send` before the next
        message is received. Without them, the session keeps facts of its own.
        """
        self.called = called
        self.facts, self._writes_facts = (Facts(), True) if facts is None else (facts, False)
        self._event(FsmEvent.TCP_UP_DELAYED if self.settings.passive else FsmEvent.TCP_UP, now)

    def disconnected(self, now: float) -> None:
        """Called when the connection could not be opened, or was lost."""
        delayed = self.timers.running(FsmTimer.DELAY_OPEN)
        self._event(FsmEvent.TCP_DOWN_DELAYED if delayed else FsmEvent.TCP_DOWN, now)

    def collided(self, now: float) -> None:
        """Called when this connection must end for another one with the same peer (RFC 4271 section 6.8)."""
        self._event(FsmEvent.COLLISION, now)

    def received(self, incoming: Message, now: float) -> None:
        """Called with each message of the peer. An error in it ends the session."""
        self._message = incoming
        if self._writes_facts:
            self.facts.on_received(incoming)
        try:
            event = self._handle(incoming)
        except WireError as fault:
            self.fault(fault, now)
        else:
            self._event(event, now)

    def fault(self, fault: WireError, now: float) -> None:
        """Called for an error that ends the session: an invalid header, a bad OPEN, an UPDATE that demands a reset."""
        self._fault = fault
        event = _FAULTS.get(fault.code, FsmEvent.UPDATE_ERROR)
        self._event(event, now)

    def progressed(self, now: float) -> None:
        """Called when the peer has taken octets, so it still reads (RFC 9687)."""
        if self.timers.running(FsmTimer.SEND_HOLD):
            self.timers.start(FsmTimer.SEND_HOLD, now + self.send_hold)

    def receiving_paused(self, until: float) -> None:
        """Called when reading was paused, so that the hold timer must not count the time before."""
        if self.hold_time:
            self.timers.postpone(FsmTimer.HOLD, until + self.hold_time)

    def sent(self, now: float) -> None:
        """Called when an UPDATE or KEEPALIVE was sent in this session, so that the next KEEPALIVE can wait."""
        if self.timers.running(FsmTimer.KEEPALIVE):
            self.timers.start(FsmTimer.KEEPALIVE, now + self._keepalive_time)

    def tick(self, now: float) -> None:
        """Called when time has passed: all timers that are due expire."""
        while timer := self.timers.expire(now):
            again = timer is FsmTimer.IDLE_HOLD and self._passive
            self._event(FsmEvent.IDLE_HOLD_TIMER_PASSIVE if again else _EXPIRED[timer], now)

    # what it wants

    @property
    def deadline(self) -> float | None:
        """The time at which to call `tick`, in seconds; None if no timer runs."""
        return self.timers.next

    def outputs(self) -> list[Output]:
        """The requests since the last call, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    @property
    def hold_time(self) -> int:
        """The hold time in seconds; 0 is no hold timer, or that the peer's OPEN is missing. Before our OPEN is sent, it
        is the time that will be agreed if the OPEN is not edited."""
        if self.local is None or self.facts.peer_open is None:
            return 0
        agreed = self.facts.hold_time
        return agreed if self.facts.sent_open is not None else min(agreed, self.local.hold_time)

    @property
    def send_hold(self) -> float:
        """The send hold time, in seconds (RFC 9687 section 4)."""
        return self.settings.send_hold or max(480.0, 2.0 * self.hold_time)

    @property
    def _keepalive_time(self) -> float:
        return self.hold_time / 3 * self.jitter()

    def established_for(self, now: float) -> float:
        """Seconds since the session came up; 0 if it is not up."""
        return now - self._since if self._since is not None else 0.0

    # the table's machinery

    def _event(self, event: FsmEvent, now: float) -> None:
        self._now, self._cause, self._before, self._sent = now, event, self.state, None
        actions, self.state = step(self.state, event)
        for action in actions:
            getattr(self, action)()

    def _handle(self, incoming: Message) -> FsmEvent:
        code = incoming.type_code
        if code == message.OPEN:
            if self.state in (FsmState.CONNECT, FsmState.ACTIVE, FsmState.OPEN_SENT):
                self._check(incoming.open)
            return FsmEvent.OPEN_WAITED if self.timers.running(FsmTimer.DELAY_OPEN) else FsmEvent.OPEN
        if code == message.UPDATE:
            return FsmEvent.UPDATE
        if code == message.KEEPALIVE:
            if self.state is FsmState.OPEN_CONFIRM and self.facts.agreement is None:
                return FsmEvent.UPDATE  # our OPEN was not sent yet, so this can't be its answer: it is unexpected
            return FsmEvent.KEEPALIVE
        if code == message.NOTIFICATION:
            return FsmEvent.NOTIFICATION
        if code == message.ROUTE_REFRESH:
            self._check_refresh(incoming)
            return FsmEvent.ROUTE_REFRESH
        raise WireError(f"unknown message type {code}", code=1, subcode=3, data=bytes((code,)))

    def _check_refresh(self, incoming: Message) -> None:
        """Raises WireError 7/1 for marks of the wrong length from a peer that knows them (RFC 7313 section 5)."""
        peer = self.facts.peer_open
        if peer is None or not peer.has(caps.ENHANCED_ROUTE_REFRESH):
            return
        refresh = incoming.refresh
        if refresh.subtype in (BORR, EORR) and refresh.orf:
            text = f"{SUBTYPE_NAMES[refresh.subtype]} of {len(incoming.body)} octets, 4 expected"
            raise WireError(text, code=7, subcode=1, data=incoming.octets)

    def _check(self, remote: Open) -> None:
        """Raises WireError with code 2 if we can't have a session with such a peer (RFC 4271 section 6.2)."""
        wanted = self.settings
        # a speaker that takes any AS number, and takes it for its own, speaks with one that has none, as the Go bgpipe
        anything = wanted.passive and wanted.asn < 0 and wanted.remote_asn < 0
        remote.check(allow_as0=anything)
        if wanted.remote_asn >= 0 and remote.asn != wanted.remote_asn:
            raise WireError(f"peer has AS {remote.asn}, {wanted.remote_asn} expected", code=2, subcode=2)
        if wanted.asn in (remote.asn, -1) and remote.bgp_id == wanted.bgp_id:  # RFC 6286 section 2.2
            raise WireError(f"peer has our BGP identifier {remote.bgp_id}", code=2, subcode=3)
        if remote.hold_time < wanted.remote_hold:
            raise WireError(
                f"peer offers {remote.hold_time} s hold time, {wanted.remote_hold} wanted", code=2, subcode=6
            )
        missing = [code for code in wanted.required if not remote.has(code)]
        if caps.ROLE in missing:  # the strict mode of RFC 9234 section 4.2
            raise WireError("peer has no role", code=2, subcode=11)
        if missing:
            names = ", ".join(map(caps.name, missing))
            data = caps.encode(each for each in self.settings.capabilities if each.code in missing)
            raise WireError(f"peer has no capability {names}", code=2, subcode=7, data=data)
        ours = caps.values(wanted.capabilities, caps.ROLE)
        if ours and remote.role is not None and (ours[-1][0], remote.role) not in _ROLES:
            raise WireError(f"peer has role {remote.role}, ours is {ours[-1][0]}", code=2, subcode=11)

    # the actions that the table names

    def connect(self) -> None:
        self.timers.start(FsmTimer.CONNECT_RETRY, self._now + self.settings.connect_retry * self.jitter())
        self._outputs.append(OpenConnection())

    def delay_open(self) -> None:
        self.timers.stop(FsmTimer.CONNECT_RETRY)
        self.timers.start(FsmTimer.DELAY_OPEN, self._now + self.settings.open_wait)

    def greet(self) -> None:
        self.send_open()
        self.timers.start(FsmTimer.HOLD, self._now + self.settings.open_wait)

    def send_open(self) -> None:
        self.timers.stop(FsmTimer.CONNECT_RETRY)
        self.timers.stop(FsmTimer.DELAY_OPEN)
        self.local = self._greeting()
        self._send(message.OPEN, self.local.encode())

    def _greeting(self) -> Open:
        settings = self.settings
        remote = self._message.open if settings.passive and self._message is not None else None
        asn = settings.asn if settings.asn >= 0 else remote.asn if remote else 0
        bgp_id = settings.bgp_id or (_neighbour(remote.bgp_id) if remote else "0.0.0.1")
        capabilities = settings.capabilities
        if any(capability.code == caps.AS4 for capability in capabilities):
            capabilities = tuple(
                Capability(caps.AS4, asn.to_bytes(4, "big")) if capability.code == caps.AS4 else capability
                for capability in capabilities
            )
        hold_time = max(settings.hold_time, LEAST_HOLD_TIME) if settings.hold_time else 0
        return Open(asn if asn <= 0xFFFF else AS_TRANS, hold_time, bgp_id, capabilities)

    def accept_open(self) -> None:
        self.timers.stop(FsmTimer.DELAY_OPEN)
        self.heard()

    def send_keepalive(self) -> None:
        self._send(message.KEEPALIVE)
        if self.hold_time:
            self.timers.start(FsmTimer.KEEPALIVE, self._now + self._keepalive_time)

    def heard(self) -> None:
        if self.hold_time:
            self.timers.start(FsmTimer.HOLD, self._now + self.hold_time)
        else:
            self.timers.stop(FsmTimer.HOLD)

    def establish(self) -> None:
        assert self.facts.agreement is not None
        self._since = self._now
        if self.hold_time:
            self.timers.start(FsmTimer.SEND_HOLD, self._now + self.send_hold)
        self._outputs.append(Established(self.facts.agreement))

    def deliver(self) -> None:
        assert self._message is not None
        self._outputs.append(Deliver(self._message))

    def send_fault(self) -> None:
        assert self._fault is not None
        self._notify(Notification.of(self._fault))

    def send_fsm_error(self) -> None:
        subcodes = {FsmState.OPEN_SENT: 1, FsmState.OPEN_CONFIRM: 2, FsmState.ESTABLISHED: 3}  # RFC 6608
        self._notify(Notification(5, subcodes[self._before]))

    def send_hold_expired(self) -> None:
        self._notify(Notification(4, 0))

    def send_send_hold_expired(self) -> None:
        self._notify(Notification(8, 0))

    def send_collision(self) -> None:
        self._notify(Notification(6, 7))

    def send_cease(self) -> None:
        """Sends a Cease. A peer that would keep our routes after it gets a Hard Reset (RFC 8538), so that it removes
        them."""
        cease = Notification.shutdown(self.settings.text)
        if self.facts.retains:
            cease = Notification(CEASE, HARD_RESET, cease.encode())
        self._notify(cease)

    def close(self) -> None:
        """Ends the connection without counting a failure."""
        self._end()

    def fail(self) -> None:
        """Ends the connection after a failure, and stays idle for a while."""
        established_for = self.established_for(self._now)
        self._end()
        self.timers.start(FsmTimer.IDLE_HOLD, self._now + self.damping.failed(established_for))

    def lose(self) -> None:
        """Ends the connection, and waits for the peer, or until it is time to connect again."""
        self._end()
        if not self._passive:
            self.timers.start(FsmTimer.CONNECT_RETRY, self._now + self.settings.connect_retry * self.jitter())

    def _end(self) -> None:
        self.timers.stop_all()
        received = self._message.notification if self._cause is FsmEvent.NOTIFICATION and self._message else None
        self._outputs += [CloseConnection(), Down(self._reason(received), self._sent, received)]
        self.local = self._since = self._message = self._fault = None

    def _reason(self, received: Notification | None) -> str:
        if received is not None:
            return f"peer sent {received}"
        if self._fault is not None and self._sent is not None:
            return f"{self._fault} (sent {self._sent})"
        return f"{self._cause} (sent {self._sent})" if self._sent is not None else str(self._cause)

    def _notify(self, notification: Notification) -> None:
        self._sent = notification
        self._send(message.NOTIFICATION, notification.encode())

    def _send(self, type_code: int, body: bytes = b"") -> None:
        sent = Message(type_code, body)
        if self._writes_facts:
            self.facts.on_sent(sent)
        self._outputs.append(Send(sent))


_EXPIRED: Final[dict[FsmTimer, FsmEvent]] = {
    FsmTimer.CONNECT_RETRY: FsmEvent.CONNECT_RETRY_TIMER,
    FsmTimer.DELAY_OPEN: FsmEvent.DELAY_OPEN_TIMER,
    FsmTimer.HOLD: FsmEvent.HOLD_TIMER,
    FsmTimer.IDLE_HOLD: FsmEvent.IDLE_HOLD_TIMER,
    FsmTimer.KEEPALIVE: FsmEvent.KEEPALIVE_TIMER,
    FsmTimer.SEND_HOLD: FsmEvent.SEND_HOLD_TIMER,
}
_FAULTS: Final[dict[int, FsmEvent]] = {
    1: FsmEvent.HEADER_ERROR,
    2: FsmEvent.OPEN_ERROR,
    3: FsmEvent.UPDATE_ERROR,
    7: FsmEvent.ROUTE_REFRESH_ERROR,
}
PROVIDER, RS, RS_CLIENT, CUSTOMER, PEER = range(5)
_ROLES: Final = frozenset({(PROVIDER, CUSTOMER), (CUSTOMER, PROVIDER), (RS, RS_CLIENT), (RS_CLIENT, RS), (PEER, PEER)})
"""Pairs of local and remote role that go together (RFC 9234 section 4.2)."""


def _neighbour(bgp_id: str) -> str:
    """The identifier before this one, or after it if that would be 0.0.0.0. A passive speaker uses it as its own, so
    that the two always differ."""
    number = int.from_bytes(parse_address(bgp_id), "big")
    return format_address((number - 1 if number > 1 else number + 1).to_bytes(4, "big"))
