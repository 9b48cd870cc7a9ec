"""What pipelines count, and how Prometheus reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bgpipe.pipeline import events
from bgpipe.pipeline.measure import measure, metric_prefix, slugs
from bgpipe.pipeline.metrics import HELP, Histogram, Metrics
from bgpipe.pipeline.stage import Consuming
from bgpipe.wire.block import Block
from bgpipe.wire.message import Message
from playbook import Dropper, Feeder, Looker, begin, block, build, feed, keepalive, stage, update

LINE = re.compile(
    r'[a-z_:][a-z0-9_:]*(\{[a-z]+="(?:[^"\\\n]|\\[\\n"])*"(,[a-z]+="(?:[^"\\\n]|\\[\\n"])*")*\})? -?[0-9.e+-]+(Inf)?'
)
"""A sample, as the text format of Prometheus has it."""


class Counter(Consuming):
    """Says what it has seen."""

    both = True

    def attach(self) -> None:
        self.seen = 0
        self.watch(self.on_message, on_block=self.on_block)

    def on_message(self, message: Message) -> bool:
        self.seen += 1
        return True

    def on_block(self, block: Block) -> Block:
        self.seen += len(block)
        return block.part(0, 1)

    def status(self) -> dict[str, Any]:
        return {"mood": "good", "metrics": {"messages": self.seen}}


class Swallower(Feeder, Consuming):
    """Takes messages out of the line, as a stage does that gives them to a program."""

    def attach(self) -> None:
        super().attach()
        self.watch(lambda message: [])


def measured(pipeline) -> Metrics:
    metrics = Metrics()
    measure(pipeline, metrics)
    return metrics


def test_text():
    metrics = Metrics()
    metrics.add("bgpipe_queue_bytes", 1, side="left")
    metrics.add("bgpipe_queue_bytes", 2, side="left")
    metrics.add("bgpipe_queue_bytes", 2.5, side="right")
    metrics.add("bgpipe_x_y_total", 1 << 60)
    assert metrics.text() == (
        f"# HELP bgpipe_queue_bytes {HELP['bgpipe_queue_bytes']}\n"
        "# TYPE bgpipe_queue_bytes gauge\n"
        'bgpipe_queue_bytes{side="left"} 3\n'
        'bgpipe_queue_bytes{side="right"} 2.5\n'
        "# HELP bgpipe_x_y_total Counted by the stage x: y.\n"
        "# TYPE bgpipe_x_y_total counter\n"
        "bgpipe_x_y_total 1152921504606846976\n"
    )


def test_labels_are_escaped():
    metrics = Metrics()
    metrics.add("x", 1, event='a"b\\c\nd')
    assert metrics.text() == '# TYPE x gauge\nx{event="a\\"b\\\\c\\nd"} 1\n'


def test_histogram():
    histogram = Histogram()
    for seconds in (0, 5e-05, 0.0004, 0.7, 100):
        histogram.observe(seconds)
    metrics = Metrics()
    metrics.add_histogram("x", histogram, side="left")
    metrics.add_histogram("x", histogram, side="left")
    lines = metrics.text().splitlines()
    assert lines[0] == "# TYPE x histogram"
    assert 'x_bucket{side="left",le="5e-05"} 4' in lines
    assert 'x_bucket{side="left",le="0.0005"} 6' in lines
    assert 'x_bucket{side="left",le="0.5"} 6' in lines
    assert 'x_bucket{side="left",le="1"} 8' in lines
    assert 'x_bucket{side="left",le="+Inf"} 10' in lines
    assert 'x_count{side="left"} 10' in lines
    assert f'x_sum{{side="left"}} {2 * (5e-05 + 0.0004 + 0.7 + 100)!r}' in lines
    assert histogram.counts[0] == 2  # what is added up stays as it was


def test_what_lasts():
    """Counters and histograms outlive a session, what is of the moment does not."""
    session, totals = Metrics(), Metrics()
    histogram = Histogram()
    histogram.observe(1)
    session.add("a_total", 3, side="left")
    session.add("queue", 5)
    session.add_histogram("h", histogram)
    for _ in range(2):
        totals.add_lasting(session)
    assert totals.get("a_total", side="left") == 6
    assert totals.get("queue") == 0
    assert "h_count 2" in totals.text()


def test_lines_and_drops():
    feeder, dropper = stage(Feeder), stage(Dropper, name="@no")
    pipeline = begin(feeder, dropper)
    feed(feeder.inlet, update(), update(), block(update(), update(), update()))
    metrics = measured(pipeline)
    assert metrics.get("bgpipe_line_entered_total", dir="right") == 5
    assert metrics.get("bgpipe_line_left_total", dir="right") == 0
    assert metrics.get("bgpipe_dropped_messages_total", stage="no", reason="dropped") == 5
    assert metrics.get("bgpipe_line_held", dir="right") == 0
    pipeline.hold("R")
    assert measured(pipeline).get("bgpipe_line_held", dir="right") == 1


def test_drops_of_blocks():
    feeder, counter = stage(Feeder), stage(Counter)
    pipeline = begin(feeder, counter)
    feed(feeder.inlet, block(update(), update(), update()), update())
    metrics = measured(pipeline)
    assert metrics.get("bgpipe_dropped_messages_total", stage="counter", reason="dropped") == 2
    assert metrics.get("bgpipe_line_left_total", dir="right") == 2
    assert metrics.get("bgpipe_counter_messages_total", stage="counter") == 4


def test_taken_is_not_dropped():
    feeder, swallower = stage(Feeder), stage(Swallower)
    pipeline = begin(feeder, swallower, stage(Looker))
    feed(feeder.inlet, update(), update())
    metrics = measured(pipeline)
    assert metrics.get("bgpipe_taken_messages_total", stage="swallower") == 2
    assert metrics.get("bgpipe_dropped_messages_total", stage="swallower", reason="taken") == 0


def test_what_is_not_let_in():
    feeder = stage(Feeder, "--of type==KEEPALIVE")
    pipeline = begin(feeder, stage(Looker))
    feed(feeder.inlet, update(), keepalive(), block(update(), update()))
    metrics = measured(pipeline)
    assert metrics.get("bgpipe_dropped_messages_total", stage="feeder", reason="of") == 3
    assert metrics.get("bgpipe_line_entered_total", dir="right") == 1


def test_rates():
    feeder = stage(Feeder, "--rate-sample 2")
    pipeline = begin(feeder, stage(Looker), clock=lambda: 1.0)
    feed(feeder.inlet, *(update() for _ in range(5)))
    assert measured(pipeline).get("bgpipe_dropped_messages_total", stage="feeder", reason="rate") == 3


def test_events_are_counted_whether_or_not_they_are_heard():
    pipeline = begin(stage(Feeder), stage(Looker))
    pipeline.emit("looker/x")
    pipeline.emit("looker/x")
    metrics = measured(pipeline)
    assert metrics.get("bgpipe_events_total", event="looker/x") == 2
    assert metrics.get("bgpipe_events_total", event=events.START) == 1
    assert metrics.get("bgpipe_events_total", event="feeder/START") == 1


def test_malformed():
    feeder = stage(Feeder)
    pipeline = begin(feeder, stage(Looker))
    feed(feeder.inlet, Message(2, b"\0\0\0\4\x40\1\1\7"), update())
    assert measured(pipeline).get("bgpipe_malformed_messages_total") == 1


def test_stages_of_the_same_name_have_series_of_their_own():
    feeder, one, other = stage(Feeder), stage(Counter), stage(Counter)
    pipeline = begin(feeder, one, other)
    feed(feeder.inlet, update())
    metrics = measured(pipeline)
    for slug in slugs(pipeline):
        if slug.startswith("counter"):
            assert metrics.get("bgpipe_counter_messages_total", stage=slug) == 1
    assert metrics.text().count("bgpipe_counter_messages_total{") == 2


@pytest.mark.parametrize(
    ("name", "slug", "metric"),
    [
        ("rov", "rov", "bgpipe_rov_"),
        ("@Left-Side", "Left-Side", "bgpipe_left_side_"),
        ("@a/b c", "a-b-c", "bgpipe_a_b_c_"),
        ("@ü", "-", "bgpipe_stage_1_"),
        ("ris-live", "ris-live", "bgpipe_ris_live_"),
    ],
)
def test_names(name, slug, metric):
    only = stage(Feeder, name=name)
    assert list(slugs(build(only))) == [slug]
    assert metric_prefix(only) == metric


def test_names_that_collide():
    pipeline = build(stage(Feeder, name="@x y"), stage(Looker, name="@x/y"), stage(Looker), hidden=[stage(Looker)])
    assert list(slugs(pipeline)) == ["x-y", "x-y-2", "looker"]


def test_every_metric_has_its_line_in_the_documents():
    page = (Path(__file__).resolve().parents[2] / "docs/metrics.md").read_text()
    named = set(re.findall(r"`(bgpipe_[a-z_0-9]+)`", page))
    assert named == {name for name in HELP if name.startswith("bgpipe_")}


def test_every_line_can_be_read():
    feeder, counter = stage(Feeder, name='@we"ird\\'), stage(Counter)
    pipeline = begin(feeder, counter, stage(Dropper, name="@no more"))
    feed(feeder.inlet, update(), block(update(), update()))
    metrics = measured(pipeline)
    metrics.add_histogram("bgpipe_latency_seconds", Histogram(), side="left")
    text = metrics.text()
    assert text.endswith("\n")
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) > 20
    assert [line for line in samples if not LINE.fullmatch(line)] == []
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
