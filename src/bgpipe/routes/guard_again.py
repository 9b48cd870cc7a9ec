"""Judges the routes of a table again when a list of the stage `guard` has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from .. import accel
from ..wire.asn_ranges import AsnRanges
from ..wire.attrs.as_path import AsPath
from ..wire.prefix import Prefix
from .adj_rib_in import ORIGIN_AS, VERDICT_SHIFT, AdjRibIn, Attributes, Route
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
    """Another list counts. name: of its option. entries: those that have changed, None for all."""

    name: str
    entries: Sequence[Prefix] | AsnRanges | None

    @property
    def of_paths(self) -> bool:
        """Whether it is about whole UPDATEs, and not about prefixes."""
        return self.name in ("origins", "peerlock")


def judge_again(table: AdjRibIn, judge: GuardJudge, changes: Sequence[Change], sender: Sender) -> Iterator[object]:
    """Judges the routes that the changes are about, by the rules that count at each step; some at each."""
    scan = table.scan(_ranges(changes))
    if accel.AVAILABLE and not judge.rules.blackhole and not any(change.of_paths for change in changes):
        while (cursor := scan.cursor) != -1:  # what is said of whole UPDATEs stays
            quick = make_judge(judge.rules, judge.held_back)
            scan.cursor = table.rib.judge_routes(quick, scan.ranges, cursor, SLOTS, False)
            yield None
        return
    known: dict[Attributes, int] = {}
    rules, wanted = judge.rules, _wanted(changes, judge)
    while (cursor := scan.cursor) != -1:
        if rules is not judge.rules:
            known.clear()
            rules = judge.rules
        scan.cursor, routes = table.rib.find(scan.ranges, cursor, PLAIN_SLOTS)
        attributes: dict[int, Attributes | None] = {}  # numbers may be given anew after this step
        for prefix, number, state in routes:
            if number not in attributes:
                found = table.attributes(number)
                attributes[number] = found if found is not None and wanted(found) else None
            found = attributes[number]
            if found is not None:
                state = judge.state(Route(Prefix(*prefix), number, state), found, sender, known)
                table.judge(Prefix(*prefix), state == PASS, 0 if state == PASS else state >> VERDICT_SHIFT)
        yield None


def _ranges(changes: Sequence[Change]) -> Sequence[Prefix]:
    found: list[Prefix] = []
    for change in changes:
        if change.entries is None or isinstance(change.entries, AsnRanges):
            return ALL
        found += change.entries
    return outermost(found)


def _wanted(changes: Sequence[Change], judge: GuardJudge) -> Callable[[Attributes], bool]:
    """Whether changes are about routes with attributes."""
    origins = AsnRanges(_asns(changes, "origins"))
    locked = AsnRanges(_asns(changes, "peerlock"))
    if judge.edits.strip_as or not all(isinstance(change.entries, AsnRanges) for change in changes):
        return lambda found: True

    def wanted(found: Attributes) -> bool:
        if found.origin_kind == ORIGIN_AS and found.origin in origins:
            return True
        return bool(locked) and any(asn in locked for asn in (found.update().as_path or AsPath()).ases)

    return wanted


def _asns(changes: Sequence[Change], name: str) -> Iterator[tuple[int, int]]:
    for change in changes:
        if change.name == name and isinstance(change.entries, AsnRanges):
            yield from change.entries.ranges
