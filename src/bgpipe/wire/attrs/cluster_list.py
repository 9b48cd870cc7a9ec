"""CLUSTER_LIST (RFC 4456 section 8): the cluster identifiers that a route was reflected through."""

from __future__ import annotations

from ..address import format_address
from ..context import WireContext
from ..errors import TextError
from . import ipv4
from .codec import Codec


def decode(octets: bytes, context: WireContext) -> tuple[str, ...]:
    return tuple(format_address(octets[pos : pos + 4]) for pos in range(0, len(octets), 4))


def encode(value: tuple[str, ...], context: WireContext) -> bytes:
    return b"".join(ipv4.encode(identifier, context) for identifier in value)


def format_json(value: tuple[str, ...]) -> str:
    return "[" + ",".join(map(ipv4.format_json, value)) + "]"


def from_json(value: object) -> tuple[str, ...]:
    """Raises TextError."""
    if not isinstance(value, list):
        raise TextError(f"not a list: {value!r}")
    return tuple(map(ipv4.from_json, value))


CODEC = Codec(decode, encode, format_json, from_json)
