"""Random prefixes, and a second, slow implementation of sets of prefixes: on the standard library's networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from hypothesis import strategies as st

from bgpipe.routes.prefixes import PrefixSet

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _dense(base: str, bits: int) -> st.SearchStrategy[str]:
    """Prefixes of a few lengths close together, so that they meet: 64 addresses at a base."""
    start = int(ipaddress.ip_address(base))

    def text(item: tuple[int, int]) -> str:
        offset, short = item
        size = 1 << short
        make = ipaddress.IPv4Network if bits == 32 else ipaddress.IPv6Network
        return str(make((start + (offset // size * size), bits - short)))

    return st.tuples(st.integers(0, 63), st.integers(0, 6)).map(text)


def _wide(bits: int) -> st.SearchStrategy[str]:
    """Prefixes of any length, with few bits that differ."""
    make = ipaddress.IPv4Network if bits == 32 else ipaddress.IPv6Network

    def text(item: tuple[int, int, int]) -> str:
        top, low, length = item
        address = (top << bits - 4 | low) >> bits - length << bits - length
        return str(make((address, length)))

    return st.tuples(st.integers(0, 15), st.integers(0, 3), st.integers(0, bits)).map(text)


IPV4 = st.one_of(_dense("10.0.0.0", 32), _dense("255.255.255.192", 32), _dense("0.0.0.0", 32), _wide(32))
IPV6 = st.one_of(_dense("2001:db8::", 128), _dense("::", 128), _wide(128))
TEXTS = st.lists(st.one_of(IPV4, IPV6), max_size=20)
SETS = TEXTS.map(PrefixSet.parse)


CLOSE: Final = [f"10.0.0.{low}/{length}" for length in range(28, 33) for low in range(0, 16, 1 << 32 - length)]
"""Sixteen addresses: prefixes of these meet each other often."""


def close(**sizes: int) -> st.SearchStrategy[PrefixSet]:
    """Sets of prefixes that meet each other often, and a few of IPv6."""
    some = st.sampled_from([*CLOSE, "10.0.0.0/27", "2001:db8::/127", "2001:db8::/128", "2001:db8::1/128", "0.0.0.0/0"])
    return st.lists(some, unique=True, **sizes).map(PrefixSet.parse)


def networks(prefixes: Iterable[str]) -> list[Network]:
    return [ipaddress.ip_network(text) for text in prefixes]


def texts(found: Iterable[Network]) -> set[str]:
    return {str(network) for network in found}


def collapse(prefixes: Iterable[str]) -> set[str]:
    """The shortest list with the same addresses, default routes as their halves."""
    found: set[str] = set()
    for version in (4, 6):
        same = [network for network in networks(prefixes) if network.version == version]
        for network in ipaddress.collapse_addresses(same):  # type: ignore[type-var]
            whole = network.prefixlen == 0 and str(network) not in set(prefixes)
            found |= texts(network.subnets()) if whole else {str(network)}
    return found


def exclude(prefixes: Iterable[str], exclusions: Iterable[str]) -> set[str]:
    """What is left of each prefix, cut by one exclusion after the other."""
    left = networks(prefixes)
    for exclusion in networks(exclusions):
        cut: list[Network] = []
        for network in left:
            if network.version != exclusion.version or not network.overlaps(exclusion):  # type: ignore[arg-type]
                cut.append(network)
            elif exclusion.prefixlen < network.prefixlen:
                continue
            elif exclusion != network:
                cut += network.address_exclude(exclusion)  # type: ignore[arg-type]
        left = cut
    return texts(left)


def addresses(prefixes: Iterable[str]) -> set[int | str]:
    """The addresses of prefixes that have few, to be compared one by one; a longer one by its text."""
    found: set[int | str] = set()
    for network in networks(prefixes):
        found |= set(map(str, network)) if network.num_addresses <= 64 else {str(network)}
    return found
