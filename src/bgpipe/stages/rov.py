"""Validate the origin AS of routes with the RPKI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from .. import accel
from ..pipeline.options import FLAG, Option, OptionKind, choice
from ..routes.adj_rib_in import BLACKHOLE, OF_SENDER, ORIGIN_AS, Attributes
from ..rpki.origin import judge_block, origin_as, sender_of, tags_of
from ..rpki.snapshot import Snapshot
from ..rpki.vrps import Validity
from ..wire import attrs
from ..wire.attribute_edits import AttributeEditor, CommunityEdit, Edits
from ..wire.block import Block
from ..wire.communities import BLACKHOLE as BLACKHOLE_COMMUNITY
from ..wire.communities import CODES, EXTENDED, CommunityPattern, parse_any_community, parse_pattern
from ..wire.errors import TextError, WireError
from ..wire.item import Item
from ..wire.message import UPDATE, Message
from ..wire.prefix import AFI_BITS, Prefix
from ..wire.routes_apart import RoutesApart
from .base.judging import INVALID, UNKNOWN, VALID, Judged, Judging
from .base.revalidation import Revalidation

VERDICTS: Final = {Validity.VALID: VALID, Validity.NOT_FOUND: UNKNOWN, Validity.INVALID: INVALID}
VALIDITIES: Final = {verdict: validity for validity, verdict in VERDICTS.items()}
NAMES: Final = {validity.name: verdict for validity, verdict in VERDICTS.items()}
RFC_8097: Final = 0x4300 << 48
"""The extended community for VALID (RFC 8097); the last octet of the others is 1 (NOT_FOUND) and 2 (INVALID)."""
BLACKHOLE_OCTETS: Final = BLACKHOLE_COMMUNITY.to_bytes(4, "big")
Marks = dict[int, dict[str, list[Any]]]
"""The communities of each verdict, by kind."""


def parse_marks(text: str) -> tuple[str, ...]:
    """`rfc8097`, or VERDICT=COMMUNITY, with commas between them. Raises ValueError."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words:
        read_mark(word)
    return words


def read_mark(word: str) -> list[tuple[int, str, Any]]:
    """(verdict, kind, community) of each mark that a word names. Raises ValueError."""
    if word.lower() == "rfc8097":
        return [(verdict, EXTENDED, RFC_8097 | verdict) for verdict in (VALID, UNKNOWN, INVALID)]
    name, _, community = word.partition("=")
    verdict = NAMES.get(name.strip().upper().replace("-", "_"))
    if verdict is None:
        raise ValueError("rfc8097, or valid=COM, not_found=COM, invalid=COM is expected")
    try:
        return [(verdict, *parse_any_community(community.strip()))]
    except TextError as error:
        raise ValueError(str(error)) from None


class Rov(Judging):
    """Validate the origin AS of routes with the RPKI.

    Each announced prefix of IPv4 and IPv6 unicast is VALID, INVALID or NOT_FOUND (RFC 6811), by the VRPs of --rpki. The
    origin is the last AS of the path, as the receiver will see it (RFC 8893). Tags: rov/PREFIX, and rov/status, which
    is INVALID before NOT_FOUND before VALID. In a session, routes are judged again when the VRPs change: what has
    become invalid is withdrawn, what is so no more is announced.
    """

    prefix = "rov"
    unknown_name = "not_found"

    invalid = Option(
        choice("withdraw", "filter", "drop", "split", "keep"),
        "withdraw",
        "what becomes of invalid prefixes: withdraw them, remove them, drop the whole message, withdraw them in a "
        "message of their own, or keep them",
    )
    strict = Option(FLAG, False, "a prefix that is not found is invalid too")
    blackhole = Option(
        FLAG,
        False,
        "a route with the community BLACKHOLE may be longer than maxLength of a VRP of its origin (RFC 7999)",
    )
    add_com = Option(
        OptionKind("VERDICT=COM", parse_marks, adds=True),
        (),
        "mark routes with a community by their verdict, or rfc8097: with its extended communities; may be repeated",
    )

    def attach(self) -> None:
        super().attach()
        marks: Marks = {}
        for word in self.add_com:
            for verdict, kind, community in read_mark(word):
                marks.setdefault(verdict, {}).setdefault(kind, []).append(community)
        self.marks = bool(marks)
        self._editors = {verdict: _editor(marks, verdict) for verdict in VALIDITIES} if marks else {}

    @property
    def announces_again(self) -> bool:
        return self.marks or super().announces_again

    def status(self) -> dict[str, Any]:
        """vrps_ipv4, vrps_ipv6: VRPs that count at the moment."""
        snapshot = self.rpki.snapshot
        return {"vrps_ipv4": snapshot.count(1), "vrps_ipv6": snapshot.count(2)} | super().status()

    # verdicts

    def validity(self, prefix: Prefix, origin: int | None, blackhole: bool) -> int:
        """The verdict about a route. blackhole: whether it has the community."""
        snapshot = self.rpki.snapshot
        verdict = VERDICTS[snapshot.validate(prefix, origin)]
        if verdict == INVALID and blackhole and any(vrp.asn == origin != 0 for vrp in snapshot.covering(prefix)):
            return VALID
        return INVALID if verdict == UNKNOWN and self.strict else verdict

    def judge(self, message: Message) -> Judged | None:
        update = message.update
        apart = RoutesApart(update)
        if not apart.prefixes:
            return None
        origin = origin_as(update.as_path, sender_of(message, self.senders))
        blackhole = self.blackhole and BLACKHOLE_COMMUNITY in (update.value(attrs.COMMUNITY) or ())
        verdicts = [self.validity(prefix, origin, blackhole) for prefix in apart.prefixes]
        found = {prefix: VALIDITIES[verdict] for prefix, verdict in zip(apart.prefixes, verdicts, strict=True)}
        return Judged(apart, verdicts, tags_of(found) if self.tag else {})

    @property
    def senders(self) -> dict[str, int]:
        """The AS numbers of the peers of the session, by the direction of what they send."""
        return {direction: asn for direction in self.watched if (asn := self.sender(direction))}

    def handle_block(self, block: Block, revalidation: Revalidation | None) -> Block | list[Item]:
        if self.marks or self._filters or (self.blackhole and BLACKHOLE_OCTETS in block.octets):
            return self.handle_messages(block, range(len(block)), revalidation)
        if revalidation is not None and not accel.AVAILABLE:
            return self.handle_messages(block, range(len(block)), revalidation)
        if revalidation is not None:
            revalidation.table.take_judged(block, self._judge(revalidation.direction), self._states_of)
        judged = judge_block(self.rpki.snapshot, block, senders=self.senders, strict=self.strict, tag=self.tag)
        self.counts["messages"] += judged.messages
        for validity, count in judged.counts.items():
            self.counts[validity.name.lower()] += count
        return self.handle_judged(judged)

    def _judge(self, direction: str) -> Any:
        """What accel has to know to judge routes as `judge` does."""
        keep, together = self.invalid == "keep", self.invalid == "drop"
        table = self.rpki.snapshot.table
        return accel.judge.OriginJudge(table, self.sender(direction), self.strict, keep, together)

    def _states_of(self, message: Message) -> bytes | None:
        """What becomes of the routes of a message."""
        try:
            judged = self.judge(message) if message.type_code == UPDATE else None
        except WireError:
            return None
        return self.states(judged.verdicts) if judged is not None else None

    # sessions

    def judge_again(self, direction: str, snapshots: Sequence[Snapshot]) -> Iterator[object]:
        table = self.revalidations[direction].table
        scan, again = table.scan(changed_prefixes(snapshots)), self.announces_again
        if accel.AVAILABLE and not self.blackhole:
            while (cursor := scan.cursor) != -1:
                judge = self._judge(direction)
                scan.cursor = table.rib.judge_routes(judge, scan.ranges, cursor, QUICK_SLOTS, again)
                yield None
            return
        known: dict[int, Attributes | None] = {}
        while (routes := scan.step()) is not None:
            known.clear()  # numbers may be given anew
            for route in routes:
                if route.attributes not in known:
                    known[route.attributes] = table.attributes(route.attributes)
                found = known[route.attributes]
                if found is None:
                    continue
                blackhole = self.blackhole and bool(found.marks & BLACKHOLE)
                verdict = self.validity(route.prefix, self._origin(found, direction), blackhole)
                table.judge(route.prefix, verdict != INVALID or self.invalid == "keep", verdict, again)
            yield None

    def _origin(self, found: Attributes, direction: str) -> int | None:
        if found.origin_kind == OF_SENDER:
            return self.sender(direction) or None
        return found.origin if found.origin_kind == ORIGIN_AS else None

    def finish(self, message: Message, verdict: int) -> Iterable[Message]:
        if self.tag:
            validity = VALIDITIES[verdict]
            self.set_tags(message, tags_of(dict.fromkeys(message.update.reach, validity)))
        return self.marked(message, verdict) if self.marks else (message,)

    # parts of a message

    def tags_within(self, message: Message, tags: dict[str, str]) -> dict[str, str]:
        validities = {prefix: Validity[name] for prefix in message.update.reach if (name := tags.get(f"rov/{prefix}"))}
        return tags_of(validities)

    def marked(self, message: Message, verdict: int) -> list[Message]:
        try:
            bodies = self._editors[verdict].edit_split(message.body, message.context)
        except WireError:
            return [message]  # no place beside the path attributes: it goes on without its mark
        return [self.made(message, body) for body in bodies]


def _editor(marks: Marks, verdict: int) -> AttributeEditor:
    """What gives routes the marks of a verdict, and no others: who has sent them may have marked them too."""
    edits = []
    for kind in CODES:
        known = [community for kinds in marks.values() for community in kinds.get(kind, ())]
        if known:
            patterns = tuple(pattern for each in known for pattern in _exactly(kind, each))
            edits.append((kind, CommunityEdit(drop=patterns, add=tuple(marks.get(verdict, {}).get(kind, ())))))
    return AttributeEditor(Edits(communities=tuple(edits)))


def _exactly(kind: str, community: Any) -> tuple[CommunityPattern, ...]:
    if kind == EXTENDED:
        return (CommunityPattern(kind, (), community),)
    parts = community if isinstance(community, tuple) else (community >> 16, community & 0xFFFF)
    return parse_pattern(":".join(map(str, parts)), kind)


QUICK_SLOTS: Final = 1 << 13
"""Places of the table that accel looks at in one step: at most some milliseconds."""
REMEMBERED: Final = 4
"""Differences of snapshots: all sessions ask for the same."""
_differences: list[tuple[Snapshot, Snapshot, list[Prefix]]] = []


def changed_prefixes(snapshots: Sequence[Snapshot]) -> list[Prefix]:
    """The prefixes under which the verdict can have changed from one of the snapshots to the next: ascending, none
    inside another."""
    found: set[Prefix] = set()
    for old, new in pairwise(snapshots):
        found.update(_between(old, new))
    left: list[Prefix] = []
    for prefix in sorted(found):
        last = left[-1] if left else None
        if last is None or last.afi != prefix.afi or not _covers(last, prefix):
            left.append(prefix)
    return left


def _covers(one: Prefix, other: Prefix) -> bool:
    """Whether a prefix covers another of the same AFI that is not shorter."""
    return (one.address ^ other.address) >> AFI_BITS[one.afi] - one.length == 0


def _between(old: Snapshot, new: Snapshot) -> list[Prefix]:
    for before, after, prefixes in _differences:
        if before is old and after is new:
            return prefixes
    difference = new.difference(old)
    prefixes = [prefix for afi in AFI_BITS for prefix in difference.prefixes(afi)]
    _differences.insert(0, (old, new, prefixes))
    del _differences[REMEMBERED:]
    return prefixes
