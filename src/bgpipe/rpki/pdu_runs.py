"""Runs of IPv4 Prefix and IPv6 Prefix PDUs of the RPKI to Router protocol (RFC 8210 sections 5.6 and 5.7) as records.

A cache sends a million of these in a row. Whatever comes between them, and whatever is odd, is for the client to read.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from .. import accel
from ..wire.prefix import AFI_BITS
from .vrps import find_impossible

_PREFIX_TYPES: Final = {4: 1, 6: 2}
"""The AFI of a PDU type."""
_START: Final = Struct("!BBHIBBBB")
"""Version, type, zero, length; flags, length, maxLength, zero. The address and the AS number follow."""


class PrefixRun(NamedTuple):
    """end: where the first PDU starts that does not belong to the run. records, announced: by AFI; an octet of
    `announced` for each record, 1 if it is announced and 0 if it is withdrawn (see `Changes.stage`)."""

    end: int
    records: dict[int, bytes]
    announced: dict[int, bytes]


def read_prefixes(octets: bytes | bytearray | memoryview, start: int, version: int) -> PrefixRun:
    """The PDUs from `start` on, up to the first one that is not whole, of another type or version, or odd: a length
    that doesn't fit, flags other than 0 and 1, something in a field that must be zero, a VRP that can't be."""
    if accel.AVAILABLE:
        end, ipv4, announced4, ipv6, announced6 = accel.vrps.prefix_pdus(octets, start, version)
        return PrefixRun(end, {1: ipv4, 2: ipv6}, {1: announced4, 2: announced6})
    records = {afi: bytearray() for afi in AFI_BITS}
    announced = {afi: bytearray() for afi in AFI_BITS}
    end = start
    while end + _START.size <= len(octets):
        found, kind, zero, length, flags, bits, max_length, other_zero = _START.unpack_from(octets, end)
        afi = _PREFIX_TYPES.get(kind, 0)
        size = AFI_BITS[afi] // 8 if afi else 0
        if found != version or not afi or length != 16 + size or end + length > len(octets):
            break
        if zero or other_zero or flags > 1:
            break
        body = bytes(octets[end + _START.size : end + length])
        record = body[:size] + bytes((bits, max_length)) + body[size:]
        if find_impossible(afi, record) is not None:
            break
        records[afi] += record
        announced[afi].append(flags)
        end += length
    return PrefixRun(
        end,
        {afi: bytes(each) for afi, each in records.items()},
        {afi: bytes(each) for afi, each in announced.items()},
    )
