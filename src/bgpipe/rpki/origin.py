"""Route origin validation of UPDATEs (RFC 6811): one message, and whole blocks.

A stage calls `judge_block` for a block, and `judge` for a single message; both give the same verdicts:

    judged = judge_block(snapshot, block, senders={"R": 65001}, rules=Rules(strict=False), tag=True)
    judged.block          # the same messages with their tags; the same object if `tag` is False
    judged.invalid        # positions of messages with an INVALID prefix: for the stage to withdraw, filter
    judged.unfit          # positions of messages whose tags don't fit into a block: the stage opens these
    judged.counts         # prefixes by validity

A stage that parts messages by the verdicts of their routes calls `judge_compiled` and `part_block`.

Only IPv4 and IPv6 unicast are judged: NLRI, and MP_REACH_NLRI of AFI 1 and 2 with SAFI 1. The tags are those of the
original: `rov/PREFIX` for each prefix, and `rov/status`, which is the worst of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from .. import accel
from ..wire import attrs
from ..wire.attrs.as_path import AS_SEQUENCE, AS_SET, AsPath
from ..wire.block import Block
from ..wire.communities import BLACKHOLE
from ..wire.errors import WireError
from ..wire.message import UPDATE, Message
from ..wire.prefix import Prefix
from ..wire.routes_apart import RoutesApart
from ..wire.update import Update
from ..wire.update_body import UpdateBody
from .judged_block import JudgedBlock, renew_tags
from .snapshot import VERDICTS, Snapshot
from .vrps import Validity

OWN: Final = "rov/"
STATUS: Final = "rov/status"
_WORST_FIRST: Final = (Validity.INVALID, Validity.NOT_FOUND, Validity.VALID)
_NOBODY: Final[Mapping[str, int]] = {}


class Rules(NamedTuple):
    """What a stage asks for. strict: NOT_FOUND is INVALID. blackhole: a route with the community BLACKHOLE may be
    longer than maxLength of a VRP of its origin (RFC 7999)."""

    strict: bool = False
    blackhole: bool = False


DEFAULT: Final = Rules()


def origin_as(path: AsPath | None, sender: int | None) -> int | None:
    """The origin AS of a route (RFC 6811 section 2): the last AS of the path; None if the path ends in an AS_SET.

    Segments of a confederation are passed over. If nothing else is there, the origin is the AS of the peer that sent
    the route. sender: its AS number, None or 0 if nobody knows.
    """
    for kind, ases in reversed(path or ()):
        if kind == AS_SEQUENCE:
            return ases[-1]
        if kind == AS_SET:
            return None
    return sender or None


def may_be_longer(update: UpdateBody, rules: Rules) -> bool:
    """Whether the routes of an UPDATE may be longer than maxLength. Raises WireError."""
    return rules.blackhole and BLACKHOLE in (update.value(attrs.COMMUNITY) or ())


def validity(snapshot: Snapshot, prefix: Prefix, origin: int | None, rules: Rules, longer: bool) -> Validity:
    """The validity of one route. longer: whether it may be longer than maxLength."""
    found = snapshot.validate(prefix, origin)
    if found is Validity.INVALID and longer and origin and any(vrp.asn == origin for vrp in snapshot.covering(prefix)):
        return Validity.VALID
    return Validity.INVALID if rules.strict and found is Validity.NOT_FOUND else found


def judge(snapshot: Snapshot, update: Update, sender: int | None, rules: Rules = DEFAULT) -> dict[Prefix, Validity]:
    """The validity of each announced prefix of IPv4 and IPv6 unicast, with its path identifier if it has one.

    sender: the AS number of the peer that sent it. Raises WireError if the prefixes can't be decoded.
    """
    return dict(judge_routes(snapshot, update, sender, rules))


def judge_routes(
    snapshot: Snapshot, update: Update, sender: int | None, rules: Rules = DEFAULT
) -> list[tuple[Prefix, Validity]]:
    """The same, one by one: a prefix that is announced twice counts twice."""
    prefixes = RoutesApart(update).prefixes
    if not prefixes:
        return []
    origin = origin_as(update.as_path, sender)
    longer = may_be_longer(update, rules)
    return [(prefix, validity(snapshot, prefix, origin, rules, longer)) for prefix in prefixes]


def tags_of(verdicts: Mapping[Prefix, Validity]) -> dict[str, str]:
    """The tags of a message; none if it announces nothing."""
    if not verdicts:
        return {}
    tags = {f"rov/{prefix}": validity.name for prefix, validity in verdicts.items()}
    return tags | {STATUS: worst(verdicts).name}


def worst(verdicts: Mapping[Prefix, Validity]) -> Validity:
    """INVALID before NOT_FOUND before VALID."""
    found = set(verdicts.values())
    return next(validity for validity in _WORST_FIRST if validity in found)


def sender_of(message: Message, senders: Mapping[str, int]) -> int | None:
    """The AS number of the peer that sent a message. senders: of the peers of a session, by the direction of what they
    send ("R" for the one on the left); otherwise it is the tag PEER_AS."""
    if sender := senders.get(message.direction):
        return sender
    text = message.tags.get("PEER_AS", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None


@dataclass
class Judged(JudgedBlock):
    """What is known of a block. messages: how many UPDATEs announce prefixes that were judged."""

    messages: int = 0
    counts: dict[Validity, int] = field(default_factory=lambda: dict.fromkeys(Validity, 0))


def judge_block(
    snapshot: Snapshot,
    block: Block,
    *,
    senders: Mapping[str, int] = _NOBODY,
    rules: Rules = DEFAULT,
    tag: bool = True,
) -> Judged:
    """Judges all UPDATEs of a block. senders: see `sender_of`. tag: whether the block gets tags. A message whose
    prefixes can't be decoded is passed over, and has no tags of `rov`."""
    judged = Judged(block)
    positions: Sequence[int] = range(len(block))
    if accel.AVAILABLE:
        judged, positions = judge_compiled(snapshot, block, senders, rules, tag)
    judged.judge_each(positions, partial(_judge_message, snapshot, judged, senders, rules), tag)
    return judged


def judge_compiled(
    snapshot: Snapshot,
    block: Block,
    senders: Mapping[str, int],
    rules: Rules,
    tag: bool,
    *,
    every: bool = False,
    wanted: bytes | None = None,
) -> tuple[Judged, list[int]]:
    """What the compiled part has judged, and the positions of the messages that it leaves to Python.

    every: `invalid`, `cuttable` and `gone` are about all messages that were judged. wanted: an octet for each message,
    0 for one that is not judged.
    """
    index, tags, found, verdicts, declined, messages, counts = accel.rov.judge_block(
        snapshot.table,
        block.octets,
        block.index,
        block.tags,
        senders.get("R", 0),
        senders.get("L", 0),
        rules.strict,
        tag,
        rules.blackhole,
        every,
        wanted,
    )
    judged = Judged(Block(block.octets, index, tags) if tag and messages else block, found, messages=messages)
    judged.cuttable, judged.gone = list(found), verdicts
    judged.counts = dict(zip(VERDICTS, counts, strict=True))
    return judged, declined


WITHDRAWS: Final = 3
"""The label of a message that only withdraws INVALID routes; below it, labels are the verdict of all its routes."""
NEW: Final = 8
"""Beside other labels: the message announces a part of the routes of an old one."""
NEW_ONLY: Final = bytes(label & NEW for label in range(256))


class Parts(NamedTuple):
    """A block whose messages were parted by the verdicts of their routes.

    labels: an octet for each message. starts: for each message of the old block, how many new ones stand before it.
    declined: positions in the old block of messages that are as before.
    """

    block: Block
    labels: bytes
    starts: Sequence[int]
    declined: Sequence[int]


def part_block(
    block: Block, judged: Judged, positions: Sequence[int], *, marked: bool, keep: bool, withdraw: bool, apart: bool
) -> Parts:
    """Parts the messages of a block at these positions, which are some of `judged.cuttable`. Parts that announce
    something have the tags that the message has in `block`, all other messages those of `judged`.

    marked: by each verdict, and not only by whether they are INVALID. keep: INVALID routes are announced. withdraw:
    they are withdrawn, by the first part, or with `apart` by a message of their own behind the others.
    """
    gone = judged.gone
    assert gone is not None
    if len(positions) != len(judged.cuttable):
        said = dict(zip(judged.cuttable, gone, strict=True))
        gone = [said[position] for position in positions]
    octets, index, labels, starts, declined = accel.cut.part_routes(
        block.octets, block.index, judged.block.index, list(positions), gone, marked, keep, withdraw, apart
    )
    return Parts(Block(octets, index, judged.block.tags), labels, array("I", bytes(starts)), declined)


def _judge_message(
    snapshot: Snapshot, judged: Judged, senders: Mapping[str, int], rules: Rules, message: Message
) -> tuple[bool, Mapping[str, str]] | None:
    if message.type_code != UPDATE:
        return None
    try:
        routes = judge_routes(snapshot, message.update, sender_of(message, senders), rules)
    except WireError:
        return None
    if not routes:
        return None
    judged.messages += 1
    for _, found in routes:
        judged.counts[found] += 1
    verdicts = dict(routes)
    return Validity.INVALID in verdicts.values(), renew_tags(message.tags, OWN, tags_of(verdicts))
