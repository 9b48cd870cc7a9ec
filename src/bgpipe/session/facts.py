"""The facts of a session from the messages on one connection: both OPENs, what they agree on, how it ended.

There is one Facts for each connection to a peer. Only messages that cross that connection change it: SessionCodec calls
`on_received` and `on_sent`, and the owner of the connection calls `on_end`. All other code only reads it.

A stage may delay or edit an OPEN before it is sent. The OPEN that the peer got counts, from when it got it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ..wire.context import AS4, WireContext
from ..wire.errors import WireError
from ..wire.family import Family
from ..wire.message import KEEPALIVE, NOTIFICATION, OPEN, Message

if TYPE_CHECKING:  # archives have hardly ever use for these, and start sooner without them
    from ..wire.negotiation import Agreement
    from ..wire.notification import Notification
    from ..wire.open import Open

Side = Literal["peer", "us"]


class FirstNotification(NamedTuple):
    """The NOTIFICATION that came first on a connection, who sent it, and when, in microseconds since 1970 (UTC)."""

    side: Side
    notification: Notification
    time: int


class End(NamedTuple):
    """Why a connection ended.

    cause: one word, for counting, such as notification, closed, reset, timeout, refused. side: who ended it.
    text: the reason for people.
    """

    cause: str
    side: Side
    text: str


class Facts:
    """The facts of one connection to a peer. Times are microseconds since 1970 (UTC).

    context: how to decode and encode before the OPENs are known.
    peer_open, sent_open: the OPEN that the peer sent and the one that it got, None as long as there is none.
    agreement: what both OPENs have in common, from our point of view; None until both are there.
    families: those that both OPENs name; none before the agreement.
    receiving, sending: the contexts for messages from the peer and to the peer. Before the agreement, `receiving` is
    `assumed`: messages must not be validated or encoded again by it.
    established_at: when both sides had sent a KEEPALIVE after their OPENs, 0 before.
    """

    def __init__(self, context: WireContext = AS4) -> None:
        self.receiving = context._replace(assumed=True)
        self.sending = context
        self.peer_open: Open | None = None
        self.sent_open: Open | None = None
        self.agreement: Agreement | None = None
        self.families: list[Family] = []
        self.established_at = 0
        self.first_notification: FirstNotification | None = None
        self.end: End | None = None
        self._alive: set[Side] = set()
        """who has sent a KEEPALIVE"""

    def on_received(self, message: Message) -> None:
        """Called with each message that the peer has sent."""
        if message.type_code in _TELLING:
            self._on_message(message, "peer")

    def on_sent(self, message: Message) -> None:
        """Called with each message that is sent to the peer."""
        if message.type_code in _TELLING:
            self._on_message(message, "us")

    def on_end(self, cause: str, side: Side, text: str) -> None:
        """Called when the connection has ended. The first reason counts."""
        if self.end is None:
            self.end = End(cause, side, text)

    def _on_message(self, message: Message, side: Side) -> None:
        if message.type_code == OPEN:
            self._on_open(decode_open(message.body), side)
        elif message.type_code == KEEPALIVE:
            self._on_keepalive(message.time, side)
        elif self.first_notification is None and len(message.body) >= 2:
            self.first_notification = FirstNotification(side, message.notification, message.time)

    def _on_open(self, found: Open | None, side: Side) -> None:
        """Takes an OPEN. One after both KEEPALIVEs changes nothing: it is an error, which a speaker answers (RFC
        6608)."""
        if found is None or self.established:
            return
        if side == "peer":
            self.peer_open = found
        else:
            self.sent_open = found
        if self.peer_open is not None and self.sent_open is not None:
            from ..wire.negotiation import negotiate

            self.agreement = negotiate(self.sent_open, self.peer_open)
            self.families = self.agreement.families
            self.sending, self.receiving = self.agreement.contexts

    def _on_keepalive(self, time: int, side: Side) -> None:
        """Takes a KEEPALIVE. It counts after the OPEN of the same side; the OPEN of the other side may still be
        missing."""
        if (self.peer_open if side == "peer" else self.sent_open) is None or self.established:
            return
        self._alive.add(side)
        if len(self._alive) == 2:
            self.established_at = max(time, 1)

    # what follows from it

    @property
    def established(self) -> bool:
        """Whether UPDATEs may be sent."""
        return self.established_at > 0

    @property
    def hold_time(self) -> int:
        """The agreed hold time in seconds (RFC 4271 section 4.2), 0 for none. With one OPEN only, the hold time of that
        one."""
        opens = (self.peer_open, self.sent_open)
        return min((each.hold_time for each in opens if each is not None), default=0)

    @property
    def peer_kind(self) -> Literal["ibgp", "ebgp"] | None:
        """Whether both speakers have the same AS number; None until that is known."""
        if self.peer_open is None or self.sent_open is None:
            return None
        return "ibgp" if self.peer_open.asn == self.sent_open.asn else "ebgp"

    def agreed(self, code: int) -> bool:
        """Whether both OPENs have this capability."""
        return self.agreement is not None and any(each.code == code for each in self.agreement.capabilities)

    @property
    def retains(self) -> bool:
        """Whether both sides keep routes even after a NOTIFICATION: the N bit of RFC 8538 section 2."""
        return all(each is not None and _retains(each) for each in (self.sent_open, self.peer_open))


_TELLING: Final = frozenset((OPEN, KEEPALIVE, NOTIFICATION))
"""The message types that change the facts."""


def decode_open(body: bytes) -> Open | None:
    """None if it can't be read; whether a session can start with what it says is for the speakers to decide."""
    from ..wire.open import Open

    try:
        found = Open.decode(body, strict=False)
    except WireError:
        return None
    return found if found.readable else None


def _retains(speaker: Open) -> bool:
    from ..wire.caps import GRACEFUL_RESTART

    return any(value[:1] and value[0] & 0x40 for value in speaker.values(GRACEFUL_RESTART))
