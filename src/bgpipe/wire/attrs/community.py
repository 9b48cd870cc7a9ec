"""COMMUNITIES (RFC 1997): a tuple of 32-bit numbers, each written as two 16-bit ones, `65000:1`."""

from __future__ import annotations

from struct import unpack

from ..context import WireContext
from ..errors import TextError
from .codec import Codec


def decode(octets: bytes, context: WireContext) -> tuple[int, ...]:
    return unpack(f">{len(octets) // 4}I", octets)


def encode(value: tuple[int, ...], context: WireContext) -> bytes:
    return b"".join(community.to_bytes(4, "big") for community in value)


def format_json(value: tuple[int, ...]) -> str:
    return '["' + '","'.join(map(format_community, value)) + '"]' if value else "[]"


def from_json(value: object) -> tuple[int, ...]:
    """Raises TextError."""
    if not isinstance(value, list):
        raise TextError(f"not a list: {value!r}")
    return tuple(map(parse_community, value))


def format_community(community: int) -> str:
    return "%d:%d" % (community >> 16, community & 0xFFFF)


def parse_community(text: object) -> int:
    """Raises TextError."""
    high, low = parse_parts(text, 2, 16)
    return high << 16 | low


def parse_parts(text: object, count: int, bits: int) -> list[int]:
    """`count` decimal numbers of at most `bits` bits with colons between them. Raises TextError."""
    parts = text.split(":") if isinstance(text, str) and text.isascii() else []
    if len(parts) == count and all(part.isdigit() and len(part) <= 10 for part in parts):
        numbers = list(map(int, parts))
        if not any(number >> bits for number in numbers):
            return numbers
    raise TextError(f"not {count} numbers of {bits} bits with colons between: {text!r}")


CODEC = Codec(decode, encode, format_json, from_json)
