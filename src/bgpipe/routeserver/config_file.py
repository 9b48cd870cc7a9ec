"""A configuration file is read, and checked in full before anything begins: all faults at once, with line and key."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from ..net.tcp import ao_ids
from .attribute_checks import length_faults
from .config import AsnList, Bgp, Config, ConfiguredPeer, Defaults, Rov, all_lists
from .events import Kind as EventKind
from .peer_stages import read_stage
from .rpki import rpki_faults
from .rules import as_written
from .settings import check_capability, check_hold_time, check_role
from .source_checks import membership_faults, source_faults
from .values import (
    check_address,
    check_ao,
    check_ao_keys,
    check_asn,
    check_community,
    check_country,
    check_database,
    check_database_key,
    check_md5,
    check_network,
    check_next_hop,
    check_next_hop_ipv6,
    check_peer_key,
    check_prefix,
    check_router_id,
    check_template_address,
    check_time,
    check_token,
    check_url,
    check_written,
)
from .yaml_records import ConfigFaults, Fault, Reader, overlay, parse


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
    ConfigChecks(config, reader).run()
    reader.raise_faults()
    return config


class ConfigChecks:
    """What the types of the keys don't say. Each fault goes to the reader, which knows its line."""

    def __init__(self, config: Config, reader: Reader) -> None:
        self.config = config
        self.reader = reader

    def run(self) -> None:
        config = self.config
        self._bgp(config.bgp)
        self._sources()
        self._groups()
        self._rules(self.config.defaults, "Defaults")
        self._peers()
        for key, text in (
            ("CustomPrefixCommunity", self.config.custom_prefix_community),
            ("CustomAsnCommunity", self.config.custom_asn_community),
        ):
            if text is not None:
                self.check(key, check_community, text)
        self._each("Exclude", self.config.exclude, check_prefix)
        self._each("TrustedProxies", self.config.trusted_proxies, check_network)
        self._each("AllowedNetworks", self.config.allowed_networks, check_network)
        self._each("Stages", self.config.stages, read_stage)
        self._tokens()
        self._webhooks()
        self.check("Database", check_database, self.config.database)
        if self.config.database_key:
            self.check("DatabaseKey", check_database_key, self.config.database_key)
        if self.config.api_listen is not None:
            self.check("ApiListen", check_address, self.config.api_listen)

        self._rov(config.rov)
        if not self.reader.faults:  # else communities may be none
            keys = {
                each.name: f"RipeStat.AsnLists[{number}]" for number, each in enumerate(self.config.ripe_stat.asn_lists)
            }
            keys |= {each.name: f"PrefixSources[{number}]" for number, each in enumerate(self.config.prefix_sources)}
            for key, text in length_faults(self.config, keys):
                self.reader.fault(key, text)

    def check(self, key: str, function: Callable[[Any], Any], value: object) -> None:
        try:
            function(value)
        except ValueError as error:
            self.reader.fault(key, str(error))

    def _each(self, key: str, texts: tuple[Any, ...], function: Callable[[Any], Any]) -> None:
        for number, text in enumerate(texts):
            self.check(f"{key}[{number}]", function, text)

    def _bgp(self, bgp: Bgp) -> None:
        fault = self.reader.fault
        self.check("Bgp.RouterId", check_router_id, bgp.router_id)
        self.check("Bgp.Asn", check_asn, bgp.asn)
        if bgp.hold_time in (1, 2):
            fault("Bgp.HoldTime", "0 or at least 3 seconds (RFC 4271 section 4.2)")
        elif "Bgp.KeepAlive" in self.reader.places and bgp.hold_time and bgp.keep_alive > max(bgp.hold_time // 3, 1):
            fault("Bgp.KeepAlive", f"at most a third of HoldTime, {max(bgp.hold_time // 3, 1)} seconds")
        if bgp.next_hop:
            self.check("Bgp.NextHop", check_next_hop, bgp.next_hop)
        else:
            self.check("Bgp.RouterId", _check_next_hop_too, bgp.router_id)
        if bgp.next_hop_ipv6 is not None:
            self.check("Bgp.NextHopIpv6", check_next_hop_ipv6, bgp.next_hop_ipv6)
        self._each("Bgp.Listen", bgp.listen, check_address)
        for number, listener in enumerate(bgp.listeners):
            key = f"Bgp.Listeners[{number}]"
            if listener.address:
                self.check(f"{key}.Address", check_address, listener.address)
            if listener.md5_key:
                self.check(f"{key}.Md5Key", check_md5, listener.md5_key)
            if listener.ao_key:
                self.check(f"{key}.AoKey", check_ao, listener.ao_key)

    def _sources(self) -> None:
        config = self.config
        seen: dict[str, str] = {}
        for number, each in enumerate(config.ripe_stat.asn_lists):
            key = f"RipeStat.AsnLists[{number}]"
            self._name(each.name, f"{key}.Name", seen)
            if each.community is not None:
                self.check(f"{key}.Community", check_community, each.community)
            self._said(each, key)
            if each.expires:
                self.check(f"{key}.Expires", check_time, each.expires)
            if not each.asns and not each.country:
                self.reader.fault(key, "Asns or Country is missing")
            if each.country:
                self.check(f"{key}.Country", check_country, each.country)
        for number, source in enumerate(config.prefix_sources):
            key = f"PrefixSources[{number}]"
            self._name(source.name, f"{key}.Name", seen)
            for fault in source_faults(source):
                self.reader.fault(f"{key}.{fault.key}", fault.text)
        keys = {each.name: f"PrefixSources[{number}]" for number, each in enumerate(config.prefix_sources)}
        lists = {each.name: each for each in reversed(all_lists(config))}
        for name, fault in membership_faults(lists, lambda name: False):
            self.reader.fault(f"{keys[name]}.{fault.key}", fault.text)
        self._each("RipeStat.DelegatedFiles", config.ripe_stat.delegated_files, check_url)
        default = config.default_prefix_source
        if default is not None and default not in {each.name for each in config.prefix_sources}:
            self.reader.fault("DefaultPrefixSource", f"{default!r} is not the name of one of PrefixSources")

    def _webhooks(self) -> None:
        seen: dict[str, str] = {}
        for number, hook in enumerate(self.config.webhooks):
            key = f"Webhooks[{number}]"
            self._name(hook.name, f"{key}.Name", seen)
            self.check(f"{key}.Url", check_url, hook.url)
            self.check(f"{key}.Secret", check_token, hook.secret)
            for place, kind in enumerate(hook.events):
                if kind not in get_args(EventKind):
                    known = ", ".join(get_args(EventKind))
                    self.reader.fault(f"{key}.Events[{place}]", f"{kind!r}: one of {known} is expected")

    def _tokens(self) -> None:
        seen: dict[str, str] = {}
        for number, token in enumerate(self.config.tokens):
            key = f"Tokens[{number}]"
            self._name(token.name, f"{key}.Name", seen)
            self.check(f"{key}.Token", check_token, token.token)
            if token.peer:
                self.check(f"{key}.Peer", check_peer_key, token.peer)
            if bool(token.peer) != (token.role == "peer"):
                self.reader.fault(f"{key}.Peer", "ADDRESS#AS is expected here for the role peer, and for no other")

    def _name(self, name: str, key: str, seen: dict[str, str]) -> None:
        if not name.strip():
            self.reader.fault(key, "the name is empty")
        elif name in seen:
            self.reader.fault(key, f"{name!r} is the name of {seen[name]} already")
        else:
            seen[name] = key.rpartition(".")[0]

    def _peers(self) -> None:
        seen: dict[tuple[str, int, int | None], int] = {}
        for number, peer in enumerate(self.config.peers):
            self._peer(peer, f"Peers[{number}]")
            ids = _ao_ids(peer) if "/" in peer.address else []  # keys tell networks apart, and nothing else
            for each in ids or (None,):
                first = seen.setdefault((_spelled(peer.address), peer.remote_asn, each), number)
                if first != number:
                    and_key = "" if each is None else f", and a key with the id {each}"
                    text = f"Peers[{first}] has this address and AS number already{and_key}"
                    self.reader.fault(f"Peers[{number}].Address", text)

    def _peer(self, peer: ConfiguredPeer, key: str) -> None:
        self.check(f"{key}.Address", check_template_address, peer.address)
        if peer.connect and "/" in peer.address:
            self.reader.fault(f"{key}.Connect", f"{peer.address} is a network: nobody can call that")
        if peer.remote_asn or f"{key}.RemoteAsn" in self.reader.places:
            self.check(f"{key}.RemoteAsn", check_asn, peer.remote_asn)
        elif "/" not in peer.address:
            self.reader.fault(f"{key}.RemoteAsn", "is missing")
        self._known_lists(peer.lists, key)
        self._each(f"{key}.CustomPrefixes", peer.custom_prefixes, _check_written)
        self._rules(peer, key)
        if peer.group and peer.group not in {each.name for each in self.config.groups}:
            self.reader.fault(f"{key}.Group", f"there is no group {peer.group!r}")
        self._each(f"{key}.Capabilities", peer.capabilities or (), check_capability)
        self._ao_keys(peer, key)
        for name, value, function in (
            ("Md5Password", peer.md5_password, check_md5),
            ("LocalAddress", peer.local_address, check_address),
            ("Role", peer.role, check_role),
            ("LocalAsn", peer.local_asn, check_asn),
            ("HoldTime", peer.hold_time, check_hold_time),
        ):
            if value:
                self.check(f"{key}.{name}", function, value)

    def _ao_keys(self, peer: ConfiguredPeer, key: str) -> None:
        named = [(f"{key}.AoKey", peer.ao_key)] if peer.ao_key else []
        named += [(f"{key}.AoKeys[{number}]", each) for number, each in enumerate(peer.ao_keys)]
        seen: list[str] = []
        for place, text in named:
            try:
                seen.append(check_ao(text))
                check_ao_keys("\n".join(seen))
            except ValueError as error:
                self.reader.fault(place, str(error))

    def _rov(self, rov: Rov) -> None:
        for name, text in (("Valid", rov.valid), ("NotFound", rov.not_found), ("Invalid", rov.invalid)):
            if text:
                self.check(f"Rov.{name}", check_community, text)
        if "://" in rov.vrps:
            self.check("Rov.Vrps", check_url, rov.vrps)
        if not rov.vrps and not rov.rpki and rov.mode != "off" and "Rov" in self.reader.places:
            self.reader.fault("Rov.Rpki", "is missing: where VRPs come from, such as [192.0.2.8:8282, vrps.json]")
        for key, text in rpki_faults(rov):
            self.reader.fault(key, text)

    def _groups(self) -> None:
        seen: dict[str, str] = {}
        for number, group in enumerate(self.config.groups):
            key = f"Groups[{number}]"
            self._name(group.name, f"{key}.Name", seen)
            self._known_lists(group.lists, key)
            self._rules(group, key)
        for number, listener in enumerate(self.config.bgp.listeners):
            if listener.group and listener.group not in seen:
                self.reader.fault(f"Bgp.Listeners[{number}].Group", f"there is no group {listener.group!r}")

    def _known_lists(self, names: tuple[str, ...], key: str) -> None:
        known = {each.name for each in all_lists(self.config)}
        for number, name in enumerate(names):
            if name not in known:
                self.reader.fault(f"{key}.Lists[{number}]", f"there is no list {name!r}")

    def _rules(self, rules: Defaults, key: str) -> None:
        """What defaults, groups and peers have in common."""
        self._each(f"{key}.Exclude", rules.exclude, _check_written)
        self._each(f"{key}.Communities", rules.communities, check_community)
        self._said(rules, key)
        for name, least, most in (
            ("MaxLengthIpv4", rules.min_length_ipv4, rules.max_length_ipv4),
            ("MaxLengthIpv6", rules.min_length_ipv6, rules.max_length_ipv6),
        ):
            if least is not None and most is not None and least > most:
                self.reader.fault(f"{key}.{name}", f"is less than the least length, {least}")

    def _said(self, said: Defaults | AsnList, key: str) -> None:
        """What is said of routes."""
        self._each(f"{key}.AddCommunities", said.add_communities, check_community)
        for name, text, function in (
            ("NextHop", said.next_hop, check_next_hop),
            ("NextHopIpv6", said.next_hop_ipv6, check_next_hop_ipv6),
        ):
            if text:
                self.check(f"{key}.{name}", function, text)


def _spelled(address: str) -> str:
    """An address or network in its usual spelling, if it is one."""
    try:
        return check_template_address(address)
    except ValueError:
        return address


def _ao_ids(peer: ConfiguredPeer) -> list[int]:
    """The ids of the keys of TCP-AO of a peer; none where one of them can't be read."""
    try:
        return [number for each in (peer.ao_key, *peer.ao_keys) if each for number in ao_ids(check_ao(each))]
    except ValueError:
        return []


def _check_next_hop_too(router_id: str) -> None:
    try:
        check_next_hop(router_id)
    except ValueError as error:
        raise ValueError(f"{error}; it is the next hop of IPv4 routes, unless NextHop says another one") from None


def _check_written(said: Any) -> None:
    check_written(as_written(said))
