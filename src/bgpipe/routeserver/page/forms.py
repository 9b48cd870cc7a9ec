"""What a form says, as the fields of a peer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..management import Refused

_BETWEEN: Final = re.compile(r"[\s,;]+")
_WORDS: Final = ("custom_prefixes", "exclude", "communities")


def words(text: str) -> list[str]:
    """What stands between blanks, commas and ends of lines."""
    return [each for each in _BETWEEN.split(text) if each]


def subscription(said: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The fields of a peer that the form of its page has: what is empty there is taken away. Raises Refused."""
    fields: dict[str, Any] = {"lists": tuple(said.get("lists", ()))}
    for name in _WORDS:
        fields[name] = tuple(words(" ".join(said.get(name, ()))))
    fields["custom_asns"] = tuple(map(as_number, words(" ".join(said.get("custom_asns", ())))))
    fields["description"] = " ".join(said.get("description", ())).strip()
    return fields


def as_number(text: str) -> int:
    """Raises Refused."""
    digits = text.upper().removeprefix("AS")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        raise Refused(f"{text!r}: an AS number is expected")
    return int(digits)
