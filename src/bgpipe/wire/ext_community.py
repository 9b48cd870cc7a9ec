"""One extended community as a 64-bit number, and its JSON form (RFC 4360, RFC 5668, RFC 8955).

In JSON each is {"type":T,"value":V}, and "nontransitive":true where bit 0x4000 of the type is set. T is a name of
NAMES or the hexadecimal number; V has the form of its type. Where that form can't say all 48 bits of the value, V is
the hexadecimal number of them. What the Go bgpipe writes of types that have a name here only is read, too:
{"type":"0x4004","value":"65001:1207182336"}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from .. import accel
from .address import format_address, parse_address
from .errors import TextError
from .ext_community_forms import FORMS, OPAQUE, Form, format_rate, parse_rate, split_pair
from .number import parse_number

NONTRANSITIVE: Final = 0x4000
TYPE_SHIFT: Final = 48
VALUE_MASK: Final = (1 << TYPE_SHIFT) - 1
ROUTE_TARGETS: Final = (0x0002, 0x0102, 0x0202)
"""Types of route targets: of a 2-octet AS number, an IPv4 address, a 4-octet AS number."""


@lru_cache(maxsize=4096)
def format_ext_community(community: int) -> str:
    """One community as JSON text."""
    kind, bits = community >> TYPE_SHIFT, community & VALUE_MASK
    base = kind & ~NONTRANSITIVE
    text = _form(base).format(bits)
    return '{"type":"%s","value":%s%s}' % (
        NAMES.get(base) or f"{kind:#x}",
        f'"{bits:#x}"' if text is None else text,
        ',"nontransitive":true' if kind & NONTRANSITIVE else "",
    )


@lru_cache(maxsize=4096)
def ext_community_members(community: int) -> Mapping[str, Any]:
    """The members of the JSON object of one community."""
    members: Mapping[str, Any] = json.loads(format_ext_community(community))
    return members


def parse_ext_community(item: object) -> int:
    """One community from its JSON object. Raises TextError."""
    if not isinstance(item, dict) or not {"type", "value"} <= item.keys() <= {"type", "value", "nontransitive"}:
        raise TextError(f'not {{"type":TYPE,"value":VALUE}}: {item!r}')
    name, value = item["type"], item["value"]
    kind = _CODES.get(name.upper()) if isinstance(name, str) else None
    if kind is None:
        kind = parse_number(name, 16)
    if item.get("nontransitive") is True:
        kind |= NONTRANSITIVE
    if isinstance(value, str) and value[:2] == "0x":
        bits = parse_number(value, TYPE_SHIFT)
    else:
        bits = _parse(kind & ~NONTRANSITIVE, value)
    return kind << TYPE_SHIFT | bits


def _parse(kind: int, value: object) -> int:
    """A value in the form of its type, or in that of all types with the same high octet."""
    form, plain = _form(kind), _PLAIN.get(kind >> 8, _HEX)
    if form is not plain and kind in FORMS and isinstance(value, str):
        try:
            return form.parse(value)
        except TextError:
            return plain.parse(value)
    return form.parse(value)


def _format_as2(bits: int) -> str:
    return '"%d:%d"' % (bits >> 32, bits & 0xFFFFFFFF)


def _parse_as2(item: object) -> int:
    asn, number = split_pair(item)
    return parse_number(asn, 16) << 32 | parse_number(number, 32)


def _format_ip4(bits: int) -> str:
    return '"%s:%d"' % (format_address((bits >> 16).to_bytes(4, "big")), bits & 0xFFFF)


def _parse_ip4(item: object) -> int:
    address, number = split_pair(item)
    octets = parse_address(address)
    if len(octets) != 4:
        raise TextError(f"not an IPv4 address: {address!r}")
    return int.from_bytes(octets, "big") << 16 | parse_number(number, 16)


def _format_as4(bits: int) -> str:
    return '"%d:%d"' % (bits >> 16, bits & 0xFFFF)


def _parse_as4(item: object) -> int:
    asn, number = split_pair(item)
    return parse_number(asn, 32) << 16 | parse_number(number, 16)


def _format_action(bits: int) -> str | None:
    if bits > 3:
        return None
    return '{"terminal":%s,"sample":%s}' % (_BOOLEANS[bits & 1], _BOOLEANS[bits >> 1])


def _parse_action(item: object) -> int:
    return _parse_bits(item, {"terminal": 1, "sample": 2})


def _format_copy(bits: int) -> str | None:
    return '{"copy":%s}' % _BOOLEANS[bits] if bits < 2 else None


def _parse_copy(item: object) -> int:
    return _parse_bits(item, {"copy": 1})


_BOOLEANS: Final = ("false", "true")


def _parse_bits(item: object, names: dict[str, int]) -> int:
    if not isinstance(item, dict) or not item.keys() <= names.keys() or not {*map(type, item.values())} <= {bool}:
        raise TextError(f"not an object with true or false for {', '.join(names)}: {item!r}")
    return sum(names[name] for name, value in item.items() if value)


def _format_dscp(bits: int) -> str | None:
    return str(bits) if bits < 64 else None


def _parse_dscp(item: object) -> int:
    return parse_number(item, 6)


def _format_hex(bits: int) -> None:
    return None


def _parse_hex(item: object) -> int:
    return parse_number(item, TYPE_SHIFT)


_AS2: Final = Form(_format_as2, _parse_as2)
_IP4: Final = Form(_format_ip4, _parse_ip4)
_AS4: Final = Form(_format_as4, _parse_as4)
_RATE: Final = Form(format_rate, parse_rate)
_HEX: Final = Form(_format_hex, _parse_hex)

_SPECIFIC: Final = {
    0x05: "OSPF_DOMAIN_ID",  # RFC 4577
    0x08: "DATA_COLLECTION",  # RFC 4384
    0x09: "SOURCE_AS",  # RFC 6514
    0x0A: "L2VPN_ID",  # RFC 6074
    0x13: "TARGET_RECORD",
}
"""Names of subtypes that begin with an AS number or an IPv4 address, besides those that the Go bgpipe has."""
_NAMED: Final[dict[int, tuple[str, Form]]] = {
    **{subtype: (name, _AS2) for subtype, name in _SPECIFIC.items()},
    **{0x0100 | subtype: (f"IP4_{name}", _IP4) for subtype, name in _SPECIFIC.items() if name != "SOURCE_AS"},
    **{0x0200 | subtype: (f"AS4_{name}", _AS4) for subtype, name in _SPECIFIC.items() if name != "L2VPN_ID"},
    0x0080: ("VIRTUAL_NETWORK_ID", _AS2),
    0x0107: ("OSPF_ROUTER_ID", _IP4),  # RFC 4577
    0x010B: ("VRF_ROUTE_IMPORT", _IP4),  # RFC 6514
    0x0112: ("SEGMENTED_NEXTHOP", _IP4),  # RFC 7524
    0x0120: ("MVPN_SA_RP_ADDRESS", _IP4),  # RFC 9081
    0x0204: ("AS4_GENERIC", _AS4),
    0x060A: ("EVI_RT", _AS2),  # RFC 9251
    0x060B: ("IP4_EVI_RT", _IP4),
    0x060C: ("AS4_EVI_RT", _AS4),
    0x0C00: ("MUP_SEGMENT", _AS2),  # draft-ietf-bess-mup-safi
    0x0000: ("AS2", _AS2),
    0x0002: ("TARGET", _AS2),
    0x0003: ("ORIGIN", _AS2),
    0x00FF: ("SUBTYPE", _AS2),
    0x0100: ("IP4", _IP4),
    0x0102: ("IP4_TARGET", _IP4),
    0x0103: ("IP4_ORIGIN", _IP4),
    0x0200: ("AS4", _AS4),
    0x0202: ("AS4_TARGET", _AS4),
    0x0203: ("AS4_ORIGIN", _AS4),
    0x0800: ("FLOW_REDIRECT_NH", Form(_format_copy, _parse_copy)),
    0x8006: ("FLOW_RATE_BYTES", _RATE),
    0x8007: ("FLOW_ACTION", Form(_format_action, _parse_action)),
    0x8008: ("FLOW_REDIRECT_AS2", _AS2),
    0x8009: ("FLOW_DSCP", Form(_format_dscp, _parse_dscp)),
    0x800C: ("FLOW_RATE_PACKETS", _RATE),
    0x8108: ("FLOW_REDIRECT_IP4", _IP4),
    0x8208: ("FLOW_REDIRECT_AS4", _AS4),
    0xBF00: ("TYPE", _HEX),
    **{kind: (name, _HEX) for kind, name in OPAQUE.items()},
    **FORMS,
}
_PLAIN: Final = {0: _AS2, 1: _IP4, 2: _AS4}
"""The forms of types without a name, by their high octet (RFC 4360 section 3)."""
NAMES: Final = {kind: name for kind, (name, _) in _NAMED.items()}
_CODES: Final = {name: kind for kind, name in NAMES.items()} | {"TRANSITIVE": NONTRANSITIVE}


def _form(kind: int) -> Form:
    """By the type, the bit for nontransitive cleared."""
    return _NAMED[kind][1] if kind in _NAMED else _PLAIN.get(kind >> 8, _HEX)


if accel.AVAILABLE:
    accel.layout.learn_names(list(NAMES))
