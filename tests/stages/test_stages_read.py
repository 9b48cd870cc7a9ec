"""read, and what it has in common with stdin."""

from __future__ import annotations

import bz2
import gzip
import http.server
import json
import threading
from functools import partial

import pytest

from commandline import spawn

LINES = (
    b'["R",7,"2026-01-02T03:04:05.678","UPDATE",{"reach":["192.0.2.0/24"]},{"A":"b"}]\n'
    b"# a comment, and an empty line\n\n"
    b'["L",9,null,"KEEPALIVE",null,{}]\n'
    b'{"unreach":["198.51.100.0/24"]}'
)


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.json"
    path.write_bytes(LINES)
    return path


def test_a_source_forces_its_direction(bgpipe, lines):
    done = bgpipe("read", lines, "stdout")
    assert [line[:2] for line in done.lines] == [["R", 7], ["R", 9], ["R", 1]]
    assert [line[3] for line in done.lines] == ["UPDATE", "KEEPALIVE", "UPDATE"]


def test_in_both_directions_each_message_goes_its_own(bgpipe, lines):
    done = bgpipe("-o", "read", "-LR", lines, "head", "-LR")
    assert [line[:2] for line in done.lines] == [["R", 7], ["L", 9], ["R", 1]]


def test_what_input_says_can_be_forgotten(bgpipe, lines):
    done = bgpipe("read", "--no-seq", "--no-time", "--no-tags", lines, "stdout")
    assert [line[1] for line in done.lines] == [1, 2, 3]
    assert done.lines[0][2] > "2026-01-02T03:04:05.678"
    assert done.lines[0][5] == {}


def test_archives_too_can_be_forgotten(bgpipe, sample, sample_json):
    done = bgpipe("read", "--no-tags", sample, "stdout")
    assert {json.dumps(line[5]) for line in done.lines} == {"{}"}
    assert [line[:5] for line in done.lines] == [line[:5] for line in sample_json]
    done = bgpipe("read", "--no-time", sample, "head", "stdout")
    assert min(line[2] for line in done.lines) > max(line[2] for line in sample_json)


@pytest.mark.parametrize(
    ("options", "types"),
    [
        (["--type", "keepalive,OPEN"], {"KEEPALIVE", "OPEN"}),
        (["--type", "KEEPALIVE,OPEN", "--skip", "0x1"], {"KEEPALIVE"}),
        (["--skip", "UPDATE"], {"OPEN", "KEEPALIVE", "NOTIFY"}),
    ],
)
def test_types(bgpipe, sample, sample_json, options, types):
    done = bgpipe("read", *options, sample, "stdout")
    assert [line[3:] for line in done.lines] == [line[3:] for line in sample_json if line[3] in types]


def test_state_changes(bgpipe, sample, sample_json):
    assert all(line[3] != "STATE" for line in sample_json)
    done = bgpipe("read", "--state", sample, "stdout")
    states = [line for line in done.lines if line[3] == "STATE"]
    assert states
    assert len(done.lines) == len(sample_json) + len(states)
    done = bgpipe("read", "--state", "--skip", "UPDATE", sample, "stdout")
    assert [line[3:] for line in done.lines if line[3] == "STATE"] == [line[3:] for line in states]


def test_conditions_on_what_is_read(bgpipe, sample, sample_json):
    done = bgpipe("read", "--of", "!update", sample, "stdout")
    assert [line[3] for line in done.lines] == [line[3] for line in sample_json if line[3] != "UPDATE"]


def test_the_name_tells_the_format(bgpipe, sample, sample_json, tmp_path):
    for name in ("updates.20260101.0000", "a.mrt", "latest-bview.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(sample.read_bytes()) if name.endswith(".gz") else sample.read_bytes())
        assert len(bgpipe("read", path, "stdout").lines) == len(sample_json)


def test_the_content_tells_the_format_and_the_compression(bgpipe, sample, sample_json, tmp_path):
    path = tmp_path / "nameless"
    for octets in (sample.read_bytes(), gzip.compress(sample.read_bytes()), bz2.compress(sample.read_bytes())):
        path.write_bytes(octets)
        assert len(bgpipe("read", path, "stdout").lines) == len(sample_json)
    path.write_bytes(LINES)
    assert len(bgpipe("read", path, "stdout").lines) == 3
    path.write_bytes(b"\xff" * 16 + b"\0\x13\x04")
    assert [line[3] for line in bgpipe("read", path, "stdout").lines] == ["KEEPALIVE"]


def test_what_nothing_tells(bgpipe, tmp_path):
    path = tmp_path / "nameless"
    path.write_bytes(b"no routing data at all")
    done = bgpipe("read", path, "stdout")
    assert (done.code, done.out) == (1, b"")
    assert done.err == "bgpipe: [1] read: can't tell the format of the input: say it with --format\n"


def test_what_is_said_counts_more_than_name_and_content(bgpipe, sample, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_bytes(gzip.compress(sample.read_bytes()))
    assert bgpipe("read", "--format", "mrt", "--decompress", "gz", path, "stdout").code == 0
    assert bgpipe("read", "--mrt", path, "stdout").code == 0
    done = bgpipe("read", "--mrt", "--decompress", "none", path, "stdout")
    assert done.code == 1
    assert "damaged input" in done.err


def test_nothing_is_no_damage(bgpipe, tmp_path):
    path = tmp_path / "empty.mrt"
    path.write_bytes(b"")
    done = bgpipe("read", path, "stdout")
    assert (done.code, done.out, done.err) == (0, b"", "")


def test_a_damaged_archive_gives_the_rest(bgpipe, sample, sample_json, tmp_path):
    octets = bytearray(sample.read_bytes())
    octets[5000:5100] = bytes(100)
    path = tmp_path / "damaged.mrt"
    path.write_bytes(octets)
    done = bgpipe("read", path, "stdout")
    assert done.code == 1
    assert len(sample_json) - 10 < len(done.lines) < len(sample_json)
    assert bgpipe("read", "--pardon", path, "stdout").code == 0


def test_a_damaged_compression_gives_the_rest(bgpipe, sample, tmp_path):
    octets = gzip.compress(sample.read_bytes())
    path = tmp_path / "cut.mrt.gz"
    path.write_bytes(octets[: len(octets) // 2])
    done = bgpipe("read", path, "stdout")
    assert done.code == 1
    assert done.lines
    assert "gzip data is cut short" in done.err
    assert bgpipe("read", "--pardon", path, "stdout").code == 0


def test_standard_input(sample, sample_json):
    for words in (("read", "-", "--", "write", "-"), ("stdin", "stdout"), ("-o", "-i", "head", "-n", "9999")):
        done = spawn(*words, input=gzip.compress(sample.read_bytes()))
        assert done.code == 0
        assert [line[3:] for line in done.lines] == [line[3:] for line in sample_json]


def test_standard_input_and_a_filter_in_both_directions(bgpipe):
    lines = b"".join(
        b'["%b",1,null,"UPDATE",{"attrs":{"ASPATH":[%b]}},{}]\n' % (direction, path)
        for direction in (b"R", b"L")
        for path in (b"1", b"1,2,3,4,5,6,7,8,9", b"1,2")
    )
    done = bgpipe("-i", "-o", "--", "drop", "ipv6 || aspath_len > 8", "--", "head", "-n", "3", stdin=lines)
    assert [(line[0], len(line[4]["attrs"]["ASPATH"]["value"])) for line in done.lines] == [
        ("R", 1),
        ("R", 2),
        ("L", 1),
    ]


def test_two_sources_one_after_the_other(bgpipe, lines, sample):
    done = bgpipe("read", lines, "--", "@later", "read", "-R", "--wait", "read/STOP", sample, "stdout")
    assert done.code == 0
    assert [line[1] for line in done.lines[:3]] == [7, 9, 1]
    assert len(done.lines) > 1000


def test_what_never_starts_is_told(bgpipe, lines):
    done = bgpipe("read", lines, "--", "stdout", "--wait", "ESTABLISHED")
    assert (done.code, done.out) == (0, b"")
    assert 'WRN never started stage="[2] stdout" wait=ESTABLISHED' in done.err


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path):
    """The URL of a server of `tmp_path`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_url(bgpipe, server, sample, sample_json, tmp_path):
    (tmp_path / "a.mrt.gz").write_bytes(gzip.compress(sample.read_bytes()))
    done = bgpipe(f"{server}/a.mrt.gz")
    assert done.code == 0
    assert len(done.lines) == len(sample_json)


def test_a_url_that_is_not_there(bgpipe, server):
    done = bgpipe("read", "--pardon", f"{server}/missing.mrt", "stdout")
    assert done.code == 1
    assert "404" in done.err
    assert done.err.count("\n") == 1
