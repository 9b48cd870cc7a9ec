"""PMSI_TUNNEL (RFC 6514 section 5): flags, tunnel type, MPLS label, and the identifier of a tunnel. Kept raw."""

from __future__ import annotations

from typing import Final

from ..context import WireContext
from ..errors import WireError
from . import raw

FIXED: Final = 5
"""Octets before the tunnel identifier."""
RESERVED: Final = (0x7F, 0xFF)
"""Tunnel types that no tunnel can have; others may be new."""
IDENTIFIERS: Final = {
    0: (0,),  # no tunnel information
    1: (12, 24),  # RSVP-TE P2MP LSP
    3: (8, 32),  # PIM-SSM tree
    4: (8, 32),  # PIM-SM tree
    5: (8, 32),  # BIDIR-PIM tree
    6: (4, 16),  # ingress replication
}
"""Octets of the tunnel identifier by tunnel type, with IPv4 and with IPv6 addresses."""


def check(value: bytes, context: WireContext) -> WireError | None:
    """A tunnel type that is none, or an identifier that its type can't have (RFC 6514 section 5)."""
    if len(value) < FIXED:
        return WireError(f"length {len(value)}, at least {FIXED} expected", subcode=5)
    kind, size = value[1], len(value) - FIXED
    if kind in RESERVED:
        return WireError(f"tunnel type {kind} is reserved", subcode=9)
    if size not in IDENTIFIERS.get(kind, (size,)):
        return WireError(f"a tunnel of type {kind} can't have an identifier of {size} octets", subcode=9)
    return None


CODEC = raw.CODEC._replace(check=check)
