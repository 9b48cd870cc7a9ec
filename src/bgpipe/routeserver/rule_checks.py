"""What a request says of routes, checked field by field, for peers and for groups. All functions raise Refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from .list_management import Refused
from .rules import MAX_PREPENDS
from .values import check_community, check_next_hop, check_next_hop_ipv6, check_written

MAX_DESCRIPTION: Final = 512
"""Characters."""
_ANY: Final = (1 << 63) - 1
NUMBERS: Final = {
    "max_prefix": (0, 2**31 - 1),
    "max_routes": (0, _ANY),
    "max_foreign": (0, _ANY),
    "max_foreign_ipv6": (0, _ANY),
    "min_length_ipv4": (1, 32),
    "max_length_ipv4": (1, 32),
    "min_length_ipv6": (1, 128),
    "max_length_ipv6": (1, 128),
    "med": (0, 0xFFFFFFFF),
    "prepends": (0, MAX_PREPENDS),
}
"""Least and greatest value. POST sets them back to what the group or the defaults say, if it does not name them."""
_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "exclude": check_written,
    "communities": check_community,
    "add_communities": check_community,
    "lists": str,
}
_TEXT_CHECKS: Final[dict[str, Callable[[str], str]]] = {
    "next_hop": check_next_hop,
    "next_hop_ipv6": check_next_hop_ipv6,
}


def check_rules(fields: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Fields with the names of Rules as they are kept, the others as they are. known: names of lists."""
    checked = dict(fields)
    for name, check in _CHECKS.items():
        if name in fields:
            checked[name] = unique(name, fields[name], check)
    for name, check in _TEXT_CHECKS.items():
        if fields.get(name):
            checked[name] = each_of(name, (fields[name],), check)[0]
    if len(fields.get("description", "")) > MAX_DESCRIPTION:
        raise Refused(f"description: more than {MAX_DESCRIPTION} characters")
    _check_numbers(fields)
    if unknown := [name for name in fields.get("lists", ()) if name not in known]:
        raise Refused(f"unknown lists: {', '.join(unknown)}")
    return checked


def _check_numbers(fields: Mapping[str, Any]) -> None:
    for name, (least, most) in NUMBERS.items():
        value = fields.get(name)
        if value is not None and not least <= value <= most:
            to = f" to {most}" if most < _ANY else ""
            raise Refused(f"{camel(name)}: a number from {least}{to} is expected")


def unique(name: str, texts: Iterable[Any], check: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Each of them checked, once. name: of the field."""
    return tuple(dict.fromkeys(each_of(name, texts, check)))


def each_of(name: str, texts: Iterable[Any], check: Callable[[Any], Any]) -> list[Any]:
    """Each of them checked. name: of the field."""
    try:
        return list(map(check, texts))
    except ValueError as error:
        raise Refused(f"{camel(name)}: {error}") from None


def camel(name: str) -> str:
    """The name of a field as JSON has it."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
