"""TUNNEL_ENCAPSULATION (RFC 9012 section 2): a TLV for each tunnel, made of sub-TLVs; with it SR Policies (RFC 9830).

JSON: [{"type":"VXLAN","sub_tlvs":[{"type":"ENDPOINT","address":"192.0.2.1"},{"type":"COLOR","color":100}]}] or
[{"type":"SR_POLICY","sub_tlvs":[{"type":"PREFERENCE","preference":100},{"type":"SEGMENT_LIST","sub_tlvs":[
{"type":"WEIGHT","weight":1},{"type":"A","label":16001}]}]}].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..address import parse_address
from ..context import WireContext
from ..cursor import Cursor
from ..errors import WireError
from ..nlri.layout import Part, constant, format_ip, number, text
from ..nlri.text import format_mac, parse_mac
from ..tunnel_types import TUNNEL_TYPES
from . import sr_policy
from .parts import STACK_ENTRY, flags, items, octets
from .prefix_sid import TABLE as PREFIX_SID
from .structured import TlvTable, structured, tell_attribute, tlvs
from .tlv import split_tlvs

LONG: Final = 128
"""Sub-TLVs of this type and above have a length of two octets, those below of one."""
_ENCAPSULATION: Final = 1
_AFIS: Final = {0: 0, 4: 1, 16: 2}
"""The address family by the number of octets of an address."""


def _decode_endpoint(cursor: Cursor) -> str | None:
    """The address family, and an address of it, which may be missing (RFC 9012 section 3.1)."""
    afi = cursor.u16()
    if _AFIS.get(cursor.left) != afi:
        raise WireError(f"{cursor.left} octets for an address of family {afi}", offset=cursor.pos)
    return format_ip(cursor.rest()) if cursor.left else None


def _encode_endpoint(value: object) -> bytes:
    address = b"" if value is None else parse_address(text(value))
    return _AFIS[len(address)].to_bytes(2, "big") + address


_KINDS: Final[dict[int, tuple[str, Sequence[Part]]]] = {
    _ENCAPSULATION: ("ENCAPSULATION", (octets("octets"),)),
    2: ("PROTOCOL_TYPE", (number("protocol", 2),)),
    4: ("COLOR", (constant(b"\x03\x0b"), flags(size=2), number("color", 4))),
    6: ("ENDPOINT", (constant(bytes(4)), Part("address", _decode_endpoint, _encode_endpoint))),
    7: ("DS_FIELD", (number("ds", 1),)),
    8: ("UDP_DESTINATION_PORT", (number("port", 2),)),
    9: ("EMBEDDED_LABEL_HANDLING", (number("handling", 1),)),
    10: ("LABEL_STACK", (items("labels", (STACK_ENTRY,), 4),)),
    11: ("PREFIX_SID", (tlvs(PREFIX_SID, "tlvs"),)),
    **sr_policy.KINDS,
}
_MAC: Final = Part("mac", lambda cursor: format_mac(cursor.take(6)), lambda value: parse_mac(text(value)))
_VIRTUAL: Final = (flags(), number("vni", 3), _MAC, constant(bytes(2)))
_ENCAPSULATIONS: Final[dict[int, Sequence[Part]]] = {
    1: (number("session", 4), octets("cookie")),  # L2TPv3
    2: (number("key", 4),),  # GRE
    8: _VIRTUAL,  # VXLAN
    9: _VIRTUAL,  # NVGRE
}
"""What the encapsulation sub-TLV of a tunnel type has (RFC 9012 section 3.2)."""


def _sub_tlvs(tunnel: int) -> tuple[Part, ...]:
    own = _ENCAPSULATIONS.get(tunnel)
    kinds = _KINDS | {_ENCAPSULATION: ("ENCAPSULATION", own)} if own else _KINDS
    return (tlvs(TlvTable(kinds, length_size=1, long_from=LONG)),)


_TABLE: Final = TlvTable({code: (name, _sub_tlvs(code)) for code, name in TUNNEL_TYPES.items()}, type_size=2)


def check(value: bytes, context: WireContext) -> WireError | None:
    """The last octet of a TLV is the last one of its last sub-TLV (RFC 9012 section 13)."""
    try:
        for _, tunnel in split_tlvs(value, 2):
            for _ in split_tlvs(tunnel, 1, 1, long_from=LONG):
                pass
    except WireError as error:
        return error
    return None


CODEC = structured(_TABLE.to_json, _TABLE.from_json, check)
tell_attribute(23, _TABLE)
