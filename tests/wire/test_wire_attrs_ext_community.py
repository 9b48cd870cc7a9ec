"""Extended communities: names, forms, and that no bit is lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.wire.errors import TextError
from bgpipe.wire.ext_community import NAMES, NONTRANSITIVE, format_ext_community, parse_ext_community
from cases import all_cases

FORMS = [
    ("0002fc850000cf08", {"type": "TARGET", "value": "64645:53000"}),
    ("0003fc850000cf08", {"type": "ORIGIN", "value": "64645:53000"}),
    ("0102010203040101", {"type": "IP4_TARGET", "value": "1.2.3.4:257"}),
    ("0103010203040101", {"type": "IP4_ORIGIN", "value": "1.2.3.4:257"}),
    ("0202000111700007", {"type": "AS4_TARGET", "value": "70000:7"}),
    ("0203000111700007", {"type": "AS4_ORIGIN", "value": "70000:7"}),
    ("4002fc850000cf08", {"type": "TARGET", "value": "64645:53000", "nontransitive": True}),
    (
        "4004fde947f42400",
        {"type": "LINK_BANDWIDTH", "value": {"asn": 65001, "bandwidth": 125000}, "nontransitive": True},
    ),
    ("0004fde97fc00000", {"type": "LINK_BANDWIDTH", "value": "0xfde97fc00000"}),  # NaN
    ("010c010203040000", {"type": "FLOW_REDIRECT_IP", "value": {"ip": "1.2.3.4", "copy": False}}),
    ("010c010203040001", {"type": "FLOW_REDIRECT_IP", "value": {"ip": "1.2.3.4", "copy": True}}),
    ("010c010203040002", {"type": "FLOW_REDIRECT_IP", "value": "0x10203040002"}),
    ("010d010203040000", {"type": "0x10d", "value": "1.2.3.4:0"}),
    (
        "07020000fde980fe",
        {"type": "FLOW_INTERFACE_SET", "value": {"asn": 65001, "outbound": True, "group": 254}},
    ),
    (
        "47020000fde9c001",
        {
            "type": "FLOW_INTERFACE_SET",
            "value": {"asn": 65001, "outbound": True, "inbound": True, "group": 1},
            "nontransitive": True,
        },
    ),
    ("0703000000fe80fe", {"type": "0x703", "value": "0xfe80fe"}),
    ("0005fde900000200", {"type": "OSPF_DOMAIN_ID", "value": "65001:512"}),
    ("0105010203040200", {"type": "IP4_OSPF_DOMAIN_ID", "value": "1.2.3.4:512"}),
    ("0205000111700200", {"type": "AS4_OSPF_DOMAIN_ID", "value": "70000:512"}),
    ("0008fde900000001", {"type": "DATA_COLLECTION", "value": "65001:1"}),
    ("0009fde900000000", {"type": "SOURCE_AS", "value": "65001:0"}),
    ("0209000111700000", {"type": "AS4_SOURCE_AS", "value": "70000:0"}),
    ("000afde900000001", {"type": "L2VPN_ID", "value": "65001:1"}),
    ("0107010203040000", {"type": "OSPF_ROUTER_ID", "value": "1.2.3.4:0"}),
    ("010b010203040007", {"type": "VRF_ROUTE_IMPORT", "value": "1.2.3.4:7"}),
    ("0113010203040007", {"type": "IP4_TARGET_RECORD", "value": "1.2.3.4:7"}),
    ("06080b0000000000", {"type": "ARP_ND", "value": {"immutable": True, "override": True, "router": True}}),
    ("0608010000000000", {"type": "ARP_ND", "value": {"router": True}}),
    ("0608000000000000", {"type": "ARP_ND", "value": {}}),
    ("0608040000000000", {"type": "ARP_ND", "value": "0x40000000000"}),
    ("060afde900000001", {"type": "EVI_RT", "value": "65001:1"}),
    ("060b010203040007", {"type": "IP4_EVI_RT", "value": "1.2.3.4:7"}),
    ("060c000111700007", {"type": "AS4_EVI_RT", "value": "70000:7"}),
    ("060f6553f1008000", {"type": "SERVICE_CARVING_TIME", "value": {"seconds": 1700000000, "fraction": 32768}}),
    ("0c00000a0000000a", {"type": "MUP_SEGMENT", "value": "10:10"}),
    ("0a02000000000064", {"type": "TRANSPORT_CLASS", "value": {"class": 100}}),
    ("0301008000000064", {"type": "COST", "value": "0x8000000064"}),
    ("0305000000000000", {"type": "EXTRANET_SEPARATION", "value": True}),
    ("0307000000000001", {"type": "PMSI_FLAGS", "value": {"flags": 1}}),
    ("0308000000000064", {"type": "CONTEXT_LABEL_SPACE", "value": {"id_type": 0, "id": 100}}),
    (
        "800a136405dc0064",
        {"type": "L2_INFO", "value": {"encaps": 19, "control": 100, "mtu": 1500, "preference": 100}},
    ),
    ("4300000000000000", {"type": "VALIDATION_STATE", "value": "VALID", "nontransitive": True}),
    ("4300000000000002", {"type": "VALIDATION_STATE", "value": "INVALID", "nontransitive": True}),
    ("4300000000000007", {"type": "VALIDATION_STATE", "value": 7, "nontransitive": True}),
    ("4300000000000102", {"type": "VALIDATION_STATE", "value": "0x102", "nontransitive": True}),
    ("0306000000010500", {"type": "OSPF_ROUTE_TYPE", "value": {"area": "0.0.0.1", "type": 5, "options": 0}}),
    ("030b000000000064", {"type": "COLOR", "value": 100}),
    ("030bc00000000064", {"type": "COLOR", "value": {"flags": 49152, "color": 100}}),
    ("030c000000000008", {"type": "ENCAPSULATION", "value": "VXLAN"}),
    ("030c0000000000ff", {"type": "ENCAPSULATION", "value": 255}),
    ("030c000000010008", {"type": "ENCAPSULATION", "value": "0x10008"}),
    ("030d000000000000", {"type": "DEFAULT_GATEWAY", "value": True}),
    ("030d000000000001", {"type": "DEFAULT_GATEWAY", "value": "0x1"}),
    ("0600010000000005", {"type": "MAC_MOBILITY", "value": {"sticky": True, "sequence": 5}}),
    ("0600000000000005", {"type": "MAC_MOBILITY", "value": {"sequence": 5}}),
    ("0600020000000005", {"type": "MAC_MOBILITY", "value": "0x20000000005"}),
    ("0601010000000640", {"type": "ESI_LABEL", "value": {"single_active": True, "label": 100}}),
    ("0601000000000064", {"type": "ESI_LABEL", "value": {"label": "0x000064"}}),
    ("060200005e005301", {"type": "ES_IMPORT", "value": "00:00:5e:00:53:01"}),
    ("060300005e005301", {"type": "ROUTER_MAC", "value": "00:00:5e:00:53:01"}),
    ("0604000205dc0000", {"type": "L2_ATTRIBUTES", "value": {"control": 2, "mtu": 1500}}),
    ("0605010000000640", {"type": "E_TREE", "value": {"leaf": True, "label": 100}}),
    ("060601400000000a", {"type": "DF_ELECTION", "value": {"algorithm": 1, "bitmap": 16384, "preference": 10}}),
    ("0609000100000000", {"type": "MULTICAST_FLAGS", "value": {"flags": 1}}),
    ("0616000100000000", {"type": "0x616", "value": "0x100000000"}),
    ("8006000000000000", {"type": "FLOW_RATE_BYTES", "value": 0}),
    ("80060000447a0000", {"type": "FLOW_RATE_BYTES", "value": 1000}),
    ("8006000144fa0000", {"type": "FLOW_RATE_BYTES", "value": "1:2000"}),
    ("800600003dcccccd", {"type": "FLOW_RATE_BYTES", "value": 0.1}),
    ("800c00007f7fffff", {"type": "FLOW_RATE_PACKETS", "value": 340282350000000000000000000000000000000}),
    ("80060000bf800000", {"type": "FLOW_RATE_BYTES", "value": -1}),
    ("8007000000000001", {"type": "FLOW_ACTION", "value": {"terminal": True, "sample": False}}),
    ("8007000000000002", {"type": "FLOW_ACTION", "value": {"terminal": False, "sample": True}}),
    ("800803e8000003e8", {"type": "FLOW_REDIRECT_AS2", "value": "1000:1000"}),
    ("81080a00000103e8", {"type": "FLOW_REDIRECT_IP4", "value": "10.0.0.1:1000"}),
    ("82080098968003e8", {"type": "FLOW_REDIRECT_AS4", "value": "10000000:1000"}),
    ("800900000000002e", {"type": "FLOW_DSCP", "value": 46}),
    ("0800000000000001", {"type": "FLOW_REDIRECT_NH", "value": {"copy": True}}),
    # Bits that the form of the type has no place for:
    ("8007000000000005", {"type": "FLOW_ACTION", "value": "0x5"}),
    ("8009000000000040", {"type": "FLOW_DSCP", "value": "0x40"}),
    ("0800000000000100", {"type": "FLOW_REDIRECT_NH", "value": "0x100"}),
    ("800600007fc00000", {"type": "FLOW_RATE_BYTES", "value": "0x7fc00000"}),  # NaN
    ("80060001ff800000", {"type": "FLOW_RATE_BYTES", "value": "0x1ff800000"}),  # -Infinity
    ("8006000080000000", {"type": "FLOW_RATE_BYTES", "value": "0x80000000"}),  # -0
]


@all_cases(("octets", "item"), FORMS)
def test_forms(octets, item):
    community = int(octets, 16)
    assert json.loads(format_ext_community(community)) == item
    assert parse_ext_community(item) == community


def test_rates_have_no_exponent_and_no_point_without_need():
    assert format_ext_community(0x80060000_47F42400) == '{"type":"FLOW_RATE_BYTES","value":125000}'
    assert "e" not in format_ext_community(0x80060000_00000001).partition("value")[2][7:]


@given(st.integers(0, (1 << 64) - 1), st.sampled_from([0, *NAMES]), st.booleans())
def test_every_bit_comes_back(community, kind, nontransitive):
    if kind:
        community = (kind | NONTRANSITIVE * nontransitive) << 48 | community & 0xFFFFFFFFFFFF
    text = format_ext_community(community)
    assert parse_ext_community(json.loads(text, parse_constant=pytest.fail)) == community


@given(st.sampled_from((0x8006, 0x800C)), st.integers(0, 0xFFFFFFFF))
def test_every_rate_comes_back(kind, single):
    community = kind << 48 | single
    assert parse_ext_community(json.loads(format_ext_community(community))) == community


def test_input_is_generous():
    wanted = 0x0002FC850000CF08
    assert parse_ext_community({"type": "target", "value": "64645:53000"}) == wanted
    assert parse_ext_community({"type": "0x2", "value": "64645:53000"}) == wanted
    assert parse_ext_community({"type": 2, "value": "0xfc850000cf08"}) == wanted
    assert parse_ext_community({"type": "TARGET", "value": "64645:53000", "nontransitive": False}) == wanted
    # what the Go bgpipe writes of types that it has no name for
    item = {"type": "0x4004", "value": "65001:1207182336", "nontransitive": True}
    assert parse_ext_community(item) == 0x4004FDE947F42400
    assert parse_ext_community({"type": "0x10c", "value": "1.2.3.4:1"}) == 0x010C010203040001
    assert parse_ext_community({"type": "color", "value": {"flags": 0, "color": 100}}) == 0x030B000000000064
    assert parse_ext_community({"type": "ENCAPSULATION", "value": "vxlan"}) == 0x030C000000000008
    assert parse_ext_community({"type": "TRANSITIVE", "value": "1:2"}) == 0x4000000100000002


@pytest.mark.parametrize(
    "item",
    [
        "TARGET:1:2",
        {"type": "TARGET"},
        {"type": "TARGET", "value": "1:2", "more": 1},
        {"type": "NOSUCH", "value": "1:2"},
        {"type": 1 << 16, "value": "1:2"},
        {"type": [], "value": "1:2"},
        {"type": "TARGET", "value": "65536:2"},
        {"type": "TARGET", "value": "12"},
        {"type": "TARGET", "value": 12},
        {"type": "IP4_TARGET", "value": "::1:2"},
        {"type": "AS4_TARGET", "value": "1:65536"},
        {"type": "FLOW_RATE_BYTES", "value": "fast"},
        {"type": "FLOW_RATE_BYTES", "value": 1e39},
        {"type": "FLOW_RATE_BYTES", "value": None},
        {"type": "FLOW_ACTION", "value": {"terminal": 1}},
        {"type": "FLOW_ACTION", "value": {"other": True}},
        {"type": "FLOW_DSCP", "value": 64},
        {"type": "FLOW_REDIRECT_NH", "value": True},
        {"type": "0x702", "value": "0x1000000000000"},
        {"type": "0x702", "value": {}},
        {"type": "LINK_BANDWIDTH", "value": {"asn": 65536, "bandwidth": 1}},
        {"type": "LINK_BANDWIDTH", "value": {"asn": 1}},
        {"type": "LINK_BANDWIDTH", "value": {"asn": 1, "bandwidth": "x"}},
        {"type": "FLOW_REDIRECT_IP", "value": {"ip": "::1", "copy": False}},
        {"type": "FLOW_REDIRECT_IP", "value": {"ip": "1.2.3.4", "copy": 0}},
        {"type": "FLOW_REDIRECT_IP", "value": {"ip": "1.2.3.4"}},
        {"type": "VALIDATION_STATE", "value": "GOOD"},
        {"type": "VALIDATION_STATE", "value": 256},
        {"type": "COLOR", "value": {"color": 1}},
        {"type": "ENCAPSULATION", "value": []},
        {"type": "DEFAULT_GATEWAY", "value": 1},
        {"type": "MAC_MOBILITY", "value": {"sequence": 1, "more": 1}},
        {"type": "MAC_MOBILITY", "value": {"sequence": 1, "sticky": 1}},
        {"type": "ESI_LABEL", "value": {"label": "100"}},
        {"type": "ESI_LABEL", "value": {"label": True}},
        {"type": "ROUTER_MAC", "value": "00:00:5e:00:53"},
        {"type": "ROUTER_MAC", "value": "00:00:5e:00:53:0g"},
        {"type": "OSPF_ROUTE_TYPE", "value": {"area": 0, "type": 5, "options": 0}},
    ],
    ids=str,
)
def test_other_json_is_refused(item):
    with pytest.raises(TextError):
        parse_ext_community(item)
