"""The table of routes of each peer as references to shared parts, and what differs from them.

    >>> tables = Tables({"one": PrefixList("one", PrefixSet.parse(["192.0.2.0/24"]))})
    >>> table = tables.of(Subscription(lists=("one",)))
    >>> tables = tables.changed({"one": PrefixList("one", PrefixSet.parse(["192.0.2.0/24", "198.51.100.0/24"]))})
    >>> after = tables.of(Subscription(lists=("one",)))

What a table has is what policy.announced gives: the same, but shared. See difference for what changes from one table to
the next, and peer_routes for how a peer is sent one.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from . import policy
from .attributes import Attributes, shared
from .budget import Budgeted, fit
from .group_change import NO_CHANGE, GroupChange, Rules, apart, around, since, whole
from .group_change import Earlier as EarlierGroup
from .partition import AFIS, Encodings, Key, Part, Partition
from .policy import ANY_LENGTH, UNRESTRICTED, AttributeGroup, Common, Guards, PrefixList, Subscription
from .prefixes import EMPTY, PrefixSet, common, compact, contains, merged, without
from .steps import Steps, finish
from .united_lists import MANY, UnitedLists

MAX_TABLES: Final = 4096
"""Tables that are kept for the next peer with the same subscription."""


class Table:
    """What one peer, or all with the same subscription, are announced. It never changes.

    partition: where the parts are. groups: attributes and mask of the sets that have them, in the peer's order.
    omitted: by key of a part, sorted numbers that are not announced as the part says. private: prefixes by attributes
    which are in no part, or stand for omitted ones. counts: routes by AFI and attributes. count: all routes. budget:
    what MaxRoutes has done, None if nothing. changes: by AFI, how each group differs from its lists.
    """

    __slots__ = (
        "budget",
        "by_default",
        "changes",
        "count",
        "counts",
        "groups",
        "mask",
        "missing",
        "omitted",
        "partition",
        "private",
    )

    def __init__(
        self,
        partition: Partition,
        groups: Sequence[tuple[Attributes, int]] = (),
        omitted: Mapping[Key, Sequence[int]] | None = None,
        private: Mapping[Attributes, PrefixSet] | None = None,
        missing: tuple[str, ...] = (),
        by_default: bool = False,
        budget: Budgeted | None = None,
        changes: Mapping[int, Sequence[GroupChange]] | None = None,
    ) -> None:
        self.budget = budget
        self.changes = dict(changes or {})
        self.partition = partition
        self.groups = tuple(groups)
        self.omitted = dict(omitted or {})
        self.private = {attributes: found for attributes, found in (private or {}).items() if found}
        self.missing = missing
        self.by_default = by_default
        self.mask = 0
        for _, mask in self.groups:
            self.mask |= mask
        self.counts = self._counts()
        self.count = sum(self.counts.values())

    def _counts(self) -> dict[tuple[int, Attributes], int]:
        by_mask: Counter[Key] = Counter()
        for (afi, mask), part in self.partition.within(self.mask):
            by_mask[afi, mask & self.mask] += len(part.order)
        for (afi, mask), omitted in self.omitted.items():
            by_mask[afi, mask & self.mask] -= len(omitted)
        counts: Counter[tuple[int, Attributes]] = Counter()
        for (afi, mask), count in by_mask.items():
            attributes = self.attributes(mask)
            assert attributes is not None
            counts[afi, attributes] += count
        for attributes, prefixes in self.private.items():
            for afi in AFIS:
                counts[afi, attributes] += len(prefixes.numbers(afi))
        return {key: count for key, count in counts.items() if count}

    def attributes(self, mask: int) -> Attributes | None:
        """Those of a part, None if it is not announced."""
        found = None
        for attributes, ours in self.groups:
            if ours & mask:
                found = attributes if found is None else found.joined(attributes)
        return shared(found) if found is not None else None

    def parts(self, afi: int) -> Iterator[tuple[Key, Part, Attributes]]:
        """The parts of a family that are announced, but for what is omitted."""
        known: dict[int, Attributes | None] = {}
        for key, part in self.partition.within(self.mask):
            if key[0] == afi:
                ours = key[1] & self.mask
                if ours not in known:
                    known[ours] = self.attributes(ours)
                attributes = known[ours]
                assert attributes is not None
                yield key, part, attributes

    def said(self, number: int, afi: int) -> Attributes | None:
        """What is said of one prefix, None if it is not announced. It takes some microseconds."""
        for attributes, prefixes in self.private.items():
            if contains(prefixes.numbers(afi), number):
                return attributes
        mask = self.partition.masks((number,), afi)[number]
        if not mask & self.mask or contains(self.omitted.get((afi, mask), ()), number):
            return None
        return self.attributes(mask)

    def held(self, why: str) -> Table:
        """The same routes, since what would take their place is too much. why: in words."""
        budget = self.budget or Budgeted({})
        budget = budget._replace(held=True, why=f"{why}: what was announced before is held")
        return Table(
            self.partition,
            self.groups,
            self.omitted,
            self.private,
            self.missing,
            self.by_default,
            budget,
            self.changes,
        )

    def runs(self) -> Iterator[tuple[Attributes, int, Sequence[int], Sequence[int]]]:
        """(attributes, AFI, numbers in any order, sorted ones of these that are not announced) of all routes.

        The same as `routes`, without the work of sorting them.
        """
        for afi in AFIS:
            for key, part, attributes in self.parts(afi):
                yield attributes, afi, part.order, self.omitted.get(key, ())
            for attributes, prefixes in self.private.items():
                yield attributes, afi, prefixes.numbers(afi), ()

    def routes(self) -> dict[Attributes, PrefixSet]:
        """All prefixes by attributes: the Adj-RIB-Out, for those who want to look at it."""
        numbers: dict[Attributes, tuple[list[Sequence[int]], list[Sequence[int]]]] = {}
        for place, afi in enumerate(AFIS):
            for key, part, attributes in self.parts(afi):
                found = without(part.numbers, self.omitted.get(key, ()))
                numbers.setdefault(attributes, ([], []))[place].append(found)
            for attributes, prefixes in self.private.items():
                numbers.setdefault(attributes, ([], []))[place].append(prefixes.numbers(afi))
        routes = {attributes: PrefixSet(*map(merged, found)) for attributes, found in numbers.items()}
        return {attributes: found for attributes, found in routes.items() if found}


_STEP: Final = 8192
"""Prefixes that are looked at in one step: some milliseconds."""
MAX_UNITED: Final = 1024
"""Unions of lists with the same attributes that are kept, for the next peer that has chosen just these."""


class _Way(NamedTuple):
    """What decides what a list is like before it is parted."""

    guards: Guards
    union: bool


_USUAL: Final = _Way(ANY_LENGTH, True)


class Tables:
    """The tables of all subscriptions, on lists as they are now. Equal subscriptions have the same table.

    lists: by name. encodings: of parts, for all peers.
    """

    def __init__(self, lists: Mapping[str, PrefixList], common: Common = UNRESTRICTED) -> None:
        self.lists = dict(lists)
        self.common = common
        self.encodings = Encodings()
        self._partitions: dict[_Way, Partition] = {}
        self._tables: dict[Subscription, Table] = {}
        self._united: OrderedDict[tuple[_Way, tuple[str, ...], int], UnitedLists] = OrderedDict()
        self._cleaned: dict[tuple[str, Guards], tuple[PrefixList, PrefixSet]] = {}
        self._earlier: Tables | None = None

    def changed(self, lists: Mapping[str, PrefixList | None], common: Common | None = None) -> Tables:
        """With other lists of these names, None for one that is no more. What stays the same is shared."""
        return finish(self.changing(lists, common))

    def changing(self, lists: Mapping[str, PrefixList | None], common: Common | None = None) -> Steps[Tables]:
        """The same in steps of some milliseconds, for an event loop: next() until StopIteration, whose value it is."""
        after = Tables.__new__(Tables)
        after.lists = {name: found for name, found in {**self.lists, **lists}.items() if found is not None}
        after.common = self.common if common is None else common
        after.encodings = self.encodings
        after._tables, after._united, after._partitions = {}, OrderedDict(), {}
        names = {*lists, *self.lists} if after.common != self.common else set(lists)
        same = after.common == self.common
        after._cleaned = {key: found for key, found in self._cleaned.items() if same and key[0] in after.lists}
        partitions = dict(self._partitions)  # others may come while the caller goes its steps
        for way, partition in partitions.items() or [(_USUAL, Partition({}))]:
            sets: dict[str, PrefixSet | None] = {}
            for name in names if partitions else after.lists:
                sets[name] = (yield from after._preparing(name, way)) if name in after.lists else None
                yield
            after._partitions[way] = yield from partition.changing(sets)
            kept = set(after._partitions[way].parts.values())
            after.encodings.forget(part for part in partition.parts.values() if part not in kept)
        after._earlier, self._earlier = self, None
        after.encodings.forget_changes()
        return after

    def of(self, subscription: Subscription, before: Table | None = None) -> Table:
        """The table of a subscription. before: the one that the peer has now, which matters with MaxRoutes.

        Where there are more routes than MaxRoutes this takes time; see `exact` and `within` for doing it elsewhere.
        """
        table = self.exact(subscription)
        if not subscription.max_routes or table.count <= subscription.max_routes:
            return table
        return self.within(table, fit(table.routes(), subscription, self.common, now(before)))

    def exact(self, subscription: Subscription) -> Table:
        """The table without MaxRoutes."""
        table = self._tables.get(subscription)
        if table is None:
            if len(self._tables) >= MAX_TABLES:
                self._tables.clear()
            table = self._tables[subscription] = finish(self._making(subscription))
        return table

    def nothing(self, subscription: Subscription) -> Table:
        """A table without routes, also without those of the default list. From it to that of the subscription only what
        that has is announced."""
        return Table(self.partition(_Way(subscription.guards, subscription.union)))

    def within(self, exact: Table, found: Budgeted) -> Table:
        """The table with what budget.fit has found for the routes of the exact one."""
        return Table(exact.partition, (), {}, found.routes, exact.missing, exact.by_default, found)

    def partition(self, way: _Way) -> Partition:
        """The partition of all lists, prepared in this way; it is made once."""
        if way not in self._partitions:
            self._partitions[way] = Partition({name: finish(self._preparing(name, way)) for name in self.lists})
        return self._partitions[way]

    def _clean(self, source: PrefixList, guards: Guards, common: Common) -> PrefixSet:
        """policy.cleaned, remembered as long as the list stays as it is."""
        known = self._cleaned.get((source.name, guards))
        if known is not None and known[0] is source:
            return known[1]
        found = policy.cleaned(source, guards, common)
        self._cleaned[source.name, guards] = source, found
        return found

    def _preparing(self, name: str, way: _Way) -> Steps[PrefixSet]:
        alone = Subscription(guards=way.guards, union=way.union)
        cleaned = self._clean(self.lists[name], way.guards, self.common)
        yield
        return (yield from policy.refining(cleaned, (), alone, self.common))

    def preparing(self, subscription: Subscription, like: Subscription | None = None) -> Steps[None]:
        """Makes the table of a subscription in steps of some milliseconds, so that `exact` has it. like: one that the
        peer had before: of many custom prefixes and exclusions only what differs is worked out."""
        if subscription not in self._tables:
            made = yield from self._making(subscription, like)
            self._tables.setdefault(subscription, made)

    def has(self, subscription: Subscription) -> bool:
        """Whether `exact` has its table."""
        return subscription in self._tables

    def forget(self, subscription: Subscription) -> None:
        """No peer has it any more, so its table need not be kept for the next one."""
        self._tables.pop(subscription, None)

    def _rules(
        self, group: AttributeGroup, subscription: Subscription, way: _Way, partition: Partition, afi: int
    ) -> Rules:
        sources = (self._clean(self.lists[name], way.guards, self.common) for name in group.lists)
        return Rules(
            afi,
            tuple(source.numbers(afi) for source in sources),
            tuple(partition.sets[name].numbers(afi) for name in group.lists),
            group.customs,
            subscription,
            self.common,
            way.union,
        )

    def _making(self, subscription: Subscription, like: Subscription | None = None) -> Steps[Table]:
        found, by_default = policy.groups(subscription, self.lists, self.common, self._clean)
        missing = tuple(name for name in subscription.lists if name not in self.lists)
        way = _Way(subscription.guards, subscription.union)
        partition = self.partition(way)
        groups = tuple((group.attributes, partition.mask(group.lists)) for group in found)
        earlier = self._before(subscription, like, partition, groups)
        before = earlier.table if earlier is not None else None
        changes: dict[int, list[GroupChange]] = {}
        for afi in AFIS:
            changes[afi] = []
            for place, group in enumerate(found):
                rules = self._rules(group, subscription, way, partition, afi)
                changes[afi].append((yield from self._changing(group, place, rules, partition, way, earlier)))
                yield
        omitted: dict[Key, Sequence[int]] = {}
        private: dict[Attributes, list[Sequence[int]]] = {}
        for place, afi in enumerate(AFIS):
            old = before.changes[afi] if before is not None else [NO_CHANGE] * len(groups)
            differ = [
                numbers for one, other in zip(old, changes[afi], strict=True) for numbers in one.difference(other)
            ]
            if before is not None and before.partition is not partition:
                differ.append(partition.touched[afi])
            touched = merged(differ)
            if before is not None:
                _keep(before, touched, afi, omitted, private)
            yield
            for key, attributes, numbers in (yield from _differing(changes[afi], groups, partition, afi, touched)):
                if key is not None:
                    omitted[key] = compact(merged((omitted.get(key, ()), numbers)), afi)
                if attributes is not None:
                    runs = private.setdefault(attributes, [(), ()])
                    runs[place] = merged((runs[place], numbers))
        sets = {attributes: PrefixSet(*numbers) for attributes, numbers in private.items()}
        return Table(partition, groups, omitted, sets, missing, by_default, changes=changes)

    def _before(
        self,
        subscription: Subscription,
        like: Subscription | None,
        partition: Partition,
        groups: Sequence[tuple[Attributes, int]],
    ) -> _Before | None:
        """The table before the last change of the lists, or of the subscription, if the new one can be made of it."""
        pairs = [(self._earlier, subscription)]
        if like is not None and _alike(like, subscription):
            pairs += (self, like), (self._earlier, like)
        for tables, each in pairs:
            table = tables._tables.get(each) if tables is not None else None
            if tables is None or table is None or table.groups != groups:
                continue
            if table.partition in (partition, partition.before):
                return _Before(table, each, tables)
        return None

    def _changing(
        self, group: AttributeGroup, place: int, rules: Rules, partition: Partition, way: _Way, before: _Before | None
    ) -> Steps[GroupChange]:
        """How the prefixes of a group differ from those of its lists, each by itself."""
        if group.lists and not rules.many:
            return around(rules, (yield from self._uniting(group.lists, way, partition, rules.afi)))
        if before is not None and before.tables.common == self.common:
            earlier = self._earlier_group(group, place, rules, partition, before)
            if len(earlier.keys) <= MANY:
                return (yield from since(rules, earlier))
        yield
        return (yield from whole(rules))

    def _earlier_group(
        self, group: AttributeGroup, place: int, rules: Rules, partition: Partition, before: _Before
    ) -> EarlierGroup:
        afi, table, guards = rules.afi, before.table, rules.subscription.guards
        keys: list[Sequence[int]] = []
        if before.subscription is not rules.subscription:
            keys += before.rules_differ(rules.subscription, afi)
        if table.partition is not partition:
            keys.append(partition.touched[afi])
        for name, source in zip(group.lists, rules.sources, strict=True):
            old = before.tables.lists.get(name)
            if old is not self.lists[name]:
                had = before.tables._clean(old, guards, self.common).numbers(afi) if old is not None else ()
                keys += apart(had, source)
        sets = tuple(table.partition.sets.get(name, EMPTY).numbers(afi) for name in group.lists)
        return EarlierGroup(table.changes[afi][place], sets, merged(keys))

    def _uniting(self, names: tuple[str, ...], way: _Way, partition: Partition, afi: int) -> Steps[UnitedLists]:
        key = way, names, afi
        if key not in self._united:
            sets = tuple(partition.sets[name].numbers(afi) for name in names)
            before = self._earlier._united.get(key) if self._earlier is not None else None
            earlier = self._earlier._partitions.get(way) if self._earlier is not None else None
            if before is not None and earlier is partition:
                found = before
            elif before is not None and earlier is partition.before and not before.is_much(partition.touched[afi]):
                found = before.changed(sets, partition.touched[afi])
            else:
                shortest = way.guards.bounds(afi)[0] if way.union else None
                found = yield from UnitedLists.making(sets, afi, shortest)
            self._united[key] = found
            if len(self._united) > MAX_UNITED:
                self._united.popitem(last=False)
        return self._united[key]


def now(before: Table | None) -> Budgeted | None:
    """What budget.fit is to know of the table that a peer has."""
    if before is None:
        return None
    found = before.budget or Budgeted({})
    return found if found.routes else found._replace(routes=before.routes())


class _Before(NamedTuple):
    """A table, of which subscription it is, and where it is from."""

    table: Table
    subscription: Subscription
    tables: Tables

    def rules_differ(self, subscription: Subscription, afi: int) -> Iterator[Sequence[int]]:
        """The custom prefixes and exclusions that are only in one of two subscriptions."""
        yield from apart(self.subscription.exclusions.numbers(afi), subscription.exclusions.numbers(afi))
        old, new = _customs(self.subscription, afi), _customs(subscription, afi)
        for attributes in old.keys() | new.keys():
            yield from apart(*(compact(merged(each.get(attributes, ())), afi) for each in (old, new)))


def _customs(subscription: Subscription, afi: int) -> dict[Attributes, list[Sequence[int]]]:
    found: dict[Attributes, list[Sequence[int]]] = {}
    for each in subscription.customs:
        found.setdefault(each.attributes, []).append(each.prefixes.numbers(afi))
    return found


def _alike(one: Subscription, other: Subscription) -> bool:
    """Whether they differ in custom prefixes and exclusions alone."""
    return one._replace(customs=(), exclusions=EMPTY) == other._replace(customs=(), exclusions=EMPTY)


def _keep(
    before: Table,
    touched: Sequence[int],
    afi: int,
    omitted: dict[Key, Sequence[int]],
    private: dict[Attributes, list[Sequence[int]]],
) -> None:
    """Takes over from the table before all that is not touched."""
    for key, numbers in before.omitted.items():
        if key[0] == afi and (left := without(numbers, touched)):
            omitted[key] = compact(left, afi)
    for attributes, prefixes in before.private.items():
        if left := without(prefixes.numbers(afi), touched):
            private.setdefault(attributes, [(), ()])[AFIS.index(afi)] = left


def _differing(
    changes: Sequence[GroupChange],
    groups: Sequence[tuple[Attributes, int]],
    partition: Partition,
    afi: int,
    touched: Sequence[int],
) -> Steps[list[tuple[Key | None, Attributes | None, Sequence[int]]]]:
    """(part that has them, what is said of them, sorted numbers) where the parts do not say the right thing."""
    chosen = 0
    for _, ours in groups:
        chosen |= ours
    masks = yield from partition.masks_within(touched, afi, chosen)
    gone = [set(common(change.gone, touched)) for change in changes]
    come = [set(common(change.come, touched)) for change in changes]
    found: dict[tuple[Key | None, Attributes | None], list[int]] = {}
    for done, number in enumerate(touched, 1):
        if done % _STEP == 0:
            yield
        mask = masks[number]
        said: Attributes | None = None
        by_part: Attributes | None = None
        for place, (attributes, ours) in enumerate(groups):
            if mask & ours:
                by_part = attributes if by_part is None else by_part.joined(attributes)
            if number in come[place] or (mask & ours and number not in gone[place]):
                said = attributes if said is None else said.joined(attributes)
        if said != by_part:
            found.setdefault(((afi, mask) if by_part is not None else None, said), []).append(number)
    return [(key, wanted, numbers) for (key, wanted), numbers in found.items()]
