"""What a form says, as the fields of a peer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ..management import Refused
from ..rules import Entry, Written
from ..written import format_written, parse_written

_BETWEEN: Final = re.compile(r"[\s,;]+")
_WRITTEN: Final = ("custom_prefixes", "exclude")
NUMBERS: Final = {
    "max_routes": "Routes at most",
    "max_foreign": "Foreign IPv4 addresses that widening may add",
    "max_foreign_ipv6": "Foreign IPv6 networks (/64) that widening may add",
    "min_length_ipv4": "Least length of IPv4 prefixes",
    "max_length_ipv4": "Greatest length of IPv4 prefixes",
    "min_length_ipv6": "Least length of IPv6 prefixes",
    "max_length_ipv6": "Greatest length of IPv6 prefixes",
}
"""Limits that are numbers, and how they are called. With none the group or the defaults say it."""
CHOICES: Final[dict[str, dict[str, Any]]] = {
    "max_routes_action": {"hold": "hold", "widen": "widen"},
    "union": {"yes": True, "no": False},
}
"""Limits of which one value is chosen, or none."""


def words(text: str) -> list[str]:
    """What stands between blanks, commas and ends of lines."""
    return [each for each in _BETWEEN.split(text) if each]


def subscription(said: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The fields of a peer that the form of its page has: what is empty there is taken away. Raises Refused."""
    fields: dict[str, Any] = {"lists": tuple(said.get("lists", ()))}
    for name in _WRITTEN:
        fields[name] = _written(" ".join(said.get(name, ())))
    fields["communities"] = tuple(words(" ".join(said.get("communities", ()))))
    fields["custom_asns"] = tuple(map(as_number, words(" ".join(said.get("custom_asns", ())))))
    fields["description"] = " ".join(said.get("description", ())).strip()
    return fields | _limits(said)


def _limits(said: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Those that the form has; None for what is empty."""
    found: dict[str, Any] = {}
    for name, text in ((name, said[name][0].strip()) for name in (*NUMBERS, *CHOICES) if said.get(name)):
        if not text:
            found[name] = None
        elif name in CHOICES:
            if text not in CHOICES[name]:
                raise Refused(f"{text!r}: one of {', '.join(CHOICES[name])} is expected")
            found[name] = CHOICES[name][text]
        elif text.isascii() and text.isdecimal() and len(text) < 20:
            found[name] = int(text)
        else:
            raise Refused(f"{text!r}: a number is expected")
    return found


def _written(text: str) -> tuple[Written, ...]:
    try:
        found = parse_written(words(text))
    except ValueError as error:
        raise Refused(str(error)) from None
    return tuple(each if isinstance(each, str) else msgspec.convert(each, Entry) for each in found)


def lines(entries: Sequence[Written]) -> str:
    """Prefixes as they are written in the form, one in each line."""
    return "\n".join(format_written(msgspec.to_builtins(each)) for each in entries)


def as_number(text: str) -> int:
    """Raises Refused."""
    digits = text.upper().removeprefix("AS")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        raise Refused(f"{text!r}: an AS number is expected")
    return int(digits)
