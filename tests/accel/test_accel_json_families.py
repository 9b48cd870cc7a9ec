"""Accel's JSON of NLRI that are objects and of extended communities: as Python has it, or declined."""

from __future__ import annotations

import json
from random import Random

import pytest
from accel_records import attribute, block, update

from bgpipe import accel
from bgpipe.wire.context import AS4
from bgpipe.wire.ext_community import NAMES, format_ext_community
from bgpipe.wire.family import Family, parse_family
from bgpipe.wire.flags import FLAG_ADD_PATH_IPV4, FLAG_AS4, FLAG_RIGHT
from bgpipe.wire.nlri import parse_routes
from bgpipe.wire.update import Update
from bgpipe.wire.validation import malformed
from cases import all_cases
from wire.nlri_shown import SHOWN

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
if accel.AVAILABLE:
    from bgpipe.accel.json_out import encode

FLAGS = FLAG_AS4 | FLAG_RIGHT
V4, V6, LINK_LOCAL = "c0000201", "20010db8" + "00" * 11 + "01", "fe80" + "00" * 13 + "01"
COMPILED = (
    *("labeled", "two labels", "for a withdrawal", "another one", "a traffic class", "VPN", "VPN, default route"),
    *("EVPN 1", "EVPN 2", "EVPN 2 without an address", "EVPN 3", "EVPN 4", "EVPN 5", "EVPN 5, IPv6"),
)
"""Of SHOWN, those that must not be declined."""


def check(octets: bytes, flags: int = FLAGS) -> bool:
    """Compares accel and Python for one message. Whether accel has done it."""
    one = block(octets, flags=flags)
    text, position = encode(one.octets, one.index, 0)
    if position:
        found = Update.decode(octets[19:], AS4)
        assert text[text.index(b'"UPDATE",') + 9 :].rpartition(b",{")[0].decode() == found.format_json()
    _, judged = encode(one.octets, one.index, 0, checks=True)
    if judged:
        assert malformed(Update.decode(octets[19:], AS4)) == []
    return bool(position)


def reach(family: Family, hop: str, nlri: bytes) -> bytes:
    head = f"{family.afi:04x}{family.safi:02x}{len(hop) // 2:02x}{hop}00"
    return update(attribute(0x90 if len(nlri) > 200 else 0x80, 14, head + nlri.hex()))


def unreach(family: Family, nlri: bytes) -> bytes:
    return update(attribute(0x90, 15, f"{family.afi:04x}{family.safi:02x}" + nlri.hex()))


def hops(family: Family) -> list[str]:
    return [f"{'00' * 8}{V4}", f"{'00' * 8}{V6}"] if family.safi == 128 else [V4, V6, V6 + LINK_LOCAL]


@all_cases(("name", "octets", "item"), SHOWN.values(), ids=SHOWN)
def test_families(name, octets, item):
    family, nlri = parse_family(name), bytes.fromhex(octets)
    for hop in ("", V4, V6, V6 + LINK_LOCAL, f"{'00' * 8}{V4}", f"{'00' * 7}01{V4}", f"{'00' * 8}{V6}", "00" * 48):
        for routes in (nlri, nlri * 3, b"", nlri + b"\0", nlri[:-1]):
            check(reach(family, hop, routes))
            assert not check(reach(family, hop, routes), FLAGS | FLAG_ADD_PATH_IPV4)
            check(unreach(family, routes))


@all_cases("name", COMPILED)
def test_what_is_compiled(name):
    family, nlri = parse_family(SHOWN[name][0]), bytes.fromhex(SHOWN[name][1])
    for hop in hops(family):
        assert check(reach(family, hop, nlri * 2))
    assert check(unreach(family, nlri))
    assert check(unreach(family, b""))


RULES = (
    {"DST": "192.0.2.0/24"},
    {"SRC": "0.0.0.0/0", "PROTO": [{"op": "==", "val": 6}, {"op": "!=", "val": 17}]},
    {"PORT": [{"op": ">", "val": 8080}, {"and": True, "op": "<=", "val": 65535}, {"op": "true", "val": 1 << 40}]},
    {"PKTLEN": [{"op": "<", "len": 8, "val": 5}, {"op": ">=", "len": 2, "val": 70}, {"op": "false", "val": 0}]},
    {"TCP_FLAGS": [{"op": op, "len": 2, "val": "0x1002"} for op in ("ANY", "ALL", "NONE", "NOT-ALL")]},
    {"FRAG": [{"and": True, "op": "ANY", "len": 8, "val": "0xffffffffffffffff"}]},
    {"PORT_DST": [{"op": "==", "val": 1}], "PORT_SRC": [{"op": "==", "val": 1}], "DSCP": [{"op": "==", "val": 1}]},
    {"ICMP_TYPE": [{"op": "==", "val": 1}], "ICMP_CODE": [{"op": "==", "val": 1}]},
)


@all_cases("rule", RULES)
def test_flowspec_is_compiled(rule):
    for safi, more in ((133, {}), (134, {"RD": "65000:1"})):
        for hop in ("", V4):
            nlri, _ = parse_routes([rule | more] * 2, Family(1, safi))
            assert check(reach(Family(1, safi), hop, nlri))
    six = {key: value for key, value in rule.items() if key not in ("DST", "SRC")}
    six |= {"DST": "2001:db8::/32", "LABEL": [{"op": "==", "val": 1}]}
    assert check(reach(Family(2, 133), "", parse_routes([six], Family(2, 133))[0]))


@pytest.mark.parametrize("count", [10, 60, 100, 200, 1000])
def test_a_rule_that_becomes_much_text(count):
    """Two octets can become sixty: what accel has no room for is for Python."""
    rule = {"FRAG": [{"and": True, "op": "NOT-ALL", "len": 1, "val": "0xff"}] * count}
    nlri, _ = parse_routes([rule], Family(1, 133))
    check(reach(Family(1, 133), "", nlri))
    check(reach(Family(1, 133), "", nlri * 3))


def test_mutants():
    rng = Random(4)
    rows = [(parse_family(name), bytes.fromhex(octets)) for name, octets, _ in SHOWN.values()]
    rows += [(Family(1, 133), parse_routes([rule], Family(1, 133))[0]) for rule in RULES] * 2
    done = 0
    for _ in range(15000):
        family, octets = rng.choice(rows)
        mutant = bytearray(octets * rng.randrange(1, 3))
        for _ in range(rng.randrange(3)):
            mutant[rng.randrange(len(mutant))] = rng.choice((0, 1, 0x80, 0xFF, rng.randrange(256)))
        octets = bytes(mutant)
        done += check(
            unreach(family, octets) if rng.random() < 0.2 else reach(family, rng.choice(hops(family)), octets)
        )
    assert done > 2000


def test_extended_communities():
    """Named types with likely and with any values."""
    rng = Random(5)
    done = 0
    for _ in range(12000):
        kind = rng.choice(list(NAMES)) | (0x4000 if rng.random() < 0.3 else 0)
        value = rng.choice((0, 1, 2, 3, 8, 10, 100, 0x010000000005, 0x01000000, 0x447A0000, rng.getrandbits(48)))
        if rng.random() < 0.5:
            value |= rng.randrange(1 << 16) << 32
        one = block(update(attribute(0xC0, 16, f"{kind:04x}{value:012x}")), flags=FLAGS)
        text, position = encode(one.octets, one.index, 0)
        if position:
            done += 1
            assert f'"value":[{format_ext_community(kind << 48 | value)}]' in text.decode()
            json.loads(text)
    assert done > 3000
