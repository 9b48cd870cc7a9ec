"""The path attributes of an UPDATE as JSON members, and back.

`"attrs":{"ORIGIN":{...},...}` has the attributes in the order of the wire. If an attribute comes more than once, the
first one counts (RFC 7606 section 3(g)) and is shown there. `raw_attrs` has the octets of the repeated ones, and those
of an attribute that is cut short, so that all octets can be restored: `"raw_attrs":[[3,"0x40010100"]]` says that these
octets come before attribute number 3, counted from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from . import attrs as table
from .attrs.attribute import Attribute, attribute_from_json
from .attrs.hexadecimal import format_hex, parse_hex
from .context import WireContext
from .errors import TextError

_CACHE_SIZE: Final = 16384
_CACHED_OCTETS: Final = 256
"""As many sections of path attributes, and as many attributes, of at most this size are remembered: archives repeat
them."""
_MULTIPROTOCOL: Final = (table.MP_REACH, table.MP_UNREACH)
"""They depend on ADD-PATH too, and don't come again: they are not remembered."""
_known: Final[dict[tuple[bool, bool], tuple[dict[bytes, str], dict[bytes, str]]]] = {
    (as4, guess_as): ({}, {}) for as4 in (False, True) for guess_as in (False, True)
}
"""JSON of sections and of single attributes without an error, "" as long as nobody has asked for it; by what of the
context they depend on: as4 and guess_as."""


def are_sound(
    section: bytes,
    split: Callable[[], Collection[bytes]],
    attribute: Callable[[bytes], Attribute],
    context: WireContext,
) -> bool:
    """Whether the path attributes of a section have no error. Arguments: as of `format_attributes`."""
    sections, known = _known[context.as4, context.guess_as]
    if section in sections:
        return True
    each = split()
    lasting = bool(each)
    for octets in each:
        if octets in known:
            continue
        if attribute(octets).error() is not None:
            return False
        lasting &= _remember(known, octets, "", octets[1])
    if lasting:
        _remember(sections, section, "")
    return bool(each)


def format_attributes(
    section: bytes,
    split: Callable[[], Collection[bytes]],
    attribute: Callable[[bytes], Attribute],
    context: WireContext,
    sound: bool = False,
) -> tuple[str, bool]:
    """The members `attrs` and, where it is needed, `raw_attrs`; and whether the attributes have no error.

    split: gives the octets of the attributes, header included; none if one comes twice or does not fit. attribute:
    makes one of its octets. sound: it is known that they have no error.
    """
    sections, known = _known[context.as4, context.guess_as]
    text = sections.get(section)
    if text:
        return text, True
    each = split()
    if not each:
        return _format_odd(section, context), False
    sound = sound or text is not None
    sound_ones, lasting = True, True
    parts = []
    for octets in each:
        part = known.get(octets)
        if not part:
            found = attribute(octets)
            is_sound = sound or part == "" or found.error() is None
            part = found.format_json()
            sound_ones &= is_sound
            lasting &= is_sound and _remember(known, octets, part, octets[1])
        parts.append(part)
    text = '"attrs":{' + ",".join(parts) + "}"
    if lasting:
        _remember(sections, section, text)
    return text, sound_ones


def _format_odd(section: bytes, context: WireContext) -> str:
    """A section in which an attribute comes twice or does not fit."""
    parts: list[str] = []
    raw: list[str] = []
    codes = set()
    pos, end = 0, len(section)
    while pos < end:
        start = pos + (4 if section[pos] & table.EXTENDED_LENGTH else 3)
        stop = start + int.from_bytes(section[pos + 2 : start], "big")
        if start > end or stop > end:
            raw.append(_format_raw(len(parts) + len(raw), section[pos:]))
            break
        code = section[pos + 1]
        octets = section[pos:stop]
        if code in codes:
            raw.append(_format_raw(len(parts) + len(raw), octets))
        else:
            codes.add(code)
            attribute = Attribute(section[pos], code, section[start:stop], context)
            parts.append(attribute.format_json())
        pos = stop
    return '"attrs":{' + ",".join(parts) + '},"raw_attrs":[' + ",".join(raw) + "]"


def attributes_from_json(attributes: object, raw: object, context: WireContext) -> bytes:
    """The section for the values of `attrs` and `raw_attrs`, None for what is not there. Raises TextError."""
    if isinstance(attributes, str):
        return parse_hex(attributes)
    if attributes is None:
        attributes = {}
    if not isinstance(attributes, dict):
        raise TextError(f"attrs: not an object: {attributes!r}")
    found = [attribute_from_json(name, value, context) for name, value in attributes.items() if value is not None]
    if len({attribute.code for attribute in found}) < len(found):
        raise TextError("attrs: an attribute comes twice under two names")
    section = [attribute.encode() for attribute in found]
    for place, octets in _parse_raw(raw):
        section.insert(place, octets)
    return b"".join(section)


def _format_raw(place: int, octets: bytes) -> str:
    return f"[{place},{format_hex(octets)}]"


def _parse_raw(raw: object) -> list[tuple[int, bytes]]:
    """(place, octets) in order. Raises TextError."""
    if raw is None:
        return []
    found = []
    for item in raw if isinstance(raw, list) else [raw]:
        if not isinstance(item, list) or len(item) != 2 or type(item[0]) is not int or not isinstance(item[1], str):
            raise TextError(f'raw_attrs: not [[PLACE,"0x..."],...]: {raw!r}')
        found.append((item[0], parse_hex(item[1])))
    return found


def _remember(known: dict[bytes, str], octets: bytes, text: str, code: int = 0) -> bool:
    """Whether the octets may be remembered, which they are then. code: of an attribute."""
    if code in _MULTIPROTOCOL or len(octets) > _CACHED_OCTETS:
        return False
    if len(known) >= _CACHE_SIZE:
        known.clear()
    known[octets] = text
    return True
