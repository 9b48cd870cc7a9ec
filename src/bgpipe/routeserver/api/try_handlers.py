"""What would be announced, and what would change: nothing is stored, no peer is told. Each function raises Refused."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Final

from msgspec import Meta, Struct

from ...routes.prefixes import PrefixSet
from ..peers import new_peer
from ..trials import TRIAL_ADDRESS, try_difference, try_subscription
from .call import Call
from .peer_fields import fields_of
from .records import PeerChange

MOST: Final = 100_000


class TryQuery(Struct):
    """prefixes: so many of them are told."""

    prefixes: Annotated[int, Meta(ge=0, le=MOST)] = 0


class DiffQuery(Struct):
    """limit: so many prefixes of each kind are told."""

    limit: Annotated[int, Meta(ge=0, le=MOST)] = 1000


class Tried(Struct, rename="camel", kw_only=True):
    """What a subscription would announce. exact: routes before MaxRoutes. lists: prefixes of each list. unread: lists
    whose prefixes nobody knows yet. foreign, foreignIpv6: addresses, and networks of 64 bits, that widening adds.
    limit: what MaxRoutes does, "" if nothing. why: why there are no routes, "" if there are some."""

    routes: int
    ipv4: int
    ipv6: int
    exact: int
    lists: dict[str, int]
    unread: list[str]
    by_default: bool
    foreign: int
    foreign_ipv6: int
    held: bool
    limit: str
    why: str
    prefixes: list[str]


class PeerDifference(Struct, rename="camel", kw_only=True):
    """What would be announced to a peer, withdrawn, and announced with other attributes: how many, and the first."""

    more: int
    fewer: int
    other: int
    announced: list[str]
    withdrawn: list[str]
    changed: list[str]


async def try_routes(call: Call, query: TryQuery, body: PeerChange) -> Tried:
    wanted = call.management.checked(fields_of(body), new_peer(TRIAL_ADDRESS, 0))
    trial = await try_subscription(call.server.tables, **wanted)
    routes, budget, exact = trial.routes, trial.view.table.budget, trial.exact.count
    return Tried(
        routes=len(routes),
        ipv4=len(routes.ipv4),
        ipv6=len(routes.ipv6),
        exact=exact,
        lists=trial.lists,
        unread=trial.unread,
        by_default=trial.view.table.by_default,
        foreign=budget.foreign if budget is not None else 0,
        foreign_ipv6=budget.foreign_ipv6 if budget is not None else 0,
        held=budget is not None and budget.held,
        limit=trial.view.limit,
        why=trial.view.why,
        prefixes=_first(routes, query.prefixes),
    )


async def diff_peer(call: Call, query: DiffQuery, body: PeerChange) -> PeerDifference:
    """What a peer would be sent if it were changed like this: the body is that of PUT."""
    peer = call.management.peer(call.id)
    wanted = call.management.checked(fields_of(body), peer)
    session = call.server.sessions.sessions.get(peer.id)
    told = session.announcer.told if session is not None and session.up else None
    found = await try_difference(call.server.tables, peer, told.table if told is not None else None, **wanted)
    return PeerDifference(
        more=len(found.more),
        fewer=len(found.fewer),
        other=len(found.changed),
        announced=_first(found.more, query.limit),
        withdrawn=_first(found.fewer, query.limit),
        changed=_first(found.changed, query.limit),
    )


def _first(prefixes: PrefixSet, most: int) -> list[str]:
    return list(islice(prefixes, most))
