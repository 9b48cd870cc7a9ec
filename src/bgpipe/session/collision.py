"""Connection collisions: which of two connections with the same peer stays (RFC 4271 section 6.8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..wire.address import parse_address
from .fsm import FsmState
from .session import Session

COLLISION_WINDOW: Final = 10.0
"""An established session that is older than this many seconds does not end for a new connection.

Within them, one side may have come to Established while the other has not. RFC 4271 lets an established session win
always: then, with both connections opened at the same time, each side may close the one that the other side keeps.
"""


def survivor(local_id: str, local_asn: int, remote_id: str, remote_asn: int) -> str:
    """Which of two colliding connections stays: "ours", the one that we opened, or "theirs".

    The one that was opened by the speaker with the higher BGP identifier (RFC 4271 section 6.8), then the higher AS
    number (RFC 6286 section 2.3).
    """
    ours = (parse_address(local_id), local_asn)
    return "ours" if ours > (parse_address(remote_id), remote_asn) else "theirs"


def losers(new: Session, others: Iterable[Session], now: float) -> list[Session]:
    """The sessions that must end (`Session.collided`), when `new` has the OPEN of its peer.

    others: all other sessions that we have with anybody.
    """
    lost = []
    for other in others:
        if other is new or not _same_peer(new, other):
            continue
        ours, theirs = new.local, new.facts.peer_open
        assert ours is not None
        assert theirs is not None
        stays = survivor(ours.bgp_id, ours.asn, theirs.bgp_id, theirs.asn)
        settled = other.state is FsmState.ESTABLISHED and other.established_for(now) > COLLISION_WINDOW
        if settled or new.called == other.called or new.called == (stays == "ours"):
            return [new]
        lost.append(other)
    return lost


def _same_peer(new: Session, other: Session) -> bool:
    """Whether both have the OPEN of the same speaker."""
    one, two = new.facts.peer_open, other.facts.peer_open
    if one is None or two is None or other.state not in (FsmState.OPEN_CONFIRM, FsmState.ESTABLISHED):
        return False
    return (one.bgp_id, one.asn) == (two.bgp_id, two.asn)
