"""MP_REACH_NLRI (RFC 4760 section 3): NLRI of any family, with their next hop."""

from __future__ import annotations

from typing import Final, NamedTuple

from ..address import format_address, parse_address
from ..context import ALL_FAMILIES, WireContext
from ..cursor import Cursor
from ..errors import TextError, WireError
from ..family import SAFI_NAMES, Family, parse_family
from ..nlri import (
    TABLE,
    check_nlri,
    encode_next_hop,
    find_path_ids,
    format_routes,
    parse_routes,
    set_path_ids,
    split_nlri,
)
from ..prefix import Prefix, decode_prefixes, encode_prefixes, format_prefixes, split_prefixes
from ..route import Route, decode_routes
from .codec import Codec
from .hexadecimal import format_hex, parse_hex

NEXT_HOP_LENGTHS: Final = (4, 12, 16, 24, 32, 48)
"""Octets of a next hop: IPv4 or IPv6, whatever the NLRI are (RFC 8950 and the other way round), IPv6 with a link-local
address (RFC 2545), and each of these behind route distinguishers, also from a speaker that mixes up VPN and plain
families."""
FLOW_SPECIFICATIONS: Final = (133, 134)
"""SAFIs that need no next hop (RFC 8955 section 4)."""
_IP_AFIS: Final = (1, 2, 25, 16388)
"""AFIs whose families with a name have IP addresses as next hops: IPv4, IPv6, L2VPN, BGP-LS."""


class MpReach(NamedTuple):
    """hop: the next hop's octets. nlri: the NLRI's octets. reserved: the octet between them, 0 unless a sender errs.

    add_path: whether the NLRI carry path identifiers; None where the family has no codec, or they can't be told apart,
    so that they are kept as they are.
    """

    family: Family
    hop: bytes
    nlri: bytes
    add_path: bool | None = None
    reserved: int = 0

    @property
    def next_hop(self) -> str | None:
        """The (global) next hop as text; None if there is none, or the family's are not IP addresses."""
        if self.add_path is None or len(self.hop) not in NEXT_HOP_LENGTHS:
            return None
        hop = self.hop[8:] if len(self.hop) in (12, 24, 48) else self.hop
        return format_address(hop[:16])

    @property
    def link_local(self) -> str | None:
        """The link-local next hop as text (RFC 2545 section 3), None if there is none."""
        return format_address(self.hop[-16:]) if self.add_path is not None and len(self.hop) in (32, 48) else None

    @property
    def prefixes(self) -> list[Prefix]:
        """Empty if the family's NLRI are not plain IP prefixes: see `routes`."""
        return decode_nlri(self.family, self.nlri, self.add_path)

    @property
    def routes(self) -> list[Route]:
        """The NLRI of a family that is not plain IP prefixes; empty where it has no codec."""
        return decode_routes(self.family, self.nlri, self.add_path)


def decode(octets: bytes, context: WireContext) -> MpReach:
    cursor = Cursor(octets)
    family = Family(cursor.u16(), cursor.u8())
    hop = cursor.take(cursor.u8())
    reserved = cursor.u8()
    nlri = cursor.rest()
    if not family.address_bits:
        add_path = find_path_ids(nlri, family, context) if family in TABLE else None
        return MpReach(family, hop, nlri, add_path, reserved)
    if hop and len(hop) not in NEXT_HOP_LENGTHS:
        raise _wrong_hop(MpReach(family, hop, nlri))
    add_path = family in context.add_path
    split_prefixes(nlri, family.afi, add_path)
    return MpReach(family, hop, nlri, add_path, reserved)


def check(value: MpReach, context: WireContext) -> WireError | None:
    """The next hop, and NLRI other than plain IP prefixes (RFC 7606 sections 5.3, 7.11)."""
    family = value.family
    if family.address_bits:
        return None if value.hop else WireError("next hop is missing", subcode=3, offset=3)
    hopless = not value.hop and family.safi in FLOW_SPECIFICATIONS
    if family.afi in _IP_AFIS and family.safi in SAFI_NAMES and len(value.hop) not in NEXT_HOP_LENGTHS and not hopless:
        return _wrong_hop(value)
    return None if value.add_path is not None else check_nlri(value.nlri, family, context)


def _wrong_hop(value: MpReach) -> WireError:
    return WireError(f"a next hop of {value.family} can't have {len(value.hop)} octets", subcode=9, offset=3)


def encode(value: MpReach, context: WireContext) -> bytes:
    family, hop, nlri, add_path, reserved = value
    nlri = encode_nlri(family, nlri, add_path, context)
    return encode_family(family) + bytes((len(hop),)) + hop + bytes((reserved,)) + nlri


def format_json(value: MpReach) -> str | None:
    """None if the reserved octet says something, or a route distinguisher before the next hop of plain IP prefixes:
    there is no place for them."""
    family, hop, nlri, add_path, reserved = value
    if reserved:
        return None
    shown = add_path is not None and _has_usual_form(hop, family)
    if not shown and family.address_bits:
        return None
    if shown:
        text = f'{{"af":"{family}",' + (f'"nexthop":"{value.next_hop}",' if hop else "")
        if value.link_local is not None:
            text += f'"link-local":"{value.link_local}",'
    else:
        text = f'{{"af":"{family}",' + (f'"nh":{format_hex(hop)},' if hop else "")
    return text + format_nlri_json(family, nlri, add_path) + "}"


def _has_usual_form(hop: bytes, family: Family) -> bool:
    """Whether `nexthop` and `link-local` give the same octets again."""
    if len(hop) in (0, 4, 16, 32) and not _is_behind_rd(family):
        return True
    return not hop or (_is_behind_rd(family) and len(hop) in (12, 24, 48) and not any(hop[:8] + hop[24:32]))


def _is_behind_rd(family: Family) -> bool:
    return family in TABLE and TABLE[family].next_hop == "vpn"


def from_json(value: object) -> MpReach:
    """Raises TextError."""
    family, nlri, add_path = nlri_from_json(value, {"nexthop", "link-local", "nh"})
    assert isinstance(value, dict)
    if "nh" in value:
        hop = parse_hex(value["nh"] or "")
    else:
        addresses = [_parse_hop(value[key]) for key in ("nexthop", "link-local") if key in value]
        hop = encode_next_hop(addresses, family) if family in TABLE else b"".join(addresses)
    if len(hop) > 255 or (family.address_bits and add_path is not None and hop and len(hop) not in NEXT_HOP_LENGTHS):
        raise TextError(f"not a next hop of {family}: {value!r}")
    return MpReach(family, hop, nlri, add_path)


def _parse_hop(text: object) -> bytes:
    if not isinstance(text, str):
        raise TextError(f"not an IP address: {text!r}")
    return parse_address(text)


# What MP_REACH and MP_UNREACH have in common.


def encode_family(family: Family) -> bytes:
    return family.afi.to_bytes(2, "big") + bytes((family.safi,))


def decode_nlri(family: Family, nlri: bytes, add_path: bool | None) -> list[Prefix]:
    return decode_prefixes(nlri, family.afi, add_path) if add_path is not None and family.address_bits else []


def split_routes(family: Family, nlri: bytes, add_path: bool) -> list[bytes]:
    """The octets of each NLRI of a family with a codec, with its path identifier. Raises WireError."""
    if not family.address_bits:
        return split_nlri(nlri, family, add_path)
    found = split_prefixes(nlri, family.afi, add_path)
    return [prefix if path_id is None else path_id.to_bytes(4, "big") + prefix for path_id, prefix in found]


def encode_nlri(family: Family, nlri: bytes, add_path: bool | None, context: WireContext) -> bytes:
    """NLRI with path identifiers or without them, as the context has it."""
    wanted = family in context.add_path
    if add_path is None or add_path == wanted:
        return nlri
    if family.address_bits:
        return encode_prefixes(decode_prefixes(nlri, family.afi, add_path), family.afi, wanted)
    return nlri if context.add_path is ALL_FAMILIES else set_path_ids(nlri, family, add_path)


def format_nlri_json(family: Family, nlri: bytes, add_path: bool | None) -> str:
    if add_path is None:
        return '"data":' + (format_hex(nlri) if nlri else '""')
    if not family.address_bits:
        return format_routes(nlri, family, add_path)
    prefixes = format_prefixes(nlri, family.afi, add_path)
    return '"prefixes":["' + '","'.join(prefixes) + '"]' if prefixes else '"prefixes":[]'


def nlri_from_json(value: object, others: set[str]) -> tuple[Family, bytes, bool | None]:
    """(family, NLRI, whether they carry path identifiers); `others` are the keys that may be there besides."""
    if not isinstance(value, dict) or not isinstance(value.get("af"), str):
        raise TextError(f'not an object with "af": {value!r}')
    family = parse_family(value["af"])
    row = TABLE.get(family)
    key = row.members if row else "prefixes"
    if unknown := value.keys() - others - {"af", key, "data"}:
        raise TextError(f"unknown key {min(unknown)!r}")
    if "data" in value:
        return family, parse_hex(value["data"] or ""), None
    texts = value.get(key)
    if row:
        return family, *parse_routes(texts, family)
    if not family.address_bits:
        raise TextError(f'NLRI of {family} are given as "data":"0x..."')
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TextError(f'no list of "prefixes": {value!r}')
    add_path = any(text.startswith("#") for text in texts)
    return family, encode_prefixes(texts, family.afi, add_path), add_path


CODEC = Codec(decode, encode, format_json, from_json, check)
