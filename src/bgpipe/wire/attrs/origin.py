"""ORIGIN (RFC 4271 section 5.1.1): how the prefix came into BGP. A value is its number."""

from __future__ import annotations

from typing import Final

from ..context import WireContext
from ..errors import WireError
from ..number import parse_number
from .codec import Codec

NAMES: Final = ("IGP", "EGP", "INCOMPLETE")


def decode(octets: bytes, context: WireContext) -> int:
    return octets[0]


def check(value: int, context: WireContext) -> WireError | None:
    return None if value < len(NAMES) else WireError(f"value {value} is undefined", subcode=6)


def encode(value: int, context: WireContext) -> bytes:
    return bytes((value,))


def format_json(value: int) -> str:
    return f'"{NAMES[value]}"' if value < len(NAMES) else str(value)


def from_json(value: object) -> int:
    """A name in any case, or a number. Raises TextError."""
    if isinstance(value, str) and value.upper() in NAMES:
        return NAMES.index(value.upper())
    return parse_number(value, 8)


CODEC = Codec(decode, encode, format_json, from_json, check)
