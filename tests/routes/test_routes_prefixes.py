"""Sets of prefixes as numbers: operations, text, order."""

from __future__ import annotations

import ipaddress
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import IPV4, IPV6, SETS, TEXTS

from bgpipe.routes.prefixes import EMPTY, PrefixSet, common, merged, parse_lines, without
from bgpipe.wire.errors import TextError
from bgpipe.wire.prefix import parse_prefix

NUMBERS = st.sets(st.integers(0, 200)).map(sorted)


@given(TEXTS)
def test_a_set_has_each_prefix_once_in_the_order_of_addresses(texts):
    found = PrefixSet.parse(texts)
    networks = sorted(set(map(ipaddress.ip_network, texts)), key=lambda each: (each.version, each))
    assert list(found) == list(map(str, networks))
    assert list(found.prefixes()) == [parse_prefix(str(each)) for each in networks]
    assert len(found) == len(networks)
    assert PrefixSet.from_prefixes(found.prefixes()) == found


@given(SETS, SETS)
def test_operations_on_sets(one, other):
    first, second = set(one), set(other)
    assert set(one | other) == first | second
    assert set(one & other) == first & second
    assert set(one - other) == first - second
    assert (one == other) == (first == second)
    assert (one.digest == other.digest) == (first == second)
    assert all((text in one) == (text in first) for text in second)


@given(NUMBERS, st.one_of(NUMBERS, st.lists(st.integers(0, 200), max_size=2, unique=True).map(sorted)))
def test_operations_on_numbers_of_which_one_is_much_shorter(numbers, others):
    assert list(without(numbers, others)) == sorted(set(numbers) - set(others))
    assert list(common(numbers, others)) == list(common(others, numbers)) == sorted(set(numbers) & set(others))
    assert merged((numbers, others)) == sorted({*numbers, *others})


@given(SETS)
def test_a_set_can_be_a_key_and_be_sent_to_another_process(one):
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert {one: 1}[again] == 1


def test_an_ipv4_prefix_takes_eight_octets():
    found = PrefixSet.parse(f"10.{high}.{low}.0/24" for high in range(4) for low in range(256))
    assert found.ipv4.itemsize * len(found.ipv4) == 8 * 1024


@given(st.lists(st.one_of(IPV4, IPV6, st.just(""), st.just("  192.0.2.0/24 \t"), st.just("192.0.2.1"))))
def test_lines_are_parsed_as_prefixes_are_one_by_one(texts):
    for text in ("\n".join(texts), "\r\n".join(texts) + "\r\n", "\n".join(texts).encode()):
        found = parse_lines(text)
        assert found.others == []
        lines = [each.strip() for each in texts if each]
        assert found.prefixes == PrefixSet.parse(each if "/" in each else f"{each}/32" for each in lines)


@pytest.mark.parametrize(
    "line",
    [
        "10.0.0.0/33",
        "010.0.0.0/8",
        "10.0.0.00/8",
        "256.0.0.0/8",
        "10.0.0/24",
        "10.0.0.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0/",
        "10..0.0/8",
        "10 0.0.0.0/8",
        "1.0.0 .0/8",
        "10.0.0.0-10.0.0.9",
        "10.0.0.0/8 # private",
        "# list",
        "#1#10.0.0.0/8",
        "10.0.0.0/-1",
        "2001:db8::/129",
        "192.0.2.٣/24",
        "/",
        ".",
    ],
)
def test_lines_that_are_no_prefix_are_given_back_with_their_number(line):
    plain = ["192.0.2.0/24", "198.51.100.0/24"]
    for lines, number in (([line, *plain], 1), ([*plain, line], 3), ([plain[0], line, plain[1]], 2), ([line], 1)):
        found = parse_lines("\n".join(lines))
        assert found.others == [(number, line)]
        assert list(found.prefixes) == [each for each in plain if each in lines]


def test_numbers_of_lines_in_a_text_of_many_pieces():
    lines = [f"10.{high}.{low}.0/24" for high in range(100) for low in range(200)]
    lines[15_000] = "?"
    lines[19_999] = "x"
    found = parse_lines("\n".join(lines) + "\n")
    assert found.others == [(15_001, "?"), (20_000, "x")]
    assert len(found.prefixes) == 19_998


def test_bits_behind_the_mask_are_cleared():
    assert list(parse_lines("192.0.2.77/24\n10.1.2.3/0\n").prefixes) == ["0.0.0.0/0", "192.0.2.0/24"]
    assert list(parse_lines("2001:db8::1/32\n").prefixes) == ["2001:db8::/32"]


def test_nothing_to_parse():
    assert parse_lines("").prefixes == parse_lines("\n\n").prefixes == EMPTY


def test_a_bad_prefix_is_named():
    with pytest.raises(TextError, match=r"10\.0\.0\.0/33"):
        PrefixSet.parse(["10.0.0.0/33"])
