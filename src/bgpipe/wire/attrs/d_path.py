"""D-PATH (draft-ietf-bess-evpn-ipvpn-interworking): segments of the domains that a route has passed, the last first.

JSON: [[{"domain":"65000:1","safi":70},{"domain":"65001:1","safi":128}]], a list for each segment. safi: the family by
which the gateway of the domain had the route, 0 for a local one.
"""

from __future__ import annotations

from typing import Any

from ..cursor import Cursor
from ..errors import TextError
from ..nlri.layout import Part, encode_parts, number, read_parts, text
from ..number import parse_number
from .parts import objects
from .structured import structured


def _parse_domain(value: object) -> bytes:
    administrator, colon, assigned = text(value).partition(":")
    if not colon:
        raise TextError(f"not two numbers with a colon between: {value!r}")
    return parse_number(administrator, 32).to_bytes(4, "big") + parse_number(assigned, 16).to_bytes(2, "big")


_DOMAIN = Part("domain", lambda cursor: f"{cursor.u32()}:{cursor.u16()}", _parse_domain)
_PARTS = (_DOMAIN, number("safi", 1))


def to_json(octets: bytes) -> Any:
    cursor = Cursor(octets)
    segments = []
    while cursor.left:
        segments.append([read_parts(cursor, _PARTS) for _ in range(cursor.u8())])
    return segments


def from_json(value: Any) -> bytes:
    if not isinstance(value, list):
        raise TextError(f"not a list of segments: {value!r}")
    return b"".join(map(_encode_segment, value))


def _encode_segment(segment: object) -> bytes:
    domains = objects(segment)
    if len(domains) > 255:
        raise TextError(f"{len(domains)} domains are too many for one segment")
    return bytes((len(domains),)) + b"".join(encode_parts(domain, _PARTS) for domain in domains)


CODEC = structured(to_json, from_json)
