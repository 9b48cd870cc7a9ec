"""Address families: a pair of AFI and SAFI (RFC 4760), with the names that the JSON form uses."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from .errors import TextError

AFI_NAMES: Final[dict[int, str]] = {
    0: "INVALID",
    1: "IPV4",
    2: "IPV6",
    25: "L2VPN",
    26: "MPLS_SECTION",
    27: "MPLS_LSP",
    28: "MPLS_PSEUDOWIRE",
    29: "MT_IPV4",
    30: "MT_IPV6",
    31: "SFC",
    16388: "LS",
    16398: "ROUTING_POLICY",
    16399: "MPLS_NAMESPACES",
}
SAFI_NAMES: Final[dict[int, str]] = {
    0: "INVALID",
    1: "UNICAST",
    2: "MULTICAST",
    4: "MPLS",
    5: "MCAST_VPN",
    6: "PLACEMENT_MSPW",
    7: "TUNNEL_ENCAPSULATION",
    8: "MCAST_VPLS",
    9: "SFC",
    64: "TUNNEL",
    65: "VPLS",
    66: "MDT",
    67: "4OVER6",
    68: "6OVER4",
    69: "L1VPN_DISCOVERY",
    70: "EVPNS",
    71: "LS",
    72: "LS_VPN",
    73: "SR_TE_POLICY",
    74: "SD_WAN_CAPABILITIES",
    75: "ROUTING_POLICY",
    76: "CLASSFUL_TRANSPORT",
    77: "TUNNELED_FLOWSPEC",
    78: "MCAST_TREE",
    79: "DPS",
    80: "LS_SPF",
    83: "CAR",
    84: "VPN_CAR",
    85: "MUP",
    128: "MPLS_VPN",
    129: "MULTICAST_VPNS",
    132: "ROUTE_TARGET",
    133: "FLOWSPEC",
    134: "L3VPN_FLOWSPEC",
    140: "VPN_DISCOVERY",
}
_AFIS: Final = {name: code for code, name in AFI_NAMES.items()}
_SAFIS: Final = {name: code for code, name in SAFI_NAMES.items()}


class Family(NamedTuple):
    """An address family. Its text is AFI/SAFI, as in `IPV4/UNICAST`."""

    afi: int
    safi: int

    def __str__(self) -> str:
        return f"{format_afi(self.afi)}/{format_safi(self.safi)}"

    @property
    def address_bits(self) -> int:
        """Bits of an address: 32, 128, or 0 where NLRI are not plain IP prefixes (RFC 4760)."""
        return _ADDRESS_BITS.get(self, 0)


IPV4_UNICAST: Final = Family(1, 1)
IPV4_MULTICAST: Final = Family(1, 2)
IPV6_UNICAST: Final = Family(2, 1)
IPV6_MULTICAST: Final = Family(2, 2)
_ADDRESS_BITS: Final = {IPV4_UNICAST: 32, IPV4_MULTICAST: 32, IPV6_UNICAST: 128, IPV6_MULTICAST: 128}


def format_afi(afi: int) -> str:
    return AFI_NAMES.get(afi) or f"AFI({afi})"


def format_safi(safi: int) -> str:
    return SAFI_NAMES.get(safi) or f"SAFI({safi})"


def _parse(text: str, names: dict[str, int], kind: str, top: int) -> int:
    upper = text.strip().upper()
    if upper in names:
        return names[upper]
    digits = upper[len(kind) + 1 : -1] if upper.startswith(kind + "(") and upper.endswith(")") else upper
    if digits.isascii() and digits.isdigit() and int(digits[:9]) <= top and len(digits) < 9:
        return int(digits)
    raise TextError(f"unknown {kind} {text!r}: a name such as {next(iter(list(names)[1:]))}, or a number to {top}")


def parse_afi(text: str) -> int:
    """An AFI by name, by number, or as `AFI(n)`. Raises TextError."""
    return _parse(text, _AFIS, "AFI", 65535)


def parse_safi(text: str) -> int:
    """A SAFI by name, by number, or as `SAFI(n)`. Raises TextError."""
    return _parse(text, _SAFIS, "SAFI", 255)


@lru_cache(maxsize=512)
def parse_family(text: str) -> Family:
    """A Family from `AFI/SAFI`. Raises TextError."""
    afi, slash, safi = text.partition("/")
    if not slash:
        raise TextError(f"not a family: {text!r}; AFI/SAFI is expected, as in IPV4/UNICAST")
    return Family(parse_afi(afi), parse_safi(safi))
