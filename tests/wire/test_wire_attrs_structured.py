"""Attributes that are shown as the JSON of their structure: both ways, what stays octets, and what is refused."""

from __future__ import annotations

import json
from random import Random

import pytest
from attributes_shown import SHOWN, tlv

from bgpipe.wire.attrs import CODES, TABLE
from bgpipe.wire.attrs.attribute import Attribute, attribute_from_json
from bgpipe.wire.context import AS4
from bgpipe.wire.errors import TextError
from bgpipe.wire.update import Update
from bgpipe.wire.update_body import join
from cases import all_cases


def show(name: str, octets: bytes) -> object:
    one = Attribute(TABLE[CODES[name]].default, CODES[name], octets, AS4)
    return json.loads("{" + one.format_json() + "}", parse_constant=pytest.fail)[name]["value"]


@all_cases(("name", "octets", "item"), SHOWN.values(), ids=SHOWN)
def test_both_ways(name, octets, item):
    assert show(name, bytes.fromhex(octets)) == item
    for given in (item, {"flags": "OT", "value": item}, {"flags": "OT", "value": f"0x{octets}"}):
        assert attribute_from_json(name, given, AS4).octets.hex() == octets
    assert attribute_from_json(name.lower(), item, AS4).octets.hex() == octets


@all_cases("name", sorted({name for name, _, _ in SHOWN.values()}))
def test_no_octets(name):
    assert show(name, b"") in (True, [])
    assert attribute_from_json(name, show(name, b""), AS4).octets == b""


def test_members_are_in_the_order_of_the_wire():
    name, octets, item = SHOWN["ingress replication of a VNI"]
    assert list(show(name, bytes.fromhex(octets))) == list(item)


REFUSED = {
    "no object": ("PMSI_TUNNEL", [1]),
    "no label": ("PMSI_TUNNEL", {"type": "NO_TUNNEL"}),
    "no type": ("PMSI_TUNNEL", {"label": 0}),
    "an unknown tunnel": ("PMSI_TUNNEL", {"type": "CABLE", "label": 0}),
    "a part of another tunnel": ("PMSI_TUNNEL", {"type": "NO_TUNNEL", "label": 0, "endpoint": "192.0.2.1"}),
    "a flag that is none": ("PMSI_TUNNEL", {"type": "NO_TUNNEL", "label": 0, "leaf": 1}),
    "no list": ("TUNNEL", {"type": "VXLAN"}),
    "no objects": ("TUNNEL", ["VXLAN"]),
    "a type that is no name": ("TUNNEL", [{"type": "CABLE"}]),
    "a type that is too large": ("TUNNEL", [{"type": 65536, "value": "0x"}]),
    "a type that is neither": ("TUNNEL", [{"type": [], "value": "0x"}]),
    "a type without a form": ("TUNNEL", [{"type": 99, "sub_tlvs": []}]),
    "an unknown member": ("TUNNEL", [{"type": "VXLAN", "value": 1}]),
    "a sub-TLV too long": ("TUNNEL", [{"type": "VXLAN", "sub_tlvs": [{"type": 1, "value": "0x" + "00" * 256}]}]),
    "a label too large": (
        "TUNNEL",
        [{"type": "SR_POLICY", "sub_tlvs": [{"type": "BINDING_SID", "label": 1 << 20}]}],
    ),
    "a label and a SID": (
        "TUNNEL",
        [{"type": "SR_POLICY", "sub_tlvs": [{"type": "BINDING_SID", "lebel": 1, "sid": "::1"}]}],
    ),
    "a name that is no text": ("TUNNEL", [{"type": "SR_POLICY", "sub_tlvs": [{"type": "POLICY_NAME", "name": 1}]}]),
    "a name that is no Unicode": (
        "TUNNEL",
        [{"type": "SR_POLICY", "sub_tlvs": [{"type": "POLICY_NAME", "name": "\ud800"}]}],
    ),
    "an IPv4 SID": ("PREFIX_SID", [{"type": "SRV6_L3_SERVICE", "sub_tlvs": [{"type": "SID_INFORMATION"}]}]),
    "a colon too few": ("IPV6_EXT_COMMUNITY", [{"type": "TARGET", "value": "1"}]),
    "an IPv4 community": ("IPV6_EXT_COMMUNITY", [{"type": "TARGET", "value": "192.0.2.1:1"}]),
    "a copy of nothing": ("IPV6_EXT_COMMUNITY", [{"type": "TARGET", "value": {"ip": "::1", "copy": True}}]),
    "a community without a value": ("IPV6_EXT_COMMUNITY", [{"type": "TARGET"}]),
    "a number too large": ("IPV6_EXT_COMMUNITY", [{"type": "TARGET", "value": "::1:65536"}]),
    "no metric": ("AIGP", [{"type": "AIGP"}]),
    "a metric too large": ("AIGP", [{"type": "AIGP", "metric": 1 << 64}]),
    "no address": ("PE_DISTING", [{"label": 1}]),
    "no octets": ("BGP_LS", [{"type": 1}]),
    "an unknown name": ("BGP_LS", [{"type": "NO_SUCH", "value": "0x"}]),
    "no segments": ("DPATH", {}),
    "a domain without a colon": ("DPATH", [[{"domain": "1", "safi": 1}]]),
    "too many domains": ("DPATH", [[{"domain": "1:1", "safi": 1}] * 256]),
    "a discriminator that is none": ("BFD_DISCRIMINATOR", {"mode": 1, "discriminator": "1"}),
    "no AS number": ("SET", {"attrs": {}}),
    "an unknown key": ("SET", {"origin_as": 1, "reach": []}),
    "a set in a set": ("SET", {"origin_as": 1, "attrs": {"SET": {"origin_as": 1}}}),
    "an attribute twice": ("SET", {"origin_as": 1, "attrs": {"MED": 1, "ATTR_4": 1}}),
    "a set in a set, by number": ("SET", {"origin_as": 1, "attrs": {"attr_128": "0x"}}),
}


@all_cases(("name", "item"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(name, item):
    with pytest.raises(TextError):
        attribute_from_json(name, item, AS4)


def test_mutants_are_shown_so_that_they_come_back():
    rng = Random(1)
    rows = [(name, bytes.fromhex(octets)) for name, octets, _ in SHOWN.values()]
    whole = 0
    for _ in range(5000):
        name, octets = rng.choice(rows)
        mutant = bytearray(octets)
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(mutant))
            match rng.randrange(3):
                case 0:
                    mutant[place] = rng.choice((0, 1, 0x80, 0xFF, rng.randrange(256)))
                case 1:
                    mutant[place:place] = rng.randbytes(rng.randrange(4))
                case 2 if len(mutant) > 2:
                    del mutant[place]
        if TABLE[CODES[name]].lengths is not None:
            mutant = mutant[: len(mutant) // 20 * 20]
        item = show(name, bytes(mutant))
        whole += not isinstance(item, str)
        assert attribute_from_json(name, {"flags": "OT", "value": item}, AS4).octets == mutant
    assert whole > 1000


def test_names_stay_in_their_json_string():
    hostile = '"},"x":\u2028\n\x1b[31m\0</script>'
    item = [{"type": "SR_POLICY", "sub_tlvs": [{"type": "POLICY_NAME", "name": hostile}]}]
    one = attribute_from_json("TUNNEL", item, AS4)
    text = one.format_json()
    assert text.isascii()
    assert text.isprintable()
    assert show("TUNNEL", one.octets) == item


def test_a_value_that_is_all_headers_does_not_take_long():
    """An attribute of 65,535 octets has at most 32,767 sub-TLVs; sets do not go into one another."""
    deep = b""
    for _ in range(9000):
        deep = bytes(4) + b"\xd0\x80" + min(len(deep), 0xFFFF).to_bytes(2, "big") + deep
        if len(deep) > 65000:
            break
    update = Update(join(b"", b"\xd0\x80" + len(deep).to_bytes(2, "big") + deep, b""), AS4)
    assert json.loads(update.format_json())["attrs"]["SET"]["value"] == f"0x{deep.hex()}"
    flat = tlv(5, "00" + "010000" * 20000)
    shown = show("PREFIX_SID", bytes.fromhex(flat))
    assert isinstance(shown, list)
    assert shown[0]["sub_tlvs"][19999] == {"type": 1, "value": "0x"}
