"""Tunnel types of the attribute TUNNEL_ENCAPSULATION and of the extended community (RFC 9012 section 12), by IANA."""

from __future__ import annotations

from typing import Final

TUNNEL_TYPES: Final = {
    1: "L2TPV3",
    2: "GRE",
    7: "IP_IN_IP",
    8: "VXLAN",
    9: "NVGRE",
    10: "MPLS",
    11: "MPLS_IN_GRE",
    12: "VXLAN_GPE",
    13: "MPLS_IN_UDP",
    14: "IPV6_TUNNEL",
    15: "SR_POLICY",
    16: "BARE",
    19: "GENEVE",
}
