"""Prefixes as people write them in forms, options and cells, each with what is to be said of it behind it.

203.0.113.0/24 192.0.2.1/32 community=65535:666 expires=2026-12-31T23:59:00Z med=5 prepends=1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_NUMBERS: Final = ("med", "prepends")
SAID: Final = ("community", *_NUMBERS, "expires")


def parse_written(words: Iterable[str]) -> list[str | dict[str, Any]]:
    """The prefixes among words, as the API has them: texts, and records where more is said. Raises ValueError."""
    found: list[str | dict[str, Any]] = []
    for word in words:
        name, sign, value = word.partition("=")
        if not sign:
            found.append(word)
            continue
        if name not in SAID or not found:
            raise ValueError(f"{word!r}: a prefix is expected, or behind one {'=, '.join(SAID)}=")
        last = found[-1]
        record: dict[str, Any] = {"prefix": last} if isinstance(last, str) else last
        found[-1] = record
        if name == "community":
            record.setdefault("communities", []).append(value)
        elif name in _NUMBERS:
            if not (value.isascii() and value.isdecimal()):
                raise ValueError(f"{word!r}: a number is expected")
            record[name] = int(value)
        else:
            record[name] = value
    return found


def format_written(entry: str | Mapping[str, Any]) -> str:
    """The same as a text again. entry: as the API has it."""
    if isinstance(entry, str):
        return entry
    said = [f"community={each}" for each in entry.get("communities", ())]
    said += [f"{name}={entry[name]}" for name in (*_NUMBERS, "expires") if entry.get(name) not in (None, "")]
    return " ".join((entry["prefix"], *said))
