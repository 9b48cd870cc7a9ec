"""Which of many things get a line of the log."""

from __future__ import annotations

from bgpipe.pipeline.log_limit import LogLimit


def test_each_subject_gets_one_line_in_a_window():
    clock = [0.0]
    limit = LogLimit(lambda: clock[0], window=60.0, most=3)
    assert [limit.admit("a"), limit.admit("a"), limit.admit("b")] == [True, False, True]
    assert limit.left_out == 1  # before the line about b
    clock[0] = 59.9
    assert not limit.admit("a")
    clock[0] = 60.0
    assert limit.admit("a")
    assert limit.left_out == 1
    assert limit.admit("b")
    assert limit.left_out == 0


def test_all_together_get_only_so_many():
    clock = [0.0]
    limit = LogLimit(lambda: clock[0], window=1.0, most=3)
    assert [limit.admit() for _ in range(5)] == [True, True, True, False, False]
    assert not limit.admit("another")
    clock[0] = 1.0
    assert limit.admit("another")
    assert limit.left_out == 3
