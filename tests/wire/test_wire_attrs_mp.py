"""MP_REACH_NLRI and MP_UNREACH_NLRI: families, next hops, ADD-PATH."""

from __future__ import annotations

import json

import pytest

from bgpipe.wire.attrs import mp_reach, mp_unreach
from bgpipe.wire.attrs.attribute import Attribute, attribute_from_json
from bgpipe.wire.context import AS4, AS4_ADD_PATH
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.family import IPV6_UNICAST, Family

V6 = "20010db8000000000000000000000001"
LOCAL = "fe800000000000000000000000000001"
RD = "0000fde800000064"

REACH = {
    # octets, JSON
    "IPv6": (
        f"00020110{V6}002020010db8",
        {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "prefixes": ["2001:db8::/32"]},
    ),
    "RFC 2545: with a link-local address": (
        f"00020120{V6}{LOCAL}002020010db8",
        {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "link-local": "fe80::1", "prefixes": ["2001:db8::/32"]},
    ),
    "link-local unspecified": (
        f"00020120{V6}{'00' * 16}002020010db8",
        {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "link-local": "::", "prefixes": ["2001:db8::/32"]},
    ),
    "RFC 8950: IPv4 by an IPv6 next hop": (
        f"00010110{V6}0018c00002",
        {"af": "IPV4/UNICAST", "nexthop": "2001:db8::1", "prefixes": ["192.0.2.0/24"]},
    ),
    "IPv6 by an IPv4 next hop": (
        "00020104c0000201002020010db8",
        {"af": "IPV6/UNICAST", "nexthop": "192.0.2.1", "prefixes": ["2001:db8::/32"]},
    ),
    "IPv4 multicast": (
        "00010204c00002010018c0000200",
        {"af": "IPV4/MULTICAST", "nexthop": "192.0.2.1", "prefixes": ["192.0.2.0/24", "0.0.0.0/0"]},
    ),
    "no prefixes": (f"00020110{V6}00", {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "prefixes": []}),
    "RFC 4364": (
        f"0001800c{'00' * 8}c00002010070000011{RD}c00002",
        {
            "af": "IPV4/MPLS_VPN",
            "nexthop": "192.0.2.1",
            "routes": [{"rd": "65000:100", "prefix": "192.0.2.0/24", "labels": [1]}],
        },
    ),
    "RFC 4659: IPv6 with a link-local address": (
        f"00028030{'00' * 8}{V6}{'00' * 8}{LOCAL}00",
        {"af": "IPV6/MPLS_VPN", "nexthop": "2001:db8::1", "link-local": "fe80::1", "routes": []},
    ),
    "a next hop behind a route distinguisher that says something": (
        f"0001800c{RD}c000020100",
        {"af": "IPV4/MPLS_VPN", "nh": f"0x{RD}c0000201", "routes": []},
    ),
    "a next hop without a route distinguisher": (
        "00018004c000020100",
        {"af": "IPV4/MPLS_VPN", "nh": "0xc0000201", "routes": []},
    ),
    "a next hop behind a route distinguisher where there should be none": (
        f"0019460c{'00' * 8}c000020100",
        {"af": "L2VPN/EVPNS", "nh": f"0x{'00' * 8}c0000201", "routes": []},
    ),
    "RFC 8950: VPN by an IPv6 next hop": (
        f"00018018{'00' * 8}{V6}00",
        {"af": "IPV4/MPLS_VPN", "nexthop": "2001:db8::1", "routes": []},
    ),
    "FlowSpec without a next hop": (
        "00018500000501180a0000",
        {"af": "IPV4/FLOWSPEC", "rules": [{"DST": "10.0.0.0/24"}]},
    ),
    "NLRI that can't be told apart": (
        "00194604c000020100020005",
        {"af": "L2VPN/EVPNS", "nh": "0xc0000201", "data": "0x020005"},
    ),
    "unknown family": ("40ddf10000", {"af": "AFI(16605)/SAFI(241)", "data": ""}),
    "reserved octet set": (f"00020110{V6}012020010db8", f"0x00020110{V6}012020010db8"),
    "route distinguisher": (f"00020118{RD}{V6}002020010db8", f"0x00020118{RD}{V6}002020010db8"),
}


CUT = [REACH["NLRI that can't be told apart"][1]]


@pytest.mark.parametrize(("octets", "item"), REACH.values(), ids=REACH)
def test_reach_json(octets, item):
    one = Attribute(0x80, 14, bytes.fromhex(octets), AS4)
    assert (one.error() is None) == (item not in CUT)
    assert json.loads("{" + one.format_json() + "}") == {"MP_REACH": {"flags": "O", "value": item}}
    assert attribute_from_json("MP_REACH", {"flags": "O", "value": item}, AS4).octets.hex() == octets


def test_next_hops_behind_route_distinguishers_are_read():
    value = Attribute(0x80, 14, bytes.fromhex(f"00020118{RD}{V6}00"), AS4).value
    assert (value.next_hop, value.link_local) == ("2001:db8::1", None)
    value = Attribute(0x80, 14, bytes.fromhex(f"00020130{RD}{V6}{RD}{LOCAL}00"), AS4).value
    assert (value.next_hop, value.link_local) == ("2001:db8::1", "fe80::1")
    value = Attribute(0x80, 14, bytes.fromhex(f"0001010c{RD}c000020100"), AS4).value
    assert value.next_hop == "192.0.2.1"
    value = Attribute(0x80, 14, bytes.fromhex("4004470400000001000102"), AS4).value
    assert (value.next_hop, value.link_local, value.prefixes) == (None, None, [])


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "0002",
        "000201",
        "0002011020010db8",
        f"00020110{V6}",
        "00010105c00002010000",
        f"00020110{V6}0081" + "00" * 17,
        f"00020110{V6}002020010d",
    ],
)
def test_malformed_reach(octets):
    """RFC 7606 section 7.11."""
    with pytest.raises(WireError):
        _ = Attribute(0x80, 14, bytes.fromhex(octets), AS4).value


@pytest.mark.parametrize("octets", ["", "00", "0001", "00010121", "000101180a00", "000201ff"])
def test_malformed_unreach(octets):
    with pytest.raises(WireError):
        _ = Attribute(0x80, 15, bytes.fromhex(octets), AS4).value


def test_unreach_json():
    for octets, item in (
        ("000201202001" + "0db8", {"af": "IPV6/UNICAST", "prefixes": ["2001:db8::/32"]}),
        ("000201", {"af": "IPV6/UNICAST", "prefixes": []}),
        ("001946", {"af": "L2VPN/EVPNS", "routes": []}),
        ("400447", {"af": "LS/LS", "data": ""}),
        ("00194601", {"af": "L2VPN/EVPNS", "data": "0x01"}),
    ):
        one = Attribute(0x80, 15, bytes.fromhex(octets), AS4)
        assert json.loads("{" + one.format_json() + "}")["MP_UNREACH"]["value"] == item
        assert attribute_from_json("MP_UNREACH", item, AS4).octets.hex() == octets


def test_path_identifiers():
    """RFC 7911 section 3."""
    octets = bytes.fromhex(f"00020110{V6}00000000072020010db8")
    value = Attribute(0x80, 14, octets, AS4_ADD_PATH).value
    assert [str(prefix) for prefix in value.prefixes] == ["#7#2001:db8::/32"]
    assert mp_reach.encode(value, AS4_ADD_PATH) == octets
    assert mp_reach.encode(value, AS4).hex() == f"00020110{V6}002020010db8"
    item = json.loads(mp_reach.format_json(value))
    assert item["prefixes"] == ["#7#2001:db8::/32"]
    assert mp_reach.encode(mp_reach.from_json(item), AS4_ADD_PATH) == octets
    plain = mp_unreach.from_json({"af": "IPV6/UNICAST", "prefixes": ["2001:db8::/32"]})
    assert mp_unreach.encode(plain, AS4_ADD_PATH).hex() == "000201000000002020010db8"


def test_a_next_hop_that_is_missing_costs_neither_the_prefixes_nor_the_check():
    octets = bytes.fromhex("00020100002020010db8")
    attribute = Attribute(0x80, 14, octets, AS4)
    assert [str(prefix) for prefix in attribute.value.prefixes] == ["2001:db8::/32"]
    assert attribute.value.next_hop is None
    assert mp_reach.encode(mp_reach.from_json(json.loads(mp_reach.format_json(attribute.value))), AS4) == octets
    error = attribute.error()
    assert error is not None
    assert (error.subcode, error.text) == (3, "MP_REACH: next hop is missing")


def test_bits_behind_the_mask_stay_until_they_pass_through_json():
    octets = bytes.fromhex(f"00020110{V6}002120010db8ff")
    value = Attribute(0x80, 14, octets, AS4).value
    assert mp_reach.encode(value, AS4) == octets
    assert str(value.prefixes[0]) == "2001:db8:8000::/33"
    assert mp_reach.encode(mp_reach.from_json(json.loads(mp_reach.format_json(value))), AS4)[-1] == 0x80


def test_what_bgpipe_wrote_is_read():
    """It leaves an unspecified next hop out, and shows multicast as data."""
    value = mp_reach.from_json({"af": "IPV6/UNICAST", "prefixes": []})
    assert value == (IPV6_UNICAST, b"", b"", False, 0)
    value = mp_reach.from_json({"af": "IPV4/MULTICAST", "nh": "0x0a090a09", "data": "0x1ac6336400"})
    assert mp_reach.encode(value, AS4).hex() == "000102040a090a09001ac6336400"
    assert mp_unreach.from_json({"af": "AFI(99)/SAFI(9)", "data": None}) == (Family(99, 9), b"", None)


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {"prefixes": []},
        {"af": "IPV6/UNICAST"},
        {"af": "IPV6", "prefixes": []},
        {"af": "IPV6/UNICAST", "prefixes": "::/0"},
        {"af": "IPV6/UNICAST", "prefixes": [1]},
        {"af": "IPV6/UNICAST", "prefixes": ["10.0.0.0/8"]},
        {"af": "IPV6/UNICAST", "prefixes": ["::"]},
        {"af": "IPV6/UNICAST", "prefixes": [], "nexthop": 1},
        {"af": "IPV6/UNICAST", "prefixes": [], "nexthop": "fe80::1%eth0"},
        {"af": "IPV6/UNICAST", "prefixes": [], "next-hop": "::1"},
        {"af": "IPV6/UNICAST", "prefixes": [], "nh": "0x0000"},
        {"af": "IPV6/UNICAST", "prefixes": [], "nh": 1},
        {"af": "L2VPN/EVPNS", "data": "", "nh": "0x" + "00" * 256},
        {"af": "L2VPN/EVPNS", "prefixes": []},
        {"af": "L2VPN/EVPNS", "data": "0x0"},
    ],
    ids=lambda item: str(item)[:60],
)
def test_other_json_is_refused(item):
    with pytest.raises(TextError):
        attribute_from_json("MP_REACH", item, AS4)
