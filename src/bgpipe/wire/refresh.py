"""The ROUTE-REFRESH message (RFC 2918, RFC 7313; with outbound route filters RFC 5291).

JSON: {"af":"IPV4/UNICAST"}, with "subtype":"BoRR" or "EoRR" for the beginning and the end of a refresh, and "orf" for
filters (orf.py). Where this would not give the same octets again, it is the whole body in hexadecimal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from . import orf
from .errors import TextError, WireError
from .family import Family, parse_family

BORR: Final = 1
EORR: Final = 2
SUBTYPE_NAMES: Final = {0: "REFRESH", BORR: "BoRR", EORR: "EoRR"}
_SUBTYPES: Final = {name.upper(): code for code, name in SUBTYPE_NAMES.items()}


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

    def format_json(self) -> str:
        """One line of strict JSON. Raises WireError or TextError if it would not give the octets back."""
        shown: dict[str, object] = {"af": str(self.family)}
        if self.subtype:
            shown["subtype"] = SUBTYPE_NAMES.get(self.subtype, self.subtype)
        if self.orf:
            shown["orf"] = orf.to_json(self.orf, self.family)
        if RouteRefresh.from_json(shown) != self:
            raise WireError("ORF entries of another form", code=7, subcode=0)
        return json.dumps(shown, separators=(",", ":"))

    @classmethod
    def from_json(cls, value: object) -> RouteRefresh:
        """Raises TextError."""
        if not isinstance(value, dict) or not isinstance(value.get("af"), str):
            raise TextError('REFRESH: not an object with "af", as in {"af":"IPV4/UNICAST"}')
        if unknown := value.keys() - {"af", "subtype", "orf"}:
            raise TextError(f"REFRESH: unknown key {min(unknown)!r}")
        family = parse_family(value["af"])
        subtype = value.get("subtype", 0)
        code = _SUBTYPES.get(subtype.upper()) if isinstance(subtype, str) else subtype
        if type(code) is not int or not 0 <= code <= 255:
            raise TextError(f"REFRESH: subtype is BoRR, EoRR or a number to 255, not {subtype!r}")
        return cls(family, code, orf.from_json(value["orf"], family) if "orf" in value else b"")
