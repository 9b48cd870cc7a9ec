"""NLRI that are a type, a length and a run of parts, which the type says: EVPN and MCAST-VPN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import TextError, WireError
from .codec import Members, NlriCodec
from .layout import Part, decode_parts, encode_parts

HEADER: Final = 2
"""Octets of type and length."""


def typed_codec(kinds: Mapping[int, tuple[str, Sequence[Part]]]) -> NlriCodec:
    """kinds: by type, its name and its parts."""
    codes = {name: code for code, (name, _) in kinds.items()}

    def to_json(octets: bytes) -> Members:
        known = kinds.get(octets[0])
        if known is None:
            raise WireError(f"route type {octets[0]}")
        name, parts = known
        return {"type": name, **decode_parts(octets[HEADER:], parts)}

    def from_json(members: Mapping[str, object]) -> bytes:
        kind = members.get("type")
        code = codes.get(kind.upper()) if isinstance(kind, str) else kind
        if type(code) is not int or code not in kinds:
            raise TextError(f'unknown type {kind!r}: one of {", ".join(codes)}, or a number with "value":"0x..."')
        octets = encode_parts(members, kinds[code][1], ("type",))
        if len(octets) > 255:
            raise TextError(f"{len(octets)} octets are too many for one NLRI")
        try:
            decode_parts(octets, kinds[code][1])
        except WireError as error:
            raise TextError(f"parts that don't fit together: {error}") from None
        return bytes((code, len(octets))) + octets

    return NlriCodec(to_json, from_json, typed=True, style="typed", layouts=kinds)
