"""ONLY_TO_CUSTOMER (RFC 9234 section 5): the AS beyond which a route goes to customers only."""

from __future__ import annotations

from ..context import WireContext
from ..errors import WireError
from . import u32


def check(value: int, context: WireContext) -> WireError | None:
    """AS 0 is no AS (RFC 7607)."""
    return None if value else WireError("AS 0", subcode=9)


CODEC = u32.CODEC._replace(check=check)
