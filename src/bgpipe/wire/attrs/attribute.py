"""One path attribute with its flags: octets, value, JSON, and what is wrong with it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from ..context import WireContext
from ..errors import Reaction, TextError, WireError
from . import (
    EXTENDED_LENGTH,
    KNOWN,
    MP_REACH,
    MP_UNREACH,
    OPTIONAL,
    PARTIAL,
    TABLE,
    TRANSITIVE,
    AttributeType,
    parse_name,
    u32,
)
from .hexadecimal import format_hex, parse_hex

_FLAG_LETTERS: Final = (("O", OPTIONAL), ("T", TRANSITIVE), ("P", PARTIAL), ("X", EXTENDED_LENGTH))


class Attribute:
    """A path attribute (RFC 4271 section 4.3): flags, type code, and the octets of its value, which is decoded when it
    is first used."""

    __slots__ = ("_context", "_value", "code", "flags", "octets")

    def __init__(self, flags: int, code: int, octets: bytes, context: WireContext) -> None:
        self.flags = flags
        self.code = code
        self.octets = octets
        self._context = context
        self._value: Any = None

    @property
    def name(self) -> str:
        """The name in JSON: ORIGIN, ASPATH, ..., or ATTR_N."""
        return TABLE[self.code].name

    @property
    def value(self) -> Any:
        """The decoded value; its type depends on the attribute. Raises WireError, with the reaction of RFC 7606."""
        if self._value is None:
            row = TABLE[self.code]
            try:
                if row.lengths is not None:
                    row.lengths.check(len(self.octets), self._context)
                self._value = row.codec.decode(self.octets, self._context)
            except WireError as error:
                raise self._blame(error, _reaction(error, row)) from None
        return self._value

    @property
    def header(self) -> bytes:
        """Flags, type code and length (RFC 4271 section 4.3)."""
        return encode_header(self.flags, self.code, len(self.octets))

    def encode(self) -> bytes:
        """The octets of the attribute, header included."""
        return self.header + self.octets

    def format_json(self) -> str:
        """`"NAME":{"flags":...,"value":...}`; the value in hexadecimal if there is no other way to keep its octets."""
        row = TABLE[self.code]
        codec, more = row.codec, ""
        try:
            value = self.value
            text = codec.format_json(value)
            if codec.format_members is not None and (members := codec.format_members(value)):
                more = "," + members
        except WireError:
            text = None
        return f'"{row.name}":{{"flags":"{format_flags(self.flags)}","value":{text or format_hex(self.octets)}{more}}}'

    def error(self, external: bool = False) -> WireError | None:
        """The error in this attribute, with the reaction of RFC 7606; None if it is well-formed. external: the peer is
        in another AS.

        Of several errors the one with the strongest reaction, the first of these (RFC 7606 section 3(h)).
        """
        row = TABLE[self.code]
        if row.required is None:
            if self.flags & OPTIONAL:
                return None
            if self.code in KNOWN:  # so it is recognized, and no well-known one
                return self._blame(WireError("not optional", subcode=4), row.bad_flags)
            return self._blame(WireError("unrecognized well-known attribute", subcode=2), Reaction.SESSION_RESET)
        flags, value = self._flags_error(), self._value_error(external)
        if flags is None or value is None:
            return flags or value
        return value if value.reaction > flags.reaction else flags

    def _flags_error(self) -> WireError | None:
        """RFC 7606 section 3(c); PARTIAL belongs to optional transitive attributes (RFC 4271 section 4.3)."""
        row = TABLE[self.code]
        possible = PARTIAL if row.required == OPTIONAL | TRANSITIVE else 0
        if self.flags & (OPTIONAL | TRANSITIVE | PARTIAL) & ~possible == row.required:
            return None
        text = f"flags are {format_flags(self.flags)}, not {format_flags(row.required or 0)}"
        return self._blame(WireError(text, subcode=4), row.bad_flags)

    def _value_error(self, external: bool) -> WireError | None:
        row = TABLE[self.code]
        if external and row.internal:
            return self._blame(WireError("from an external peer"), Reaction.ATTRIBUTE_DISCARD)
        if not self.octets and not row.empty:
            return self._blame(WireError("length is 0", subcode=5), row.malformed)
        try:
            value = self.value
        except WireError as error:
            return error
        wrong = row.codec.check(value, self._context) if row.codec.check else None
        return self._blame(wrong, _reaction(wrong, row)) if wrong else None

    def _blame(self, error: WireError, reaction: Reaction) -> WireError:
        """The error with everything that a NOTIFICATION about it needs (RFC 4271 section 6.3)."""
        error.text = f"{self.name}: {error.text}"
        error.reaction = reaction
        error.data = self.encode()
        if self.code in (MP_REACH, MP_UNREACH) and error.subcode not in (3, 4):
            error.subcode = 9  # RFC 4760 section 7
        return error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attribute) and (self.code, self.flags, self.octets) == (
            other.code,
            other.flags,
            other.octets,
        )

    def __hash__(self) -> int:
        return hash((self.code, self.flags, self.octets))

    def __repr__(self) -> str:
        return f"<{self.format_json()}>"


def _reaction(error: WireError, row: AttributeType) -> Reaction:
    """The row's, unless the codec itself has asked for treat-as-withdraw."""
    return error.reaction if error.reaction is Reaction.TREAT_AS_WITHDRAW else row.malformed


def encode_header(flags: int, code: int, length: int) -> bytes:
    """Flags, type code and length, the latter in two octets where EXTENDED_LENGTH says so or it has to be."""
    if length > 255:
        flags |= EXTENDED_LENGTH
    if flags & EXTENDED_LENGTH:
        return bytes((flags, code)) + length.to_bytes(2, "big")
    return bytes((flags, code, length))


@lru_cache(maxsize=256)
def format_flags(flags: int) -> str:
    """The letters O T P X, and the low four bits as a decimal number if any of them is set."""
    return "".join(letter for letter, bit in _FLAG_LETTERS if flags & bit) + (str(flags & 15) if flags & 15 else "")


@lru_cache(maxsize=1024)
def parse_flags(text: str) -> int:
    """What format_flags wrote, letters in any order and case. Raises TextError."""
    letters = text.rstrip("0123456789")
    digits = text[len(letters) :]
    bits = dict(_FLAG_LETTERS)
    if not set(letters.upper()) <= bits.keys() or len(digits) > 2 or int(digits or 0) > 15:
        raise TextError(f"not flags: {text!r}; letters of OTPX are expected, and a number to 15")
    return sum(bits[letter] for letter in set(letters.upper())) | int(digits or 0)


def attribute_from_json(name: str, item: object, context: WireContext) -> Attribute:
    """An attribute from its name and {"flags":F,"value":V}, or the value alone. Raises TextError.

    The alone one gets the flags of the table. A string "0x..." is the octets of any value; only a number that stands
    alone may be written so.
    """
    code = parse_name(name)
    row = TABLE[code]
    flags = row.default
    value = item
    whole = isinstance(item, dict) and "flags" in item
    if whole:
        assert isinstance(item, dict)
        if "value" not in item or not isinstance(item["flags"], str):
            raise TextError(f'{name}: not {{"flags":FLAGS,"value":VALUE}}: {item!r}')
        flags, value = parse_flags(item["flags"]), item["value"]
    try:
        if isinstance(value, str) and value[:2] == "0x" and (whole or row.codec.from_json is not u32.from_json):
            octets = parse_hex(value)
        else:
            decoded = row.codec.from_json(value)
            if isinstance(item, dict) and whole and row.codec.apply_members is not None:
                decoded = row.codec.apply_members(decoded, item)
            octets = row.codec.encode(decoded, context)
    except TextError as error:
        raise TextError(f"{name}: {error}") from None
    if len(octets) > 0xFFFF:
        raise TextError(f"{name}: {len(octets)} octets are too many")
    return Attribute(flags, code, octets, context)
