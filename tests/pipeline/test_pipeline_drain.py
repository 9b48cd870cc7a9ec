"""Stages that make messages of those that others make: whom they hold when they are full, and when they are drained."""

from __future__ import annotations

import math

import pytest

from bgpipe.pipeline.lifecycle import EndAction, StageKind
from bgpipe.pipeline.stage import Stage
from playbook import Feeder, Looker, begin, feed, settle, stage, update


class Filter(Feeder):
    """Takes every message, and gives what the test puts into it."""

    kind = StageKind.TRANSFORMER  # type: ignore[assignment]

    def attach(self) -> None:
        super().attach()
        self.watch(self.on_message)
        self.taken = 0
        self.drained = False

    def on_message(self, message: object) -> bool:
        self.taken += 1
        return False

    def drain(self) -> None:
        self.drained = True


def through(pipeline, feeder: Stage) -> None:
    """A stage's run has returned."""
    pipeline.finish_input(feeder)
    settle(pipeline)


def test_drained_one_after_the_other():
    feeder, first, second = stage(Feeder, "-R"), stage(Filter, "-R", "first"), stage(Filter, "-R", "second")
    looker = stage(Looker, "-R")
    pipeline = begin(feeder, first, second, looker)
    assert pipeline.step() is EndAction.WAIT
    feed(feeder.inlet, update())
    assert (first.taken, looker.seen) == (1, [])
    through(pipeline, feeder)
    assert pipeline.step() is EndAction.DRAIN
    assert (first.drained, second.drained) == (True, False), "the next one may still get something"
    assert pipeline.step() is EndAction.WAIT
    feed(first.inlet, update())
    assert second.taken == 1
    through(pipeline, first)
    assert not first.running, "what comes now would wait for somebody who gives nothing any more"
    assert pipeline.step() is EndAction.DRAIN
    assert second.drained
    feed(second.inlet, update(), update())
    assert len(looker.seen) == 2
    through(pipeline, second)
    assert pipeline.step() is EndAction.FINISH


def test_drained_from_the_right_where_all_comes_from_there():
    first, second, feeder = stage(Filter, "-LR", "first"), stage(Filter, "-LR", "second"), stage(Feeder, "-L")
    pipeline = begin(first, second, feeder)
    through(pipeline, feeder)
    assert pipeline.step() is EndAction.DRAIN
    assert (first.drained, second.drained) == (False, True)


@pytest.mark.parametrize("end", ["end_input", "stop"])
def test_drained_when_the_input_ends(end):
    feeder, only = stage(Feeder, "-R"), stage(Filter, "-R")
    pipeline = begin(feeder, only, stage(Looker, "-R"))
    getattr(pipeline, end)()
    assert not feeder.inlet.open
    assert only.inlet.open, "what it has taken may still come out"
    assert pipeline.step() is EndAction.DRAIN
    assert only.drained
    through(pipeline, only)
    assert pipeline.step() is EndAction.FINISH


def test_the_end_is_not_missed_while_a_program_gives_something():
    """The input ends in the middle of what a program gives: the end of that is a change, although more may come."""
    feeder, only = stage(Feeder, "-R"), stage(Filter, "-R")
    pipeline = begin(feeder, only, stage(Looker, "-R"))
    changes: list[EndAction] = []
    pipeline.on_change = lambda: changes.append(pipeline.step())
    giving = only.inlet.feed([update()])
    through(pipeline, feeder)
    changes.clear()
    assert pipeline.step() is EndAction.WAIT
    assert giving.step() is None
    assert changes == [EndAction.DRAIN]


def test_what_is_given_while_more_is_read_changes_nothing():
    feeder, only = stage(Feeder, "-R"), stage(Filter, "-R")
    pipeline = begin(feeder, only, stage(Looker, "-R"))
    giving = only.inlet.feed([update()])
    assert pipeline.step() is EndAction.WAIT
    pipeline.on_change = lambda: pytest.fail("each read of a session would wake the runner")
    assert giving.step() is None


def test_alone_it_is_a_source():
    only = stage(Filter, "-R")
    pipeline = begin(only, stage(Looker, "-R"))
    assert pipeline.step() is EndAction.WAIT
    through(pipeline, only)
    assert pipeline.step() is EndAction.FINISH
    assert not only.drained


def test_alone_it_lets_nothing_in_when_the_input_ends():
    only = stage(Filter, "-R")
    pipeline = begin(only, stage(Looker, "-R"))
    pipeline.end_input()
    assert not only.inlet.open
    assert pipeline.step() is EndAction.FINISH


def test_who_waits_for_one_that_is_full():
    before, full, behind = stage(Feeder, "-LR"), stage(Filter, "-LR"), stage(Feeder, "-LR", "behind")
    pipeline = begin(before, full, behind)
    pipeline.hold("R", full)
    assert before.inlet.held
    assert not behind.inlet.held, "it is behind in the direction that is full"
    assert not full.inlet.held, "its own output is what it may wait for"
    waiting = before.inlet.feed([update(direction="R")])
    assert waiting.step() == math.inf
    called: list[int] = []
    pipeline.when_released(lambda: called.append(1))
    pipeline.release("R", full)
    assert called == [1]
    assert waiting.step() is None
    assert full.taken == 1


def test_two_that_are_full_do_not_wait_for_each_other():
    one, other = stage(Filter, "-LR", "one"), stage(Filter, "-LR", "other")
    pipeline = begin(stage(Feeder, "-R"), one, other, stage(Feeder, "-L"))
    pipeline.hold("RL", one)
    pipeline.hold("RL", other)
    assert not one.inlet.held
    assert not other.inlet.held
    assert all(each.inlet.held for each in (pipeline.stages[0], pipeline.stages[3]))


def test_deaf():
    """What it makes itself is nothing that it hears."""
    lone = stage(Filter, "-R")
    assert begin(lone).unfed_stages() == [lone]
