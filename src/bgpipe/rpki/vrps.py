"""Validated ROA payloads (RFC 6811 section 2), and their packed form.

Packed, a VRP is a record of fixed size in network byte order: address (4 or 16 octets), length and maxLength (an octet
each), AS number (4 octets). Sorted as octets, records are in the order of their prefixes: one that covers others stands
before them. A million VRPs take 10 to 22 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from struct import Struct
from typing import Final, NamedTuple

from .. import accel
from ..wire.prefix import AFI_BITS, Prefix

WIDTHS: Final = {1: 10, 2: 22}
"""Octets of a record, by AFI."""
_TAIL: Final = Struct("!BBI")


class Validity(StrEnum):
    """RFC 6811 section 2."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_FOUND = "not found"


class Vrp(NamedTuple):
    """This AS may originate this prefix, and more specific ones up to a length. asn: 0 for nobody (RFC 6483)."""

    prefix: Prefix
    max_length: int
    asn: int

    def __str__(self) -> str:
        return f"{self.prefix}-{self.max_length} AS{self.asn}"


def pack_vrp(vrp: Vrp) -> bytes:
    """The record of a VRP; its AFI is `vrp.prefix.afi`."""
    prefix, max_length, asn = vrp
    return prefix.address.to_bytes(AFI_BITS[prefix.afi] // 8, "big") + _TAIL.pack(prefix.length, max_length, asn)


def unpack_vrps(afi: int, records: bytes) -> Iterator[Vrp]:
    """The VRPs of records of one AFI."""
    width, size = WIDTHS[afi], AFI_BITS[afi] // 8
    for place in range(0, len(records), width):
        length, max_length, asn = _TAIL.unpack_from(records, place + size)
        yield Vrp(Prefix(afi, int.from_bytes(records[place : place + size], "big"), length), max_length, asn)


def find_impossible(afi: int, records: bytes) -> int | None:
    """The number of the first record that is no VRP: its length is above its maxLength, or this above the bits of an
    address, or it has address bits set behind its length. None if there is none.

    Whoever packs records of octets from elsewhere asks this before they go into a snapshot.
    """
    if accel.AVAILABLE:
        found: int | None = accel.vrps.find_impossible(WIDTHS[afi], records)
        return found
    bits = AFI_BITS[afi]
    for number, vrp in enumerate(unpack_vrps(afi, records)):
        if not vrp.prefix.length <= vrp.max_length <= bits:
            return number
        if vrp.prefix.address & ((1 << bits - vrp.prefix.length) - 1):
            return number
    return None


class Merged(NamedTuple):
    """records: sorted, none twice. duplicates, unknown: the numbers of those operations, ascending, at most MOST_NAMED
    of each. duplicate_count, unknown_count: how many there were."""

    records: bytes
    duplicates: list[int]
    unknown: list[int]
    duplicate_count: int
    unknown_count: int


MOST_NAMED: Final = 100


def merge_records(afi: int, base: bytes, records: bytes, announced: bytes) -> Merged:
    """Announces and withdraws records, in their order.

    base: sorted records, none twice. announced: an octet for each of `records`, 1 to announce it and 0 to withdraw it.
    A record is a duplicate if it is announced while it is there, and unknown if it is withdrawn while it is not.
    """
    width = WIDTHS[afi]
    if accel.AVAILABLE:
        return Merged(*accel.vrps.merge(width, base, records, announced, MOST_NAMED))
    there = set(_split(base, width))
    duplicates, unknown = [], []
    for number, (record, announce) in enumerate(zip(_split(records, width), announced, strict=True)):
        if announce and record in there:
            duplicates.append(number)
        elif announce:
            there.add(record)
        elif record in there:
            there.remove(record)
        else:
            unknown.append(number)
    counts = len(duplicates), len(unknown)
    return Merged(b"".join(sorted(there)), duplicates[:MOST_NAMED], unknown[:MOST_NAMED], *counts)


def subtract_records(afi: int, these: bytes, others: bytes) -> bytes:
    """Those of `these` that are not among `others`; all are sorted, none twice."""
    width = WIDTHS[afi]
    if accel.AVAILABLE:
        left: bytes = accel.vrps.subtract(width, these, others)
        return left
    gone = set(_split(others, width))
    return b"".join(record for record in _split(these, width) if record not in gone)


def _split(records: bytes, width: int) -> Iterator[bytes]:
    return (records[place : place + width] for place in range(0, len(records), width))
