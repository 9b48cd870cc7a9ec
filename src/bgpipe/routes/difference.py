"""What changes for a peer from one table of routes to the next: announcements first, then withdrawals, nothing else."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ..wire.block import Block
from . import packing
from .attributes import EncodedAttributes, UpdateGroup, head
from .partition import AFIS, ALL, Delta, Key, Part, delta_of, spans
from .prefixes import PrefixSet, merged, without
from .steps import Steps, finish
from .table import Table

STEP: Final = 8192
"""Prefixes that are compared in one step, about: some milliseconds."""
_Span = tuple[int, int]
"""The numbers from the first one to below the second one."""


class RouteChanges(NamedTuple):
    """announced: by AFI, sorted numbers of prefixes by how they are announced. withdrawn: by AFI, sorted numbers."""

    announced: dict[int, dict[EncodedAttributes, list[int]]]
    withdrawn: dict[int, list[int]]

    def __bool__(self) -> bool:
        return any(self.announced.values()) or any(self.withdrawn.values())

    def numbers(self, afi: int) -> Iterator[int]:
        """All prefixes of which something is said."""
        for numbers in self.announced[afi].values():
            yield from numbers
        yield from self.withdrawn[afi]

    def messages(self, form: UpdateGroup, afis: Iterable[int] = AFIS) -> Iterator[Block]:
        """UPDATEs that tell a peer of it, for these families: announcements of all, then withdrawals."""
        afis = tuple(afis)
        for afi in afis:
            for how, numbers in self.announced[afi].items():
                yield from packing.announcements(*packing.packing_order(numbers, afi), afi, how)
        for afi in afis:
            if self.withdrawn[afi]:
                multiprotocol = ":" in form.next_hop_ipv4
                yield from packing.withdraw(self.withdrawn[afi], afi, form.context, multiprotocol)


def difference(before: Table, after: Table, form: UpdateGroup) -> RouteChanges:
    """What a peer that has `before` is to be told to have `after`."""
    return finish(differing(before, after, form))


def differing(before: Table, after: Table, form: UpdateGroup) -> Steps[RouteChanges]:
    """The same in steps of some milliseconds.

    Where the tables are of the same lineage, only the parts that differ are looked at.
    """
    announced: dict[int, dict[EncodedAttributes, list[int]]] = {1: {}, 2: {}}
    withdrawn: dict[int, list[int]] = {1: [], 2: []}
    if before is after:
        return RouteChanges(announced, withdrawn)
    for afi in AFIS:
        pair = _Pair(before, after, form, afi)
        yield from pair.prepare()
        for span in pair.spans():
            old, new = pair.said(span)
            for number in sorted(number for number, how in new.items() if old.get(number) != how):
                announced[afi].setdefault(new[number], []).append(number)
            withdrawn[afi] += sorted(old.keys() - new.keys())
            yield
    return RouteChanges(announced, withdrawn)


class Comparison(NamedTuple):
    """What one table has more and fewer than another one, and of which prefixes it says something else."""

    more: PrefixSet
    fewer: PrefixSet
    changed: PrefixSet

    def __bool__(self) -> bool:
        return any(self)


ANY_FORM: Final = UpdateGroup(0, "0.0.0.0", "::")
"""A form in which no route is left out for want of a next hop."""


def compare(before: Table, after: Table) -> Comparison:
    """The same as `difference`, for people: whatever form the routes are written in."""
    return finish(comparing(before, after))


def comparing(before: Table, after: Table) -> Steps[Comparison]:
    """The same in steps of some milliseconds."""
    numbers: list[list[list[int]]] = [[], [], []]
    for afi in AFIS if before is not after else ():
        pair = _Pair(before, after, ANY_FORM, afi)
        yield from pair.prepare()
        found: tuple[list[int], list[int], list[int]] = [], [], []
        for span in pair.spans():
            old, new = pair.said(span)
            found[0].extend(new.keys() - old.keys())
            found[1].extend(old.keys() - new.keys())
            found[2].extend(number for number, how in new.items() if old.get(number, how) != how)
            yield
        for runs, each in zip(numbers, found, strict=True):
            runs.append(each)
    return Comparison(*(PrefixSet.of(*each) for each in numbers))


_Said = dict[int, EncodedAttributes]
"""How prefixes are announced."""


class _Pair:
    """Two tables, and what may differ between them in one AFI."""

    def __init__(self, before: Table, after: Table, form: UpdateGroup, afi: int) -> None:
        self._afi = afi
        self._old, self._new = old, new = _Side(before, form, afi), _Side(after, form, afi)
        self._comparable = comparable = before.partition.lineage is after.partition.lineage
        alike = comparable and before.groups == after.groups
        self._keys: list[Key] = []
        """of the parts that may be announced in another way"""
        for key in dict.fromkeys((*before.partition.parts, *after.partition.parts)):
            same = comparable and old.part(key) is new.part(key)
            if key[0] != afi or (same and alike and old.omitted(key) == new.omitted(key)):
                continue
            if old.head(key) is not None or new.head(key) is not None:
                self._keys.append(key)
        self._deltas: dict[Key, Delta] = {}
        """of those that are announced as before"""
        self._private = before.private != after.private

    def prepare(self) -> Steps[None]:
        """Finds how parts differ that are announced as before, unless another peer has found that."""
        before, after = self._old.table.partition, self._new.table.partition
        for key in self._keys:
            if not self._comparable or self._old.head(key) != self._new.head(key):
                continue
            delta = after.known_delta(before, key)
            if delta is None:
                delta = yield from self._delta(key)
                after.keep_delta(before, key, delta)
            self._deltas[key] = delta

    def _delta(self, key: Key) -> Steps[Delta]:
        old, new = self._old.part(key), self._new.part(key)
        if old is new:
            return Delta((), ())
        if old is not None and new is not None and (delta := delta_of(old, new)) is not None:
            return delta
        gone: list[int] = []
        come: list[int] = []
        for first, last in spans([part.order for part in (old, new) if part is not None], STEP):
            mine, theirs = (part.between(first, last) if part is not None else [] for part in (old, new))
            gone += without(mine, theirs)
            come += without(theirs, mine)
            yield
        return Delta(gone, come)

    def spans(self) -> list[_Span]:
        """All numbers, divided so that each span has about STEP of those that are to be compared."""
        runs: list[Sequence[int]] = []
        for key in self._keys:
            if key in self._deltas:
                runs += (*self._deltas[key], self._old.omitted(key), self._new.omitted(key))
            else:
                runs += [part.order for part in (self._old.part(key), self._new.part(key)) if part is not None]
        if self._private:
            for side in (self._old, self._new):
                runs += [prefixes.numbers(self._afi) for prefixes in side.table.private.values()]
        return spans(runs, STEP)

    def said(self, span: _Span) -> tuple[_Said, _Said]:
        """What the tables say of the prefixes in a span that may differ."""
        old, new = self._old, self._new
        old.begin(span)
        new.begin(span)
        for key in self._keys:
            if key in self._deltas:
                gone, come = (_between(numbers, span) for numbers in self._deltas[key])
                was, now = (_between(side.omitted(key), span) for side in (old, new))
                old.add(key, without(merged((gone, without(now, come))), was))
                new.add(key, without(merged((come, without(was, gone))), now))
            else:
                old.add_all(key)
                new.add_all(key)
        if self._private:
            old.add_private()
            new.add_private()
        return old.said, new.said


def _between(numbers: Sequence[int], span: _Span) -> Sequence[int]:
    if not numbers or span is ALL:
        return numbers
    first = bisect_left(numbers, span[0])
    return numbers[first : bisect_left(numbers, span[1], first)]


class _Side:
    """One of two tables, and what it says of some prefixes of one AFI."""

    def __init__(self, table: Table, form: UpdateGroup, afi: int) -> None:
        self.table = table
        self.form = form
        self.afi = afi
        self.span = ALL
        self.said: _Said = {}
        self._heads: dict[int, EncodedAttributes | None] = {}

    def begin(self, span: _Span) -> None:
        """Says nothing yet; what follows is only of prefixes in the span."""
        self.span, self.said = span, {}

    def part(self, key: Key) -> Part | None:
        return self.table.partition.parts.get(key)

    def omitted(self, key: Key) -> Sequence[int]:
        return self.table.omitted.get(key, ())

    def head(self, key: Key) -> EncodedAttributes | None:
        """How a part is announced, None if it is not."""
        mask = key[1] & self.table.mask
        if mask not in self._heads:
            attributes = self.table.attributes(mask)
            self._heads[mask] = head(attributes, self.form, self.afi) if attributes is not None else None
        return self._heads[mask]

    def add_all(self, key: Key) -> None:
        """All prefixes of a part that are announced as it says."""
        part = self.part(key)
        if part is not None and self.head(key) is not None:
            self.add(key, without(part.between(*self.span), _between(self.omitted(key), self.span)))

    def add(self, key: Key, numbers: Iterable[int]) -> None:
        how = self.head(key)
        if how is not None:
            self.said.update(dict.fromkeys(numbers, how))

    def add_private(self) -> None:
        for attributes, prefixes in self.table.private.items():
            how = head(attributes, self.form, self.afi)
            if how is not None:
                self.said.update(dict.fromkeys(_between(prefixes.numbers(self.afi), self.span), how))
