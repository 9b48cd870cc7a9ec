"""What accel has to know to find the UPDATEs that pass all checks of `guard`, and to judge its routes again."""

from __future__ import annotations

from typing import Any, Final

from .. import accel
from ..wire import attrs
from ..wire.asn_ranges import BOGON, PRIVATE, AsnRanges
from ..wire.attribute_edits import Edits
from ..wire.communities import EXTENDED, LARGE, STANDARD, CommunityPattern
from ..wire.validation import INTERNAL
from .guard_checks import LENGTHS, Rules, Sender

MOST: Final = (1 << 32) - 1


def make_filter(rules: Rules, sender: Sender, edits: Edits, live: bool) -> Any:
    """A filter for the UPDATEs of a sender; or for those of an archive, whose per-peer headers say who has sent
    them."""
    made = accel.guard
    bogon = [*BOGON, *(PRIVATE if rules.no_private or edits.strip_as else ())]
    origins, locked = rules.origins, sender.locked(rules)
    private = rules.no_private or edits.strip_as
    found = made.Filter(
        bogons=rules.bogons.table,
        own=rules.own.table if rules.own is not None else None,
        prefixes=rules.prefixes.table if rules.prefixes is not None else None,
        origins=getattr(origins, "table", None) or made.AsnTable(origins.ranges) if origins is not None else None,
        bogon_as=made.AsnTable(AsnRanges(bogon).ranges),
        locked=made.AsnTable(locked.ranges) if locked else None,
        scrubbed=[_first_parts(edits, kind) for kind in (STANDARD, EXTENDED, LARGE)],
        lengths=(*LENGTHS[1], *LENGTHS[2]),
        max_path=max(0, rules.max_path),
        max_communities=rules.max_communities or MOST,
        no_default=True,
        first_as=sender.first_as,
        hops=True,
        shutdown=bool(rules.gshut),
        blackhole=rules.blackhole,
        nothing=(rules.denies and rules.prefixes is None and origins is None)
        or bool(private and any(map(AsnRanges(PRIVATE).__contains__, sender.exempt))),
        attributes=_allowed(rules, sender, edits),
        needed=1 << attrs.LOCAL_PREF if sender.kind == "ibgp" else 0,
    )
    found.exempt_from_bogons(sorted(sender.exempt) if live else [])
    found.sender = sender.asn if live else -1
    return found


def _allowed(rules: Rules, sender: Sender, edits: Edits) -> int:
    """The attributes that an UPDATE may have, as bits."""
    codes = set(attrs.KNOWN) - rules.withdrawn_attributes - edits.remove
    if sender.kind == "ebgp":
        codes -= INTERNAL
    return sum(1 << code for code in codes if code < 64)


def _first_parts(edits: Edits, kind: str) -> Any:
    """The first parts of the communities that are removed, None if none is."""
    ranges = [_first_part(pattern) for each, edit in edits.communities if each == kind for pattern in edit.drop]
    return accel.guard.AsnTable(AsnRanges(ranges).ranges) if ranges else None


def _first_part(pattern: CommunityPattern) -> tuple[int, int]:
    if not pattern.ranges:
        return 0, MOST
    return pattern.ranges[2 if pattern.kind == EXTENDED else 0]


def make_judge(rules: Rules, asked: frozenset[str]) -> Any:
    """What says which prefixes pass. asked: the checks that keep a route back."""
    lengths = (*LENGTHS[1], *LENGTHS[2]) if "length" in asked else (0, 32, 0, 128)
    return accel.guard.PrefixJudge(
        bogons=rules.bogons.table if "bogon" in asked else None,
        own=rules.own.table if rules.own is not None and "own" in asked else None,
        prefixes=rules.prefixes.table if rules.prefixes is not None and "prefixes" in asked else None,
        lengths=lengths,
        no_default="default-route" in asked,
    )
