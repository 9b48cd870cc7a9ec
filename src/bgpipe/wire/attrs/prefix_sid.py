"""BGP_PREFIX_SID (RFC 8669): TLVs, those of services over SRv6 (RFC 9252) among them.

JSON: [{"type":"LABEL_INDEX","index":10},{"type":"ORIGINATOR_SRGB","ranges":[{"base":16000,"size":8000}]}] or
[{"type":"SRV6_L3_SERVICE","sub_tlvs":[{"type":"SID_INFORMATION","sid":"2001:db8:1:1::","endpoint_behavior":72,
"sub_tlvs":[{"type":"SID_STRUCTURE","locator_block_length":64,...}]}]}]. Flags that are 0 are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..context import WireContext
from ..errors import Reaction, WireError
from ..nlri.layout import constant, number
from .parts import flags, ip, items
from .structured import TlvTable, structured, tell_attribute, tlvs
from .tlv import split_tlvs

LABEL_INDEX: Final = 1
ORIGINATOR_SRGB: Final = 3
SRV6_SERVICES: Final = (5, 6)
"""of layer 3 and of layer 2 (RFC 9252 section 2)"""
SID_INFORMATION: Final = 1
SID_STRUCTURE: Final = 1

_STRUCTURE: Final = TlvTable(
    {
        SID_STRUCTURE: (
            "SID_STRUCTURE",
            (
                number("locator_block_length", 1),
                number("locator_node_length", 1),
                number("function_length", 1),
                number("argument_length", 1),
                number("transposition_length", 1),
                number("transposition_offset", 1),
            ),
        )
    }
)
_RESERVED: Final = constant(b"\0")
_SERVICE: Final = TlvTable(
    {
        SID_INFORMATION: (
            "SID_INFORMATION",
            (_RESERVED, ip("sid", 16), flags(), number("endpoint_behavior", 2), _RESERVED, tlvs(_STRUCTURE)),
        )
    }
)
TABLE: Final = TlvTable(
    {
        LABEL_INDEX: ("LABEL_INDEX", (_RESERVED, flags(size=2), number("index", 4))),
        ORIGINATOR_SRGB: (
            "ORIGINATOR_SRGB",
            (flags(size=2), items("ranges", (number("base", 3), number("size", 3)), 6)),
        ),
        SRV6_SERVICES[0]: ("SRV6_L3_SERVICE", (_RESERVED, tlvs(_SERVICE))),
        SRV6_SERVICES[1]: ("SRV6_L2_SERVICE", (_RESERVED, tlvs(_SERVICE))),
    }
)


def check(value: bytes, context: WireContext) -> WireError | None:
    """RFC 8669 section 6; for services over SRv6 RFC 9252 section 7, which costs the route."""
    try:
        for kind, octets in _split(value):
            size = len(octets)
            if kind == LABEL_INDEX and size != 7:
                return WireError(f"label index TLV has length {size}, not 7")
            if kind == ORIGINATOR_SRGB and (size < 8 or size % 6 != 2):
                return WireError(f"SRGB TLV has length {size}, not 2 and a multiple of 6")
            if kind in SRV6_SERVICES:
                _check_service(octets)
    except WireError as error:
        return error
    return None


def _split(value: bytes) -> Iterator[tuple[int, bytes]]:
    """As split_tlvs; one that does not fit costs the route if it is a service over SRv6."""
    rest = value
    try:
        for kind, octets in split_tlvs(value, 1):
            rest = rest[3 + len(octets) :]
            yield kind, octets
    except WireError as error:
        if len(rest) >= 3 and rest[0] in SRV6_SERVICES:
            error.reaction = Reaction.TREAT_AS_WITHDRAW
        raise


def _check_service(octets: bytes) -> None:
    """A reserved octet, sub-TLVs, and in SID information 21 octets before its sub-sub-TLVs (RFC 9252 section 3.1)."""
    try:
        if not octets:
            raise WireError("SRv6 service TLV has length 0")
        for kind, sid in split_tlvs(octets[1:], 1):
            if kind == SID_INFORMATION:
                if len(sid) < 21:
                    raise WireError(f"SRv6 SID information has length {len(sid)}, at least 21 expected")
                for part, structure in split_tlvs(sid[21:], 1):
                    if part == SID_STRUCTURE and len(structure) != 6:
                        raise WireError(f"SRv6 SID structure has length {len(structure)}, not 6")
    except WireError as error:
        error.reaction = Reaction.TREAT_AS_WITHDRAW
        raise


CODEC = structured(TABLE.to_json, TABLE.from_json, check)
tell_attribute(40, TABLE)
