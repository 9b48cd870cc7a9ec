"""grep and drop."""

from __future__ import annotations

import re

import pytest

from commandline import spawn

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
    assert done.code == 1
    assert "grep: filter 'prefix ~ 10.0.0.0/8 && prefx == 1': parse error near 'prefx == 1'" in done.err
