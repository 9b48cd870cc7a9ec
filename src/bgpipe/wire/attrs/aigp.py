"""AIGP (RFC 7311): TLVs, of which one has the accumulated IGP metric.

JSON: [{"type":"AIGP","metric":1000}].
"""

from __future__ import annotations

from ..context import WireContext
from ..errors import WireError
from ..nlri.layout import number
from .structured import TlvTable, structured
from .tlv import split_tlvs

AIGP = 1
_TABLE = TlvTable({AIGP: ("AIGP", (number("metric", 8),))}, header_counts=True)


def check(value: bytes, context: WireContext) -> WireError | None:
    """The TLVs fit, and the metric has eight octets (RFC 7311 section 3.2)."""
    try:
        for kind, octets in split_tlvs(value, 1, header_counts=True):
            if kind == AIGP and len(octets) != 8:
                return WireError(f"TLV {kind} has a value of {len(octets)} octets")
    except WireError as error:
        return error
    return None


CODEC = structured(_TABLE.to_json, _TABLE.from_json, check)
