"""Validated ROA payloads, and what they say of a route and its origin AS (RFC 6811).

>>> vrps = Vrps([Vrp(parse_prefix("192.0.2.0/24"), 25, 64500)])
>>> vrps.validate(parse_prefix("192.0.2.128/25"), 64500), vrps.validate(parse_prefix("192.0.2.0/26"), 64500)
(<Validity.VALID: 'valid'>, <Validity.INVALID: 'invalid'>)
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Container, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from ..wire.prefix import AFI_BITS, Prefix

_NONE: Final = -1


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


class Vrps:
    """A set of VRPs, which never changes. Its prefixes are in sorted arrays: a lookup takes some microseconds."""

    __slots__ = ("_families",)

    def __init__(self, vrps: Iterable[Vrp] = ()) -> None:
        rows: dict[int, set[tuple[int, int, int]]] = {afi: set() for afi in AFI_BITS}
        for prefix, max_length, asn in vrps:
            rows[prefix.afi].add((_number(prefix), max_length, asn))
        self._families = {afi: _Family.of(sorted(found), AFI_BITS[afi]) for afi, found in rows.items()}

    def __len__(self) -> int:
        return sum(len(family.asns) for family in self._families.values())

    def validate(self, prefix: Prefix, origin: int | None) -> Validity:
        """The validity of a route. origin: None where the AS_PATH has none, as behind an AS_SET; it matches nothing."""
        return self.validate_number(_number(prefix), prefix.afi, () if origin is None else (origin,))

    def validate_number(self, number: int, afi: int, origins: Container[int]) -> Validity:
        """The same for a prefix as `address << 8 | length`, of which one of several AS numbers is the origin."""
        return self._families[afi].validate(number, origins)


class _Family(NamedTuple):
    """The VRPs of one AFI.

    numbers: prefixes as `address << 8 | length`, sorted, none twice. parents: for each the place of the longest one
    around it. firsts: the place of its first VRP, and behind all the number of VRPs. max_lengths, asns: of the VRPs.
    """

    numbers: list[int] | array[int]
    parents: array[int]
    firsts: array[int]
    max_lengths: bytes
    asns: array[int]
    hosts: tuple[int, ...]

    @classmethod
    def of(cls, rows: list[tuple[int, int, int]], bits: int) -> _Family:
        """rows: sorted, (prefix, greatest length, AS number)."""
        hosts = tuple(((1 << bits - length) - 1) << 8 | 0xFF for length in range(bits + 1))
        numbers: list[int] = []
        parents, firsts = array("i"), array("I")
        place, end = _NONE, -1
        for here, (number, _, _) in enumerate(rows):
            if numbers and numbers[-1] == number:
                continue
            while number > end and place != _NONE:
                place = parents[place]
                end = numbers[place] | hosts[numbers[place] & 0xFF] if place != _NONE else -1
            parents.append(place)
            firsts.append(here)
            place, end = len(numbers), number | hosts[number & 0xFF]
            numbers.append(number)
        firsts.append(len(rows))
        lengths, asns = bytes(row[1] for row in rows), array("I", (row[2] for row in rows))
        return cls(array("Q", numbers) if bits == 32 else numbers, parents, firsts, lengths, asns, hosts)

    def validate(self, number: int, origins: Container[int]) -> Validity:
        numbers, hosts, length = self.numbers, self.hosts, number & 0xFF
        place = bisect_right(numbers, number) - 1
        found = Validity.NOT_FOUND
        while place != _NONE:
            if number <= numbers[place] | hosts[numbers[place] & 0xFF]:  # it covers the route
                found = Validity.INVALID
                for each in range(self.firsts[place], self.firsts[place + 1]):
                    asn = self.asns[each]
                    if asn and length <= self.max_lengths[each] and asn in origins:
                        return Validity.VALID
            place = self.parents[place]
        return found


def _number(prefix: Prefix) -> int:
    return prefix.address << 8 | prefix.length
