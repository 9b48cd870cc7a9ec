"""What filters say of NLRI that are not plain IP prefixes: routes of VPNs, EVPN, FlowSpec and others."""

from __future__ import annotations

import pytest
from filter_messages import FULL, says, update

from bgpipe.filters import FilterError, compile_filter
from bgpipe.wire.context import WireContext
from bgpipe.wire.family import Family
from bgpipe.wire.message import KEEPALIVE, Message
from bgpipe.wire.update import Update
from cases import all_cases

VPN = update(
    {
        "MP_REACH": {
            "af": "IPV4/MPLS_VPN",
            "nexthop": "2001:db8::1",
            "routes": [
                {"rd": "65000:1", "prefix": "10.1.0.0/16", "labels": [16, 17]},
                {"rd": "192.0.2.1:7", "prefix": "10.2.0.0/16", "labels": [100]},
            ],
        },
        "MP_UNREACH": {
            "af": "IPV4/L3VPN_FLOWSPEC",
            "rules": [{"RD": "65000L:9", "DST": "172.16.0.0/12"}],
        },
        "EXT_COMMUNITY": [
            {"type": "ORIGIN", "value": "65009:1"},
            {"type": "TARGET", "value": "65001:1"},
            {"type": "IP4_TARGET", "value": "192.0.2.9:1"},
            {"type": "AS4_TARGET", "value": "65002:1"},
        ],
    }
)
EVPN = update(
    {
        "MP_UNREACH": {
            "af": "L2VPN/EVPNS",
            "routes": [
                {
                    "type": "MAC_IP",
                    "rd": "65000:1",
                    "esi": "0",
                    "tag": 0,
                    "mac": "00:00:5e:00:53:01",
                    "labels": ["0x000641"],
                },
                {"type": 99, "value": "0x"},
            ],
        }
    }
)
TARGETS = update(
    {
        "MP_REACH": {
            "af": "IPV4/ROUTE_TARGET",
            "nexthop": "192.0.2.1",
            "routes": [{"origin": 65000, "target": {"type": "TARGET", "value": "65000:100"}}],
        }
    }
)


@all_cases(
    ("filter", "message"),
    [
        ("prefix == 10.1.0.0/16", VPN),
        ("reach < 10.0.0.0/8 && unreach == 172.16.0.0/12", VPN),
        ("!(prefix[*] <= 10.0.0.0/8)", VPN),
        ("reach[*] <= 10.0.0.0/8", VPN),
        ("nexthop == 2001:db8::1", VPN),
        ("rd", VPN),
        ("rd == 65000:1", VPN),
        ("rd == 0x0001c00002010007", VPN),
        ("rd == 65000L:9", VPN),
        ("route_distinguisher ~ ^192\\.0\\.2\\.", VPN),
        ("rd != 65000:2", VPN),
        ("label", VPN),
        ("label == 17 && label == 100", VPN),
        ("label < 17", VPN),
        ("labels >= 100", VPN),
        ("!(label > 100)", VPN),
        ("target", VPN),
        ("target == 65001:1 && rt == 65002:1 && route_target == 192.0.2.9:1", VPN),
        ("target ~ ^6500[12]:", VPN),
        ("target == 65002L:1", VPN),
        ("!mac", VPN),
        ("mac == 00-00-5E-00-53-01", EVPN),
        ("mac ~ ^00:00:5e", EVPN),
        ("rd == 65000:1 && label == 100 && !prefix && !target", EVPN),
        ("json[attrs.MP_UNREACH.value.routes.0.mac] == 00:00:5e:00:53:01", EVPN),
        ("target == 65000:100", TARGETS),
        ("attr[MP_REACH.routes.0.origin] == 65000", TARGETS),
        ("!rd && !label && !mac && target == 65001:7", FULL),
    ],
)
def test_yes(filter, message):
    assert says(filter, message)


@all_cases(
    ("filter", "message"),
    [
        ("prefix == 10.3.0.0/16", VPN),
        ("rd == 65000:9", VPN),  # the same AS number in two octets
        ("rd ~ 192", EVPN),
        ("target == 65009:1", VPN),  # a route origin is no target
        ("mac == 00:00:5e:00:53:02", EVPN),
        ("mac != 00:00:5e:00:53:01", EVPN),
        ("label == 1", VPN),
        ("label != 1", FULL),
        ("rd != 65000:1", FULL),
        ("target != 65000:1", EVPN),
        ("rd || !rd || label || mac || target", Message(KEEPALIVE)),
    ],
)
def test_no(filter, message):
    assert not says(filter, message)


@all_cases(
    "filter",
    ["rd == 1", "rd < 1:1", "mac == 00:11", "label == x", "label == 1048576", "label ~ 1", "target == a", "rd ~ ["],
)
def test_errors_say_where(filter):
    with pytest.raises(FilterError):
        compile_filter(filter)


def test_routes_are_narrowed_one_by_one():
    kept = compile_filter("rd == 65000:1").narrow_message(VPN, True)
    assert kept is not None
    left = Update(kept)
    assert [route.rd for route in left.routes] == ["65000:1"]
    assert left.unreach_routes == []
    dropped = compile_filter("rd == 65000:1").narrow_message(VPN, False)
    assert dropped is not None
    assert [route.rd for route in Update(dropped).routes] == ["192.0.2.1:7"]
    assert len(Update(dropped).unreach_routes) == 1
    assert compile_filter("mac").narrow_message(EVPN, True) is not None
    assert compile_filter("mac == 00:00:00:00:00:00").narrow_message(EVPN, True) is None


def test_bits_behind_a_mask_hide_nothing():
    """They are shown as octets, but the route is there."""
    octets = "0x5f" + "000101" + "0000fde800000001" + "0b"
    attrs = {"MP_REACH": {"af": "IPV4/MPLS_VPN", "nexthop": "192.0.2.1", "data": octets}}
    assert says("prefix == 10.0.0.0/7 && rd == 65000:1 && label == 16", update(attrs))


def test_path_identifiers_are_no_part_of_a_prefix():
    context = WireContext(add_path=frozenset({Family(1, 4)}))
    attrs = {
        "MP_REACH": {
            "af": "IPV4/MPLS",
            "nexthop": "192.0.2.1",
            "routes": [{"id": 7, "prefix": "10.0.0.0/8", "labels": [16]}],
        }
    }
    assert says("prefix == 10.0.0.0/8 && label == 16", update(attrs, context))
