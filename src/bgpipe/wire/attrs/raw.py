"""Attributes whose value is shown as octets: those without a module of their own, and those that nobody knows."""

from __future__ import annotations

from ..context import WireContext
from ..errors import TextError
from .codec import Codec
from .hexadecimal import format_hex, parse_hex


def decode(octets: bytes, context: WireContext) -> bytes:
    return octets


def encode(value: bytes, context: WireContext) -> bytes:
    return value


def format_json(value: bytes) -> str:
    return format_hex(value) if value else "true"


def from_json(value: object) -> bytes:
    """true is no octets. Raises TextError."""
    if value is True:
        return b""
    if value is None or value is False:
        raise TextError(f"not true or hexadecimal digits: {value!r}")
    return parse_hex(value)


CODEC = Codec(decode, encode, format_json, from_json)
