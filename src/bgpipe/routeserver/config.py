"""The configuration of a route server: `appsettings.yml`, checked in full before anything begins.

Names, defaults and meaning of the keys are those of BGPLite, and new ones beside them; see docs/routeserver.md.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from ..net.secret import read_secret
from ..net.tcp import check_keys
from ..wire.attrs.community import parse_community
from ..wire.attrs.large_community import parse_large_community
from ..wire.errors import TextError
from .yaml_records import ConfigFaults, Fault, Reader, overlay, parse

AsNumber = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
RESERVED_AS: Final = frozenset((0, 23456, 65535, 0xFFFFFFFF))
"""AS numbers that no peer may have (RFC 4893, RFC 7300, RFC 7607)."""


class Listener(Struct, rename="pascal", frozen=True, kw_only=True):
    """Where peers come in. md5_key: of RFC 2385, for whoever comes in here and has no key of its own."""

    address: str = ""
    port: Port = 179
    md5_key: str = ""


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
    unknown_peers: Literal["default", "pending", "reject"] = "default"
    settle: Seconds = 0.2
    first_wait: Seconds = 30.0


class ConfiguredPeer(Struct, rename="pascal", frozen=True, kw_only=True):
    """A peer that the configuration owns: the API shows it and does not change it."""

    address: str
    remote_asn: AsNumber
    description: str = ""
    lists: tuple[str, ...] = ()
    custom_prefixes: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    communities: tuple[str, ...] = ()
    max_prefix: Count | None = None
    md5_password: str = ""
    next_hop: str = ""
    next_hop_ipv6: str = ""


class AsnList(Struct, rename="pascal", frozen=True, kw_only=True):
    """AS numbers, or a country, by whose prefixes a list is made."""

    name: str
    description: str = ""
    asns: tuple[AsNumber, ...] = ()
    country: str | None = None
    community: str | None = None


class RipeStat(Struct, rename="pascal", frozen=True, kw_only=True):
    """How RIPEstat is asked."""

    url: str = "https://stat.ripe.net"
    timeout_seconds: Count = 180
    retry_attempts: Count = 2
    retry_delay_seconds: Count = 2
    asn_lists: tuple[AsnList, ...] = ()


class PrefixSource(Struct, rename="pascal", frozen=True, kw_only=True):
    """A list of prefixes in a file, at a URL, of AS numbers, or of a country.

    max: prefixes that it has at most; a refresh that brings more is not taken. timeout: seconds for all of a fetch.
    """

    name: str
    kind: Literal["file", "http", "asn", "country"] = "file"
    description: str = ""
    community: str | None = None
    url: str = ""
    path: str = ""
    asn: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0
    asns: tuple[AsNumber, ...] = ()
    country: str = ""
    timeout: Annotated[int, Meta(ge=1)] | None = None
    headers: dict[str, str] = {}
    max: Annotated[int, Meta(ge=1)] = 2_000_000


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


class Config(Struct, rename="pascal", frozen=True, kw_only=True):
    """A configuration without faults. folder: where relative paths begin, that of the file."""

    bgp: Bgp
    peers: tuple[ConfiguredPeer, ...] = ()
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
    prefix_sources: tuple[PrefixSource, ...] = ()
    api_rate_limit: RateLimit | None = None
    auto_refresh: AutoRefresh = AutoRefresh()
    allowed_networks: tuple[str, ...] = ()


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
        )
        for each in config.ripe_stat.asn_lists
    ]
    return [*asn_lists, *config.prefix_sources]


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration in a file, with what environment variables say on top. Raises ConfigFaults, OSError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigFaults([Fault(str(path), "", f"this is not UTF-8 (octet {error.start})")]) from None
    reader = Reader()
    tree = parse(text, str(path), reader)
    overlay(tree, environment, Config, reader)
    config = reader.record(tree, Config)
    _Checks(config, reader).run()
    reader.raise_faults()
    return config


class _Checks:
    """What the types of the keys don't say."""

    def __init__(self, config: Config, reader: Reader) -> None:
        self.config = config
        self.reader = reader

    def run(self) -> None:
        self._bgp(self.config.bgp)
        self._sources()
        for number, peer in enumerate(self.config.peers):
            self._peer(peer, f"Peers[{number}]")
        for key, text in (
            ("CustomPrefixCommunity", self.config.custom_prefix_community),
            ("CustomAsnCommunity", self.config.custom_asn_community),
        ):
            if text is not None:
                self.check(key, check_community, text)
        self._each("Exclude", self.config.exclude, check_prefix)
        self._each("TrustedProxies", self.config.trusted_proxies, check_network)
        self._each("AllowedNetworks", self.config.allowed_networks, check_network)
        if self.config.api_listen is not None:
            self.check("ApiListen", check_address, self.config.api_listen)

    def check(self, key: str, function: Callable[[str], Any], text: str) -> None:
        try:
            function(text)
        except ValueError as error:
            self.reader.fault(key, str(error))

    def _each(self, key: str, texts: tuple[str, ...], function: Callable[[str], Any]) -> None:
        for number, text in enumerate(texts):
            self.check(f"{key}[{number}]", function, text)

    def _bgp(self, bgp: Bgp) -> None:
        fault = self.reader.fault
        self.check("Bgp.RouterId", check_router_id, bgp.router_id)
        if bgp.asn in RESERVED_AS:
            fault("Bgp.Asn", f"{bgp.asn} is reserved: it can be nobody's AS number")
        if bgp.hold_time in (1, 2):
            fault("Bgp.HoldTime", "0 or at least 3 seconds (RFC 4271 section 4.2)")
        elif "Bgp.KeepAlive" in self.reader.places and bgp.hold_time and bgp.keep_alive > max(bgp.hold_time // 3, 1):
            fault("Bgp.KeepAlive", f"at most a third of HoldTime, {max(bgp.hold_time // 3, 1)} seconds")
        if bgp.next_hop:
            self.check("Bgp.NextHop", check_next_hop, bgp.next_hop)
        if bgp.next_hop_ipv6 is not None:
            self.check("Bgp.NextHopIpv6", check_next_hop_ipv6, bgp.next_hop_ipv6)
        self._each("Bgp.Listen", bgp.listen, check_address)
        for number, listener in enumerate(bgp.listeners):
            key = f"Bgp.Listeners[{number}]"
            if listener.address:
                self.check(f"{key}.Address", check_address, listener.address)
            if listener.md5_key:
                self.check(f"{key}.Md5Key", check_md5, listener.md5_key)

    def _sources(self) -> None:
        config = self.config
        seen: dict[str, str] = {}
        for number, each in enumerate(config.ripe_stat.asn_lists):
            key = f"RipeStat.AsnLists[{number}]"
            self._name(each.name, f"{key}.Name", seen)
            if each.community is not None:
                self.check(f"{key}.Community", check_community, each.community)
            if not each.asns and not each.country:
                self.reader.fault(key, "Asns or Country is missing")
            if each.country:
                self.check(f"{key}.Country", check_country, each.country)
        for number, source in enumerate(config.prefix_sources):
            key = f"PrefixSources[{number}]"
            self._name(source.name, f"{key}.Name", seen)
            if source.community is not None:
                self.check(f"{key}.Community", check_community, source.community)
            wanted = {
                "file": ("Path", source.path),
                "http": ("Url", source.url),
                "asn": ("Asn", source.asn or source.asns),
                "country": ("Country", source.country),
            }
            name, value = wanted[source.kind]
            if not value:
                self.reader.fault(f"{key}.{name}", f"is missing: a source of the kind {source.kind} needs it")
            if source.country:
                self.check(f"{key}.Country", check_country, source.country)
            if source.url:
                self.check(f"{key}.Url", check_url, source.url)
        default = config.default_prefix_source
        if default is not None and default not in {each.name for each in config.prefix_sources}:
            self.reader.fault("DefaultPrefixSource", f"{default!r} is not the name of one of PrefixSources")

    def _name(self, name: str, key: str, seen: dict[str, str]) -> None:
        if not name.strip():
            self.reader.fault(key, "the name is empty")
        elif name in seen:
            self.reader.fault(key, f"{name!r} is the name of {seen[name]} already")
        else:
            seen[name] = key.rpartition(".")[0]

    def _peer(self, peer: ConfiguredPeer, key: str) -> None:
        self.check(f"{key}.Address", check_peer_address, peer.address)
        if peer.remote_asn in RESERVED_AS:
            self.reader.fault(f"{key}.RemoteAsn", f"{peer.remote_asn} is reserved: it can be nobody's AS number")
        known = {each.name for each in self.config.prefix_sources}
        known |= {each.name for each in self.config.ripe_stat.asn_lists}
        for number, name in enumerate(peer.lists):
            if name not in known:
                self.reader.fault(f"{key}.Lists[{number}]", f"there is no list {name!r}")
        self._each(f"{key}.CustomPrefixes", peer.custom_prefixes, check_prefix)
        self._each(f"{key}.Exclude", peer.exclude, check_prefix)
        self._each(f"{key}.Communities", peer.communities, check_community)
        for name, text, function in (
            ("Md5Password", peer.md5_password, check_md5),
            ("NextHop", peer.next_hop, check_next_hop),
            ("NextHopIpv6", peer.next_hop_ipv6, check_next_hop_ipv6),
        ):
            if text:
                self.check(f"{key}.{name}", function, text)


# one value each; all raise ValueError with a text that says what is expected


def check_address(text: str) -> str:
    """An IP address, in its usual spelling."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None


def check_peer_address(text: str) -> str:
    """The address of a peer: IPv4 addresses that are mapped into IPv6 are IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_multicast or address in _NO_HOSTS or address in _BROADCAST:
        raise ValueError(f"{text}: no peer can have this address")
    return str(address)


def check_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address, or a network with its length."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r}: an IP address or a network such as 192.0.2.0/24 is expected") from None


def check_prefix(text: str) -> str:
    """A prefix, in its usual spelling: host bits are cleared, an address is one of full length. No default route."""
    network = check_network(text)
    if not network.prefixlen:
        raise ValueError(f"{text}: a default route is never announced, nor excluded")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError(f"{text}: an IPv4 address inside an IPv6 address is no route")
    return str(network)


def check_router_id(text: str) -> str:
    """A BGP identifier (RFC 6286): four octets, not all zero."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(f"{text!r}: a BGP identifier such as 192.0.2.1 is expected") from None
    if not int(address):
        raise ValueError("the BGP identifier must not be 0.0.0.0")
    return str(address)


def check_next_hop(text: str) -> str:
    """A next hop for IPv4 routes, or "self"."""
    if text == "self":
        return text
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(f"{text!r}: an IPv4 address or self is expected") from None
    if address.is_unspecified or address.is_multicast or address in _NO_HOSTS or address in _BROADCAST:
        raise ValueError(f"{text}: no router can have this address")
    return str(address)


def check_next_hop_ipv6(text: str) -> str:
    """A next hop for IPv6 routes: global unicast, or "self"."""
    if text == "self":
        return text
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r}: an IPv6 address or self is expected") from None
    if address.scope_id or address.is_multicast or address.is_unspecified or address.is_link_local:
        raise ValueError(f"{text}: a unicast address that is valid beyond one link is expected")
    return str(address)


def check_community(text: str) -> str:
    """A community `A:V`, or a large community `A:B:C`."""
    try:
        if text.count(":") == 2:
            parse_large_community(text)
        else:
            parse_community(text)
    except TextError:
        raise ValueError(f"{text!r}: a community such as 65001:100, or 65001:0:100, is expected") from None
    return text


def check_country(text: str) -> str:
    """A country."""
    if not (len(text) == 2 and text.isascii() and text.isalpha()):
        raise ValueError(f"{text!r}: two letters are expected (ISO 3166)")
    return text


def check_md5(text: str) -> str:
    """A key for TCP MD5: itself, $VARIABLE or /file."""
    key, where = read_secret(text)
    if not key:
        raise ValueError(f"the key is empty: {where} says nothing")
    check_keys(key, "")
    return key


def check_password(text: str) -> str:
    """A key for TCP MD5 that comes over the API: just itself, never the name of a file or variable of ours."""
    if not 1 <= len(text.encode()) <= 80:
        raise ValueError("1 to 80 octets of UTF-8 are expected")
    return text


def check_url(text: str) -> str:
    """An http or https URL."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise ValueError("an absolute URL that begins with http:// or https:// is expected")
    return text


_NO_HOSTS: Final = ipaddress.ip_network("0.0.0.0/8")
_BROADCAST: Final = ipaddress.ip_network("255.255.255.255/32")
