"""ADD-PATH (RFC 7911 section 4): families in which path identifiers may be sent, received, or both.

JSON: `["IPV4/UNICAST/BIDIR"]`, sorted by AFI and SAFI. All families go into one capability, as RFC 7911 wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import Reaction, TextError, WireError
from ..family import Family, parse_family

RECEIVE: Final = 1
SEND: Final = 2
BIDIR: Final = 3
NAMES: Final = {RECEIVE: "RECEIVE", SEND: "SEND", BIDIR: "BIDIR"}
_CODES: Final = {name: code for code, name in NAMES.items()}


def decode(value: bytes) -> dict[Family, int]:
    """RECEIVE, SEND or BIDIR by family. Raises WireError."""
    if len(value) % 4:
        raise WireError(f"ADDPATH capability of {len(value)} octets, a multiple of 4 expected", code=2, subcode=0)
    families: dict[Family, int] = {}
    for pos in range(0, len(value), 4):
        family = Family(int.from_bytes(value[pos : pos + 2], "big"), value[pos + 2])
        direction = value[pos + 3]
        if direction not in NAMES:  # to be treated as not understood, and ignored
            raise WireError(
                f"ADDPATH capability says {direction} for {family}, 1 to 3 expected",
                code=2,
                subcode=0,
                reaction=Reaction.ATTRIBUTE_DISCARD,
                offset=pos + 3,
            )
        families.setdefault(family, direction)
    return families


def encode(families: dict[Family, int]) -> list[bytes]:
    """As few capabilities as hold them: one, unless there are more than 63 families."""
    octets = b"".join(
        family.afi.to_bytes(2, "big") + bytes((family.safi, families[family])) for family in sorted(families)
    )
    return [octets[pos : pos + 252] for pos in range(0, len(octets), 252)]


def merge(values: Sequence[bytes]) -> dict[Family, int]:
    """Several capabilities as one; of two that name the same family, the first counts. Raises WireError."""
    families: dict[Family, int] = {}
    for value in values:
        families = decode(value) | families
    return families


def to_json(values: Sequence[bytes]) -> object:
    families = merge(values)
    return [f"{family}/{NAMES[families[family]]}" for family in sorted(families)]


def from_json(value: object) -> list[bytes]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TextError('ADDPATH: a list is expected, as in ["IPV4/UNICAST/BIDIR"]')
    families: dict[Family, int] = {}
    for text in texts:
        family, _, direction = text.rpartition("/")
        code = _CODES.get(direction.strip().upper())
        if code is None:
            raise TextError(f"ADDPATH: {text!r} does not end in /RECEIVE, /SEND or /BIDIR")
        families[parse_family(family)] = code
    return encode(families)
