"""From what peers have subscribed to, and what the lists are now, to the tables that they are announced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import urlsplit

from ..routes.attributes import Attributes, Form
from ..routes.policy import Common, Custom, PrefixList, Subscription
from ..routes.prefixes import PrefixSet
from ..routes.table import Table, Tables
from ..wire.attrs.community import parse_community
from ..wire.attrs.large_community import LargeCommunity, parse_large_community
from ..wire.context import WireContext
from .bogons import BOGONS
from .config import Config, PrefixSource
from .lists import Lists
from .peers import Peer


class View(NamedTuple):
    """What one peer is to have. whole: whether nothing is missing that is still to be fetched. why: why there are no
    routes, "" if there are some."""

    table: Table
    whole: bool
    why: str


class PeerTables:
    """The tables of all peers, on the lists as they were when `update` was called last."""

    def __init__(self, config: Config, lists: Lists) -> None:
        self.config = config
        self.lists = lists
        self.custom_community = config.custom_prefix_community or self._automatic(100)
        self.tables = Tables({}, self._common())

    def configure(self, config: Config) -> None:
        """Takes another configuration."""
        self.config = config
        self.custom_community = config.custom_prefix_community or self._automatic(100)
        self.tables = self.tables.changed({}, self._common())

    def update(self, names: Iterable[str]) -> None:
        """These lists have changed, have come, or are no more."""
        self.tables = self.tables.changed({name: self._list(name) if name in self.lists else None for name in names})

    async def update_in_steps(self, names: Iterable[str]) -> None:
        """The same, so that sessions have their turn in between: many lists take seconds."""
        names = tuple(names)
        done = False
        while not done:
            before = self.tables
            steps = before.changing({name: self._list(name) if name in self.lists else None for name in names})
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    after: Tables = end.value
                    break
                await asyncio.sleep(0)
            done = self.tables is before  # else somebody has changed them meanwhile: that must not be undone
            if done:
                self.tables = after

    def of(self, peer: Peer) -> View:
        """What a peer is to have now."""
        if peer.status in ("pending", "barred"):
            why = "the peer waits for approval" if peer.status == "pending" else "the peer is barred"
            return View(self.tables.of(Subscription(lists=(_NONE,))), True, why)
        table = self.tables.of(self.subscription(peer))
        unknown = [name for name in self.lists_of(peer) if name in self.lists and not self.has_read(name)]
        return View(table, not unknown, "" if table.count else self._why(peer, unknown))

    def has_read(self, name: str) -> bool:
        """Whether the tables have what was read of a list: it may have come, and be in them a moment later only."""
        return name in self.tables.lists and not self.tables.lists[name].failed

    def lists_of(self, peer: Peer) -> frozenset[str]:
        """The lists that its routes may depend on."""
        return frozenset((*peer.lists, *self.private(peer), self.tables.common.default)) - {""}

    def private(self, peer: Peer) -> dict[str, PrefixSource]:
        """The lists that a peer has for itself, by name: those at URLs, and of AS numbers."""
        community = self.config.custom_asn_community or self._automatic(200)
        found = {}
        for asn in peer.custom_asns:
            name = f"{community} AS{asn}"
            found[name] = PrefixSource(name=name, kind="asn", asn=asn, community=community)
        for source in peer.sources:
            if source.active:
                community = source.community or self._automatic(500 + fnv1a(source.name) % 100)
                name = private_name(source.url, community)
                found[name] = PrefixSource(name=name, kind="http", url=source.url, community=community)
        return found

    def subscription(self, peer: Peer) -> Subscription:
        """What the policy has to know of a peer."""
        custom = Custom(PrefixSet.parse(peer.custom_prefixes), community_attributes(self.custom_community))
        wanted: set[int | LargeCommunity] = set()
        for attributes in map(community_attributes, peer.communities):
            wanted |= attributes.communities
            wanted |= attributes.large_communities
        return Subscription(
            lists=(*peer.lists, *self.private(peer)),
            customs=(custom,) if peer.custom_prefixes else (),
            exclusions=PrefixSet.parse(peer.exclude),
            wanted=frozenset(wanted),
            attributes=Attributes(next_hop_ipv4=peer.next_hop, next_hop_ipv6=peer.next_hop_ipv6),
        )

    def form(self, asn: int, local: str, context: WireContext) -> Form:
        """How routes are written for a session. asn: of the peer. local: our address. context: what was agreed."""
        bgp = self.config.bgp
        local = local.partition("%")[0]
        ipv6 = ":" in local
        return Form(
            asn=bgp.asn,
            next_hop_ipv4=_own(bgp.next_hop or bgp.router_id, bgp.router_id if ipv6 else local),
            next_hop_ipv6=_own(bgp.next_hop_ipv6 or "", local if ipv6 else ""),
            context=context,
            internal=asn == bgp.asn,
        )

    def _common(self) -> Common:
        return Common(PrefixSet.parse(self.config.exclude), BOGONS, self.config.default_prefix_source or "")

    def _automatic(self, number: int) -> str:
        """The community of ours with this number; "" where our AS number has no room for one."""
        return f"{self.config.bgp.asn}:{number}" if self.config.bgp.asn <= 0xFFFF else ""

    def _list(self, name: str) -> PrefixList:
        found = self.lists[name]
        attributes = community_attributes(found.settings.community)
        return PrefixList(name, found.prefixes, attributes, found.fetched, not found.known)

    def _why(self, peer: Peer, unknown: list[str]) -> str:
        if not peer.subscribed and not self.tables.common.default:
            return "the peer has subscribed to nothing, and there is no default list"
        if unknown:
            return f"lists were never read: {', '.join(sorted(unknown))}"
        if peer.communities:
            return "no route has one of the communities that the peer wants"
        return "its lists and custom prefixes are empty, or all of it is excluded"


_NONE = "\0"
"""The name of no list."""


def community_attributes(text: str | None) -> Attributes:
    """A community `A:V`, or a large community `A:B:C`, as what is said of routes."""
    if not text:
        return Attributes()
    if text.count(":") == 2:
        return Attributes(large_communities=frozenset((parse_large_community(text),)))
    return Attributes(communities=frozenset((parse_community(text),)))


def private_name(url: str, community: str) -> str:
    """The name of a list at a URL that single peers have: those with the same share it. The URL may hold a secret, so
    it is not to be read in logs and metrics."""
    digest = blake2b(f"{community} {url}".encode(), digest_size=6).hexdigest()
    return f"{urlsplit(url).hostname} {digest}"


def fnv1a(text: str) -> int:
    """The FNV-1a hash of 32 bits, by which lists at URLs get a community."""
    value = 0x811C9DC5
    for octet in text.encode():
        value = (value ^ octet) * 0x01000193 & 0xFFFFFFFF
    return value


def _own(configured: str, own: str) -> str:
    """A next hop, for which `self` is our own address."""
    return own if configured == "self" else configured
