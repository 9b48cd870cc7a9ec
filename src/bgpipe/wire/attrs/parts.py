"""Parts of attributes that NLRI don't have: fields of bits, numbers that are left out if they are 0, and others.

What a part is: wire/nlri/layout.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..address import format_address, parse_address
from ..cursor import Cursor
from ..errors import TextError, WireError
from ..hexadecimal import format_hex, parse_hex
from ..nlri.layout import Part, encode_parts, keys_of, number, read_parts, tell_layouts, text
from ..nlri.text import LABEL, format_labels, parse_labels
from ..number import parse_number


def flags(key: str = "flags", size: int = 1) -> Part:
    """A number of `size` octets, left out if it is 0."""
    usual = number(key, size)
    return Part(
        key, lambda cursor: usual.decode(cursor) or None, lambda value: usual.encode(value or 0), (), "flags", size
    )


def ip(key: str, size: int) -> Part:
    """An address of 4 or 16 octets."""

    def encode(value: object) -> bytes:
        octets = parse_address(text(value))
        if len(octets) != size:
            raise TextError(f"not an IPv{4 if size == 4 else 6} address: {value!r}")
        return octets

    return Part(key, lambda cursor: format_address(cursor.take(size)), encode, (), "ip", size)


def optional(part: Part, size: int) -> Part:
    """A part of `size` octets that is left out where fewer are left."""

    def decode(cursor: Cursor) -> object:
        return part.decode(cursor) if cursor.left >= size else None

    return Part(part.key, decode, lambda value: b"" if value is None else part.encode(value))


def octets(key: str) -> Part:
    """Octets that go to the end, in hexadecimal."""
    return Part(key, lambda cursor: format_hex(cursor.rest()), lambda value: parse_hex(text(value)))


def words(key: str) -> Part:
    """UTF-8 that goes to the end. Octets that are not UTF-8, and a text that would be taken for them, are shown in
    hexadecimal."""
    return Part(key, lambda cursor: format_words(cursor.rest()), lambda value: parse_words(text(value)), (), "words")


def format_words(value: bytes) -> str:
    try:
        found = value.decode()
    except UnicodeDecodeError:
        return format_hex(value)
    return format_hex(value) if found[:2] in ("0x", "0X") else found


def parse_words(value: str) -> bytes:
    """Raises TextError."""
    if value[:2] in ("0x", "0X"):
        return parse_hex(value)
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise TextError(f"not Unicode: {value!r}") from None


def fields(size: int, *names: tuple[str, int]) -> Part:
    """Fields of bits in `size` octets, the highest first: each a name and a number of bits.

    One bit is true, or left out. A number whose name ends in "?" is left out if it is 0. Bits named "" must be 0.
    """
    keys = tuple(name.removesuffix("?") for name, _ in names if name)

    def decode(cursor: Cursor) -> dict[str, Any]:
        left = int.from_bytes(cursor.take(size), "big")
        shift = 8 * size
        members: dict[str, Any] = {}
        for name, bits in names:
            shift -= bits
            value = left >> shift & (1 << bits) - 1
            if value and not name:
                raise WireError("reserved bits are used", offset=cursor.pos - size)
            if bits == 1 and value:
                members[name] = True
            elif bits > 1 and name and (value or name[-1] != "?"):
                members[name.removesuffix("?")] = value
        return members

    def encode(members: Mapping[str, object]) -> bytes:
        total = 0
        for name, bits in names:
            key = name.removesuffix("?")
            value = members.get(key, False if bits == 1 else 0 if name[-1:] in ("?", "") else None)
            if type(value) is not (bool if bits == 1 else int) or not 0 <= int(value) < 1 << bits:
                wanted = "true or false" if bits == 1 else f"a number from 0 to {(1 << bits) - 1}"
                raise TextError(f"{key}: {wanted} is expected, not {value!r}")
            total = total << bits | int(value)
        return total.to_bytes(size, "big")

    return Part("", decode, encode, keys)


def choice(*forms: tuple[int, Sequence[Part]]) -> Part:
    """What goes to the end has one of several forms, each of another number of octets.

    The members decide: the last form counts of whose first key there is a member, else the first form.
    """
    by_size = dict(forms)

    def decode(cursor: Cursor) -> dict[str, Any]:
        parts = by_size.get(cursor.left)
        if parts is None:
            raise WireError(f"{cursor.left} octets, one of {', '.join(map(str, by_size))} expected", offset=cursor.pos)
        return read_parts(cursor, parts)

    def encode(members: Mapping[str, object]) -> bytes:
        found = forms[0][1]
        for _, parts in forms:
            if parts and keys_of(parts)[0] in members:
                found = parts
        return encode_parts(members, found, tuple(members))

    keys = tuple(key for _, parts in forms for key in keys_of(parts))
    layouts = {size: ("", parts) for size, parts in forms}
    return Part("", decode, encode, keys, "choice", 0, lambda: tell_layouts("sizes", layouts))


def items(key: str, parts: Sequence[Part], size: int) -> Part:
    """Objects of `size` octets each, to the end."""

    def decode(cursor: Cursor) -> list[dict[str, Any]]:
        if cursor.left % size:
            raise WireError(f"{cursor.left} octets are no multiple of {size}", offset=cursor.pos)
        return [read_parts(cursor, parts) for _ in range(cursor.left // size)]

    def encode(value: object) -> bytes:
        return b"".join(encode_parts(item, parts) for item in objects(value))

    return Part(key, decode, encode)


def objects(value: object) -> list[dict[str, Any]]:
    """A value that has to be a list of objects. Raises TextError."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TextError(f"not a list of objects: {value!r}")
    return value


def named(key: str, size: int, names: Mapping[int, str]) -> Part:
    """A number of `size` octets that may have a name."""
    codes = {name: code for code, name in names.items()}

    def decode(cursor: Cursor) -> str | int:
        code = int.from_bytes(cursor.take(size), "big")
        return names.get(code, code)

    def encode(value: object) -> bytes:
        code = codes.get(value.upper(), value) if isinstance(value, str) else value
        if isinstance(code, str) or code is None:
            raise TextError(f"one of {', '.join(codes)} or a number is expected, not {value!r}")
        return parse_number(code, 8 * size).to_bytes(size, "big")

    return Part(key, decode, encode)


LABEL_FIELD: Final = Part(
    "label", lambda cursor: format_labels(cursor.take(LABEL), False)[0], lambda value: parse_labels([value], False)
)
"""A label in three octets, without the last-label bit."""
STACK_ENTRY: Final = fields(4, ("label", 20), ("tc?", 3), ("s", 1), ("ttl?", 8))._replace(kind="stack")
"""An entry of a label stack (RFC 3032): label, traffic class, bottom of stack, time to live."""
