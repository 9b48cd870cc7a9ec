"""VRPs out of the JSON of Routinator, rpki-client, StayRTR and rtrtr: `{"roas":[{"asn","prefix","maxLength"}]}`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ..wire.errors import TextError
from ..wire.prefix import AFI_BITS, parse_prefix
from .snapshot import Snapshot
from .vrps import Vrp


class Parsed(NamedTuple):
    """bad: entries that say nothing that can be, and don't count. expired: those that are over."""

    vrps: Snapshot
    bad: int
    expired: int


class _Roa(Struct):
    prefix: str
    asn: str | int
    maxLength: int | None = None
    expires: float | None = None


class _File(Struct):
    roas: list[_Roa]


def parse_vrps(octets: bytes, now: float) -> Parsed:
    """now: seconds since 1970; what has `expires` (rpki-client) counts until then. Raises TextError."""
    try:
        file = msgspec.json.decode(octets, type=_File)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TextError(f"these are no VRPs in JSON: {error}") from None
    bad = [0]
    current = [roa for roa in file.roas if roa.expires is None or roa.expires > now]
    return Parsed(Snapshot.of(_vrps(current, bad)), bad[0], len(file.roas) - len(current))


def _vrps(roas: list[_Roa], bad: list[int]) -> Iterator[Vrp]:
    for roa in roas:
        try:
            prefix = parse_prefix(roa.prefix)
            asn = _asn(roa.asn)
        except TextError:
            bad[0] += 1
            continue
        longest = prefix.length if roa.maxLength is None else roa.maxLength
        if prefix.length <= longest <= AFI_BITS[prefix.afi]:
            yield Vrp(prefix, longest, asn)
        else:
            bad[0] += 1


def _asn(said: str | int) -> int:
    """64500, "64500" or "AS64500". Raises TextError."""
    digits = said.upper().removeprefix("AS") if isinstance(said, str) else str(said)
    if not (digits.isascii() and digits.isdecimal() and int(digits) <= 0xFFFFFFFF):
        raise TextError(f"not an AS number: {said!r}")
    return int(digits)
