"""The per-peer header of BGP4MP records (RFC 6396 section 4.4.2): the peer that sent a message, and the local speaker.

As octets: peer AS and local AS (4 octets each here; on disk also 2), interface index (2), AFI (2), then the IP
addresses of the peer and of the local side (4 or 16 octets each, by the AFI). Zeros mean that the value is not known.
As tags: PEER_AS, PEER_IP, LOCAL_AS, LOCAL_IP, INTERFACE; what is zero is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from .address import format_address, parse_address
from .errors import TextError

MAX_PEER: Final = 44
"""Octets of the longest per-peer header."""
_AS_TRANS: Final = b"\x5b\xa0"
"""AS 23456 stands for an AS number that 2 octets can't hold (RFC 6793 section 9)."""
_AFI: Final = {4: b"\0\1", 16: b"\0\2"}
_ORDER: Final = ("PEER_AS", "PEER_IP", "LOCAL_AS", "LOCAL_IP", "INTERFACE")


def make_peer(
    peer_as: int, peer_ip: bytes, local_as: int = 0, local_ip: bytes = b"", interface: bytes = b"\0\0"
) -> bytes:
    """The header of these AS numbers and addresses (4 or 16 octets, both alike; no `local_ip` is zeros)."""
    local_ip = local_ip or bytes(len(peer_ip))
    ases = peer_as.to_bytes(4, "big") + local_as.to_bytes(4, "big")
    return b"".join((ases, interface, _AFI[len(peer_ip)], peer_ip, local_ip))


NOBODY: Final = make_peer(0, bytes(4))
"""The header of a peer of which nothing is known."""


def peer_size(octets: bytes, pos: int, as4: bool) -> int:
    """Octets of the header at `pos`. `as4`: its AS numbers have 4 octets, else 2."""
    if as4:
        return MAX_PEER if octets[pos + 11] == 2 else 20
    return 40 if octets[pos + 7] == 2 else 16


def read_peer(octets: bytes, pos: int, as4: bool) -> bytes:
    """The header at `pos`, with AS numbers of 4 octets. `as4`: they have 4 octets there too, else 2."""
    size = peer_size(octets, pos, as4)
    if as4:
        return octets[pos : pos + size]
    return b"\0\0" + octets[pos : pos + 2] + b"\0\0" + octets[pos + 2 : pos + size]


def shorten_peer(peer: bytes) -> bytes:
    """The header with AS numbers of 2 octets; AS_TRANS stands for one that doesn't fit."""
    ases = [asn[2:] if asn[:2] == b"\0\0" else _AS_TRANS for asn in (peer[0:4], peer[4:8])]
    return b"".join((*ases, peer[8:]))


@lru_cache(maxsize=8192)
def peer_tags(peer: bytes) -> MappingProxyType[str, str]:
    """The tags for a header (with 4-octet AS numbers). AS number 0 and unspecified addresses give no tag."""
    tags = {}
    size = (len(peer) - 12) // 2
    for name, number in (("PEER_AS", peer[0:4]), ("LOCAL_AS", peer[4:8]), ("INTERFACE", peer[8:10])):
        if any(number):
            tags[name] = str(int.from_bytes(number, "big"))
    for name, address in (("PEER_IP", peer[12 : 12 + size]), ("LOCAL_IP", peer[12 + size :])):
        if any(address):
            tags[name] = format_address(address)
    return MappingProxyType({name: tags[name] for name in _ORDER if name in tags})


def order_tags(tags: dict[str, str]) -> dict[str, str]:
    """The same tags, those of a per-peer header first and in its order."""
    known = [name for name in _ORDER if name in tags]
    return tags if known == list(tags)[: len(known)] else {name: tags[name] for name in known} | tags


def peer_from_tags(tags: Mapping[str, str]) -> bytes:
    """The header (with 4-octet AS numbers) that tags describe. A tag that can't be parsed counts as missing."""
    return _peer_from_tags(*map(tags.get, _ORDER))


@lru_cache(maxsize=8192)
def _peer_from_tags(
    peer_as: str | None, peer_ip: str | None, local_as: str | None, local_ip: str | None, interface: str | None
) -> bytes:
    addresses = [_address(peer_ip), _address(local_ip)]
    size = max(map(len, addresses))
    peer, local = (address if len(address) == size else bytes(size) for address in addresses)
    return make_peer(
        _number(peer_as, 32), peer, _number(local_as, 32), local, _number(interface, 16).to_bytes(2, "big")
    )


def _number(text: str | None, bits: int) -> int:
    number = int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else 0
    return 0 if number >> bits else number


def _address(text: str | None) -> bytes:
    try:
        return parse_address(text.partition("%")[0]) if text else bytes(4)
    except TextError:
        return bytes(4)
