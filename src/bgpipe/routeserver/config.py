"""The records of a configuration: the keys of `appsettings.yml`, their types and defaults.

Names, defaults and meaning of the keys are those of BGPLite, and new ones beside them; see docs/routeserver.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .rules import MAX_PREPENDS

AsNumber = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Med = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Prepends = Annotated[int, Meta(ge=0, le=MAX_PREPENDS)]


class Listener(Struct, rename="pascal", frozen=True, kw_only=True):
    """Where peers come in. md5_key: of RFC 2385, for whoever comes in here and has no key of its own; ao_key: the same
    of TCP-AO, as `ID:KEY`; each itself, $VARIABLE or /file. group: of peers that were not known before and come in
    here: with a key they are known by that, whatever unknown_peers says."""

    address: str = ""
    port: Port = 179
    md5_key: str = ""
    ao_key: str = ""
    group: str = ""


class Bgp(Struct, rename="pascal", frozen=True, kw_only=True):
    """What we are as a BGP speaker. Times in seconds.

    next_hop, next_hop_ipv6: of the routes that we announce, unless a peer or a group has its own; "self" is our own
    address of the session. Without a next hop for IPv6, none of its routes are announced.
    """

    asn: AsNumber
    router_id: str
    next_hop: str = ""
    next_hop_ipv6: str | None = None
    keep_alive: Annotated[int, Meta(ge=1, le=21845)] = 60
    hold_time: Annotated[int, Meta(ge=0, le=65535)] = 180
    graceful_restart: bool = True
    restart_time: Annotated[int, Meta(ge=0, le=4095)] = 120
    graceful_restart_forwarding_state: bool = True
    open_timeout_seconds: Count = 30
    max_accepts_per_ip_per_minute: Count = 60
    max_prefixes_per_peer: Count = 1_000_000
    listen: tuple[str, ...] = ()
    port: Port = 179
    listeners: tuple[Listener, ...] = ()
    min_ttl: Annotated[int, Meta(ge=0, le=255)] = 0
    send_hold_time: Count = 0
    unknown_peers: Literal["default", "pending", "reject"] = "default"
    settle: Seconds = 0.2
    first_wait: Seconds = 30.0


class WrittenEntry(Struct, rename="pascal", frozen=True, kw_only=True):
    """A prefix with what is to be said of it; see rules.Entry."""

    prefix: str
    communities: tuple[str, ...] = ()
    community: str = ""
    med: Med | None = None
    prepends: Prepends | None = None
    expires: str = ""


class Defaults(Struct, rename="pascal", frozen=True, kw_only=True):
    """What holds for all peers that say nothing else, or whose group says nothing else; see rules.Rules."""

    exclude: tuple[str | WrittenEntry, ...] = ()
    communities: tuple[str, ...] = ()
    add_communities: tuple[str, ...] = ()
    med: Med | None = None
    prepends: Prepends | None = None
    next_hop: str = ""
    next_hop_ipv6: str = ""
    min_length_ipv4: Annotated[int, Meta(ge=1, le=32)] | None = None
    max_length_ipv4: Annotated[int, Meta(ge=1, le=32)] | None = None
    min_length_ipv6: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_length_ipv6: Annotated[int, Meta(ge=1, le=128)] | None = None
    union: bool | None = None
    max_routes: Count | None = None
    max_routes_action: Literal["hold", "widen"] | None = None
    max_foreign: Count | None = None
    max_foreign_ipv6: Count | None = None
    max_prefix: Count | None = None


class Group(Defaults, rename="pascal", frozen=True, kw_only=True):
    """Peers that have something in common. local_asn: our AS number for them."""

    name: str
    description: str = ""
    lists: tuple[str, ...] = ()
    local_asn: AsNumber | None = None


class ConfiguredPeer(Defaults, rename="pascal", frozen=True, kw_only=True):
    """A peer that the configuration owns: the API shows it and does not change it.

    address: may be a network, for all peers in it that are not named themselves; those with remote_asn alone, if that
    is said. ao_key, ao_keys: of TCP-AO, each as `ID:KEY`, $VARIABLE or /file.
    """

    address: str
    remote_asn: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0
    description: str = ""
    group: str = ""
    lists: tuple[str, ...] = ()
    custom_prefixes: tuple[str | WrittenEntry, ...] = ()
    md5_password: str = ""
    connect: bool = False
    port: Port = 179
    local_address: str = ""
    role: str = ""
    local_asn: AsNumber | None = None
    hold_time: Count | None = None
    send_hold_time: Count | None = None
    capabilities: tuple[str, ...] | None = None
    min_ttl: Annotated[int, Meta(ge=0, le=255)] | None = None
    ao_key: str = ""
    ao_keys: tuple[str, ...] = ()


class AsnList(Struct, rename="pascal", frozen=True, kw_only=True):
    """AS numbers, or a country, by whose prefixes a list is made."""

    name: str
    description: str = ""
    asns: tuple[AsNumber, ...] = ()
    country: str | None = None
    community: str | None = None
    add_communities: tuple[str, ...] = ()
    med: Med | None = None
    prepends: Prepends | None = None
    next_hop: str = ""
    next_hop_ipv6: str = ""
    expires: str = ""


class RipeStat(Struct, rename="pascal", frozen=True, kw_only=True):
    """How RIPEstat is asked. delegated_files: URLs of what the registries have given to whom, one file of each
    registry; they are read where RIPEstat can't say what a country has."""

    url: str = "https://stat.ripe.net"
    timeout_seconds: Count = 180
    retry_attempts: Count = 2
    retry_delay_seconds: Count = 2
    asn_lists: tuple[AsnList, ...] = ()
    delegated_files: tuple[str, ...] = tuple(
        f"https://ftp.ripe.net/pub/stats/{name}/delegated-{name}-extended-latest"
        for name in ("afrinic", "apnic", "arin", "lacnic", "ripencc")
    )


class Irr(Struct, rename="pascal", frozen=True, kw_only=True):
    """How Internet Routing Registries are asked. host, port: of a whois server. sources: the registries that count,
    all that the server has if there are none. bgpq4: name or path of that program, "" for never. timeout_seconds: for
    one list."""

    host: str = "whois.radb.net"
    port: Port = 43
    sources: tuple[str, ...] = ()
    bgpq4: str = "bgpq4"
    timeout_seconds: Annotated[int, Meta(ge=1)] = 120


class PrefixSource(Struct, rename="pascal", frozen=True, kw_only=True):
    """A list of prefixes: in a file, at a URL, of AS numbers, of a country, of domain names, or of other lists.

    json, column: where the prefixes are in JSON and CSV, see content.Form. via: who says what AS numbers have.
    as_sets: of an IRR. sources, without: the names of the lists that are joined, and of those that are taken away.
    options: of a kind of another package. interval: seconds until the source is asked again.

    A refresh that brings more prefixes than `max`, or takes away more than the part `max_shrink` of them, or makes
    the list more than `max_growth` times as large, is held back. timeout: seconds for all of a fetch. expires: ISO
    8601; the list counts until then, and has nothing after that.
    """

    name: str
    kind: str = "file"
    description: str = ""
    community: str | None = None
    url: str = ""
    path: str = ""
    json: str = ""
    column: str = ""
    asn: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0
    asns: tuple[AsNumber, ...] = ()
    as_sets: tuple[str, ...] = ()
    via: Literal["ripestat", "irr"] = "ripestat"
    country: str = ""
    domain: str = ""
    domains: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    options: dict[str, str] = {}
    interval: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    timeout: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    headers: dict[str, str] = {}
    max: Annotated[int, Meta(ge=1, le=2**31)] = 2_000_000
    max_shrink: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_growth: Annotated[float, Meta(ge=1)] | None = None
    add_communities: tuple[str, ...] = ()
    med: Med | None = None
    prepends: Prepends | None = None
    next_hop: str = ""
    next_hop_ipv6: str = ""
    expires: str = ""

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the lists of which it is made."""
        return (*self.sources, *self.without)


class Rov(Struct, rename="pascal", frozen=True, kw_only=True):
    """Route origin validation (RFC 6811) of lists of AS numbers.

    vrps: path or URL of the JSON of a validator. mode: tag adds communities by the validity, drop leaves invalid
    prefixes out. valid, not_found, invalid: these communities. interval: seconds until a URL is asked again.

    rpki: the sources of VRPs in place of `vrps`, the best one first; the rest is as the options --rpki-... of bgpipe
    have it, with seconds for durations and 0 for their defaults.
    """

    vrps: str = ""
    rpki: tuple[str, ...] = ()
    rpki_refresh: Count = 0
    rpki_retry: Count = 0
    rpki_expire: Count = 0
    rpki_stale: Literal["keep", "drop"] = "keep"
    rpki_shrink: bool = False
    rpki_slurm: str = ""
    rpki_version: Annotated[int, Meta(ge=0, le=2)] = 2
    rpki_bind: str = ""
    rpki_md5: str = ""
    rpki_ca: str = ""
    rpki_cert: str = ""
    rpki_key: str = ""
    rpki_insecure: bool = False
    mode: Literal["tag", "drop", "off"] = "tag"
    valid: str = ""
    not_found: str = ""
    invalid: str = ""
    interval: Annotated[int, Meta(ge=1)] = 600

    @property
    def on(self) -> bool:
        return self.mode != "off" and bool(self.vrps or self.rpki)


class RateLimit(Struct, rename="pascal", frozen=True, kw_only=True):
    """A token bucket for each address that asks the API."""

    enabled: bool = True
    token_limit: int = 120
    tokens_per_period: int = 120
    period_seconds: int = 60
    max_concurrent_requests: Count = 0


class AutoRefresh(Struct, rename="pascal", frozen=True, kw_only=True):
    """How often sources are asked whether they have changed."""

    enabled: bool = False
    interval_seconds: Annotated[int, Meta(ge=1)] = 600
    no_etag_interval_seconds: Annotated[int, Meta(ge=1)] = 3600
    max_jitter_ms: Count = 2000


class Webhook(Struct, rename="pascal", frozen=True, kw_only=True):
    """Where events are sent. secret: signs them; itself, $VARIABLE or /file. events: kinds, all if none is named."""

    name: str
    url: str
    secret: str
    events: tuple[str, ...] = ()


TokenRole = Literal["admin", "operator", "reader", "peer"]


class ConfiguredToken(Struct, rename="pascal", frozen=True, kw_only=True):
    """A token that the configuration owns. token: itself, $VARIABLE or /file. peer: ADDRESS#AS, for the role peer."""

    name: str
    role: TokenRole
    token: str
    peer: str = ""


class Config(Struct, rename="pascal", frozen=True, kw_only=True):
    """A configuration without faults.

    stages: words of stages that the session of each peer has, next to its connection, as on the command line of bgpipe.
    anonymous_role: what may be done over the API without a token; all of it on loopback if there are no tokens, nothing
    else if that is not said. peers_by_address: who asks from the address of a peer may change that peer. database: a
    path, or a URL of SQLAlchemy such as postgresql+asyncpg://...; bgplite.db in the folder for state if it is not said.
    database_key: encrypts keys of peers, URLs and headers of lists in it; itself, $VARIABLE or /file. A database
    that is no file of SQLite always has one: database.key in the folder for state if it is not said.
    """

    bgp: Bgp
    peers: tuple[ConfiguredPeer, ...] = ()
    groups: tuple[Group, ...] = ()
    defaults: Defaults = Defaults()
    rov: Rov = Rov()
    stages: tuple[str, ...] = ()
    api_port: Port = 5000
    api_listen: str | None = None
    default_prefix_source: str | None = None
    custom_prefix_community: str | None = None
    custom_asn_community: str | None = None
    exclude: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    trust_x_real_ip: bool = False
    max_request_body_bytes: Annotated[int, Meta(ge=1024, le=67108864)] = 1_048_576
    cors_allowed_origins: tuple[str, ...] = ()
    ripe_stat: RipeStat = RipeStat()
    irr: Irr = Irr()
    prefix_sources: tuple[PrefixSource, ...] = ()
    api_rate_limit: RateLimit | None = None
    auto_refresh: AutoRefresh = AutoRefresh()
    allowed_networks: tuple[str, ...] = ()
    tokens: tuple[ConfiguredToken, ...] = ()
    anonymous_role: Literal["none", "reader", "operator", "admin"] | None = None
    peers_by_address: bool = False
    webhooks: tuple[Webhook, ...] = ()
    database: str = ""
    database_key: str = ""


def all_lists(config: Config) -> list[PrefixSource]:
    """The lists to which peers can subscribe: PrefixSources, and the AsnLists of RipeStat as such."""
    asn_lists = [
        PrefixSource(
            name=each.name,
            kind="asn" if each.asns else "country",
            description=each.description,
            community=each.community,
            asns=each.asns,
            country=each.country or "",
            add_communities=each.add_communities,
            med=each.med,
            prepends=each.prepends,
            next_hop=each.next_hop,
            next_hop_ipv6=each.next_hop_ipv6,
            expires=each.expires,
        )
        for each in config.ripe_stat.asn_lists
    ]
    return [*asn_lists, *config.prefix_sources]
