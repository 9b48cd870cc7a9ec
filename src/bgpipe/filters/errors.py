"""Errors in filters, with their place."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 60
"""The most characters of a filter that an error text repeats."""


class FilterError(ValueError):
    """A filter that can't be compiled.

    filter: its text. position: where the error is, in characters from 0; `column` counts from 1. reason: what is wrong,
    without the place.
    """

    def __init__(self, filter: str, position: int, reason: str) -> None:
        rest = filter[position:]
        if not rest:
            where = "at the end"
        elif len(rest) > SHOWN:
            where = f"near '{rest[:SHOWN]}...'"
        else:
            where = f"near '{rest}'"
        super().__init__(f"filter '{filter}': parse error {where}: {reason} (column {position + 1})")
        self.filter = filter
        self.position = position
        self.reason = reason

    @property
    def column(self) -> int:
        return self.position + 1

    @property
    def caret(self) -> str:
        """Two lines: the filter, and a caret under the fault."""
        shown = "".join(" " if c.isspace() else c for c in self.filter)
        return f"{shown}\n{' ' * self.position}^"


class ConditionError(Exception):
    """An error in a condition. The parser, which knows the text of the filter, turns it into a FilterError.

    part: which part of the condition is at fault, "name", "index", "operator" or "value"; offset: where in the value.
    """

    def __init__(self, part: str, reason: str, offset: int | None = None) -> None:
        super().__init__(reason)
        self.part = part
        self.reason = reason
        self.offset = offset


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` if something known is near, else nothing."""
    from difflib import get_close_matches

    names = {name.lower(): name for name in known}
    found = get_close_matches(word.lower().replace("-", "_"), names, 1, 0.6)
    return f"; did you mean '{names[found[0]]}'?" if found else ""
