"""What the attributes that are one number of four octets have in common."""

from __future__ import annotations

from ..context import WireContext
from ..errors import TextError
from .codec import Codec


def decode(octets: bytes, context: WireContext) -> int:
    return int.from_bytes(octets, "big")


def encode(value: int, context: WireContext) -> bytes:
    return value.to_bytes(4, "big")


def format_json(value: int) -> str:
    return str(value)


def from_json(value: object) -> int:
    return parse_number(value, 32)


def parse_number(value: object, bits: int) -> int:
    """A JSON integer, or a string with a decimal or 0x number, of at most `bits` bits. Raises TextError."""
    number = value
    if isinstance(value, str) and value.isascii() and len(value) < 25:
        try:
            number = int(value, 16 if value[:2] in ("0x", "0X") else 10)
        except ValueError:
            number = None
    if type(number) is not int or number < 0 or number >> bits:
        raise TextError(f"not a number from 0 to {(1 << bits) - 1}: {value!r}")
    return number


CODEC = Codec(decode, encode, format_json, from_json)
