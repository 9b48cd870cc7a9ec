"""The tables of peers with a MaxRoutes: what each has, so that it can be held, and what has been widened."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
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
    """What a peer was given last, and what that was made of."""

    table: Table
    exact: Table
    subscription: Subscription
    common: Common


_Key = tuple[Subscription, Table, frozenset[tuple[Attributes, PrefixSet]]]


class LimitedTables:
    """What peers with a MaxRoutes have."""

    def __init__(self) -> None:
        self._last: dict[str, Last] = {}
        """by the peer's id"""
        self._widened: OrderedDict[_Key, Budgeted] = OrderedDict()
        self._one = asyncio.Lock()

    def of(self, id: str, exact: Table, subscription: Subscription, common: Common) -> Table | None:
        """What a peer is to have; None as long as its routes have to be widened: see `settle` and `meanwhile`."""
        last = self._last.get(id)
        known = last is not None and (last.subscription, last.common) == (subscription, common)
        if last is not None and known and not compare(last.exact, exact):
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
        self._last[id] = Last(table, exact, subscription, common)
        return table

    def meanwhile(self, id: str, exact: Table, subscription: Subscription, common: Common) -> Table:
        """What a peer is to have until its routes are widened: what it had."""
        why = f"{excess(exact.count, subscription)}; they are being widened"
        return self._held(self._last.get(id), exact, subscription, common, why)

    async def settle(self, id: str, exact: Table, subscription: Subscription, common: Common) -> None:
        """Widens the routes, unless that is done; then `of` has them."""
        key = _key(self._last.get(id), exact, subscription)
        async with self._one:
            if key in self._widened:
                self._widened.move_to_end(key)
                return
            try:
                found = await widen_elsewhere(exact, subscription, common, dict(key[2]))
            except (BudgetError, OSError) as error:
                found = Budgeted({}, held=True, why=f"{excess(exact.count, subscription)}; {error}")
            self._widened[key] = found
            if len(self._widened) > MAX_WIDENED:
                self._widened.popitem(last=False)

    def copy(self, id: str, to: str) -> None:
        """Another peer is to begin with what this one has."""
        if id in self._last:
            self._last[to] = self._last[id]

    def forget(self, id: str) -> None:
        """This peer is no more, or has no MaxRoutes any more."""
        self._last.pop(id, None)

    def _held(self, last: Last | None, exact: Table, subscription: Subscription, common: Common, why: str) -> Table:
        """What a peer had, without what has been excluded since."""
        if last is not None and last.table.count <= subscription.max_routes and _same_cuts(last, subscription, common):
            return last.table.held(why)
        found = hold(now(last.table) if last is not None else None, subscription, common, why)
        return Table(exact.partition, (), {}, found.routes, exact.missing, exact.by_default, found)


def _key(last: Last | None, exact: Table, subscription: Subscription) -> _Key:
    budget = last.table.budget if last is not None else None
    return subscription, exact, frozenset(budget.merged.items() if budget is not None else ())


def _same_cuts(last: Last, subscription: Subscription, common: Common) -> bool:
    same = last.subscription.exclusions == subscription.exclusions
    return same and last.common.exclusions == common.exclusions
