"""Tables of peers out of shared parts: what a peer holds after any changes is what the policy says, worked out anew."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SETS, close, collapse
from slow_policy import Peer, policy, told

from bgpipe import accel
from bgpipe.routes import difference, group_change, packing, partition, peer_routes, union
from bgpipe.routes import table as table_module
from bgpipe.routes.attributes import Attributes, UpdateGroup
from bgpipe.routes.partition import finish
from bgpipe.routes.peer_routes import PeerRoutes
from bgpipe.routes.policy import Common, Custom, Guards, PrefixList, Subscription, announced
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routes.table import Tables
from bgpipe.wire import context as wire_context
from bgpipe.wire.context import AS2, AS4
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family

NAMES = ("a", "b", "c", "d")
ATTRIBUTES = st.sampled_from(
    [
        Attributes(),
        Attributes(),
        Attributes(frozenset({65001 << 16 | 1})),
        Attributes(frozenset({65001 << 16 | 2}), med=5),
        Attributes(large_communities=frozenset({(65001, 2, 3)}), prepends=2),
        Attributes(frozenset({65535 << 16 | 666}), next_hop_ipv4="192.0.2.66", next_hop_ipv6="self"),
    ]
)
LISTS = st.builds(
    lambda name, prefixes, attributes, fetched, failed: PrefixList(name, prefixes, attributes, fetched, failed),
    st.sampled_from(NAMES),
    st.one_of(close(min_size=5), close(max_size=3), SETS),
    ATTRIBUTES,
    st.booleans(),
    st.booleans(),
)
FEW = st.one_of(st.just(PrefixSet()), close(max_size=2), close(max_size=2))
GUARDS = st.sampled_from([Guards(), Guards(), Guards(2, 30, 3, 126), Guards(longest_ipv4=31)])
SUBSCRIPTIONS = st.builds(
    Subscription,
    lists=st.lists(st.sampled_from((*NAMES, "none")), max_size=4).map(tuple),
    customs=st.lists(st.builds(Custom, FEW, ATTRIBUTES), max_size=2).map(tuple),
    exclusions=FEW,
    guards=GUARDS,
    wanted=st.sampled_from([frozenset(), frozenset(), frozenset({65001 << 16 | 1, (65001, 2, 3)})]),
    attributes=st.sampled_from([Attributes(), Attributes(frozenset({65001 << 16 | 9}), med=7)]),
    union=st.booleans(),
    unwanted=st.sampled_from([frozenset(), frozenset(), frozenset({65001 << 16 | 2})]),
    max_routes=st.just(0),
    widen=st.just(False),
    max_foreign=st.just(0),
)
COMMONS = st.builds(
    Common,
    exclusions=FEW,
    bogons=FEW,
    default=st.sampled_from(["", "d"]),
    more_defaults=st.sampled_from([(), ("c", "x")]),
)
FORMS = st.sampled_from(
    [
        UpdateGroup(65000, "192.0.2.1", "2001:db8::1"),
        UpdateGroup(65000, "192.0.2.1"),
        UpdateGroup(4200000000, "192.0.2.1", "2001:db8::1", AS2),
        UpdateGroup(65000, "2001:db8::1", "2001:db8::1"),
    ]
)
BOTH = (IPV4_UNICAST, IPV6_UNICAST)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Parts, messages and blocks are so small that a few prefixes fill several."""
    monkeypatch.setattr(peer_routes, "SMALL", 2)
    monkeypatch.setattr(difference, "STEP", 3)
    monkeypatch.setattr(partition, "_SAMPLE", 1)
    monkeypatch.setattr(partition, "_ANEW_BY_ACCEL", 4)  # so both ways are gone
    monkeypatch.setattr(packing, "RUN", 5)
    monkeypatch.setattr(packing, "MAX_BLOCK", 200)
    monkeypatch.setattr(wire_context, "MAX_MESSAGE", 160)


def by_text(routes):
    return {text: attributes for attributes, prefixes in routes.items() for text in prefixes}


@settings(max_examples=40)
@given(SUBSCRIPTIONS, st.lists(LISTS, max_size=4), COMMONS)
def test_the_policy_is_that_of_the_slow_implementation(subscription, lists, common):
    by_name = {each.name: each for each in lists}
    found = announced(subscription, by_name, common)
    assert by_text(found.routes) == policy(subscription, by_name, common)
    assert sum(map(len, found.routes.values())) == len(by_text(found.routes))
    table = Tables(by_name, common).of(subscription)
    assert table.routes() == found.routes
    assert table.count == sum(map(len, found.routes.values()))
    assert (table.missing, table.by_default) == (found.missing, found.by_default)


def test_a_custom_prefix_is_united_with_what_is_beside_it(monkeypatch):
    """Only what lies around custom prefixes is worked out anew for a peer, however far that reaches."""
    monkeypatch.delattr(table_module, "whole")
    lists = [
        PrefixList("a", PrefixSet.parse(["8.0.0.0/8", "9.128.0.0/9", "20.0.0.0/8", "2001:db8::/32"])),
        PrefixList("b", PrefixSet.parse(["10.0.0.0/8", "20.1.0.0/16"])),
    ]
    customs = PrefixSet.parse(["9.0.0.0/9", "11.0.0.0/8", "2001:db9::/32"])
    subscription = Subscription(("a", "b"), (Custom(customs),), PrefixSet.parse(["20.1.0.0/16"]))
    by_name = {each.name: each for each in lists}
    found = Tables(by_name).of(subscription).routes()
    assert found == announced(subscription, by_name).routes
    assert {"8.0.0.0/6", "2001:db8::/31", "20.128.0.0/9"} < {text for each in found.values() for text in each}


def test_tables_are_made_in_steps(monkeypatch):
    monkeypatch.setattr(accel, "AVAILABLE", False)  # which makes a million in one step of some milliseconds
    monkeypatch.setattr(union, "STEP", 10)
    prefixes = PrefixSet.of(number << 17 | 24 for number in range(1000))
    lists = {name: PrefixList(name, prefixes) for name in ("a", "b")}
    tables = Tables({"a": lists["a"]})
    both = Subscription(("a", "b"))
    tables.of(both)
    steps = tables.changing({"b": lists["b"]})
    assert sum(1 for _ in iter(lambda: next(steps, "end"), "end")) > 100
    assert sum(1 for _ in tables.changed({"b": lists["b"]}).preparing(both)) > 100


STEPS = st.lists(
    st.one_of(LISTS, LISTS, st.sampled_from(NAMES), SUBSCRIPTIONS, COMMONS, st.sampled_from(BOTH)),
    min_size=1,
    max_size=6,
)


CHANGES = given(st.lists(LISTS, max_size=4), st.tuples(SUBSCRIPTIONS, SUBSCRIPTIONS), FORMS, STEPS, st.integers(0, 3))


@settings(max_examples=20)
@CHANGES
def test_after_some_changes_peers_hold_what_the_policy_says(lists, subscriptions, form, steps, taken):
    check_changes(lists, subscriptions, form, steps, taken)


OWN = st.tuples(st.lists(st.builds(Custom, FEW, ATTRIBUTES), max_size=2).map(tuple), FEW)
"""The custom prefixes and exclusions of a peer."""
OWN_CHANGES = given(
    st.lists(LISTS, min_size=2, max_size=4),
    SUBSCRIPTIONS,
    st.lists(st.one_of(OWN, OWN, LISTS, COMMONS), min_size=2, max_size=5),
    st.sampled_from([-1, 3, 1000]),
)


@settings(max_examples=60)
@OWN_CHANGES
def test_what_differs_in_many_customs_and_exclusions_is_worked_out_where_it_is(lists, subscription, steps, many):
    check_own_changes(lists, subscription, steps, many)


@pytest.mark.slow
@settings(max_examples=500)
@OWN_CHANGES
def test_any_changes_of_many_customs_and_exclusions(lists, subscription, steps, many):
    check_own_changes(lists, subscription, steps, many)


def check_own_changes(lists, subscription, steps, many):
    """many: more changed prefixes than this are worked out anew with all others."""
    by_name, common = {each.name: each for each in lists}, Common()
    tables = Tables(by_name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_change, "MANY", -1)
        patch.setattr(group_change, "STEP", 16)
        patch.setattr(table_module, "MANY", many)
        tables.of(subscription)
        for step in steps:
            like = subscription
            if isinstance(step, PrefixList):
                by_name[step.name] = step
                tables = tables.changed({step.name: step})
            elif isinstance(step, Common):
                common = step
                tables = tables.changed({}, common)
            else:
                subscription = subscription._replace(customs=step[0], exclusions=step[1])
            finish(tables.preparing(subscription, like))
            found = tables.exact(subscription)
            assert by_text(found.routes()) == policy(subscription, by_name, common)
            assert found.count == len(by_text(found.routes()))


def test_one_of_many_customs_is_changed_in_few_steps(monkeypatch):
    monkeypatch.setattr(group_change, "STEP", 64)
    tables = Tables({"a": PrefixList("a", PrefixSet.of(each << 17 | 24 for each in range(0, 20_000, 3)))})
    customs = PrefixSet.of(each << 17 | 24 for each in range(0, 20_000, 5))
    before = Subscription(("a",), customs=(Custom(customs),), exclusions=PrefixSet.parse(["0.3.0.0/30"]))
    assert sum(1 for _ in tables.preparing(before)) > 100
    after = before._replace(customs=(Custom(customs | PrefixSet.parse(["203.0.113.0/24"])),))
    assert sum(1 for _ in tables.preparing(after, before)) < 20
    assert tables.exact(after).count == tables.exact(before).count + 1


@pytest.mark.slow
@settings(max_examples=500)
@CHANGES
def test_after_any_changes_peers_hold_what_the_policy_says(lists, subscriptions, form, steps, taken):
    check_changes(lists, subscriptions, form, steps, taken)


def check_changes(lists, subscriptions, form, steps, taken):
    by_name = {each.name: each for each in lists}
    common = Common()
    tables = Tables(by_name)
    chosen = list(subscriptions)
    peers = [Peer(), Peer()]
    providers = [PeerRoutes(tables.of(each), form, tables.encodings) for each in chosen]
    for peer, provider in zip(peers, providers, strict=True):
        peer.take(block for family in BOTH for block in provider.replay(family))
    for step in steps:
        refresh = None
        if isinstance(step, Subscription):
            chosen[0] = step
        elif isinstance(step, PrefixList):
            by_name[step.name] = step
            tables = tables.changed({step.name: step})
        elif isinstance(step, str):
            by_name.pop(step, None)
            tables = tables.changed({step: None})
        elif isinstance(step, Common):
            common = step
            tables = tables.changed({}, common)
        elif isinstance(step, Family):  # a refresh that is under way when a list changes
            refresh = providers[1].replay(step)
            peers[1].take(islice(refresh, taken))
            by_name["a"] = PrefixList("a", PrefixSet.parse(["10.0.0.0/27", "10.0.0.33/32"]))
            tables = tables.changed({"a": by_name["a"]})
        for peer, provider, subscription in zip(peers, providers, chosen, strict=True):
            before = dict(peer.routes)
            peer.take(provider.change(tables.of(subscription)))
            expected = told(policy(subscription, by_name, common), form)
            assert peer.routes == expected
            assert sorted(peer.announced) == sorted(text for text in expected if before.get(text) != expected[text])
            assert sorted(peer.withdrawn) == sorted(before.keys() - expected.keys())
        if refresh is not None:
            peers[1].take(refresh)
            assert peers[1].withdrawn == []
            assert peers[1].routes == told(policy(chosen[1], by_name, common), form)


@settings(max_examples=30)
@given(st.lists(LISTS, max_size=4), SUBSCRIPTIONS, FORMS)
def test_a_replay_tells_each_route_once(lists, subscription, form):
    by_name = {each.name: each for each in lists}
    provider = PeerRoutes(Tables(by_name).of(subscription), form)
    for _ in range(2):
        peer = Peer()
        for family in BOTH:
            peer.take(provider.replay(family))
            assert len(peer.announced) == len(set(peer.announced))
        assert peer.routes == told(policy(subscription, by_name, Common()), form)


HOSTS = [f"10.0.0.{low}/32" for low in range(0, 200, 2)]


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_what_changes_during_a_replay_is_not_told_as_it_was(taken):
    """A prefix goes, one comes, one gets another list; also of those that the replay has yet to tell."""
    other = Attributes(frozenset({1}))
    lists = {"a": PrefixList("a", PrefixSet.parse(HOSTS)), "b": PrefixList("b", PrefixSet(), other)}
    tables = Tables(lists)
    subscription = Subscription(("b", "a"), exclusions=PrefixSet.parse([HOSTS[7], HOSTS[-7]]))
    provider = PeerRoutes(tables.of(subscription), UpdateGroup(65000, "192.0.2.1"))
    peer = Peer()
    replay = provider.replay(IPV4_UNICAST)
    peer.take(islice(replay, taken))
    for number in (0, 1):
        lists["a"] = PrefixList("a", PrefixSet.parse([*HOSTS[1 + number : -1 - number], "192.0.2.0/24"]))
        lists["b"] = PrefixList("b", PrefixSet.parse([HOSTS[20 + number], HOSTS[-20 - number]]), other)
        tables = tables.changed(lists)
        peer.take(provider.change(tables.of(subscription)))
        peer.take(islice(replay, 1))
        assert peer.withdrawn == []
    peer.take(replay)
    assert peer.routes == told(policy(subscription, lists, Common()), provider.form)


def test_peers_with_the_same_routes_share_the_work_of_a_change_whoever_goes_on():
    """One of them ends in the middle, one is faster than the other, and one asks when all is made."""
    lists = {"a": PrefixList("a", PrefixSet.parse(HOSTS))}
    tables = Tables(lists)
    subscription = Subscription(("a",))
    form = UpdateGroup(65000, "192.0.2.1")
    providers = [PeerRoutes(tables.of(subscription), form, tables.encodings) for _ in range(4)]
    lists["a"] = PrefixList("a", PrefixSet.parse([*HOSTS[10:], "192.0.2.0/24"]))
    after = tables.changed(lists).of(subscription)
    told = [provider.change(after) for provider in providers]
    ended = list(islice(told[0], 2))
    blocks: list[list[object]] = [[], [], []]
    for step in range(1000):
        for place in range(2):
            if step % (place + 1) == 0 and (block := next(told[place + 1], None)) is not None:
                blocks[place].append(block)
    blocks[2] = [block for block in told[3] if block is not None]
    assert blocks[0]
    assert all(one is two is three for one, two, three in zip(*blocks, strict=True))
    assert len(ended) == 2
    peer = Peer()
    peer.take(blocks[0])
    assert (sorted(peer.announced), sorted(peer.withdrawn)) == (["192.0.2.0/24"], sorted(HOSTS[:10]))


def test_a_large_change_is_found_in_steps():
    """Others have their turn after a few prefixes each, also where all of them change."""
    lists = {"a": PrefixList("a", PrefixSet.parse(HOSTS))}
    tables = Tables(lists)
    provider = PeerRoutes(tables.of(Subscription(("a",))), UpdateGroup(65000, "192.0.2.1"), tables.encodings)
    for lists["a"] in (
        PrefixList("a", PrefixSet.parse(HOSTS), Attributes(frozenset({1}))),
        PrefixList("a", PrefixSet.parse(f"10.1.0.{low}/32" for low in range(0, 200, 2))),
        PrefixList("a", PrefixSet()),
    ):
        tables = tables.changed(lists)
        steps = sum(each is None for each in provider.change(tables.of(Subscription(("a",)))))
        assert steps > len(HOSTS) // 2 // difference.STEP


def test_a_prefix_that_comes_and_is_excluded_is_not_told():
    lists = {"a": PrefixList("a", PrefixSet.parse(HOSTS)), "b": PrefixList("b", PrefixSet.parse(HOSTS[:9]))}
    tables = Tables(lists)
    before = Subscription(("a",))
    provider = PeerRoutes(tables.of(before), UpdateGroup(65000, "192.0.2.1"))
    after = before._replace(exclusions=PrefixSet.parse([HOSTS[3], "10.0.0.1/32"]))
    peer = Peer()
    peer.take(provider.replay(IPV4_UNICAST))
    tables = tables.changed({"a": PrefixList("a", PrefixSet.parse([*HOSTS, "10.0.0.1/32", "10.0.0.3/32"]))})
    peer.take(provider.change(tables.of(after)))
    assert sorted(peer.routes) == sorted(collapse([*HOSTS[:3], *HOSTS[4:], "10.0.0.3/32"]))
    assert peer.withdrawn == [HOSTS[1], HOSTS[3]]  # 10.0.0.2 and 10.0.0.3 are one now
    peer.take(provider.change(tables.of(before)))
    assert sorted(peer.routes) == sorted(collapse([*HOSTS, "10.0.0.1/32", "10.0.0.3/32"]))


def test_a_peer_can_come_while_lists_change_in_steps():
    lists = {name: PrefixList(name, PrefixSet.parse(HOSTS)) for name in NAMES}
    first = Tables(lists)
    first.of(Subscription(("a",)))
    lists["b"] = PrefixList("b", PrefixSet.parse(HOSTS[3:]))
    steps = first.changing({"b": lists["b"]})
    next(steps)
    alone = Subscription(("a", "b"), union=False)
    assert first.of(alone).count == len(HOSTS)
    after = finish(steps)
    assert after.of(Subscription(("b",))).count == len(HOSTS) - 3
    assert after.of(alone).routes() == announced(alone, lists).routes


def test_other_families_have_no_routes():
    tables = Tables({"a": PrefixList("a", PrefixSet.parse(["192.0.2.0/24"]))})
    provider = PeerRoutes(tables.of(Subscription(("a",))), UpdateGroup(65000, "192.0.2.1"))
    assert provider
    assert list(provider.replay(Family(1, 2))) == []
    assert AS4.max_message == 160


def test_routes_whose_attributes_leave_no_room_are_left_out_and_counted():
    """They cost themselves: others are announced, and those that were announced before are withdrawn."""
    large = Attributes(large_communities=frozenset((65000, 1, number) for number in range(400)))
    lists = {"a": PrefixList("a", PrefixSet.parse(HOSTS)), "b": PrefixList("b", PrefixSet.parse(["192.0.2.0/24"]))}
    tables = Tables(lists)
    subscription = Subscription(("a", "b"), union=False)
    provider = PeerRoutes(tables.of(subscription), UpdateGroup(65000, "192.0.2.1"), tables.encodings)
    peer = Peer()
    peer.take(provider.replay(IPV4_UNICAST))
    lists["b"] = PrefixList("b", PrefixSet.parse(["192.0.2.0/24", "198.51.100.0/24"]), large)
    tables = tables.changed(lists)
    peer.take(provider.change(tables.of(subscription)))
    assert peer.withdrawn == ["192.0.2.0/24"]
    assert peer.announced == []
    told, left_out = peer_routes.survey(provider.table, provider.form, (1, 2))
    assert (told, left_out) == (len(HOSTS), {"path attributes leave no room for a prefix in an UPDATE": 2})
    again = Peer()
    again.take(provider.replay(IPV4_UNICAST))
    assert again.routes.keys() == set(HOSTS)


def test_attributes_that_no_message_can_have_are_left_out():
    huge = Attributes(large_communities=frozenset((65000, 1, number) for number in range(6000)))
    tables = Tables({"a": PrefixList("a", PrefixSet.parse(HOSTS), huge)})
    provider = PeerRoutes(tables.of(Subscription(("a",))), UpdateGroup(65000, "192.0.2.1"), tables.encodings)
    assert not any(provider.replay(IPV4_UNICAST))
    assert peer_routes.survey(provider.table, provider.form, (1,)).told == 0
