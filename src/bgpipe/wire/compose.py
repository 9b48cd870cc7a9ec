"""UPDATE bodies out of parts: read for one context and written for another, split, edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from . import attrs as table
from .address import parse_address
from .attrs.as_path import AS_SEQUENCE, AS_SET, AsPath
from .attrs.attribute import Attribute, attribute_from_json
from .attrs.mp_reach import MpReach
from .attrs.mp_unreach import MpUnreach
from .context import WireContext
from .errors import Reaction, TextError, WireError
from .family import IPV4_UNICAST, IPV6_UNICAST, Family
from .prefix import Prefix, encode_prefixes, parse_prefix, split_prefixes
from .update import PrefixLike, Update, join, split_attributes

MP_HEADER: Final = 4
"""Octets of an attribute header with an extended length."""


def recode(update: Update, context: WireContext) -> bytes:
    """The body as `context` has it: width of AS numbers (RFC 6793 section 4.2), path identifiers (RFC 7911)."""
    ours = update.context
    withdrawn, section, nlri = update.parts()
    try:
        attributes = [Attribute(*found, ours) for found in split_attributes(section, 0, len(section))]
    except WireError:
        return update.body  # nobody can read these attributes: they are passed on as they are
    if ours.as4 and not context.as4:
        attributes = _narrow(attributes, context)
    elif context.as4 and not ours.as4:
        attributes = _widen(update, attributes, context)
    add_path = IPV4_UNICAST in context.add_path
    if (IPV4_UNICAST in ours.add_path) != add_path:
        withdrawn = encode_prefixes(update.withdrawn_routes, 1, add_path)
        nlri = encode_prefixes(update.nlri, 1, add_path)
    return join(withdrawn, b"".join(_recode(attribute, context).encode() for attribute in attributes), nlri)


def _recode(attribute: Attribute, context: WireContext) -> Attribute:
    """An attribute whose octets hang on the context; one that can't be decoded stays as it is."""
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


def _narrow(attributes: list[Attribute], context: WireContext) -> list[Attribute]:
    """For a speaker with AS numbers of two octets: AS4_PATH and AS4_AGGREGATOR say what has no place in these.

    A path of four octets is the whole truth, so AS4_PATH and AS4_AGGREGATOR that came with it are dropped (RFC 6793
    sections 3 and 4.2.2). Confederation segments do not go into AS4_PATH.
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


def _widen(update: Update, attributes: list[Attribute], context: WireContext) -> list[Attribute]:
    """For a speaker with AS numbers of four octets: AS4_PATH and AS4_AGGREGATOR go into what they complete."""
    merged: dict[int, Any] = {table.AS_PATH: update.as_path, table.AGGREGATOR: update.aggregator}
    return [
        attribute if merged.get(attribute.code) is None else _with_value(attribute, merged[attribute.code], context)
        for attribute in attributes
        if attribute.code not in (table.AS4_PATH, table.AS4_AGGREGATOR)
    ]


def split(update: Update, room: int) -> Iterator[bytes]:
    """Bodies of at most `room` octets that say together what `update` says, withdrawals first.

    Raises WireError (treat-as-withdraw: the routes can't be announced) if there is no place for a prefix beside the
    path attributes, or for NLRI that can't be split.
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
    if add_path is None:
        prefixes = [nlri]
    else:
        found = split_prefixes(nlri, family.afi, add_path)
        prefixes = [prefix if path_id is None else path_id.to_bytes(4, "big") + prefix for path_id, prefix in found]
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
    update: Update,
    reach: Iterable[PrefixLike] | None,
    withdrawn: Iterable[PrefixLike] | None,
    attrs: Mapping[str | int, Any],
    next_hop: str | None,
) -> Update:
    """What Update.replace does."""
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

    if withdrawn is not None:
        ipv4, ipv6 = _by_afi(withdrawn)
        withdrawn_octets = encode_prefixes(ipv4, 1, add_path)
        _set_mp(attributes, table.MP_UNREACH, _mp_unreach(ipv6, context) if ipv6 else None, context)

    hop = parse_address(next_hop) if next_hop is not None else None
    mp_reach: MpReach | None = attributes[table.MP_REACH].value if table.MP_REACH in attributes else None
    if reach is not None:
        ipv4, ipv6 = _by_afi(reach)
        mp_hop = hop if hop and len(hop) == 16 else mp_reach.hop if mp_reach else None
        by_mp = ipv6 or (ipv4 if hop and len(hop) == 16 else [])
        if by_mp and mp_hop is None:
            raise TextError("IPv6 prefixes want an IPv6 next_hop")
        nlri = encode_prefixes([] if by_mp is ipv4 else ipv4, 1, add_path)
        mp_reach = _mp_reach(by_mp, mp_hop, context) if by_mp and mp_hop else None
        _set_mp(attributes, table.MP_REACH, mp_reach, context)
    elif hop and mp_reach and (len(hop) == 16 or mp_reach.family.afi == 1):
        _set_mp(attributes, table.MP_REACH, mp_reach._replace(hop=hop), context)
    if hop and len(hop) == 4 and (nlri or table.NEXT_HOP in attributes):
        kept = attributes.get(table.NEXT_HOP)
        flags = kept.flags if kept else table.TRANSITIVE
        attributes[table.NEXT_HOP] = Attribute(flags, table.NEXT_HOP, hop, context)
    section = b"".join(attribute.encode() for attribute in attributes.values())
    return Update(join(withdrawn_octets, section, nlri), context)


def _by_afi(prefixes: Iterable[PrefixLike]) -> tuple[list[Prefix], list[Prefix]]:
    found = [parse_prefix(prefix) if isinstance(prefix, str) else prefix for prefix in prefixes]
    return [prefix for prefix in found if prefix.afi == 1], [prefix for prefix in found if prefix.afi == 2]


def _mp_reach(prefixes: list[Prefix], hop: bytes, context: WireContext) -> MpReach:
    family = IPV6_UNICAST if prefixes[0].afi == 2 else IPV4_UNICAST
    add_path = family in context.add_path
    return MpReach(family, hop, encode_prefixes(prefixes, family.afi, add_path), add_path)


def _mp_unreach(prefixes: list[Prefix], context: WireContext) -> MpUnreach:
    add_path = IPV6_UNICAST in context.add_path
    return MpUnreach(IPV6_UNICAST, encode_prefixes(prefixes, 2, add_path), add_path)


def _set_mp(
    attributes: dict[int, Attribute], code: int, value: MpReach | MpUnreach | None, context: WireContext
) -> None:
    """Sets or takes away MP_REACH or MP_UNREACH. A new one comes first (RFC 7606 section 5.1)."""
    kept = attributes.get(code)
    if value is None:
        attributes.pop(code, None)
    elif kept:
        attributes[code] = _with_value(kept, value, context)
    else:
        others = dict(attributes)
        attributes.clear()
        attributes[code] = _with_value(Attribute(table.OPTIONAL, code, b"", context), value, context)
        attributes.update(others)
