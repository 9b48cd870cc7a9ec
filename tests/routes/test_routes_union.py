"""Exact union and exact subtraction, against a slow implementation on the standard library's networks."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import SETS, addresses, collapse, exclude, networks

from bgpipe.routes import exclusion
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routes.union import union_change, unite, united

SMALL = SETS.map(lambda found: PrefixSet.parse(str(each) for each in networks(found) if each.num_addresses <= 64))


@given(SETS)
def test_union_is_the_shortest_list_of_the_same_addresses(prefixes):
    assert set(unite(prefixes)) == collapse(prefixes)


@given(SETS, st.integers(0, 32))
def test_what_a_union_changes(prefixes, shortest):
    for afi in (1, 2):
        numbers = prefixes.numbers(afi)
        out = united(numbers, afi, shortest)
        gone, made = union_change(numbers, afi, shortest)
        assert set(gone) == set(numbers) - set(out)
        assert len(gone) == len(set(gone))
        assert made == set(out) - set(numbers)


@given(SMALL)
def test_union_adds_and_loses_no_address(prefixes):
    assert addresses(unite(prefixes)) == addresses(prefixes)


@given(SETS, st.integers(0, 32))
def test_union_makes_nothing_shorter_than_it_may(prefixes, shortest):
    found = unite(prefixes, shortest, shortest)
    lengths = {ipaddress.ip_network(text).prefixlen for text in prefixes}
    assert min((ipaddress.ip_network(text).prefixlen for text in found), default=shortest) >= min({shortest, *lengths})
    assert collapse(found) == collapse(prefixes)


def test_a_default_route_is_never_made():
    assert list(unite(PrefixSet.parse(["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]))) == [
        "0.0.0.0/1",
        "128.0.0.0/1",
        "::/1",
        "8000::/1",
    ]


@given(SETS, SETS)
def test_exclusion_leaves_exactly_the_other_addresses(prefixes, exclusions):
    found = exclusion.exclude(prefixes, exclusions)
    assert collapse(found) == collapse(exclude(prefixes, exclusions))
    cuts = networks(exclusions)
    for network in networks(prefixes):
        if not any(network.version == cut.version and network.overlaps(cut) for cut in cuts):
            assert str(network) in set(found)


@given(SMALL, SMALL)
def test_exclusion_keeps_no_address_of_the_exclusions(prefixes, exclusions):
    left = addresses(exclusion.exclude(prefixes, exclusions))
    assert left == addresses(prefixes) - addresses(exclusions)


@given(SETS, SETS)
def test_few_and_many_exclusions_are_cut_alike(prefixes, exclusions):
    """Few are looked up one by one, with many both are gone through once."""
    for afi in (1, 2):
        numbers, cuts = list(prefixes.numbers(afi)), united(exclusions.numbers(afi), afi, 0)
        if cuts:
            kept, around = exclusion._apart_by_cuts(numbers, cuts, afi)
            assert (list(kept), around) == exclusion._apart_by_numbers(numbers, cuts, afi)


@pytest.mark.parametrize(
    ("whole", "address", "count"), [("10.0.0.0/8", "10.1.2.3/32", 24), ("2000::/3", "2001:db8::1/128", 125)]
)
def test_a_network_without_one_address(whole, address, count):
    left = exclusion.exclude(PrefixSet.parse([whole]), PrefixSet.parse([address]))
    assert len(left) == count
    assert set(left) == exclude([whole], [address])
    assert list(unite(left | PrefixSet.parse([address]))) == [whole]


def test_of_prefixes_inside_each_other_each_is_cut():
    prefixes = PrefixSet.parse(["10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/24", "10.0.0.5/32", "11.0.0.0/8"])
    left = exclusion.exclude(prefixes, PrefixSet.parse(["10.0.0.4/31"]))
    assert set(left) == exclude(["10.0.0.0/8"], ["10.0.0.4/31"]) | {"11.0.0.0/8"}
