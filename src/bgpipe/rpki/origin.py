"""Route origin validation of UPDATEs (RFC 6811): one message, and whole blocks.

A stage calls `judge_block` for a block, and `judge` for a single message; both give the same verdicts:

    judged = judge_block(snapshot, block, senders={"R": 65001}, strict=False, tag=True)
    judged.block          # the same messages with their tags; the same object if `tag` is False
    judged.invalid        # positions of messages with an INVALID prefix: for the stage to withdraw, filter
    judged.unfit          # positions of messages whose tags don't fit into a block: the stage opens these
    judged.counts         # prefixes by validity

Only IPv4 and IPv6 unicast are judged: NLRI, and MP_REACH_NLRI of AFI 1 and 2 with SAFI 1. The tags are those of the
original: `rov/PREFIX` for each prefix, and `rov/status`, which is the worst of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from .. import accel
from ..wire import attrs
from ..wire.attrs.as_path import AS_SEQUENCE, AS_SET, AsPath
from ..wire.block import Block
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST
from ..wire.message import UPDATE, Message
from ..wire.prefix import Prefix
from ..wire.update import Update
from .judged_block import JudgedBlock
from .snapshot import VERDICTS, Snapshot
from .vrps import Validity

STATUS: Final = "rov/status"
_WORST_FIRST: Final = (Validity.INVALID, Validity.NOT_FOUND, Validity.VALID)
_NOBODY: Final[Mapping[str, int]] = {}


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


def judge(snapshot: Snapshot, update: Update, sender: int | None, strict: bool = False) -> dict[Prefix, Validity]:
    """The validity of each announced prefix of IPv4 and IPv6 unicast, with its path identifier if it has one.

    sender: the AS number of the peer that sent it. strict: NOT_FOUND is INVALID. Raises WireError if the prefixes can't
    be decoded.
    """
    prefixes = update.nlri
    mp_reach = update.attrs.get(attrs.MP_REACH)
    if mp_reach is not None and mp_reach.value.family in (IPV4_UNICAST, IPV6_UNICAST):
        prefixes = prefixes + mp_reach.value.prefixes
    if not prefixes:
        return {}
    origin = origin_as(update.as_path, sender)
    verdicts = {prefix: snapshot.validate(prefix, origin) for prefix in prefixes}
    if strict:
        return {prefix: Validity.INVALID if each is Validity.NOT_FOUND else each for prefix, each in verdicts.items()}
    return verdicts


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
    strict: bool = False,
    tag: bool = True,
) -> Judged:
    """Judges all UPDATEs of a block. senders: see `sender_of`. strict: NOT_FOUND is INVALID. tag: whether the block
    gets tags. A message whose prefixes can't be decoded is passed over, and has no tags of `rov`."""
    judged = Judged(block)
    positions: Sequence[int] = range(len(block))
    if accel.AVAILABLE:
        judged, positions = _judge_compiled(snapshot, block, senders, strict, tag)
    judged.judge_each(positions, partial(_judge_message, snapshot, judged, senders, strict), tag)
    return judged


def _judge_compiled(
    snapshot: Snapshot, block: Block, senders: Mapping[str, int], strict: bool, tag: bool
) -> tuple[Judged, list[int]]:
    """What the compiled part has judged, and the positions of the messages that it leaves to Python."""
    index, tags, invalid, gone, declined, messages, counts = accel.rov.judge_block(
        snapshot.table, block.octets, block.index, block.tags, senders.get("R", 0), senders.get("L", 0), strict, tag
    )
    judged = Judged(Block(block.octets, index, tags) if tag and messages else block, invalid, messages=messages)
    judged.cuttable, judged.gone = list(invalid), gone
    judged.counts = dict(zip(VERDICTS, counts, strict=True))
    return judged, declined


def _judge_message(
    snapshot: Snapshot, judged: Judged, senders: Mapping[str, int], strict: bool, message: Message
) -> tuple[bool, Mapping[str, str]] | None:
    if message.type_code != UPDATE:
        return None
    try:
        verdicts = judge(snapshot, message.update, sender_of(message, senders), strict)
    except WireError:
        return None
    if not verdicts:
        return None
    judged.messages += 1
    for validity in verdicts.values():
        judged.counts[validity] += 1
    return Validity.INVALID in verdicts.values(), message.tags | tags_of(verdicts)
