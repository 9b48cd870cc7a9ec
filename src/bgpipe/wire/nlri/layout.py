"""Octets that are a run of parts: each part is a member of the JSON object, in the order of the wire.

A part reads octets from a cursor and gives the value of its member, None for a member that is left out; and it makes
octets of the member, None where it is missing. A part with `keys` is several members: it gives all of them as an
object, and makes octets of the whole object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ... import accel
from ..address import format_address, parse_address
from ..cursor import Cursor
from ..errors import TextError, WireError
from ..hexadecimal import format_hex, parse_hex
from ..prefix import format_prefixes, parse_prefix
from .codec import Members
from .text import (
    DISTINGUISHER,
    LABEL,
    SEGMENT,
    format_esi,
    format_labels,
    format_mac,
    format_rd,
    parse_esi,
    parse_labels,
    parse_mac,
    parse_rd,
)


class Part(NamedTuple):
    """decode: raises WireError. encode: raises TextError. kind, size, more: what accel calls it (accel/layout.pyx), ""
    if it has no such part; its octets; those of a constant, or a function that tells accel of a table inside."""

    key: str
    decode: Callable[[Cursor], Any]
    encode: Callable[[Any], bytes]
    keys: tuple[str, ...] = ()
    kind: str = ""
    size: int = 0
    more: Any = None


def tell_layouts(
    style: str, layouts: Mapping[int, tuple[str, Sequence[Part]]], form: tuple[int, int, bool, int] = (0, 0, False, 0)
) -> int:
    """Tells accel of a table of layouts (see NlriCodec). Returns the number that accel gives it, 0 for none."""
    told = [
        (
            number,
            name,
            [(part.kind, part.size, part.key, part.more() if callable(part.more) else part.more) for part in parts],
        )
        for number, (name, parts) in layouts.items()
    ]
    return int(accel.layout.learn(style, told, form)) if accel.AVAILABLE else 0


def decode_parts(octets: bytes, parts: Sequence[Part]) -> Members:
    """The members of octets that are these parts to the last one. Raises WireError."""
    cursor = Cursor(octets)
    members = read_parts(cursor, parts)
    if cursor.left:
        raise WireError(f"{cursor.left} octets behind the last part", offset=cursor.pos)
    return members


def read_parts(cursor: Cursor, parts: Sequence[Part]) -> Members:
    """The members of the parts that stand next. Raises WireError."""
    members: Members = {}
    for key, decode, _, keys, *_ in parts:
        value = decode(cursor)
        if keys:
            members |= value
        elif value is not None:
            members[key] = value
    return members


def encode_parts(members: Mapping[str, object], parts: Sequence[Part], others: Sequence[str] = ()) -> bytes:
    """The octets of members. others: keys that stand beside them. Raises TextError."""
    if unknown := members.keys() - set(keys_of(parts)) - set(others):
        raise TextError(f"unknown key {min(unknown)!r}")
    octets = []
    for key, _, encode, keys, *_ in parts:
        try:
            octets.append(encode(members if keys else members.get(key)))
        except TextError as error:
            raise TextError(f"{key}: {error}" if key else str(error)) from None
    return b"".join(octets)


def keys_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """The keys of all members that the parts can have."""
    return tuple(key for part in parts for key in part.keys or (part.key,))


def text(value: object) -> str:
    """A value that has to be a text. Raises TextError."""
    if not isinstance(value, str):
        raise TextError("a text is expected" if value is None else f"not a text: {value!r}")
    return value


def number(key: str, size: int) -> Part:
    """An unsigned number of `size` octets."""

    def encode(value: object) -> bytes:
        if type(value) is not int or value < 0 or value >> 8 * size:
            raise TextError(f"not a number from 0 to {(1 << 8 * size) - 1}: {value!r}")
        return value.to_bytes(size, "big")

    return Part(key, lambda cursor: int.from_bytes(cursor.take(size), "big"), encode, (), "number", size)


def constant(octets: bytes) -> Part:
    """Octets that say nothing, and must be these."""

    def decode(cursor: Cursor) -> None:
        if cursor.take(len(octets)) != octets:
            raise WireError("reserved octets are used", offset=cursor.pos)

    return Part("", decode, lambda value: octets, (), "constant", len(octets), octets)


def address(key: str) -> Part:
    """An address that goes to the end."""
    return Part(key, lambda cursor: format_ip(cursor.rest()), _parse_ip, (), "address")


def counted_address(key: str) -> Part:
    """A length in bits, 0, 32 or 128, and an address, which is left out if it is 0."""

    def decode(cursor: Cursor) -> str | None:
        bits = cursor.u8()
        if bits not in (0, 32, 128):
            raise WireError(f"address of {bits} bits", offset=cursor.pos - 1)
        return format_address(cursor.take(bits // 8)) if bits else None

    def encode(value: object) -> bytes:
        octets = b"" if value is None else parse_address(text(value))
        return bytes((len(octets) * 8,)) + octets

    return Part(key, decode, encode, (), "counted")


def hexadecimal(key: str, size: int) -> Part:
    """So many octets."""
    return Part(key, lambda cursor: format_hex(cursor.take(size)), _parse_octets, (), "octets", size)


def inner_nlri(key: str) -> Part:
    """The octets of an NLRI with a type and a length of an octet each."""

    def decode(cursor: Cursor) -> str:
        if cursor.left < 2:
            raise WireError("a route key is cut short", offset=cursor.pos)
        return format_hex(cursor.take(2 + cursor.octets[cursor.pos + 1]))

    return Part(key, decode, _parse_octets, (), "inner")


def _parse_ip(value: object) -> bytes:
    return parse_address(text(value))


def _parse_octets(value: object) -> bytes:
    return parse_hex(text(value))


def labels(cursor: Cursor) -> Any:
    """Labels that go to the end, none of them with the last-label bit."""
    return format_labels(cursor.rest(), False)


def format_ip(octets: bytes) -> str:
    """Raises WireError if the octets are not an IPv4 or IPv6 address."""
    if len(octets) not in (4, 16):
        raise WireError(f"address of {len(octets)} octets")
    return format_address(octets)


def _decode_mac(cursor: Cursor) -> str:
    if (bits := cursor.u8()) != 48:
        raise WireError(f"MAC address of {bits} bits", offset=cursor.pos - 1)
    return format_mac(cursor.take(6))


def _decode_prefix(cursor: Cursor) -> str:
    """A prefix with all octets of its address, before a gateway of the same size and a label (RFC 9136 section 3.1)."""
    size = {12: 4, 36: 16}.get(cursor.left)
    if size is None:
        raise WireError(f"prefix and gateway of {cursor.left} octets", offset=cursor.pos)
    length = cursor.u8()
    octets = cursor.take(size)
    return format_prefixes(bytes((length,)) + octets[: length + 7 >> 3], 1 if size == 4 else 2)[0]


def _encode_prefix(value: object) -> bytes:
    prefix = parse_prefix(text(value))
    return bytes((prefix.length,)) + prefix.address.to_bytes(4 if prefix.afi == 1 else 16, "big")


RD = Part("rd", lambda cursor: format_rd(cursor.take(DISTINGUISHER)), lambda value: parse_rd(text(value)), (), "rd")
ESI = Part("esi", lambda cursor: format_esi(cursor.take(SEGMENT)), lambda value: parse_esi(text(value)), (), "esi")
MAC = Part("mac", _decode_mac, lambda value: b"\x30" + parse_mac(text(value)), (), "mac")
LABELS = Part("labels", labels, lambda value: parse_labels(value, False), (), "labels")
PREFIX = Part("prefix", _decode_prefix, _encode_prefix, (), "prefix")
GATEWAY = Part("gateway", lambda cursor: format_ip(cursor.take(cursor.left - LABEL)), _parse_ip, (), "gateway")
