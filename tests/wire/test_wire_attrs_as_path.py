"""AS_PATH: segments, what they mean, their JSON form, and AS4_PATH."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.wire.attrs import parse_name
from bgpipe.wire.attrs.as_path import (
    AS_CONFED_SEQUENCE,
    AS_CONFED_SET,
    AS_SEQUENCE,
    AS_SET,
    AS_TRANS,
    CODEC,
    AsPath,
    Segment,
    decode_segments,
    encode_as4,
    from_json,
    make_path,
    merge_as4_path,
)
from bgpipe.wire.attrs.attribute import Attribute, attribute_from_json
from bgpipe.wire.context import AS2, AS4
from bgpipe.wire.errors import TextError, WireError

PATH = make_path(65001, 65002, (65003, 65004))
CONFEDERATION = AsPath(
    [
        Segment(AS_CONFED_SEQUENCE, (5, 6)),
        Segment(AS_CONFED_SET, (7, 8)),
        Segment(AS_SEQUENCE, (1, 2)),
        Segment(AS_SET, (3,)),
    ]
)


def test_what_a_path_means():
    assert PATH.hops == (65001, 65002, (65003, 65004))
    assert PATH.origin is None
    assert PATH.length == 3
    assert PATH.ases == (65001, 65002, 65003, 65004)
    assert str(PATH) == "65001,65002,[65003,65004]"
    assert make_path(1, 2).origin == 2
    assert (make_path().origin, make_path().length, str(make_path())) == (None, 0, "")


def test_segments_of_a_confederation_count_nothing():
    """RFC 5065 section 5.3."""
    assert CONFEDERATION.length == 3
    assert CONFEDERATION.hops == (1, 2, (3,))
    assert str(CONFEDERATION) == "(5,6),([7,8]),1,2,[3]"
    assert AsPath([*make_path(1, 2), Segment(AS_CONFED_SEQUENCE, (9,))]).origin == 2
    assert AsPath([Segment(AS_CONFED_SEQUENCE, (9,))]).origin is None


def test_json_forms():
    assert CODEC.format_json(PATH) == "[65001,65002,[65003,65004]]"
    text = CODEC.format_json(CONFEDERATION)
    assert text == '[{"confed_sequence":[5,6]},{"confed_set":[7,8]},1,2,[3]]'
    assert from_json(json.loads(text)) == CONFEDERATION
    assert CODEC.format_json(AsPath()) == "[]"
    assert from_json(["1", "0x2", ["3"]]) == make_path(1, 2, (3,))


def test_long_paths_are_cut_at_255():
    path = make_path(*range(1, 601))
    assert [len(ases) for _, ases in path] == [255, 255, 90]
    assert path.length == 600
    assert from_json(json.loads(CODEC.format_json(path))) == path


def made(*segments: tuple[int, int]) -> AsPath:
    """A path of segments of (type, how many AS numbers)."""
    numbers = itertools.count(64500)
    return AsPath(Segment(kind, tuple(next(numbers) for _ in range(count))) for kind, count in segments)


@pytest.mark.parametrize(
    ("segments", "counts"),
    [
        ([(AS_SEQUENCE, 1), (AS_SEQUENCE, 2)], [1, 2]),
        ([(AS_SEQUENCE, 255), (AS_SEQUENCE, 45)], None),
        ([(AS_SEQUENCE, 45), (AS_SEQUENCE, 255)], [45, 255]),
        ([(AS_SEQUENCE, 1), (AS_SET, 2), (AS_SEQUENCE, 3)], None),
        ([(AS_SET, 1), (AS_SET, 2)], None),
        ([(AS_SET, 2), (AS_SEQUENCE, 1), (AS_SEQUENCE, 1), (AS_SET, 1)], [2, 1, 1, 1]),
        ([(AS_CONFED_SEQUENCE, 2), (AS_CONFED_SEQUENCE, 1), (AS_SEQUENCE, 3), (AS_SEQUENCE, 2)], [2, 1, 3, 2]),
        ([(AS_SEQUENCE, 200), (AS_SEQUENCE, 200), (AS_CONFED_SET, 3)], [200, 200, 3]),
    ],
)
@pytest.mark.parametrize("name", ["ASPATH", "AS4PATH"])
def test_where_a_path_is_cut_stands_beside_the_list(name, segments, counts):
    path = made(*segments)
    code = parse_name(name)
    attribute = Attribute(0x50, code, encode_as4(path, AS4), AS4)
    item = json.loads("{" + attribute.format_json() + "}")[name]
    assert item.get("segments") == counts
    assert [asn for hop in item["value"] for asn in flat(hop)] == list(path.ases)
    assert attribute_from_json(name, item, AS4) == attribute


def flat(hop: object) -> list[int]:
    if isinstance(hop, dict):
        (hop,) = hop.values()
    return hop if isinstance(hop, list) else [hop]  # type: ignore[list-item]


@pytest.mark.parametrize("counts", [[1], [4], [1, 1], [1, 1, 1, 1], [0, 3], [-1, 4], "x", [1, "2"], {}, None])
def test_segments_that_do_not_fit_the_list_are_ignored(counts):
    """A program that prepends to the list need not know of them."""
    item = {"flags": "T", "value": [64500, 64501, 64502], "segments": counts}
    assert attribute_from_json("ASPATH", item, AS4).value == make_path(64500, 64501, 64502)


@pytest.mark.parametrize(
    "item",
    [
        "1,2",
        {},
        [[]],
        [[[1]]],
        [-1],
        [1 << 32],
        [1.5],
        [None],
        [True],
        [{"confed_sequence": []}],
        [{"confed": [1]}],
        [{"confed_set": [1], "confed_sequence": [1]}],
        [list(range(256))],
    ],
    ids=str,
)
def test_other_json_is_refused(item):
    with pytest.raises(TextError):
        from_json(item)


@pytest.mark.parametrize(
    ("octets", "what"),
    [
        ("02", "one octet"),
        ("0200", "without an AS number"),
        ("0202fde9", "cut short"),
        ("0001fde9", "segment type 0"),
        ("0201fde902", "one octet"),
    ],
)
def test_malformed_segments(octets, what):
    """RFC 7606 section 7.2."""
    with pytest.raises(WireError, match=what) as caught:
        decode_segments(bytes.fromhex(octets), 2)
    assert caught.value.subcode == 11


def test_two_octets_are_too_few_for_some():
    """RFC 6793 section 4.2.2."""
    path = make_path(65001, 70000)
    assert CODEC.encode(path, AS2).hex() == "0202fde95ba0"
    assert CODEC.encode(path, AS4).hex() == "02020000fde900011170"
    assert CODEC.decode(CODEC.encode(path, AS2), AS2) == make_path(65001, AS_TRANS)


def test_guessing_the_width():
    guess = AS4._replace(guess_as=True)
    octets = CODEC.encode(make_path(1, 2, 3), AS2)
    with pytest.raises(WireError):
        CODEC.decode(octets, AS4)
    assert CODEC.decode(octets, guess) == make_path(1, 2, 3)
    assert CODEC.decode(encode_as4(make_path(1, 2, 3), AS4), AS2._replace(guess_as=True)) == make_path(1, 2, 3)
    with pytest.raises(WireError, match="segment type 9"):
        CODEC.decode(b"\x09\x01\0\0", guess)


MERGES = [
    # AS_PATH, AS4_PATH, what they say together (RFC 6793 section 4.2.3)
    ([1, 23456, 23456], [70000, 80000], [1, 70000, 80000]),
    ([23456, 23456], [70000, 80000], [70000, 80000]),
    ([1, 23456], [70000, 80000, 90000], [1, 23456]),
    ([1, 23456], [], [1, 23456]),
    ([1, [2, 3], 23456], [70000], [1, [2, 3], 70000]),
    ([1, 2, [3, 4]], [5, [3, 70000]], [1, 5, [3, 70000]]),
    ([{"confed_sequence": [9]}, 1, 23456], [70000], [{"confed_sequence": [9]}, 1, 70000]),
    ([23456], [{"confed_sequence": [9]}, 70000], [70000]),
    ([1, 23456], [{"confed_sequence": [9]}], [1, 23456]),
]


@pytest.mark.parametrize(("path", "as4_path", "merged"), MERGES, ids=str)
def test_as4_path_completes_as_path(path, as4_path, merged):
    assert merge_as4_path(from_json(path), from_json(as4_path)) == from_json(merged)


segments = st.builds(
    Segment,
    st.sampled_from((AS_SET, AS_SEQUENCE, AS_CONFED_SEQUENCE, AS_CONFED_SET)),
    st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=4).map(tuple),
)
paths = st.lists(segments, max_size=5).map(AsPath)


@given(paths)
def test_octets_come_back(path):
    assert decode_segments(encode_as4(path, AS4), 4) == path
    attribute = Attribute(0x50, 2, encode_as4(path, AS4), AS4)
    item = json.loads("{" + attribute.format_json() + "}")["ASPATH"]
    assert attribute_from_json("ASPATH", item, AS4) == attribute


@given(paths, paths)
def test_a_merged_path_has_the_length_of_as_path(path, as4_path):
    merged = merge_as4_path(path, as4_path)
    assert merged.length == path.length
