"""Support for 4-octet AS number capability (RFC 6793 section 3): the speaker's AS number.

JSON: an integer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import TextError, WireError


def decode(value: bytes) -> int:
    """Raises WireError."""
    if len(value) != 4:
        raise WireError(f"AS4 capability of {len(value)} octets, 4 expected", code=2, subcode=0)
    return int.from_bytes(value, "big")


def encode(asn: int) -> bytes:
    return asn.to_bytes(4, "big")


def to_json(values: Sequence[bytes]) -> object:
    """Of several, the last counts, as in the original."""
    return [decode(value) for value in values][-1]


def from_json(value: object) -> list[bytes]:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise TextError("AS4: an AS number of at most 32 bits is expected")
    return [encode(value)]
