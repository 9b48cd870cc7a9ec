"""The ROUTE-REFRESH message (RFC 2918, RFC 7313; with outbound route filters RFC 5291).

JSON: the whole body as a string of octets in hexadecimal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .errors import WireError
from .family import Family

BORR: Final = 1
EORR: Final = 2
SUBTYPE_NAMES: Final = {0: "REFRESH", BORR: "BoRR", EORR: "EoRR"}


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """The body of a ROUTE-REFRESH.

    subtype: 0 asks for routes, 1 and 2 mark the beginning and the end of a refresh (RFC 7313).
    orf: outbound route filter entries, as they came (RFC 5291 section 5).
    """

    family: Family
    subtype: int = 0
    orf: bytes = b""

    @classmethod
    def decode(cls, body: bytes) -> RouteRefresh:
        """AFI (2 octets), subtype, SAFI, then ORF entries. Raises WireError."""
        if len(body) < 4:
            raise WireError(f"ROUTE-REFRESH of {len(body)} octets, at least 4 expected", code=7, subcode=1, data=body)
        return cls(Family(int.from_bytes(body[:2], "big"), body[3]), body[2], body[4:])

    def encode(self) -> bytes:
        return self.family.afi.to_bytes(2, "big") + bytes((self.subtype, self.family.safi)) + self.orf
