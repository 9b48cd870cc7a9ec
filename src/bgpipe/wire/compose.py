"""New UPDATE bodies from an existing one: encoded for another context, split, or edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from . import attrs as table
from .address import parse_address
from .attrs.as_path import AS_SEQUENCE, AS_SET, AsPath
from .attrs.attribute import Attribute, attribute_from_json
from .attrs.mp_reach import MpReach, split_routes
from .attrs.mp_unreach import MpUnreach
from .context import WireContext
from .errors import Reaction, TextError, WireError
from .family import IPV4_UNICAST, IPV6_UNICAST, Family
from .prefix import Prefix, PrefixLike, encode_prefixes, parse_prefix
from .update_body import UpdateBody, join, split_attributes

MP_HEADER: Final = 4
"""Octets of an attribute header with an extended length."""


def recode(update: UpdateBody, context: WireContext) -> bytes:
    """The body as `context` has it: width of AS numbers (RFC 6793 section 4.2), path identifiers (RFC 7911)."""
    ours = update.context
    withdrawn, section, nlri = update.parts()
    try:
        attributes = [Attribute(*found, ours) for found in split_attributes(section, 0, len(section))]
    except WireError:
        return update.body  # attributes that can't be told apart are passed on as they are
    if ours.as4 and not context.as4:
        attributes = _to_two_octets(attributes, context)
    elif context.as4 and not ours.as4:
        attributes = _to_four_octets(update, attributes, context)
    add_path = IPV4_UNICAST in context.add_path
    if (IPV4_UNICAST in ours.add_path) != add_path:
        withdrawn = encode_prefixes(update.withdrawn_routes, 1, add_path)
        nlri = encode_prefixes(update.nlri, 1, add_path)
    return join(withdrawn, b"".join(_recode(attribute, context).encode() for attribute in attributes), nlri)


def _recode(attribute: Attribute, context: WireContext) -> Attribute:
    """The attribute, encoded for `context` if its octets depend on that. One that can't be decoded stays as it is."""
    if attribute.code in (table.AS_PATH, table.AGGREGATOR, table.MP_REACH, table.MP_UNREACH):
        try:
            return _with_value(attribute, attribute.value, context)
        except WireError:
            pass
    return attribute


def _with_value(attribute: Attribute, value: Any, context: WireContext) -> Attribute:
    """The same attribute, flags included, with another value."""
    octets = table.TABLE[attribute.code].codec.encode(value, context)
    return Attribute(attribute.flags, attribute.code, octets, context)


def _to_two_octets(attributes: list[Attribute], context: WireContext) -> list[Attribute]:
    """Attributes for a speaker with AS numbers of two octets (RFC 6793 section 4.2.2).

    AS4_PATH and AS4_AGGREGATOR are added for AS numbers that need four octets. Those that came in are dropped: beside
    AS numbers of four octets they mean nothing (section 3). Confederation segments do not go into AS4_PATH.
    """
    kept = [attribute for attribute in attributes if attribute.code not in (table.AS4_PATH, table.AS4_AGGREGATOR)]
    added = []
    for attribute in kept:
        try:
            if attribute.code == table.AS_PATH and max(attribute.value.ases, default=0) > 0xFFFF:
                path = AsPath(segment for segment in attribute.value if segment.type in (AS_SET, AS_SEQUENCE))
                added.append((table.AS4_PATH, path))
            elif attribute.code == table.AGGREGATOR and attribute.value.asn > 0xFFFF:
                added.append((table.AS4_AGGREGATOR, attribute.value))
        except WireError:
            continue
    flags = table.OPTIONAL | table.TRANSITIVE
    return kept + [_with_value(Attribute(flags, code, b"", context), value, context) for code, value in added]


def _to_four_octets(update: UpdateBody, attributes: list[Attribute], context: WireContext) -> list[Attribute]:
    """Attributes for a speaker with AS numbers of four octets: AS4_PATH and AS4_AGGREGATOR are merged into AS_PATH and
    AGGREGATOR (RFC 6793 section 4.2.3)."""
    merged: dict[int, Any] = {table.AS_PATH: update.as_path, table.AGGREGATOR: update.aggregator}
    return [
        attribute if merged.get(attribute.code) is None else _with_value(attribute, merged[attribute.code], context)
        for attribute in attributes
        if attribute.code not in (table.AS4_PATH, table.AS4_AGGREGATOR)
    ]


def split(update: UpdateBody, room: int) -> Iterator[bytes]:
    """Splits an UPDATE into bodies of at most `room` octets, those with withdrawals first.

    Raises WireError (treat-as-withdraw, because the routes can't be announced) if one prefix does not fit beside the
    path attributes, or if NLRI that can't be split do not fit.
    """
    context = update.context
    withdrawn, section, nlri = update.parts()
    attributes = [Attribute(*found, context) for found in split_attributes(section, 0, len(section))]
    add_path = IPV4_UNICAST in context.add_path
    for piece in _pieces(withdrawn, IPV4_UNICAST, add_path, room - 4):
        yield join(piece, b"", b"")
    others = [attribute for attribute in attributes if attribute.code not in (table.MP_REACH, table.MP_UNREACH)]
    weight = 4 + sum(len(attribute.encode()) for attribute in others)
    announced = False
    for attribute in sorted(attributes, key=lambda attribute: -attribute.code):  # MP_UNREACH before MP_REACH
        if attribute.code not in (table.MP_REACH, table.MP_UNREACH):
            continue
        announced |= attribute.code == table.MP_REACH
        beside = others if attribute.code == table.MP_REACH else []
        value = attribute.value
        fixed = MP_HEADER + len(attribute.octets) - len(value.nlri)
        left = room - fixed - (weight if beside else 4)
        for piece in _pieces(value.nlri, value.family, value.add_path, left):
            part = _with_value(attribute, value._replace(nlri=piece), context)
            yield join(b"", b"".join(other.encode() for other in (part, *beside)), b"")
    for piece in _pieces(nlri, IPV4_UNICAST, add_path, room - weight):
        yield join(b"", b"".join(attribute.encode() for attribute in others), piece)
    if others and not announced and not nlri:
        raise _too_large(weight)


def _pieces(nlri: bytes, family: Family, add_path: bool | None, room: int) -> Iterator[bytes]:
    """Runs of whole prefixes of at most `room` octets each."""
    if not nlri:
        return
    prefixes = [nlri] if add_path is None else split_routes(family, nlri, add_path)
    piece: list[bytes] = []
    left = room
    for prefix in prefixes:
        if len(prefix) > left:
            if len(prefix) > room:
                raise _too_large(len(prefix) - room)
            yield b"".join(piece)
            piece, left = [], room
        piece.append(prefix)
        left -= len(prefix)
    yield b"".join(piece)


def _too_large(octets: int) -> WireError:
    text = f"path attributes and one prefix are {octets} octets more than a message has room for"
    return WireError(text, subcode=1, reaction=Reaction.TREAT_AS_WITHDRAW)


def replace(
    update: UpdateBody,
    reach: Iterable[PrefixLike] | None,
    withdrawn: Iterable[PrefixLike] | None,
    attrs: Mapping[str | int, Any],
    next_hop: str | None,
) -> bytes:
    """The body with other prefixes, attributes or next hop: see Update.replace. Raises TextError, WireError."""
    context = update.context
    withdrawn_octets, _, nlri = update.parts()
    attributes = dict(update.attrs)
    add_path = IPV4_UNICAST in context.add_path
    for name, value in attrs.items():
        code = table.parse_name(name if isinstance(name, str) else f"ATTR_{name}")
        if value is None:
            attributes.pop(code, None)
        elif isinstance(value, Attribute):
            attributes[code] = Attribute(value.flags, code, value.octets, context)
        else:
            new = attribute_from_json(table.TABLE[code].name, value, context)
            keep = code in attributes and not (isinstance(value, dict) and "flags" in value)
            attributes[code] = Attribute(attributes[code].flags, code, new.octets, context) if keep else new

    hop = parse_address(next_hop) if next_hop is not None else None
    mp_reach: MpReach | None = attributes[table.MP_REACH].value if table.MP_REACH in attributes else None
    if withdrawn is not None:
        mp_unreach: MpUnreach | None = attributes[table.MP_UNREACH].value if table.MP_UNREACH in attributes else None
        homes = _homes(update.nlri, mp_reach) | _homes(update.withdrawn_routes, mp_unreach)
        classic, family, others = _sort_out(withdrawn, homes, mp_unreach)
        withdrawn_octets = encode_prefixes(classic, 1, add_path)
        if others:
            wide = family in context.add_path
            made = MpUnreach(family, encode_prefixes(others, family.afi, wide), wide)
            _set_mp(attributes, table.MP_UNREACH, made, context)
        elif mp_unreach and family.address_bits:
            del attributes[table.MP_UNREACH]
    if reach is not None:
        by_ipv6 = hop is not None and len(hop) == 16  # RFC 8950
        classic, family, others = _sort_out(reach, _homes(update.nlri, mp_reach), mp_reach)
        if by_ipv6 and not others and not mp_reach:
            classic, family, others = [], IPV4_UNICAST, classic
        nlri = encode_prefixes(classic, 1, add_path)
        if others:
            mp_hop = hop if hop and (by_ipv6 or family.afi == 1) else mp_reach.hop if mp_reach else None
            if mp_hop is None:
                raise TextError("IPv6 prefixes need an IPv6 next_hop")
            wide = family in context.add_path
            mp_reach = MpReach(family, mp_hop, encode_prefixes(others, family.afi, wide), wide)
            _set_mp(attributes, table.MP_REACH, mp_reach, context)
        elif mp_reach and family.address_bits:
            del attributes[table.MP_REACH]
    elif hop and mp_reach and (len(hop) == 16 or mp_reach.family.afi == 1):
        _set_mp(attributes, table.MP_REACH, mp_reach._replace(hop=hop), context)
    if hop and len(hop) == 4 and (nlri or table.NEXT_HOP in attributes):
        kept = attributes.get(table.NEXT_HOP)
        flags = kept.flags if kept else table.TRANSITIVE
        attributes[table.NEXT_HOP] = Attribute(flags, table.NEXT_HOP, hop, context)
    section = b"".join(attribute.encode() for attribute in attributes.values())
    return join(withdrawn_octets, section, nlri)


Homes = dict[Prefix, list[Family | None]]
"""Where a prefix is now, once for each time that the UPDATE has it: None is the NLRI or Withdrawn Routes field, a
family is MP_REACH_NLRI or MP_UNREACH_NLRI."""


def _homes(field: list[Prefix], mp: MpReach | MpUnreach | None) -> Homes:
    homes: Homes = {prefix: [None] for prefix in field}
    for prefix in mp.prefixes if mp else ():
        homes.setdefault(prefix, []).append(mp.family if mp else None)
    return homes


def _sort_out(
    prefixes: Iterable[PrefixLike], homes: Homes, mp: MpReach | MpUnreach | None
) -> tuple[list[Prefix], Family, list[Prefix]]:
    """Divides prefixes into those for the field of IPv4 unicast and those for the multiprotocol attribute, with its
    family.

    mp: the attribute as it is now. A prefix stays in the family that it has. A new one joins the attribute if that has
    its AFI, else it is unicast. Raises TextError if the attribute would need two families.
    """
    present = mp.family if mp else None
    classic: list[Prefix] = []
    others: dict[Family, list[Prefix]] = {}
    for each in prefixes:
        prefix = parse_prefix(each) if isinstance(each, str) else each
        if known := homes.get(prefix):
            home = known.pop(0) if len(known) > 1 else known[0]
        elif present and present.address_bits and present.afi == prefix.afi:
            home = present
        else:
            home = None if prefix.afi == 1 else IPV6_UNICAST
        if home is None:
            classic.append(prefix)
        else:
            others.setdefault(home, []).append(prefix)
    if present and not present.address_bits and others:
        others[present] = []
    if len(others) > 1:
        raise TextError(f"one UPDATE can't have prefixes of {' and '.join(map(str, others))}: make one for each")
    for family, found in others.items():
        return classic, family, found
    return classic, present or IPV6_UNICAST, []


def _set_mp(attributes: dict[int, Attribute], code: int, value: MpReach | MpUnreach, context: WireContext) -> None:
    """Sets MP_REACH or MP_UNREACH. A new one comes first (RFC 7606 section 5.1)."""
    kept = attributes.get(code)
    if kept:
        attributes[code] = _with_value(kept, value, context)
    else:
        others = dict(attributes)
        attributes.clear()
        attributes[code] = _with_value(Attribute(table.OPTIONAL, code, b"", context), value, context)
        attributes.update(others)
