"""What can be wrong with the settings of a list, whoever has made it: the configuration or the API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from .config import PrefixSource
from .sources import is_kind, kinds
from .values import (
    check_asn,
    check_community,
    check_country,
    check_next_hop,
    check_next_hop_ipv6,
    check_time,
    check_url,
)

AS_SET: Final = re.compile(r"(?:[A-Za-z0-9-]+::)?(?:AS[0-9]+:)*AS-[A-Za-z0-9_-]+(?::AS[A-Za-z0-9_-]+)*", re.IGNORECASE)
"""The name of an as-set (RFC 2622 section 5.1), with the registry in front of it where that is said."""
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


class SourceFault(NamedTuple):
    """key: of the setting, "" for all of them. text: what is wrong."""

    key: str
    text: str


def source_faults(source: PrefixSource) -> Iterator[SourceFault]:
    """All that is wrong with the settings of one list."""
    if not source.name.strip():
        yield SourceFault("Name", "the name is empty")
    if not is_kind(source.kind):
        yield SourceFault("Kind", f"{source.kind!r}: one of {', '.join(kinds())} is expected")
    for name, value in _NEEDED.get(source.kind, _no_needs)(source).items():
        if not value:
            yield SourceFault(name, f"is missing: a source of the kind {source.kind} needs it")
    if source.as_sets and source.via != "irr":
        yield SourceFault("AsSets", "only an IRR knows as-sets: Via: irr is expected")
    for key, check, values in _checks(source):
        for value in values:
            try:
                check(value)
            except ValueError as error:
                yield SourceFault(key, str(error))


def _no_needs(source: PrefixSource) -> dict[str, object]:
    return {}


_NEEDED: Final[Mapping[str, Callable[[PrefixSource], dict[str, object]]]] = {
    "file": lambda source: {"Path": source.path},
    "http": lambda source: {"Url": source.url},
    "asn": lambda source: {"Asn": source.asn or source.asns or source.as_sets},
    "country": lambda source: {"Country": source.country},
    "domain": lambda source: {"Domain": source.domain or source.domains},
    "set": lambda source: {"Sources": source.sources},
}
"""By kind: the settings that it needs, and what they are."""


def _checks(source: PrefixSource) -> Iterator[tuple[str, Callable[[Any], object], tuple[Any, ...]]]:
    yield "Community", check_community, () if source.community is None else (source.community,)
    yield "AddCommunities", check_community, source.add_communities
    yield "NextHop", check_next_hop, (source.next_hop,) if source.next_hop else ()
    yield "NextHopIpv6", check_next_hop_ipv6, (source.next_hop_ipv6,) if source.next_hop_ipv6 else ()
    yield "Expires", check_time, (source.expires,) if source.expires else ()
    yield "Country", check_country, (source.country,) if source.country else ()
    yield "Url", check_url, (source.url,) if source.url else ()
    yield "Asn", check_asn, (source.asn,) if source.asn else ()
    yield "AsSets", check_as_set, source.as_sets
    yield "Domain", check_domain, (source.domain,) if source.domain else ()
    yield "Domains", check_domain, source.domains


def check_as_set(text: str) -> str:
    """The name of an as-set."""
    if not AS_SET.fullmatch(text):
        raise ValueError(f"{text!r}: an as-set such as AS-EXAMPLE or RIPE::AS64500:AS-CUSTOMERS is expected")
    return text


def check_domain(text: str) -> str:
    """A whole domain name."""
    try:
        name = text.rstrip(".").encode("idna").decode() if not text.isascii() else text.rstrip(".")
    except UnicodeError:
        name = ""
    if "*" in text:
        raise ValueError(f"{text!r}: a whole name is expected; nobody can ask for all names of a domain")
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{text!r}: a domain name such as www.example.org is expected")
    return name


def membership_faults(
    sources: Mapping[str, PrefixSource], known: Callable[[str], bool]
) -> Iterator[tuple[str, SourceFault]]:
    """(name of a list, what is wrong with its members): lists that there are not, and lists that contain themselves.

    sources: by name. known: whether there is such a list elsewhere.
    """
    for name, source in sources.items():
        if source.kind != "set":
            continue
        for key, members in (("Sources", source.sources), ("Without", source.without)):
            for member in members:
                if member not in sources and not known(member):
                    yield name, SourceFault(key, f"there is no list {member!r}")
                elif path := _path(sources, member, name):
                    text = " -> ".join((name, *path))
                    yield name, SourceFault(key, f"the list is a part of itself: {text}")


def _path(sources: Mapping[str, PrefixSource], start: str, end: str) -> list[str]:
    """The lists from one to another that is a part of it; none if it isn't."""
    before: dict[str, str] = {start: ""}
    waiting = [start]
    while waiting:
        name = waiting.pop(0)
        if name == end:
            path = [name]
            while before[path[0]]:
                path.insert(0, before[path[0]])
            return path
        source = sources.get(name)
        for member in source.members if source is not None and source.kind == "set" else ():
            if member not in before:
                before[member] = name
                waiting.append(member)
    return []
