"""Verification of AS paths by ASPAs (draft-ietf-sidrops-aspa-verification-24).

>>> snapshot = Snapshot.of(aspas={65003: [65002], 65002: [65009]})
>>> verify(snapshot, make_path(65001, 65002, 65003), Neighbour("customer", 65001))
PathVerdict(validity=<PathValidity.INVALID: 'invalid'>, hop=(65002, 65001))

What is asked depends on what the neighbour is to us. From a customer, a lateral peer, a route server or its client,
each AS of the path must have the next one as a provider, up to the neighbour (section 6.1). From a provider, the path
may go up from the origin and then down to us (section 6.2). A path is INVALID if it is empty, has an AS_SET or a
segment of a confederation, or does not begin with the AS of the neighbour; only a route server need not be in it.

A stage calls `judge_block` for a block, and `judge` for a message:

    neighbour = Neighbour("provider", 65001)        # or Neighbour("provider", tag="PEER_AS")
    judged = judge_block(snapshot, block, {"R": neighbour}, tag=True)   # by the direction of messages: R, L, LR, ?
    judged.block, judged.invalid, judged.unfit      # as of origin.judge_block
    judged.counts                                   # messages by validity

Only UPDATEs that announce prefixes of IPv4 or IPv6 unicast are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import groupby, pairwise
from typing import Final, NamedTuple

from .. import accel
from ..wire.attrs.as_path import AS_SEQUENCE, AsPath
from ..wire.block import Block
from ..wire.errors import WireError
from ..wire.message import UPDATE, Message
from ..wire.routes_apart import RoutesApart
from ..wire.tags import value_start
from .judged_block import JudgedBlock, renew_tags
from .snapshot import Snapshot

ROLES: Final = ("provider", "customer", "peer", "rs", "rs-client")
"""What a neighbour can be to us (RFC 9234 section 4.1)."""
OWN: Final = "aspa/"
STATUS: Final = "aspa/status"
INVALID_HOP: Final = "aspa/invalid-hop"


class Hop(StrEnum):
    """Whether one AS is a provider of another, as the other attests."""

    PROVIDER = "provider"
    NO_ATTESTATION = "no attestation"
    NOT_PROVIDER = "not a provider"


class PathValidity(StrEnum):
    """What the ASPAs say of a path."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class PathVerdict(NamedTuple):
    """hop: the customer and the AS that is not its provider, where one such hop makes the path INVALID."""

    validity: PathValidity
    hop: tuple[int, int] | None = None


class Neighbour(NamedTuple):
    """The peer that sent a message. role: what it is to us, one of ROLES. asn: its AS number; 0 if nobody knows, and
    then the first AS of a path is not checked.

    tag: a tag of the message that has the AS number instead, as PEER_AS in an archive. A message without it, or with
    something that is no AS number, is not judged.
    """

    role: str
    asn: int = 0
    tag: str = ""


def hop(snapshot: Snapshot, customer: int, provider: int) -> Hop:
    """Whether `provider` is a provider of `customer` (section 5). AS 0 is nobody's provider."""
    providers = snapshot.providers(customer)
    if providers is None:
        return Hop.NO_ATTESTATION
    return Hop.PROVIDER if provider and provider in providers else Hop.NOT_PROVIDER


def verify(snapshot: Snapshot, path: AsPath | None, neighbour: Neighbour, first_hop: bool = True) -> PathVerdict:
    """Verifies a path. first_hop: whether it must begin with the AS of the neighbour."""
    ases: list[int] = []
    for kind, segment in path or ():
        if kind != AS_SEQUENCE:
            return PathVerdict(PathValidity.INVALID)
        ases += segment
    if not ases or (first_hop and neighbour.asn and neighbour.role != "rs" and ases[0] != neighbour.asn):
        return PathVerdict(PathValidity.INVALID)
    collapsed = [asn for asn, _ in groupby(ases)]
    check = verify_downstream if neighbour.role == "provider" else verify_upstream
    return check(snapshot, collapsed)


def verify_upstream(snapshot: Snapshot, ases: Sequence[int]) -> PathVerdict:
    """A path that goes up all the way (section 6.1). ases: from the neighbour to the origin, no AS beside itself."""
    found = PathVerdict(PathValidity.VALID)
    for provider, customer in pairwise(ases):
        outcome = hop(snapshot, customer, provider)
        if outcome is Hop.NOT_PROVIDER:
            return PathVerdict(PathValidity.INVALID, (customer, provider))
        if outcome is Hop.NO_ATTESTATION:
            found = PathVerdict(PathValidity.UNKNOWN)
    return found


def verify_downstream(snapshot: Snapshot, ases: Sequence[int]) -> PathVerdict:
    """A path that goes up from the origin, and down to us (section 6.2). ases: as in verify_upstream.

    The failing hop is the one on the way down: the AS nearest to the neighbour that was not to pass the route on.
    """
    count = len(ases)
    up_most, up_least = _ramp(snapshot, ases[::-1])
    down_most, down_least = _ramp(snapshot, ases)
    if up_most + down_most < count:
        return PathVerdict(PathValidity.INVALID, (ases[down_most - 1], ases[down_most]))
    return PathVerdict(PathValidity.UNKNOWN if up_least + down_least < count else PathValidity.VALID)


def _ramp(snapshot: Snapshot, ases: Sequence[int]) -> tuple[int, int]:
    """How many ASes, from the first on, go up at most, and at least: each has the next one as a provider, or may have
    it."""
    least = 0
    for place, (customer, provider) in enumerate(pairwise(ases), 1):
        outcome = hop(snapshot, customer, provider)
        if outcome is not Hop.PROVIDER:
            least = least or place
        if outcome is Hop.NOT_PROVIDER:
            return place, least
    return len(ases), least or len(ases)


def judge(
    snapshot: Snapshot, message: Message, neighbours: Mapping[str, Neighbour], first_hop: bool = True
) -> PathVerdict | None:
    """The verdict on the path of an UPDATE; None if it is not judged.

    neighbours: who sent it, by its direction. Raises WireError if its prefixes can't be decoded.
    """
    neighbour = neighbours.get(message.direction)
    if neighbour is None or message.type_code != UPDATE or not RoutesApart(message.update).prefixes:
        return None
    if neighbour.tag:
        text = message.tags.get(neighbour.tag, "")
        if not (text.isascii() and text.isdecimal() and 0 < int(text[:11]) <= 0xFFFFFFFF):
            return None
        neighbour = neighbour._replace(asn=int(text))
    return verify(snapshot, message.update.as_path, neighbour, first_hop)


def tags_of(verdict: PathVerdict) -> dict[str, str]:
    tags = {STATUS: verdict.validity.name}
    if verdict.hop is not None:
        tags[INVALID_HOP] = "{} {}".format(*verdict.hop)
    return tags


@dataclass
class Judged(JudgedBlock):
    """What is known of a block. counts: messages by validity."""

    counts: dict[PathValidity, int] = field(default_factory=lambda: dict.fromkeys(PathValidity, 0))


def judge_block(
    snapshot: Snapshot,
    block: Block,
    neighbours: Mapping[str, Neighbour],
    *,
    first_hop: bool = True,
    tag: bool = True,
) -> Judged:
    """Judges all UPDATEs of a block. tag: whether the block gets tags."""
    judged = Judged(block)
    positions: Sequence[int] = range(len(block))
    if accel.AVAILABLE and len({each.tag for each in neighbours.values()}) == 1:
        judged, positions = _judge_compiled(snapshot, block, neighbours, first_hop, tag)
    judged.judge_each(positions, partial(_judge_message, snapshot, judged, neighbours, first_hop), tag)
    return judged


def _judge_compiled(
    snapshot: Snapshot, block: Block, neighbours: Mapping[str, Neighbour], first_hop: bool, tag: bool
) -> tuple[Judged, list[int]]:
    """What the compiled part has judged, and the positions of the messages that it leaves to Python."""
    name = next(iter(neighbours.values())).tag
    said = [
        (False, False, False, 0)
        if (each := neighbours.get(direction)) is None
        else (True, each.role == "provider", first_hop and each.role != "rs", each.asn)
        for direction in ("?", "R", "L", "LR")
    ]
    key = value_start(name).encode() if name else None
    index, tags, invalid, declined, counts = accel.aspa.judge_block(
        snapshot.aspa_table, block.octets, block.index, block.tags, said, key, name == "PEER_AS", tag
    )
    judged = Judged(Block(block.octets, index, tags) if tag and any(counts) else block, invalid)
    judged.cuttable = list(invalid)
    judged.counts = dict(zip((PathValidity.VALID, PathValidity.UNKNOWN, PathValidity.INVALID), counts, strict=True))
    return judged, declined


def _judge_message(
    snapshot: Snapshot, judged: Judged, neighbours: Mapping[str, Neighbour], first_hop: bool, message: Message
) -> tuple[bool, Mapping[str, str]] | None:
    try:
        verdict = judge(snapshot, message, neighbours, first_hop)
    except WireError:
        return None
    if verdict is None:
        return None
    judged.counts[verdict.validity] += 1
    return verdict.validity is PathValidity.INVALID, renew_tags(message.tags, OWN, tags_of(verdict))
