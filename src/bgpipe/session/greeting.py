"""The first message of a BGP peer, its OPEN, for the acceptor."""

from __future__ import annotations

from typing import Final

from ..wire.context import MAX_MESSAGE
from ..wire.errors import WireError
from ..wire.message import HEADER, NOTIFICATION, OPEN, TYPE_NAMES, Message, check_header
from ..wire.notification import Notification
from ..wire.open import Open

IN_OPEN_SENT: Final = 1
"""Subcode of code 5: a message that can't come in the state OpenSent (RFC 6608)."""


class Farewell(WireError):
    """The peer has sent a NOTIFICATION: there is no answer to that (RFC 4271 section 6)."""


def explain(error: WireError) -> bytes:
    """The octets of the answer to a peer whose first message is no OPEN."""
    return b"" if isinstance(error, Farewell) else say(Notification.of(error))


def read_open(octets: bytes) -> Open | None:
    """The OPEN at the start of the octets of a connection; None as long as it is not complete.

    Raises WireError if something else comes, or an OPEN that can't be read (RFC 4271 section 6), and Farewell if the
    peer has ended the connection itself. Whether a session can start with what it says is for the speakers to decide.
    """
    if len(octets) < HEADER:
        return None
    length, type_code = check_header(octets, 0, MAX_MESSAGE)
    if type_code == NOTIFICATION:
        if len(octets) < length:
            return None
        notification = Notification.decode(octets[HEADER:length])
        raise Farewell(f"the peer has ended the connection before its OPEN: {notification}")
    if type_code not in TYPE_NAMES:
        raise WireError(f"unknown message type {type_code}", code=1, subcode=3, data=octets[18:19])
    if type_code != OPEN:
        raise WireError(f"message of type {type_code}, OPEN expected", code=5, subcode=IN_OPEN_SENT)
    return Open.decode(octets[HEADER:length], strict=False) if len(octets) >= length else None


def say(notification: Notification) -> bytes:
    """The octets of a message that ends a connection."""
    return Message(NOTIFICATION, notification.encode()).octets
