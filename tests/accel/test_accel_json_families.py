"""Accel's JSON of NLRI that are objects, and of the attributes that go with them: as Python has it, or declined."""

from __future__ import annotations

import json
from random import Random

import pytest
from accel_records import attribute, block, update

from bgpipe import accel
from bgpipe.formats import json as json_format
from bgpipe.formats.json_encoder import JsonEncoder, format_attribute
from bgpipe.formats.json_go import GoEncoder
from bgpipe.formats.json_line import parse_attribute
from bgpipe.wire.attrs import KNOWN, parse_name
from bgpipe.wire.block import Block
from bgpipe.wire.ext_community import NAMES, format_ext_community
from bgpipe.wire.family import Family, parse_family
from bgpipe.wire.flags import (
    CONTEXT_FLAGS,
    CONTEXTS,
    FLAG_ADD_PATH,
    FLAG_ADD_PATH_IPV4,
    FLAG_ADD_PATH_IPV6,
    FLAG_AS4,
    FLAG_RIGHT,
)
from bgpipe.wire.nlri import TABLE, members_of, parse_routes
from bgpipe.wire.update import Update
from bgpipe.wire.validation import malformed
from cases import all_cases
from wire.attributes_shown import SHOWN as ATTRIBUTES
from wire.nlri_shown import SHOWN

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
if accel.AVAILABLE:
    from bgpipe.accel.json_out import encode

FLAGS = FLAG_AS4 | FLAG_RIGHT
V4, V6, LINK_LOCAL = "c0000201", "20010db8" + "00" * 11 + "01", "fe80" + "00" * 13 + "01"
DECLINED = ("no last label", "FlowSpec, IPv6")
COMPILED = [
    name
    for name, (_, _, item) in SHOWN.items()
    if "value" not in item and "FlowType" not in str(item) and name not in DECLINED
]
"""Of SHOWN, those that must not be declined: nearly all that have a form."""
PATH_IDS = (0, FLAG_ADD_PATH, FLAG_ADD_PATH_IPV4, FLAG_ADD_PATH_IPV6, FLAG_ADD_PATH_IPV4 | FLAG_ADD_PATH_IPV6)


@pytest.fixture(autouse=True, scope="module")
def told():
    """Accel has been told of all families and attributes, as it is when the first of each has come."""
    for family in TABLE:
        members_of(b"\0\0\0", family)
    for row in KNOWN.values():
        assert row.codec


def check(octets: bytes, flags: int = FLAGS) -> bool:
    """Compares accel and Python for one message. Whether accel has done it alone."""
    one = block(octets, flags=flags)
    python = JsonEncoder().encode_one(one.message(0))
    for show in (None, format_attribute):
        text, position = encode(one.octets, one.index, 0, show=show)
        assert text == (python if position else b"")
        _, judged = encode(one.octets, one.index, 0, checks=True, show=show)
        if judged:
            assert malformed(Update.decode(octets[19:], CONTEXTS[flags & CONTEXT_FLAGS])) == []
    text, position = encode(one.octets, one.index, 0, short=True, show=format_attribute)
    assert text == (GoEncoder().encode_one(one.message(0)) if position else b"")
    return bool(encode(one.octets, one.index, 0)[1])


def reach(family: Family, hop: str, nlri: bytes) -> bytes:
    head = f"{family.afi:04x}{family.safi:02x}{len(hop) // 2:02x}{hop}00"
    return update(attribute(0x90 if len(nlri) > 200 else 0x80, 14, head + nlri.hex()))


def unreach(family: Family, nlri: bytes) -> bytes:
    return update(attribute(0x90, 15, f"{family.afi:04x}{family.safi:02x}" + nlri.hex()))


def hops(family: Family) -> list[str]:
    return [f"{'00' * 8}{V4}", f"{'00' * 8}{V6}"] if family.safi in (128, 129) else [V4, V6, V6 + LINK_LOCAL]


@all_cases(("name", "octets", "item"), SHOWN.values(), ids=SHOWN)
def test_families(name, octets, item):
    family, nlri = parse_family(name), bytes.fromhex(octets)
    for hop in ("", V4, V6, V6 + LINK_LOCAL, f"{'00' * 8}{V4}", f"{'00' * 7}01{V4}", f"{'00' * 8}{V6}", "00" * 48):
        for routes in (nlri, nlri * 3, b"", nlri + b"\0", nlri[:-1]):
            check(reach(family, hop, routes))
            check(unreach(family, routes))
    for path_ids in PATH_IDS:
        for routes in (nlri, nlri * 2, (bytes(4) + nlri) * 2, b"", nlri + b"\0", bytes(4) + nlri[:-1]):
            check(reach(family, hops(family)[0], routes), FLAGS | path_ids)
            check(unreach(family, routes), FLAGS ^ FLAG_AS4 | path_ids)


@all_cases("name", COMPILED)
def test_what_is_compiled(name):
    family, nlri = parse_family(SHOWN[name][0]), bytes.fromhex(SHOWN[name][1])
    for hop in hops(family):
        assert check(reach(family, hop, nlri * 2))
    assert check(unreach(family, nlri))
    assert check(unreach(family, b""))
    with_ids = b"\0\0\0\7" + nlri + b"\xff\xff\xff\xff" + nlri
    assert check(reach(family, hops(family)[0], with_ids), FLAGS | FLAG_ADD_PATH)
    assert check(reach(family, hops(family)[0], nlri), FLAGS | FLAG_ADD_PATH_IPV4)


@all_cases(("name", "value", "item"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attributes(name, value, item):
    code, octets = parse_name(name), bytes.fromhex(value)
    flags = KNOWN[code].default
    origin = attribute(0x40, 1, "00")
    for each in (flags, flags | 0x20, flags | 0x10, flags ^ 0x40, flags | 1):
        one = attribute(each, code, f"{value}") if len(octets) < 256 or each & 0x10 else b""
        for path_ids in (0, FLAG_ADD_PATH, FLAG_ADD_PATH_IPV6):
            check(update(origin + one), FLAGS | path_ids)
            check(update(origin + one + one), FLAGS | path_ids)


@all_cases(("name", "value", "item"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attributes_are_shown_with_the_rest(name, value, item):
    """A message with an attribute that accel doesn't know is done by it, but for this attribute."""
    code = parse_name(name)
    octets = update(attribute(0x40, 1, "00"), attribute(KNOWN[code].default | 0x10, code, value))
    one = block(octets, flags=FLAGS)
    sound = malformed(Update.decode(octets[19:])) == []
    assert encode(one.octets, one.index, 0, show=format_attribute)[1] == int(sound and '"AS4' not in str(item))


def test_attributes_that_are_compiled():
    for name in ("no tunnel", "PIM-SSM", "PIM-SM", "ingress replication of a VNI", "SR Policy with labels"):
        kind, value, _ = ATTRIBUTES[name]
        assert check(update(attribute(0xD0, parse_name(kind), value)))
    assert check(
        update(
            attribute(0xC0, 40, "050022" + "0001001e" + "00" + V6 + "00" + "0013" + "00" + "01000640181000" + "0000")
        )
    )


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
    for _ in range(8000):
        family, octets = rng.choice(rows)
        path_ids = rng.choice(PATH_IDS) if rng.random() < 0.5 else 0
        if path_ids == FLAG_ADD_PATH:
            octets = rng.randbytes(4) + octets
        mutant = bytearray(octets * rng.randrange(1, 3))
        for _ in range(rng.randrange(3)):
            mutant[rng.randrange(len(mutant))] = rng.choice((0, 1, 0x80, 0xFF, rng.randrange(256)))
        octets = bytes(mutant)
        mp = unreach(family, octets) if rng.random() < 0.2 else reach(family, rng.choice(hops(family)), octets)
        done += check(mp, FLAGS | path_ids)
    assert done > 1000


def test_mutants_of_attributes():
    rng = Random(6)
    rows = [(parse_name(name), bytes.fromhex(value)) for name, value, _ in ATTRIBUTES.values()]
    done = 0
    for _ in range(6000):
        code, octets = rng.choice(rows)
        mutant = bytearray(octets or b"\0")
        for _ in range(rng.randrange(4)):
            mutant[rng.randrange(len(mutant))] = rng.choice((0, 1, 0x80, 0xFF, rng.randrange(256)))
        if rng.random() < 0.1:
            del mutant[rng.randrange(len(mutant)) :]
        done += check(update(attribute(0x40, 1, "00"), attribute(KNOWN[code].default | 0x10, code, mutant.hex())))
    assert done > 500


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
    assert done > 1000


def lines_of(octets: bytes, flags: int = FLAGS) -> bytes:
    return JsonEncoder().encode_one(block(octets, flags=flags).message(0))


def read(lines: bytes) -> tuple[list[tuple[object, ...]], list[str], list[str]]:
    """What a decoder makes of lines: messages, damage, notes."""
    damage: list[str] = []
    notes: list[str] = []
    decoder = json_format.JsonDecoder(on_damage=lambda each: damage.append(str(each)), on_note=notes.append)
    found = []
    for item in (*decoder.feed(lines), *decoder.end()):
        for each in item if isinstance(item, Block) else [item]:
            context = each.context
            found.append((each.type_code, each.body, context.as4, context.add_path, dict(each.tags), each.seq))
    return found, damage, notes


def all_lines() -> list[bytes]:
    """A line of each family and attribute."""
    lines = []
    for name, octets, _ in SHOWN.values():
        family, nlri = parse_family(name), bytes.fromhex(octets)
        lines += [lines_of(reach(family, hops(family)[0], nlri)), lines_of(unreach(family, nlri))]
        lines.append(lines_of(reach(family, hops(family)[0], b"\0\0\0\7" + nlri), FLAGS | FLAG_ADD_PATH))
    for name, value, _ in ATTRIBUTES.values():
        code = parse_name(name)
        both = attribute(0x40, 1, "00") + attribute(KNOWN[code].default | 0x10, code, value)
        lines += [lines_of(update(both)), lines_of(update(both), FLAGS ^ FLAG_AS4)]
    return lines


def compare(lines: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read(lines)
    with monkeypatch.context() as without:
        without.setattr(json_format, "_json_in", None)
        assert fast == read(lines)


def test_lines_are_read_as_python_reads_them(monkeypatch):
    lines = all_lines()
    compare(b"".join(lines), monkeypatch)
    done = sum(accel.json_in.decode(line, 0, parse_attribute)[2] > 0 for line in lines)
    assert done > len(lines) // 2


def test_mutants_of_lines(monkeypatch):
    """Keys and values that are wrong, come twice or are cut short cost the same."""
    rng = Random(8)
    lines = all_lines()
    pieces = (
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"1",
        b"x",
        b"\\",
        b'"id":1,',
        b'"type":1,',
        b"#",
        b" ",
        b"null",
        b"\xff",
    )
    mutants = []
    for _ in range(3000):
        line = rng.choice(lines)
        place = rng.randrange(len(line) - 1)
        mutants.append(line[:place] + rng.choice(pieces) + line[place + rng.randrange(2) :])
        if rng.random() < 0.1:
            mutants[-1] = line.replace(b'"EXT_COMMUNITY"', b'"ext_community"').replace(b'"O"', b'"OX"')
    compare(b"".join(mutants), monkeypatch)
