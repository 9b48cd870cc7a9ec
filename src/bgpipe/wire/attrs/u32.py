"""What the attributes that are one number of four octets have in common."""

from __future__ import annotations

from ..context import WireContext
from ..number import parse_number
from .codec import Codec


def decode(octets: bytes, context: WireContext) -> int:
    return int.from_bytes(octets, "big")


def encode(value: int, context: WireContext) -> bytes:
    return value.to_bytes(4, "big")


def format_json(value: int) -> str:
    return str(value)


def from_json(value: object) -> int:
    return parse_number(value, 32)


CODEC = Codec(decode, encode, format_json, from_json)
