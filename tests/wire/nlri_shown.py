"""NLRI of each family and type, as octets and as JSON."""

from __future__ import annotations

RD = "0000fde800000001"
ESI = "00112233445566778899"
SEGMENT = "00:11:22:33:44:55:66:77:88:99"
TAG = "00000005"
MAC = "3000005e005301"
V4 = "20c0000201"
GROUP = "20ef000001"
V6 = "20010db8" + "00" * 11 + "01"


def counted(octets: str) -> str:
    """Octets behind their number."""
    return f"{len(octets) // 2:02x}{octets}"


def evpn(kind: int, octets: str) -> str:
    return f"{kind:02x}{counted(octets)}"


# family, octets, JSON
SHOWN = {
    "labeled": ("IPV4/MPLS", "30000101c00002", {"prefix": "192.0.2.0/24", "labels": [16]}),
    "two labels": ("IPV6/MPLS", "6000010000011120010db80001", {"prefix": "2001:db8:1::/48", "labels": [16, 17]}),
    "for a withdrawal": ("IPV4/MPLS", "30800000c00002", {"prefix": "192.0.2.0/24", "labels": ["0x800000"]}),
    "another one": ("IPV4/MPLS", "30000000c00002", {"prefix": "192.0.2.0/24", "labels": ["0x000000"]}),
    "no last label": ("IPV4/MPLS", "30000100c00002", {"prefix": "192.0.2.0/24", "labels": ["0x000100"]}),
    "a traffic class": ("IPV4/MPLS", "30000103c00002", {"prefix": "192.0.2.0/24", "labels": ["0x000103"]}),
    "bits behind the mask": ("IPV4/MPLS", "2f000101c00003", {"value": "0x2f000101c00003"}),
    "VPN": ("IPV4/MPLS_VPN", f"70000031{RD}0a0100", {"rd": "65000:1", "prefix": "10.1.0.0/24", "labels": [3]}),
    "VPN, default route": ("IPV6/MPLS_VPN", f"58000031{RD}", {"rd": "65000:1", "prefix": "::/0", "labels": [3]}),
    "multicast VPN": (
        "IPV6/MULTICAST_VPNS",
        f"60000031{RD}20",
        {"rd": "65000:1", "prefix": "2000::/8", "labels": [3]},
    ),
    "multicast VPN without labels": ("IPV4/MULTICAST_VPNS", f"48{RD}0a", {"value": f"0x48{RD}0a"}),
    "EVPN 1": (
        "L2VPN/EVPNS",
        evpn(1, RD + ESI + TAG + "000640"),
        {"type": "AUTO_DISCOVERY", "rd": "65000:1", "esi": SEGMENT, "tag": 5, "labels": [100]},
    ),
    "EVPN 2": (
        "L2VPN/EVPNS",
        evpn(2, RD + "00" * 10 + TAG + MAC + V4 + "000640000641"),
        {
            "type": "MAC_IP",
            "rd": "65000:1",
            "esi": "0",
            "tag": 5,
            "mac": "00:00:5e:00:53:01",
            "ip": "192.0.2.1",
            "labels": [100, "0x000641"],
        },
    ),
    "EVPN 2 without an address": (
        "L2VPN/EVPNS",
        evpn(2, RD + "00" * 10 + TAG + MAC + "00" + "000064"),
        {"type": "MAC_IP", "rd": "65000:1", "esi": "0", "tag": 5, "mac": "00:00:5e:00:53:01", "labels": ["0x000064"]},
    ),
    "EVPN 3": (
        "L2VPN/EVPNS",
        evpn(3, RD + TAG + "80" + V6),
        {"type": "MULTICAST", "rd": "65000:1", "tag": 5, "ip": "2001:db8::1"},
    ),
    "EVPN 4": (
        "L2VPN/EVPNS",
        evpn(4, RD + ESI + V4),
        {"type": "SEGMENT", "rd": "65000:1", "esi": SEGMENT, "ip": "192.0.2.1"},
    ),
    "EVPN 5": (
        "L2VPN/EVPNS",
        evpn(5, RD + "00" * 10 + TAG + "080a000000" + "c0000201" + "000640"),
        {
            "type": "IP_PREFIX",
            "rd": "65000:1",
            "esi": "0",
            "tag": 5,
            "prefix": "10.0.0.0/8",
            "gateway": "192.0.2.1",
            "labels": [100],
        },
    ),
    "EVPN 5, IPv6": (
        "L2VPN/EVPNS",
        evpn(5, RD + "00" * 10 + TAG + "20" + "20010db8" + "00" * 12 + V6 + "000640"),
        {
            "type": "IP_PREFIX",
            "rd": "65000:1",
            "esi": "0",
            "tag": 5,
            "prefix": "2001:db8::/32",
            "gateway": "2001:db8::1",
            "labels": [100],
        },
    ),
    "EVPN 5 with bits behind the mask": (
        "L2VPN/EVPNS",
        evpn(5, RD + "00" * 10 + TAG + "080a000001" + "c0000201" + "000640"),
        {"type": 5, "value": f"0x{RD}{'00' * 10}{TAG}080a000001c0000201000640"},
    ),
    "EVPN 6": (
        "L2VPN/EVPNS",
        evpn(6, RD + TAG + "00" + GROUP + V4 + "02"),
        {
            "type": "SMET",
            "rd": "65000:1",
            "tag": 5,
            "group": "239.0.0.1",
            "originator": "192.0.2.1",
            "flags": 2,
        },
    ),
    "EVPN 7": (
        "L2VPN/EVPNS",
        evpn(7, RD + ESI + TAG + V4 + GROUP + V4 + "01"),
        {
            "type": "JOIN_SYNC",
            "rd": "65000:1",
            "esi": SEGMENT,
            "tag": 5,
            "source": "192.0.2.1",
            "group": "239.0.0.1",
            "originator": "192.0.2.1",
            "flags": 1,
        },
    ),
    "EVPN 8": (
        "L2VPN/EVPNS",
        evpn(8, RD + ESI + TAG + V4 + GROUP + V4 + "00000000" + "0a" + "01"),
        {
            "type": "LEAVE_SYNC",
            "rd": "65000:1",
            "esi": SEGMENT,
            "tag": 5,
            "source": "192.0.2.1",
            "group": "239.0.0.1",
            "originator": "192.0.2.1",
            "max_response_time": 10,
            "flags": 1,
        },
    ),
    "EVPN 8 of a draft": (
        "L2VPN/EVPNS",
        evpn(8, RD + ESI + TAG + V4 + GROUP + V4 + "0000000a01"),
        {"type": 8, "value": f"0x{RD}{ESI}{TAG}{V4}{GROUP}{V4}0000000a01"},
    ),
    "EVPN 9": (
        "L2VPN/EVPNS",
        evpn(9, RD + TAG + "0009fde800000001"),
        {"type": "PMSI", "rd": "65000:1", "tag": 5, "region": "0x0009fde800000001"},
    ),
    "EVPN 10": (
        "L2VPN/EVPNS",
        evpn(10, RD + TAG + V4 + GROUP + V4),
        {
            "type": "SPMSI",
            "rd": "65000:1",
            "tag": 5,
            "source": "192.0.2.1",
            "group": "239.0.0.1",
            "originator": "192.0.2.1",
        },
    ),
    "EVPN 11": (
        "L2VPN/EVPNS",
        evpn(11, evpn(3, RD + TAG + V4) + V4),
        {"type": "LEAF", "key": f"0x0311{RD}{TAG}{V4}", "originator": "192.0.2.1"},
    ),
    "EVPN 99": ("L2VPN/EVPNS", "63020102", {"type": 99, "value": "0x0102"}),
    "EVPN, cut short inside": ("L2VPN/EVPNS", "0301ff", {"type": 3, "value": "0xff"}),
    "MCAST-VPN 1": (
        "IPV4/MCAST_VPN",
        evpn(1, RD + "c0000201"),
        {"type": "INTRA_AS_PMSI", "rd": "65000:1", "originator": "192.0.2.1"},
    ),
    "MCAST-VPN 2": (
        "IPV4/MCAST_VPN",
        evpn(2, RD + "0000fde8"),
        {"type": "INTER_AS_PMSI", "rd": "65000:1", "source_as": 65000},
    ),
    "MCAST-VPN 3": (
        "IPV6/MCAST_VPN",
        evpn(3, RD + "80" + V6 + "00" + V6),
        {"type": "SPMSI", "rd": "65000:1", "source": "2001:db8::1", "originator": "2001:db8::1"},
    ),
    "MCAST-VPN 4": (
        "IPV4/MCAST_VPN",
        evpn(4, evpn(2, RD + "0000fde8") + "c0000201"),
        {"type": "LEAF", "key": f"0x020c{RD}0000fde8", "originator": "192.0.2.1"},
    ),
    "MCAST-VPN 5": (
        "IPV4/MCAST_VPN",
        evpn(5, RD + V4 + GROUP),
        {"type": "SOURCE_ACTIVE", "rd": "65000:1", "source": "192.0.2.1", "group": "239.0.0.1"},
    ),
    "MCAST-VPN 6": (
        "IPV4/MCAST_VPN",
        evpn(6, RD + "0000fde8" + V4 + GROUP),
        {
            "type": "SHARED_TREE_JOIN",
            "rd": "65000:1",
            "source_as": 65000,
            "source": "192.0.2.1",
            "group": "239.0.0.1",
        },
    ),
    "MCAST-VPN 7": (
        "IPV4/MCAST_VPN",
        evpn(7, RD + "0000fde8" + V4 + GROUP),
        {
            "type": "SOURCE_TREE_JOIN",
            "rd": "65000:1",
            "source_as": 65000,
            "source": "192.0.2.1",
            "group": "239.0.0.1",
        },
    ),
    "VPLS": (
        "L2VPN/VPLS",
        f"0011{RD}000500010008029ce1",
        {"rd": "65000:1", "ve": 5, "offset": 1, "size": 8, "base": 10702},
    ),
    "VPLS, an odd label": (
        "L2VPN/VPLS",
        f"0011{RD}000500010008029ce0",
        {"rd": "65000:1", "ve": 5, "offset": 1, "size": 8, "base": "0x029ce0"},
    ),
    "VPLS, RFC 6074": ("L2VPN/VPLS", f"000c{RD}c0000201", {"rd": "65000:1", "pe": "192.0.2.1"}),
    "VPLS of another length": ("L2VPN/VPLS", "000101", {"value": "0x000101"}),
    "Route Target": (
        "IPV4/ROUTE_TARGET",
        "600000fde80002fde800000001",
        {"origin": 65000, "target": {"type": "TARGET", "value": "65000:1"}},
    ),
    "all Route Targets of an AS": ("IPV4/ROUTE_TARGET", "200000fde8", {"origin": 65000}),
    "all Route Targets": ("IPV4/ROUTE_TARGET", "00", {}),
    "a part of a Route Target": ("IPV4/ROUTE_TARGET", "300000fde80002", {"value": "0x300000fde80002"}),
    "SR Policy": (
        "IPV4/SR_TE_POLICY",
        "6000000001000000640a000001",
        {"distinguisher": 1, "color": 100, "endpoint": "10.0.0.1"},
    ),
    "SR Policy, IPv6": (
        "IPV6/SR_TE_POLICY",
        "c00000000100000064" + V6,
        {"distinguisher": 1, "color": 100, "endpoint": "2001:db8::1"},
    ),
    "SR Policy of another length": ("IPV4/SR_TE_POLICY", "2000000001", {"value": "0x2000000001"}),
    "FlowSpec, IPv4": (
        "IPV4/FLOWSPEC",
        counted(
            "0118c00002" + "020d0a08" + "038106" + "040319d41f90" + "05910050" + "078200" + "0900028110" + "0c8204"
        ),
        {
            "DST": "192.0.2.0/24",
            "SRC": "10.8.0.0/13",
            "PROTO": [{"op": "==", "val": 6}],
            "PORT": [{"op": ">=", "val": 25}, {"and": True, "op": "<", "val": 8080}],
            "PORT_DST": [{"op": "==", "len": 2, "val": 80}],
            "ICMP_TYPE": [{"op": ">", "val": 0}],
            "TCP_FLAGS": [{"op": "ANY", "len": 1, "val": "0x2"}, {"op": "ALL", "len": 1, "val": "0x10"}],
            "FRAG": [{"op": "NONE", "len": 1, "val": "0x4"}],
        },
    ),
    "FlowSpec, IPv6": (
        "IPV6/FLOWSPEC",
        counted("01200020010db8" + "026840123456789a" + "0ab10000000000000064" + "0c8301" + "0da100012345"),
        {
            "DST": "2001:db8::/32",
            "SRC": "::1234:5678:9a00:0/64-104",
            "PKTLEN": [{"op": "==", "len": 8, "val": 100}],
            "FRAG": [{"op": "NOT-ALL", "len": 1, "val": "0x1"}],
            "LABEL": [{"op": "==", "val": 74565}],
        },
    ),
    "FlowSpec, unknown component": (
        "IPV4/FLOWSPEC",
        counted("01080a" + "0d8105"),
        {"DST": "10.0.0.0/8", "FlowType(13)": "0x8105"},
    ),
    "FlowSpec of a VPN": ("IPV4/L3VPN_FLOWSPEC", counted(RD + "01080a"), {"RD": "65000:1", "DST": "10.0.0.0/8"}),
    "FlowSpec of an IPv6 VPN": ("IPV6/L3VPN_FLOWSPEC", counted(RD + "0108000a"), {"RD": "65000:1", "DST": "a00::/8"}),
    "FlowSpec, long": (
        "IPV4/FLOWSPEC",
        "f0f0" + "04" + "0105" * 118 + "8105" + "ff",
        {"PORT": [{"op": "==", "val": 5}] * 119, "FlowType(255)": "0x"},
    ),
    "FlowSpec, out of order": ("IPV4/FLOWSPEC", counted("038106" + "01080a"), {"value": "0x0603810601080a"}),
    "FlowSpec, twice": ("IPV4/FLOWSPEC", counted("038106" * 2), {"value": "0x06038106038106"}),
    "FlowSpec, no end": ("IPV4/FLOWSPEC", counted("030106"), {"value": "0x03030106"}),
    "FlowSpec, reserved bit": ("IPV4/FLOWSPEC", counted("038906"), {"value": "0x03038906"}),
    "FlowSpec, length in two octets": ("IPV4/FLOWSPEC", "f003038106", {"value": "0xf003038106"}),
    "FlowSpec, nothing": ("IPV4/FLOWSPEC", "00", {"value": "0x00"}),
    "FlowSpec, no components": ("IPV4/L3VPN_FLOWSPEC", counted(RD), {"value": f"0x08{RD}"}),
    "FlowSpec, an offset too large": ("IPV6/FLOWSPEC", counted("01404000"), {"value": "0x0401404000"}),
}
