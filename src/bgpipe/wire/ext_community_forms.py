"""Forms of extended communities that have a name here, but none in the Go bgpipe.

EVPN (RFC 7432 section 7, RFC 8214, RFC 8317, RFC 8584, RFC 9047, RFC 9135, RFC 9251, RFC 9722), link bandwidth, colour
and encapsulation (RFC 9012), layer 2 information (RFC 4761), redirection to an address, sets of interfaces, validation
state (RFC 8097), OSPF (RFC 4577), multicast VPNs (RFC 7900, RFC 7902), transport classes, and other names of IANA's
registry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from struct import pack, unpack
from typing import Any, Final, NamedTuple

from .address import format_address, parse_address
from .errors import TextError
from .number import parse_number
from .tunnel_types import TUNNEL_TYPES

VALUE_BITS: Final = 48


class Form(NamedTuple):
    """How a value of 48 bits is written: format gives JSON text, or None for bits that it can't say. parse: raises
    TextError."""

    format: Callable[[int], str | None]
    parse: Callable[[object], int]


class Field(NamedTuple):
    """Some bits of a value. format: of a number, its JSON value, None if there is none. parse: that to a number; raises
    TextError. optional: left out if the bits are 0."""

    key: str
    bits: int
    format: Callable[[int], Any]
    parse: Callable[[Any], int]
    optional: bool = False


def split_pair(item: object) -> tuple[str, str]:
    """Two texts with a colon between, the last one. Raises TextError."""
    left, colon, right = item.rpartition(":") if isinstance(item, str) else ("", "", "")
    if not colon:
        raise TextError(f"not two parts with a colon between: {item!r}")
    return left, right


# Rates: IEEE 754 singles


def format_rate(bits: int) -> str | None:
    """A number of bytes or packets a second, an IEEE 754 single (RFC 8955 section 7.1), behind an informative AS."""
    text = _format_single(bits & 0xFFFFFFFF)
    return f'"{bits >> 32}:{text}"' if text and bits >> 32 else text


def _format_single(bits: int) -> str | None:
    """The fewest digits that name this single, without an exponent; None if it is no number, or a negative zero."""
    from decimal import Decimal

    (rate,) = unpack(">f", pack(">I", bits))
    if not isfinite(rate) or (rate == 0 and bits):
        return None
    for digits in range(1, 10):
        text = f"{rate:.{digits}g}"
        try:
            if unpack(">f", pack(">f", float(text))) == (rate,):
                break
        except OverflowError:  # rounded up to more than a single holds
            continue
    return f"{Decimal(text):f}"


def parse_rate(item: object) -> int:
    asn, rate = split_pair(item) if isinstance(item, str) and ":" in item else ("0", item)
    return parse_number(asn, 16) << 32 | _parse_single(rate)


def _parse_single(rate: object) -> int:
    try:
        return int.from_bytes(pack(">f", float(rate)), "big")  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise TextError(f"not a rate: {rate!r}") from None


def _format_bandwidth(bits: int) -> str | None:
    """Bytes a second behind an AS number (draft-ietf-idr-link-bandwidth)."""
    text = _format_single(bits & 0xFFFFFFFF)
    return text and f'{{"asn":{bits >> 32},"bandwidth":{text}}}'


def _parse_bandwidth(item: object) -> int:
    if not isinstance(item, dict) or item.keys() != {"asn", "bandwidth"}:
        raise TextError(f'not {{"asn":ASN,"bandwidth":RATE}}: {item!r}')
    return parse_number(item["asn"], 16) << 32 | _parse_single(item["bandwidth"])


# Values made of fields


def _number(key: str, bits: int, optional: bool = False) -> Field:
    return Field(key, bits, int, lambda value: parse_number(value, bits), optional)


def _flag(key: str) -> Field:
    return Field(key, 1, bool, _parse_flag, True)


def _parse_flag(value: object) -> int:
    if type(value) is not bool:
        raise TextError(f"neither true nor false: {value!r}")
    return int(value)


def _zero(bits: int) -> Field:
    """Bits that must be 0."""
    return Field("", bits, lambda number: None if number else 0, int)


def _format_label(number: int) -> int | str:
    return f"0x{number:06x}" if number & 15 else number >> 4


def _parse_label(value: object) -> int:
    """As in EVPN: a number of 20 bits, or "0x..." of all 24."""
    if isinstance(value, str) and value[:2] == "0x" and len(value) == 8:
        return parse_number(value, 24)
    if type(value) is not int:
        raise TextError(f"not a label: {value!r}; a number of 20 bits or 0x and six digits is expected")
    return parse_number(value, 20) << 4


_LABEL: Final = Field("label", 24, _format_label, _parse_label)


def _format_ip(number: int) -> str:
    return format_address(number.to_bytes(4, "big"))


def _parse_ip(value: object) -> int:
    octets = parse_address(value) if isinstance(value, str) else b""
    if len(octets) != 4:
        raise TextError(f"not an IPv4 address: {value!r}")
    return int.from_bytes(octets, "big")


def _fields(*fields: Field) -> Form:
    """An object of fields, the highest bits first."""
    by_key = {field.key: field for field in fields if field.key}

    def format(bits: int) -> str | None:
        shift = VALUE_BITS
        shown = {}
        for field in fields:
            shift -= field.bits
            number = bits >> shift & (1 << field.bits) - 1
            value = field.format(number)
            if value is None:
                return None
            if field.key and (number or not field.optional):
                shown[field.key] = value
        return json.dumps(shown, separators=(",", ":"))

    def parse(item: object) -> int:
        needed = {key for key, field in by_key.items() if not field.optional}
        if not isinstance(item, dict) or not needed <= item.keys() <= by_key.keys():
            raise TextError(f"not an object with {', '.join(by_key)}: {item!r}")
        bits = 0
        for field in fields:
            bits = bits << field.bits | (field.parse(item[field.key]) if field.key in item else 0)
        return bits

    return Form(format, parse)


def _alone(field: Field, before: int = 0) -> Form:
    """One field behind `before` bits that must be 0; the value is that of the field alone."""

    def format(bits: int) -> str | None:
        value = None if bits >> VALUE_BITS - before else field.format(bits)
        return None if value is None else json.dumps(value)

    return Form(format, field.parse)


def _format_mac(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")


def _parse_mac(value: object) -> int:
    pairs = value.replace("-", ":").split(":") if isinstance(value, str) else []
    if len(pairs) != 6 or not all(len(pair) == 2 for pair in pairs):
        raise TextError(f"not a MAC address: {value!r}")
    return parse_number("0x" + "".join(pairs), 48)


def _choice(names: dict[int, str], bits: int) -> Field:
    """A number with a name, if there is one for it."""
    codes = {name: code for code, name in names.items()}

    def parse(value: object) -> int:
        return parse_number(codes.get(value.upper(), value) if isinstance(value, str) else value, bits)

    return Field("", bits, lambda number: names.get(number, number), parse)


_COLOR: Final = _fields(_number("flags", 16), _number("color", 32))


def _format_color(bits: int) -> str | None:
    """The colour alone if no flag is set."""
    return _COLOR.format(bits) if bits >> 32 else str(bits)


def _parse_color(item: object) -> int:
    return _COLOR.parse(item) if isinstance(item, dict) else parse_number(item, 32)


def _format_true(bits: int) -> str | None:
    return None if bits else "true"


def _parse_true(item: object) -> int:
    if item is not True:
        raise TextError(f"not true: {item!r}")
    return 0


_MAC: Final = _alone(Field("", 48, _format_mac, _parse_mac))
_STATES: Final = {0: "VALID", 1: "NOT_FOUND", 2: "INVALID"}
FORMS: Final[dict[int, tuple[str, Form]]] = {
    0x0004: ("LINK_BANDWIDTH", Form(_format_bandwidth, _parse_bandwidth)),
    0x010C: (
        "FLOW_REDIRECT_IP",
        _fields(Field("ip", 32, _format_ip, _parse_ip), _zero(15), Field("copy", 1, bool, _parse_flag)),
    ),
    0x0305: ("EXTRANET_SEPARATION", Form(_format_true, _parse_true)),
    0x0307: ("PMSI_FLAGS", _fields(_number("flags", 48))),
    0x0308: ("CONTEXT_LABEL_SPACE", _fields(_number("id_type", 16), _number("id", 32))),
    0x0300: ("VALIDATION_STATE", _alone(_choice(_STATES, 8), 40)),
    0x0306: (
        "OSPF_ROUTE_TYPE",
        _fields(Field("area", 32, _format_ip, _parse_ip), _number("type", 8), _number("options", 8)),
    ),
    0x030B: ("COLOR", Form(_format_color, _parse_color)),
    0x030C: ("ENCAPSULATION", _alone(_choice(TUNNEL_TYPES, 16), 32)),
    0x030D: ("DEFAULT_GATEWAY", Form(_format_true, _parse_true)),
    0x0600: ("MAC_MOBILITY", _fields(_zero(7), _flag("sticky"), _zero(8), _number("sequence", 32))),
    0x0601: ("ESI_LABEL", _fields(_zero(7), _flag("single_active"), _zero(16), _LABEL)),
    0x0602: ("ES_IMPORT", _MAC),
    0x0603: ("ROUTER_MAC", _MAC),
    0x0604: ("L2_ATTRIBUTES", _fields(_number("control", 16), _number("mtu", 16), _zero(16))),
    0x0605: ("E_TREE", _fields(_zero(7), _flag("leaf"), _zero(16), _LABEL)),
    0x0606: (
        "DF_ELECTION",
        _fields(_zero(3), _number("algorithm", 5), _number("bitmap", 16), _zero(8), _number("preference", 16, True)),
    ),
    0x0608: ("ARP_ND", _fields(_zero(4), _flag("immutable"), _zero(1), _flag("override"), _flag("router"), _zero(40))),
    0x0609: ("MULTICAST_FLAGS", _fields(_number("flags", 16), _zero(32))),
    0x060F: ("SERVICE_CARVING_TIME", _fields(_number("seconds", 32), _number("fraction", 16))),
    0x0702: (
        "FLOW_INTERFACE_SET",
        _fields(_number("asn", 32), _flag("outbound"), _flag("inbound"), _number("group", 14)),
    ),
    0x0A02: ("TRANSPORT_CLASS", _fields(_zero(16), _number("class", 32))),
    0x800A: (
        "L2_INFO",
        _fields(_number("encaps", 8), _number("control", 8), _number("mtu", 16), _number("preference", 16)),
    ),
}
"""By type, the bit for nontransitive cleared: name and form."""
OPAQUE: Final[dict[int, str]] = {
    0x0301: "COST",
    0x0303: "CP_ORF",
    0x0304: "EXTRANET_SOURCE",
    0x030E: "PPMP_LABEL",
    0x030F: "GROUP_POLICY_CLASS",
    0x0314: "CONSISTENT_HASH_SORT_ORDER",
    0x0317: "GROUP_POLICY_ID",
    0x031B: "LOCAL_COLOR_MAPPING",
    0x03AA: "LOAD_BALANCE",
    0x060D: "IP6_EVI_RT",
    0x060E: "ATTACHMENT_CIRCUIT",
    0x0610: "EVPN_LINK_BANDWIDTH",
    0x0615: "TARGET_DERIVED",
    0x0900: "FLOW_REDIRECT_ID",
    0x0B01: "SFIR_POOL",
    0x0B02: "SFC_LABELS",
}
"""By type, names in IANA's registry whose value is shown as octets."""
