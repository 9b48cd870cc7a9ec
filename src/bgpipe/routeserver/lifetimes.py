"""Prefixes of a list that are over at some time, each at its own."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from itertools import chain, compress
from typing import Final, NamedTuple

from ..routes.prefixes import EMPTY, PrefixSet

_NONE = array("d")


class Lifetimes(NamedTuple):
    """prefixes: those that have an end. ipv4, ipv6: when that is, in the order of their numbers; seconds since 1970."""

    prefixes: PrefixSet = EMPTY
    ipv4: array[float] = _NONE
    ipv6: array[float] = _NONE

    @classmethod
    def of(cls, prefixes: PrefixSet, ipv4: Mapping[int, float], ipv6: Mapping[int, float]) -> Lifetimes:
        """ipv4, ipv6: when each of these prefixes is over, by its number."""
        return cls(
            prefixes, array("d", map(ipv4.__getitem__, prefixes.ipv4)), array("d", map(ipv6.__getitem__, prefixes.ipv6))
        )

    def over(self, now: float) -> PrefixSet:
        """Those that are over."""
        return PrefixSet(
            compress(self.prefixes.ipv4, (end <= now for end in self.ipv4)),
            compress(self.prefixes.ipv6, (end <= now for end in self.ipv6)),
        )

    def alive(self, prefixes: PrefixSet, now: float) -> PrefixSet:
        """What is left of a list; the same object if nothing is over."""
        return prefixes - gone if self.prefixes and (gone := self.over(now)) else prefixes

    def next(self, now: float) -> float:
        """When the next one is over; infinity if none will be."""
        return min((end for end in chain(self.ipv4, self.ipv6) if end > now), default=math.inf)


NO_ENDS: Final = Lifetimes()
