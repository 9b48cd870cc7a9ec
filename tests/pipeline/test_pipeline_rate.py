"""The token bucket, with a clock that we set."""

from __future__ import annotations

import pytest

from bgpipe.pipeline.rate import TokenBucket


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
