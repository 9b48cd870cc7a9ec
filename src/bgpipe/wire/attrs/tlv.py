"""Runs of TLVs, as many attributes are made of: type, length, value."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import WireError


def split_tlvs(
    octets: bytes, type_size: int, length_size: int = 2, header_counts: bool = False
) -> Iterator[tuple[int, bytes]]:
    """(type, value) of each TLV. Raises WireError 3/1 at the first that does not fit.

    type_size, length_size: octets of these fields. header_counts: the length includes them.
    """
    header = type_size + length_size
    pos, end = 0, len(octets)
    while pos < end:
        if pos + header > end:
            raise WireError("TLV header is cut short", offset=pos)
        kind = int.from_bytes(octets[pos : pos + type_size], "big")
        length = int.from_bytes(octets[pos + type_size : pos + header], "big")
        stop = pos + length + (0 if header_counts else header)
        if stop < pos + header or stop > end:
            raise WireError(f"TLV {kind} of length {length} does not fit", offset=pos)
        yield kind, octets[pos + header : stop]
        pos = stop
