"""Sets of IPv4 prefixes: accel and Python give the same."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.routes import partition
from bgpipe.routes.packing import packing_order
from bgpipe.routes.partition import Part, Partition, delta_of
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routes.steps import finish
from bgpipe.routes.union import unite

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)


def number(prefix: tuple[int, int]) -> int:
    address, length = prefix
    return address >> 32 - length << 40 - length | length if length else 0


edges = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 256, 2**32 - 1])
addresses = st.one_of(edges, st.integers(0, 2**32 - 1), st.integers(0x0A000000, 0x0A00003F))
lengths = st.one_of(st.integers(0, 32), st.integers(26, 32))
numbers = st.sets(st.tuples(addresses, lengths).map(number), max_size=60)
sets = st.lists(numbers.map(PrefixSet.of), max_size=6)


def parts(made: Partition) -> dict:
    return {key: (list(part.order), part.counts) for key, part in made.parts.items()}


def named(found: list[PrefixSet]) -> dict[str, PrefixSet]:
    return {str(place): each for place, each in enumerate(found)}


def without_accel(work):
    before, accel.AVAILABLE = accel.AVAILABLE, False
    try:
        return work()
    finally:
        accel.AVAILABLE = before


@given(sets, sets)
def test_sets_are_parted_alike(before, after):
    def made():
        first = Partition(named(before))
        gone = dict.fromkeys(first.sets.keys() - named(after).keys())
        second = first.changed(named(after) | gone)
        touched = [list(second.touched.get(afi, ())) for afi in partition.AFIS]
        return parts(first), parts(second), touched

    assert made() == without_accel(made)


@given(numbers, numbers)
def test_what_differs_between_parts_is_found_alike(old, new):
    old, new = (Part(PrefixSet.of(each).ipv4, 1) for each in (old, new))
    found = delta_of(old, new)
    assert (found.gone, found.come) == (sorted({*old.order} - {*new.order}), sorted({*new.order} - {*old.order}))


@given(numbers, st.integers(0, 33))
def test_prefixes_are_united_alike(found, shortest):
    prefixes = PrefixSet.of(found)
    assert unite(prefixes, shortest) == without_accel(lambda: unite(prefixes, shortest))


@given(numbers)
def test_prefixes_are_ordered_alike(found):
    prefixes = PrefixSet.of(found).ipv4
    order, counts = packing_order(prefixes, 1)
    in_python, counts_in_python = without_accel(lambda: packing_order(prefixes, 1))
    assert (list(order), counts) == (list(in_python), counts_in_python)


def test_many_prefixes_are_parted_in_steps_and_by_many_masks():
    found = [
        PrefixSet.of((each << 16 | 24 for each in range(1 << 17) if each * (place + 3) % 7 < 3), ())
        for place in range(12)
    ]

    def made():
        return parts(Partition(named(found)))

    assert len(partition.spans([each.ipv4 for each in found], partition._ACCEL_STEP)) > 3
    assert made() == without_accel(made)


def test_more_than_256_masks_and_64_sets():
    bits = [PrefixSet.of(each << 16 | 24 for each in range(1 << 10) if each >> place & 1) for place in range(10)]
    more = [PrefixSet.of([1 << 20 | 20]) for _ in range(60)]
    for found in (bits, bits + more):
        assert parts(Partition(named(found))) == without_accel(lambda found=found: parts(Partition(named(found))))


def test_sets_that_are_no_arrays_of_numbers_are_refused():
    with pytest.raises(TypeError):
        accel.prefix_sets.merged([[1, 2]])
    assert accel.prefix_sets.merged([array("Q")] * 65) is None
    assert finish(partition._different(array("Q", [1, 3]), array("Q", [3, 4]))) == array("Q", [1, 4])
