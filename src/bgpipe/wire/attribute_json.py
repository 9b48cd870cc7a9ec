"""The path attributes of an UPDATE as JSON members, and back.

`"attrs":{"ORIGIN":{...},...}` in the order of the wire. Of an attribute that comes more than once the first counts
(RFC 7606 section 3(g)) and is shown. The octets of the others, and of a rest in which an attribute does not fit, stand
beside: `"raw_attrs":[[3,"0x40010100"]]` says that these octets come before what would else be attribute number 3,
counted from 0, so that all octets come back.
"""

from __future__ import annotations

from typing import Final

from . import attrs as table
from .attrs.attribute import Attribute, attribute_from_json
from .attrs.hexadecimal import format_hex, parse_hex
from .context import WireContext
from .errors import TextError

_CACHE_SIZE: Final = 16384
_CACHED_OCTETS: Final = 256
"""JSON texts are remembered for as many sections of path attributes, and as many attributes, of at most this size."""
_texts: Final[dict[tuple[bool, bool], tuple[dict[bytes, str], dict[bytes, str]]]] = {
    (as4, guess_as): ({}, {}) for as4 in (False, True) for guess_as in (False, True)
}
"""JSON of sections, and of single attributes, by what of the context it hangs on: as4 and guess_as."""


def format_attributes(section: bytes, context: WireContext) -> str:
    """The members `attrs` and, where it is needed, `raw_attrs`."""
    sections, texts = _texts[context.as4, context.guess_as]
    text = sections.get(section)
    if text is not None:
        return text
    parts: list[str] = []
    raw: list[str] = []
    codes = set()
    cacheable = len(section) <= _CACHED_OCTETS
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
            pos = stop
            continue
        codes.add(code)
        part = texts.get(octets)
        if part is None:
            part = Attribute(section[pos], code, section[start:stop], context).format_json()
            if code in (table.MP_REACH, table.MP_UNREACH):
                cacheable = False  # its text hangs on ADD-PATH too, and doesn't come again
            elif stop - pos <= _CACHED_OCTETS:
                _remember(texts, octets, part)
        parts.append(part)
        pos = stop
    text = '"attrs":{' + ",".join(parts) + "}"
    if raw:
        text += ',"raw_attrs":[' + ",".join(raw) + "]"
    if cacheable:
        _remember(sections, section, text)
    return text


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


def _remember(texts: dict[bytes, str], octets: bytes, text: str) -> None:
    if len(texts) >= _CACHE_SIZE:
        texts.clear()
    texts[octets] = text
