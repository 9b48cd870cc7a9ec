"""What another version of a list changes, and the routes that are judged again because of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.routes import list_changes
from bgpipe.routes.adj_rib_in import AdjRibIn
from bgpipe.routes.guard_again import Change, judge_again
from bgpipe.routes.guard_checks import Rules, Sender, bogon_list
from bgpipe.routes.guard_judge import GuardJudge
from bgpipe.routes.list_changes import changed_asns, changed_prefixes, outermost
from bgpipe.routes.prefix_lists import PrefixList, PrefixRange, parse_as_list, parse_prefix_list
from bgpipe.wire.asn_ranges import AsnRanges
from bgpipe.wire.attribute_edits import Edits
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.prefix import AFI_BITS, Prefix, parse_prefix
from bgpipe.wire.update import Update


@st.composite
def prefixes(draw: st.DrawFn, longest: int = 6) -> Prefix:
    afi, length = draw(st.sampled_from((1, 2))), draw(st.integers(0, longest))
    return Prefix(afi, draw(st.integers(0, (1 << length) - 1)) << AFI_BITS[afi] - length, length)


@st.composite
def entries(draw: st.DrawFn) -> PrefixRange:
    prefix = draw(prefixes())
    low = draw(st.integers(prefix.length, 8))
    return PrefixRange(prefix, low, draw(st.integers(low, 8)))


LISTS = st.lists(entries(), max_size=12).map(PrefixList)


@pytest.fixture(params=["accel", "no accel"])
def both(request, monkeypatch):
    if request.param == "no accel":
        monkeypatch.setattr(accel, "AVAILABLE", False)


def covers(one: Prefix, other: Prefix) -> bool:
    bits = AFI_BITS[one.afi]
    return one.afi == other.afi and one.length <= other.length and one.address ^ other.address < 1 << bits - one.length


@given(LISTS, LISTS, st.lists(prefixes(8)))
def test_what_has_changed_is_under_the_changed_prefixes(one, other, routes):
    changed = changed_prefixes(one, other)
    assert changed is not None
    for first, second in pairwise(changed):
        assert first < second
        assert not covers(first, second)
    for route in routes:
        same = (one.matches(route), one.covers(route)) == (other.matches(route), other.covers(route))
        assert same or any(covers(each, route) for each in changed)
    assert (changed == []) is (one == other)


@given(st.lists(prefixes()))
def test_the_outermost_prefixes(found):
    left = outermost(found)
    assert left == sorted(each for each in set(found) if not any(covers(o, each) for o in set(found) - {each}))


def test_long_lists():
    """They are compared piece by piece; too many changes are all routes."""
    one = PrefixList.of(*_numbers(range(100_000)))
    few = {5, 3000, 3001, 50_000, 99_999}
    other = PrefixList.of(*_numbers(each for each in range(100_000) if each not in few))
    wanted = [Prefix(1, number << 8, 24) for number in sorted(few)]
    assert changed_prefixes(one, other) == changed_prefixes(other, one) == wanted
    assert changed_prefixes(one, PrefixList()) is None
    assert list_changes.MOST_CHANGES < 100_000


def _numbers(numbers: Any) -> Any:
    made = PrefixList(PrefixRange(Prefix(1, number << 8, 24), 24, 24) for number in numbers)
    return made.ipv4, made.ipv6


def test_only_routes_under_a_change_are_judged(both):
    """All others keep what was said of them, whatever it was."""
    old, new = (
        parse_prefix_list("8.0.0.0/8 le 24"),
        parse_prefix_list("8.0.0.0/8 le 24\n9.9.0.0/16 le 24\n2a00::/16 le 48"),
    )
    judge = GuardJudge(Rules(bogon_list(), prefixes=new), {"prefixes": "withdraw"}, Edits())
    wanted = ["9.9.9.0/24", "2a00:1::/32"]
    others = ["8.8.8.0/24", "9.8.0.0/16", "2b00::/32"]
    assert _judged(judge, Change("prefixes", changed_prefixes(old, new)), [*wanted, *others]) == set(wanted)
    assert _judged(judge, Change("prefixes", None), [*wanted, *others]) == {*wanted, "8.8.8.0/24"}


def test_only_paths_with_a_changed_as_number_are_judged(both):
    judge = GuardJudge(Rules(bogon_list(), origins=parse_as_list("1103 7")), {"origins": "withdraw"}, Edits())
    routes = ["8.8.8.0/24", "2a00:1::/32"]
    for asn, entries, passes in (
        (1103, "1103", True),
        (1103, "1100-1104 9", True),
        (1103, "9", False),
        (7, "9", False),
        (7, "7", True),
        (8, "8", False),
    ):
        change = Change("origins", parse_as_list(entries))
        assert _judged(judge, change, routes, asn) == (set(routes) if passes else set())
    assert _judged(judge, Change("peerlock", parse_as_list("3333")), routes, 7) == set(routes)
    assert _judged(judge, Change("origins", None), routes, 7) == set(routes)
    stripping = GuardJudge(judge.rules, judge.actions, Edits(strip_as=AsnRanges(((8, 8),))))
    assert _judged(stripping, Change("origins", parse_as_list("9")), routes, 7) == set(routes)


@given(*[st.sets(st.integers(0, 20), min_size=1)] * 2)
def test_the_as_numbers_that_have_changed(one, other):
    found = changed_asns(*(parse_as_list(" ".join(map(str, each))) for each in (one, other)))
    assert {asn for asn in range(30) if asn in found} == one ^ other


def _judged(judge: GuardJudge, change: Change, routes: list[str], origin: int = 1103) -> set[str]:
    """The routes that go out of a table in which all were held back."""
    table = AdjRibIn()
    for route in routes:
        made = Update.make(
            reach=[route],
            attrs={"ORIGIN": "IGP", "ASPATH": [3333, origin]},
            next_hop="2a00::1" if ":" in route else "193.0.4.28",
        )
        table.take(Message(UPDATE, made.body), b"\0")
    for _ in judge_again(table, judge, [change], Sender(3333)):
        pass
    found = [message for message, _ in table.take_announcements(4096, 100) if message is not None]
    return {str(prefix) for message in found for prefix in message.update.reach}


def test_both_families_have_an_outermost_prefix():
    assert outermost([parse_prefix("0.0.0.0/0"), parse_prefix("8.0.0.0/8"), parse_prefix("::/0")]) == [
        Prefix(1, 0, 0),
        Prefix(2, 0, 0),
    ]
