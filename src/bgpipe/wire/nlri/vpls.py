"""VPLS (RFC 4761 section 3.2.2), and the autodiscovery of RFC 6074, whose NLRI have the address of a PE instead.

JSON: {"rd":"65000:1","ve":5,"offset":1,"size":8,"base":10702} or {"rd":"65000:1","pe":"192.0.2.1"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import WireError
from .codec import Members, NlriCodec
from .layout import RD, Part, address, decode_parts, encode_parts, number
from .text import LABEL, format_labels, parse_labels

_BASE: Final = Part(
    "base",
    lambda cursor: format_labels(cursor.take(LABEL), True)[0],
    lambda value: parse_labels([value], True),
    (),
    "base",
)
_BLOCK: Final = (RD, number("ve", 2), number("offset", 2), number("size", 2), _BASE)
_DISCOVERY: Final = (RD, address("pe"))


def to_json(octets: bytes) -> Members:
    parts = {17: _BLOCK, 12: _DISCOVERY}.get(len(octets) - 2)
    if parts is None:
        raise WireError(f"VPLS NLRI of {len(octets) - 2} octets")
    return decode_parts(octets[2:], parts)


def from_json(members: Mapping[str, object]) -> bytes:
    octets = encode_parts(members, _DISCOVERY if "pe" in members else _BLOCK)
    return len(octets).to_bytes(2, "big") + octets


CODEC: Final = NlriCodec(to_json, from_json, style="counted", layouts={17: ("", _BLOCK), 12: ("", _DISCOVERY)})
