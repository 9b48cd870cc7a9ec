"""NLRI that are kept as octets: whether they can be told apart, by family (RFC 7606 sections 5.3 and 5.4).

What they say is not looked at, and types that nobody knows are no error; families without a row here are not judged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from .context import ALL_FAMILIES, WireContext
from .errors import ShortError, WireError
from .family import Family

LABEL_BITS: Final = 24
DISTINGUISHER_BITS: Final = 64

Measure = Callable[[bytes, int], int]
"""Octets of the NLRI that starts at a position, with its header. Raises WireError, IndexError."""


def check_nlri(octets: bytes, family: Family, context: WireContext) -> WireError | None:
    """What is wrong with the NLRI of a family that is kept raw, None if nothing is."""
    measure = _FAMILIES.get(family)
    if measure is None:
        return None
    wrong = _walk(octets, measure, family in context.add_path)
    if wrong is not None and context.add_path is ALL_FAMILIES and _walk(octets, measure, False) is None:
        return None  # "all families" is said of those that are parsed; others may have no path identifiers
    return wrong


def _walk(octets: bytes, measure: Measure, add_path: bool) -> WireError | None:
    pos, end = 0, len(octets)
    try:
        while pos < end:
            start = pos + 4 if add_path else pos
            pos = start + measure(octets, start)
    except IndexError:
        return ShortError("NLRI is cut short", offset=pos)
    except WireError as error:
        error.offset = pos
        return error
    return ShortError("NLRI is cut short", offset=end) if pos > end else None


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
        85: partial(_typed, type_size=3, length_size=1),  # mobile user plane, draft-ietf-bess-mup-safi
        128: partial(_labeled, before=DISTINGUISHER_BITS, address=bits),  # RFC 4364, RFC 4659
        133: _flow_specification,  # RFC 8955, RFC 8956
        134: _flow_specification,
    }


_SHORT_TYPED: Final = partial(_typed, type_size=1, length_size=1)
_LINK_STATE: Final = partial(_typed, type_size=2, length_size=2)
_FAMILIES: Final[dict[Family, Measure]] = {
    **{Family(1, safi): measure for safi, measure in _of(32).items()},
    **{Family(2, safi): measure for safi, measure in _of(128).items()},
    Family(1, 132): partial(_prefix, lengths=range(97)),  # Route Target membership, RFC 4684 section 4
    Family(25, 8): _SHORT_TYPED,  # MCAST-VPLS, RFC 7117 section 9
    Family(25, 70): _SHORT_TYPED,  # EVPN, RFC 7432 section 7
    Family(16388, 71): _LINK_STATE,  # BGP-LS, RFC 9552 section 5.2
    Family(16388, 72): _LINK_STATE,
}
