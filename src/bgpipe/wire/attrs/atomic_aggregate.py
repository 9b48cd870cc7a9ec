"""ATOMIC_AGGREGATE (RFC 4271 section 5.1.6): it is there, or it isn't. The value is True."""

from __future__ import annotations

from ..context import WireContext
from ..errors import TextError
from .codec import Codec


def decode(octets: bytes, context: WireContext) -> bool:
    return True


def encode(value: bool, context: WireContext) -> bytes:
    return b""


def format_json(value: bool) -> str:
    return "true"


def from_json(value: object) -> bool:
    """Raises TextError."""
    if value is not True:
        raise TextError(f"only true is possible, not {value!r}")
    return True


CODEC = Codec(decode, encode, format_json, from_json)
