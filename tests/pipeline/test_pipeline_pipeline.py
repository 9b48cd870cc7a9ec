"""How a pipeline is put together, and its life, as a playbook: no event loop, and a clock that we set."""

from __future__ import annotations

import math

import pytest

from bgpipe.pipeline.errors import ConfigError, StageError
from bgpipe.pipeline.events import ANY, Event
from bgpipe.pipeline.lifecycle import EndAction
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.stage import Producing
from bgpipe.wire.message import UPDATE, Message
from playbook import Feeder, Looker, begin, block, build, feed, keepalive, settle, stage, update


def listen(pipeline: Pipeline) -> list[str]:
    """The names of all events from now on."""
    heard: list[str] = []
    pipeline.bus.on([ANY], lambda event: heard.append(event.name.removeprefix("bgpfix/pipe.")))
    return heard


def directions(*stages, hidden=()) -> list[str]:
    return [each.directions for each in build(*stages, hidden=hidden).stages if not each.hidden]


class OneWay(Producing):
    """Like connect or speaker: works in one direction."""


# Directions


def test_a_producer_at_the_end_works_to_the_left():
    assert directions(stage(Feeder)) == ["L"]
    assert directions(stage(Feeder), stage(Feeder)) == ["R", "L"]


def test_others_work_to_the_right_except_at_the_beginning():
    assert directions(stage(Looker), stage(Feeder)) == ["L", "L"]
    assert directions(stage(Feeder), stage(Looker), stage(Looker)) == ["R", "R", "R"]


def test_what_is_said_is_done():
    assert directions(stage(Feeder, "-R"), stage(Looker, "-LR"), stage(Looker, "-L")) == ["R", "RL", "L"]


def test_where_only_standard_input_produces_all_work_in_both_directions():
    hidden = stage(Feeder, "-LR --new=first", "stdin")
    assert directions(stage(Looker), stage(Looker, "-R"), stage(Looker), hidden=[hidden]) == ["RL", "R", "RL"]
    hidden = stage(Feeder, "-LR --new=first", "stdin")
    assert directions(stage(Feeder), stage(Looker), hidden=[hidden]) == ["R", "R"]


def test_who_listens_where_nobody_speaks():
    looker, unfed = stage(Looker), stage(Looker, "-L")
    assert build(stage(Feeder), looker, unfed).unfed_stages() == [unfed]


@pytest.mark.parametrize(
    ("made", "text"),
    [
        ((OneWay, "-LR"), "select either --left or --right, not both"),
        ((Looker, "--rate-limit 1 --rate-sample 1"), "--rate-limit and --rate-sample exclude each other"),
        ((Looker, "--rate-limit=-1"), "a rate can't be negative"),
        ((Looker, "--wait establisched"), "no stage is called 'establisched' .*, did you mean ESTABLISHED"),
        ((Looker, "--stop raed"), "no stage is called 'raed' .*, did you mean read"),
    ],
)
def test_what_makes_no_pipeline(made, text):
    with pytest.raises(ConfigError, match=text):
        build(stage(Feeder, "", "read"), stage(*made))


def test_a_wrong_condition():
    looker = stage(Looker)
    looker.if_ = ("prefix ~~ 1",)
    with pytest.raises(ConfigError, match="looker: filter 'prefix ~~ 1'"):
        build(stage(Feeder), looker)


# Life


def test_the_life_of_a_pipeline():
    source, looker = stage(Feeder, "", "read"), stage(Looker, "", "grep")
    pipeline = build(source, looker)
    heard = listen(pipeline)
    pipeline.start()
    assert pipeline.step() is not EndAction.FINISH
    assert pipeline.take_due() == [looker, source], "prepared in reverse order"
    for each in (looker, source):
        pipeline.preparing(each)
        assert not each.running
        pipeline.ready(each)
    pipeline.started([looker, source])
    assert source.running
    assert pipeline.step() is not EndAction.FINISH
    feed(source.inlet, update())
    assert looker.seen == [("UPDATE", 1, "R")]
    pipeline.finish_input(source)
    assert pipeline.step() is not EndAction.FINISH, "the end of a stage may start another"
    settle(pipeline)
    assert pipeline.step() is EndAction.FINISH
    assert not pipeline.stopping
    pipeline.finish()
    settle(pipeline)
    assert heard == [
        "START",
        *("grep/PREPARE", "grep/READY", "read/PREPARE", "read/READY", "grep/START", "read/START"),
        *("read/STOP", "STOP", "grep/STOP"),
    ]


def test_nothing_enters_before_all_are_prepared():
    source, looker = stage(Feeder), stage(Looker)
    pipeline = build(source, looker)
    pipeline.start()
    waits = source.inlet.feed([update()])
    assert waits.step() == math.inf
    settle(pipeline)
    assert waits.step() is None
    assert len(looker.seen) == 1


def test_a_stage_waits_for_an_event_and_misses_nothing_after_it():
    source, late = stage(Feeder), stage(Looker, "--wait EOR")
    pipeline = begin(source, late)
    waits = source.inlet.feed([block(keepalive(), update(), keepalive()), keepalive()])
    assert waits.step() == math.inf, "the line stands still while the stage is prepared"
    assert late.seen == []
    settle(pipeline)
    assert waits.step() is None
    assert late.seen == [("KEEPALIVE", 3, "R"), ("KEEPALIVE", 4, "R")]


def test_any_one_of_the_events_starts_a_stage_and_only_once():
    first, second = stage(Feeder, "", "@a"), stage(Feeder, "", "@b")
    late = stage(Looker, "--wait @a,@b")
    pipeline = build(first, second, late)
    heard = listen(pipeline)
    pipeline.start()
    settle(pipeline)
    assert late.running
    assert heard.count("looker/START") == 1


def test_a_stage_that_nothing_starts_is_told():
    source, late = stage(Feeder), stage(Looker, "--wait ESTABLISHED")
    pipeline = begin(source, late)
    feed(source.inlet, update())
    assert late.seen == []
    pipeline.finish_input(source)
    settle(pipeline)
    assert pipeline.step() is EndAction.FINISH
    assert pipeline.idle() == [late]


def test_a_producer_that_waits_does_not_keep_the_pipeline_alive():
    first, late = stage(Feeder, "", "@a"), stage(Feeder, "--wait @a/STOP", "@b")
    pipeline = begin(first, late, stage(Looker))
    pipeline.finish_input(first)
    settle(pipeline)
    assert late.running, "the end of the first started the second"
    assert pipeline.step() is not EndAction.FINISH
    pipeline.finish_input(late)
    settle(pipeline)
    assert pipeline.step() is EndAction.FINISH


def test_an_event_stops_a_stage_at_once():
    source, looker = stage(Feeder), stage(Looker, "--stop EOR")
    pipeline = begin(source, looker)
    heard = listen(pipeline)
    feed(source.inlet, keepalive(), update(), keepalive())
    assert looker.seen == [("KEEPALIVE", 1, "R"), ("UPDATE", 2, "R")]
    settle(pipeline)
    assert heard[-1] == "looker/STOP"
    assert pipeline.step() is not EndAction.FINISH, "the source goes on, and its messages pass by"


def test_an_event_stops_a_source():
    source, other = stage(Feeder, "--stop EOR"), stage(Feeder, "-R")
    pipeline = begin(source, other, stage(Looker))
    feed(source.inlet, update(), keepalive())
    assert pipeline.lines["R"].entered == 1
    assert pipeline.step() is not EndAction.FINISH
    pipeline.finish_input(other)
    settle(pipeline)
    assert pipeline.step() is EndAction.FINISH


def test_stopping_lets_nothing_in_and_ends_the_hidden_stages_last():
    source, looker = stage(Feeder), stage(Looker)
    printer = stage(Looker, "-LR", "stdout")
    pipeline = begin(source, looker, hidden=[printer])
    heard = listen(pipeline)
    pipeline.stop()
    feed(source.inlet, update())
    assert looker.seen == []
    assert pipeline.step() is EndAction.FINISH
    assert pipeline.stopping
    pipeline.finish()
    settle(pipeline)
    assert heard == ["STOP", "feeder/STOP", "looker/STOP", "stdout/STOP"]


def test_a_failure_ends_the_pipeline_and_is_kept():
    pipeline = begin(stage(Feeder), stage(Looker))
    pipeline.fail(StageError("no more"))
    pipeline.fail(StageError("because of it"))
    assert pipeline.step() is EndAction.FINISH
    assert [str(error) for error in pipeline.errors] == ["no more", "because of it"]


def test_peers_hear_of_a_failure_at_once_and_once():
    class Peer(Feeder):
        told = 0

        def end_session(self) -> None:
            self.told += 1

    peer = stage(Peer)
    pipeline = begin(peer, stage(Looker))
    pipeline.fail(StageError("no more"))
    pipeline.fail(StageError("because of it"))
    assert peer.told == 1


def test_an_error_in_a_handler_of_an_event_ends_the_pipeline_and_names_the_owner():
    source, looker = stage(Feeder), stage(Looker)
    pipeline = begin(source, looker)
    heard: list[str] = []
    pipeline.bus.on(["bgpfix/pipe.PARSE"], lambda event: [].pop(), looker)
    pipeline.bus.on(["bgpfix/pipe.PARSE"], lambda event: heard.append(event.name))
    pipeline.emit("bgpfix/pipe.PARSE")
    assert heard == ["bgpfix/pipe.PARSE"]
    assert [str(error) for error in pipeline.errors] == ["[2] looker: IndexError: pop from empty list"]


def test_stages_that_were_being_prepared_when_the_pipeline_failed_are_ended():
    source, late = stage(Feeder), stage(Feeder, "", "late")
    pipeline = build(source, late, stage(Looker))
    pipeline.start()
    batch = pipeline.take_due()
    assert batch
    pipeline.fail(StageError("no more"))
    for each in batch:
        pipeline.end(each) if each is late else pipeline.ready(each)
    pipeline.started(batch)
    assert pipeline.step() is EndAction.WAIT
    settle(pipeline)
    assert pipeline.step() is EndAction.FINISH


def test_killing_ends_the_process():
    pipeline = begin(stage(Feeder), stage(Looker))
    with pytest.raises(SystemExit) as caught:
        pipeline.kill("read/STOP")
    assert caught.value.code == 1


# Malformed messages


def test_a_malformed_message_is_told_once_and_goes_on():
    source, first, second = stage(Feeder), stage(Looker), stage(Looker)
    pipeline = begin(source, first, second)
    events: list[Event] = []
    pipeline.bus.on(["bgpfix/pipe.PARSE"], events.append)
    cut = Message(UPDATE, bytes.fromhex("0000000440010105"), time=1)  # ORIGIN with a value that doesn't exist
    bad = Message(UPDATE, bytes.fromhex("00ff0000"), time=1)
    feed(source.inlet, update(), cut, bad, keepalive())
    assert [(event.message, event.direction) for event in events] == [(cut, "R"), (bad, "R")]
    assert all(event.error for event in events)
    assert pipeline.malformed_messages == 2
    assert len(second.seen) == 4


def test_where_nobody_looks_nothing_is_malformed():
    class Counter(Looker):
        def attach(self) -> None:
            self.seen = []
            self.watch(self.on_message, decodes=False)

    source, counter = stage(Feeder), stage(Counter)
    pipeline = begin(source, counter)
    feed(source.inlet, Message(UPDATE, bytes.fromhex("00ff0000")))
    assert len(counter.seen) == 1
    assert pipeline.malformed_messages == 0
