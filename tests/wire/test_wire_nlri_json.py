"""NLRI of labels, VPNs, FlowSpec, EVPN, Route Target, VPLS, MCAST-VPN and SR Policy: octets, JSON, what is refused."""

from __future__ import annotations

import json
from random import Random

import pytest
from nlri_shown import RD, SHOWN, V6

from bgpipe.wire.attrs import mp_reach
from bgpipe.wire.attrs.attribute import Attribute, attribute_from_json
from bgpipe.wire.context import AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.family import Family, parse_family
from bgpipe.wire.nlri import TABLE, find_path_ids, format_routes, parse_routes, set_path_ids, split_nlri
from bgpipe.wire.nlri.measure import MEASURES
from bgpipe.wire.nlri.text import format_rd, parse_esi, parse_mac, parse_rd
from bgpipe.wire.route import Route, decode_routes
from bgpipe.wire.update import Update
from cases import all_cases


def show(family: Family, octets: bytes, add_path: bool = False) -> list[dict]:
    text = "{" + format_routes(octets, family, add_path) + "}"
    assert text.isascii()
    assert text.isprintable()
    return json.loads(text)[TABLE[family].members]


@all_cases(("name", "octets", "item"), SHOWN.values(), ids=SHOWN)
def test_octets_are_shown_and_read(name, octets, item):
    family, octets = parse_family(name), bytes.fromhex(octets)
    assert show(family, octets) == [item]
    assert parse_routes([item], family) == (octets, False)
    assert list(show(family, octets)[0]) == list(item)


@all_cases(("name", "octets", "item"), SHOWN.values(), ids=SHOWN)
def test_path_identifiers(name, octets, item):
    """RFC 7911 section 3, in every family."""
    family, octets = parse_family(name), bytes.fromhex(octets)
    context = WireContext(add_path=frozenset({family}))
    wide = bytes.fromhex("ffffffff") + octets + bytes.fromhex("00000007") + octets
    items = [{"id": 0xFFFFFFFF, **item}, {"id": 7, **item}]
    assert find_path_ids(wide, family, context) is True
    assert show(family, wide, True) == items
    assert parse_routes(items, family) == (wide, True)
    assert set_path_ids(wide, family, True) == octets * 2
    assert set_path_ids(octets, family, False) == bytes(4) + octets
    assert parse_routes([{"id": 5, **item}, item], family)[0] == bytes.fromhex("00000005") + octets + bytes(4) + octets
    assert [route.path_id for route in decode_routes(family, wide, True)] == [0xFFFFFFFF, 7]
    # RFC 8050 says only that there are some, not where
    assert find_path_ids(wide, family, AS4_ADD_PATH) is True
    if "value" not in item:
        assert find_path_ids(octets * 2, family, AS4_ADD_PATH) is False


@all_cases(("name", "octets", "item"), SHOWN.values(), ids=SHOWN)
@all_cases("context", [AS4, AS4_ADD_PATH], ids=["plain", "ADD-PATH"])
def test_attributes_give_their_octets_back(name, octets, item, context):
    family = parse_family(name)
    nlri = bytes.fromhex(octets)
    for hop in ("c0000201", "00" * 8 + "c0000201", RD + V6, V6 * 2, RD + V6 + RD + V6):
        head = family.afi.to_bytes(2, "big") + bytes((family.safi, len(hop) // 2)) + bytes.fromhex(hop) + b"\0"
        for nlri_or_none in (nlri, nlri * 3, b""):
            one = Attribute(0x80, 14, head + nlri_or_none, context)
            assert one.error() is None
            shown = json.loads("{" + one.format_json() + "}")["MP_REACH"]
            assert "data" not in shown["value"]
            assert attribute_from_json("MP_REACH", shown, context) == one


def test_every_row_is_told_apart_and_tried():
    assert TABLE.keys() <= MEASURES.keys()
    tried = {parse_family(name) for name, _, _ in SHOWN.values()}
    assert {family.safi for family in TABLE} == {family.safi for family in tried}


REFUSED = {
    "no list": ("IPV4/MPLS", {"prefix": "10.0.0.0/8"}),
    "no objects": ("IPV4/MPLS", ["10.0.0.0/8"]),
    "no labels": ("IPV4/MPLS", [{"prefix": "10.0.0.0/8"}]),
    "empty labels": ("IPV4/MPLS", [{"prefix": "10.0.0.0/8", "labels": []}]),
    "a label too large": ("IPV4/MPLS", [{"prefix": "10.0.0.0/8", "labels": [1 << 20]}]),
    "a label that is none": ("IPV4/MPLS", [{"prefix": "10.0.0.0/8", "labels": [True]}]),
    "a label of four octets": ("IPV4/MPLS", [{"prefix": "10.0.0.0/8", "labels": ["0x00000000"]}]),
    "too many labels": ("IPV4/MPLS", [{"prefix": "10.0.0.0/8", "labels": [1] * 11}]),
    "another family's prefix": ("IPV4/MPLS", [{"prefix": "::/8", "labels": [1]}]),
    "a path identifier in the text": ("IPV4/MPLS", [{"prefix": "#7#10.0.0.0/8", "labels": [1]}]),
    "a bad path identifier": ("IPV4/MPLS", [{"id": 1 << 32, "prefix": "10.0.0.0/8", "labels": [1]}]),
    "an unknown key": ("IPV4/MPLS", [{"rd": "1:1", "prefix": "10.0.0.0/8", "labels": [1]}]),
    "no route distinguisher": ("IPV4/MPLS_VPN", [{"prefix": "10.0.0.0/8", "labels": [1]}]),
    "a bad one": ("IPV4/MPLS_VPN", [{"rd": "65000:1:1", "prefix": "10.0.0.0/8", "labels": [1]}]),
    "no type": ("L2VPN/EVPNS", [{"rd": "1:1"}]),
    "a type without a name": ("L2VPN/EVPNS", [{"type": 99, "rd": "1:1"}]),
    "an unknown type": ("L2VPN/EVPNS", [{"type": "MACIP", "rd": "1:1"}]),
    "a type that has no value": ("L2VPN/EVPNS", [{"type": "MAC_IP", "value": "0x00"}]),
    "a type too large": ("L2VPN/EVPNS", [{"type": 256, "value": "0x00"}]),
    "three labels": ("L2VPN/EVPNS", [{"type": "MULTICAST", "rd": "1:1", "tag": 0, "ip": "1.1.1.1", "labels": [1]}]),
    "a gateway of another family": (
        "L2VPN/EVPNS",
        [
            {
                "type": "IP_PREFIX",
                "rd": "1:1",
                "esi": "0",
                "tag": 0,
                "prefix": "10.0.0.0/8",
                "gateway": "::",
                "labels": [1],
            }
        ],
    ),
    "octets with a wrong length": ("IPV4/MPLS", [{"value": "0x08"}]),
    "no octets": ("IPV4/MPLS", [{"value": ""}]),
    "octets that are no text": ("IPV4/MPLS", [{"value": 1}]),
    "octets and more": ("IPV4/MPLS", [{"value": "0x180000010a", "labels": []}]),
    "an unknown component": ("IPV4/FLOWSPEC", [{"COLOUR": []}]),
    "a component of IPv6": ("IPV4/FLOWSPEC", [{"LABEL": [{"op": "==", "val": 1}]}]),
    "no components": ("IPV4/FLOWSPEC", [{}]),
    "no operators": ("IPV4/FLOWSPEC", [{"PORT": []}]),
    "an unknown key in an operator": ("IPV4/FLOWSPEC", [{"PORT": [{"op": "==", "val": 1, "mask": 1}]}]),
    "an unknown operator": ("IPV4/FLOWSPEC", [{"PORT": [{"op": "~", "val": 1}]}]),
    "an operator that is no text": ("IPV4/FLOWSPEC", [{"PORT": [{"op": [], "val": 1}]}]),
    "a value too large": ("IPV4/FLOWSPEC", [{"PORT": [{"op": "==", "val": 1 << 64}]}]),
    "a value too large for its length": ("IPV4/FLOWSPEC", [{"PORT": [{"op": "==", "len": 1, "val": 256}]}]),
    "a length of three": ("IPV4/FLOWSPEC", [{"PORT": [{"op": "==", "len": 3, "val": 1}]}]),
    "a length that is none": ("IPV4/FLOWSPEC", [{"PORT": [{"op": "==", "len": True, "val": 1}]}]),
    "neither and nor not": ("IPV4/FLOWSPEC", [{"PORT": [{"and": 1, "op": "==", "val": 1}]}]),
    "a distinguisher where there is none": ("IPV4/FLOWSPEC", [{"RD": "1:1", "DST": "10.0.0.0/8"}]),
    "no distinguisher": ("IPV4/L3VPN_FLOWSPEC", [{"DST": "10.0.0.0/8"}]),
    "an offset behind the end": ("IPV6/FLOWSPEC", [{"DST": "::/64-64"}]),
    "an offset without a length": ("IPV6/FLOWSPEC", [{"DST": "::/64-"}]),
    "an IPv4 destination": ("IPV6/FLOWSPEC", [{"DST": "10.0.0.0/8"}]),
    "a rule too long": ("IPV4/FLOWSPEC", [{"PORT": [{"op": "==", "val": 1}] * 2048}]),
    "no origin": ("IPV4/ROUTE_TARGET", [{"target": {"type": "TARGET", "value": "1:1"}}]),
    "an unknown key of a target": ("IPV4/ROUTE_TARGET", [{"asn": 1}]),
    "an endpoint that is none": ("IPV4/SR_TE_POLICY", [{"distinguisher": 1, "color": 1, "endpoint": "x"}]),
    "a base too large": ("L2VPN/VPLS", [{"rd": "1:1", "ve": 1, "offset": 1, "size": 1, "base": 1 << 20}]),
}


@all_cases(("name", "routes"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(name, routes):
    family = parse_family(name)
    key = TABLE[family].members
    with pytest.raises(TextError):
        attribute_from_json("MP_REACH", {"af": name, "nexthop": "192.0.2.1", key: routes}, AS4)


def test_data_and_nh_are_read_for_every_family():
    for name, octets, item in SHOWN.values():
        family = parse_family(name)
        item = {"af": name, "nh": "0xc0000201", "data": f"0x{octets}"}
        one = attribute_from_json("MP_REACH", {"flags": "O", "value": item}, AS4)
        assert one.octets.hex() == f"{family.afi:04x}{family.safi:02x}04c000020100{octets}"


RDS = {
    "0000fde800000001": "65000:1",
    "0000fde8ffffffff": "65000:4294967295",
    "0001c00002010007": "192.0.2.1:7",
    "0002000100000007": "65536:7",
    "0002fffffffe0007": "4294967294:7",
    "00020000fde80007": "65000L:7",
    "0003000000000000": "0x0003000000000000",
}


@all_cases(("octets", "text"), RDS.items())
def test_route_distinguishers(octets, text):
    assert format_rd(bytes.fromhex(octets)) == text
    assert parse_rd(text).hex() == octets


@all_cases(
    "text", ["", "1", ":", "1:", ":1", "65536:65536", "1.2.3:1", "1.2.3.4:65536", "4294967296:1", "0x00", "-1:1"]
)
def test_what_is_no_route_distinguisher(text):
    with pytest.raises(TextError):
        parse_rd(text)


def test_mac_addresses_and_segments():
    assert parse_mac("00-00-5E-00-53-01") == parse_mac("00:00:5e:00:53:01") == bytes.fromhex("00005e005301")
    for parse, text in ((parse_mac, "00:00:5e:00:53"), (parse_mac, "00:00:5e:00:53:0g"), (parse_esi, "1")):
        with pytest.raises(TextError):
            parse(text)


def test_what_routes_say():
    def route(name: str, item: dict) -> Route:
        (found,) = decode_routes(parse_family(name), parse_routes([item], parse_family(name))[0], "id" in item)
        return found

    vpn = route("IPV4/MPLS_VPN", {"id": 7, "rd": "65000:1", "prefix": "10.1.0.0/24", "labels": [3, "0x000643"]})
    assert (str(vpn.prefix), vpn.rd, vpn.labels, vpn.mac, vpn.target) == (
        "#7#10.1.0.0/24",
        "65000:1",
        [3, 100],
        None,
        None,
    )
    rule = route("IPV4/L3VPN_FLOWSPEC", {"RD": "65000:1", "DST": "10.0.0.0/8"})
    assert (str(rule.prefix), rule.rd) == ("10.0.0.0/8", "65000:1")
    assert route("IPV6/FLOWSPEC", {"DST": "::1:0:0:0/64-80"}).prefix is None
    assert route("L2VPN/VPLS", SHOWN["VPLS, an odd label"][2]).labels == [10702]
    assert route("IPV4/ROUTE_TARGET", SHOWN["Route Target"][2]).target == {"type": "TARGET", "value": "65000:1"}
    assert route("IPV4/MPLS", SHOWN["bits behind the mask"][2]).prefix is not None  # a filter sees it all the same
    assert route("L2VPN/EVPNS", SHOWN["EVPN 99"][2]).members == {}


def test_an_update_lists_its_routes():
    update = Update.make(
        attrs={
            "MP_REACH": {"af": "IPV4/MPLS", "nexthop": "192.0.2.1", "routes": [SHOWN["labeled"][2]]},
            "MP_UNREACH": {"af": "IPV4/MPLS_VPN", "routes": [SHOWN["VPN"][2]]},
        }
    )
    assert update.reach == update.withdrawn == []
    assert [str(prefix) for prefix in update.reach_prefixes] == ["192.0.2.0/24"]
    assert [str(prefix) for prefix in update.withdrawn_prefixes] == ["10.1.0.0/24"]
    assert update.routes[0].labels == [16]
    assert update.unreach_routes[0].rd == "65000:1"
    assert update.next_hop == "192.0.2.1"


@pytest.mark.parametrize("seed", range(3))
def test_mutants_are_shown_so_that_they_come_back(seed):
    """Octets that are a little wrong: one error of one class, or JSON that gives them back."""
    rng = Random(seed)
    rows = [(parse_family(name), bytes.fromhex(octets)) for name, octets, _ in SHOWN.values()]
    shown = 0
    for _ in range(4000):
        family, octets = rng.choice(rows)
        mutant = bytearray(octets)
        for _ in range(rng.randrange(1, 4)):
            mutant[rng.randrange(len(mutant))] = rng.choice((0, 1, 0x80, 0xFF, rng.randrange(256)))
        octets = bytes(mutant)
        try:
            split_nlri(octets, family, False)
        except WireError:
            continue
        assert parse_routes(show(family, octets), family) == (octets, False)
        for route in decode_routes(family, octets, False):
            _ = route.prefix, route.rd, route.mac, route.labels, route.target
        shown += 1
    assert shown > 1000


def test_an_empty_list_of_addresses_is_no_next_hop():
    value = mp_reach.from_json({"af": "IPV4/FLOWSPEC", "rules": [{"DST": "10.0.0.0/8"}]})
    assert (value.hop, value.next_hop) == (b"", None)
