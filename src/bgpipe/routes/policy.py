"""Which prefixes a peer is announced, with which attributes: the whole policy as one function of plain records.

The order, which docs/ and `announced` below share:

1. lists as their sources have them, without default routes and what the guards refuse; of lists that were fetched,
   nothing that is a bogon
2. global exclusions cut lists and custom prefixes; the peer's own cut its lists. Exact: routes.exclusion
3. a custom prefix takes the place of all more specific ones of the lists
4. guards, also of what has been cut and of custom prefixes: no default route, nothing shorter or longer than allowed
5. if nothing is left the default list, unless all that the peer has chosen could not be fetched
6. the communities that the peer wants: only routes that carry one of them, if it names any
7. union of all prefixes with the same attributes: routes.union
8. equal prefixes with other attributes are joined: all their communities

MaxRoutes comes after that: routes.budget.

    >>> lists = {"one": PrefixList("one", PrefixSet.parse(["192.0.2.0/25", "192.0.2.128/25"]))}
    >>> announced(Subscription(lists=("one",)), lists).routes
    {Attributes(...): <PrefixSet of 1 IPv4 and 0 IPv6 prefixes>}
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ..wire.attrs.large_community import LargeCommunity
from .attributes import PLAIN, Attributes
from .exclusion import exclude
from .prefixes import EMPTY, HOST, PrefixSet, cut_out
from .steps import Steps, finish
from .union import uniting

DEFAULT_ROUTES: Final = PrefixSet((0,), (0,))
"""0.0.0.0/0 and ::/0."""

NO_EXPORT: Final = 0xFFFFFF01
NO_ADVERTISE: Final = 0xFFFFFF02
NO_EXPORT_SUBCONFED: Final = 0xFFFFFF03
"""Well-known communities (RFC 1997)."""


class PrefixList(NamedTuple):
    """A list that peers can subscribe to, as it is now.

    fetched: it came from elsewhere, so that bogons are cut out of it. failed: it could not be had, and there is no
    older copy of it.
    """

    name: str
    prefixes: PrefixSet
    attributes: Attributes = PLAIN
    fetched: bool = False
    failed: bool = False


class Custom(NamedTuple):
    """Prefixes that somebody has written for a peer, with the same attributes."""

    prefixes: PrefixSet
    attributes: Attributes = PLAIN


class Guards(NamedTuple):
    """The shortest and longest prefixes that are announced, by family. 1 is the least: default routes never are."""

    shortest_ipv4: int = 1
    longest_ipv4: int = 32
    shortest_ipv6: int = 1
    longest_ipv6: int = 128

    def bounds(self, afi: int) -> tuple[int, int]:
        """(shortest, longest)"""
        if afi == 1:
            return max(self.shortest_ipv4, 1), self.longest_ipv4
        return max(self.shortest_ipv6, 1), self.longest_ipv6


ANY_LENGTH: Final = Guards()


class Common(NamedTuple):
    """What holds for all peers. exclusions: of the operator. bogons: see PrefixList.fetched. default: the name of the
    list for peers that would get nothing. more_defaults: of lists that go with it."""

    exclusions: PrefixSet = EMPTY
    bogons: PrefixSet = EMPTY
    default: str = ""
    more_defaults: tuple[str, ...] = ()

    @property
    def defaults(self) -> tuple[str, ...]:
        """The names of all lists for peers that would get nothing."""
        return self.default, *self.more_defaults


UNRESTRICTED: Final = Common()


class Subscription(NamedTuple):
    """What one peer has chosen, and what was decided for it. Two peers with equal ones are announced the same.

    lists: names, in an order: of equal prefixes, the first one's MED, prepends and next hop count. wanted: communities
    of which a route must carry one, none for all routes. unwanted: communities of which a route must carry none, such
    as NO_EXPORT where the original's meaning of it is wanted. attributes: for all routes of the peer.
    max_routes: 0 for any number. widen: what happens above it; see routes.budget. max_foreign, max_foreign_ipv6: IPv4
    addresses, and IPv6 networks of 64 bits, that widening may add.
    """

    lists: tuple[str, ...] = ()
    customs: tuple[Custom, ...] = ()
    exclusions: PrefixSet = EMPTY
    guards: Guards = ANY_LENGTH
    wanted: frozenset[int | LargeCommunity] = frozenset()
    unwanted: frozenset[int] = frozenset()
    attributes: Attributes = PLAIN
    union: bool = True
    max_routes: int = 0
    widen: bool = False
    max_foreign: int = 0
    max_foreign_ipv6: int = 0


class Announced(NamedTuple):
    """What a peer is to be announced. routes: prefixes by attributes; none is in two of the sets.

    missing: names of lists that there are not. by_default: the default list has taken the place of nothing.
    """

    routes: dict[Attributes, PrefixSet]
    missing: tuple[str, ...] = ()
    by_default: bool = False


class AttributeGroup(NamedTuple):
    """Lists and custom prefixes of a peer that have the same attributes, so that they are united."""

    attributes: Attributes
    lists: tuple[str, ...]
    customs: tuple[PrefixSet, ...]


def announced(subscription: Subscription, lists: Mapping[str, PrefixList], common: Common = UNRESTRICTED) -> Announced:
    """The policy, worked out for one peer from the beginning."""
    found, by_default = groups(subscription, lists, common)
    routes: dict[Attributes, PrefixSet] = {}
    for group in found:
        prefixes = refine(
            PrefixSet.joined(cleaned(lists[name], subscription.guards, common) for name in group.lists),
            group.customs,
            subscription,
            common,
        )
        routes[group.attributes] = routes.get(group.attributes, EMPTY) | prefixes
    missing = tuple(name for name in subscription.lists if name not in lists)
    return Announced({key: found for key, found in join(routes).items() if found}, missing, by_default)


def cleaned(source: PrefixList, guards: Guards, common: Common) -> PrefixSet:
    """Steps 1 and 2 for a list: without what nobody is announced."""
    prefixes = exclude(guarded(source.prefixes, guards), common.exclusions)
    return exclude(prefixes, common.bogons) if source.fetched else prefixes


Clean = Callable[[PrefixList, Guards, Common], PrefixSet]
"""`cleaned`, or what remembers its answers."""


def refine(prefixes: PrefixSet, customs: Sequence[PrefixSet], subscription: Subscription, common: Common) -> PrefixSet:
    """Steps 2 to 4 and 7 for prefixes of lists, cleaned, and custom prefixes with the same attributes."""
    return finish(refining(prefixes, customs, subscription, common))


def refining(
    prefixes: PrefixSet, customs: Sequence[PrefixSet], subscription: Subscription, common: Common
) -> Steps[PrefixSet]:
    """The same in steps of some milliseconds."""
    prefixes = override(exclude(prefixes, subscription.exclusions), all_customs(subscription, common))
    yield
    prefixes = PrefixSet.joined((prefixes, *(own_customs(each, common) for each in customs)))
    yield
    prefixes = guarded(prefixes, subscription.guards)
    if not subscription.union:
        return prefixes
    yield
    return (yield from uniting(prefixes, subscription.guards.bounds(1)[0], subscription.guards.bounds(2)[0]))


def own_customs(prefixes: PrefixSet, common: Common) -> PrefixSet:
    """Custom prefixes without what nobody is announced."""
    return exclude(prefixes - DEFAULT_ROUTES, common.exclusions)


def all_customs(subscription: Subscription, common: Common) -> PrefixSet:
    """The custom prefixes of a peer, whatever their attributes."""
    return PrefixSet.joined(own_customs(custom.prefixes, common) for custom in subscription.customs)


def override(prefixes: PrefixSet, customs: PrefixSet) -> PrefixSet:
    """The prefixes without those that are more specific than a custom one."""
    if not customs:
        return prefixes
    return PrefixSet(
        cut_out(prefixes.ipv4, _inside(prefixes.ipv4, customs.ipv4, 1)),
        cut_out(prefixes.ipv6, _inside(prefixes.ipv6, customs.ipv6, 2)),
    )


def _inside(numbers: Sequence[int], customs: Iterable[int], afi: int) -> Iterator[tuple[int, int]]:
    """The spans of places of what is more specific than a custom prefix."""
    hosts = HOST[afi]
    end = 0
    for custom in customs:
        start = max(bisect_right(numbers, custom, end), end)
        end = max(end, bisect_right(numbers, custom | hosts[custom & 0xFF], start))
        if start < end:
            yield start, end


def guarded(prefixes: PrefixSet, guards: Guards) -> PrefixSet:
    """The prefixes whose lengths are allowed."""
    return PrefixSet(_guarded(prefixes.ipv4, guards, 1), _guarded(prefixes.ipv6, guards, 2))


def _guarded(numbers: Sequence[int], guards: Guards, afi: int) -> Sequence[int]:
    shortest, longest = guards.bounds(afi)
    if (shortest, longest) == ANY_LENGTH.bounds(afi):
        return numbers if not numbers or numbers[0] else numbers[1:]  # 0 is the default route
    return [number for number in numbers if shortest <= number & 0xFF <= longest]


def groups(
    subscription: Subscription, lists: Mapping[str, PrefixList], common: Common = UNRESTRICTED, clean: Clean = cleaned
) -> tuple[list[AttributeGroup], bool]:
    """(the lists and custom prefixes of a peer by their attributes, whether they are by default): steps 5 and 6."""
    chosen = [name for name in dict.fromkeys(subscription.lists) if name in lists]
    sources_chosen = [lists[name] for name in chosen]
    by_default = common.default in lists and _wants_default(subscription, sources_chosen, common, clean)
    if by_default:
        chosen = [name for name in common.defaults if name in lists]
    sources: dict[Attributes, list[str]] = {}
    customs: dict[Attributes, list[PrefixSet]] = {}
    for name in chosen:
        sources.setdefault(lists[name].attributes.joined(subscription.attributes), []).append(name)
    for custom in subscription.customs:
        customs.setdefault(custom.attributes.joined(subscription.attributes), []).append(custom.prefixes)
    found = [
        AttributeGroup(attributes, tuple(sources.get(attributes, ())), tuple(customs.get(attributes, ())))
        for attributes in dict.fromkeys((*sources, *customs))
        if is_wanted(attributes, subscription)
    ]
    return found, by_default


def _wants_default(subscription: Subscription, chosen: Sequence[PrefixList], common: Common, clean: Clean) -> bool:
    """Whether a peer would get nothing, and not for the reason that nothing could be fetched."""
    if chosen and all(source.failed for source in chosen):
        return False
    if guarded(all_customs(subscription, common), subscription.guards):
        return False
    sources = (clean(source, subscription.guards, common) for source in chosen)
    found = (exclude(prefixes, subscription.exclusions) for prefixes in sources)
    return not any(guarded(prefixes, subscription.guards) for prefixes in found)


def is_wanted(attributes: Attributes, subscription: Subscription) -> bool:
    """Step 6."""
    carried = attributes.communities | attributes.large_communities | attributes.ext_communities
    return not (subscription.wanted and not carried & subscription.wanted) and not carried & subscription.unwanted


def join(routes: Mapping[Attributes, PrefixSet]) -> dict[Attributes, PrefixSet]:
    """Prefixes by attributes, of which none is in two sets: equal ones get the joined attributes, first ones first."""
    if len(routes) < 2:
        return dict(routes)
    found: dict[Attributes, tuple[list[int], list[int]]] = {}
    for place, afi in enumerate((1, 2)):
        said: dict[int, Attributes] = {}
        for attributes, prefixes in routes.items():
            for number in prefixes.numbers(afi):
                before = said.get(number)
                said[number] = attributes if before is None else _joined(before, attributes)
        for number, attributes in said.items():
            found.setdefault(attributes, ([], []))[place].append(number)
    return {attributes: PrefixSet.of(*numbers) for attributes, numbers in found.items()}


@lru_cache(maxsize=4096)
def _joined(first: Attributes, second: Attributes) -> Attributes:
    return first.joined(second)
