"""At most so many routes: hold what was announced, or widen prefixes where that adds the fewest foreign addresses.

Widening makes one prefix of some that lie close together. Foreign are those of its addresses that its own lists do not
have. What is taken is about the least that a number of routes costs: all merges whose price, in foreign addresses for
each route saved, is below one price for all. Never merged is over an exclusion, nor to shorter than the guards allow.
Prefixes that were merged before stay so while that fits, so that a small change of the lists is a small change here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..wire.prefix import AFI_BITS
from .attributes import Attributes
from .exclusion import exclude
from .policy import ANY_LENGTH, Common, Guards, Subscription
from .prefixes import EMPTY, HOST, LENGTH_BITS, PrefixSet, cut_out
from .union import united

STEPS: Final = 16
"""Prices that are tried between one and its double."""

Routes = Mapping[Attributes, PrefixSet]


class Budgeted(NamedTuple):
    """Routes within a budget. foreign: IPv4 addresses that were added. merged: the prefixes that have some of them.

    held: the routes are those of before. why: in words, if they are not what the policy says. foreign_ipv6: IPv6
    addresses that were added, in networks of 64 bits, the last one rounded up.
    """

    routes: Routes
    foreign: int = 0
    merged: Routes = MappingProxyType({})
    held: bool = False
    why: str = ""
    foreign_ipv6: int = 0

    @property
    def total(self) -> int:
        """Routes."""
        return sum(map(len, self.routes.values()))

    @property
    def foreign_text(self) -> str:
        """The added addresses in words."""
        ipv6 = f" and {self.foreign_ipv6} IPv6 networks of 64 bits" if self.foreign_ipv6 else ""
        return f"{self.foreign} foreign addresses{ipv6}"

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a MappingProxyType can't go there."""
        return Budgeted, (dict(self.routes), self.foreign, dict(self.merged), *self[3:])


def fit(routes: Routes, subscription: Subscription, common: Common, before: Budgeted | None = None) -> Budgeted:
    """The routes that a peer is announced of those that the policy gives it, if it has a MaxRoutes.

    before: what it is announced now. Pure, and slow with long lists (seconds for a million prefixes): to be called in
    a worker process.
    """
    count, limit = sum(map(len, routes.values())), subscription.max_routes
    if not limit or count <= limit:
        return Budgeted(routes)
    if not subscription.widen:
        return hold(before, subscription, common, excess(count, subscription))
    found = widen_within(routes, subscription, common, before.merged if before is not None else {})
    return hold(before, subscription, common, found.why) if found.held else found


def widen_within(routes: Routes, subscription: Subscription, common: Common, merged: Routes) -> Budgeted:
    """The routes widened to MaxRoutes; none, with `held`, if that is not possible within MaxForeign.

    merged: prefixes that were merged before.
    """
    too_many = excess(sum(map(len, routes.values())), subscription)
    cuts = PrefixSet.joined((subscription.exclusions, common.exclusions)), common.bogons
    found = widen(routes, subscription.max_routes, *cuts, subscription.guards, merged)
    if merged and not _fits(found, subscription):  # what was merged before may be in the way
        found = widen(routes, subscription.max_routes, *cuts, subscription.guards)
    if not _fits(found, subscription):
        return Budgeted({}, held=True, why=f"{too_many}; widened, {_too_much(found, subscription)}")
    return found._replace(why=f"{too_many}: widened, {found.foreign_text} have come in")


def excess(count: int, subscription: Subscription) -> str:
    """That there are too many routes, in words."""
    return f"{count} routes, MaxRoutes is {subscription.max_routes}"


def _fits(found: Budgeted, subscription: Subscription) -> bool:
    few = found.total <= subscription.max_routes
    return few and found.foreign <= subscription.max_foreign and found.foreign_ipv6 <= subscription.max_foreign_ipv6


def _too_much(found: Budgeted, subscription: Subscription) -> str:
    if found.total > subscription.max_routes:
        return f"{found.total} remain"
    limits = f"MaxForeign is {subscription.max_foreign}"
    if found.foreign_ipv6:
        limits += f", MaxForeignIpv6 {subscription.max_foreign_ipv6}"
    return f"{found.foreign_text} would come in, {limits}"


def hold(before: Budgeted | None, subscription: Subscription, common: Common, why: str) -> Budgeted:
    """What was announced before, but for exclusions; nothing if nothing was, or if that is too many now."""
    if before is None:
        return Budgeted({}, held=True, why=f"{why}: nothing is announced")
    limit, exclusions = subscription.max_routes, PrefixSet.joined((subscription.exclusions, common.exclusions))
    cut = {attributes: exclude(prefixes, exclusions) for attributes, prefixes in before.routes.items()}
    if sum(map(len, cut.values())) > limit:  # cutting has made more of them: those that were cut go
        cut = {attributes: prefixes & before.routes[attributes] for attributes, prefixes in cut.items()}
    if sum(map(len, cut.values())) > limit:
        return Budgeted({}, held=True, why=f"{why}: nothing is announced")
    same = cut == dict(before.routes)
    foreign, merged, ipv6 = (before.foreign, before.merged, before.foreign_ipv6) if same else (0, {}, 0)
    return Budgeted(cut, foreign, merged, True, f"{why}: what was announced before is held", ipv6)


def widen(
    routes: Routes,
    limit: int,
    exclusions: PrefixSet = EMPTY,
    bogons: PrefixSet = EMPTY,
    guards: Guards = ANY_LENGTH,
    merged: Routes | None = None,
) -> Budgeted:
    """At most `limit` routes, if the guards, exclusions and bogons leave that possible: no excluded address comes in,
    and no whole bogon; a list of a private network is widened inside it.

    merged: prefixes that were merged before. Each family has a share of the limit as it has of the routes.
    """
    whole = sum(map(len, routes.values()))
    fewer: dict[Attributes, list[Sequence[int]]] = {attributes: [(), ()] for attributes in routes}
    wider: dict[Attributes, list[Sequence[int]]] = {attributes: [(), ()] for attributes in routes}
    foreign, left = [0, 0], limit
    for place, afi in enumerate((1, 2)):
        count = sum(len(prefixes.numbers(afi)) for prefixes in routes.values())
        share = left if afi == 2 else min(max(-(-limit * count // max(whole, 1)), 1), limit)
        around = _Cuts(united(exclusions.numbers(afi), afi, 0), bogons.numbers(afi), HOST[afi])
        kept = {attributes: (merged or {}).get(attributes, EMPTY).numbers(afi) for attributes in routes}
        rows = [_Row.of(found.numbers(afi), afi, kept[said], around) for said, found in routes.items()]
        if rows:
            _reduce(rows, share, guards.bounds(afi)[0])
        left -= _count(rows)
        for attributes, row in zip(routes, rows, strict=True):
            fewer[attributes][place] = row.numbers
            wider[attributes][place] = row.merged()
            foreign[place] += row.foreign
    sets = [{attributes: PrefixSet(*numbers) for attributes, numbers in each.items()} for each in (fewer, wider)]
    merges = {attributes: prefixes for attributes, prefixes in sets[1].items() if prefixes}
    return Budgeted(sets[0], foreign[0], merges, foreign_ipv6=-(-foreign[1] >> 64))


class _Cuts(NamedTuple):
    """Over which nothing is merged. exclusions: sorted, none inside another, as bogons are. hosts: HOST of the AFI."""

    exclusions: Sequence[int]
    bogons: Sequence[int]
    hosts: Sequence[int]

    def within(self, number: int) -> bool:
        """Whether an exclusion or a bogon lies in a prefix."""
        last = number | self.hosts[number & 0xFF]
        for each in (self.exclusions, self.bogons):
            place = bisect_left(each, number)
            if place < len(each) and each[place] <= last:
                return True
        return False

    def around(self, number: int) -> bool:
        """Whether all of a prefix is excluded, but for custom prefixes in it."""
        place = bisect_right(self.exclusions, number) - 1
        return place >= 0 and number <= self.exclusions[place] | self.hosts[self.exclusions[place] & 0xFF]


class _Row:
    """Prefixes of one AFI with the same attributes, none inside another. own: of each, the addresses of its lists."""

    def __init__(self, numbers: list[int], own: list[int], afi: int, cuts: _Cuts) -> None:
        self.numbers = numbers
        self.own = own
        self.afi = afi
        self.bits = AFI_BITS[afi]
        self.cuts = cuts

    @classmethod
    def of(cls, numbers: Sequence[int], afi: int, merged: Sequence[int], cuts: _Cuts) -> _Row:
        """merged: prefixes that were merged before."""
        bits, numbers = AFI_BITS[afi], united(numbers, afi)
        row = cls(numbers, [1 << bits - (number & 0xFF) for number in numbers], afi, cuts)
        spans = []
        for number in merged:
            start = bisect_left(numbers, number)
            end = bisect_right(numbers, number | HOST[afi][number & 0xFF], start)
            if end > start + 1 and not row.is_cut(number, sum(row.own[start:end])):
                spans.append(Span(start, end, number))
        row.merge(spans)
        return row

    def __len__(self) -> int:
        return len(self.numbers)

    def size(self, number: int) -> int:
        """Addresses of a prefix."""
        return 1 << self.bits - (number & 0xFF)

    @property
    def foreign(self) -> int:
        return sum(map(self.size, self.numbers)) - sum(self.own)

    def merged(self) -> list[int]:
        """The prefixes that have foreign addresses."""
        return [number for number, own in zip(self.numbers, self.own, strict=True) if own < self.size(number)]

    def is_cut(self, number: int, own: int) -> bool:
        """Whether nothing may be merged to a prefix in which there are so many addresses of lists."""
        return self.cuts.within(number) or (own < self.size(number) and self.cuts.around(number))

    def at(self, price: int, shortest: int) -> list[Span]:
        """What is merged when each route saved may cost `price` addresses.

        The prefixes are the leaves of a tree, whose nodes are those around two neighbours. From left to right, each
        node is decided on when all below it are. `trees` are those that wait for more to the right, from the widest to
        the narrowest: place of the first leaf, cost and leaves after merging, length of the node at which they meet
        the one before, own addresses.
        """
        own, bits = self.own, self.bits
        trees: list[tuple[int, int, int, int, int]] = []
        spans: list[Span] = []
        before = 0
        for place, number in enumerate([*self.numbers, -1]):
            meets = bits - (before ^ number >> LENGTH_BITS).bit_length() if number >= 0 else -1
            while len(trees) > 1 and trees[-1][3] > meets:
                _, cost, leaves, length, held = trees.pop()
                start, more_cost, more_leaves, link, more_held = trees.pop()
                cost, leaves, held = cost + more_cost, leaves + more_leaves, held + more_held
                merging = (1 << bits - length) - held
                if length >= shortest and merging - cost <= price * (leaves - 1):
                    node = before >> bits - length << bits - length + LENGTH_BITS | length
                    if not self.is_cut(node, held):
                        while spans and spans[-1].start >= start:
                            spans.pop()
                        spans.append(Span(start, place, node))
                        cost, leaves = merging, 1
                trees.append((start, cost, leaves, link, held))
            if number >= 0:
                before = number >> LENGTH_BITS
                trees.append((place, (1 << bits - (number & 0xFF)) - own[place], 1, meets if trees else -1, own[place]))
        return spans

    def merge(self, spans: Sequence[Span]) -> None:
        """Makes one prefix of each of these runs, which ascend."""
        for each in spans:
            self.own[each.start] = sum(self.own[each.start : each.end])
            self.numbers[each.start] = each.prefix
        gone = [(each.start + 1, each.end) for each in spans]
        self.numbers, self.own = cut_out(self.numbers, gone), cut_out(self.own, gone)

    def price(self, span: Span) -> float:
        """Foreign addresses for each route saved."""
        more = self.size(span.prefix) - sum(map(self.size, self.numbers[span.start : span.end]))
        return more / span.saved

    def inside(self, span: Span, excess: int) -> list[Span]:
        """Merges inside a run that save `excess` routes and not many more, each of which is less than all of it."""
        start, end, prefix = span
        part = _Row(self.numbers[start:end], self.own[start:end], self.afi, self.cuts)
        limit = len(part) - excess
        length = (prefix & 0xFF) + 1
        while length < self.bits and part.blocks(length + 1) <= limit:
            length += 1
        if part.blocks(length) > limit:
            return [span]
        _reduce([part], limit, length)
        spans = []
        for number in part.numbers:
            first = bisect_left(self.numbers, number, start, end)
            last = bisect_right(self.numbers, number | HOST[self.afi][number & 0xFF], first, end)
            if last > first + 1:
                spans.append(Span(first, last, number))
        return spans

    def blocks(self, length: int) -> int:
        """How many prefixes are left when all that lie in one of this length are one."""
        return len(set(map((self.bits - length + LENGTH_BITS).__rrshift__, self.numbers)))


class Span(NamedTuple):
    """A run of places of prefixes that become one prefix."""

    start: int
    end: int
    prefix: int

    @property
    def saved(self) -> int:
        return self.end - self.start - 1


def _reduce(rows: Sequence[_Row], limit: int, shortest: int) -> None:
    """Merges until there are at most `limit` prefixes: searches the price at which there are.

    What is merged at a price is merged at all higher ones, so that each step has fewer prefixes to look at.
    """
    low, high = 0, max(row.bits for row in rows) * STEPS
    above: list[list[Span]] | None = None
    while high - low > 1 and _count(rows) > limit:
        middle = (low + high) // 2
        spans = [row.at(int(2 ** (middle / STEPS)), shortest) for row in rows]
        if _count(rows) - sum(each.saved for found in spans for each in found) > limit:
            for row, found in zip(rows, spans, strict=True):
                row.merge(found)
            low, above = middle, None
        else:
            high, above = middle, spans
    excess = _count(rows) - limit
    if excess > 0:
        if above is None:
            above = [row.at(1 << row.bits, shortest) for row in rows]
        _merge_some(rows, above, excess)
        for row in rows:
            row.merge(row.at(0, shortest))  # halves that have both become whole


def _count(rows: Sequence[_Row]) -> int:
    return sum(map(len, rows))


def _merge_some(rows: Sequence[_Row], spans: Sequence[Sequence[Span]], excess: int) -> None:
    """Merges as many as needed of those that cost about the same, the cheapest first."""
    offers = [(row.price(span), place, span) for place, row in enumerate(rows) for span in spans[place]]
    offers.sort()
    chosen: list[list[Span]] = [[] for _ in rows]
    for _, place, span in offers:
        if excess <= 0:
            break
        found = [span] if span.saved <= excess else rows[place].inside(span, excess)
        chosen[place] += found
        excess -= sum(each.saved for each in found)
    for row, found in zip(rows, chosen, strict=True):
        row.merge(sorted(found))
