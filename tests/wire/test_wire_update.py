"""UPDATE: what it says, what is wrong with it, its JSON."""

from __future__ import annotations

import json

import pytest

from bgpipe.wire import attribute_json
from bgpipe.wire.attrs import KNOWN
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH
from bgpipe.wire.errors import Reaction, TextError, WireError
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from bgpipe.wire.update import Update
from bgpipe.wire.update_body import join
from cases import all_cases

V6 = "20010db8000000000000000000000001"
ORIGIN = "40010100"
PATH = "40020e0203000000010000000200000003"
NEXT_HOP = "4003040a000001"
MED = "80040400000064"
REACH = f"800e1a00020110{V6}002020010db8"
HOLLOW = f"800e1500020110{V6}00"
UNREACH = "800f0800020120" + "20010db9"
NLRI = "18c00002"


def update(*attributes: str, withdrawn: str = "", nlri: str = "", context=AS4) -> Update:
    section = bytes.fromhex("".join(attributes))
    return Update.decode(join(bytes.fromhex(withdrawn), section, bytes.fromhex(nlri)), context)


FULL = update(
    ORIGIN,
    PATH,
    NEXT_HOP,
    MED,
    "400504000000c8",
    "c0080800640001ffffff01",
    "c0100800020064000000c8",
    "c0200c000000010000000200000003",
    "c0230400000007",
    REACH,
    UNREACH,
    withdrawn="08" + "0b",
    nlri=NLRI,
)


def test_what_it_says():
    assert list(map(str, FULL.nlri)) == ["192.0.2.0/24"]
    assert list(map(str, FULL.reach)) == ["192.0.2.0/24", "2001:db8::/32"]
    assert list(map(str, FULL.withdrawn_routes)) == ["11.0.0.0/8"]
    assert list(map(str, FULL.withdrawn)) == ["11.0.0.0/8", "2001:db9::/32"]
    assert str(FULL.as_path) == "1,2,3"
    assert (FULL.origin_as, FULL.origin, FULL.next_hop) == (3, "IGP", "2001:db8::1")
    assert (FULL.med, FULL.local_pref, FULL.otc) == (100, 200, 7)
    assert FULL.communities == ["100:1", "65535:65281"]
    assert FULL.large_communities == ["1:2:3"]
    assert FULL.ext_communities == ['{"type":"TARGET","value":"100:200"}']
    assert list(FULL.attrs) == [1, 2, 3, 4, 5, 8, 16, 32, 35, 14, 15]
    assert FULL.attrs[4].octets == bytes((0, 0, 0, 100))
    assert FULL.family == IPV6_UNICAST
    assert FULL.errors == []
    assert FULL.reaction is None
    assert not FULL.is_eor


def test_what_is_absent():
    empty = update(withdrawn="08" + "0b")
    assert (empty.origin, empty.as_path, empty.origin_as, empty.next_hop, empty.med) == (None,) * 5
    assert (empty.local_pref, empty.otc, empty.aggregator) == (None,) * 3
    assert (empty.communities, empty.large_communities, empty.ext_communities, empty.reach) == ([], [], [], [])
    assert update(NEXT_HOP).next_hop == "10.0.0.1"
    assert (empty.family, empty.end_of_rib) == (IPV4_UNICAST, None)


def test_attributes_that_cannot_be_decoded_say_nothing():
    broken = update("400102" + "0000", "40020302010000", "80040300" + "0000", nlri=NLRI)
    assert (broken.origin, broken.as_path, broken.origin_as, broken.med) == (None,) * 4
    assert update("40010109").origin is None
    with pytest.raises(WireError):
        _ = broken.attrs[1].value


def test_prefixes_that_cannot_be_decoded_raise():
    for broken in (update(nlri="21"), update(withdrawn="21"), update("800e03000201"), update("800f04000201ff")):
        with pytest.raises(WireError) as caught:
            _ = broken.reach + broken.withdrawn
        assert caught.value.reaction == Reaction.SESSION_RESET


@pytest.mark.parametrize("body", ["", "00", "0000", "000000", "0001", "00010000", "00000001", "0000ffff40010100"])
def test_bodies_without_structure_raise(body):
    """RFC 4271 section 6.3: 3/1."""
    broken = Update.decode(bytes.fromhex(body))
    for name in ("nlri", "withdrawn_routes", "reach", "withdrawn", "attrs", "as_path", "origin_as", "med", "family"):
        with pytest.raises(WireError) as caught:
            getattr(broken, name)
        assert (caught.value.code, caught.value.subcode, caught.value.reaction) == (3, 1, Reaction.SESSION_RESET)
    with pytest.raises(WireError):
        broken.format_json()
    assert broken.reaction == Reaction.SESSION_RESET
    assert repr(broken).startswith("<Update of")


@pytest.mark.parametrize(
    ("eor", "family"),
    [
        (update(), IPV4_UNICAST),
        (update("800f03000201"), IPV6_UNICAST),
        (update("900f0003001946"), Family(25, 70)),
        (update("800f0400020100"), None),
        (update(ORIGIN), None),
        (update("800f03000201", nlri="00"), None),
        (update(withdrawn="00"), None),
        (update("800f020002"), None),
    ],
)
def test_end_of_rib(eor, family):
    """RFC 4724 section 2."""
    assert eor.end_of_rib == family
    assert eor.is_eor == (family is not None)


def test_as4_path_is_merged_where_as_numbers_have_two_octets():
    """RFC 6793 section 4.2.3."""
    path, as4_path = "400206020200015ba0", "c01106020100011170"
    assert str(update(path, as4_path, context=AS2).as_path) == "1,70000"
    assert update(path, as4_path, context=AS2).origin_as == 70000
    aggregator, as4_aggregator = "c007065ba00a000001", "c01208000111700a000001"
    both = update(path, as4_path, aggregator, as4_aggregator, context=AS2)
    assert both.origin_as == 70000
    assert both.aggregator == (70000, "10.0.0.1")
    disowned = update(path, as4_path, "c0070600020a000001", as4_aggregator, context=AS2)
    assert disowned.origin_as == 23456
    assert disowned.aggregator == (2, "10.0.0.1")
    assert update(path, "c01106000100011170", context=AS2).origin_as == 23456
    assert update(path, "c01106020100000000", context=AS2).origin_as == 23456
    assert str(update(PATH, as4_path).as_path) == "1,2,3"


# RFC 7606

GOOD = (ORIGIN, PATH, NEXT_HOP)
WRONG = {
    "all is well": (update(*GOOD, nlri=NLRI), []),
    "3(c) flags": (update("c0010100", PATH, NEXT_HOP, nlri=NLRI), [(4, 2)]),
    "3(d) no ORIGIN": (update(PATH, NEXT_HOP, nlri=NLRI), [(3, 2)]),
    "3(d) no NEXT_HOP": (update(ORIGIN, PATH, nlri=NLRI), [(3, 2)]),
    "3(d) NEXT_HOP is for the NLRI field": (update(ORIGIN, PATH, REACH), []),
    "3(d) MP_REACH alone": (update(REACH), [(3, 2), (3, 2)]),
    "3(g) MED twice": (update(*GOOD, MED, MED, nlri=NLRI), [(1, 1)]),
    "3(g) MP_REACH twice": (update(ORIGIN, PATH, REACH, REACH), [(1, 3)]),
    "3(g) MP_UNREACH twice": (update(UNREACH, UNREACH), [(1, 3)]),
    "3(h) the strongest": (update(*GOOD, "c00701" + "00", "800403000000", nlri=NLRI), [(5, 1), (5, 2)]),
    "3(i) withdrawn routes": (update(withdrawn="21" + "00" * 5), [(10, 3)]),
    "4 attribute too long": (update(*GOOD, "400104", nlri=NLRI), [(1, 2)]),
    "4 header cut": (update(*GOOD, "4001", nlri=NLRI), [(1, 2)]),
    "4 extended header cut": (update(*GOOD, "500100", nlri=NLRI), [(1, 2)]),
    "4 length 0": (update(*GOOD, "c00800", nlri=NLRI), [(5, 2)]),
    "5.2 error without NLRI": (update(*GOOD, "800403000000"), [(5, 2), (1, 3)]),
    "5.2 discard without NLRI": (update(*GOOD, "c00701" + "00"), [(5, 1)]),
    "5.2 MP_REACH of nothing, and an error": (update(ORIGIN, PATH, HOLLOW, "800403000000"), [(5, 2), (1, 3)]),
    "5.2 only an attribute that is cut": (update("400105"), [(1, 2), (1, 3)]),
    "5.2 a withdrawal and octets left over": (update(UNREACH, "40"), [(1, 2), (1, 3)]),
    "5.2 all is well": (update(*GOOD), []),
    "5.3 flags of MP_UNREACH": (update("a00f08" + UNREACH[6:]), [(4, 3)]),
    "5.3 flags of MP_REACH": (update(ORIGIN, PATH, "c0" + REACH[2:], nlri=NLRI), [(4, 3), (3, 2)]),
    "3(d) MP_REACH of nothing needs nothing": (update(HOLLOW), []),
    "3(j) MP_REACH cut by the end of its section": (update(*GOOD, "800e1a0002", nlri=NLRI), [(1, 3)]),
    "3(j) MP_UNREACH cut by the end of its section": (update(*GOOD, "800f", nlri=NLRI), [(1, 3)]),
    "3(j) MP_REACH before an attribute that is cut": (update(ORIGIN, PATH, REACH, "400304"), [(1, 2)]),
    "RFC 8205 3: BGPsec_PATH stands for AS_PATH": (update(ORIGIN, "80210400020000", REACH), []),
    "RFC 4760 3: NEXT_HOP is ignored": (update(ORIGIN, PATH, "40030400000000", REACH), []),
    "RFC 4760 3: but not for the NLRI field": (update(ORIGIN, PATH, "40030400000000", REACH, nlri=NLRI), [(8, 2)]),
    "7.3 NEXT_HOP of three octets is malformed": (update(ORIGIN, PATH, "400303000000", REACH), [(5, 2)]),
    "NEXT_HOP of a withdrawal is ignored": (update("4003047f000001", UNREACH), []),
    "5.3 NLRI": (update(*GOOD, nlri="18c0"), [(10, 3)]),
    "7.11 MP_REACH": (update(ORIGIN, PATH, "800e03000201"), [(9, 3)]),
    "unrecognized well-known": (update(*GOOD, "401e0101", nlri=NLRI), [(2, 3)]),
}


@all_cases(("wrong", "errors"), WRONG.values(), ids=WRONG)
def test_errors(wrong, errors):
    assert [(error.subcode, error.reaction) for error in wrong.errors] == errors
    assert wrong.errors == [] or all(error.code == 3 for error in wrong.errors)
    assert wrong.reaction == max((reaction for _, reaction in errors), default=None)


def test_errors_are_the_same_when_asked_twice():
    twice = update(*GOOD, MED, MED, nlri=NLRI)
    assert len(twice.errors) == len(twice.errors) == 1
    assert twice.med == 100


def test_missing_attributes_are_named_in_the_data():
    assert [error.data for error in update(REACH).errors] == [b"\x01", b"\x02"]


def test_the_kind_of_peer_matters():
    route = update(*GOOD, "400504000000c8", "80090401010101", "800a0401010101", nlri=NLRI)
    assert route.check() == route.check("ibgp") == []
    assert [error.reaction for error in route.check("ebgp")] == [Reaction.ATTRIBUTE_DISCARD] * 3
    without = update(*GOOD, nlri=NLRI)
    assert without.check("ebgp") == []
    assert [error.data for error in without.check("ibgp")] == [b"\x05"]


# JSON


def test_json():
    assert update().format_json() == "{}"
    assert FULL.format_json() == (
        '{"reach":["192.0.2.0/24"],"unreach":["11.0.0.0/8"],"attrs":{"ORIGIN":{"flags":"T","value":"IGP"},'
        '"ASPATH":{"flags":"T","value":[1,2,3]},"NEXTHOP":{"flags":"T","value":"10.0.0.1"},'
        '"MED":{"flags":"O","value":100},"LOCALPREF":{"flags":"T","value":200},'
        '"COMMUNITY":{"flags":"OT","value":["100:1","65535:65281"]},'
        '"EXT_COMMUNITY":{"flags":"OT","value":[{"type":"TARGET","value":"100:200"}]},'
        '"LARGE_COMMUNITY":{"flags":"OT","value":["1:2:3"]},"OTC":{"flags":"OT","value":7},'
        '"MP_REACH":{"flags":"O","value":{"af":"IPV6/UNICAST","nexthop":"2001:db8::1","prefixes":["2001:db8::/32"]}},'
        '"MP_UNREACH":{"flags":"O","value":{"af":"IPV6/UNICAST","prefixes":["2001:db9::/32"]}}}}'
    )
    assert Update.from_json(json.loads(FULL.format_json())) == FULL.body


def test_attributes_keep_their_order():
    shuffled = update(MED, PATH, "e0630401020304", ORIGIN, nlri=NLRI)
    item = json.loads(shuffled.format_json())
    assert list(item["attrs"]) == ["MED", "ASPATH", "ATTR_99", "ORIGIN"]
    assert Update.from_json(item) == shuffled.body
    item["attrs"] = dict(reversed(item["attrs"].items()))
    assert list(Update(Update.from_json(item)).attrs) == [1, 99, 2, 4]


MED_7 = "80040400000007"


@pytest.mark.parametrize(
    ("attributes", "names", "raw"),
    [
        ((MED, MED), ["MED"], [[1, "0x" + MED]]),
        ((MED, ORIGIN, MED_7, PATH, ORIGIN), ["MED", "ORIGIN", "ASPATH"], [[2, "0x" + MED_7], [4, "0x" + ORIGIN]]),
        ((REACH, REACH), ["MP_REACH"], [[1, "0x" + REACH]]),
        ((ORIGIN, "4001"), ["ORIGIN"], [[1, "0x4001"]]),
        ((ORIGIN, "400105"), ["ORIGIN"], [[1, "0x400105"]]),
        (("ff",), [], [[0, "0xff"]]),
        ((MED, MED, "4001"), ["MED"], [[1, "0x" + MED], [2, "0x4001"]]),
    ],
)
def test_octets_that_attrs_cannot_show_stand_beside(attributes, names, raw):
    odd = update(*attributes, nlri=NLRI)
    item = json.loads(odd.format_json())
    assert list(item["attrs"]) == names
    assert item["raw_attrs"] == raw
    assert Update.from_json(item) == odd.body
    assert Update.from_json({"reach": item["reach"], "attrs": "0x" + "".join(attributes)}) == odd.body


def test_the_first_of_two_attributes_counts():
    odd = update(MED, ORIGIN, MED_7, nlri=NLRI)
    assert json.loads(odd.format_json())["attrs"]["MED"]["value"] == odd.med == 100


def test_edits_beside_raw_attributes_are_taken():
    item = json.loads(update(MED, ORIGIN, MED).format_json())
    del item["attrs"]["ORIGIN"]
    item["attrs"]["MED"]["value"] = 5
    assert Update.from_json(item) == update("80040400000005", MED).body
    for wrong in ("0x00", [["0", "0x00"]], [[0]], [[0, "00"]], [[True, "0x00"]]):
        with pytest.raises(TextError):
            Update.from_json({**item, "raw_attrs": wrong})


def test_a_value_that_cannot_be_decoded_is_shown_as_octets():
    needs_check = update("400103010203", "4003020a00")
    item = json.loads(needs_check.format_json())
    assert item["attrs"] == {
        "ORIGIN": {"flags": "T", "value": "0x010203"},
        "NEXTHOP": {"flags": "T", "value": "0x0a00"},
    }
    assert Update.from_json(item) == needs_check.body


def test_path_identifiers_in_json():
    path = update(withdrawn="0000000108" + "0b", nlri="00000007" + NLRI, context=AS4_ADD_PATH)
    item = json.loads(path.format_json())
    assert item == {"reach": ["#7#192.0.2.0/24"], "unreach": ["#1#11.0.0.0/8"]}
    assert Update.from_json(item, AS4_ADD_PATH) == path.body
    assert Update.from_json(item) == bytes.fromhex("0002080b0000" + NLRI)
    assert Update.from_json({"reach": ["192.0.2.0/24"]}, AS4_ADD_PATH).hex() == "0000000000000000" + NLRI


def test_json_of_people():
    """Shorthand, names in lower case, bits behind the mask."""
    item = {"reach": ["192.0.2.77/24"], "attrs": {"origin": "igp", "aspath": [1, "2", 3], "nexthop": "10.0.0.1"}}
    assert Update.from_json(item) == update(ORIGIN, PATH, NEXT_HOP, nlri=NLRI).body
    assert Update.from_json({"reach": None, "unreach": [], "attrs": {}}) == bytes(4)
    assert Update.from_json({"attrs": None}) == bytes(4)


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        "0x00000000",
        {"reach": "10.0.0.0/8"},
        {"reach": {"10.0.0.0/8": 1}},
        {"reach": [1]},
        {"reach": ["10.0.0.0"]},
        {"reach": ["2001:db8::/32"]},
        {"reach": False},
        {"attrs": []},
        {"attrs": 0},
        {"attrs": "0x0"},
        {"attrs": {"ORIGIN": "IGP", "origin": "IGP"}},
        {"attrs": {"ORIGIN": "IGP", "ATTR_1": "0x00"}},
        {"attrs": {"NOSUCH": 1}},
        {"attrs": {"": 1}},
        {"attrs": "0x" + "00" * 65536},
        {"attrs": "0x" + "00" * 65513},
        {"reach": ["10.0.0.0/8"] * 32757},
    ],
    ids=lambda item: str(item)[:50],
)
def test_other_json_is_refused(item):
    with pytest.raises(TextError):
        Update.from_json(item)


def test_the_width_of_as_numbers_does_not_leak_through_remembered_texts():
    for _ in range(2):
        for octets, context, path in (
            ("400206020100010002", AS4, [65538]),
            ("400206020200010002", AS2, [1, 2]),
            ("400206020200010002", AS4, "0x020200010002"),
        ):
            item = json.loads(update(octets, context=context).format_json())
            assert item["attrs"]["ASPATH"]["value"] == path


def test_remembered_texts_are_bounded(monkeypatch):
    monkeypatch.setattr(attribute_json, "_CACHE_SIZE", 8)
    for remembered in attribute_json._known.values():
        for texts in remembered:
            texts.clear()
    for med in range(50):
        assert json.loads(update(f"800404{med:08x}").format_json())["attrs"]["MED"]["value"] == med
    long = update("c008" + "fc" + "00010002" * 63)
    assert len(json.loads(long.format_json())["attrs"]["COMMUNITY"]["value"]) == 63
    for remembered in attribute_json._known.values():
        for texts in remembered:
            assert len(texts) <= 8
            assert all(len(octets) <= attribute_json._CACHED_OCTETS for octets in texts)


def test_equal_updates():
    assert update(MED) == update(MED)
    assert update(MED) != update(ORIGIN)
    assert len({update(MED), update(MED)}) == 1
    assert repr(update(MED)) == '<Update {"attrs":{"MED":{"flags":"O","value":100}}}>'


def test_every_known_attribute_goes_through_an_update():
    for code in KNOWN:
        one = update(f"c0{code:02x}0401020304")
        assert Update.from_json(json.loads(one.format_json())) == one.body
