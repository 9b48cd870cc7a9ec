"""Long-lived graceful restart (RFC 9494 section 3.1): families, and for how long their stale routes are kept.

JSON: {"families":[{"af":"IPV4/UNICAST","forwarding":true,"time":86400}]}, time in seconds.
"""

from __future__ import annotations

from typing import Final

from ..attrs.parts import fields
from ..nlri.layout import number
from .entries import FAMILY, Entries

FORM: Final = Entries("LLGR", (FAMILY, fields(1, ("forwarding", 1), ("", 7)), number("time", 3)))
