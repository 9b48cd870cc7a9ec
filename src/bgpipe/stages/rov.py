"""Validate the origin AS of routes with the RPKI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

from .. import accel
from ..pipeline.options import FLAG, Option, OptionKind, choice
from ..routes.adj_rib_in import BLACKHOLE, OF_SENDER, ORIGIN_AS, Attributes
from ..routes.list_changes import outermost
from ..rpki.origin import (
    NEW,
    NEW_ONLY,
    WITHDRAWS,
    Parts,
    Rules,
    judge_block,
    judge_compiled,
    may_be_longer,
    origin_as,
    part_block,
    sender_of,
    tags_of,
    validity,
)
from ..rpki.origin import Judged as JudgedRoutes
from ..rpki.snapshot import Snapshot
from ..rpki.vrps import Validity
from ..wire.attribute_edits import AttributeEditor, CommunityEdit, Edits
from ..wire.block import Block
from ..wire.communities import CODES, EXTENDED, CommunityPattern, parse_any_community, parse_pattern
from ..wire.errors import TextError, WireError
from ..wire.item import Item
from ..wire.message import Message
from ..wire.prefix import AFI_BITS, Prefix
from ..wire.routes_apart import RoutesApart
from ..wire.tags import TagTable
from .base.editing import InOrder, change_tags, handle_each
from .base.judging import INVALID, QUICK_SLOTS, UNKNOWN, VALID, Judged, Judging
from .base.revalidation import Revalidation

VERDICTS: Final = {Validity.VALID: VALID, Validity.NOT_FOUND: UNKNOWN, Validity.INVALID: INVALID}
VALIDITIES: Final = {verdict: validity for validity, verdict in VERDICTS.items()}
NAMES: Final = {validity.name: verdict for validity, verdict in VERDICTS.items()}
RFC_8097: Final = 0x4300 << 48
"""The extended community for VALID (RFC 8097); the last octet of the others is 1 (NOT_FOUND) and 2 (INVALID)."""
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

    def validity(self, prefix: Prefix, origin: int | None, longer: bool) -> int:
        """The verdict about a route. longer: whether it may be longer than maxLength."""
        return VERDICTS[validity(self.rpki.snapshot, prefix, origin, self.rules, longer)]

    def judge(self, message: Message) -> Judged | None:
        update = message.update
        apart = RoutesApart(update)
        if not apart.prefixes:
            return None
        origin = origin_as(update.as_path, sender_of(message, self.senders))
        longer = may_be_longer(update, self.rules)
        verdicts = [self.validity(prefix, origin, longer) for prefix in apart.prefixes]
        found = {prefix: VALIDITIES[verdict] for prefix, verdict in zip(apart.prefixes, verdicts, strict=True)}
        return Judged(apart, verdicts, tags_of(found) if self.tag else {})

    @property
    def senders(self) -> dict[str, int]:
        """The AS numbers of the peers of the session, by the direction of what they send."""
        return {direction: asn for direction in self.watched if (asn := self.sender(direction))}

    def handle_block(self, block: Block, revalidation: Revalidation | None) -> Block | list[Item]:
        parts = self.marks or self.invalid == "split"
        if self.kept_conditions or ((revalidation is not None or parts) and not accel.AVAILABLE):
            return self.handle_messages(block, range(len(block)), revalidation)
        if revalidation is not None:
            revalidation.table.take_judged(block, self._judge(revalidation.direction), self.states_of)
        if parts:
            return self._handle_in_parts(block)
        judged = judge_block(self.rpki.snapshot, block, senders=self.senders, rules=self.rules, tag=self.tag)
        self._count_judged(judged)
        return self.handle_judged(judged)

    def _count_judged(self, judged: JudgedRoutes) -> None:
        self.counts["messages"] += judged.messages
        for found, count in judged.counts.items():
            self.counts[found.name.lower()] += count

    @property
    def rules(self) -> Rules:
        return Rules(self.strict, self.blackhole)

    # blocks whose messages are parted by the verdicts of their routes

    def _handle_in_parts(self, block: Block) -> Block | list[Item]:
        """What is left of a block if verdicts are marked, or invalid routes are withdrawn in messages of their own.

        Compiled code judges the messages, parts and marks them, and gives the parts their tags; what it declines is
        handled one by one.
        """
        snapshot, senders = self.rpki.snapshot, self.senders
        judged, declined = judge_compiled(snapshot, block, senders, self.rules, self.tag, every=self.marks)
        invalid = [place for place, said in zip(judged.invalid, judged.gone or (), strict=True) if INVALID in said]
        dropped = set(invalid) if self.invalid == "drop" else set()
        parts = part_block(
            block,
            judged,
            [place for place in judged.cuttable if place not in dropped],
            marked=self.marks,
            keep=self.invalid == "keep",
            withdraw=self.invalid == "withdraw",
            apart=self.invalid == "split",
        )
        tagged = self._tag_parts(parts)
        if tagged is None:
            return self.handle_messages(block, range(len(block)), None)
        self._count_judged(judged)
        new, starts, slow = tagged, parts.starts, dict.fromkeys((parts.starts[place] for place in declined), False)
        slow |= dict.fromkeys((starts[place] for place in parts.declined), True)
        unmarked: dict[int, int] = {}
        if self.marks:
            new, unmarked = self._mark_parts(tagged, parts.labels)
        told = self._tell_parts(judged.block, new, parts, set(parts.declined), invalid)
        gone = {starts[place] for place in dropped}
        place = 0

        def handle(message: Message) -> bool | list[Message]:
            if place in unmarked:
                return self._marked_alone(message, unmarked[place])
            return self._handle(message, None, slow[place])

        def before(position: int) -> None:
            nonlocal place
            place = position
            told.before(position)

        if slow or unmarked:
            return handle_each(new, sorted({*slow, *unmarked}), handle, gone, before)
        told.before(len(new))
        return new.without(sorted(gone)) if gone else new

    def _tag_parts(self, parts: Parts) -> Block | None:
        """The block with the tags of parts; None if it can't hold them."""
        block = parts.block
        if self.tag and NEW in parts.labels.translate(NEW_ONLY):
            wanted = parts.labels.translate(NEW_ONLY)
            judged, declined = judge_compiled(self.rpki.snapshot, block, self.senders, self.rules, True, wanted=wanted)
            if declined:
                return None
            block = judged.block
        places = [place for place, label in enumerate(parts.labels) if label == WITHDRAWS]
        table = TagTable(block.tags)
        entries, unfit = change_tags(block, places, table, partial(self.renew_tags, tags=self.invalid_tags))
        if unfit:
            return None
        return block.tagged(entries, table) if entries else block

    def _mark_parts(self, block: Block, labels: bytes) -> tuple[Block, dict[int, int]]:
        """The block with marks in the messages that announce routes. Returns the verdicts of those that compiled code
        has left as they are, too."""
        unmarked: dict[int, int] = {}
        for verdict, editor in self._editors.items():
            places = [place for place, label in enumerate(labels) if label & ~NEW == verdict]
            if places:
                block, left, _ = editor.edit_block(block, places)
                unmarked |= dict.fromkeys(left, verdict)
        return block, unmarked

    def _marked_alone(self, message: Message, verdict: int) -> bool | list[Message]:
        """A part with its mark, which is in several messages if it has no place in one."""
        made = self.marked(message, verdict)
        if self.tag:
            own = {key: value for key, value in message.tags.items() if key.startswith(f"{self.prefix}/")}
            for each in made:
                self.set_tags(each, self.tags_within(each, own) or own)
        return made

    def _tell_parts(self, whole: Block, new: Block, parts: Parts, slow: set[int], invalid: list[int]) -> InOrder:
        """Emits the events of invalid routes. whole: the block before it was parted. slow, invalid: positions there."""
        if self.invalid != "split":
            old = [place for place in invalid if place not in slow]
            places = [parts.starts[place] for place in old] if self.hears_events(len(old)) else []
            return InOrder(places, lambda number: self._tell(whole.message(old[number])))
        places = [place for place, label in enumerate(parts.labels) if label == WITHDRAWS]
        if not self.hears_events(len(places)):
            places = []
        return InOrder(places, lambda number: self._tell(new.message(places[number])))

    def _judge(self, direction: str) -> Any:
        """What accel has to know to judge routes as `judge` does."""
        keep, together = self.invalid == "keep", self.invalid == "drop"
        table = self.rpki.snapshot.table
        return accel.judge.OriginJudge(table, self.sender(direction), self.strict, keep, together, self.blackhole)

    # sessions

    def judge_again(self, direction: str, snapshots: Sequence[Snapshot]) -> Iterator[object]:
        table = self.revalidations[direction].table
        scan, again = table.scan(changed_prefixes(snapshots)), self.announces_again
        if accel.AVAILABLE:
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
                longer = self.blackhole and bool(found.marks & BLACKHOLE)
                verdict = self.validity(route.prefix, self._origin(found, direction), longer)
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


REMEMBERED: Final = 4
"""Differences of snapshots: all sessions ask for the same."""
_differences: list[tuple[Snapshot, Snapshot, list[Prefix]]] = []


def changed_prefixes(snapshots: Sequence[Snapshot]) -> list[Prefix]:
    """The prefixes under which the verdict can have changed from one of the snapshots to the next: ascending, none
    inside another."""
    found: set[Prefix] = set()
    for old, new in pairwise(snapshots):
        found.update(_between(old, new))
    return outermost(found)


def _between(old: Snapshot, new: Snapshot) -> list[Prefix]:
    for before, after, prefixes in _differences:
        if before is old and after is new:
            return prefixes
    difference = new.difference(old)
    prefixes = [prefix for afi in AFI_BITS for prefix in difference.prefixes(afi)]
    _differences.insert(0, (old, new, prefixes))
    del _differences[REMEMBERED:]
    return prefixes
