"""Unions of lists that follow small changes of the lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import SETS, close

from bgpipe.routes import exclusion, united_lists
from bgpipe.routes.prefixes import merged, without
from bgpipe.routes.union import united
from bgpipe.routes.united_lists import UnitedLists

SOME = st.lists(st.one_of(close(), SETS), min_size=3, max_size=3)


def sets_of(found, afi):
    return tuple(united(each.numbers(afi), afi) for each in found)


@pytest.mark.parametrize("many", [0, 500])
@given(SOME, SOME, st.integers(1, 30), st.booleans())
def test_a_union_follows_its_lists(many, before, after, shortest, united_at_all):
    for afi in (1, 2):
        old, new = sets_of(before, afi), sets_of(after[:1] + before[1:], afi)
        touched = merged(differ for o, n in zip(old, new, strict=True) for differ in (without(o, n), without(n, o)))
        first = UnitedLists.of(old, afi, shortest if united_at_all else None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(united_lists, "MANY", many)
            second = first.changed(new, touched)
        whole = united(merged(new), afi, shortest) if united_at_all else merged(new)
        assert list(second.numbers()) == whole
        assert set(second.gone) == set(merged(new)) - set(whole)
        assert set(second.come) == set(whole) - set(merged(new))
        assert all(map(second.has, whole))
        assert not any(map(second.has, set(merged((*old, *new))) - set(whole)))


@pytest.mark.parametrize("many", [0, 500])
@given(SOME, close(max_size=3))
def test_what_touches_a_union(many, found, keys):
    for afi in (1, 2):
        some = UnitedLists.of(sets_of(found, afi), afi, 1)
        numbers = united(keys.numbers(afi), afi, 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(united_lists, "MANY", many)
            touching = some.touching(numbers)
        assert list(touching) == exclusion.touching(some.numbers(), numbers, afi)
