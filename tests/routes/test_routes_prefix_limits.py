"""Tables of limits, in Python and compiled: they count as a very slow oracle does."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.routes import prefix_limits as limits
from bgpipe.routes.prefix_limits import BLOCK, NEAR, ORIGIN, SESSION, TOTAL, LimitRules, PlainTable, Total
from bgpipe.wire.prefix import Prefix, parse_prefix

PREFIXES = [parse_prefix(text) for text in ("10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "11.0.0.0/8", "0.0.0.0/0")]
PREFIXES += [parse_prefix(text) for text in ("2001:db8::/32", "2001:db8::/64", "2001:db8::1/128", "::/0")]
PREFIXES += [Prefix(1, 10 << 24, 8, path_id) for path_id in (0, 1, 2)]
Steps = list[tuple[bool, Prefix, int, int, int, int]]


class Oracle:
    """Counts anew at every look."""

    def __init__(self, rules: LimitRules) -> None:
        self.rules = rules
        self.sessions: list[dict[Any, int]] = [{}, {}]  # for each of two sessions
        self.pairs: list[set[Any]] = [set(), set()]

    def routes(self, session: int) -> set[Any]:
        return {key for key, _ in self.sessions[session]}

    def of_origin(self, session: int, origin: int) -> set[Any]:
        if self.rules.permanent:
            return {key for key, asn in self.pairs[session] if asn == origin}
        return {key for (key, _), asn in self.sessions[session].items() if asn == origin}

    def of_block(self, session: int, prefix: Prefix) -> set[Any]:
        def block_of(other: Prefix) -> tuple[int, int]:
            bits = 32 if other.afi == 1 else 128
            return other.afi, other.address >> (bits - self.rules.block_bits[other.afi])

        return {key for key in self.routes(session) if block_of(key[0]) == block_of(prefix)}

    def counts(self, session: int, prefix: Prefix, origin: int) -> dict[int, tuple[int, int]]:
        rules = self.rules
        return {
            ORIGIN: (len(self.of_origin(session, origin)), rules.origin),
            BLOCK: (len(self.of_block(session, prefix)), rules.block),
            SESSION: (len(self.routes(session)), rules.session),
            TOTAL: (sum(len(self.routes(each)) for each in (0, 1)), rules.total),
        }

    def announce(self, session: int, prefix: Prefix, safi: int, origin: int, side: int) -> int:
        key = prefix._replace(path_id=prefix.path_id or 0), safi
        before = self.counts(session, prefix, origin)
        for what, (count, limit) in before.items():
            known = key in (self.of_origin(session, origin) if what == ORIGIN else self.routes(session))
            if limit and not known and count >= limit:
                return what
        self.sessions[session][key, side] = origin
        self.pairs[session].add((key, origin))
        violations = 0
        for what, (count, limit) in self.counts(session, prefix, origin).items():
            threshold = limit - limit // 4
            if limit and count >= threshold > before[what][0]:
                violations |= what << NEAR
        return violations

    def withdraw(self, session: int, prefix: Prefix, safi: int, side: int) -> None:
        self.sessions[session].pop(((prefix._replace(path_id=prefix.path_id or 0), safi), side), None)


limit_values = st.integers(0, 6)
rule_sets = st.builds(
    LimitRules,
    session=limit_values,
    origin=limit_values,
    block=limit_values,
    total=limit_values,
    block_bits=st.fixed_dictionaries({1: st.integers(0, 32), 2: st.integers(0, 64)}),
    permanent=st.booleans(),
)
steps = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from(PREFIXES),
        st.sampled_from((1, 2)),
        st.sampled_from((0, 65001, 65002, 4_200_000_000)),
        st.integers(0, 1),
        st.integers(0, 1),
    ),
    max_size=80,
)


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "accel"])
@given(rules=rule_sets, steps=steps)
def test_tables_count_like_the_oracle(plain, rules, steps: Steps):
    if not plain and not accel.AVAILABLE:
        pytest.skip(accel.WHY_NOT)
    total = Total() if plain else limits.make_total()
    tables: list[Any] = [PlainTable(rules, total) if plain else limits.make_table(rules, total) for _ in range(2)]
    oracle = Oracle(rules)
    for announced, prefix, safi, origin, side, session in steps:
        if announced:
            violations = tables[session].announce(prefix, safi, origin, side)
            assert violations == oracle.announce(session, prefix, safi, origin, side)
        elif not rules.permanent:
            tables[session].withdraw(prefix, safi, side)
            oracle.withdraw(session, prefix, safi, side)
        assert [each.count for each in tables] == [len(oracle.routes(each)) for each in (0, 1)]
        assert total.count == sum(each.count for each in tables)
    tables[0].clear()
    assert (tables[0].count, total.count) == (0, tables[1].count)


@pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
@pytest.mark.parametrize("permanent", [False, True])
def test_tables_agree_when_they_grow(permanent):
    rng = Random(3)
    rules = LimitRules(origin=400, block=300, session=6000, block_bits={1: 8, 2: 24}, permanent=permanent)
    plain = PlainTable(rules, Total())
    fast = limits.make_table(rules, limits.make_total())
    refused = 0
    for _ in range(60_000):
        length = rng.choice((16, 20, 24))
        address = rng.randrange(1 << 13) << 19 >> (32 - length) << (32 - length)
        prefix = Prefix(1, address, length)
        origin, side = int(rng.paretovariate(0.5)) % 5000, rng.randrange(2)
        if permanent or rng.random() < 0.6:
            violations = plain.announce(prefix, 1, origin, side)
            assert fast.announce(prefix, 1, origin, side) == violations
            refused += 0 < violations < 64
        else:
            plain.withdraw(prefix, 1, side)
            fast.withdraw(prefix, 1, side)
    assert fast.count == plain.count > 2000
    assert refused > 500
