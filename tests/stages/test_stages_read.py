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
    assert {key for line in done.lines for key in line[5]} == {"WIRE"}, "which is no tag"
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
    assert done.err == "bgpipe: [1] read: can't tell the format of the input: use --format\n"


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


@pytest.mark.parametrize(
    "words",
    [
        ("read", "--wait", "@x/STOP", "SAMPLE"),
        ("@y", "read", "--wait", "@x/STOP", "SAMPLE", "--", "@x", "read", "--wait", "@y/STOP", "SAMPLE"),
        ("read", "SAMPLE", "--", "read", "--wait", "ESTABLISHED", "SAMPLE"),
        ("read", "SAMPLE", "--", "exec", "--read", "--wait", "EOR", "cat"),
    ],
)
def test_an_input_that_never_starts_is_no_success(bgpipe, sample, tmp_path, words):
    """What others have read is written all the same."""
    out = tmp_path / "out.json"
    done = bgpipe(*(sample if word == "SAMPLE" else word for word in words), "--", "write", out)
    assert done.code == 1
    assert "was never started: there was no event" in done.err
    assert out.exists()
    assert bool(out.read_text()) == (words[1] == "SAMPLE")


def test_a_filter_that_never_starts_is_told(bgpipe, sample, sample_json, tmp_path):
    out = tmp_path / "out.json"
    done = bgpipe("read", sample, "--", "head", "--wait", "EOR", "--", "write", out)
    assert (done.code, len(out.read_text().splitlines())) == (0, len(sample_json))
    assert "WRN never started" in done.err


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


class Cut(http.server.BaseHTTPRequestHandler):
    """Answers with the octets of the server, and then closes: before the length, or before the last chunk."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        octets: bytes = self.server.octets  # type: ignore[attr-defined]
        if "length" in self.path:
            self.send_header("Content-Length", str(len(octets) + 100))
            self.end_headers()
            self.wfile.write(octets)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(octets), octets))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cut(sample):
    """The URL of a server whose answers end too early."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut) as server:
        server.octets = sample.read_bytes()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_url_that_is_cut_gives_all_that_came_and_fails(bgpipe, cut, sample_json, tmp_path, how):
    out = tmp_path / "out.json"
    out.write_text("before")
    done = bgpipe("-o", "read", "--pardon", f"{cut}/{how}.mrt", "--", "write", out)
    assert done.code == 1
    assert len(done.lines) == len(sample_json)
    assert "the answer ends too early, after " in done.err
    assert out.read_text() == "before"
    assert len((tmp_path / "out.json.partial").read_bytes().splitlines()) == len(sample_json)
    assert f"what was written is in {out}.partial" in done.err


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_the_library_raises_behind_what_came_of_a_url_that_is_cut(cut, sample_json, how):
    import bgpipe

    messages = []
    with pytest.raises(OSError, match="the answer ends too early"):
        messages.extend(bgpipe.read(f"{cut}/{how}.mrt"))
    assert len(messages) == len(sample_json)


@pytest.mark.parametrize("how", ["length", "chunked"])
async def test_the_library_raises_behind_what_came_in_a_coroutine_too(cut, sample_json, how):
    import bgpipe

    messages = []

    async def collect() -> None:
        async for message in bgpipe.read_async(f"{cut}/{how}.mrt"):
            messages.append(message)  # noqa: PERF401

    with pytest.raises(OSError, match="the answer ends too early"):
        await collect()
    assert len(messages) == len(sample_json)


@pytest.mark.parametrize("merge", [[], ["--merge"]])
def test_damage_of_one_input_keeps_none_of_the_others_from_being_read(bgpipe, sample, lines, tmp_path, merge):
    cut = tmp_path / "cut.mrt"
    cut.write_bytes(sample.read_bytes()[:5003])
    good = len(bgpipe("read", "--pardon", cut, "stdout").lines)
    bad = tmp_path / "bad.json"
    bad.write_text("[\n")
    done = bgpipe(*merge, cut, bad, lines, "--", "write", tmp_path / "out.json")
    assert done.code == 1
    assert len((tmp_path / "out.json").read_bytes().splitlines()) == good + 3
    assert "[1] read: 1 piece of damaged input" in done.err
    assert "[2] read: 1 piece of damaged input" in done.err


def test_an_input_is_read_when_its_turn_comes(bgpipe, sample, tmp_path):
    """Memory does not grow with the number of files: what is far back in the queue is open, and not read."""
    policy = tmp_path / "look.py"
    policy.write_text(
        "import os\n"
        "def message(m):\n"
        "    pass\n"
        "def stop(stage):\n"
        "    reads = [s for s in stage.pipeline.stages if hasattr(s, 'stream')]\n"
        "    with open(os.environ['SEEN'], 'w') as file:\n"
        "        print([s.stream.position for s in reads], file=file)\n"
    )
    seen = tmp_path / "seen"
    done = bgpipe(*[sample] * 4, "--", "head", "-n", "1", "--", "py", policy, "--", "stdout", env={"SEEN": str(seen)})
    assert done.code == 0
    first, _, third, fourth = json.loads(seen.read_text())
    assert first > 0
    assert third == fourth == 0
