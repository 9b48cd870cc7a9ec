"""What tells a route from others: of an NLRI, the octets that stay the same when it is announced again or withdrawn.

Labels don't belong to it (RFC 8277 section 2.4; a withdrawal has others), nor do, in EVPN, the Ethernet segment, the
gateway and the labels of MAC_IP and IP_PREFIX (RFC 7432 section 7.2, RFC 9136 section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..family import Family
from .measure import DISTINGUISHER_BITS, LABEL_BITS, MEASURES, split

_LABELED: Final = {4: 0, 128: DISTINGUISHER_BITS}
"""By SAFI, the bits between labels and prefix."""
_WITHDRAWN: Final = (b"\x80\0\0", b"\0\0\0")
"""What stands for the labels of a withdrawn route."""
_EVPN: Final = Family(25, 70)
_AUTO_DISCOVERY, _MAC_IP, _IP_PREFIX = 1, 2, 5


def split_identified(family: Family, nlri: bytes, add_path: bool) -> Iterator[tuple[bytes, bytes]]:
    """(identity, octets) of each NLRI of a family that is not plain IP prefixes, with its path identifier if
    `add_path`. NLRI of a family that can't be taken apart are one. Raises WireError if they don't fit."""
    measure = MEASURES.get(family)
    if measure is None:
        yield nlri, nlri
        return
    for octets in split(nlri, measure, add_path):
        start = 4 if add_path else 0
        yield octets[:start] + _identity(octets[start:], family), octets


def _identity(nlri: bytes, family: Family) -> bytes:
    if family.afi in (1, 2) and family.safi in _LABELED:
        return _without_labels(nlri, _LABELED[family.safi])
    if family == _EVPN:
        return _of_evpn(nlri)
    return nlri


def _without_labels(nlri: bytes, before: int) -> bytes:
    bits, pos = nlri[0], 1
    while bits >= LABEL_BITS + before:
        label = nlri[pos : pos + 3]
        bits, pos = bits - LABEL_BITS, pos + 3
        if label[2] & 1 or label in _WITHDRAWN:
            break
    return bytes((bits,)) + nlri[pos:]


def _of_evpn(nlri: bytes) -> bytes:
    kind, value = nlri[0], nlri[2:]
    if kind == _AUTO_DISCOVERY:  # behind the label nothing follows
        value = value[:22]
    elif kind == _MAC_IP and len(value) > 30:  # RD, ESI (10), tag (4), MAC (1 + 6), IP (1 + n), labels
        value = value[:8] + value[18 : 30 + (value[29] >> 3)]
    elif kind == _IP_PREFIX and len(value) in (34, 58):  # RD, ESI (10), tag (4), length (1), prefix, gateway, label
        value = value[:8] + value[18 : 23 + (len(value) - 26 >> 1)]
    return bytes((kind,)) + value
