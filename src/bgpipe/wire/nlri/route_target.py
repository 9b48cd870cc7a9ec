"""Route Target membership (RFC 4684 section 4).

JSON: {"origin":65000,"target":{"type":"TARGET","value":"65000:1"}}; without target, all those of an AS; {} is all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import WireError
from ..ext_community import ext_community_members, parse_ext_community
from .codec import Members, NlriCodec
from .layout import Part, decode_parts, encode_parts, number

_TARGET: Final = Part(
    "target",
    lambda cursor: ext_community_members(cursor.u64()),
    lambda value: parse_ext_community(value).to_bytes(8, "big"),
    (),
    "community",
)
_PARTS: Final = (number("origin", 4), _TARGET)


def to_json(octets: bytes) -> Members:
    count = {0: 0, 32: 1, 96: 2}.get(octets[0])
    if count is None:
        raise WireError(f"Route Target of {octets[0]} bits")
    return decode_parts(octets[1:], _PARTS[:count])


def from_json(members: Mapping[str, object]) -> bytes:
    count = 2 if "target" in members else len(members)
    octets = encode_parts(members, _PARTS[:count])
    return bytes((8 * len(octets),)) + octets


CODEC: Final = NlriCodec(to_json, from_json, style="bits", layouts={0: ("", ()), 4: ("", _PARTS[:1]), 12: ("", _PARTS)})
