"""BGP role (RFC 9234 section 4.1): what the speaker is to its neighbour.

JSON: a name, or a number where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import TextError, WireError

NAMES: Final = {0: "PROVIDER", 1: "RS", 2: "RS-CLIENT", 3: "CUSTOMER", 4: "PEER"}
_CODES: Final = {name: code for code, name in NAMES.items()}


def decode(value: bytes) -> int:
    """Raises WireError."""
    if len(value) != 1:
        raise WireError(f"ROLE capability of {len(value)} octets, 1 expected", code=2, subcode=0)
    return value[0]


def to_json(values: Sequence[bytes]) -> object:
    """Of several, the last counts here; Open.check refuses those that differ."""
    role = [decode(value) for value in values][-1]
    return NAMES.get(role, role)


def from_json(value: object) -> list[bytes]:
    if isinstance(value, str):
        value = _CODES.get(value.strip().upper().replace("_", "-"), value)
    if type(value) is not int or not 0 <= value <= 255:
        raise TextError(f"ROLE: one of {', '.join(_CODES)} or a number to 255 is expected")
    return [bytes((value,))]
