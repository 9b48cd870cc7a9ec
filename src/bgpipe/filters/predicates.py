"""Predicates: functions that return True or False for a message, or None if the message lacks what they compare."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..wire.errors import WireError
from ..wire.message import Message
from ..wire.prefix import AFI_BITS, Prefix
from .conditions import Predicate

COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def of_update(predicate: Predicate) -> Predicate:
    """A predicate for UPDATEs. It returns None if octets can't be decoded, and raises nothing."""

    def guarded(message: Message) -> bool | None:
        try:
            return predicate(message)
        except WireError:
            return None

    return guarded


def present(get: Callable[[Message], object]) -> Predicate:
    return lambda message: get(message) is not None


def matches(get: Callable[[Message], Any], match: Callable[[Any], bool]) -> Predicate:
    """Whether what `get` finds matches. `get` returns None for what is absent."""

    def predicate(message: Message) -> bool | None:
        value = get(message)
        return None if value is None else match(value)

    return predicate


def compares(get: Callable[[Message], Any], sign: str, reference: object) -> Predicate:
    """`value sign reference`."""
    compare = COMPARE[sign]
    return matches(get, lambda value: compare(value, reference))


def any_matches(
    get: Callable[[Message], Iterable[Any]], match: Callable[[Any], bool], every: bool = False
) -> Predicate:
    """Whether one of the values matches, or (every) all of them. No values: absent."""
    quantifier = all if every else any

    def predicate(message: Message) -> bool | None:
        values = get(message)
        return quantifier(map(match, values)) if values else None

    return predicate


def prefix_match(sign: str, reference: Prefix) -> Callable[[Prefix], bool]:
    """`prefix sign reference`: == the same, ~ overlaps, < and <= inside it, > and >= around it."""
    afi, address, length, _ = reference
    bits = AFI_BITS[afi]

    def overlaps(prefix: Prefix) -> bool:
        shift = bits - min(prefix[2], length)
        return prefix[0] == afi and prefix[1] >> shift == address >> shift

    if sign == "~":
        return overlaps
    # < is "more specific": the longer mask
    compare = {"==": operator.eq, "<": operator.gt, "<=": operator.ge, ">": operator.lt, ">=": operator.le}[sign]
    return lambda prefix: compare(prefix[2], length) and overlaps(prefix)
