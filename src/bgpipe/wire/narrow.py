"""An UPDATE with only some of its routes: those that somebody wants, each looked at alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from . import attrs as table
from .attrs.attribute import Attribute, encode_header
from .attrs.mp_reach import split_routes
from .errors import WireError
from .family import IPV4_UNICAST, Family
from .update_body import UpdateBody, join, split_attributes

_WITHDRAWN: Final = -1
_NLRI: Final = -2
"""Where routes are, beside the type codes of MP_REACH_NLRI and MP_UNREACH_NLRI."""


class _Part(NamedTuple):
    """The routes of one field or attribute.

    place: _WITHDRAWN, _NLRI, or the attribute's type code. routes: the octets of each, with its path identifier.
    before: octets of the attribute's value, up to the first route. flags: the attribute's.
    """

    place: int
    routes: list[bytes]
    before: bytes = b""
    flags: int = 0


def narrow(update: UpdateBody, wanted: Callable[[bytes], bool]) -> bytes | None:
    """The body with only the routes that are wanted, None if there are none; the body itself if all are.

    wanted: is called with the body of an UPDATE that has one route, announced or withdrawn, and the path attributes of
    all. NLRI of a family without a codec are one route. An UPDATE without routes, as an End-of-RIB is, and one whose
    routes can't be told apart is asked about as a whole.
    All attributes stay as they are, but MP_REACH_NLRI and MP_UNREACH_NLRI go with their last route.
    """
    body = update.body
    try:
        parts, attributes = _parts(update)
    except WireError:
        parts, attributes = [], []
    if not any(part.routes for part in parts):
        return body if wanted(body) else None
    kept = [
        part._replace(
            routes=[route for route in part.routes if wanted(_join([part._replace(routes=[route])], attributes))]
        )
        for part in parts
    ]
    if kept == parts:
        return body
    return _join(kept, attributes) if any(part.routes for part in kept) else None


def _parts(update: UpdateBody) -> tuple[list[_Part], list[tuple[int, bytes]]]:
    """The routes by where they are, and (type code, octets) of all attributes in their order. Raises WireError."""
    withdrawn, section, nlri = update.parts()
    context = update.context
    parts = [
        _Part(_WITHDRAWN, _routes(withdrawn, IPV4_UNICAST, IPV4_UNICAST in context.add_path)),
        _Part(_NLRI, _routes(nlri, IPV4_UNICAST, IPV4_UNICAST in context.add_path)),
    ]
    attributes = []
    for flags, code, octets in split_attributes(section, 0, len(section)):
        attribute = Attribute(flags, code, octets, context)
        attributes.append((code, attribute.encode()))
        if code in (table.MP_REACH, table.MP_UNREACH):
            if any(part.place == code for part in parts):
                raise WireError(f"{attribute.name} comes twice")
            value = attribute.value
            before = octets[: len(octets) - len(value.nlri)]
            parts.append(_Part(code, _routes(value.nlri, value.family, value.add_path), before, flags))
    return parts, attributes


def _routes(nlri: bytes, family: Family, add_path: bool | None) -> list[bytes]:
    """The octets of each route. add_path: whether a path identifier precedes it; None if only all can be told."""
    if add_path is None:
        return [nlri] if nlri else []
    return split_routes(family, nlri, add_path)


def _join(parts: list[_Part], attributes: list[tuple[int, bytes]]) -> bytes:
    """A body with the routes of these parts."""
    places = {part.place: part for part in parts if part.routes}
    section = []
    for code, octets in attributes:
        if code in (table.MP_REACH, table.MP_UNREACH):
            if code not in places:
                continue
            part = places[code]
            value = part.before + b"".join(part.routes)
            octets = encode_header(part.flags, code, len(value)) + value
        section.append(octets)
    fields = [b"".join(places[place].routes) if place in places else b"" for place in (_WITHDRAWN, _NLRI)]
    return join(fields[0], b"".join(section), fields[1])
