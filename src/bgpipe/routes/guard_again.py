"""Judges the routes of a table again when a list of the stage `guard` has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from .. import accel
from ..wire.prefix import Prefix
from .adj_rib_in import VERDICT_SHIFT, AdjRibIn, Attributes
from .guard_checks import Sender
from .guard_filter import make_judge
from .guard_judge import PASS, GuardJudge
from .list_changes import outermost

ALL: Final = (Prefix(1, 0, 0), Prefix(2, 0, 0))
SLOTS: Final = 1 << 13
"""Places of the table that accel looks at in one step: at most some milliseconds."""
PLAIN_SLOTS: Final = 256
"""Those that Python looks at."""


class Change(NamedTuple):
    """What another list changes. paths: the verdict about whole UPDATEs can be another. prefixes: those under which the
    verdict about a route can be another, None for all."""

    paths: bool
    prefixes: Sequence[Prefix] | None


def judge_again(table: AdjRibIn, judge: GuardJudge, changes: Sequence[Change], sender: Sender) -> Iterator[object]:
    """Judges the routes that the changes are about, by the rules that count at each step; some at each."""
    paths, scan = any(change.paths for change in changes), table.scan(_ranges(changes))
    if accel.AVAILABLE and not judge.rules.blackhole and not paths:  # what is said of whole UPDATEs stays
        while (cursor := scan.cursor) != -1:
            quick = make_judge(judge.rules, judge.held_back)
            scan.cursor = table.rib.judge_routes(quick, scan.ranges, cursor, SLOTS, False)
            yield None
        return
    known: dict[Attributes, int] = {}
    rules = judge.rules
    while (routes := scan.step(PLAIN_SLOTS)) is not None:
        if rules is not judge.rules:
            known.clear()
            rules = judge.rules
        attributes: dict[int, Attributes | None] = {}  # numbers may be given anew after this step
        for route in routes:
            if route.attributes not in attributes:
                attributes[route.attributes] = table.attributes(route.attributes)
            found = attributes[route.attributes]
            if found is not None:
                state = judge.state(route, found, sender, known)
                table.judge(route.prefix, state == PASS, 0 if state == PASS else state >> VERDICT_SHIFT)
        yield None


def _ranges(changes: Sequence[Change]) -> Sequence[Prefix]:
    if any(change.paths or change.prefixes is None for change in changes):
        return ALL
    return outermost(prefix for change in changes for prefix in change.prefixes or ())
