"""Reduces a filter whose conditions are true, false or absent to one of "and" and "or" of plain conditions.

Absent is neither true nor false, and so is its negation: a message without MED matches neither `med > 5` nor
`med != 5`. Two rules turn absent into false. A condition without an operator asks whether the thing is there, so it is
never absent. And what is in parentheses is true or false of an UPDATE: `!(med > 5)` matches an UPDATE without MED. (Of
other messages conditions on UPDATEs stay absent even in parentheses, so `drop !(prefix ~ 10.0.0.0/8)` drops no
KEEPALIVE.)

A message matches if the whole filter is true. From there, `reduce` goes down and decides which value each node must
have: true, false, not true, or not false. So all negations move into the leaves, and no node has three values any more.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from ..wire.message import Message
from .conditions import BoundCondition, Predicate
from .syntax import AndNode, GroupNode, Node, NotNode


class Want(IntEnum):
    """Which of the three values of a condition count as yes. accel/program.pxd has the same numbers."""

    TRUE = 0
    FALSE = 1
    NOT_TRUE = 2
    NOT_FALSE = 3


class Leaf(NamedTuple):
    condition: BoundCondition
    want: Want


class And(NamedTuple):
    """All of them."""

    parts: tuple[Expression, ...]


class Or(NamedTuple):
    """At least one of them."""

    parts: tuple[Expression, ...]


Expression = bool | Leaf | And | Or

_OPPOSITE = {
    Want.TRUE: Want.FALSE,
    Want.FALSE: Want.TRUE,
    Want.NOT_TRUE: Want.NOT_FALSE,
    Want.NOT_FALSE: Want.NOT_TRUE,
}
_IN_GROUP = {
    Want.TRUE: Want.TRUE,
    Want.FALSE: Want.NOT_TRUE,
    Want.NOT_TRUE: Want.NOT_TRUE,
    Want.NOT_FALSE: Want.TRUE,
}


def reduce(node: Node, updates: bool, want: Want = Want.TRUE) -> Expression:
    """The expression that is true where the node has the wanted value. updates: of UPDATEs, else of all other types."""
    if isinstance(node, BoundCondition):
        return _leaf(node, updates, want)
    if isinstance(node, NotNode):
        return reduce(node.node, updates, _OPPOSITE[want])
    if isinstance(node, GroupNode):
        return reduce(node.node, updates, _IN_GROUP[want] if updates else want)
    parts = [reduce(part, updates, want) for part in node.nodes]
    return _join(parts, every=isinstance(node, AndNode) == (want in (Want.TRUE, Want.NOT_FALSE)))


def _leaf(condition: BoundCondition, updates: bool, want: Want) -> Expression:
    if updates and condition.on_updates is not None:
        return condition.on_updates == (want in (Want.TRUE, Want.NOT_FALSE))
    if not updates and condition.updates_only:
        return want in (Want.NOT_TRUE, Want.NOT_FALSE)
    return Leaf(condition, want)


def _join(parts: list[Expression], every: bool) -> Expression:
    """The conjunction (every) or disjunction of the parts, without those that are constant."""
    if (not every) in parts:
        return not every
    kind = And if every else Or
    flat: list[Expression] = []
    for part in parts:
        if isinstance(part, kind):
            flat += part.parts
        elif not isinstance(part, bool):
            flat.append(part)
    if not flat:
        return every
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def closure(expression: Expression) -> Predicate:
    """The expression as a function: a message matches where it returns something true."""
    if isinstance(expression, bool):
        return (lambda message: True) if expression else (lambda message: False)
    if isinstance(expression, Leaf):
        return _wanted(expression.condition.predicate, expression.want)
    parts = [closure(part) for part in expression.parts]
    if isinstance(expression, And):
        return lambda message: all(part(message) for part in parts)
    return lambda message: any(part(message) for part in parts)


def _wanted(predicate: Predicate, want: Want) -> Callable[[Message], bool | None]:
    if want is Want.TRUE:
        return predicate
    if want is Want.FALSE:
        return lambda message: predicate(message) is False
    if want is Want.NOT_TRUE:
        return lambda message: not predicate(message)
    return lambda message: predicate(message) is not False
