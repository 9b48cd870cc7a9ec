"""SR Policy (RFC 9830 section 2.1): {"distinguisher":0,"color":100,"endpoint":"192.0.2.1"}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import WireError
from .codec import Members, NlriCodec
from .layout import address, decode_parts, encode_parts, number

_PARTS: Final = (number("distinguisher", 4), number("color", 4), address("endpoint"))


def to_json(octets: bytes) -> Members:
    if octets[0] != 8 * (len(octets) - 1):
        raise WireError(f"SR Policy NLRI of {octets[0]} bits")
    return decode_parts(octets[1:], _PARTS)


def from_json(members: Mapping[str, object]) -> bytes:
    octets = encode_parts(members, _PARTS)
    return bytes((8 * len(octets),)) + octets


CODEC: Final = NlriCodec(to_json, from_json, style="bits", layouts={12: ("", _PARTS), 24: ("", _PARTS)})
