"""Why a route is there: what is said agrees with the policy."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CLOSE, networks
from slow_policy import policy
from test_routes_tables import COMMONS, LISTS, SUBSCRIPTIONS

from bgpipe.routes.attributes import Attributes
from bgpipe.routes.explain import CUSTOM, Outcome, explain
from bgpipe.routes.policy import Common, Custom, Guards, PrefixList, Subscription
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routes.table import Tables
from bgpipe.wire.prefix import parse_prefix

TARGETS = st.one_of(st.sampled_from(CLOSE), st.integers(0, 15).map(lambda low: f"10.0.0.{low}"), st.just("2001:db8::1"))


@settings(max_examples=80)
@given(SUBSCRIPTIONS, st.lists(LISTS, max_size=4), COMMONS, TARGETS)
def test_the_route_is_that_of_the_policy(subscription, lists, common, target):
    by_name = {each.name: each for each in lists}
    found = explain(target, subscription, Tables(by_name, common))
    routes = policy(subscription, by_name, common)
    wanted = ipaddress.ip_network(target)
    covering = [each for each in networks(routes) if each.version == wanted.version and wanted.subnet_of(each)]
    best = max(covering, key=lambda network: network.prefixlen, default=None)
    assert str(found.route) == str(best)
    assert found.attributes == routes.get(str(best))
    if best is not None and wanted.num_addresses == 1:
        assert any(step.outcome is Outcome.ANNOUNCED for step in found.steps)
    if best is None:
        assert not any(step.outcome is Outcome.ANNOUNCED for step in found.steps)


LIST = PrefixSet.parse(["192.0.2.0/24", "198.51.100.0/24"])
WIDE = PrefixSet.parse(["192.0.0.0/8", "198.51.100.128/25"])
TAG = 65001 << 16 | 1


@pytest.mark.parametrize(
    ("change", "common", "target", "outcome", "by"),
    [
        ({}, {}, "192.0.2.1", Outcome.ANNOUNCED, None),
        ({"lists": ("b",)}, {}, "192.0.2.1", Outcome.NOT_CHOSEN, None),
        ({"guards": Guards(longest_ipv4=23)}, {}, "192.0.2.1", Outcome.LENGTH, None),
        ({}, {"exclusions": PrefixSet.parse(["192.0.2.0/31"])}, "192.0.2.1", Outcome.EXCLUDED_FOR_ALL, "192.0.2.0/31"),
        ({}, {"bogons": PrefixSet.parse(["192.0.2.0/24"])}, "192.0.2.1", Outcome.BOGON, "192.0.2.0/24"),
        ({"exclusions": PrefixSet.parse(["192.0.2.1/32"])}, {}, "192.0.2.1", Outcome.EXCLUDED, "192.0.2.1/32"),
        ({"customs": (Custom(WIDE),)}, {}, "192.0.2.1", Outcome.REPLACED, "192.0.0.0/8"),
        ({"wanted": frozenset({TAG})}, {}, "192.0.2.1", Outcome.COMMUNITIES, None),
        (
            {"exclusions": PrefixSet.parse(["192.0.2.0/32"]), "guards": Guards(longest_ipv4=24)},
            {},
            "192.0.2.1",
            Outcome.LENGTH,
            None,
        ),
    ],
)
def test_each_rule_is_named(change, common, target, outcome, by):
    lists = {"a": PrefixList("a", LIST, fetched=True), "b": PrefixList("b", PrefixSet.parse(["203.0.113.0/24"]))}
    found = explain(target, Subscription(("a",))._replace(**change), Tables(lists, Common(**common)))
    (step,) = (step for step in found.steps if step.source == "a")
    assert (step.outcome, str(step.prefix), str(step.by)) == (outcome, "192.0.2.0/24", str(by))


def test_custom_prefixes_and_the_default_list():
    lists = {"d": PrefixList("d", LIST, Attributes(frozenset({TAG})))}
    tables = Tables(lists, Common(default="d"))
    found = explain("192.0.2.1", Subscription(), tables)
    assert (found.by_default, found.attributes) == (True, Attributes(frozenset({TAG})))
    found = explain("192.0.2.1", Subscription(customs=(Custom(WIDE),)), tables)
    assert [(step.source, step.outcome) for step in found.steps] == [
        ("d", Outcome.NOT_CHOSEN),
        (CUSTOM, Outcome.ANNOUNCED),
    ]


def test_of_several_prefixes_that_cover_it_the_one_that_is_announced():
    lists = {"a": PrefixList("a", LIST | PrefixSet.parse(["192.0.2.0/31", "192.0.2.1/32"]))}
    custom = Custom(PrefixSet.parse(["192.0.2.0/30"]), Attributes(frozenset({TAG})))
    for change in ({"guards": Guards(longest_ipv4=24)}, {"customs": (custom,)}):
        found = explain("192.0.2.1", Subscription(("a",), **change), Tables(lists))
        assert found.steps[0][:3] == ("a", parse_prefix("192.0.2.0/24"), Outcome.ANNOUNCED)
        assert str(found.route) == ("192.0.2.0/30" if "customs" in change else "192.0.2.0/24")


def test_held_for_max_routes():
    subscription = Subscription(("d",), max_routes=1)
    tables = Tables({"d": PrefixList("d", LIST)})
    found = explain("192.0.2.1", subscription, tables, tables.of(subscription))
    assert (found.route, found.steps[0].outcome) == (None, Outcome.BUDGET)
