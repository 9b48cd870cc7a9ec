"""From three values to two: a tree whose leaves are true, false or absent, to plain and/or of leaves.

Absent is neither true nor false, and so is its negation: a message without MED matches neither `med > 5` nor
`med != 5`. Two rules end it. A condition without an operator asks whether the thing is there, so it is never absent.
And what is in parentheses is, about an UPDATE, either true or not: `!(med > 5)` matches an UPDATE without MED. (About
other messages conditions on UPDATEs stay absent even in parentheses, so `drop !(prefix ~ 10.0.0.0/8)` drops no
KEEPALIVE.)

At the top only "true" counts. So one walk from the top that says what is wanted of each node (true, false, not true,
not false) moves all negations into the leaves, and nothing has three values any more when messages come.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from ..wire.message import Message
from .nodes import Predicate, Term
from .syntax import All, Group, Node, Not


class Want(IntEnum):
    """What of a leaf's three values counts as yes. accel/program.pxd has the same numbers."""

    TRUE = 0
    FALSE = 1
    NOT_TRUE = 2
    NOT_FALSE = 3


class Leaf(NamedTuple):
    term: Term
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
    """When the node is what is wanted, about UPDATEs or about messages of the other types."""
    if isinstance(node, Term):
        return _leaf(node, updates, want)
    if isinstance(node, Not):
        return reduce(node.node, updates, _OPPOSITE[want])
    if isinstance(node, Group):
        return reduce(node.node, updates, _IN_GROUP[want] if updates else want)
    parts = [reduce(part, updates, want) for part in node.nodes]
    return _join(parts, every=isinstance(node, All) == (want in (Want.TRUE, Want.NOT_FALSE)))


def _leaf(term: Term, updates: bool, want: Want) -> Expression:
    if updates and term.on_updates is not None:
        return term.on_updates == (want in (Want.TRUE, Want.NOT_FALSE))
    if not updates and term.updates_only:
        return want in (Want.NOT_TRUE, Want.NOT_FALSE)
    return Leaf(term, want)


def _join(parts: list[Expression], every: bool) -> Expression:
    """The conjunction or disjunction of the parts, without those that are settled."""
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
    """The expression as a function, whose answer is yes where it is true in Python's sense."""
    if isinstance(expression, bool):
        return (lambda message: True) if expression else (lambda message: False)
    if isinstance(expression, Leaf):
        return _wanted(expression.term.predicate, expression.want)
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
