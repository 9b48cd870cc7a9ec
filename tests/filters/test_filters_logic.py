"""Three values to two: against the rules told plainly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.filters.conditions import BoundCondition, Look, ProgramStep
from bgpipe.filters.logic import closure, reduce
from bgpipe.filters.program import make_program
from bgpipe.filters.syntax import AndNode, GroupNode, NotNode, OrNode
from bgpipe.wire.message import KEEPALIVE, Message

MESSAGE = Message(KEEPALIVE)


def leaf(value: bool | None, updates_only: bool) -> BoundCondition:
    return BoundCondition(lambda message: value, updates_only)


LEAVES = st.builds(leaf, st.sampled_from([True, False, None]), st.booleans())
TREES = st.recursive(
    LEAVES,
    lambda trees: st.one_of(
        st.builds(NotNode, trees),
        st.builds(GroupNode, trees),
        st.builds(AndNode, st.lists(trees, min_size=1, max_size=3).map(tuple)),
        st.builds(OrNode, st.lists(trees, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=12,
)


def value_of(node, updates: bool) -> bool | None:
    """What the documentation says, with three values."""
    if isinstance(node, BoundCondition):
        return None if node.updates_only and not updates else node.predicate(MESSAGE)
    if isinstance(node, NotNode):
        value = value_of(node.node, updates)
        return None if value is None else not value
    if isinstance(node, GroupNode):
        value = value_of(node.node, updates)
        return bool(value) if updates else value
    values = [value_of(one, updates) for one in node.nodes]
    settled = isinstance(node, OrNode)
    if settled in values:
        return settled
    return None if None in values else not settled


@given(TREES, st.booleans())
def test_reduction_keeps_what_matches(node, updates):
    assert bool(closure(reduce(node, updates))(MESSAGE)) is (value_of(node, updates) is True)


ABSENT, TRUE, FALSE = leaf(None, False), leaf(True, False), leaf(False, False)
NO_UPDATE = leaf(True, True)


@pytest.mark.parametrize(
    ("node", "on_updates", "on_others"),
    [
        (ABSENT, False, False),
        (NotNode(ABSENT), False, False),
        (GroupNode(ABSENT), False, False),
        (NotNode(GroupNode(ABSENT)), True, False),
        (NotNode(NotNode(GroupNode(ABSENT))), False, False),
        (GroupNode(NotNode(ABSENT)), False, False),
        (NotNode(GroupNode(NotNode(ABSENT))), True, False),
        (OrNode((ABSENT, TRUE)), True, True),
        (AndNode((ABSENT, TRUE)), False, False),
        (NotNode(GroupNode(AndNode((ABSENT, FALSE)))), True, True),
        (NotNode(GroupNode(OrNode((ABSENT, FALSE)))), True, False),
        (NO_UPDATE, True, False),
        (NotNode(NO_UPDATE), False, False),
        (NotNode(GroupNode(NO_UPDATE)), False, False),
        (OrNode((NO_UPDATE, FALSE)), True, False),
        (OrNode((NO_UPDATE, TRUE)), True, True),
    ],
)
def test_the_rules_one_by_one(node, on_updates, on_others):
    assert bool(closure(reduce(node, updates=True))(MESSAGE)) is on_updates
    assert bool(closure(reduce(node, updates=False))(MESSAGE)) is on_others


def test_what_is_settled_disappears():
    always = BoundCondition(lambda message: True, updates_only=False, on_updates=True)
    assert reduce(OrNode((always, TRUE)), updates=True) is True
    assert reduce(AndNode((always, TRUE)), updates=True) == reduce(TRUE, updates=True)
    assert reduce(NotNode(always), updates=True) is False
    assert reduce(AndNode((NO_UPDATE, TRUE)), updates=False) is False
    assert reduce(GroupNode(OrNode((NO_UPDATE,))), updates=False) is False


def test_python_is_asked_last():
    known = BoundCondition(lambda message: True, step=ProgramStep(Look.MED))
    unknown = BoundCondition(lambda message: True)
    for nodes in ((known, unknown), (unknown, known)):
        for kind in (AndNode, OrNode):
            program, tag_tests = make_program(reduce(kind(nodes), updates=True), False)
            assert tag_tests == []
            assert program is not None
            assert program[2:4] == b"\0\0"
            assert program[8] == Look.MED
    assert make_program(reduce(unknown, updates=True), False) == (None, [])
    assert make_program(True, False) == (None, [])
