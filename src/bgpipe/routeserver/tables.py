"""From what peers have subscribed to, and what the lists are now, to the tables that they are announced."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from hashlib import blake2b
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from ..routes.attributes import PLAIN, Attributes, UpdateGroup
from ..routes.policy import Common, PrefixList, Subscription
from ..routes.prefixes import EMPTY, PrefixSet
from ..routes.steps import Steps, finish
from ..routes.table import Table, Tables
from ..rpki.snapshot import Snapshot
from ..rpki.vrps import Validity
from ..session.facts import Facts
from ..wire.attrs.large_community import LargeCommunity
from ..wire.caps import EXTENDED_NEXT_HOP
from .access import peer_key
from .bogons import BOGONS
from .config import Config, PrefixSource, all_lists
from .groups import PeerGroup, configured_groups
from .lists import Lists
from .max_routes import LimitedTables
from .own_prefixes import OwnPrefixes, is_many
from .peers import Peer
from .rov import PARTS, Split, communities, origins_of, split
from .rules import (
    MAX_FOREIGN,
    MAX_FOREIGN_IPV6,
    Rules,
    attributes_of,
    expires,
    resolve,
    rules_of,
)
from .settings import sends_otc
from .times import parse_time

T = TypeVar("T")


class View(NamedTuple):
    """What one peer is to have. whole: whether nothing is missing that is still to be fetched. why: why there are no
    routes, "" if there are some. settled: whether it is so, and not only until routes are widened (`settle`).
    reading: the names of lists that are missing because they are being read for the first time."""

    table: Table
    whole: bool
    why: str
    settled: bool = True
    reading: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether nothing of it is about to change."""
        return self.settled and not self.reading

    @property
    def limit(self) -> str:
        """What MaxRoutes has done, in words; "" if nothing."""
        return self.table.budget.why if self.table.budget is not None else ""


class PeerTables:
    """The tables of all peers, on the lists as they were when `update` was called last."""

    def __init__(self, config: Config, lists: Lists) -> None:
        self.config = config
        self.lists = lists
        self.vrps: Snapshot | None = None
        """None as long as they were not read"""
        self._splits: dict[str, Split] = {}
        self.clock: Callable[[], float] = time.time
        self.limited = LimitedTables()
        self._own = OwnPrefixes()
        self._had: dict[str, Subscription] = {}
        """by the key of peers with many custom prefixes and exclusions, what they had subscribed to the last time"""
        self.groups: dict[str, PeerGroup] = {}
        self._database_groups: dict[str, PeerGroup] = {}
        self._configure(config)
        self.tables = Tables({}, self._common())

    def configure(self, config: Config) -> None:
        """Takes another configuration."""
        self._configure(config)
        self.tables = self.tables.changed({}, self._common())

    def take_groups(self, groups: Mapping[str, PeerGroup]) -> None:
        """These are the groups of the database; those of the configuration with the same names count before them."""
        self._database_groups = dict(groups)
        self.groups = self._database_groups | configured_groups(self.config)

    def _configure(self, config: Config) -> None:
        self.config = config
        self.custom_community = config.custom_prefix_community or self._automatic(100)
        self.defaults = rules_of(config.defaults)
        self.groups = self._database_groups | configured_groups(config)

    def update(self, names: Iterable[str]) -> None:
        """These lists have changed, have come, or are no more."""
        self.tables = self.tables.changed(self._lists(names))

    async def update_in_steps(self, names: Iterable[str]) -> None:
        """The same, so that sessions have their turn in between: many lists take seconds."""
        names = tuple(names)
        done = False
        while not done:
            before = self.tables
            await self._validate(names)
            steps = before.changing(self._lists(names))
            after = await in_turns(steps)
            done = self.tables is before  # else somebody has changed them meanwhile: that must not be undone
            if done:
                self.tables = after

    async def prepare(self, peer: Peer, turns: asyncio.Lock | None = None) -> None:
        """Works out what a peer is to have, in steps of some milliseconds, so that `of` has it at once. turns: of all
        who do such work: of a thousand peers that come at once one at a time works."""
        tables, key = None, peer_key(peer)
        while tables is not self.tables:
            tables, subscription, before = self.tables, self.subscription(peer), self._had.get(key)
            await in_turns(tables.preparing(subscription, before), turns)
            if is_many(peer.custom_prefixes, self.rules(peer).exclude):
                self._had[key] = subscription
                if before is not None and before not in self._had.values():  # nobody has a table of this size now
                    tables.forget(before)
            else:
                self._had.pop(key, None)

    def is_prepared(self, peer: Peer) -> bool:
        """Whether `of` takes no longer than some milliseconds."""
        return not is_many(peer.custom_prefixes, self.rules(peer).exclude) or self.tables.has(self.subscription(peer))

    def of(self, peer: Peer) -> View:
        """What a peer is to have now."""
        if peer.status in ("pending", "barred"):
            why = "the peer waits for approval" if peer.status == "pending" else "the peer is barred"
            return View(self.tables.nothing(self.subscription(peer)), True, why)
        subscription = self.subscription(peer)
        exact = self.tables.exact(subscription)
        table: Table | None = exact
        unknown = self.unread(peer)
        reading = tuple(name for name in unknown if self.lists[name].known or self.lists.awaits(name))
        if unknown and exact.count <= subscription.max_routes:
            pass  # what is kept of the peer stays until all is there
        elif subscription.max_routes:
            table = self.limited.of(peer_key(peer), exact, subscription, self.tables.common)
        else:
            self.limited.forget(peer_key(peer))
        if table is None:
            table = self.limited.meanwhile(peer_key(peer), exact, subscription, self.tables.common)
            return View(table, False, "" if table.count else self._why(peer, table, unknown), False, reading)
        return View(table, not unknown, "" if table.count else self._why(peer, table, unknown), reading=reading)

    async def settle(self, peer: Peer) -> View:
        """The same when its routes are widened, which takes a while if there are more than its MaxRoutes."""
        while not self.is_prepared(peer):
            await self.prepare(peer)
        while not (view := self.of(peer)).settled:
            subscription, common = self.subscription(peer), self.tables.common
            await self.limited.settle(peer_key(peer), self.tables.exact(subscription), subscription, common)
        return view

    async def try_out(self, wanted: Peer, like: Peer | None = None) -> View:
        """What a peer would be announced. like: the peer whose routes it takes over, None for nobody's."""
        trial = msgspec.structs.replace(wanted, ip=uuid.uuid4().hex, status="inactive")  # nobody has this address
        key = peer_key(trial)
        self.limited.begin_trial(key, peer_key(like) if like is not None else None)
        try:
            return await self.settle(trial)
        finally:
            self.limited.end_trial(key)
            self._forget_own(key)

    def forget(self, peer: Peer) -> None:
        """This peer is no more."""
        self.limited.forget(peer_key(peer))
        self._forget_own(peer_key(peer))

    def _forget_own(self, key: str) -> None:
        self._own.forget(key)
        self._had.pop(key, None)

    def rules(self, peer: Peer) -> Rules:
        """What holds for a peer: its own word, then that of its group, then the defaults."""
        group = self.groups.get(peer.group)
        return resolve(rules_of(peer), *((group,) if group is not None else ()), self.defaults)

    def unread(self, peer: Peer) -> list[str]:
        """Lists that a peer gets, or would get if it had no others, and that were never read."""
        names = dict.fromkeys((*self.subscription(peer).lists, self.tables.common.default))
        return [name for name in names if name in self.lists and not self.has_read(name)]

    def has_read(self, name: str) -> bool:
        """Whether the tables have what was read of a list: it may have come, and be in them a moment later only."""
        return name in self.tables.lists and not self.tables.lists[name].failed

    def ends(self, peer: Peer) -> set[float]:
        """When an entry of a peer, or one that holds for it, is over, in seconds since 1970."""
        return {expires(each) for each in (*peer.custom_prefixes, *self.rules(peer).exclude)} - {math.inf}

    def list_ends(self, names: Iterable[str] | None = None) -> dict[str, float]:
        """When lists are over, in seconds since 1970; of all lists if none are named."""
        found = (
            self.lists[name].settings for name in (self.lists.lists if names is None else names) if name in self.lists
        )
        return {settings.name: parse_time(settings.expires) for settings in found if settings.expires}

    def with_group(self, peer: Peer) -> Peer:
        """A peer as its session begins: with what its group or the defaults say of that."""
        group = self.groups.get(peer.group)
        session = peer.session
        if group is not None and group.local_asn and not session.local_asn:
            session = msgspec.structs.replace(session, local_asn=group.local_asn)
        return msgspec.structs.replace(peer, session=session, max_prefix=self.rules(peer).max_prefix)

    def lists_of(self, peer: Peer) -> frozenset[str]:
        """The lists that its routes may depend on."""
        return frozenset((*self.rules(peer).lists, *self.private(peer), self.tables.common.default)) - {""}

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
        rules, now = self.rules(peer), self.clock()
        wanted: set[int | LargeCommunity] = set()
        attributes = attributes_of(rules.communities)
        wanted |= attributes.communities
        wanted |= attributes.large_communities
        wanted |= attributes.ext_communities
        customs, exclusions = self._own.of(
            peer_key(peer), peer.custom_prefixes, rules.exclude, self.custom_community, now
        )
        return Subscription(
            lists=tuple(self._with_parts((*rules.lists, *self.private(peer)))),
            customs=customs,
            exclusions=exclusions,
            guards=rules.guards,
            wanted=frozenset(wanted),
            attributes=rules.attributes,
            union=rules.union is not False,
            max_routes=rules.max_routes or 0,
            widen=rules.max_routes_action == "widen",
            max_foreign=MAX_FOREIGN if rules.max_foreign is None else rules.max_foreign,
            max_foreign_ipv6=MAX_FOREIGN_IPV6 if rules.max_foreign_ipv6 is None else rules.max_foreign_ipv6,
        )

    def form(self, asn: int, local: str, facts: Facts, own_asn: int = 0) -> UpdateGroup:
        """How routes are written for a session. asn: of the peer. local: our address. facts: what was agreed.
        own_asn: our AS number there, 0 for Bgp.Asn.

        Over IPv6, `self` is our IPv6 address for IPv4 routes too where that was agreed (RFC 8950), else our identifier.
        """
        bgp = self.config.bgp
        local = local.partition("%")[0]
        ipv6 = ":" in local
        own_ipv4 = bgp.router_id if ipv6 and not facts.agreed(EXTENDED_NEXT_HOP) else local
        own_ipv6 = local if ipv6 else ""
        own_asn = own_asn or bgp.asn
        return UpdateGroup(
            asn=own_asn,
            next_hop_ipv4=_own(bgp.next_hop or bgp.router_id, own_ipv4),
            next_hop_ipv6=_own(bgp.next_hop_ipv6 or "", own_ipv6),
            context=facts.sending,
            internal=asn == own_asn,
            otc=own_asn if sends_otc(facts.sent_open, facts.peer_open) else None,
            own_ipv4=own_ipv4,
            own_ipv6=own_ipv6,
        )

    def _common(self) -> Common:
        default = self.config.default_prefix_source or ""
        settings = next((each for each in all_lists(self.config) if each.name == default), None)
        apart = self.config.rov.on and self.config.rov.mode == "tag" and settings is not None and origins_of(settings)
        more = tuple(default + each for each in PARTS.values()) if apart else ()
        return Common(PrefixSet.parse(self.config.exclude), BOGONS, default, more)

    def _automatic(self, number: int) -> str:
        """The community of ours with this number; "" where our AS number has no room for one."""
        return f"{self.config.bgp.asn}:{number}" if self.config.bgp.asn <= 0xFFFF else ""

    def _lists(self, names: Iterable[str]) -> dict[str, PrefixList | None]:
        """These lists as the policy wants them, None for what is not there."""
        found: dict[str, PrefixList | None] = {}
        for name in names:
            found |= dict.fromkeys((name, *(name + more for more in PARTS.values())))
            if name in self.lists:
                found |= self._list(name)
        return found

    def _list(self, name: str) -> dict[str, PrefixList]:
        """A list, and what is apart from it by its validity."""
        found, attributes = self.lists[name], list_attributes(self.lists[name].settings)
        whole = PrefixList(name, found.prefixes, attributes, found.fetched, not found.known)
        if self.list_ends((name,)).get(name, math.inf) <= self.clock():
            return {name: whole._replace(prefixes=EMPTY, failed=False)}
        if not self._is_validated(name):
            return {name: whole}
        if self.vrps is None:
            return {name: whole._replace(prefixes=EMPTY, failed=True)}
        parts = self._split(name, self.vrps)
        tags = communities(self.config.rov, self.config.bgp.asn)
        valid = parts[Validity.VALID]
        if self.config.rov.mode == "drop":
            valid, tags = valid | parts[Validity.NOT_FOUND], {}
        made = {name: (valid, tags.get(Validity.VALID, PLAIN))}
        for validity, more in PARTS.items():
            if tags or validity is Validity.INVALID:
                made[name + more] = parts[validity], tags.get(validity, PLAIN)
        return {
            each: whole._replace(name=each, prefixes=prefixes, attributes=attributes.joined(tag))
            for each, (prefixes, tag) in made.items()
        }

    def _is_validated(self, name: str) -> bool:
        """Whether the prefixes of a list are told apart by their validity."""
        return self.config.rov.on and name in self.lists and bool(origins_of(self.lists[name].settings))

    def _split(self, name: str, vrps: Snapshot) -> Mapping[Validity, PrefixSet]:
        if not self._is_split(name):
            self._keep_split(name, vrps, finish(split(*self._to_split(name), vrps)))
        return self._splits[name].parts

    def _to_split(self, name: str) -> tuple[PrefixSet, tuple[int, ...]]:
        return self.lists[name].prefixes, origins_of(self.lists[name].settings)

    def _is_split(self, name: str) -> bool:
        known = self._splits.get(name)
        return known is not None and known.vrps is self.vrps and known[:2] == self._to_split(name)

    def _keep_split(self, name: str, vrps: Snapshot, parts: Mapping[Validity, PrefixSet]) -> None:
        self._splits[name] = Split(*self._to_split(name), vrps, parts)

    async def _validate(self, names: Iterable[str]) -> None:
        """Tells the prefixes of lists apart by their validity, so that sessions have their turn in between."""
        for name in names:
            while (vrps := self.vrps) is not None and self._is_validated(name) and not self._is_split(name):
                before = self._to_split(name)
                parts = await in_turns(split(*before, vrps))
                if name in self.lists and self._to_split(name) == before and self.vrps is vrps:
                    self._keep_split(name, vrps, parts)

    def validated(self) -> set[str]:
        """The lists whose prefixes are told apart by their validity."""
        return {name for name in self.lists.lists if self._is_validated(name)}

    def _with_parts(self, names: Iterable[str]) -> Iterator[str]:
        """Lists, and what is apart from them and announced too."""
        for name in names:
            yield name
            if self.config.rov.mode == "tag" and self._is_validated(name):
                yield from (name + more for more in PARTS.values())

    def _why(self, peer: Peer, table: Table, unknown: list[str]) -> str:
        rules = self.rules(peer)
        if table.budget is not None and table.budget.why:
            return table.budget.why
        if not (peer.subscribed or rules.lists) and not self.tables.common.default:
            return "the peer has subscribed to nothing, and there is no default list"
        if unknown:
            return f"lists were never read: {', '.join(sorted(unknown))}"
        if rules.communities:
            return "no route has one of the communities that the peer wants"
        return "its lists and custom prefixes are empty, or all of it is excluded"


async def in_turns(steps: Steps[T], turns: asyncio.Lock | None = None) -> T:
    """Does work in steps, so that others have their turn in between. turns: held from each step until the event loop
    has gone round: of a hundred who are ready at once, it does one step each time."""
    while True:
        async with turns or nullcontext():
            try:
                next(steps)
            except StopIteration as end:
                made: T = end.value
                return made
            finally:
                await asyncio.sleep(0)


def private_name(url: str, community: str) -> str:
    """The name of a list at a URL that single peers have: those with the same share it. The URL may hold a secret, so
    it is not to be read in logs and metrics."""
    digest = blake2b(f"{community} {url}".encode(), digest_size=6).hexdigest()
    return f"{urlsplit(url).hostname} {digest}"


def list_attributes(settings: PrefixSource) -> Attributes:
    """What a list says of its routes."""
    return attributes_of((settings.community, *settings.add_communities), settings)


def fnv1a(text: str) -> int:
    """The FNV-1a hash of 32 bits, by which lists at URLs get a community."""
    value = 0x811C9DC5
    for octet in text.encode():
        value = (value ^ octet) * 0x01000193 & 0xFFFFFFFF
    return value


def _own(configured: str, own: str) -> str:
    """A next hop, for which `self` is our own address."""
    return own if configured == "self" else configured
