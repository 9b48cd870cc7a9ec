"""Prefixes with MPLS labels (RFC 8277), and those of VPNs, behind a route distinguisher (RFC 4364, RFC 4659).

JSON: {"prefix":"192.0.2.0/24","labels":[16]}, of a VPN {"rd":"65000:1","prefix":"192.0.2.0/24","labels":[16]}.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from ..errors import TextError, WireError
from ..prefix import AFI_BITS, encode_prefix, format_prefixes, parse_prefix
from .codec import Members, NlriCodec
from .layout import text
from .text import DISTINGUISHER, LABEL, format_labels, format_rd, parse_labels, parse_rd

_WITHDRAWN: Final = (b"\x80\0\0", b"\0\0\0")
"""What stands for any label in a withdrawal (RFC 8277 section 2.4)."""


def _labels_end(octets: bytes, before: int, address: int) -> int:
    """Where the labels end. before: bits of a route distinguisher. address: bits of an address. Raises WireError.

    If no label has the last-label bit there is one (RFC 8277 section 2.2: the bit is then ignored).
    """
    left = octets[0] - before
    pos = 1
    while left >= 8 * LABEL:
        label = octets[pos : pos + LABEL]
        pos += LABEL
        left -= 8 * LABEL
        if left <= address and (label[2] & 1 or label in _WITHDRAWN):
            return pos
    if not 0 <= octets[0] - before - 8 * LABEL <= address:
        raise WireError(f"labeled NLRI of {octets[0]} bits")
    return 1 + LABEL


def withdrawal(octets: bytes, afi: int, vpn: bool = False) -> bytes:
    """What withdraws a route with labels: its NLRI with one label in place of several (RFC 8277 section 2.4). Raises
    WireError."""
    end = _labels_end(octets, 8 * DISTINGUISHER if vpn else 0, AFI_BITS[afi])
    more = end - 1 - LABEL
    return bytes((octets[0] - 8 * more,)) + _WITHDRAWN[0] + octets[end:] if more else octets


def to_json(octets: bytes, afi: int, vpn: bool) -> Members:
    before = DISTINGUISHER if vpn else 0
    end = _labels_end(octets, 8 * before, AFI_BITS[afi])
    members: Members = {"rd": format_rd(octets[end : end + DISTINGUISHER])} if vpn else {}
    prefix = bytes((octets[0] - 8 * (end - 1 + before),)) + octets[end + before :]
    members["prefix"] = format_prefixes(prefix, afi)[0]
    members["labels"] = format_labels(octets[1:end], True)
    return members


def from_json(members: Mapping[str, object], afi: int, vpn: bool) -> bytes:
    if unknown := members.keys() - ({"rd", "prefix", "labels"} if vpn else {"prefix", "labels"}):
        raise TextError(f"unknown key {min(unknown)!r}")
    prefix = parse_prefix(text(members.get("prefix")))
    if prefix.afi != afi or prefix.path_id is not None:
        raise TextError(f"not an IPv{4 if afi == 1 else 6} prefix: {members['prefix']!r}")
    before = parse_labels(members.get("labels"), True) + (parse_rd(text(members.get("rd"))) if vpn else b"")
    bits = 8 * len(before) + prefix.length
    if bits > 255:
        raise TextError(f"{len(before)} octets of labels are too many")
    return bytes((bits,)) + before + encode_prefix(prefix)[1:]


def _codec(afi: int, vpn: bool) -> NlriCodec:
    return NlriCodec(partial(to_json, afi=afi, vpn=vpn), partial(from_json, afi=afi, vpn=vpn))


IPV4: Final = _codec(1, False)
IPV6: Final = _codec(2, False)
VPN_IPV4: Final = _codec(1, True)
VPN_IPV6: Final = _codec(2, True)
