"""What changes for a peer from one table of routes to the next: announcements first, then withdrawals, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..wire.block import Block
from . import packing
from .attributes import Form, Head, head
from .partition import AFIS, Key, Part
from .prefixes import merged, without
from .table import Table


class Difference(NamedTuple):
    """announced: by AFI, sorted numbers of prefixes by how they are announced. withdrawn: by AFI, sorted numbers."""

    announced: dict[int, dict[Head, list[int]]]
    withdrawn: dict[int, list[int]]

    def __bool__(self) -> bool:
        return any(self.announced.values()) or any(self.withdrawn.values())

    def numbers(self, afi: int) -> Iterator[int]:
        """All prefixes of which something is said."""
        for numbers in self.announced[afi].values():
            yield from numbers
        yield from self.withdrawn[afi]

    def messages(self, form: Form, afis: Iterable[int] = AFIS) -> Iterator[Block]:
        """UPDATEs that tell a peer of it, for these families: announcements of all, then withdrawals."""
        afis = tuple(afis)
        for afi in afis:
            for how, numbers in self.announced[afi].items():
                yield from packing.announce(numbers, afi, how).blocks
        for afi in afis:
            if self.withdrawn[afi]:
                multiprotocol = ":" in form.next_hop_ipv4
                yield from packing.withdraw(self.withdrawn[afi], afi, form.context, multiprotocol)


def difference(before: Table, after: Table, form: Form) -> Difference:
    """What a peer that has `before` is to be told to have `after`.

    Where the tables are of the same lineage, only the parts that differ are looked at.
    """
    announced: dict[int, dict[Head, list[int]]] = {}
    withdrawn: dict[int, list[int]] = {}
    for afi in AFIS:
        old, new = _said(before, after, form, afi) if before is not after else ({}, {})
        found = announced[afi] = {}
        for number in sorted(number for number, how in new.items() if old.get(number) != how):
            found.setdefault(new[number], []).append(number)
        withdrawn[afi] = sorted(old.keys() - new.keys())
    return Difference(announced, withdrawn)


_Said = dict[int, Head]
"""How prefixes are announced."""


def _said(before: Table, after: Table, form: Form, afi: int) -> tuple[_Said, _Said]:
    """What the tables say of the prefixes that may differ."""
    old, new = _Side(before, form, afi), _Side(after, form, afi)
    comparable = before.partition.lineage is after.partition.lineage
    alike = comparable and before.groups == after.groups
    for key in dict.fromkeys((*before.partition.parts, *after.partition.parts)):
        if key[0] != afi:
            continue
        same = comparable and old.part(key) is new.part(key)
        if not (same and alike and old.omitted(key) == new.omitted(key)):
            _compare(key, old, new, comparable)
    if before.private != after.private:
        old.add_private()
        new.add_private()
    return old.said, new.said


def _compare(key: Key, old: _Side, new: _Side, comparable: bool) -> None:
    """Adds what differs in the parts of one mask."""
    if not comparable or old.head(key) != new.head(key):
        old.add(key, old.all(key))
        new.add(key, new.all(key))
        return
    gone, come = new.table.partition.delta(old.table.partition, key)
    old.add(key, without(merged((gone, without(new.omitted(key), come))), old.omitted(key)))
    new.add(key, without(merged((come, without(old.omitted(key), gone))), new.omitted(key)))


class _Side:
    """One of two tables, and what it says of some prefixes of one AFI."""

    def __init__(self, table: Table, form: Form, afi: int) -> None:
        self.table = table
        self.form = form
        self.afi = afi
        self.said: _Said = {}
        self._heads: dict[int, Head | None] = {}

    def part(self, key: Key) -> Part | None:
        return self.table.partition.parts.get(key)

    def omitted(self, key: Key) -> Sequence[int]:
        return self.table.omitted.get(key, ())

    def head(self, key: Key) -> Head | None:
        """How a part is announced, None if it is not."""
        mask = key[1] & self.table.mask
        if mask not in self._heads:
            attributes = self.table.attributes(mask)
            self._heads[mask] = head(attributes, self.form, self.afi) if attributes is not None else None
        return self._heads[mask]

    def all(self, key: Key) -> Sequence[int]:
        """All prefixes of a part that are announced as it says."""
        part = self.part(key)
        if part is None or self.head(key) is None:
            return ()
        return without(part.numbers, self.omitted(key))

    def add(self, key: Key, numbers: Iterable[int]) -> None:
        how = self.head(key)
        if how is not None:
            self.said.update(dict.fromkeys(numbers, how))

    def add_private(self) -> None:
        for attributes, prefixes in self.table.private.items():
            how = head(attributes, self.form, self.afi)
            if how is not None:
                self.said.update(dict.fromkeys(prefixes.numbers(self.afi), how))
