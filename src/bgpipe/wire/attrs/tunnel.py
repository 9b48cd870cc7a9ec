"""TUNNEL_ENCAPSULATION (RFC 9012 section 2): a TLV for each tunnel, made of sub-TLVs. Kept raw."""

from __future__ import annotations

from ..context import WireContext
from ..errors import WireError
from . import raw
from .tlv import split_tlvs

_LONG = 128
"""Sub-TLVs of this type and above have a length of two octets, those below of one."""


def check(value: bytes, context: WireContext) -> WireError | None:
    """The last octet of a TLV is the last one of its last sub-TLV (RFC 9012 section 13)."""
    try:
        for _, tunnel in split_tlvs(value, 2):
            while tunnel:
                size = 2 if tunnel[0] >= _LONG else 1
                stop = 1 + size + int.from_bytes(tunnel[1 : 1 + size], "big")
                if len(tunnel) < 1 + size or len(tunnel) < stop:
                    return WireError(f"sub-TLV {tunnel[0]} does not fit")
                tunnel = tunnel[stop:]
    except WireError as error:
        return error
    return None


CODEC = raw.CODEC._replace(check=check)
