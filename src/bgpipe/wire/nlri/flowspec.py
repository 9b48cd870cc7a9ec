"""FlowSpec (RFC 8955, RFC 8956): a rule is one NLRI, made of components, in VPNs behind a route distinguisher.

JSON, as the Go bgpipe has it: {"DST":"192.0.2.0/24","PROTO":[{"op":"==","val":6}],"PORT":[{"op":">=","val":1024},
{"and":true,"op":"<","val":2048}],"TCP_FLAGS":[{"op":"ANY","len":1,"val":"0x2"}]}. An operator has "len", octets of the
value, where it is a bitmask, or where fewer octets would do. A component of unknown type, which reaches to the end of
the rule, is "FlowType(14)":"0x...". In VPNs "RD":"65000:1" comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from ..address import format_address, parse_address
from ..cursor import Cursor
from ..errors import TextError, WireError
from ..hexadecimal import format_hex, parse_hex
from ..prefix import encode_prefix, format_prefixes, parse_prefix
from .codec import Members, NlriCodec
from .layout import text
from .text import DISTINGUISHER, format_rd, parse_rd

DESTINATION: Final = 1
SOURCE: Final = 2
NAMES: Final = {
    DESTINATION: "DST",
    SOURCE: "SRC",
    3: "PROTO",
    4: "PORT",
    5: "PORT_DST",
    6: "PORT_SRC",
    7: "ICMP_TYPE",
    8: "ICMP_CODE",
    9: "TCP_FLAGS",
    10: "PKTLEN",
    11: "DSCP",
    12: "FRAG",
    13: "LABEL",
}
_CODES: Final = {name: code for code, name in NAMES.items()}
_BITMASKS: Final = (9, 12)
_IPV6_ONLY: Final = (13,)
_END: Final = 0x80
_AND: Final = 0x40
_NUMERIC: Final = ("false", "==", ">", ">=", "<", "<=", "!=", "true")
"""By the lowest three bits of an operator (RFC 8955 section 4.2.1.1)."""
_BITWISE: Final = ("ANY", "ALL", "NONE", "NOT-ALL")
"""By the lowest two bits of an operator (RFC 8955 section 4.2.1.2)."""
_MAX_RULE: Final = 0xFFF


def to_json(octets: bytes, afi: int, vpn: bool) -> Members:
    cursor = Cursor(octets, 1 if octets[0] < 0xF0 else 2)
    members: Members = {"RD": format_rd(cursor.take(DISTINGUISHER))} if vpn else {}
    while cursor.left:
        code = cursor.u8()
        name = _name(code, afi)
        if name is None:
            members[f"FlowType({code})"] = format_hex(cursor.rest())
        elif name in members:
            raise WireError(f"component {name} comes twice", offset=cursor.pos - 1)
        elif code in (DESTINATION, SOURCE):
            members[name] = _decode_prefix(cursor) if afi == 1 else _decode_prefix6(cursor)
        else:
            members[name] = _decode_operators(cursor, code in _BITMASKS)
    if not members:
        raise WireError("a rule without components")
    return members


def _name(code: int, afi: int) -> str | None:
    return None if code in _IPV6_ONLY and afi == 1 else NAMES.get(code)


def _decode_prefix(cursor: Cursor) -> str:
    start = cursor.pos
    size = cursor.u8() + 7 >> 3
    cursor.take(size)
    return format_prefixes(cursor.octets, 1, pos=start, end=cursor.pos)[0]


def _decode_prefix6(cursor: Cursor) -> str:
    """Length, offset, and the bits between them (RFC 8956 section 3.1)."""
    length, offset = cursor.u8(), cursor.u8()
    if length > 128 or (offset >= length and offset):
        raise WireError(f"IPv6 prefix of {length} bits with an offset of {offset}", offset=cursor.pos)
    bits = length - offset
    size = bits + 7 >> 3
    pattern = int.from_bytes(cursor.take(size), "big") >> 8 * size - bits << 128 - length
    place = f"{offset}-{length}" if offset else str(length)
    return f"{format_address(pattern.to_bytes(16, 'big'))}/{place}"


def _decode_operators(cursor: Cursor, bitmask: bool) -> list[dict[str, Any]]:
    operators = []
    bits = 0
    while not bits & _END:
        bits = cursor.u8()
        size = 1 << (bits >> 4 & 3)
        value = int.from_bytes(cursor.take(size), "big")
        operator: dict[str, Any] = {"and": True} if bits & _AND else {}
        if bitmask:
            operator |= {"op": _BITWISE[bits & 3], "len": size, "val": f"0x{value:x}"}
        else:
            operator["op"] = _NUMERIC[bits & 7]
            if size != _least(value):
                operator["len"] = size
            operator["val"] = value
        operators.append(operator)
    return operators


def _least(value: int) -> int:
    """The fewest octets that an operator can give a value: 1, 2, 4 or 8."""
    return 1 if value < 1 << 8 else 2 if value < 1 << 16 else 4 if value < 1 << 32 else 8


def from_json(members: Mapping[str, object], afi: int, vpn: bool) -> bytes:
    components = {_parse_name(name, afi): value for name, value in members.items() if name != "RD"}
    rule = parse_rd(text(members.get("RD"))) if vpn else b""
    rule += b"".join(bytes((code,)) + _encode_component(code, components[code], afi) for code in sorted(components))
    if not components or len(components) + ("RD" in members) != len(members) or ("RD" in members) != vpn:
        raise TextError(f"not the components of a rule: {dict(members)!r}")
    if len(rule) > _MAX_RULE:
        raise TextError(f"{len(rule)} octets are too many for one rule")
    return (bytes((len(rule),)) if len(rule) < 0xF0 else (0xF000 | len(rule)).to_bytes(2, "big")) + rule


def _parse_name(name: str, afi: int) -> int:
    code = _CODES.get(name.upper())
    if code is None and name[:9].upper() == "FLOWTYPE(" and name[-1] == ")":
        digits = name[9:-1]
        if digits.isascii() and digits.isdigit() and len(digits) <= 3 and int(digits) < 256:
            code = int(digits)
    elif code is not None and _name(code, afi) is None:
        code = None
    if code is None:
        raise TextError(f"unknown component {name!r}: one of {', '.join(_CODES)} is expected")
    return code


def _encode_component(code: int, value: object, afi: int) -> bytes:
    name = _name(code, afi)
    try:
        if name is None:
            return parse_hex(text(value))
        if code in (DESTINATION, SOURCE):
            return _encode_prefix(text(value)) if afi == 1 else _encode_prefix6(text(value))
        if not isinstance(value, list) or not value:
            raise TextError(f"not a list of operators: {value!r}")
        last = len(value) - 1
        encode = _encode_bitmask if code in _BITMASKS else _encode_number
        return b"".join(encode(operator, _END if place == last else 0) for place, operator in enumerate(value))
    except TextError as error:
        raise TextError(f"{name or f'FlowType({code})'}: {error}") from None


def _encode_prefix(value: str) -> bytes:
    prefix = parse_prefix(value)
    if prefix.afi != 1 or prefix.path_id is not None:
        raise TextError(f"not an IPv4 prefix: {value!r}")
    return encode_prefix(prefix)


def _encode_prefix6(value: str) -> bytes:
    address, _, place = value.partition("/")
    offset, dash, length = place.rpartition("-")
    octets = parse_address(address)
    numbers = [offset or "0", length]
    if not all(part.isascii() and part.isdigit() and len(part) < 4 for part in numbers) or (dash and not offset):
        raise TextError(f"not an IPv6 prefix: {value!r}; ADDRESS/LENGTH or ADDRESS/OFFSET-LENGTH is expected")
    first, end = map(int, numbers)
    if len(octets) != 16 or end > 128 or (first and first >= end):
        raise TextError(f"not an IPv6 prefix: {value!r}")
    bits = end - first
    size = bits + 7 >> 3
    pattern = (int.from_bytes(octets, "big") >> 128 - end) & (1 << bits) - 1
    return bytes((end, first)) + (pattern << 8 * size - bits).to_bytes(size, "big")


def _operator(operator: object) -> tuple[Mapping[str, object], int]:
    """An operator, and its bit AND. Raises TextError."""
    if not isinstance(operator, dict) or not {"op", "val"} <= operator.keys() <= {"and", "op", "len", "val"}:
        raise TextError(f'not an operator {{"op":OP,"val":VALUE}}: {operator!r}')
    if type(operator.get("and", False)) is not bool:
        raise TextError(f'"and" is neither true nor false: {operator!r}')
    return operator, _AND if operator.get("and") else 0


def _encode_number(item: object, end: int) -> bytes:
    operator, together = _operator(item)
    value, op = operator["val"], operator["op"]
    if type(value) is not int or op not in _NUMERIC:
        raise TextError(f"not an operator of {' '.join(_NUMERIC)} and a number: {item!r}")
    return _encode_value(end | together | _NUMERIC.index(str(op)), value, operator.get("len"), item)


def _encode_bitmask(item: object, end: int) -> bytes:
    operator, together = _operator(item)
    value, op = operator["val"], operator["op"]
    if isinstance(value, str) and value[:2] in ("0x", "0X") and len(value) <= 18:
        try:
            value = int(value, 16)
        except ValueError:
            value = None
    if type(value) is not int or op not in _BITWISE:
        raise TextError(f"not an operator of {' '.join(_BITWISE)} and a number: {item!r}")
    return _encode_value(end | together | _BITWISE.index(str(op)), value, operator.get("len"), item)


def _encode_value(bits: int, value: int, size: object, item: object) -> bytes:
    if size is None:
        size = _least(value)
    if type(size) is not int or size not in (1, 2, 4, 8) or value < 0 or value >> 8 * size:
        raise TextError(f"a value that doesn't fit in its octets (1, 2, 4 or 8): {item!r}")
    return bytes((bits | (size.bit_length() - 1) << 4,)) + value.to_bytes(size, "big")


def _codec(afi: int, vpn: bool) -> NlriCodec:
    return NlriCodec(partial(to_json, afi=afi, vpn=vpn), partial(from_json, afi=afi, vpn=vpn))


IPV4: Final = _codec(1, False)
IPV6: Final = _codec(2, False)
VPN_IPV4: Final = _codec(1, True)
VPN_IPV6: Final = _codec(2, True)
