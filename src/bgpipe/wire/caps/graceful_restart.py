"""Graceful restart (RFC 4724 section 3, RFC 8538 section 2): for how long routes are kept, and of which families.

JSON: {"time":120,"restarted":true,"notification":true,"families":["IPV4/UNICAST/FORWARDING","IPV6/UNICAST"]}. The two
flags are left out where they are not set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ..errors import Reaction, TextError, WireError
from ..family import Family, parse_family

FORWARDING: Final = "/FORWARDING"
"""Behind a family whose forwarding state was kept."""
_FORWARDING_BIT: Final = 0x80
_RESTARTED: Final = 0x8000
_NOTIFICATION: Final = 0x4000
_TIME: Final = 0x0FFF


class GracefulRestart(NamedTuple):
    """time: seconds. restarted: the speaker has restarted. notification: it wants graceful restart after a NOTIFICATION
    too (RFC 8538). families: each with whether its forwarding state was kept."""

    time: int
    restarted: bool
    notification: bool
    families: tuple[tuple[Family, bool], ...]


def decode(value: bytes) -> GracefulRestart:
    """Raises WireError, also for bits that are reserved: such a capability is ignored, and shown as octets."""
    if len(value) % 4 != 2:
        raise _ignored(f"GRACEFUL_RESTART capability of {len(value)} octets, 2 and a multiple of 4 expected")
    head = int.from_bytes(value[:2], "big")
    families = []
    for pos in range(2, len(value), 4):
        family = Family(int.from_bytes(value[pos : pos + 2], "big"), value[pos + 2])
        families.append((family, bool(value[pos + 3] & _FORWARDING_BIT)))
        if value[pos + 3] & ~_FORWARDING_BIT:
            raise _ignored(f"GRACEFUL_RESTART capability with flags {value[pos + 3]:#x} of {family}")
    if head & ~(_RESTARTED | _NOTIFICATION | _TIME):
        raise _ignored(f"GRACEFUL_RESTART capability with flags {head >> 12:#x}")
    return GracefulRestart(head & _TIME, bool(head & _RESTARTED), bool(head & _NOTIFICATION), tuple(families))


def _ignored(text: str) -> WireError:
    """RFC 5492 lets a speaker ignore a capability that it can't read."""
    return WireError(text, code=2, subcode=0, reaction=Reaction.ATTRIBUTE_DISCARD)


def to_json(values: Sequence[bytes]) -> object:
    """Of several, the last counts (RFC 4724 section 3)."""
    last = [decode(value) for value in values][-1]
    flags = {"restarted": last.restarted, "notification": last.notification}
    return {
        "time": last.time,
        **{name: True for name, is_set in flags.items() if is_set},
        "families": [f"{family}{FORWARDING if kept else ''}" for family, kept in last.families],
    }


def from_json(value: object) -> list[bytes]:
    if not isinstance(value, dict) or value.keys() - {"time", "restarted", "notification", "families"}:
        raise TextError('GRACEFUL_RESTART: an object is expected, as in {"time":120,"families":["IPV4/UNICAST"]}')
    time, families = value.get("time", 0), value.get("families", [])
    if type(time) is not int or not 0 <= time <= _TIME:
        raise TextError(f"GRACEFUL_RESTART: time must be a number from 0 to {_TIME}")
    if not isinstance(families, list) or not all(isinstance(text, str) for text in families):
        raise TextError('GRACEFUL_RESTART: families must be a list, as in ["IPV4/UNICAST/FORWARDING"]')
    head = time
    for name, bit in (("restarted", _RESTARTED), ("notification", _NOTIFICATION)):
        if type(value.get(name, False)) is not bool:
            raise TextError(f"GRACEFUL_RESTART: {name} must be true or false")
        head |= bit if value.get(name) else 0
    return [head.to_bytes(2, "big") + b"".join(map(_encode_family, families))]


def _encode_family(text: str) -> bytes:
    kept = text.upper().endswith(FORWARDING)
    family = parse_family(text[: -len(FORWARDING)] if kept else text)
    return family.afi.to_bytes(2, "big") + bytes((family.safi, _FORWARDING_BIT if kept else 0))
