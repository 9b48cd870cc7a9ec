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
    ("4004fde947f42400", {"type": "0x4004", "value": "65001:1207182336", "nontransitive": True}),
    ("010c010203040000", {"type": "0x10c", "value": "1.2.3.4:0"}),
    ("0702000000fe80fe", {"type": "0x702", "value": "0xfe80fe"}),
    ("800a136405dc0000", {"type": "0x800a", "value": "0x136405dc0000"}),
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
    ],
    ids=str,
)
def test_other_json_is_refused(item):
    with pytest.raises(TextError):
        parse_ext_community(item)
