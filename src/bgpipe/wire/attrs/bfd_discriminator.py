"""BFD_DISCRIMINATOR (RFC 9026 section 3.1.6): how the egress of a multipoint tunnel watches it.

JSON: {"mode":"P2MP","discriminator":7,"tlvs":[{"type":"SOURCE_IP","address":"192.0.2.1"}]}.
"""

from __future__ import annotations

from typing import Any

from ..context import WireContext
from ..errors import TextError, WireError
from ..nlri.layout import address, decode_parts, encode_parts, number
from .parts import named
from .structured import TlvTable, structured, tlvs

_TLVS = TlvTable({1: ("SOURCE_IP", (address("address"),))}, length_size=1)
_PARTS = (named("mode", 1, {1: "P2MP"}), number("discriminator", 4), tlvs(_TLVS, "tlvs"))
LEAST = 11
"""Octets of the mode, of the discriminator and of the first octets of a TLV."""


def to_json(octets: bytes) -> Any:
    return decode_parts(octets, _PARTS)


def from_json(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise TextError(f"not an object: {value!r}")
    return encode_parts(value, _PARTS)


def check(value: bytes, context: WireContext) -> WireError | None:
    """What is always there."""
    return None if len(value) >= LEAST else WireError(f"length {len(value)} is not possible", subcode=5)


CODEC = structured(to_json, from_json, check)
