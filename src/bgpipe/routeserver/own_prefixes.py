"""The custom prefixes and exclusions of a peer, from what was written. Tens of thousands are read once only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..routes.attributes import Attributes
from ..routes.policy import Custom
from ..routes.prefixes import PrefixSet, parse_lines
from ..routes.united_lists import MANY
from .rules import Written, attributes_of, expires, prefix_of, until


class Read(NamedTuple):
    """What was read of what. ends: when the next entry is over, in seconds since 1970."""

    written: tuple[Sequence[Written], Sequence[Written], str]
    ends: float
    customs: tuple[Custom, ...]
    exclusions: PrefixSet


class OwnPrefixes:
    """What was read of peers with many entries, by their keys."""

    def __init__(self) -> None:
        self._read: dict[str, Read] = {}

    def of(
        self, key: str, customs: Sequence[Written], exclude: Sequence[Written], community: str, now: float
    ) -> tuple[tuple[Custom, ...], PrefixSet]:
        """(custom prefixes, exclusions) that are not over. community: of custom prefixes that say nothing else."""
        known = self._read.get(key)
        if known is not None and known.written == (customs, exclude, community) and now < known.ends:
            return known.customs, known.exclusions
        found = tuple(_customs(until(customs, now), community))
        exclusions = _parsed([prefix_of(each) for each in until(exclude, now)])
        if is_many(customs, exclude):
            ends = min((end for each in (*customs, *exclude) if (end := expires(each)) > now), default=math.inf)
            self._read[key] = Read((customs, exclude, community), ends, found, exclusions)
        else:
            self._read.pop(key, None)
        return found, exclusions

    def forget(self, key: str) -> None:
        """This peer is no more."""
        self._read.pop(key, None)


def is_many(customs: Sequence[Written], exclude: Sequence[Written]) -> bool:
    """Whether it takes too long to work with these at once, while sessions wait."""
    return len(customs) + len(exclude) > MANY


def _customs(entries: Sequence[Written], community: str) -> Iterator[Custom]:
    """The custom prefixes by what is said of them."""
    found: dict[Attributes, list[str]] = {}
    plain = attributes_of((community,))
    for written in entries:
        if isinstance(written, str):
            found.setdefault(plain, []).append(written)
        else:
            found.setdefault(attributes_of(written.communities or (community,), written), []).append(written.prefix)
    for attributes, prefixes in found.items():
        yield Custom(_parsed(prefixes), attributes)


def _parsed(texts: list[str]) -> PrefixSet:
    """Raises TextError."""
    found = parse_lines("\n".join(texts))
    return PrefixSet.parse(texts) if found.others else found.prefixes
