"""EXTENDED COMMUNITIES (RFC 4360): a tuple of 64-bit numbers; wire/ext_community.py has the form of each."""

from __future__ import annotations

from struct import pack, unpack

from ..context import WireContext
from ..errors import TextError
from ..ext_community import format_ext_community, parse_ext_community
from .codec import Codec


def decode(octets: bytes, context: WireContext) -> tuple[int, ...]:
    return unpack(f">{len(octets) // 8}Q", octets)


def encode(value: tuple[int, ...], context: WireContext) -> bytes:
    return pack(f">{len(value)}Q", *value)


def format_json(value: tuple[int, ...]) -> str:
    return "[" + ",".join(map(format_ext_community, value)) + "]"


def from_json(value: object) -> tuple[int, ...]:
    """Raises TextError."""
    if not isinstance(value, list):
        raise TextError(f"not a list: {value!r}")
    return tuple(map(parse_ext_community, value))


CODEC = Codec(decode, encode, format_json, from_json)
