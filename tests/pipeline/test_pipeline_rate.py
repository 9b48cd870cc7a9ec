"""The token bucket, with a clock that we set."""

from __future__ import annotations

import pytest

from bgpipe.pipeline.rate import TokenBucket
from bgpipe.wire.block import Block
from bgpipe.wire.message import Message
from playbook import Feeder, Looker, begin, block, feed, stage, update


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_one_second_then_the_rate():
    clock = Clock()
    bucket = TokenBucket(2, clock)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0.5]
    clock.now += 0.5
    assert bucket.take() == 0
    assert bucket.take() == 0.5
    clock.now += 100
    assert [bucket.take() for _ in range(3)] == [0, 0, 0.5]


def test_less_than_one_a_second():
    clock = Clock()
    bucket = TokenBucket(0.1, clock)
    assert bucket.take() == 0
    assert bucket.take() == pytest.approx(10)
    clock.now += 10
    assert bucket.take() == pytest.approx(0)


def test_as_many_as_there_are():
    clock = Clock()
    bucket = TokenBucket(4, clock)
    assert bucket.take_many(3) == (3, 0)
    assert bucket.take_many(3) == (1, 0)
    assert bucket.take_many(3) == (0, 0.25)
    clock.now += 0.6
    assert bucket.take_many(100) == (2, 0)
    assert bucket.take_many(100) == (0, pytest.approx(0.15))


def run(words: str, together: bool, count: int = 10) -> tuple[list[tuple[float, int]], list[int]]:
    """What a stage with this limit has seen of so many messages, with the seconds, and what has left the line."""
    clock = Clock()
    source, looker = stage(Feeder), stage(Looker, f"--blocks {words}")
    pipeline = begin(source, looker, clock=clock)
    seen: list[tuple[float, int]] = []
    left: list[int] = []

    def note(item: Message | Block) -> Message | Block:
        seen.extend((clock.now - 100, each.seq) for each in ([item] if isinstance(item, Message) else item))
        return item

    (callback,) = looker.callbacks
    callback.on_block = note
    callback.on_message = lambda message: bool(note(message))
    pipeline.lines["R"].outputs.append(
        lambda item: left.extend(each.seq for each in ([item] if isinstance(item, Message) else item))
    )
    messages = [update(time=1) for _ in range(count)]
    feeding = source.inlet.feed([block(*messages)] if together else messages)
    while (wait := feeding.step()) is not None:
        clock.now += wait
    return seen, left


@pytest.mark.parametrize("rate", [1, 3, 4.5, 10, 1000])
@pytest.mark.parametrize("option", ["limit", "sample"])
def test_a_block_meets_a_limit_as_its_messages_do(rate: float, option: str) -> None:
    seen, left = run(f"--rate-{option} {rate}", together=True)
    expected, _ = run(f"--rate-{option} {rate}", together=False)
    assert [number for _, number in seen] == [number for _, number in expected]
    assert [second for second, _ in seen] == pytest.approx([second for second, _ in expected])
    assert left == list(range(1, 11))


def test_a_block_below_the_limit_stays_whole() -> None:
    source, looker = stage(Feeder), stage(Looker, "--blocks --rate-limit 1000")
    begin(source, looker)
    feed(source.inlet, block(*(update(time=1) for _ in range(10))))
    assert looker.seen == [10]


def test_one_block_may_enter_many_lines() -> None:
    one = block(*(update() for _ in range(3)))
    index = bytes(one.index)
    for number in range(2):
        source, looker = stage(Feeder, "-L" if number else "-R"), stage(Looker, "-LR")
        begin(*((looker, source) if number else (source, looker)))
        feed(source.inlet, one, one)
        assert [seq for _, seq, _ in looker.seen] == [1, 2, 3, 4, 5, 6]
    assert one.index == index
