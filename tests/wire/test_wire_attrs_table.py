"""The table of path attributes, and what every row of it must hold."""

from __future__ import annotations

import json
from itertools import product

import pytest

from bgpipe.wire.attrs import CODES, KNOWN, TABLE, parse_name
from bgpipe.wire.attrs.attribute import Attribute, attribute_from_json, encode_header, format_flags, parse_flags
from bgpipe.wire.context import AS2, AS4
from bgpipe.wire.errors import Reaction, TextError, WireError
from cases import all_cases

NAMED = sorted(KNOWN)


GOOD_VALUES = (
    {
        1: b"\0",
        2: b"",
        6: b"",
        14: bytes.fromhex("0001010401020304" + "00"),
        15: bytes.fromhex("000101"),
        17: bytes.fromhex("020100000001"),
        32: bytes(12),
    }
    | dict.fromkeys((3, 4, 5, 9, 35), bytes((1, 2, 3, 4)))
    | dict.fromkeys((7, 18, 16), bytes((1, 2, 3, 4, 5, 6, 7, 8)))
)


def test_there_is_a_row_for_every_code():
    assert [row.code for row in TABLE] == list(range(256))
    assert len(NAMED) >= 32
    assert len({row.name for row in TABLE}) == 256


@all_cases("code", NAMED)
def test_names_read_back_in_any_case(code):
    name = TABLE[code].name
    assert parse_name(name) == parse_name(name.lower()) == parse_name(f"attr_{code}") == code
    assert CODES[name] == code


@pytest.mark.parametrize("name", ["", "ASPATHS", "ATTR_", "ATTR_256", "ATTR_-1", "ATTR_٣", "ATTR_1x", "99"])
def test_other_names_are_refused(name):
    with pytest.raises(TextError):
        parse_name(name)


def test_default_flags_are_those_that_the_attribute_must_have():
    by_flags = {}
    for code in NAMED:
        by_flags.setdefault(format_flags(TABLE[code].default), set()).add(TABLE[code].name)
        assert TABLE[code].required in (None, TABLE[code].default)
    assert by_flags.keys() == {"T", "OT", "O"}
    assert by_flags["T"] == {"ORIGIN", "ASPATH", "NEXTHOP", "LOCALPREF", "AGGREGATE"}
    assert by_flags["OT"] >= {"COMMUNITY", "AS4PATH", "AS4AGGREGATOR", "PMSI_TUNNEL", "TUNNEL", "IPV6_EXT_COMMUNITY"}
    assert by_flags["OT"] >= {"PE_DISTING", "SFP_ATTR", "BFD_DISCRIMINATOR", "PREFIX_SID", "SET"}


OCTETS = [b"", b"\0", b"\x07" * 3, b"\x01" * 4, b"\x02\x01" * 4, b"\xff" * 24, bytes(300)]


@all_cases("code, octets", product(range(256), OCTETS))
def test_any_octets_have_a_json_form_that_gives_them_back(code, octets):
    one = Attribute(TABLE[code].default, code, octets, AS4)
    item = json.loads("{" + one.format_json() + "}")
    again = attribute_from_json(one.name, item[one.name], AS4)
    assert again.octets == octets
    assert again.encode() == one.encode()


@all_cases("code", NAMED)
def test_bad_flags_have_the_reaction_of_the_row(code):
    row = TABLE[code]
    if row.required is None:
        return
    for flag in (0x80, 0x40):
        one = Attribute(row.required ^ flag, code, GOOD_VALUES.get(code, bytes(20)), AS4)
        error = one.error()
        assert (error.subcode, error.reaction, error.data) == (4, row.bad_flags, one.encode())
        assert str(error).startswith(row.name)


def test_the_strongest_reaction_counts():
    """RFC 7606 section 3(h): flags that can't be are worse than a value that would be discarded."""
    one = Attribute(0xC0, 6, b"\0", AS4)
    assert (one.error().subcode, one.error().reaction) == (4, Reaction.TREAT_AS_WITHDRAW)


@pytest.mark.parametrize("code", [14, 15])
@pytest.mark.parametrize("flags", [0xC0, 0x40, 0x00, 0xA0])
def test_flags_of_multiprotocol_attributes_end_the_session(code, flags):
    """RFC 7606 section 5.3: with other flags than those of RFC 4760 they are incorrect, and so 3(j) applies."""
    error = Attribute(flags, code, GOOD_VALUES[code], AS4).error()
    assert (error.subcode, error.reaction) == (4, Reaction.SESSION_RESET)
    assert Attribute(0x90, code, GOOD_VALUES[code], AS4).error() is None


def test_only_who_is_unknown_is_an_unrecognized_well_known_attribute():
    """RFC 4271 section 6.3; attributes of drafts, and the reserved type 0, can be none."""
    for code in range(256):
        if TABLE[code].required is None:
            error = Attribute(0x40, code, b"\1", AS4).error()
            known = (4, Reaction.ATTRIBUTE_DISCARD)
            assert (error.subcode, error.reaction) == (known if code in KNOWN else (2, Reaction.SESSION_RESET))
            assert Attribute(0x80, code, b"\1", AS4).error() is None


def test_partial_belongs_to_optional_transitive_attributes():
    """RFC 4271 section 4.3."""
    assert Attribute(0xE0, 8, b"\0\0\0\1", AS4).error() is None
    assert Attribute(0xA0, 4, b"\0\0\0\1", AS4).error().subcode == 4
    assert Attribute(0x60, 1, b"\0", AS4).error().subcode == 4


@all_cases("code", [code for code in NAMED if TABLE[code].required is not None])
def test_empty_values_are_errors_where_they_cannot_be(code):
    row = TABLE[code]
    error = Attribute(row.required, code, b"", AS4).error()
    assert (error is None) == row.empty == (row.name in ("ASPATH", "AGGREGATE"))
    if error is not None:
        assert error.reaction == row.malformed


BAD_VALUES = {
    # code: (octets, reaction, subcode), RFC 7606 section 7 and the attributes' own RFCs
    "origin of two octets": (1, "0000", Reaction.TREAT_AS_WITHDRAW, 5),
    "origin 3": (1, "03", Reaction.TREAT_AS_WITHDRAW, 6),
    "segment type 5": (2, "050100000001", Reaction.TREAT_AS_WITHDRAW, 11),
    "AS 0": (2, "020100000000", Reaction.TREAT_AS_WITHDRAW, 11),
    "next hop of three octets": (3, "010203", Reaction.TREAT_AS_WITHDRAW, 5),
    "next hop 0.0.0.0": (3, "00000000", Reaction.TREAT_AS_WITHDRAW, 8),
    "next hop 224.0.0.1": (3, "e0000001", Reaction.TREAT_AS_WITHDRAW, 8),
    "med of five octets": (4, "0000000000", Reaction.TREAT_AS_WITHDRAW, 5),
    "local pref of three octets": (5, "000000", Reaction.TREAT_AS_WITHDRAW, 5),
    "atomic aggregate with a value": (6, "00", Reaction.ATTRIBUTE_DISCARD, 5),
    "aggregator of six octets": (7, "fde90a000001", Reaction.ATTRIBUTE_DISCARD, 5),
    "aggregator AS 0": (7, "000000000a000001", Reaction.ATTRIBUTE_DISCARD, 9),
    "communities of six octets": (8, "000000000000", Reaction.TREAT_AS_WITHDRAW, 5),
    "originator of five octets": (9, "0000000000", Reaction.TREAT_AS_WITHDRAW, 5),
    "cluster list of five octets": (10, "0000000000", Reaction.TREAT_AS_WITHDRAW, 5),
    "mp_reach of two octets": (14, "0001", Reaction.SESSION_RESET, 9),
    "next hop of five octets": (14, "000201050102030405" + "00", Reaction.SESSION_RESET, 9),
    "ipv6 prefix of 129 bits": (15, "000201" + "81" + "00" * 17, Reaction.SESSION_RESET, 9),
    "extended communities of nine octets": (16, "00" * 9, Reaction.TREAT_AS_WITHDRAW, 5),
    "as4_path with segment type 0": (17, "000100000001", Reaction.TREAT_AS_WITHDRAW, 11),
    "as4_aggregator of six octets": (18, "000000000000", Reaction.ATTRIBUTE_DISCARD, 5),
    "pmsi tunnel of four octets": (22, "00060000", Reaction.TREAT_AS_WITHDRAW, 5),
    "tunnel TLV too long": (23, "00070004" + "01", Reaction.TREAT_AS_WITHDRAW, 1),
    "ipv6 extended community of 21 octets": (25, "00" * 21, Reaction.TREAT_AS_WITHDRAW, 5),
    "aigp TLV of five octets": (26, "010005" + "00" * 8, Reaction.ATTRIBUTE_DISCARD, 1),
    "link-state TLV header cut": (29, "0400", Reaction.ATTRIBUTE_DISCARD, 1),
    "large communities of 13 octets": (32, "00" * 13, Reaction.TREAT_AS_WITHDRAW, 5),
    "otc of five octets": (35, "0000000000", Reaction.TREAT_AS_WITHDRAW, 5),
    "otc AS 0": (35, "00000000", Reaction.TREAT_AS_WITHDRAW, 9),
    "label index of one octet": (40, "01000100", Reaction.ATTRIBUTE_DISCARD, 1),
    "attr_set of three octets": (128, "000000", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 7606 7.16: attribute in an attr_set cut": (128, "0000fde9" + "40010200", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 7606 7.16: header in an attr_set cut": (128, "0000fde9" + "500100", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9012 13: sub-TLV too long": (23, "00070004" + "0104" + "0000", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9012 13: sub-TLV header cut": (23, "00070001" + "01", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9012 13: length of two octets cut": (23, "00070002" + "8000", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9012 13: length of two octets too long": (23, "00070004" + "800002" + "00", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 6514 5: tunnel type reserved": (22, "00ff000000" + "0a000002", Reaction.TREAT_AS_WITHDRAW, 9),
    "RFC 6514 5: endpoint of five octets": (22, "0006000000" + "0a00000200", Reaction.TREAT_AS_WITHDRAW, 9),
    "RFC 6514 5: identifier of no tunnel": (22, "0000000000" + "0a000002", Reaction.TREAT_AS_WITHDRAW, 9),
    "RFC 8669 3.1: label index of six octets": (40, "010006" + "00" * 6, Reaction.ATTRIBUTE_DISCARD, 1),
    "RFC 8669 3.2: SRGB without a range": (40, "030002" + "0000", Reaction.ATTRIBUTE_DISCARD, 1),
    "RFC 8669 3.2: SRGB range cut": (40, "030009" + "00" * 9, Reaction.ATTRIBUTE_DISCARD, 1),
    "RFC 8669 6: TLV too long": (40, "0400ff" + "0000", Reaction.ATTRIBUTE_DISCARD, 1),
    "RFC 9252 7: service of no octets": (40, "050000", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9252 7: service too long": (40, "0600ff" + "00", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9252 7: service behind another TLV too long": (40, "070000" + "050004" + "00", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9252 7: sub-TLV too long": (40, "050004" + "00" + "010001", Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9252 7: SID information short": (
        40,
        "050018" + "00" + "010014" + "00" * 20,
        Reaction.TREAT_AS_WITHDRAW,
        1,
    ),
    "RFC 9252 7: sub-sub-TLV cut": (40, "05001a" + "00" + "010016" + "00" * 22, Reaction.TREAT_AS_WITHDRAW, 1),
    "RFC 9252 3.2.1: structure of two": (
        40,
        "05001e00" + "01001a" + "00" * 21 + "0100020000",
        Reaction.TREAT_AS_WITHDRAW,
        1,
    ),
    "RFC 9026 3.1.6: ten octets": (38, "00" * 10, Reaction.ATTRIBUTE_DISCARD, 5),
}


@all_cases(("code", "octets", "reaction", "subcode"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_values_have_their_reaction(code, octets, reaction, subcode):
    error = Attribute(TABLE[code].required, code, bytes.fromhex(octets), AS4).error()
    assert isinstance(error, WireError)
    assert (error.code, error.subcode, error.reaction) == (3, subcode, reaction)


GOOD_STRUCTURES = {
    "tunnel without sub-TLVs": (23, "00070000"),
    "sub-TLVs with both sizes of length": (23, "0007000b" + "0602aabb" + "800004" + "00000000" + "00070000"),
    "PIM-SSM tree": (22, "0003000000" + "0a000001" + "e8000001"),
    "transport tunnel": (22, "0008000000" + "0a000002"),
    "unknown tunnel type": (22, "000c000000" + "00"),
    "label index and SRGB": (40, "01000700000000000002" + "030008" + "0000" + "0a1bfe00000a"),
    "unknown TLV": (40, "090003" + "000000"),
    "service with an unknown sub-TLV": (40, "050005" + "00" + "090001" + "00"),
    "SID information": (40, "050022" + "00" + "01001e" + "00" * 21 + "010006" + "281810000000"),
    "customer's attributes": (128, "0000fde9" + "40010100" + "500200060201" + "0000fde9"),
    "customer without attributes": (128, "0000fde9"),
    "BFD": (38, "01" + "00000001" + "0104" + "0a000001"),
}


@pytest.mark.parametrize(("code", "octets"), GOOD_STRUCTURES.values(), ids=GOOD_STRUCTURES)
def test_what_only_looks_odd_is_no_error(code, octets):
    """Types that nobody knows are none (RFC 9012 section 13, RFC 8669 section 6, RFC 9252 section 7)."""
    assert Attribute(TABLE[code].required, code, bytes.fromhex(octets), AS4).error() is None


def test_internal_attributes_from_an_external_peer_are_discarded():
    for code, octets in ((5, "00000064"), (9, "0a000001"), (10, "0a000001")):
        one = Attribute(TABLE[code].required, code, bytes.fromhex(octets), AS4)
        assert one.error() is None
        assert one.error(external=True).reaction == Reaction.ATTRIBUTE_DISCARD


def test_unknown_attributes_are_no_errors_unless_well_known():
    assert Attribute(0xC0, 254, b"\1", AS4).error() is None
    assert Attribute(0x80, 254, b"\1", AS4).error() is None
    error = Attribute(0x40, 254, b"\1", AS4).error()
    assert (error.subcode, error.reaction) == (2, Reaction.SESSION_RESET)


def test_flags():
    for flags in range(256):
        assert parse_flags(format_flags(flags)) == flags
    assert format_flags(0xF7) == "OTPX7"
    assert parse_flags("xto") == 0xD0
    for text in ("OTZ", "O16", "7O", "O777", "-"):
        with pytest.raises(TextError):
            parse_flags(text)


def test_headers_are_long_when_they_have_to_be_or_were():
    assert encode_header(0x40, 2, 255).hex() == "4002ff"
    assert encode_header(0x40, 2, 256).hex() == "50020100"
    assert encode_header(0x50, 2, 4).hex() == "50020004"


SHORTHAND = [
    ("origin", "igp", "40010100"),
    ("ORIGIN", 2, "40010102"),
    ("MED", "0x64", "80040400000064"),
    ("med", "100", "80040400000064"),
    ("AGGREGATE", True, "400600"),
    ("PMSI_TUNNEL", True, "c01600"),
    ("ATTR_99", "0x0102", "8063020102"),
    ("CLUSTER_LIST", [], "800a00"),
    ("COMMUNITY", ["65535:65281"], "c00804ffffff01"),
    ("LARGE_COMMUNITY", ["1:2:4294967295"], "c0200c0000000100000002ffffffff"),
    ("AGGREGATOR", {"asn": "65001", "addr": "10.0.0.1"}, "c007080000fde90a000001"),
    ("MED", {"flags": "O", "value": "0x64"}, "80040164"),
    ("ORIGIN", {"flags": "TX3", "value": "EGP"}, "5301000101"),
]


@pytest.mark.parametrize(("name", "item", "octets"), SHORTHAND)
def test_attributes_from_json(name, item, octets):
    assert attribute_from_json(name, item, AS4).encode().hex() == octets


REFUSED = [
    ("NOSUCH", 1),
    ("ORIGIN", "IGGY"),
    ("ORIGIN", 256),
    ("ORIGIN", None),
    ("ORIGIN", {"flags": "T"}),
    ("ORIGIN", {"flags": 64, "value": "IGP"}),
    ("ORIGIN", {"flags": "T", "more": 1}),
    ("NEXTHOP", "2001:db8::1"),
    ("NEXTHOP", "10.0.0"),
    ("NEXTHOP", 1),
    ("MED", -1),
    ("MED", 1 << 32),
    ("MED", True),
    ("MED", 1.0),
    ("MED", "1e3"),
    ("MED", "9" * 5000),
    ("AGGREGATE", False),
    ("AGGREGATOR", {"asn": 1}),
    ("AGGREGATOR", {"asn": 1, "addr": "::1"}),
    ("AGGREGATOR", [1, "10.0.0.1"]),
    ("COMMUNITY", "1:2"),
    ("COMMUNITY", ["65536:1"]),
    ("COMMUNITY", ["1:2:3"]),
    ("COMMUNITY", ["1:-2"]),
    ("COMMUNITY", [1]),
    ("LARGE_COMMUNITY", ["1:2"]),
    ("LARGE_COMMUNITY", [["1", "2", "3"]]),
    ("CLUSTER_LIST", ["::1"]),
    ("CLUSTER_LIST", {}),
    ("ATTR_99", 7),
    ("ATTR_99", "0x123"),
    ("ATTR_99", "0xzz"),
    ("ATTR_99", None),
    ("ATTR_99", "0x" + "00" * 65536),
]


@all_cases(("name", "item"), REFUSED, ids=str)
def test_wrong_json_is_refused_and_names_the_attribute(name, item):
    with pytest.raises(TextError) as caught:
        attribute_from_json(name, item, AS4)
    assert name in str(caught.value)


def test_as_numbers_have_the_width_of_the_context():
    item = {"asn": 70000, "addr": "10.0.0.1"}
    assert attribute_from_json("AGGREGATOR", item, AS2).octets.hex() == "5ba00a000001"
    assert attribute_from_json("AS4AGGREGATOR", item, AS2).octets.hex() == "000111700a000001"
    assert Attribute(0xC0, 7, bytes.fromhex("fde90a000001"), AS2).value == (65001, "10.0.0.1")


def test_aggregator_has_a_space_in_json_as_bgpipe_has():
    one = Attribute(0xC0, 7, bytes.fromhex("0000fde90a000001"), AS4)
    assert one.format_json() == '"AGGREGATOR":{"flags":"OT","value":{"asn":65001, "addr":"10.0.0.1"}}'


def test_attributes_compare_by_what_they_say():
    one, same = (Attribute(0x40, 1, b"\0", context) for context in (AS4, AS2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != Attribute(0x40, 1, b"\1", AS4)
    assert repr(one) == '<"ORIGIN":{"flags":"T","value":"IGP"}>'
