"""The tables of peers with a MaxRoutes: what each has, so that it can be held, and what has been widened."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from ..routes.attributes import Attributes
from ..routes.budget import Budgeted, excess, hold
from ..routes.difference import compare
from ..routes.policy import Common, Subscription
from ..routes.prefixes import PrefixSet
from ..routes.table import Table, now
from .budget_worker import BudgetError, widen_elsewhere

MAX_WIDENED: Final = 64
"""Widened tables that are kept for the next peer with the same subscription."""


class Last(NamedTuple):
    """What a peer was given last, and what that was made of. exact: None if it is from before a restart."""

    table: Table
    exact: Table | None
    subscription: Subscription
    common: Common

    @property
    def limited(self) -> bool:
        """Whether MaxRoutes has changed the routes."""
        return self.table.budget is not None and bool(self.table.budget.why)


_Key = tuple[Subscription, Table, frozenset[tuple[Attributes, PrefixSet]]]


class LimitedTables:
    """What peers with a MaxRoutes have.

    load: what is kept of a peer from before a restart. on_change: called with the key of a peer whose routes are to be
    kept from now on, and their table; None if nothing is.
    """

    def __init__(self) -> None:
        self.load: Callable[[str], Budgeted | None] = lambda key: None
        self.on_change: Callable[[str, Table | None], object] = lambda key, table: None
        self._trials: set[str] = set()
        self._last: dict[str, Last] = {}
        """by the peer's key, see access.peer_key"""
        self._widened: OrderedDict[_Key, Budgeted] = OrderedDict()
        self._one = asyncio.Lock()

    def of(self, key: str, exact: Table, subscription: Subscription, common: Common) -> Table | None:
        """What a peer is to have; None as long as its routes have to be widened: see `settle` and `meanwhile`."""
        last = self._before(key, exact)
        known = last is not None and (last.subscription, last.common) == (subscription, common)
        if last is not None and last.exact is not None and known and _same(last.exact, exact):
            table = exact if last.table is last.exact else last.table
        elif exact.count <= subscription.max_routes:
            table = exact
        elif not subscription.widen:
            table = self._held(last, exact, subscription, common, excess(exact.count, subscription))
        else:
            found = self._widened.get(_key(last, exact, subscription))
            if found is None:
                return None
            if found.held:
                table = self._held(last, exact, subscription, common, found.why)
            else:
                table = Table(exact.partition, (), {}, found.routes, exact.missing, exact.by_default, found)
        self._remember(key, Last(table, exact, subscription, common))
        return table

    def _remember(self, key: str, now: Last) -> None:
        before = self._last.get(key)
        self._last[key] = now
        was_limited = before is not None and before.limited
        if key in self._trials or (before is None and not now.limited):
            return
        if now.limited and not (was_limited and before is not None and before.table.private == now.table.private):
            self.on_change(key, now.table)
        elif was_limited and not now.limited:
            self.on_change(key, None)

    def _before(self, key: str, exact: Table) -> Last | None:
        """What a peer was given last, maybe before a restart."""
        if key not in self._last and key not in self._trials:
            kept = self.load(key)
            if kept is not None:
                kept = kept._replace(why="from before a restart")
                self._last[key] = Last(
                    Table(exact.partition, (), {}, kept.routes, budget=kept), None, Subscription(), Common()
                )
        return self._last.get(key)

    def meanwhile(self, key: str, exact: Table, subscription: Subscription, common: Common) -> Table:
        """What a peer is to have until its routes are widened: what it had."""
        why = f"{excess(exact.count, subscription)}; they are being widened"
        return self._held(self._before(key, exact), exact, subscription, common, why)

    async def settle(self, key: str, exact: Table, subscription: Subscription, common: Common) -> None:
        """Widens the routes, unless that is done; then `of` has them."""
        work = _key(self._before(key, exact), exact, subscription)
        async with self._one:
            if work in self._widened:
                self._widened.move_to_end(work)
                return
            try:
                found = await widen_elsewhere(exact, subscription, common, dict(work[2]))
            except (BudgetError, OSError) as error:
                found = Budgeted({}, held=True, why=f"{excess(exact.count, subscription)}; {error}")
            self._widened[work] = found
            if len(self._widened) > MAX_WIDENED:
                self._widened.popitem(last=False)

    def begin_trial(self, key: str, like: str | None) -> None:
        """A peer that is only tried out. like: the one that it begins as, None for nobody."""
        self._trials.add(key)
        if like is not None and like in self._last:
            self._last[key] = self._last[like]

    def end_trial(self, key: str) -> None:
        self._trials.discard(key)
        self._last.pop(key, None)

    def forget(self, key: str) -> None:
        """This peer is no more, or has no MaxRoutes any more."""
        if self._last.pop(key, None) is not None:
            self.on_change(key, None)

    def _held(self, last: Last | None, exact: Table, subscription: Subscription, common: Common, why: str) -> Table:
        """What a peer had, without what has been excluded since."""
        if last is not None and last.table.count <= subscription.max_routes and _same_cuts(last, subscription, common):
            return last.table.held(why)
        found = hold(now(last.table) if last is not None else None, subscription, common, why)
        return Table(exact.partition, (), {}, found.routes, exact.missing, exact.by_default, found)


def _key(last: Last | None, exact: Table, subscription: Subscription) -> _Key:
    budget = last.table.budget if last is not None else None
    return subscription, exact, frozenset(budget.merged.items() if budget is not None else ())


def _same(before: Table, after: Table) -> bool:
    """Whether two tables have the same routes. Mostly their numbers differ, or their parts are the same ones."""
    return before.count == after.count and not compare(before, after)


def _same_cuts(last: Last, subscription: Subscription, common: Common) -> bool:
    same = last.subscription.exclusions == subscription.exclusions
    return same and last.common.exclusions == common.exclusions
