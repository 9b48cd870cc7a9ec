"""Runs of TLVs, as many attributes are made of: type, length, value."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import TextError, WireError


def split_tlvs(
    octets: bytes, type_size: int, length_size: int = 2, header_counts: bool = False, long_from: int = 1 << 16
) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each TLV. Raises WireError 3/1 at the first that does not fit.

    type_size, length_size: octets of these fields. header_counts: the length includes them. long_from: types from here
    on have a length of two octets (RFC 9012 section 2).
    """
    pos, end = 0, len(octets)
    while pos < end:
        kind = int.from_bytes(octets[pos : pos + type_size], "big")
        header = type_size + (2 if kind >= long_from else length_size)
        if pos + header > end:
            raise WireError("TLV header is cut short", offset=pos)
        length = int.from_bytes(octets[pos + type_size : pos + header], "big")
        stop = pos + length + (0 if header_counts else header)
        if stop < pos + header or stop > end:
            raise WireError(f"TLV {kind} of length {length} does not fit", offset=pos)
        yield kind, octets[pos + header : stop]
        pos = stop


def encode_tlv(
    kind: int, value: bytes, type_size: int, length_size: int = 2, header_counts: bool = False, long_from: int = 1 << 16
) -> bytes:
    """One TLV. Raises TextError if its value is too long."""
    size = 2 if kind >= long_from else length_size
    length = len(value) + (type_size + size if header_counts else 0)
    if length >> 8 * size:
        raise TextError(f"{len(value)} octets are too many for a TLV of type {kind}")
    return kind.to_bytes(type_size, "big") + length.to_bytes(size, "big") + value
