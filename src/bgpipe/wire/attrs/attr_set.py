"""ATTR_SET (RFC 6368 section 4): the AS number of a customer and path attributes of its own.

JSON: {"origin_as":65000,"attrs":{"ORIGIN":{"flags":"T","value":"IGP"},...}}. AS numbers inside have four octets. A set
in which an attribute comes twice or does not fit, or that has a set in it, is shown as octets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from ..context import AS4, WireContext
from ..errors import TextError, WireError
from ..number import parse_number
from . import EXTENDED_LENGTH, raw
from .attribute import Attribute, attribute_from_json

ORIGIN_AS: Final = 4
"""Octets of the AS number."""
_ATTR_SET: Final = 128


def format_json(octets: bytes) -> str | None:
    if not octets:
        return raw.format_json(octets)
    found = [(code, octets[pos:start], octets[start:stop]) for code, pos, start, stop in _split(octets)]
    codes = {code for code, _, _ in found}
    if check(octets, AS4) is not None or len(codes) < len(found) or _ATTR_SET in codes:
        return None
    members = ",".join(Attribute(header[0], code, value, AS4).format_json() for code, header, value in found)
    text = f'{{"origin_as":{int.from_bytes(octets[:ORIGIN_AS], "big")},"attrs":{{{members}}}}}'
    try:
        return text if from_json(json.loads(text)) == octets else None
    except TextError:
        return None


def from_json(value: object) -> bytes:
    """Raises TextError."""
    if not isinstance(value, dict):
        return raw.from_json(value)
    attributes = value.get("attrs", {})
    if value.keys() - {"origin_as", "attrs"} or not isinstance(attributes, dict):
        raise TextError(f'not {{"origin_as":ASN,"attrs":{{...}}}}: {value!r}')
    found = [attribute_from_json(name, item, AS4) for name, item in attributes.items()]
    codes = {attribute.code for attribute in found}
    if len(codes) < len(found) or _ATTR_SET in codes:
        raise TextError("attrs: an attribute comes twice, or is a set in a set")
    section = b"".join(attribute.encode() for attribute in found)
    return parse_number(value.get("origin_as"), 32).to_bytes(ORIGIN_AS, "big") + section


def _split(value: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type code, start, start of the value, and end of each attribute; the last may end behind the set."""
    pos, end = ORIGIN_AS, len(value)
    while pos < end:
        start = pos + (4 if value[pos] & EXTENDED_LENGTH else 3)
        stop = start + int.from_bytes(value[pos + 2 : start], "big")
        yield value[pos + 1] if pos + 1 < end else 0, pos, start, stop
        pos = stop


def check(value: bytes, context: WireContext) -> WireError | None:
    """The attributes inside must end where the set does (RFC 7606 section 7.16)."""
    end = ORIGIN_AS
    for *_, stop in _split(value):
        end = stop
    return None if end == len(value) else WireError("an attribute in the set is cut short")


CODEC = raw.CODEC._replace(format_json=format_json, from_json=from_json, check=check)
