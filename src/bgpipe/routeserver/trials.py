"""What a subscription would announce, and what would change for a peer: nothing is stored, and nobody is told."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from ..routes.difference import Comparison, comparing
from ..routes.prefixes import PrefixSet
from ..routes.table import Table
from .peers import Peer, new_peer
from .tables import PeerTables, View, in_turns

TRIAL_ADDRESS = "0.0.0.0"


class Trial(NamedTuple):
    """view: what would be announced. exact: the routes before MaxRoutes. unread: lists whose prefixes nobody knows."""

    view: View
    exact: Table
    lists: dict[str, int]
    unread: list[str]

    @property
    def routes(self) -> PrefixSet:
        """All that would be announced."""
        return PrefixSet.joined(self.view.table.routes().values())

    def show(self) -> dict[str, Any]:
        """For the API. lists: prefixes of each as it is. exact: routes that the policy gives, before MaxRoutes."""
        routes, budget = self.routes, self.view.table.budget
        return {
            "routes": len(routes),
            "ipv4": len(routes.ipv4),
            "ipv6": len(routes.ipv6),
            "exact": self.exact.count,
            "lists": self.lists,
            "unread": self.unread,
            "byDefault": self.view.table.by_default,
            "foreign": budget.foreign if budget is not None else 0,
            "foreignIpv6": budget.foreign_ipv6 if budget is not None else 0,
            "held": budget.held if budget is not None else False,
            "limit": self.view.limit,
            "why": self.view.why,
        }


async def try_subscription(tables: PeerTables, **fields: Any) -> Trial:
    """What a peer that is not known yet would be announced. fields: of Peer, checked, such as lists, group,
    custom_prefixes, exclude, communities, max_routes, max_routes_action."""
    return await _try(tables, new_peer(TRIAL_ADDRESS, 0, **fields), None)


async def try_change(tables: PeerTables, peer: Peer, **fields: Any) -> Trial:
    """What a known peer would be announced with other fields."""
    return await _try(tables, msgspec.structs.replace(peer, **fields), peer)


async def _try(tables: PeerTables, wanted: Peer, like: Peer | None) -> Trial:
    view = await tables.try_out(wanted, like)
    names = (*tables.rules(wanted).lists, *tables.private(wanted))
    counts = {name: len(tables.lists[name].prefixes) for name in names if name in tables.lists}
    unread = [name for name in names if name not in tables.lists or not tables.lists[name].known]
    return Trial(view, tables.tables.exact(tables.subscription(wanted)), counts, unread)


def show_comparison(found: Comparison) -> dict[str, Any]:
    """For the API: prefixes that come, go, and change their path attributes."""
    return {"announced": list(found.more), "withdrawn": list(found.fewer), "changed": list(found.changed)}


async def try_difference(tables: PeerTables, peer: Peer, has: Table | None, **fields: Any) -> Comparison:
    """What would change for a peer. has: what it has now; None for what it is to have as it stands."""
    before = has if has is not None else (await tables.settle(peer)).table
    return await in_turns(comparing(before, (await try_change(tables, peer, **fields)).view.table))
