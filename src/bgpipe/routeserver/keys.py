"""The keys by which segments of peers are authenticated, as the listening sockets have them."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..net.acceptor import Acceptor
from ..net.tcp import Network, ao_ids, parse_networks, split_ao
from ..pipeline.log import Log

_MEMORY: Final = Path("/proc/sys/net/core/optmem_max")
"""Octets that the kernel keeps for the options of a socket, keys among them."""


class Key(NamedTuple):
    """md5: of TCP MD5 (RFC 2385). ao: of TCP-AO (RFC 5925), as `ID:KEY`. "" for none."""

    md5: str = ""
    ao: str = ""


NO_KEY: Final = Key()


def joined(keys: Collection[Key]) -> tuple[Key, bool]:
    """The key of an address or network at which there are peers with these keys, and whether that leaves one out.

    Of MD5 one can be set; TCP-AO tells peers apart by the ids of their keys, so that each id is set once. The kernel
    does not take both.
    """
    found: dict[int, str] = {}
    md5 = sorted({each.md5 for each in keys if each.md5})
    every = {each for key in keys for each in split_ao(key.ao)}
    for each in sorted(every):
        found.setdefault(ao_ids(each)[0], each)
    if found:
        return Key(ao="\n".join(found.values())), bool(md5) or len(found) < len(every)
    return Key(md5[0] if md5 else ""), len(md5) > 1


class Keys:
    """Keys by address or network. Of several networks that hold an address the longest counts.

    A peer whose key could not be set is not let in: its segments would be taken without being authenticated.
    """

    def __init__(self, acceptors: Sequence[Acceptor], log: Log) -> None:
        self._acceptors = acceptors
        self._log = log
        self._wanted: dict[str, Key] = {}
        self._set: dict[str, Key] = {}
        self._failed: dict[str, str] = {}
        """why the key of an address or network is not set"""
        self._networks: list[tuple[Network, str]] = []
        """those that are no single address, the longest first"""

    def change(self, wanted: Mapping[str, Key]) -> None:
        """These are the keys from the next connection on; who is not there needs none any more."""
        for place in self._set.keys() - wanted.keys():
            self._put(place, NO_KEY)
        for place, key in wanted.items():
            if key != self._set.get(place, NO_KEY) or place in self._failed:
                self._put(place, key)
        self._wanted = dict(wanted)
        self._failed = {place: why for place, why in self._failed.items() if place in wanted}
        networks = [(parse_networks([place])[0], place) for place in wanted if "/" in place]
        self._networks = sorted(networks, key=lambda each: -each[0].prefixlen)

    def set_at(self, acceptor: Acceptor) -> None:
        """Sets all keys at one that is being opened."""
        for place, key in tuple(self._set.items()):
            try:
                if key.md5:
                    acceptor.sign(parse_networks([place])[0], key.md5)
                if key.ao:
                    acceptor.authenticate(parse_networks([place])[0], key.ao)
            except OSError as error:
                del self._set[place]
                self._fail(place, error)

    def of(self, address: str) -> Key:
        """The key of a peer at an address."""
        return self._wanted.get(self._place(address), NO_KEY)

    def trouble(self, address: str) -> str:
        """Why a peer at this address can't be let in, "" if it can."""
        return self._failed.get(self._place(address), "")

    def _place(self, address: str) -> str:
        if address in self._wanted or not self._networks:
            return address
        found = ipaddress.ip_address(address.partition("%")[0])
        return next((place for network, place in self._networks if found in network), address)

    def _put(self, place: str, key: Key) -> None:
        network, before = parse_networks([place])[0], self._set.get(place, NO_KEY)
        try:
            for acceptor in self._acceptors:
                if key.md5 != before.md5:
                    acceptor.sign(network, key.md5)
                if key.ao != before.ao:
                    acceptor.authenticate(network, key.ao, before.ao)
        except OSError as error:
            self._fail(place, error)
            return
        self._failed.pop(place, None)
        if key == NO_KEY:
            self._set.pop(place, None)
        else:
            self._set[place] = key

    def _fail(self, place: str, error: OSError) -> None:
        self._failed[place] = why = self._explain(error)
        self._log.error(f"the key of a peer can't be set, so it is not let in: {why}", peer=place)

    def _explain(self, error: OSError) -> str:
        if error.errno == errno.ENOMEM:
            try:
                size = f" of {_MEMORY.read_text().strip()} octets"
            except OSError:
                size = ""
            return (
                f"{len(self._set)} keys fill what the kernel keeps for a socket{size}: "
                "sysctl net.core.optmem_max=... gives it more, for listeners that are opened after that"
            )
        if error.errno == errno.ENOPROTOOPT:
            return "this kernel has no TCP-AO (RFC 5925): it needs Linux 6.7 with CONFIG_TCP_AO; an MD5 key works here"
        return error.strerror or str(error)
