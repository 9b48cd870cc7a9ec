"""Capabilities whose value is a run of entries, most of them about one family each: as one JSON object, or a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..attrs.parts import objects
from ..cursor import Cursor
from ..errors import Reaction, TextError, WireError
from ..family import Family, parse_family
from ..nlri.codec import Members
from ..nlri.layout import Part, encode_parts, read_parts, text

MAX_VALUE: Final = 255
"""Octets of the value of a capability."""


class Entries:
    """The form of a capability (CapabilityForm) whose values are entries of these parts.

    JSON: {"families":[{...},...]}, of all capabilities of one OPEN together. A value that would not come back is shown
    as octets; no error in it ends a session (RFC 5492 lets a speaker ignore what it can't read).
    """

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name = name
        self.parts = parts

    def decode(self, value: bytes) -> list[Members]:
        """The entries of one value. Raises WireError."""
        cursor = Cursor(value)
        found = []
        try:
            while cursor.left:
                found.append(read_parts(cursor, self.parts))
            exact = b"".join(map(self._encode, found)) == value
        except (WireError, TextError):
            exact = False
        if not exact:
            raise ignored(f"{self.name} capability with a value that can't be read: 0x{value.hex()}")
        return found

    def to_json(self, values: Sequence[bytes]) -> object:
        return {"families": [entry for value in values for entry in self.decode(value)]}

    def from_json(self, value: object) -> list[bytes]:
        """As few capabilities as hold the entries. Raises TextError."""
        if not isinstance(value, dict) or value.keys() != {"families"}:
            raise TextError(f'{self.name}: an object is expected, as in {{"families":[{{"af":"IPV4/UNICAST",...}}]}}')
        try:
            entries = [self._encode(item) for item in objects(value["families"])]
        except TextError as error:
            raise TextError(f"{self.name}: {error}") from None
        found = [b""]
        for entry in entries:
            if len(found[-1]) + len(entry) > MAX_VALUE:
                found.append(b"")
            found[-1] += entry
        return found

    def _encode(self, entry: Members) -> bytes:
        return encode_parts(entry, self.parts)


def ignored(message: str) -> WireError:
    """RFC 5492 lets a speaker ignore a capability that it can't read."""
    return WireError(message, code=2, subcode=0, reaction=Reaction.ATTRIBUTE_DISCARD)


def _encode_family(value: object) -> bytes:
    family = parse_family(text(value))
    return family.afi.to_bytes(2, "big") + bytes((family.safi,))


def _decode_wide(cursor: Cursor) -> str:
    afi, reserved, safi = cursor.u16(), cursor.u8(), cursor.u8()
    if reserved:
        raise WireError("the reserved octet is used", offset=cursor.pos - 2)
    return str(Family(afi, safi))


def _encode_wide(value: object) -> bytes:
    octets = _encode_family(value)
    return octets[:2] + b"\0" + octets[2:]


FAMILY: Final = Part("af", lambda cursor: str(Family(cursor.u16(), cursor.u8())), _encode_family)
"""AFI and SAFI."""
WIDE_FAMILY: Final = Part("af", _decode_wide, _encode_wide)
"""AFI, a reserved octet, and SAFI."""


def check_object(name: str, value: object, keys: set[str], example: str) -> dict[str, Any]:
    """A value that has to be an object with these keys. Raises TextError."""
    if not isinstance(value, dict) or value.keys() != keys:
        raise TextError(f"{name}: an object is expected, as in {example}")
    return value
