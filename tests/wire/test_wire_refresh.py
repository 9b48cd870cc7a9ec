"""ROUTE-REFRESH: subtypes (RFC 7313) and outbound route filters (RFC 5291, RFC 5292) as JSON, both ways."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.formats.json import JsonEncoder
from bgpipe.wire.body import body_from_json
from bgpipe.wire.errors import TextError
from bgpipe.wire.message import ROUTE_REFRESH, Message
from cases import all_cases

ENTRY = "00000005" + "0818" + "080a"
SHOWN_ENTRY = {"sequence": 5, "min": 8, "max": 24, "prefix": "10.0.0.0/8"}


def filters(*entries: str, kind: int = 64, when: int = 1) -> str:
    octets = "".join(entries)
    return f"{when:02x}{kind:02x}{len(octets) // 2:04x}{octets}"


def prefixes(*entries: dict) -> dict:
    return {"when": "IMMEDIATE", "filters": [{"type": "ADDRESS_PREFIX", "entries": list(entries)}]}


SHOWN = {
    "a request": ("00010001", {"af": "IPV4/UNICAST"}),
    "its beginning": ("00020101", {"af": "IPV6/UNICAST", "subtype": "BoRR"}),
    "its end": ("00190246", {"af": "L2VPN/EVPNS", "subtype": "EoRR"}),
    "a subtype that nobody knows": ("0001ff01", {"af": "IPV4/UNICAST", "subtype": 255}),
    "a family that nobody knows": ("03e700c8", {"af": "AFI(999)/SAFI(200)"}),
    "a filter": (
        "00010001" + filters("00" + ENTRY, "20" + ENTRY, "40" + ENTRY, "80"),
        {
            "af": "IPV4/UNICAST",
            "orf": prefixes(
                {"action": "ADD", "match": "PERMIT", **SHOWN_ENTRY},
                {"action": "ADD", "match": "DENY", **SHOWN_ENTRY},
                {"action": "REMOVE", "match": "PERMIT", **SHOWN_ENTRY},
                {"action": "REMOVE_ALL"},
            ),
        },
    ),
    "covering prefixes": (
        "00010080"
        + filters(
            "00" + "00000005" + "0020" + "0002fde800000001" + "0002fde800000002" + "00" + "0a000001", "80", kind=65
        ),
        {
            "af": "IPV4/MPLS_VPN",
            "orf": {
                "when": "IMMEDIATE",
                "filters": [
                    {
                        "type": "COVERING_PREFIXES",
                        "entries": [
                            {
                                "action": "ADD",
                                "match": "PERMIT",
                                "sequence": 5,
                                "min": 0,
                                "max": 32,
                                "vpn_target": {"type": "TARGET", "value": "65000:1"},
                                "import_target": {"type": "TARGET", "value": "65000:2"},
                                "route_type": 0,
                                "host": "10.0.0.1",
                            },
                            {"action": "REMOVE_ALL"},
                        ],
                    }
                ],
            },
        },
    ),
    "covering prefixes of EVPN": (
        "00190046"
        + filters(
            "20" + "00000001" + "0030" + "0002fde800000001" + "0102010203040007" + "02" + "00005e005301",
            "00" + "00000002" + "0000" + "0002fde800000001" + "0002fde800000001" + "03",
            kind=65,
        ),
        {
            "af": "L2VPN/EVPNS",
            "orf": {
                "when": "IMMEDIATE",
                "filters": [
                    {
                        "type": "COVERING_PREFIXES",
                        "entries": [
                            {
                                "action": "ADD",
                                "match": "DENY",
                                "sequence": 1,
                                "min": 0,
                                "max": 48,
                                "vpn_target": {"type": "TARGET", "value": "65000:1"},
                                "import_target": {"type": "IP4_TARGET", "value": "1.2.3.4:7"},
                                "route_type": 2,
                                "host": "00:00:5e:00:53:01",
                            },
                            {
                                "action": "ADD",
                                "match": "PERMIT",
                                "sequence": 2,
                                "min": 0,
                                "max": 0,
                                "vpn_target": {"type": "TARGET", "value": "65000:1"},
                                "import_target": {"type": "TARGET", "value": "65000:1"},
                                "route_type": 3,
                            },
                        ],
                    }
                ],
            },
        },
    ),
    "covering prefixes of a route type that nobody knows": (
        "00190046" + filters("00" + "00000002" + "0000" + "0002fde800000001" + "0002fde800000001" + "09", kind=65),
        {
            "af": "L2VPN/EVPNS",
            "orf": {
                "when": "IMMEDIATE",
                "filters": [
                    {
                        "type": "COVERING_PREFIXES",
                        "value": "0x0000000002" + "0000" + "0002fde800000001" + "0002fde800000001" + "09",
                    }
                ],
            },
        },
    ),
    "a filter of IPv6": (
        "00020001" + filters("00" + "00000005" + "0080" + "2020010db8"),
        {
            "af": "IPV6/UNICAST",
            "orf": prefixes(
                {
                    "action": "ADD",
                    "match": "PERMIT",
                    "sequence": 5,
                    "min": 0,
                    "max": 128,
                    "prefix": "2001:db8::/32",
                }
            ),
        },
    ),
    "no filter yet": ("0001000102", {"af": "IPV4/UNICAST", "orf": {"when": "DEFER", "filters": []}}),
    "two types, one without a form": (
        "00010001" + filters("80") + filters("0102", kind=128)[2:],
        {
            "af": "IPV4/UNICAST",
            "orf": {
                "when": "IMMEDIATE",
                "filters": [
                    {"type": "ADDRESS_PREFIX", "entries": [{"action": "REMOVE_ALL"}]},
                    {"type": 128, "value": "0x0102"},
                ],
            },
        },
    ),
    "reserved bits in an entry": (
        "00010001" + filters("01" + ENTRY),
        {
            "af": "IPV4/UNICAST",
            "orf": {"when": "IMMEDIATE", "filters": [{"type": "ADDRESS_PREFIX", "value": "0x01" + ENTRY}]},
        },
    ),
    "bits behind the mask": (
        "00010001" + filters("00" + "00000005" + "0818" + "070b"),
        {
            "af": "IPV4/UNICAST",
            "orf": {
                "when": "IMMEDIATE",
                "filters": [{"type": "ADDRESS_PREFIX", "value": "0x00" + "00000005" + "0818" + "070b"}],
            },
        },
    ),
    "entries cut short": ("0001000101400005", "0x0001000101400005"),
    "a body cut short": ("0001", "0x0001"),
    "no body": ("", "0x"),
}


def show(octets: bytes) -> object:
    line = JsonEncoder().encode(Message(ROUTE_REFRESH, octets))
    return json.loads(line, parse_constant=pytest.fail)[4]


@all_cases(("octets", "item"), SHOWN.values(), ids=SHOWN)
def test_both_ways(octets, item):
    assert show(bytes.fromhex(octets)) == item
    assert body_from_json(ROUTE_REFRESH, item).hex() == octets
    assert body_from_json(ROUTE_REFRESH, f"0x{octets}").hex() == octets


def test_names_in_any_case():
    item = {"af": "ipv4/unicast", "subtype": "borr", "orf": {"when": "defer", "filters": []}}
    assert body_from_json(ROUTE_REFRESH, item).hex() == "0001010102"


ENTRIES = {"action": "ADD", "match": "PERMIT", **SHOWN_ENTRY}
REFUSED = {
    "no family": {"subtype": 0},
    "no name": {"af": "IPV4/UNICAST", "subtype": "BORED"},
    "a subtype too large": {"af": "IPV4/UNICAST", "subtype": 256},
    "an unknown key": {"af": "IPV4/UNICAST", "more": 1},
    "filters that are none": {"af": "IPV4/UNICAST", "orf": []},
    "no filters": {"af": "IPV4/UNICAST", "orf": {"when": 1}},
    "when": {"af": "IPV4/UNICAST", "orf": {"when": "LATER", "filters": []}},
    "an unknown type": {"af": "IPV4/UNICAST", "orf": {"when": 1, "filters": [{"type": "X", "value": "0x"}]}},
    "octets that are none": {"af": "IPV4/UNICAST", "orf": {"when": 1, "filters": [{"type": 1, "value": 1}]}},
    "entries of another type": {"af": "IPV4/UNICAST", "orf": {"when": 1, "filters": [{"type": 1, "entries": []}]}},
    "no action": {"af": "IPV4/UNICAST", "orf": prefixes({})},
    "an unknown action": {"af": "IPV4/UNICAST", "orf": prefixes(ENTRIES | {"action": "CHANGE"})},
    "no match": {"af": "IPV4/UNICAST", "orf": prefixes(ENTRIES | {"match": "MAYBE"})},
    "an entry of everything": {"af": "IPV4/UNICAST", "orf": prefixes(ENTRIES | {"action": "REMOVE_ALL"})},
    "a number too large": {"af": "IPV4/UNICAST", "orf": prefixes(ENTRIES | {"max": 256})},
    "another family's prefix": {"af": "IPV4/UNICAST", "orf": prefixes(ENTRIES | {"prefix": "::/8"})},
    "no prefix": {"af": "IPV4/UNICAST", "orf": prefixes(ENTRIES | {"prefix": 8})},
    **{
        f"covering prefixes, {key}={value!r}": {
            "af": "IPV4/MPLS_VPN",
            "orf": {
                "when": 1,
                "filters": [
                    {
                        "type": "COVERING_PREFIXES",
                        "entries": [
                            {
                                "action": "ADD",
                                "match": "PERMIT",
                                "sequence": 5,
                                "min": 0,
                                "max": 32,
                                "vpn_target": {"type": "TARGET", "value": "65000:1"},
                                "import_target": {"type": "TARGET", "value": "65000:2"},
                                "route_type": 0,
                                "host": "10.0.0.1",
                            }
                            | {key: value}
                        ],
                    }
                ],
            },
        }
        for key, value in (
            ("host", "2001:db8::1"),
            ("host", "10.0.0"),
            ("host", 7),
            ("route_type", 1),
            ("route_type", 256),
            ("vpn_target", "65000:1"),
            ("prefix", "10.0.0.0/8"),
        )
    },
}


@all_cases("item", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(item):
    with pytest.raises(TextError):
        body_from_json(ROUTE_REFRESH, item)


@given(st.binary(max_size=40))
def test_any_octets_come_back(octets):
    assert body_from_json(ROUTE_REFRESH, show(octets)) == octets


def test_mutants_come_back():
    rng = Random(1)
    rows = [bytes.fromhex(octets) for octets, _ in SHOWN.values() if octets]
    for _ in range(3000):
        mutant = bytearray(rng.choice(rows))
        for _ in range(rng.randrange(1, 4)):
            mutant[rng.randrange(len(mutant))] = rng.choice((0, 1, 0x40, 0x80, 0xFF, rng.randrange(256)))
        assert body_from_json(ROUTE_REFRESH, show(bytes(mutant))) == mutant
