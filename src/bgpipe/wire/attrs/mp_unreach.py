"""MP_UNREACH_NLRI (RFC 4760 section 4): NLRI of any family that can be reached no more."""

from __future__ import annotations

from typing import NamedTuple

from ..context import WireContext
from ..cursor import Cursor
from ..errors import WireError
from ..family import Family
from ..nlri import TABLE, check_nlri, find_path_ids
from ..prefix import Prefix, split_prefixes
from ..route import Route, decode_routes
from .codec import Codec
from .mp_reach import decode_nlri, encode_family, encode_nlri, format_nlri_json, nlri_from_json


class MpUnreach(NamedTuple):
    """nlri: the NLRI's octets. add_path: as in MpReach."""

    family: Family
    nlri: bytes
    add_path: bool | None = None

    @property
    def prefixes(self) -> list[Prefix]:
        """Empty if the family's NLRI are not plain IP prefixes: see `routes`."""
        return decode_nlri(self.family, self.nlri, self.add_path)

    @property
    def routes(self) -> list[Route]:
        """The NLRI of a family that is not plain IP prefixes; empty where it has no codec."""
        return decode_routes(self.family, self.nlri, self.add_path)


def decode(octets: bytes, context: WireContext) -> MpUnreach:
    cursor = Cursor(octets)
    family = Family(cursor.u16(), cursor.u8())
    nlri = cursor.rest()
    if not family.address_bits:
        return MpUnreach(family, nlri, find_path_ids(nlri, family, context) if family in TABLE else None)
    add_path = family in context.add_path
    split_prefixes(nlri, family.afi, add_path)
    return MpUnreach(family, nlri, add_path)


def check(value: MpUnreach, context: WireContext) -> WireError | None:
    """NLRI that are kept raw (RFC 7606 section 5.3)."""
    return check_nlri(value.nlri, value.family, context) if value.add_path is None else None


def encode(value: MpUnreach, context: WireContext) -> bytes:
    return encode_family(value.family) + encode_nlri(*value, context)


def format_json(value: MpUnreach) -> str:
    return f'{{"af":"{value.family}",{format_nlri_json(*value)}}}'


def from_json(value: object) -> MpUnreach:
    """Raises TextError."""
    return MpUnreach(*nlri_from_json(value, set()))


CODEC = Codec(decode, encode, format_json, from_json, check)
