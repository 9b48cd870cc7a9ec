"""Attributes whose value is kept as octets: those without a module of their own, and those that nobody knows.

Some have a check of their structure all the same, so far as the reaction to errors needs it.
"""

from __future__ import annotations

from typing import Final

from ..context import WireContext
from ..errors import TextError, WireError
from .codec import Codec
from .hexadecimal import format_hex, parse_hex
from .tlv import split_tlvs


def decode(octets: bytes, context: WireContext) -> bytes:
    return octets


def encode(value: bytes, context: WireContext) -> bytes:
    return value


def format_json(value: bytes) -> str:
    return format_hex(value) if value else "true"


def from_json(value: object) -> bytes:
    """true is no octets. Raises TextError."""
    if value is True:
        return b""
    if value is None or value is False:
        raise TextError(f"not true or hexadecimal digits: {value!r}")
    return parse_hex(value)


CODEC = Codec(decode, encode, format_json, from_json)


def check_tlvs(type_size: int, header_counts: bool = False, lengths: dict[int, int] | None = None) -> Codec:
    """A value that is a run of TLVs: type of `type_size` octets, length of two, and what `length` says.

    header_counts: the length includes type and length. lengths: octets of the value, by type.
    """

    def check(value: bytes, context: WireContext) -> WireError | None:
        try:
            for kind, octets in split_tlvs(value, type_size, header_counts=header_counts):
                if lengths and len(octets) != lengths.get(kind, len(octets)):
                    return WireError(f"TLV {kind} has a value of {len(octets)} octets")
        except WireError as error:
            return error
        return None

    return CODEC._replace(check=check)


def _check_bfd(value: bytes, context: WireContext) -> WireError | None:
    """Mode, discriminator and the first octets of a TLV are always there (RFC 9026 section 3.1.6)."""
    return None if len(value) >= 11 else WireError(f"length {len(value)} is not possible", subcode=5)


LINK_STATE: Final = check_tlvs(2)
AIGP: Final = check_tlvs(1, header_counts=True, lengths={1: 8})
BFD_DISCRIMINATOR: Final = CODEC._replace(check=_check_bfd)
