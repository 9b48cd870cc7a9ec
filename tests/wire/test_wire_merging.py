"""Blocks merged by time, by accel and without."""

from __future__ import annotations

from random import Random

import pytest

from bgpipe import accel
from bgpipe.wire import merging
from bgpipe.wire.block import ENTRY, NO_PEER, TIME, Block
from bgpipe.wire.flags import FLAG_AS4, FLAG_PEER_AS4
from bgpipe.wire.merging import Run, find_later, merge, survey
from bgpipe.wire.tags import TagTable
from cases import all_cases


@pytest.fixture(params=["accel", "python"])
def both(request, monkeypatch):
    """With the compiled functions and without."""
    if request.param == "python":
        monkeypatch.setattr(merging, "_accel", lambda: None)
    elif not accel.AVAILABLE:
        pytest.skip("the compiled part is not there")


def make_block(name: str, times: list[int], random: Random) -> Block:
    """UPDATEs without content, with other octets between them; a tag says which each is."""
    octets, index, table = b"?", bytearray(), TagTable()
    behind = random.random() < 0.3  # as blocks that were read from JSON have the per-peer headers
    start = 30 * len(times)
    headers = b""
    for number, time in enumerate(times):
        peer = NO_PEER
        if random.random() < 0.5:
            header = bytes((0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1)) + bytes((192, 0, 2, number % 256)) + bytes(4)
            peer = start + len(headers) if behind else len(octets)
            octets, headers = (octets, headers + header) if behind else (octets + header, headers)
        offset = len(octets)
        octets += b"\xff" * 16 + b"\0\x17\2\0\0\0\0" + b"?" * random.randrange(3)
        tags = {}
        if random.random() < 0.8:
            tags = {"n": f"{name}{number}", "PEER_AS": "9"}
        place, _ = table.enter(tags, None) or (0, False)
        index += ENTRY.pack(0, time, offset, peer, 23, FLAG_AS4 | FLAG_PEER_AS4, place)
    return Block(octets.ljust(start, b"?") + headers if behind else octets, index, table.octets)


def show(block: Block) -> list[tuple[int, bytes, dict[str, str], bytes | None]]:
    return [(message.time, message.body, dict(message.tags), message.peer) for message in block]


@pytest.mark.usefixtures("both")
@all_cases("seed", range(40))
def test_messages_are_in_the_order_of_time_and_each_input_in_its_own(seed):
    """Against the simplest way: a stable sort by the time that each counts as."""
    random = Random(seed)
    runs, expected = [], []
    for name in "abcdefg"[: random.randint(1, 7)]:
        span = random.choice((3, 50, 100_000))
        times = sorted(random.randrange(1, span) for _ in range(random.randint(1, 30)))
        for _ in range(random.choice((0, 0, 3))):  # some that go backwards, or are missing
            times[random.randrange(len(times))] = random.choice((0, random.randrange(span)))
        block = make_block(name, times, random)
        start = random.randrange(len(times))
        run = Run(block, start, random.randint(start + 1, len(times)), random.choice((0, random.randrange(span))))
        runs.append(run)
        counts_as = run.floor
        for item in show(block.part(run.start, run.stop)):
            counts_as = max(counts_as, item[0])
            expected.append((counts_as, item))
    merged = merge(runs)
    assert show(merged) == [item for _, item in sorted(expected, key=lambda pair: pair[0])]
    assert len(merged.octets) <= sum(len(run.block.octets) for run in runs)


@pytest.mark.usefixtures("both")
def test_what_the_times_of_a_block_tell():
    block = make_block("a", [5, 9, 7, 0, 9, 12], Random(1))
    assert survey(block, 0, 6, 0) == (12, 1, 1)
    assert survey(block, 0, 1, 6) == (6, 1, 0)
    assert survey(block, 3, 3, 4) == (4, 0, 0)
    assert survey(make_block("a", [0, 0, 0], Random(1)), 0, 3, 0) == (0, 0, 3)
    assert find_later(block, 0, 8) == 1
    assert find_later(block, 1, 11) == 5
    assert find_later(block, 0, 12) == 6


def test_a_single_run_is_not_copied():
    block = make_block("a", [1, 2, 3], Random(1))
    assert merge([Run(block, 0, 3, 0)]) is block
    part = merge([Run(block, 1, 2, 0)])
    assert part.octets is block.octets
    assert list(TIME.of(part.index)) == [2]


@pytest.mark.skipif(not accel.AVAILABLE, reason="the compiled part is not there")
@pytest.mark.parametrize("runs", [[(1, 0)], [(4, 0)], [(2, 0), (2, 0)], [(-1, 0), (4, 0)]])
def test_runs_that_are_no_index_are_refused(runs):
    with pytest.raises(ValueError, match="than the index"):
        accel.index.merge(bytearray(3 * ENTRY.size), runs)
    with pytest.raises(ValueError, match="outside"):
        accel.index.survey(bytearray(3 * ENTRY.size), 2, 4, 0)
