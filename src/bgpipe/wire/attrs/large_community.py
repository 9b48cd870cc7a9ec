"""LARGE_COMMUNITY (RFC 8092): a tuple of triples of 32-bit numbers, each written `65000:1:2`."""

from __future__ import annotations

from struct import iter_unpack, pack

from ..context import WireContext
from ..errors import TextError
from .codec import Codec
from .community import parse_parts

LargeCommunity = tuple[int, int, int]


def decode(octets: bytes, context: WireContext) -> tuple[LargeCommunity, ...]:
    return tuple(iter_unpack(">3I", octets))


def encode(value: tuple[LargeCommunity, ...], context: WireContext) -> bytes:
    return b"".join(pack(">3I", *community) for community in value)


def format_json(value: tuple[LargeCommunity, ...]) -> str:
    return '["' + '","'.join(map(format_large_community, value)) + '"]' if value else "[]"


def from_json(value: object) -> tuple[LargeCommunity, ...]:
    """Raises TextError."""
    if not isinstance(value, list):
        raise TextError(f"not a list: {value!r}")
    return tuple(map(parse_large_community, value))


def format_large_community(community: LargeCommunity) -> str:
    return "%d:%d:%d" % community


def parse_large_community(text: object) -> LargeCommunity:
    """Raises TextError."""
    first, second, third = parse_parts(text, 3, 32)
    return first, second, third


CODEC = Codec(decode, encode, format_json, from_json)
