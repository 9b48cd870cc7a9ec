"""ATTR_SET (RFC 6368 section 4): the AS number of a customer and path attributes of its own. Kept raw."""

from __future__ import annotations

from typing import Final

from ..context import WireContext
from ..errors import WireError
from . import raw

ORIGIN_AS: Final = 4
"""Octets of the AS number."""
_EXTENDED_LENGTH: Final = 0x10


def check(value: bytes, context: WireContext) -> WireError | None:
    """The attributes inside must end where the set does (RFC 7606 section 7.16)."""
    pos, end = ORIGIN_AS, len(value)
    while pos < end:
        start = pos + (4 if value[pos] & _EXTENDED_LENGTH else 3)
        pos = start + int.from_bytes(value[pos + 2 : start], "big")
    return None if pos == end else WireError("an attribute in the set is cut short")


CODEC = raw.CODEC._replace(check=check)
