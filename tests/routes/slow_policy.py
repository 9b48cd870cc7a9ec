"""A second, slow implementation of the policy, on the standard library's networks; and a peer that reads UPDATEs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from networks import Network, collapse, exclude, networks

from bgpipe.routes.attributes import Attributes, UpdateGroup
from bgpipe.routes.policy import Common, Guards, PrefixList, Subscription
from bgpipe.wire.block import Block


def policy(subscription: Subscription, lists: Mapping[str, PrefixList], common: Common) -> dict[str, Attributes]:
    """What is announced: the attributes of each prefix."""
    chosen = [name for name in dict.fromkeys(subscription.lists) if name in lists]
    customs = [
        (each, set(exclude(_allowed(each.prefixes, subscription.guards, False), common.exclusions)))
        for each in subscription.customs
    ]
    found = [(name, _list(lists[name], subscription, common)) for name in chosen]
    empty = not any(_allowed(prefixes, subscription.guards) for _, prefixes in [*found, *customs])
    all_failed = bool(chosen) and all(lists[name].failed for name in chosen)
    if empty and not all_failed and common.default in lists:
        names = [name for name in (common.default, *common.more_defaults) if name in lists]
        found = [(name, _list(lists[name], subscription, common)) for name in names]
    own = [network for _, prefixes in customs for network in networks(prefixes)]
    groups: dict[Attributes, set[str]] = {}
    for name, prefixes in found:
        kept = {text for text in prefixes if not any(_inside(ipaddress.ip_network(text), each) for each in own)}
        groups.setdefault(lists[name].attributes.joined(subscription.attributes), set()).update(kept)
    for custom, prefixes in customs:
        groups.setdefault(custom.attributes.joined(subscription.attributes), set()).update(prefixes)
    routes: dict[str, Attributes] = {}
    for attributes, prefixes in groups.items():
        carried = attributes.communities | attributes.large_communities | attributes.ext_communities
        if carried & subscription.unwanted or (subscription.wanted and not carried & subscription.wanted):
            continue
        prefixes = _allowed(prefixes, subscription.guards)
        for text in _united(prefixes, subscription.guards) if subscription.union else prefixes:
            routes[text] = routes[text].joined(attributes) if text in routes else attributes
    return routes


def _list(source: PrefixList, subscription: Subscription, common: Common) -> set[str]:
    prefixes = _allowed(source.prefixes, subscription.guards)
    for exclusions in (common.exclusions, common.bogons if source.fetched else (), subscription.exclusions):
        prefixes = exclude(prefixes, exclusions)
    return prefixes


def _allowed(prefixes: Iterable[str], guards: Guards, lengths: bool = True) -> set[str]:
    bounds = {4: guards.bounds(1), 6: guards.bounds(2)} if lengths else {4: (1, 32), 6: (1, 128)}
    return {
        text
        for text, network in zip(prefixes, networks(prefixes), strict=True)
        if bounds[network.version][0] <= network.prefixlen <= bounds[network.version][1]
    }


def _inside(network: Network, other: Network) -> bool:
    same = network.version == other.version
    return same and network != other and network.subnet_of(other)  # type: ignore[arg-type]


def _united(prefixes: Iterable[str], guards: Guards) -> set[str]:
    """The shortest list, of which nothing is shorter than allowed."""
    found = set()
    for text in collapse(prefixes):
        network = ipaddress.ip_network(text)
        shortest = guards.bounds(1 if network.version == 4 else 2)[0]
        found |= (
            {str(each) for each in network.subnets(new_prefix=shortest)} if network.prefixlen < shortest else {text}
        )
    return found


class Peer:
    """A peer that reads UPDATEs: what it holds, and how it was told."""

    def __init__(self) -> None:
        self.routes: dict[str, dict[str, Any]] = {}
        self.announced: list[str] = []
        self.withdrawn: list[str] = []

    def take(self, blocks: Iterable[Block | None]) -> None:
        self.announced, self.withdrawn = [], []
        for block in filter(None, blocks):
            for message in block:
                update = message.update
                assert update.check("external") == []
                assert len(message.octets) <= message.context.max_message
                for prefix in update.withdrawn:
                    self.withdrawn.append(str(prefix))
                    self.routes.pop(str(prefix), None)
                assert not (update.reach and self.withdrawn), "announcements come first"
                for prefix in update.reach:
                    self.announced.append(str(prefix))
                    self.routes[str(prefix)] = {
                        "communities": set(update.communities),
                        "large_communities": set(update.large_communities),
                        "med": update.med,
                        "path": update.as_path.hops if update.as_path else (),
                        "next_hop": update.next_hop,
                    }


def told(routes: Mapping[str, Attributes], form: UpdateGroup) -> dict[str, dict[str, Any]]:
    """What a peer has to hold of these routes."""
    found = {}
    for text, attributes in routes.items():
        ipv6 = ":" in text
        ours, theirs = (
            (form.next_hop_ipv6, attributes.next_hop_ipv6) if ipv6 else (form.next_hop_ipv4, attributes.next_hop_ipv4)
        )
        hop = ours if theirs in ("", "self") else theirs
        if hop:
            found[text] = {
                "communities": {f"{each >> 16}:{each & 0xFFFF}" for each in attributes.communities},
                "large_communities": {"%d:%d:%d" % each for each in attributes.large_communities},
                "med": attributes.med,
                "path": (form.asn,) * (1 + (attributes.prepends or 0)),
                "next_hop": hop,
            }
    return found
