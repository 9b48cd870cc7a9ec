"""Blocks of several inputs to one, in the order of time.

The order inside an input stays as it is: a message counts as no earlier than the one before it, so that a time which
goes backwards, or is missing, moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from .block import LENGTH, NO_PEER, OFFSET, PEER, TAGS, TIME, Block

MAX_PEER_HEADER: Final = 44
"""Octets of the longest per-peer header: two AS numbers, an interface, an address family, two IPv6 addresses."""


class Survey(NamedTuple):
    """What the times of a block tell. latest: the latest one, microseconds since 1970 (UTC). backwards: how many
    messages have a time before that of an earlier one. untimed: how many have none."""

    latest: int
    backwards: int
    untimed: int


class Run(NamedTuple):
    """Messages of a block, from position `start` to before `stop`, and the earliest time that they count as."""

    block: Block
    start: int
    stop: int
    floor: int


def survey(block: Block, start: int, stop: int, floor: int) -> Survey:
    """What the times from position `start` to before `stop` tell; `floor`: what the message before them counts as."""
    if accel := _accel():
        return Survey(*accel.survey(block.index, start, stop, floor))
    backwards = untimed = 0
    for time in TIME.of(block.index)[start:stop]:
        if not time:
            untimed += 1
        elif time >= floor:
            floor = time
        else:
            backwards += 1
    return Survey(floor, backwards, untimed)


def find_later(block: Block, start: int, bound: int) -> int:
    """The position of the first message from `start` on whose time is after `bound`; the block's length if none is."""
    if accel := _accel():
        return int(accel.find_later(block.index, start, len(block), bound))
    for position, time in enumerate(TIME.of(block.index)[start:], start):
        if time > bound:
            return position
    return len(block)


def merge(runs: Sequence[Run]) -> Block:
    """One block with the messages of all; those that count as of the same time come in the order of `runs`."""
    if len(runs) == 1:
        block, start, stop, _ = runs[0]
        return block if (start, stop) == (0, len(block)) else block.part(start, stop)
    pieces: list[bytes] = []
    tags: list[bytes] = []
    index = bytearray()
    octets_end = tags_end = 0
    for block, start, stop, _ in runs:
        first, end = _extent(block, start, stop)
        entries = block.part(start, stop).index
        _shift(entries, octets_end - first, tags_end)
        index += entries
        pieces.append(block.octets[first:end])
        octets_end += len(pieces[-1])
        tags.append(block.tags)
        tags_end += len(block.tags)
    joined = Block(b"".join(pieces), index, b"".join(tags))
    return _ordered(joined, [(stop - start, floor) for _, start, stop, floor in runs])


def _extent(block: Block, start: int, stop: int) -> tuple[int, int]:
    """Where the octets of these messages are, per-peer headers included, which are taken to be as long as any is."""
    if accel := _accel():
        first, end = accel.extent(block.index, start, stop)
        return first, end
    offsets, lengths = OFFSET.of(block.index)[start:stop], LENGTH.of(block.index)[start:stop]
    peers = [place for place in PEER.of(block.index)[start:stop] if place != NO_PEER]
    ends = [offset + length for offset, length in zip(offsets, lengths, strict=True)]
    return min([*offsets, *peers]), max([*ends, *(place + MAX_PEER_HEADER for place in peers)])


def _shift(entries: bytearray, octets: int, tags: int) -> None:
    """Moves what the entries say of places in octets and tags."""
    if accel := _accel():
        accel.shift(entries, octets, tags)
        return
    for column, by, nowhere in ((OFFSET, octets, -1), (PEER, octets, NO_PEER), (TAGS, tags, 0)):
        view = column.of(entries)
        for position, place in enumerate(view):
            if place != nowhere:
                view[position] = place + by


def _ordered(block: Block, runs: list[tuple[int, int]]) -> Block:
    """The messages of a block by time; runs: how many are of each input, and the earliest time that these count as."""
    if accel := _accel():
        return block.with_index(accel.merge(block.index, runs))
    keys: list[int] = []
    for count, floor in runs:
        for time in TIME.of(block.index)[len(keys) : len(keys) + count]:
            floor = max(floor, time)
            keys.append(floor)
    return block.picked(sorted(range(len(keys)), key=keys.__getitem__))


def _accel() -> Any:
    """The compiled functions; None without accel."""
    from .. import accel

    return accel.index if accel.AVAILABLE else None
