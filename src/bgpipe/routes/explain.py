"""Why a peer is announced an address or a prefix, or why not: what each list says of it, and which rule decides.

>>> found = explain("192.0.2.1", subscription, tables)
>>> str(found.route), [(step.source, str(step.prefix), step.outcome) for step in found.steps]
('192.0.2.0/24', [('one', '192.0.2.0/24', 'announced'), ('two', '192.0.0.0/16', 'not chosen')])
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from ..wire.prefix import Prefix
from . import policy
from .attributes import Attributes
from .lookup import parse_target
from .policy import Common, PrefixList, Subscription
from .prefixes import HOST, PrefixSet, contains, number_of, prefix_of
from .table import Table, Tables

CUSTOM = "custom prefixes"
BUDGET = "MaxRoutes"
"""Where a route may come from beside lists, in the answers."""


class Outcome(StrEnum):
    """What becomes of a prefix of a list or of the peer's own, in the order of the policy."""

    NOT_CHOSEN = "not chosen"
    LENGTH = "shorter or longer than allowed"
    EXCLUDED_FOR_ALL = "excluded for all peers"
    BOGON = "a bogon in a list that was fetched"
    EXCLUDED = "excluded for this peer"
    REPLACED = "a custom prefix takes its place"
    COMMUNITIES = "its communities are not wanted"
    BUDGET = "not announced for MaxRoutes"
    WIDENED = "added by widening for MaxRoutes"
    NOT_APPROVED = "not announced: the peer waits for approval"
    BARRED = "not announced: the peer is barred"
    ANNOUNCED = "announced"


class Step(NamedTuple):
    """source: name of the list, CUSTOM or BUDGET. prefix: the longest one there that covers what was asked for.

    by: the exclusion, bogon or custom prefix that decides, None if it is another rule.
    """

    source: str
    prefix: Prefix
    outcome: Outcome
    by: Prefix | None = None


class Explanation(NamedTuple):
    """route: what is announced and covers what was asked for, the longest one. by_default: of the default list.

    steps: of each source that has something to say; those of the peer's own lists first, in its order.
    """

    target: Prefix
    route: Prefix | None
    attributes: Attributes | None
    by_default: bool
    steps: list[Step]


def explain(
    target: Prefix | str, subscription: Subscription, tables: Tables, table: Table | None = None
) -> Explanation:
    """Raises TextError for what is no address and no prefix. table: what the peer has, if it has a MaxRoutes."""
    wanted = parse_target(target) if isinstance(target, str) else target
    exact = tables.exact(subscription)
    table = exact if table is None else table
    route = longest_route(table, wanted)
    steps = [*_of_lists(wanted, subscription, tables, exact.by_default), *_of_customs(wanted, subscription, tables)]
    covered = longest_route(exact, wanted) is not None
    if route is not None and not covered:  # a foreign address
        steps = [_unless_announced(step, Outcome.LENGTH) for step in steps]
        steps.append(Step(BUDGET, route, Outcome.WIDENED))
    elif not covered:  # what is left of the prefix after cutting is longer than allowed
        steps = [_unless_announced(step, Outcome.LENGTH) for step in steps]
    elif route is None:
        steps = [_unless_announced(step, Outcome.BUDGET) for step in steps]
    attributes = table.said(number_of(route), route.afi) if route is not None else None
    return Explanation(wanted, route, attributes, exact.by_default, steps)


def _of_lists(wanted: Prefix, subscription: Subscription, tables: Tables, by_default: bool) -> Iterator[Step]:
    chosen = tables.common.defaults if by_default else tuple(dict.fromkeys(subscription.lists))
    for name in (*chosen, *(name for name in tables.lists if name not in chosen)):
        if name not in tables.lists:
            continue
        source = tables.lists[name]
        found = covering(source.prefixes, wanted)
        if name in chosen:
            steps = (Step(name, each, *_of_list(source, each, wanted, subscription, tables.common)) for each in found)
        else:
            steps = (Step(name, each, Outcome.NOT_CHOSEN) for each in found)
        yield from _decisive(list(steps))


def _of_customs(wanted: Prefix, subscription: Subscription, tables: Tables) -> Iterator[Step]:
    for prefixes, attributes in subscription.customs:
        yield from _decisive(
            [
                Step(CUSTOM, each, *_of_custom(attributes, each, wanted, subscription, tables.common))
                for each in covering(prefixes, wanted)
            ]
        )


def _decisive(steps: list[Step]) -> list[Step]:
    """Of the steps of one source the first that is announced, else the first."""
    return ([step for step in steps if step.outcome is Outcome.ANNOUNCED] or steps)[:1]


def withheld(found: Explanation, outcome: Outcome) -> Explanation:
    """The same for a peer that gets nothing at all, for another reason than its lists and rules."""
    steps = [_unless_announced(step, outcome) for step in found.steps]
    return found._replace(route=None, attributes=None, steps=steps)


def _unless_announced(step: Step, outcome: Outcome) -> Step:
    return step._replace(outcome=outcome) if step.outcome is Outcome.ANNOUNCED else step


def _of_list(
    source: PrefixList, found: Prefix, wanted: Prefix, subscription: Subscription, common: Common
) -> tuple[Outcome, Prefix | None]:
    shortest, longest_allowed = subscription.guards.bounds(found.afi)
    if not shortest <= found.length <= longest_allowed:
        return Outcome.LENGTH, None
    rules = [(common.exclusions, Outcome.EXCLUDED_FOR_ALL), (subscription.exclusions, Outcome.EXCLUDED)]
    if source.fetched:
        rules.insert(1, (common.bogons, Outcome.BOGON))
    for exclusions, outcome in rules:
        by = longest(exclusions, wanted)
        if by is not None:
            return outcome, by
    by = longest(policy.all_customs(subscription, common), found)
    if by is not None and by.length < found.length:
        return Outcome.REPLACED, by
    return _by_communities(source.attributes, subscription), None


def _of_custom(
    attributes: Attributes, found: Prefix, wanted: Prefix, subscription: Subscription, common: Common
) -> tuple[Outcome, Prefix | None]:
    by = longest(common.exclusions, wanted)
    if by is not None:
        return Outcome.EXCLUDED_FOR_ALL, by
    shortest, longest_allowed = subscription.guards.bounds(found.afi)
    if not shortest <= found.length <= longest_allowed:
        return Outcome.LENGTH, None
    return _by_communities(attributes, subscription), None


def _by_communities(attributes: Attributes, subscription: Subscription) -> Outcome:
    wanted = policy.is_wanted(attributes.joined(subscription.attributes), subscription)
    return Outcome.ANNOUNCED if wanted else Outcome.COMMUNITIES


def covering(prefixes: PrefixSet, wanted: Prefix) -> Iterator[Prefix]:
    """The prefixes that cover an address or a prefix, the longest first; for many questions see lookup.Lookup."""
    numbers = prefixes.numbers(wanted.afi)
    return (prefix_of(each, wanted.afi) for each in _around(wanted) if contains(numbers, each))


def longest(prefixes: PrefixSet, wanted: Prefix) -> Prefix | None:
    """The longest prefix that covers an address or a prefix."""
    return next(covering(prefixes, wanted), None)


def longest_route(table: Table, wanted: Prefix) -> Prefix | None:
    """The longest route of a table that covers an address or a prefix."""
    return next((prefix for prefix, _ in covering_routes(table, wanted)), None)


def covering_routes(table: Table, wanted: Prefix) -> Iterator[tuple[Prefix, Attributes]]:
    """The routes of a table that cover an address or a prefix, the longest first, with their attributes."""
    for each in _around(wanted):
        if (attributes := table.said(each, wanted.afi)) is not None:
            yield prefix_of(each, wanted.afi), attributes


def _around(wanted: Prefix) -> Iterator[int]:
    """The numbers of all prefixes that cover an address or a prefix, the longest first."""
    number, hosts = number_of(wanted), HOST[wanted.afi]
    for length in range(wanted.length, -1, -1):
        yield (number & ~hosts[length]) | length
