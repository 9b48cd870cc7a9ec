"""How many octets an NLRI has, so that one can be told apart from the next (RFC 7606 sections 5.3 and 5.4).

What an NLRI says is not looked at, and types that nobody knows are no error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from ..errors import ShortError, WireError
from ..family import Family

LABEL_BITS: Final = 24
DISTINGUISHER_BITS: Final = 64

Measure = Callable[[bytes, int], int]
"""Octets of the NLRI that starts at a position, with its header. Raises WireError, IndexError."""


def split(octets: bytes, measure: Measure, add_path: bool) -> list[bytes]:
    """The octets of each NLRI, with its path identifier if `add_path`. Raises WireError if they don't fit."""
    found = []
    pos, end = 0, len(octets)
    try:
        while pos < end:
            start = pos + 4 if add_path else pos
            stop = start + measure(octets, start)
            found.append(octets[pos:stop])
            pos = stop
    except IndexError:
        raise ShortError("NLRI is cut short", offset=pos) from None
    except WireError as error:
        error.offset = pos
        raise
    if pos > end:
        raise ShortError("NLRI is cut short", offset=end)
    return found


def _prefix(octets: bytes, pos: int, lengths: range) -> int:
    """Length in bits, then as many octets as they need."""
    bits = octets[pos]
    if bits not in lengths:
        raise WireError(f"NLRI of {bits} bits")
    return 1 + (bits + 7 >> 3)


def _labeled(octets: bytes, pos: int, before: int, address: int) -> int:
    """MPLS labels, the last of them marked by its lowest bit (RFC 8277 section 2), then a prefix.

    before: bits between labels and address, those of a route distinguisher. address: bits of an address.
    """
    bits = octets[pos]
    if bits < LABEL_BITS + before:
        raise WireError(f"labeled NLRI of {bits} bits")
    if octets[pos + 3] & 1 and bits > LABEL_BITS + before + address:
        raise WireError(f"labeled NLRI of {bits} bits with one label")
    return 1 + (bits + 7 >> 3)


def _typed(octets: bytes, pos: int, type_size: int, length_size: int) -> int:
    """A type, and a length in octets behind it."""
    start = pos + type_size
    return type_size + length_size + int.from_bytes((octets[start], *octets[start + 1 : start + length_size]), "big")


def _flow_specification(octets: bytes, pos: int) -> int:
    """A length of one octet, or of twelve bits behind four that are set (RFC 8955 section 4.1)."""
    if octets[pos] < 0xF0:
        return 1 + octets[pos]
    return 2 + ((octets[pos] & 0x0F) << 8 | octets[pos + 1])


def _of(bits: int) -> dict[int, Measure]:
    """By SAFI, the families of IPv4 or IPv6, whose addresses have `bits` bits."""
    return {
        4: partial(_labeled, before=0, address=bits),  # RFC 8277
        5: _SHORT_TYPED,  # MCAST-VPN, RFC 6514 section 4
        73: _ANY_PREFIX,  # SR Policy, RFC 9830 section 2.1
        85: partial(_typed, type_size=3, length_size=1),  # mobile user plane, draft-ietf-bess-mup-safi
        128: partial(_labeled, before=DISTINGUISHER_BITS, address=bits),  # RFC 4364, RFC 4659
        129: _ANY_PREFIX,  # RFC 6514; no RFC has it refused for its labels
        133: _flow_specification,  # RFC 8955, RFC 8956
        134: _flow_specification,
    }


_ANY_PREFIX: Final = partial(_prefix, lengths=range(256))
_SHORT_TYPED: Final = partial(_typed, type_size=1, length_size=1)
_LINK_STATE: Final = partial(_typed, type_size=2, length_size=2)
MEASURES: Final[dict[Family, Measure]] = {
    **{Family(1, safi): measure for safi, measure in _of(32).items()},
    **{Family(2, safi): measure for safi, measure in _of(128).items()},
    Family(1, 132): partial(_prefix, lengths=range(97)),  # Route Target membership, RFC 4684 section 4
    Family(25, 8): _SHORT_TYPED,  # MCAST-VPLS, RFC 7117 section 9
    Family(25, 65): partial(_typed, type_size=0, length_size=2),  # VPLS, RFC 4761 section 3.2.2, RFC 6074
    Family(25, 70): _SHORT_TYPED,  # EVPN, RFC 7432 section 7
    Family(16388, 71): _LINK_STATE,  # BGP-LS, RFC 9552 section 5.2
    Family(16388, 72): _LINK_STATE,
}
