"""NEXT_HOP (RFC 4271 section 5.1.3): an IPv4 address."""

from __future__ import annotations

from ..context import WireContext
from ..errors import WireError
from . import ipv4


def check(value: str, context: WireContext) -> WireError | None:
    """It must be an address that a host can have (RFC 4271 section 6.3): not in 0/8, 127/8, nor class D or E."""
    first = int(value.partition(".")[0])
    if first in (0, 127) or first >= 224:
        return WireError(f"{value} is no host address", subcode=8)
    return None


CODEC = ipv4.CODEC._replace(check=check)
