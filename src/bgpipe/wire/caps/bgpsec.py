"""BGPsec (RFC 8205 section 2.1): whether a speaker sends or takes BGPsec UPDATEs of an address family.

JSON: [{"version":0,"direction":"SEND","afi":"IPV4"}], an object for each capability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..attrs.parts import objects
from ..errors import TextError
from ..family import format_afi, parse_afi
from .entries import check_object, ignored

DIRECTIONS = ("RECEIVE", "SEND")
_EXAMPLE = '[{"version":0,"direction":"SEND","afi":"IPV4"}]'


class Bgpsec(NamedTuple):
    """sends: true if the speaker sends BGPsec UPDATEs, else it takes them."""

    version: int
    sends: bool
    afi: int


def decode(value: bytes) -> Bgpsec:
    """Raises WireError."""
    if len(value) != 3 or value[0] & 7:
        raise ignored(f"BGPSEC capability that can't be read: 0x{value.hex()}")
    return Bgpsec(value[0] >> 4, bool(value[0] & 8), int.from_bytes(value[1:], "big"))


def to_json(values: Sequence[bytes]) -> object:
    return [
        {"version": each.version, "direction": DIRECTIONS[each.sends], "afi": format_afi(each.afi)}
        for each in map(decode, values)
    ]


def from_json(value: object) -> list[bytes]:
    items = [value] if isinstance(value, dict) else value
    try:
        return [_encode(item) for item in objects(items)]
    except TextError as error:
        raise TextError(f"BGPSEC: {error}") from None


def _encode(item: object) -> bytes:
    found = check_object("BGPSEC", item, {"version", "direction", "afi"}, _EXAMPLE)
    version, direction, afi = found["version"], found["direction"], found["afi"]
    if type(version) is not int or not 0 <= version < 16 or direction not in DIRECTIONS or not isinstance(afi, str):
        raise TextError(f"not a version to 15, SEND or RECEIVE, and the name of an address family: {item!r}")
    return bytes((version << 4 | DIRECTIONS.index(direction) << 3,)) + parse_afi(afi).to_bytes(2, "big")
