"""A JSON line as its six elements, before it is a message: forms that are read besides our own, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec

from ..wire.attrs import CODES
from ..wire.attrs.attribute import attribute_from_json
from ..wire.context import AS4
from ..wire.errors import TextError
from ..wire.message import NOTIFICATION, OPEN, UPDATE

KNOWN_KEYS: Final = {
    OPEN: {"bgp", "asn", "id", "hold", "caps", "params"},
    UPDATE: {"reach", "unreach", "attrs", "raw_attrs"},
    NOTIFICATION: {"code", "subcode", "name", "text", "reset", "data"},
}
"""Of the objects that are bodies."""


class JsonLine(msgspec.Struct, array_like=True):
    """A line in the usual form. Missing elements at the end have their defaults, further elements are ignored."""

    direction: str | None = None
    seq: Any = None
    time: Any = None
    type: int | str | None = None
    body: Any = None
    meta: dict[str, str] | None = None


_decode_line: Final = msgspec.json.Decoder(JsonLine).decode
_decode_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_tags: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


def parse_line(text: bytes) -> JsonLine:
    """A line that is an array, or an object: the body of an UPDATE. Raises TextError, RecursionError."""
    try:
        return _parse_line(text)
    except msgspec.ValidationError as error:
        raise TextError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TextError(f"not JSON: {error}") from None


def _parse_line(text: bytes) -> JsonLine:
    if text[0] == 0x7B:
        line = JsonLine(type="UPDATE", body=msgspec.json.decode(text))
    elif text[0] != 0x5B:
        raise TextError("neither an array nor an object")
    else:
        try:
            line = _decode_line(text)
        except msgspec.ValidationError:
            line = _decode_odd_line(text)
    keys = _count_keys(line.body) if isinstance(line.body, dict) else 0
    if text.count(b'":') != keys + len(line.meta or ()):
        json.loads(text, object_pairs_hook=_refuse_twice)
    return line


@lru_cache(maxsize=16384)
def parse_attribute(name: bytes, text: bytes) -> bytes:
    """Type code and value of a path attribute, for accel; nothing where it is wrong, or the whole line counts: path
    identifiers decide how it is encoded."""
    if b'"id":' in text or b"#" in text or name.decode("ascii", "replace") not in CODES:
        return b""
    try:
        value = msgspec.json.decode(text)
        if text.count(b'":') != _count_keys(value):
            return b""
        attribute = attribute_from_json(name.decode(), {"flags": "", "value": value}, AS4)
    except (TextError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b""
    return bytes((attribute.code,)) + attribute.octets


def unknown_key(type_code: int, body: dict[str, Any]) -> str:
    """An unknown key of a body, "" if there is none."""
    known = KNOWN_KEYS.get(type_code, set())
    for key in body:
        if key not in known:
            return key
    attributes = body.get("attrs")
    for attribute in attributes.values() if isinstance(attributes, dict) else ():
        if isinstance(attribute, dict) and len(attribute) > 2 and "flags" in attribute:
            return next((key for key in attribute if key not in ("flags", "value", "segments")), "")
    return ""


def _count_keys(value: object) -> int:
    """The keys of all objects in a value: where a key comes twice, the text has more."""
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    if isinstance(value, list):
        return sum(_count_keys(each) for each in value if isinstance(each, dict | list))
    return 0


def _refuse_twice(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise TextError(f"the key {key!r} comes twice in one object")
        found[key] = value
    return found


def _decode_odd_line(text: bytes) -> JsonLine:
    """Decodes a line in another form: tags that are no strings become text; anything else is an error."""
    elements = _decode_elements(text)
    line = JsonLine(*map(msgspec.json.decode, elements[:5]))
    if not isinstance(line.direction, str | None):
        raise TextError("the direction (element 0) must be a string")
    if not isinstance(line.type, str | int | None) or isinstance(line.type, bool):
        raise TextError("the type (element 3) must be a name or a number")
    if len(elements) > 5:
        try:
            tags = _decode_tags(elements[5]) or {}
        except msgspec.ValidationError:
            raise TextError("meta (element 5) must be an object") from None
        line.meta = {key: _tag_text(bytes(value)) for key, value in tags.items()}
    return line


def _tag_text(value: bytes) -> str:
    if value[:1] == b'"':
        return str(msgspec.json.decode(value))
    return "" if value == b"null" else value.decode()
