"""Snapshots: made of changes, compared, asked."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.rpki.changes import Changes
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import WIDTHS, Vrp, find_impossible, pack_vrp, unpack_vrps
from bgpipe.wire.prefix import AFI_BITS, Prefix, parse_prefix


def vrp(text: str, max_length: int = 0, asn: int = 64500) -> Vrp:
    prefix = parse_prefix(text)
    return Vrp(prefix, max_length or prefix.length, asn)


@st.composite
def vrps(draw) -> Vrp:
    afi = draw(st.sampled_from([1, 1, 2]))
    bits = AFI_BITS[afi]
    length = draw(st.integers(0, 4) | st.integers(bits - 2, bits))
    address = draw(st.integers(0, 3)) << bits - 2 | draw(st.integers(0, 3))
    prefix = Prefix(afi, address >> bits - length << bits - length, length)
    return Vrp(prefix, draw(st.integers(length, bits)), draw(st.sampled_from([0, 1, 64500, 2**32 - 1])))


CHANGES = st.lists(st.tuples(st.booleans(), vrps()), max_size=20)


def staged(some) -> Changes:
    changes = Changes()
    for announced, each in some:
        (changes.announce if announced else changes.withdraw)(each.prefix.afi, pack_vrp(each))
    return changes


@given(st.lists(vrps(), max_size=10), CHANGES)
def test_changes_one_after_the_other(base, some):
    before = Snapshot.of(base)
    applied = staged(some).apply(before)
    there, duplicates, unknown = set(base), [], []
    for announced, each in some:
        if announced == (each in there):
            (duplicates if announced else unknown).append(each)
        (there.add if announced else there.discard)(each)
    assert applied.snapshot == Snapshot.of(there)
    assert {*applied.snapshot.vrps(1), *applied.snapshot.vrps(2)} == there
    assert sorted(applied.duplicates) == sorted(duplicates)
    assert sorted(applied.unknown) == sorted(unknown)
    assert (applied.duplicate_count, applied.unknown_count) == (len(duplicates), len(unknown))


@given(st.lists(vrps(), max_size=10), st.lists(vrps(), max_size=10))
def test_the_difference_leads_from_one_to_the_other(old, new):
    difference = Snapshot.of(new).difference(Snapshot.of(old))
    changes = Changes()
    for afi in AFI_BITS:
        changes.announce(afi, difference.added[afi])
        changes.withdraw(afi, difference.removed[afi])
    applied = changes.apply(Snapshot.of(old))
    assert applied.snapshot == Snapshot.of(new)
    assert not applied.duplicates
    assert not applied.unknown
    assert bool(difference) == (set(old) != set(new))
    changed = set(old) ^ set(new)
    for afi in AFI_BITS:
        found = difference.prefixes(afi)
        assert difference.count(afi) == sum(each.prefix.afi == afi for each in changed)
        assert found == sorted(found)
        for each in (each.prefix for each in changed if each.prefix.afi == afi):
            assert sum(is_inside(each, around) for around in found) == 1
        assert all(not is_inside(a, b) for a in found for b in found if a != b)


def is_inside(prefix: Prefix, around: Prefix) -> bool:
    bits = AFI_BITS[prefix.afi]
    return (
        prefix.length >= around.length
        and prefix.address >> bits - around.length == around.address >> bits - around.length
    )


@given(vrps(), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_packed(each, length, address):
    afi = each.prefix.afi
    record = pack_vrp(each)
    assert len(record) == WIDTHS[afi]
    assert list(unpack_vrps(afi, record * 2)) == [each, each]
    assert find_impossible(afi, record * 2) is None
    size = AFI_BITS[afi] // 8
    odd = address.to_bytes(4, "big") + record[4:size] + bytes((length,)) + record[size + 1 :]
    other = Vrp(Prefix(afi, int.from_bytes(odd[:size], "big"), length), each.max_length, each.asn)
    sound = length <= each.max_length and other.prefix.address << length & (1 << AFI_BITS[afi]) - 1 == 0
    assert find_impossible(afi, record + odd) == (None if sound else 1)


def test_aspas():
    changes = Changes()
    changes.announce_aspa(64500, (3, 1, 1, 0))
    changes.announce_aspa(64501, (0,))
    changes.withdraw_aspa(64502)
    applied = changes.apply()
    assert applied.snapshot.aspas == {64500: (1, 3), 64501: (0,)}
    assert applied.unknown_customers == (64502,)
    assert (applied.snapshot.providers(64500), applied.snapshot.providers(1)) == ((1, 3), None)
    changes = Changes()
    changes.withdraw_aspa(64500)
    changes.announce_aspa(64501, (9,))
    changes.announce_aspa(64501, (8,))
    changes.announce_aspa(64503, (8,))
    assert len(changes) == 4
    later = changes.apply(applied.snapshot).snapshot
    assert later.aspas == {64501: (8,), 64503: (8,)}
    assert later.difference(applied.snapshot).customers == {64500, 64501, 64503}
    assert later.difference(applied.snapshot)
    assert not later.difference(Snapshot.of(aspas=later.aspas))
    assert applied.snapshot.aspas == {64500: (1, 3), 64501: (0,)}


def test_many_faults_are_counted_and_some_are_named():
    changes = Changes()
    changes.announce(1, pack_vrp(vrp("192.0.2.0/24")) * 1000)
    changes.withdraw(2, pack_vrp(vrp("2001:db8::/32")) * 1000)
    applied = changes.apply()
    assert (len(applied.duplicates), applied.duplicate_count) == (100, 999)
    assert (len(applied.unknown), applied.unknown_count) == (100, 1000)
    assert len(applied.snapshot) == 1


def test_covering_is_told_from_the_longest_on():
    snapshot = Snapshot.of(
        [vrp("0.0.0.0/0"), vrp("10.0.0.0/8", 24), vrp("10.0.0.0/8", 24, 1), vrp("10.1.0.0/16"), vrp("10.0.0.0/9")]
    )
    assert list(map(str, snapshot.covering(parse_prefix("10.1.2.0/24")))) == [
        "10.1.0.0/16-16 AS64500",
        "10.0.0.0/9-9 AS64500",
        "10.0.0.0/8-24 AS1",
        "10.0.0.0/8-24 AS64500",
        "0.0.0.0/0-0 AS64500",
    ]
    assert snapshot.covering(parse_prefix("::/0")) == []
    assert len(snapshot.covering(parse_prefix("10.0.0.0/8"))) == 3


@pytest.mark.parametrize("snapshot", [EMPTY, Snapshot.of([vrp("::/0")], {1: (2,)})])
def test_a_snapshot_travels_between_processes(snapshot):
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    assert snapshot != "another thing"
    assert bool(snapshot) == (snapshot != EMPTY)


@pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
def test_its_tables_are_made_where_nothing_else_was_imported():
    code = "from bgpipe.rpki.snapshot import Snapshot; Snapshot(aspas={1: (2,)}).index()"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
