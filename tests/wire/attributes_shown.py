"""Path attributes that are shown as the JSON of their structure, as octets and as JSON."""

from __future__ import annotations

from typing import Any

V4 = "c0000201"
V6 = "20010db8" + "00" * 11 + "01"
MAC = "00005e005301"


def tlv(kind: int, value: str, type_size: int = 1, length_size: int = 2) -> str:
    """A TLV in hexadecimal."""
    return f"{kind:0{2 * type_size}x}{len(value) // 2:0{2 * length_size}x}{value}"


def tunnel(kind: int, *sub_tlvs: str) -> str:
    return tlv(kind, "".join(sub_tlvs), type_size=2)


def sub(kind: int, value: str) -> str:
    return tlv(kind, value, length_size=2 if kind >= 128 else 1)


STRUCTURE = tlv(1, "401810000102")
STRUCTURE_SHOWN = {
    "type": "SID_STRUCTURE",
    "locator_block_length": 64,
    "locator_node_length": 24,
    "function_length": 16,
    "argument_length": 0,
    "transposition_length": 1,
    "transposition_offset": 2,
}
BEHAVIOR = "0041000020001000"
BEHAVIOR_SHOWN = {
    "endpoint_behavior": 65,
    "locator_block_length": 32,
    "locator_node_length": 0,
    "function_length": 16,
    "argument_length": 0,
}

SHOWN: dict[str, tuple[str, str, Any]] = {
    # RFC 6514
    "no tunnel": ("PMSI_TUNNEL", "0000000000", {"type": "NO_TUNNEL", "label": 0}),
    "RSVP-TE": (
        "PMSI_TUNNEL",
        f"0001000640{V4}000000070000000a",
        {"type": "RSVP_TE_P2MP", "label": 100, "extended_tunnel": "192.0.2.1", "tunnel": 7, "p2mp": 10},
    ),
    "mLDP": (
        "PMSI_TUNNEL",
        f"000200000006000104{V4}0002dead",
        {"type": "MLDP_P2MP", "label": 0, "fec": 6, "root": "192.0.2.1", "opaque": "0xdead"},
    ),
    "PIM-SSM": (
        "PMSI_TUNNEL",
        f"0003000000{V6}ff3e{'00' * 13}01",
        {"type": "PIM_SSM", "label": 0, "root": "2001:db8::1", "group": "ff3e::1"},
    ),
    "PIM-SM": (
        "PMSI_TUNNEL",
        f"0004000000{V4}ef000001",
        {"type": "PIM_SM", "label": 0, "sender": "192.0.2.1", "group": "239.0.0.1"},
    ),
    "ingress replication of a VNI": (
        "PMSI_TUNNEL",
        f"0106000064{V4}",
        {"type": "INGRESS_REPLICATION", "leaf": True, "label": "0x000064", "endpoint": "192.0.2.1"},
    ),
    "BIER": ("PMSI_TUNNEL", "000b0000000102", {"type": "BIER", "label": 0, "identifier": "0x0102"}),
    "a tunnel that nobody knows": ("PMSI_TUNNEL", "0063000000ab", {"type": 99, "label": 0, "identifier": "0xab"}),
    "flags that nobody knows": ("PMSI_TUNNEL", f"8006000000{V4}", f"0x8006000000{V4}"),
    "an identifier of another length": ("PMSI_TUNNEL", "0006000000c00002", "0x0006000000c00002"),
    # RFC 9012
    "VXLAN": (
        "TUNNEL",
        tunnel(
            8,
            sub(1, f"c0000064{MAC}0000"),
            sub(2, "0800"),
            sub(4, "030b000000000064"),
            sub(6, f"000000000001{V4}"),
            sub(7, "2e"),
            sub(8, "12b5"),
            sub(9, "01"),
        ),
        [
            {
                "type": "VXLAN",
                "sub_tlvs": [
                    {"type": "ENCAPSULATION", "flags": 192, "vni": 100, "mac": "00:00:5e:00:53:01"},
                    {"type": "PROTOCOL_TYPE", "protocol": 2048},
                    {"type": "COLOR", "color": 100},
                    {"type": "ENDPOINT", "address": "192.0.2.1"},
                    {"type": "DS_FIELD", "ds": 46},
                    {"type": "UDP_DESTINATION_PORT", "port": 4789},
                    {"type": "EMBEDDED_LABEL_HANDLING", "handling": 1},
                ],
            }
        ],
    ),
    "other tunnels": (
        "TUNNEL",
        tunnel(1, sub(1, "0000000701020304"))
        + tunnel(2, sub(1, "00000007"))
        + tunnel(10, sub(1, "00"), sub(10, "03e80040"), sub(11, tlv(1, "00000000000007")))
        + tunnel(16, sub(6, "000000000000"), sub(6, f"000000000002{V6}"))
        + tunnel(99, "00"),
        [
            {"type": "L2TPV3", "sub_tlvs": [{"type": "ENCAPSULATION", "session": 7, "cookie": "0x01020304"}]},
            {"type": "GRE", "sub_tlvs": [{"type": "ENCAPSULATION", "key": 7}]},
            {
                "type": "MPLS",
                "sub_tlvs": [
                    {"type": "ENCAPSULATION", "octets": "0x00"},
                    {"type": "LABEL_STACK", "labels": [{"label": 16000, "ttl": 64}]},
                    {"type": "PREFIX_SID", "tlvs": [{"type": "LABEL_INDEX", "index": 7}]},
                ],
            },
            {"type": "BARE", "sub_tlvs": [{"type": "ENDPOINT"}, {"type": "ENDPOINT", "address": "2001:db8::1"}]},
            {"type": 99, "value": "0x00"},
        ],
    ),
    "sub-TLVs that can't be shown, beside one that can": (
        "TUNNEL",
        tunnel(8, sub(2, "08"), sub(6, f"000000010001{V4}"), sub(99, ""), sub(200, "01"), sub(7, "2e")),
        [
            {
                "type": "VXLAN",
                "sub_tlvs": [
                    {"type": 2, "value": "0x08"},
                    {"type": 6, "value": f"0x000000010001{V4}"},
                    {"type": 99, "value": "0x"},
                    {"type": 200, "value": "0x01"},
                    {"type": "DS_FIELD", "ds": 46},
                ],
            }
        ],
    ),
    "a sub-TLV cut short": ("TUNNEL", tunnel(8, "0701"), [{"type": 8, "value": "0x0701"}]),
    "a tunnel cut short": ("TUNNEL", "000800", "0x000800"),
    # RFC 9830
    "SR Policy with labels": (
        "TUNNEL",
        "000f00240c060000000000640d06100005dc01008000110009060000000000010106000003e81100",
        [
            {
                "type": "SR_POLICY",
                "sub_tlvs": [
                    {"type": "PREFERENCE", "preference": 100},
                    {"type": "BINDING_SID", "flags": 16, "label": 24000, "s": True},
                    {
                        "type": "SEGMENT_LIST",
                        "sub_tlvs": [{"type": "WEIGHT", "weight": 1}, {"type": "A", "label": 16001, "s": True}],
                    },
                ],
            }
        ],
    ),
    "SR Policy over SRv6": (
        "TUNNEL",
        tunnel(
            15,
            sub(13, "0000"),
            sub(13, f"0000{V6}"),
            sub(14, "000003"),
            sub(15, "0700"),
            sub(20, f"0000{V6}{BEHAVIOR}"),
            sub(128, "00" + sub(13, f"1000{V6}{BEHAVIOR}") + sub(13, f"0000{V6}") + sub(1, "0000") + sub(3, "00")),
            sub(129, "00" + "70c3b6"),
            sub(130, "00" + "3078"),
            sub(130, "00" + "ff220a00"),
            sub(130, "00" + "220a1b00"),
        ),
        [
            {
                "type": "SR_POLICY",
                "sub_tlvs": [
                    {"type": "BINDING_SID"},
                    {"type": "BINDING_SID", "sid": "2001:db8::1"},
                    {"type": "ENLP", "enlp": 3},
                    {"type": "PRIORITY", "priority": 7},
                    {"type": "SRV6_BINDING_SID", "sid": "2001:db8::1", **BEHAVIOR_SHOWN},
                    {
                        "type": "SEGMENT_LIST",
                        "sub_tlvs": [
                            {"type": "B", "flags": 16, "sid": "2001:db8::1", **BEHAVIOR_SHOWN},
                            {"type": "B", "sid": "2001:db8::1"},
                            {"type": 1, "value": "0x0000"},
                            {"type": 3, "value": "0x00"},
                        ],
                    },
                    {"type": "CANDIDATE_PATH_NAME", "name": "p\xf6"},
                    {"type": "POLICY_NAME", "name": "0x3078"},
                    {"type": "POLICY_NAME", "name": "0xff220a00"},
                    {"type": "POLICY_NAME", "name": '"\n\x1b\0'},
                ],
            }
        ],
    ),
    # RFC 9831
    "SR Policy with segments of nodes and adjacencies": (
        "TUNNEL",
        tunnel(
            15,
            sub(
                128,
                "00"
                + sub(3, f"4001{V4}")
                + sub(3, f"0000{V4}03e81100")
                + sub(4, f"0080{V6}")
                + sub(5, f"000000000007{V4}03e81100")
                + sub(6, f"0000{V4}{V4}")
                + sub(7, f"000000000001{V6}00000002{V6}03e81100")
                + sub(8, f"0000{V6}{V6}")
                + sub(14, f"0080{V6}")
                + sub(14, f"0000{V6}{V6}")
                + sub(14, f"0000{V6}{V6}{BEHAVIOR}")
                + sub(15, f"000000000001{V6}00000002{V6}{V6}")
                + sub(16, f"0080{V6}{V6}{V6}{BEHAVIOR}")
                + sub(5, f"000100000007{V4}")  # reserved bits
                + sub(3, f"0000{V4}00"),  # neither a label nor none
            ),
        ),
        [
            {
                "type": "SR_POLICY",
                "sub_tlvs": [
                    {
                        "type": "SEGMENT_LIST",
                        "sub_tlvs": [
                            {"type": "C", "flags": 64, "algorithm": 1, "node": "192.0.2.1"},
                            {"type": "C", "node": "192.0.2.1", "label": 16001, "s": True},
                            {"type": "D", "algorithm": 128, "node": "2001:db8::1"},
                            {"type": "E", "local_interface": 7, "node": "192.0.2.1", "label": 16001, "s": True},
                            {"type": "F", "local": "192.0.2.1", "remote": "192.0.2.1"},
                            {
                                "type": "G",
                                "local_interface": 1,
                                "local": "2001:db8::1",
                                "remote_interface": 2,
                                "remote": "2001:db8::1",
                                "label": 16001,
                                "s": True,
                            },
                            {"type": "H", "local": "2001:db8::1", "remote": "2001:db8::1"},
                            {"type": "I", "algorithm": 128, "node": "2001:db8::1"},
                            {"type": "I", "node": "2001:db8::1", "sid": "2001:db8::1"},
                            {"type": "I", "node": "2001:db8::1", "sid": "2001:db8::1", **BEHAVIOR_SHOWN},
                            {
                                "type": "J",
                                "local_interface": 1,
                                "local": "2001:db8::1",
                                "remote_interface": 2,
                                "remote": "2001:db8::1",
                                "sid": "2001:db8::1",
                            },
                            {
                                "type": "K",
                                "algorithm": 128,
                                "local": "2001:db8::1",
                                "remote": "2001:db8::1",
                                "sid": "2001:db8::1",
                                **BEHAVIOR_SHOWN,
                            },
                            {"type": 5, "value": f"0x000100000007{V4}"},
                            {"type": 3, "value": f"0x0000{V4}00"},
                        ],
                    }
                ],
            }
        ],
    ),
    # RFC 5701
    "IPv6 communities": (
        "IPV6_EXT_COMMUNITY",
        f"0002{V6}0007" + f"4003{V6}0007" + f"0063{V6}0007" + f"000c{V6}0001" + f"000c{V6}0002",
        [
            {"type": "TARGET", "value": "2001:db8::1:7"},
            {"type": "ORIGIN", "value": "2001:db8::1:7", "nontransitive": True},
            {"type": "0x63", "value": "2001:db8::1:7"},
            {"type": "FLOW_REDIRECT_IP", "value": {"ip": "2001:db8::1", "copy": True}},
            {"type": "FLOW_REDIRECT_IP", "value": "2001:db8::1:2"},
        ],
    ),
    # RFC 7311
    "AIGP": (
        "AIGP",
        "01000b00000000000003e8" + "0200040a",
        [{"type": "AIGP", "metric": 1000}, {"type": 2, "value": "0x0a"}],
    ),
    "AIGP of another length": ("AIGP", "01000400", [{"type": 1, "value": "0x00"}]),
    # RFC 6514 section 8
    "labels of PEs": (
        "PE_DISTING",
        f"{V4}000100{V4}000101",
        [{"pe": "192.0.2.1", "label": 16}, {"pe": "192.0.2.1", "label": "0x000101"}],
    ),
    "labels of IPv6 PEs": ("PE_DISTING", f"{V6}000100", [{"pe": "2001:db8::1", "label": 16}]),
    "labels of nobody": ("PE_DISTING", f"{V4}0001", f"0x{V4}0001"),
    # RFC 9552
    "BGP-LS": (
        "BGP_LS",
        "044700010a" + "04020000" + "ffff000101",
        [
            {"type": "IGP_METRIC", "value": "0x0a"},
            {"type": "NODE_NAME", "value": "0x"},
            {"type": 65535, "value": "0x01"},
        ],
    ),
    "BGP-LS cut short": ("BGP_LS", "044700020a", "0x044700020a"),
    # draft-ietf-bess-evpn-ipvpn-interworking
    "D-PATH": (
        "DPATH",
        "02 0000fde8000146 00010000000280 00".replace(" ", ""),
        [[{"domain": "65000:1", "safi": 70}, {"domain": "65536:2", "safi": 128}], []],
    ),
    "D-PATH cut short": ("DPATH", "010000", "0x010000"),
    # RFC 9026
    "BFD": (
        "BFD_DISCRIMINATOR",
        "0100000007" + tlv(1, V4, length_size=1),
        {"mode": "P2MP", "discriminator": 7, "tlvs": [{"type": "SOURCE_IP", "address": "192.0.2.1"}]},
    ),
    "BFD of another mode": ("BFD_DISCRIMINATOR", "0900000007", {"mode": 9, "discriminator": 7}),
    # RFC 8669, RFC 9252
    "labels": (
        "PREFIX_SID",
        "0100070000000000000203000e000003e80000040000ff00000001" + "040000",
        [
            {"type": "LABEL_INDEX", "index": 2},
            {"type": "ORIGINATOR_SRGB", "ranges": [{"base": 256000, "size": 1024}, {"base": 65280, "size": 1}]},
            {"type": 4, "value": "0x"},
        ],
    ),
    "an SRGB cut short": ("PREFIX_SID", "0300030000ff", [{"type": 3, "value": "0x0000ff"}]),
    "SRv6 services": (
        "PREFIX_SID",
        tlv(5, "00" + tlv(1, f"00{V6}00004800{STRUCTURE}")) + tlv(6, "00" + tlv(1, f"00{V6}01004800") + tlv(9, "")),
        [
            {
                "type": "SRV6_L3_SERVICE",
                "sub_tlvs": [
                    {
                        "type": "SID_INFORMATION",
                        "sid": "2001:db8::1",
                        "endpoint_behavior": 72,
                        "sub_tlvs": [STRUCTURE_SHOWN],
                    }
                ],
            },
            {
                "type": "SRV6_L2_SERVICE",
                "sub_tlvs": [
                    {"type": "SID_INFORMATION", "sid": "2001:db8::1", "flags": 1, "endpoint_behavior": 72},
                    {"type": 9, "value": "0x"},
                ],
            },
        ],
    ),
    # RFC 6368
    "a set of attributes": (
        "SET",
        "0000fde8" + "40010100" + "4002060201000186a0",
        {
            "origin_as": 65000,
            "attrs": {"ORIGIN": {"flags": "T", "value": "IGP"}, "ASPATH": {"flags": "T", "value": [100000]}},
        },
    ),
    "an empty set": ("SET", "0000fde8", {"origin_as": 65000, "attrs": {}}),
    "an attribute that comes twice": ("SET", "0000fde8" + "40010100" * 2, "0x0000fde8" + "40010100" * 2),
    "an attribute cut short": ("SET", "0000fde8" + "400104", "0x0000fde8400104"),
    "a set in a set": ("SET", "0000fde8" + "c080040000fde9", "0x0000fde8c080040000fde9"),
    "no set": ("SET", "0000fd", "0x0000fd"),
}
