"""Conditions on what NLRI other than plain IP prefixes say: route distinguishers, MAC addresses, labels, targets.

Binders as in of_message.py. A condition is true if it holds for one route, announced or withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ..wire import attrs
from ..wire.errors import TextError
from ..wire.ext_community import ROUTE_TARGETS, TYPE_SHIFT, ext_community_members
from ..wire.message import Message
from ..wire.nlri.text import format_mac, format_rd, parse_mac, parse_rd
from ..wire.route import Route
from .conditions import BoundCondition
from .errors import ConditionError
from .of_message import Binder
from .pattern import compile_pattern
from .predicates import COMPARE, any_matches, of_update
from .syntax import Condition
from .values import parse_unsigned

_LABEL_BITS: Final = 20


def _routes(message: Message) -> list[Route]:
    update = message.update
    return update.routes + update.unreach_routes


def _distinguishers(message: Message) -> list[str]:
    return [route.rd for route in _routes(message) if route.rd is not None]


def _macs(message: Message) -> list[str]:
    return [route.mac for route in _routes(message) if route.mac is not None]


def _labels(message: Message) -> list[int]:
    return [label for route in _routes(message) for label in route.labels]


def _targets(message: Message) -> list[str]:
    """Of extended communities, and of Route Target membership."""
    return [str(target) for target in _all_targets(message)]


def _all_targets(message: Message) -> Iterator[object]:
    for community in message.update.value(attrs.EXT_COMMUNITY) or ():
        if community >> TYPE_SHIFT in ROUTE_TARGETS:
            yield ext_community_members(community)["value"]
    for route in _routes(message):
        if route.target is not None:
            yield route.target["value"]


def _texts(get: Callable[[Message], list[str]], canonical: Callable[[str], str]) -> Binder:
    """The binder of a field that is a list of texts: == finds one, in any spelling, ~ matches one with a pattern."""

    def bind(condition: Condition) -> BoundCondition:
        match: Callable[[Any], bool]
        if not condition.operator:
            return BoundCondition(of_update(lambda message: bool(get(message))))
        if condition.operator == "~":
            match = compile_pattern(condition.value)
        else:
            try:
                match = canonical(condition.value).__eq__
            except TextError as error:
                raise ConditionError("value", f"invalid value: {error}") from None
        return BoundCondition(of_update(any_matches(get, match)))

    return bind


def bind_label(condition: Condition) -> BoundCondition:
    """`label`: a number of 20 bits."""
    if not condition.operator:
        return BoundCondition(of_update(lambda message: bool(_labels(message))))
    reference = parse_unsigned(condition.value, _LABEL_BITS)
    compare = COMPARE[condition.operator]
    return BoundCondition(of_update(any_matches(_labels, lambda label: compare(label, reference))))


def _target_text(text: str) -> str:
    """A target has no mark for an AS number of four octets that two could hold."""
    return format_rd(parse_rd(text)).replace("L:", ":")


bind_rd: Final = _texts(_distinguishers, lambda text: format_rd(parse_rd(text)))
bind_mac: Final = _texts(_macs, lambda text: format_mac(parse_mac(text)))
bind_target: Final = _texts(_targets, _target_text)
