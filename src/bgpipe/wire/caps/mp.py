"""Multiprotocol extensions (RFC 4760 section 8): one family in each capability.

JSON: `["IPV4/UNICAST", "IPV6/UNICAST"]`, sorted by AFI and SAFI.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import TextError, WireError
from ..family import Family, parse_family


def decode(value: bytes) -> Family:
    """AFI (2 octets), reserved, SAFI. The reserved octet is ignored, as RFC 4760 says. Raises WireError."""
    if len(value) != 4:
        raise WireError(f"MP capability of {len(value)} octets, 4 expected", code=2, subcode=0)
    return Family(int.from_bytes(value[:2], "big"), value[3])


def encode(family: Family) -> bytes:
    return family.afi.to_bytes(2, "big") + bytes((0, family.safi))


def to_json(values: Sequence[bytes]) -> object:
    return [str(family) for family in sorted(set(map(decode, values)))]


def from_json(value: object) -> list[bytes]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TextError('MP: a list of families is expected, as in ["IPV4/UNICAST"]')
    return [encode(family) for family in sorted({parse_family(text) for text in texts})]
