"""metrics: counters of messages, in all and by filters."""

from __future__ import annotations

import pytest
from sessions import between, make_open, make_update, running

import bgpipe
from bgpipe import accel
from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.pipeline.errors import ConfigError
from bgpipe.pipeline.log import NullLog
from bgpipe.pipeline.metrics import Metrics
from bgpipe.sample import write_sample
from bgpipe.wire.message import Message

RULES = ("ipv4", "ipv6", "long: aspath_len > 3", "My  Label!: as_origin == 65010 || ipv6")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample"), messages=3000)[0]


def counted(stage) -> Metrics:
    metrics = Metrics()
    stage.measure(metrics)
    return metrics


@pytest.mark.parametrize("blocks", [True, False])
async def test_counts_are_those_of_the_filters(sample, blocks, monkeypatch):
    monkeypatch.setattr(accel, "AVAILABLE", accel.AVAILABLE and blocks)
    async with running("read", sample, "--", "metrics", "-A", *RULES, "--", "head", "-n", "100000") as run:
        await run.ended()
    stage = run.stage("metrics")
    filters = {"ipv4": "ipv4", "ipv6": "ipv6", "long": "aspath_len > 3", "my_label": "as_origin == 65010 || ipv6"}
    with bgpipe.read(sample) as reader:
        messages = list(reader)
    compiled = {label: bgpipe.compile_filter(text) for label, text in filters.items()}
    expected = {label: sum(map(condition, messages)) for label, condition in compiled.items()}
    assert expected["long"] > 0 < expected["my_label"]
    assert stage.status() == {"total": len(messages), "rules": expected}
    metrics = counted(stage)
    assert metrics.get("bgpipe_metrics_messages_total") == len(messages)
    updates = sum(message.type == "UPDATE" for message in messages)
    assert metrics.get("bgpipe_metrics_messages_total", dir="right", type="update") == updates
    assert metrics.get("bgpipe_metrics_match", filter="ipv6") == expected["ipv6"]


async def test_every_direction_and_type_has_its_number():
    async with between("metrics", "-LR") as session:
        await session.establish(make_open(65001), make_open(65002))
        session.left.send(make_update(1), Message(9))
        await session.right.until_type(9)
        metrics = counted(session.pipeline.stage("metrics"))
    name = "bgpipe_metrics_messages_total"
    found = {(d, k): metrics.get(name, dir=d, type=k) for d in ("left", "right") for k in ("open", "update", "invalid")}
    assert found == {
        ("left", "open"): 1,
        ("left", "update"): 0,
        ("left", "invalid"): 0,
        ("right", "open"): 1,
        ("right", "update"): 1,
        ("right", "invalid"): 1,
    }
    text = metrics.text()
    assert text.count(f"{name}{{dir=") == 12
    assert f"# TYPE {name} counter" in text


async def test_output(sample, tmp_path):
    out = tmp_path / "metrics.prom"
    words = "@seen", "metrics", "-I", "ipv6", "--output", out, "-A", "all6: ipv6"
    async with running("read", sample, "--", *words) as run:
        await run.ended()
    count = run.stage("@seen").status()["total"]
    lines = out.read_text().splitlines()
    assert f'bgpipe_seen_match{{filter="all6"}} {count}' in lines
    assert "# TYPE bgpipe_seen_match counter" in lines
    assert f"bgpipe_seen_messages_total {count}" in lines
    assert any(line.startswith("bgpipe_line_entered_total") for line in lines)
    assert not any(line.startswith("process_") for line in lines)


async def test_output_that_cannot_be_written(sample, tmp_path):
    (tmp_path / "file").write_text("")
    async with running("read", sample, "--", "metrics", "--output", tmp_path / "file" / "x") as run:
        with pytest.raises(Exception, match="file"):
            await run.ended()


@pytest.mark.parametrize(
    ("rules", "text"),
    [(["???: ipv4"], "no label"), (["x: no such filter"], "no such|unknown|unexpected"), ([""], "no label")],
)
def test_wrong_rules(rules, text):
    with pytest.raises(ConfigError, match=text):
        build(parse(["read", "x", "--", "metrics", "-A", *rules]), NullLog())


def test_what_a_session_has_counted_stays():
    before, after = Metrics(), Metrics()
    before.add("bgpipe_metrics_match", 3, filter="x")
    before.add("bgpipe_bmp_peers", 3)
    after.add_lasting(before)
    assert after.get("bgpipe_metrics_match", filter="x") == 3
    assert after.get("bgpipe_bmp_peers") == 0
