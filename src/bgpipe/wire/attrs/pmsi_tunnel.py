"""PMSI_TUNNEL (RFC 6514 section 5): the tunnel of a multicast VPN, and of broadcast in EVPN (RFC 7432 section 11.2).

JSON: {"type":"INGRESS_REPLICATION","label":100,"endpoint":"192.0.2.1"}; "leaf":true if leaf information is required. A
label is a number if its last four bits are zero; a VXLAN network identifier, which fills all 24, is "0x...".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..address import parse_address
from ..context import WireContext
from ..cursor import Cursor
from ..errors import TextError, WireError
from ..nlri.layout import Part, address, constant, decode_parts, encode_parts, format_ip, number, text
from .parts import LABEL_FIELD, fields, named, octets
from .structured import structured

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
NAMES: Final = {
    0: "NO_TUNNEL",
    1: "RSVP_TE_P2MP",
    2: "MLDP_P2MP",
    3: "PIM_SSM",
    4: "PIM_SM",
    5: "BIDIR_PIM",
    6: "INGRESS_REPLICATION",
    7: "MLDP_MP2MP",
    8: "TRANSPORT",
    10: "ASSISTED_REPLICATION",
    11: "BIER",
}


def _before(key: str, behind: int) -> Part:
    """An address that goes to `behind` octets before the end."""
    return Part(
        key, lambda cursor: format_ip(cursor.take(cursor.left - behind)), lambda value: parse_address(text(value))
    )


def _half(key: str) -> Part:
    """An address, behind which there is another of the same family."""
    return Part(key, lambda cursor: format_ip(cursor.take(cursor.left // 2)), lambda value: parse_address(text(value)))


def _decode_root(cursor: Cursor) -> str:
    """Address family, length and address of the root in a FEC element (RFC 6388 section 2.2)."""
    afi, size = cursor.u16(), cursor.u8()
    if {1: 4, 2: 16}.get(afi) != size:
        raise WireError(f"{size} octets for an address of family {afi}", offset=cursor.pos)
    return format_ip(cursor.take(size))


def _encode_root(value: object) -> bytes:
    root = parse_address(text(value))
    return bytes((0, 1 if len(root) == 4 else 2, len(root))) + root


_LEAD: Final = (fields(1, ("", 7), ("leaf", 1)), named("type", 1, NAMES), LABEL_FIELD)
_PAIR: Final = {3: ("root", "group"), 4: ("sender", "group"), 5: ("sender", "group")}
_MLDP: Final = (
    number("fec", 1),
    Part("root", _decode_root, _encode_root),
    Part(
        "opaque",
        lambda cursor: octets("opaque").decode(Cursor(cursor.take(cursor.u16()))),
        lambda value: _counted(octets("opaque").encode(value)),
    ),
)
_FORMS: Final[dict[int, Sequence[Part]]] = {
    0: (),
    1: (_before("extended_tunnel", 8), constant(bytes(2)), number("tunnel", 2), number("p2mp", 4)),
    2: _MLDP,
    **{kind: (_half(first), address(second)) for kind, (first, second) in _PAIR.items()},
    6: (address("endpoint"),),
    7: _MLDP,
}
_OTHER: Final = (octets("identifier"),)
_CODES: Final = {name: code for code, name in NAMES.items()}


def _counted(value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise TextError(f"{len(value)} octets are too many")
    return len(value).to_bytes(2, "big") + value


def to_json(value: bytes) -> Any:
    if len(value) < FIXED:
        raise WireError(f"length {len(value)}, at least {FIXED} expected", subcode=5)
    members = decode_parts(value, (*_LEAD, *_FORMS.get(value[1], _OTHER)))
    return {"type": members.pop("type"), **members}


def from_json(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise TextError(f"not an object: {value!r}")
    kind = value.get("type")
    code = _CODES.get(kind.upper()) if isinstance(kind, str) else kind
    return encode_parts(value, (*_LEAD, *(_FORMS.get(code, _OTHER) if type(code) is int else _OTHER)))


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


CODEC = structured(to_json, from_json, check)
