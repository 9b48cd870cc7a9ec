"""Whether what a configuration says of routes has room in an UPDATE, beside a prefix (RFC 4271 section 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..routes.attributes import PLAIN, Attributes, UpdateGroup, why_not
from ..wire.context import AS2
from .config import Config, all_lists
from .rules import Rules, attributes_of, resolve, rules_of
from .tables import list_attributes

_FORM: Final = UpdateGroup(0xFFFFFFFF, "0.0.0.0", "::", AS2, otc=1)
"""The form that leaves the least room: AS numbers stand in two path attributes, messages have 4096 octets."""


def length_faults(config: Config, keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(key, fault) of path attributes that are too long for an UPDATE. keys: of lists, by name.

    What is said by a list, and by groups and peers, must have room together: any peer may choose any list.
    """
    defaults = rules_of(config.defaults)
    levels = {"Defaults": defaults}
    groups = {each.name: rules_of(each) for each in config.groups}
    levels |= {f"Groups[{number}]": resolve(each, defaults) for number, each in enumerate(groups.values())}
    for number, peer in enumerate(config.peers):
        group = groups.get(peer.group, Rules())
        levels[f"Peers[{number}]"] = resolve(rules_of(peer), group, defaults)
    worst, longest = "", PLAIN
    for key, rules in levels.items():
        found = rules.attributes
        if not _has_room(found):
            yield f"{key}.AddCommunities", "these path attributes leave no room for a prefix in an UPDATE"
        elif _length(found) > _length(longest):
            worst, longest = key, found
    for each in all_lists(config):
        found = list_attributes(each)
        if not _has_room(found):
            yield f"{keys[each.name]}.AddCommunities", "these path attributes leave no room for a prefix in an UPDATE"
        elif not _has_room(found.joined(longest)):
            text = f"these path attributes and those of {worst} leave no room for a prefix in an UPDATE"
            yield f"{keys[each.name]}.AddCommunities", text
    for number, peer in enumerate(config.peers):
        for place, entry in enumerate(peer.custom_prefixes):
            if not isinstance(entry, str):
                said = attributes_of((*entry.communities, entry.community), entry)
                if not _has_room(said.joined(levels[f"Peers[{number}]"].attributes)):
                    text = "its path attributes leave no room for a prefix in an UPDATE"
                    yield f"Peers[{number}].CustomPrefixes[{place}]", text


def _has_room(attributes: Attributes) -> bool:
    return not why_not(attributes, _FORM, 1) and not why_not(attributes, _FORM, 2)


def _length(attributes: Attributes) -> int:
    """Octets, about."""
    octets = 4 * len(attributes.communities) + 12 * len(attributes.large_communities)
    return octets + 8 * len(attributes.ext_communities) + 6 * (attributes.prepends or 0)
