"""The sub-TLVs of a tunnel that is an SR Policy (RFC 9830 section 2.4, RFC 9831), for the attribute
TUNNEL_ENCAPSULATION."""

from __future__ import annotations

from typing import Final

from ..nlri.layout import Part, constant, number
from .parts import STACK_ENTRY, choice, flags, ip, optional, words
from .structured import TlvTable, tlvs

_RESERVED: Final = constant(b"\0")
_STRUCTURE: Final = (
    number("endpoint_behavior", 2),
    constant(bytes(2)),
    number("locator_block_length", 1),
    number("locator_node_length", 1),
    number("function_length", 1),
    number("argument_length", 1),
)
_SID: Final = ip("sid", 16)
_OPTIONAL_STRUCTURE: Final = choice((0, ()), (8, _STRUCTURE))
_ALGORITHM: Final = flags("algorithm")
_LABEL: Final = choice((0, ()), (4, (STACK_ENTRY,)))
"""An SR-MPLS SID that may be missing."""
_SRV6: Final = (optional(_SID, 16), _OPTIONAL_STRUCTURE)
"""An SRv6 SID and its structure, each of which may be missing."""
_INTERFACES: Final = (
    number("local_interface", 4),
    ip("local", 16),
    number("remote_interface", 4),
    ip("remote", 16),
)
_SEGMENTS: Final = TlvTable(
    {
        1: ("A", (flags(), _RESERVED, STACK_ENTRY)),
        3: ("C", (flags(), _ALGORITHM, ip("node", 4), _LABEL)),
        4: ("D", (flags(), _ALGORITHM, ip("node", 16), _LABEL)),
        5: ("E", (flags(), _RESERVED, number("local_interface", 4), ip("node", 4), _LABEL)),
        6: ("F", (flags(), _RESERVED, ip("local", 4), ip("remote", 4), _LABEL)),
        7: ("G", (flags(), _RESERVED, *_INTERFACES, _LABEL)),
        8: ("H", (flags(), _RESERVED, ip("local", 16), ip("remote", 16), _LABEL)),
        9: ("WEIGHT", (flags(), _RESERVED, number("weight", 4))),
        13: ("B", (flags(), _RESERVED, _SID, _OPTIONAL_STRUCTURE)),
        14: ("I", (flags(), _ALGORITHM, ip("node", 16), *_SRV6)),
        15: ("J", (flags(), _ALGORITHM, *_INTERFACES, *_SRV6)),
        16: ("K", (flags(), _ALGORITHM, ip("local", 16), ip("remote", 16), *_SRV6)),
    },
    length_size=1,
)
"""The sub-TLVs of a segment list: its weight, and segments: A (an MPLS label), B (an SRv6 SID), and C to K (RFC 9831),
nodes and adjacencies whose SID may be missing."""
KINDS: Final[dict[int, tuple[str, tuple[Part, ...]]]] = {
    12: ("PREFERENCE", (flags(), _RESERVED, number("preference", 4))),
    13: ("BINDING_SID", (flags(), _RESERVED, choice((0, ()), (4, (STACK_ENTRY,)), (16, (_SID,))))),
    14: ("ENLP", (flags(), _RESERVED, number("enlp", 1))),
    15: ("PRIORITY", (number("priority", 1), _RESERVED)),
    20: ("SRV6_BINDING_SID", (flags(), _RESERVED, _SID, _OPTIONAL_STRUCTURE)),
    128: ("SEGMENT_LIST", (_RESERVED, tlvs(_SEGMENTS))),
    129: ("CANDIDATE_PATH_NAME", (_RESERVED, words("name"))),
    130: ("POLICY_NAME", (_RESERVED, words("name"))),
}
