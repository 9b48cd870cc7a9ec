"""At most so many routes: what is widened, and what is held."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SETS, addresses, close, collapse, exclude, networks
from slow_policy import Peer, told
from test_routes_explain import TARGETS
from test_routes_tables import COMMONS, LISTS, SUBSCRIPTIONS

from bgpipe.routes.attributes import PLAIN, Attributes, UpdateGroup
from bgpipe.routes.budget import Budgeted, fit, widen
from bgpipe.routes.exclusion import exclude as without
from bgpipe.routes.explain import Outcome, explain
from bgpipe.routes.peer_routes import PeerRoutes
from bgpipe.routes.policy import ANY_LENGTH, Common, Guards, PrefixList, Subscription
from bgpipe.routes.prefixes import EMPTY, PrefixSet
from bgpipe.routes.table import Tables
from bgpipe.routes.union import unite
from bgpipe.wire.family import IPV4_UNICAST

TAGGED = Attributes(frozenset({65001 << 16 | 1}))
HOSTS = PrefixSet.parse(f"10.{net}.0.{host}/32" for net in range(10) for host in range(0, 256, 8))


def addresses_of(prefixes, version):
    return sum(each.num_addresses for each in networks(collapse(prefixes)) if each.version == version)


def count(found):
    return sum(map(len, found.routes.values()))


@settings(max_examples=60)
@given(st.one_of(SETS, close(min_size=3)), st.one_of(st.just(EMPTY), close(max_size=2)), st.integers(1, 8))
def test_widening_loses_no_address_and_keeps_exclusions(prefixes, exclusions, limit):
    prefixes = without(prefixes, exclusions)
    found = widen({PLAIN: prefixes}, limit, exclusions)
    routes = found.routes[PLAIN]
    assert collapse([*routes, *prefixes]) == collapse(routes)
    assert exclude(routes, exclusions) == set(routes)
    sizes = [[addresses_of(some, version) for some in (routes, prefixes)] for version in (4, 6)]
    assert found.foreign == sizes[0][0] - sizes[0][1]
    assert found.foreign_ipv6 == -((sizes[1][1] - sizes[1][0]) // 2**64)  # rounded up
    wider = {text for text in routes if exclude([text], prefixes)}
    assert wider == set(found.merged.get(PLAIN, EMPTY))
    if not exclusions:
        assert count(found) <= max(limit, 4)  # one of each family, or two where only a default route has all
    again = widen({PLAIN: prefixes}, limit, exclusions, merged=found.merged)
    assert again == found


@given(close(min_size=6), st.integers(1, 12))
def test_widening_costs_at_least_what_the_best_choice_does(prefixes, limit):
    """All choices of prefixes of sixteen addresses are tried."""
    prefixes = PrefixSet(unite(prefixes & PrefixSet.parse(f"10.0.0.{low}/32" for low in range(16))).ipv4)
    found = widen({PLAIN: prefixes}, limit)
    best = least(0, 4, {int(str(text).split(".")[3].split("/")[0]) for text in addresses(prefixes)})
    fewest = [cost for routes, cost in best.items() if routes <= max(count(found), 1)]
    assert not prefixes or min(fewest) <= found.foreign


def least(start, bits, hosts):
    """The least foreign addresses for each number of routes, of a block of 2 ** bits addresses."""
    own = sum(start <= host < start + (1 << bits) for host in hosts)
    if not own:
        return {0: 0}
    best = {1: (1 << bits) - own}
    if bits:
        half = 1 << bits - 1
        for left, left_cost in least(start, bits - 1, hosts).items():
            for right, right_cost in least(start + half, bits - 1, hosts).items():
                best[left + right] = min(best.get(left + right, 1 << 40), left_cost + right_cost)
    return best


def test_hosts_of_ten_networks_become_ten_networks():
    found = widen({PLAIN: HOSTS}, 10)
    assert list(found.routes[PLAIN]) == [f"10.{net}.0.0/24" for net in range(10)]
    assert found.foreign == 10 * (256 - 32)


def test_not_over_an_exclusion_and_not_shorter_than_allowed():
    found = widen({PLAIN: HOSTS}, 10, PrefixSet.parse(["10.3.0.1/32"]))
    assert count(found) <= 10
    assert found.foreign > 2240  # others are merged over more than their network
    assert not any(ipaddress.ip_address("10.3.0.1") in network for network in networks(found.routes[PLAIN]))
    found = widen({PLAIN: HOSTS}, 1, guards=Guards(shortest_ipv4=22))
    assert {network.prefixlen for network in networks(found.routes[PLAIN])} <= {22, 23, 24}


def test_an_exclusion_inside_a_bogon_is_one():
    """A list of a private network, in a file, is widened within it; what is excluded there stays out."""
    bogons, excluded = PrefixSet.parse(["10.0.0.0/8", "192.0.2.0/24"]), PrefixSet.parse(["10.3.0.1/32"])
    found = widen({PLAIN: HOSTS}, 10, excluded, bogons)
    assert found == widen({PLAIN: HOSTS}, 10, excluded)
    assert not any(ipaddress.ip_address("10.3.0.1") in network for network in networks(found.routes[PLAIN]))
    beside = PrefixSet.parse(["192.0.1.0/24", "192.0.3.0/24"])
    assert widen({PLAIN: beside}, 1, EMPTY, bogons).routes[PLAIN] == beside


def test_custom_prefixes_in_what_is_excluded_are_not_widened_over_it():
    """Only where nothing comes in: two halves of one."""
    customs = PrefixSet.parse(["10.0.0.0/32", "10.0.0.1/32", "10.0.0.4/32", "10.0.0.6/32"])
    found = widen({PLAIN: customs}, 1, PrefixSet.parse(["10.0.0.0/24"]))
    assert (sorted(found.routes[PLAIN]), found.foreign) == (["10.0.0.0/31", "10.0.0.4/32", "10.0.0.6/32"], 0)


def test_attributes_are_not_mixed():
    routes = {PLAIN: HOSTS, TAGGED: PrefixSet.parse(["10.0.0.1/32", "10.0.0.3/32"])}
    found = widen(routes, 11)
    assert count(found) <= 11
    assert all(collapse([*found.routes[said], *routes[said]]) == collapse(found.routes[said]) for said in routes)


def test_a_small_change_stays_small():
    first = widen({PLAIN: HOSTS}, 40)
    more = HOSTS | PrefixSet.parse(["172.16.0.0/24"])
    second = widen({PLAIN: more}, 41, merged=first.merged)
    assert set(second.routes[PLAIN]) == {*first.routes[PLAIN], "172.16.0.0/24"}
    less = HOSTS - PrefixSet.parse(["10.4.0.0/32"])
    third = widen({PLAIN: less}, 40, merged=first.merged)
    assert len(first.routes[PLAIN] - third.routes[PLAIN]) <= 1


def subscribe(**more):
    return Subscription(("a",), max_routes=10, **more)


def test_hold():
    few = {PLAIN: PrefixSet.parse(["192.0.2.0/24", "198.51.100.0/24"])}
    assert fit(few, subscribe(), Common()) == Budgeted(few)
    first = fit({PLAIN: HOSTS}, subscribe(), Common())
    assert (first.routes, first.held) == ({}, True)
    assert "320 routes, MaxRoutes is 10" in first.why
    held = fit({PLAIN: HOSTS}, subscribe(), Common(), Budgeted(few))
    assert (held.routes, held.held, held.foreign) == (few, True, 0)
    cut = fit({PLAIN: HOSTS}, subscribe(), Common(PrefixSet.parse(["192.0.2.128/25"])), Budgeted(few))
    assert list(cut.routes[PLAIN]) == ["192.0.2.0/25", "198.51.100.0/24"]
    many = fit({PLAIN: HOSTS}, subscribe(), Common(PrefixSet.parse(["192.0.2.1/32", "192.0.2.99/32"])), Budgeted(few))
    assert list(many.routes[PLAIN]) == ["198.51.100.0/24"]


def test_widening_is_limited():
    enough = fit({PLAIN: HOSTS}, subscribe(widen=True, max_foreign=2240), Common())
    assert (count(enough), enough.foreign, enough.held) == (10, 2240, False)
    assert "2240 foreign addresses" in enough.why
    before = Budgeted({PLAIN: PrefixSet.parse(["192.0.2.0/24"])})
    short = fit({PLAIN: HOSTS}, subscribe(widen=True, max_foreign=2239), Common(), before)
    assert (short.routes, short.held) == (before.routes, True)
    assert "MaxForeign is 2239" in short.why


STEPS = st.lists(st.one_of(LISTS, LISTS, COMMONS), min_size=1, max_size=4)


@settings(max_examples=40)
@given(SUBSCRIPTIONS, st.integers(1, 6), st.booleans(), st.sampled_from([0, 4, 1 << 20]), STEPS, TARGETS)
def test_whatever_changes_the_limit_holds(subscription, limit, widening, foreign, steps, target):
    """Never more routes than the limit, nor an excluded address; all that the policy gives, if nothing is held."""
    subscription = subscription._replace(
        max_routes=limit, widen=widening, max_foreign=foreign, max_foreign_ipv6=foreign
    )
    tables = Tables({})
    table = tables.of(subscription)
    for step in steps:
        tables = tables.changed({}, step) if isinstance(step, Common) else tables.changed({step.name: step})
        before, table = table, tables.of(subscription, table)
        exact, routes = tables.exact(subscription), by_text(table.routes())
        assert table.count == len(routes) <= limit
        for exclusions in (tables.common.exclusions, subscription.exclusions):
            customs = {text for custom in subscription.customs for text in custom.prefixes}
            assert all(exclude([text], exclusions) == {text} or covers(customs, text) for text in routes)
        if exact.count <= limit:
            assert routes == by_text(exact.routes())
        elif not table.budget.held:
            assert table.budget.foreign <= foreign
            assert all(covers(routes, text) for text in by_text(exact.routes()))
        else:
            assert all(covers(by_text(before.routes()), text) for text in routes)
        found = explain(target, subscription, tables, table)
        wanted = ipaddress.ip_network(target)
        covering = [each for each in networks(routes) if each.version == wanted.version and wanted.subnet_of(each)]
        assert str(found.route) == str(max(covering, key=lambda network: network.prefixlen, default=None))
        if found.route is None:
            assert not any(each.outcome in (Outcome.ANNOUNCED, Outcome.WIDENED) for each in found.steps)


def by_text(routes):
    return {text: attributes for attributes, prefixes in routes.items() for text in prefixes}


def covers(prefixes, text):
    network = ipaddress.ip_network(text)
    return any(network.version == each.version and network.subnet_of(each) for each in networks(prefixes))


def test_a_table_with_max_routes():
    form = UpdateGroup(65000, "192.0.2.1")
    tables = Tables({"a": PrefixList("a", HOSTS)})
    subscription = subscribe(widen=True, max_foreign=10_000)
    table = tables.of(subscription)
    assert (table.count, table.budget.foreign) == (10, 2240)
    provider = PeerRoutes(table, form)
    peer = Peer()
    peer.take(provider.replay(IPV4_UNICAST))
    after = tables.changed({"a": PrefixList("a", HOSTS | PrefixSet.parse(["10.3.0.77/32"]))})
    assert not any(provider.change(after.of(subscription, table)))
    after = tables.changed({"a": PrefixList("a", PrefixSet.parse(["10.3.0.0/24", "10.3.0.77/32"]))})
    peer.take(provider.change(after.of(subscription, provider.table)))
    assert peer.announced == []
    assert peer.routes == told({"10.3.0.0/24": PLAIN}, form)
    assert provider.table.budget is None
    assert after.of(subscription._replace(guards=ANY_LENGTH)) is provider.table
