"""Extended next hop encoding (RFC 8950 section 4): families whose next hop may be of another AFI.

JSON: `["IPV4/UNICAST/IPV6"]`, sorted.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Reaction, TextError, WireError
from ..family import Family, format_afi, parse_afi, parse_family


def decode(value: bytes) -> list[tuple[Family, int]]:
    """Pairs of a family and its next hop's AFI; AFI, SAFI and AFI have 2 octets each. Raises WireError."""
    if len(value) % 6:
        raise WireError(
            f"EXTENDED_NEXTHOP capability of {len(value)} octets, a multiple of 6 expected", code=2, subcode=0
        )
    pairs = []
    for pos in range(0, len(value), 6):
        if value[pos + 2]:
            raise WireError(
                "EXTENDED_NEXTHOP capability with a SAFI above 255",
                code=2,
                subcode=0,
                reaction=Reaction.ATTRIBUTE_DISCARD,
                offset=pos + 2,
            )
        family = Family(int.from_bytes(value[pos : pos + 2], "big"), value[pos + 3])
        pairs.append((family, int.from_bytes(value[pos + 4 : pos + 6], "big")))
    return pairs


def encode(pairs: Sequence[tuple[Family, int]]) -> list[bytes]:
    """As few capabilities as hold them: at most 42 pairs in each."""
    octets = b"".join(
        family.afi.to_bytes(2, "big") + family.safi.to_bytes(2, "big") + afi.to_bytes(2, "big") for family, afi in pairs
    )
    return [octets[pos : pos + 252] for pos in range(0, len(octets), 252)]


def to_json(values: Sequence[bytes]) -> object:
    pairs = {pair for value in values for pair in decode(value)}
    return [f"{family}/{format_afi(afi)}" for family, afi in sorted(pairs)]


def from_json(value: object) -> list[bytes]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TextError('EXTENDED_NEXTHOP: a list is expected, as in ["IPV4/UNICAST/IPV6"]')
    pairs = set()
    for text in texts:
        family, _, afi = text.rpartition("/")
        pairs.add((parse_family(family), parse_afi(afi)))
    return encode(sorted(pairs))
