"""What the attributes that are one IPv4 address, or a number written like one, have in common."""

from __future__ import annotations

from ..address import format_address, parse_address
from ..context import WireContext
from ..errors import TextError
from .codec import Codec


def decode(octets: bytes, context: WireContext) -> str:
    return format_address(octets)


def encode(value: str, context: WireContext) -> bytes:
    return parse_address(value)


def format_json(value: str) -> str:
    return f'"{value}"'


def from_json(value: object) -> str:
    """Raises TextError."""
    if not isinstance(value, str) or len(octets := parse_address(value)) != 4:
        raise TextError(f"not an IPv4 address: {value!r}")
    return format_address(octets)


CODEC = Codec(decode, encode, format_json, from_json)
