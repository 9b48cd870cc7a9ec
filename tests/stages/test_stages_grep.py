"""grep and drop."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpipe import accel, read
from bgpipe.formats.mrt import MrtEncoder
from bgpipe.stages.drop import Drop
from bgpipe.stages.grep import Grep
from bgpipe.wire.hexadecimal import parse_hex
from bgpipe.wire.message import UPDATE, Message
from commandline import MESSAGES, spawn
from playbook import Feeder, begin, feed, stage

FILTERS = ("ipv6", "keepalive", "aspath_len > 4", 'prefix ~ 10.0.0.0/7 || tag[PEER_AS] ~ "3"', "seq < 100 && !open")


@pytest.mark.parametrize("text", FILTERS)
def test_grep_and_drop_are_a_whole(bgpipe, sample, sample_json, text):
    kept, left = (bgpipe("read", sample, stage, text, "stdout").lines for stage in ("grep", "drop"))
    assert kept
    assert left
    assert sorted(kept + left, key=lambda line: line[1]) == sample_json


@pytest.mark.parametrize("text", FILTERS)
def test_messages_and_blocks_are_judged_alike(bgpipe, sample, text):
    # a limit of rate that is never reached makes the stage see message by message
    words = ("read", sample, "grep", "--rate-limit", "1000000000", text, "stdout")
    assert bgpipe(*words).out == bgpipe("read", sample, "grep", text, "stdout").out


def test_only_messages_that_match_are_judged(bgpipe, sample, sample_json):
    done = bgpipe("read", sample, "drop", "--if", "seq > 50", "update", "stdout")
    assert [line[1] for line in done.lines] == [m[1] for m in sample_json if m[1] <= 50 or m[3] != "UPDATE"]


def test_events(bgpipe, sample, sample_json):
    words = ("grep", "--keep", "--event-match", "YES", "--event-fail", "NO", "open", "stdout")
    done = bgpipe("-e", "grep/YES,grep/NO", "read", sample, "head", "-n", "40", *words)
    assert len(done.lines) == 40
    events = re.findall(r"event grep/(\w+) ", done.err)
    assert events == ["YES" if line[3] == "OPEN" else "NO" for line in sample_json[:40]]
    assert r"msg=\"[\\\"R\\\",1," in repr(done.err) or 'msg="[\\"R\\",1,' in done.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("grep", "--kill-match", "keepalive"), "grep/match"),
        (("drop", "--kill-match", "keepalive"), "drop/match"),
        (("grep", "--kill-fail", "update"), "grep/fail"),
        (("@guard", "grep", "--kill-match", "keepalive"), "@guard/match"),
    ],
)
def test_killing(sample, words, reason):
    done = spawn("read", sample, "--", *words)
    assert done.code == 1
    assert f"ERR session killed by event event={reason}" in done.err


def test_nothing_to_kill_for(bgpipe, sample):
    assert bgpipe("read", sample, "grep", "--kill-match", "seq == 99999999").code == 0


def test_a_wrong_filter_shows_where(bgpipe):
    done = bgpipe("read", "x", "grep", "prefix ~ 10.0.0.0/8 && prefx == 1")
    assert done.code == 2
    assert "grep: filter 'prefix ~ 10.0.0.0/8 && prefx == 1': parse error near 'prefx == 1'" in done.err


class Bench:
    """A pipeline of one grep or drop that gets the messages of a sample as blocks."""

    def __init__(self, kind: type[Grep], words: str, text: str, *heard: str) -> None:
        self.source = stage(Feeder, "-R")
        self.stage = kind(kind.__name__.lower(), [text])
        assert self.stage.scan(words.split()) == []
        self.pipeline = begin(self.source, self.stage)
        self.heard: Counter[str] = Counter()
        self.pipeline.bus.on(heard, lambda event: self.heard.update([event.name]))
        self.killed: list[str] = []
        self.pipeline.on_kill = self.killed.append
        self.left: list[bytes] = []
        self.blocks = 0
        self.pipeline.lines["R"].outputs.append(self._take)

    def _take(self, item: Any) -> None:
        self.blocks += not isinstance(item, Message)
        self.left += [item.octets] if isinstance(item, Message) else [each.octets for each in item]

    def send(self, path: Path) -> Bench:
        feed(self.source.inlet, *read(path).items())
        return self

    def counts(self) -> dict[str, int]:
        return {name: count for name, count in self.pipeline.events.items() if name.endswith(("YES", "NO"))}


@pytest.mark.parametrize("kind", [Grep, Drop])
@pytest.mark.parametrize("more", ["", "--keep", "--narrow"])
def test_events_are_counted_alike_whether_or_not_anybody_listens(sample, kind, more):
    words, text = f"--event-match YES --event-fail NO {more}", "prefix ~ 0.0.0.0/2 || keepalive"
    name = kind.__name__.lower()
    alone = Bench(kind, words, text).send(sample)
    heard = Bench(kind, words, text, f"{name}/YES", f"{name}/NO").send(sample)
    assert alone.left == heard.left
    assert set(alone.counts()) == {f"{name}/YES", f"{name}/NO"}
    assert alone.counts() == heard.counts() == heard.heard
    assert heard.blocks == 0
    if accel.AVAILABLE:
        assert alone.blocks > 0


@pytest.mark.parametrize(("words", "text"), [("--kill-match", "seq == 1500"), ("--kill-fail", "seq != 1500")])
def test_a_block_is_opened_only_where_a_message_kills(sample, words, text):
    bench = Bench(Grep, f"--keep --event-match YES {words}", text).send(sample)
    assert bench.killed == [f"grep/{words[7:]}"]
    assert len(bench.left) == MESSAGES
    never = Bench(Grep, words, text.replace("1500", "99999")).send(sample)
    assert never.killed == []
    if accel.AVAILABLE and words == "--kill-fail":
        assert never.blocks > 0


@pytest.mark.parametrize(
    "words", [("--narrow",), ("--narrow", "--rate-limit", "1000000000")], ids=["blocks", "messages"]
)
def test_narrow_leaves_the_routes_that_match(bgpipe, sample, words):
    text = "prefix <= 128.0.0.0/1"

    def routes(*stages: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for line in bgpipe("read", sample, *stages, "stdout").lines:
            if line[3] == "UPDATE":
                body = line[4]
                found.update(each for each in body.get("reach", []) + body.get("unreach", []))
        return found

    every = routes()
    high = Counter({each: n for each, n in every.items() if int(each.rpartition("#")[2].partition(".")[0]) >= 128})
    assert 0 < len(high) < len(every)
    assert routes("grep", *words, text) == high
    assert routes("drop", *words, text) == every - high


def test_keep_and_narrow_exclude_each_other(bgpipe, sample):
    done = bgpipe("read", sample, "grep", "--keep", "--narrow", "--event-match", "X", "update")
    assert done.code == 2
    assert "--keep and --narrow exclude each other" in done.err


LOOPBACK = "0x0000001440010100400206020100 00fde94003047f00000118cb0071".replace(" ", "")
"""An UPDATE with the next hop 127.0.0.1."""


@pytest.mark.parametrize("accel", ["1", "0"])
@pytest.mark.parametrize("words", ["grep ipv6", "grep --if ipv6 update", "write -", "exec cat -- grep update"])
def test_what_a_filter_drops_may_be_malformed(tmp_path, words, accel):
    archive, env = tmp_path / "malformed.mrt", os.environ | {"BGPIPE_ACCEL": accel}
    archive.write_bytes(b"".join(make_records(parse_hex(LOOPBACK), 3)))
    done = spawn("-o", archive, "--", *words.split(), env=env)
    assert done.code == 0
    assert "malformed=3" in done.err
    assert spawn("-o", "--kill", "PARSE", archive, "--", *words.split(), env=env).code == 1


def make_records(body: bytes, count: int) -> Iterator[bytes]:
    return (MrtEncoder().encode(Message(UPDATE, body, time=number * 1_000_000)) for number in range(1, count + 1))
