"""head."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("count", [1, 10, 1499])
def test_the_first_messages_and_no_more(bgpipe, sample, sample_json, count):
    done = bgpipe("read", sample, "head", "-n", str(count), "stdout")
    assert (done.code, done.err) == (0, "")
    assert done.lines == sample_json[:count]


def test_ten_if_nobody_says(bgpipe, sample):
    assert len(bgpipe("read", sample, "head", "stdout").lines) == 10


def test_fewer_than_wanted(bgpipe, sample, sample_json):
    done = bgpipe("read", sample, "head", "-n", "999999", "stdout")
    assert done.lines == sample_json
    assert "INF done" in done.err


def test_message_by_message(bgpipe, sample, sample_json):
    done = bgpipe("read", sample, "head", "-n", "15", "--rate-limit", "1e9", "stdout")
    assert done.lines == sample_json[:15]


def test_others_pass_uncounted(bgpipe, sample, sample_json):
    done = bgpipe("read", sample, "head", "-n", "2", "--if", "keepalive", "stdout")
    second = [number for number, line in enumerate(sample_json) if line[3] == "KEEPALIVE"][1]
    assert done.lines == sample_json[: second + 1]


def test_both_directions_together(bgpipe):
    lines = b"".join(b'["%b",0,null,"KEEPALIVE",null,{}]\n' % direction for direction in (b"R", b"L") * 5)
    done = bgpipe("-io", "head", "-n", "3", stdin=lines)
    assert [line[0] for line in done.lines] == ["R", "L", "R"]


@pytest.mark.parametrize("directions", [(), ("-LR",)])
def test_what_stands_before_it_sees_no_more_than_passes(bgpipe, sample, tmp_path, directions):
    """Also a stage in both directions, whose callback stands on a line without a head too."""
    out = tmp_path / "out.json"
    assert bgpipe("read", sample, "write", *directions, out, "head", "-n", "5").code == 0
    assert len(out.read_bytes().splitlines()) == 5
