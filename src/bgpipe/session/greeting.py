"""The first message of a BGP peer, its OPEN, for the acceptor."""

from __future__ import annotations

from typing import Final

from ..wire.context import MAX_MESSAGE
from ..wire.errors import WireError
from ..wire.message import HEADER, NOTIFICATION, OPEN, Message, check_header
from ..wire.notification import Notification
from ..wire.open import Open

IN_OPEN_SENT: Final = 1
"""Subcode of code 5: a message that can't come in the state OpenSent (RFC 6608)."""


def read_open(octets: bytes) -> Open | None:
    """The OPEN at the start of the octets of a connection; None as long as it is not complete.

    Raises WireError if something else comes, or an OPEN that can't be read (RFC 4271 section 6). Whether a session can
    start with what it says is for the speakers to decide.
    """
    if len(octets) < HEADER:
        return None
    length, type_code = check_header(octets, 0, MAX_MESSAGE)
    if type_code != OPEN:
        raise WireError(f"message of type {type_code}, OPEN expected", code=5, subcode=IN_OPEN_SENT)
    return Open.decode(octets[HEADER:length], strict=False) if len(octets) >= length else None


def say(notification: Notification) -> bytes:
    """The octets of a message that ends a connection."""
    return Message(NOTIFICATION, notification.encode()).octets
