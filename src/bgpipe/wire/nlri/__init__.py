"""NLRI of families other than plain IP prefixes: one module each, and the one table of them all.

Where do I add a family? A module with a CODEC, its row here, and how long its NLRI are in measure.py. Families with a
measure alone are told apart and shown as octets; families without even that are not looked at. A module is imported
when an NLRI of its family is first looked at.

In JSON each NLRI is an object, with a path identifier (RFC 7911) in "id". One that the codec can't show so that the
same octets come back is shown as its octets: {"value":"0x..."}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, Final, NamedTuple

from ... import accel
from ..context import ALL_FAMILIES, WireContext
from ..errors import TextError, WireError
from ..family import Family
from ..hexadecimal import format_hex, parse_hex
from .codec import Members, NlriCodec
from .layout import tell_layouts
from .measure import MEASURES, split

PLAIN: Final = ""
VPN: Final = "vpn"


class NlriRow(NamedTuple):
    """One row of the table.

    codec: module, or MODULE.NAME where it has several. members: the key of the list of NLRI in JSON.
    next_hop: of what form next hops are: an address, or (VPN) an address behind a route distinguisher of zeros.
    """

    codec: str
    members: str = "routes"
    next_hop: str = PLAIN


# fmt: off
TABLE: Final[dict[Family, NlriRow]] = {
    Family(1, 4):   NlriRow("labeled.IPV4"),  # RFC 8277
    Family(2, 4):   NlriRow("labeled.IPV6"),
    Family(1, 5):   NlriRow("mvpn"),  # RFC 6514
    Family(2, 5):   NlriRow("mvpn"),
    Family(25, 65): NlriRow("vpls"),  # RFC 4761, RFC 6074
    Family(25, 70): NlriRow("evpn"),  # RFC 7432
    Family(1, 73):  NlriRow("sr_policy"),  # RFC 9830
    Family(2, 73):  NlriRow("sr_policy"),
    Family(1, 128): NlriRow("labeled.VPN_IPV4", next_hop=VPN),  # RFC 4364
    Family(2, 128): NlriRow("labeled.VPN_IPV6", next_hop=VPN),  # RFC 4659
    Family(1, 129): NlriRow("labeled.VPN_IPV4", next_hop=VPN),
    Family(2, 129): NlriRow("labeled.VPN_IPV6", next_hop=VPN),
    Family(1, 132): NlriRow("route_target"),  # RFC 4684
    Family(1, 133): NlriRow("flowspec.IPV4", "rules"),  # RFC 8955
    Family(2, 133): NlriRow("flowspec.IPV6", "rules"),  # RFC 8956
    Family(1, 134): NlriRow("flowspec.VPN_IPV4", "rules"),
    Family(2, 134): NlriRow("flowspec.VPN_IPV6", "rules"),
}
# fmt: on


@cache
def _codec(family: Family) -> NlriCodec:
    module, _, name = TABLE[family].codec.partition(".")
    codec: NlriCodec = getattr(import_module(f"{__name__}.{module}"), name or "CODEC")
    if accel.AVAILABLE and codec.layouts:
        accel.layout.learn_family(family.afi, family.safi, tell_layouts(codec.style, codec.layouts))
    return codec


def find_path_ids(octets: bytes, family: Family, context: WireContext) -> bool | None:
    """Whether the NLRI of a family in TABLE carry path identifiers; None if they can't be told apart.

    "All families" (RFC 8050) is said of those that somebody parses: others may have no path identifiers, so it is what
    can be read that counts.
    """
    add_path = family in context.add_path
    if not octets:
        return add_path and context.add_path is not ALL_FAMILIES
    if context.add_path is not ALL_FAMILIES:
        return add_path if _is_split(octets, family, add_path) else None
    readings = [reading for reading in (True, False) if _is_split(octets, family, reading)]
    if len(readings) == 2 and not _all_shown(octets, family, True) and _all_shown(octets, family, False):
        return False
    return readings[0] if readings else None


def _is_split(octets: bytes, family: Family, add_path: bool) -> bool:
    try:
        split(octets, MEASURES[family], add_path)
    except WireError:
        return False
    return True


def _all_shown(octets: bytes, family: Family, add_path: bool) -> bool:
    """Whether the codec can show each NLRI."""
    start = 4 if add_path else 0
    return all(_show(family, each[start:])[1] for each in split(octets, MEASURES[family], add_path))


def check_nlri(octets: bytes, family: Family, context: WireContext) -> WireError | None:
    """What is wrong with NLRI that are no IP prefixes (RFC 7606 section 5.3), None if nothing is or nobody knows."""
    measure = MEASURES.get(family)
    if measure is None:
        return None
    try:
        split(octets, measure, family in context.add_path)
    except WireError as wrong:
        if context.add_path is ALL_FAMILIES and _is_split(octets, family, False):
            return None
        return wrong
    return None


def split_nlri(octets: bytes, family: Family, add_path: bool) -> list[bytes]:
    """The octets of each NLRI of a family in TABLE, with its path identifier. Raises WireError."""
    return split(octets, MEASURES[family], add_path)


def set_path_ids(octets: bytes, family: Family, add_path: bool) -> bytes:
    """NLRI that have path identifiers without them, or with 0. add_path: whether they have any."""
    each = split(octets, MEASURES[family], add_path)
    return b"".join(one[4:] for one in each) if add_path else b"".join(bytes(4) + one for one in each)


def format_routes(octets: bytes, family: Family, add_path: bool) -> str:
    """The member `routes` or `rules`, as JSON text. Raises WireError."""
    texts = []
    for one in split(octets, MEASURES[family], add_path):
        if add_path:
            text = _show(family, one[4:])[0]
            texts.append(f'{{"id":{int.from_bytes(one[:4], "big")}{"," if text else ""}{text}}}')
        else:
            texts.append(f"{{{_show(family, one)[0]}}}")
    return f'"{TABLE[family].members}":[{",".join(texts)}]'


@lru_cache(maxsize=16384)
def _show(family: Family, octets: bytes) -> tuple[str, bool]:
    """The members of an NLRI as JSON text, without braces; whether they are the codec's."""
    codec = _codec(family)
    try:
        members = codec.to_json(octets)
        exact = codec.from_json(members) == octets
    except (WireError, TextError, IndexError):
        exact = False
    if not exact:
        members = {"type": octets[0], "value": format_hex(octets[2:])} if codec.typed else {"value": format_hex(octets)}
    return json.dumps(members, separators=(",", ":"))[1:-1], exact


def parse_routes(routes: object, family: Family) -> tuple[bytes, bool]:
    """(NLRI, whether they have path identifiers) of the objects of a list. Raises TextError."""
    if not isinstance(routes, list) or not all(isinstance(route, dict) for route in routes):
        raise TextError(f'no list of objects as "{TABLE[family].members}": {routes!r}')
    add_path = any("id" in route for route in routes)
    return b"".join(_parse_route(route, family, add_path) for route in routes), add_path


def _parse_route(route: Mapping[str, Any], family: Family, add_path: bool) -> bytes:
    members = dict(route)
    path_id = members.pop("id", 0)
    if type(path_id) is not int or path_id < 0 or path_id >> 32:
        raise TextError(f"not a path identifier: {path_id!r}")
    codec = _codec(family)
    octets = _parse_value(members, family, codec) if "value" in members else codec.from_json(members)
    return path_id.to_bytes(4, "big") + octets if add_path else octets


def _parse_value(members: Members, family: Family, codec: NlriCodec) -> bytes:
    """The octets of an NLRI that is shown as octets. Raises TextError."""
    value, kind = members["value"], members.get("type")
    if not isinstance(value, str) or members.keys() != ({"type", "value"} if codec.typed else {"value"}):
        raise TextError(f"not an NLRI as octets: {members!r}")
    octets = parse_hex(value)
    if codec.typed:
        if type(kind) is not int or not 0 <= kind <= 255 or len(octets) > 255:
            raise TextError(f"not an NLRI of a type to 255 with at most 255 octets: {members!r}")
        return bytes((kind, len(octets))) + octets
    try:
        if octets and MEASURES[family](octets, 0) == len(octets):
            return octets
    except (WireError, IndexError):
        pass
    raise TextError(f"the length in an NLRI of {family} is another than that of its octets: {value!r}")


def members_of(octets: bytes, family: Family) -> Members:
    """The members of an NLRI without its path identifier, so far as it can be read: bits behind a mask don't matter."""
    try:
        return _codec(family).to_json(octets)
    except (WireError, IndexError):
        return {}


def encode_next_hop(addresses: Sequence[bytes], family: Family) -> bytes:
    """The octets of a next hop of one or two addresses."""
    before = bytes(8) if TABLE[family].next_hop == VPN else b""
    return b"".join(before + address for address in addresses)
