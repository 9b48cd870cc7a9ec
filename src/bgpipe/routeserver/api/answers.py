"""What the API answers of lists, sessions and the server itself; records.py has peers. Times are ISO 8601, in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType, field

_CAPITALS: Final = {
    "name": "Name",
    "description": "Description",
    "country": "Country",
    "community": "Community",
    "prefix_count": "prefixCount",
}
"""How BGPLite spells the fields of a list."""


class Failed(Struct, kw_only=True):
    """Every answer whose status is neither 2xx nor 304."""

    error: str


class About(Struct, rename="camel", kw_only=True):
    """The server, and lines to put into a router: Cisco IOS (setup), BIRD 2 and RouterOS 7, for IPv4 and for IPv6."""

    asn: int
    router_id: str
    bgp_port: int
    api_port: int
    hold_time: int
    keepalive: int
    setup: list[str]
    bird: list[str]
    mikrotik: list[str]
    setup6: list[str]
    bird6: list[str]
    mikrotik6: list[str]


class Address(Struct, kw_only=True):
    """The address of who asks, behind trusted proxies."""

    ip: str


class CommunityScheme(Struct, rename="camel", kw_only=True):
    """The communities of custom prefixes and of custom AS numbers; "" where our AS number has no room for one."""

    asn: int
    custom_prefixes: str
    custom_asns: str


class RouteCounts(Struct, rename="camel", kw_only=True):
    """Prefixes of all lists, and those of each community; without one they count as `default`."""

    total: int
    by_community: dict[str, int]


class RouteCount(Struct, kw_only=True):
    """Prefixes of all lists."""

    total: int


class ListName(Struct, rename=_CAPITALS, kw_only=True):
    """A list to which peers can subscribe. type: asn, country or list."""

    id: int
    name: str
    description: str
    country: str | None
    community: str | None
    prefix_count: int
    type: str


class BadLine(Struct, kw_only=True):
    """A line of a list that can't be read; line: its number, from 1."""

    line: int
    text: str


class ShownDifference(Struct, rename="camel", kw_only=True):
    """How many prefixes come and go, and the first of them."""

    more: int
    fewer: int
    more_prefixes: list[str]
    fewer_prefixes: list[str]


class HeldVersion(ShownDifference, rename="camel", kw_only=True):
    """A version of a list that waits until somebody accepts it, and what it would change."""

    version: int
    prefixes: int
    why: str


class ShownVersion(Struct, rename="camel", kw_only=True):
    """A version of a list. rolledBack: the number of the version of which it is a copy, 0 if its source gave it."""

    version: int
    state: Literal["current", "held", "old"]
    fetched_at: str
    prefixes: int
    bad_lines: int
    rolled_back: int


class ShownList(Struct, rename="camel", kw_only=True):
    """A list, how old it is, and what is wrong with it. version: 0 if it was never read. error: "" if there is none.
    warning: what is odd although nothing has failed, such as an AS number that originates nothing; "" for nothing.
    ending: prefixes that have an end, and nextEnd: when the next one is over."""

    name: str
    kind: str
    owner: Literal["config", "database", "peers"]
    description: str
    community: str | None
    prefixes: int
    ipv4: int
    ipv6: int
    version: int
    changed_at: str | None
    checked_at: str | None
    error: str
    warning: str
    failures: int
    bad_lines: int
    bad_samples: list[BadLine]
    ending: int
    next_end: str | None
    rolled_back: int
    held: HeldVersion | None


class ListSettings(Struct, rename="camel", kw_only=True):
    """Where a list comes from. headers: their names; what they say is not shown."""

    url: str
    path: str
    headers: list[str]
    json: str
    column: str
    asns: Sequence[int]
    as_sets: Sequence[str]
    via: str
    country: str
    domains: Sequence[str]
    sources: Sequence[str]
    without: Sequence[str]
    interval: int | None
    timeout: int | None
    max: int
    max_shrink: float | None
    max_growth: float | None
    add_communities: Sequence[str]
    med: int | None
    prepends: int | None
    next_hop: str
    next_hop_ipv6: str = field(name="nextHopIpv6")
    expires: str


class ListDetails(ShownList, rename="camel", kw_only=True):
    """A list, and where it comes from."""

    settings: ListSettings


class TriedSource(Struct, rename="camel", kw_only=True):
    """What a source says. first: its first prefixes. ending: those that have an end. trouble: what could not be had of
    it, "" for nothing."""

    prefixes: int
    ipv4: int
    ipv6: int
    lines: int
    bad_lines: int
    bad_samples: list[BadLine]
    first: list[str]
    ending: int
    trouble: str


class DeletedList(Struct, kw_only=True):
    """A list that is no more."""

    name: str
    deleted: bool = True


class Refreshing(Struct, kw_only=True):
    """The source of a list is being asked."""

    name: str
    refreshing: bool = True


class ShownSession(Struct, rename="camel", kw_only=True):
    """A session: how long it is up (uptime: seconds), its two OPENs, what has passed, and what it has. why: why it has
    no routes, "" if it has some. left_out: routes that it is to have and does not get, by the reason. limit: what
    MaxRoutes has done to them. foreign, foreign_ipv6: IPv4 addresses, and IPv6 networks of 64 bits, that it has because
    routes were widened."""

    peer_id: str
    ip: str
    asn: int
    state: str
    since: str | None
    uptime: int
    remote: str | None
    local: str | None
    hold_time: int
    families: list[str]
    capabilities: Any
    router_id: str | None
    sent_open: Any
    received_open: Any
    routes: int
    left_out: dict[str, int]
    complete: bool
    updates_sent: int
    prefixes_received: int
    received: dict[str, int]
    sent: dict[str, int]
    bytes_received: int
    bytes_sent: int
    bytes_waiting: int
    why: str
    limit: str
    foreign: int
    foreign_ipv6: int = field(name="foreignIpv6")


class ShownCall(Struct, rename="camel", kw_only=True):
    """A peer that is called and has no session. attempts: in vain, and why the last one was."""

    peer_id: str
    ip: str
    asn: int
    attempts: int
    error: str


class Sessions(Struct, kw_only=True):
    """active: sessions that are up. calls: of peers that have none. ended: how the last sessions of peers ended, by the
    peer's id."""

    active: int
    sessions: list[ShownSession]
    calls: list[ShownCall]
    ended: dict[str, ShownEnd]


class Deleted(Struct, kw_only=True):
    """What is no more."""

    id: str
    deleted: bool = True


class Done(Struct, kw_only=True):
    """What was asked for is being done."""

    id: str
    done: bool = True


class ShownEnd(Struct, kw_only=True):
    """How a session ended."""

    at: str
    why: str


class PeerSessionState(Struct, rename="camel", kw_only=True):
    """The session of a peer. session: null if there is none. call: how we call it, null if we don't. lastEnd: how the
    session before ended, null if there was none since our start."""

    session: ShownSession | None
    call: ShownCall | None
    last_end: ShownEnd | None


class ShownRoute(Struct, rename="camel", kw_only=True):
    """A route that is announced. communities: of all kinds."""

    prefix: str
    next_hop: str
    communities: list[str]
    med: int | None
    prepends: int


class AsPrefixes(Struct, rename="camel", kw_only=True):
    """What an AS number originates, joined where that changes nothing."""

    asn: int
    prefix_count: int
    prefixes: list[str] | UnsetType = UNSET


class WhyStep(Struct, kw_only=True):
    """What one list, or the custom prefixes, say of a target. by: the exclusion or custom prefix that decides. line: of
    the file in which the prefix stands, null where the list is none of lines in a file."""

    source: str
    prefix: str
    outcome: str
    by: str | None
    line: int | None


class Why(Struct, rename="camel", kw_only=True):
    """Why a peer has a route or not. route: what is announced to it and covers the target. why: why there is none,
    where that is not said by a step; "" otherwise."""

    target: str
    route: str | None
    why: str
    by_default: bool
    steps: list[WhyStep]


class PeerCommunities(Struct, kw_only=True):
    """The communities that the peers at an address want."""

    ip: str
    communities: list[str]


class SourceState(Struct, kw_only=True):
    """Whether a list at a URL counts."""

    id: str
    active: bool
