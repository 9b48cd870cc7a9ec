"""write and stdout."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable
from random import Random

import pytest

from bgpipe import accel, read, write
from bgpipe.pipeline import verdict
from bgpipe.sample import grow, updates
from bgpipe.wire.context import AS4, AS4_ADD_PATH
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.update import Update
from commandline import spawn


def test_what_passes_is_copied(bgpipe, sample, sample_json, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    done = bgpipe("read", sample, "write", first, "grep", "open", "write", second)
    assert done.code == 0
    assert [json.loads(line) for line in first.read_bytes().splitlines()] == sample_json
    assert [json.loads(line) for line in second.read_bytes().splitlines()] == [m for m in sample_json if m[3] == "OPEN"]
    assert sorted(os.listdir(tmp_path)) == ["first.json", "second.json"]


def test_json_to_mrt_and_back_keeps_everything(bgpipe, sample, tmp_path):
    path = sample
    for name in ("a.json", "b.mrt.gz", "c.json.bz2", "d.mrt.zst", "e.json"):
        source, path = path, tmp_path / name
        assert bgpipe("read", source, "write", path).code == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "e.json").read_bytes()


def test_formats_and_compression_by_option(bgpipe, sample, tmp_path):
    out = tmp_path / "out"
    assert bgpipe("read", sample, "write", "--format", "raw", "--compress", "gz", out).code == 0
    assert gzip.decompress(out.read_bytes()).startswith(b"\xff" * 16)
    out = tmp_path / "out.json.gz"
    assert bgpipe("read", sample, "write", "--compress", "none", out).code == 0
    assert out.read_bytes().startswith(b'["R"')
    assert bgpipe("read", sample, "write", "--compress", out).code == 0
    assert gzip.decompress(out.read_bytes()).startswith(b'["R"')


def test_types_and_conditions(bgpipe, sample, sample_json, tmp_path):
    out = tmp_path / "out.json"
    done = bgpipe("-o", "read", sample, "write", "--type", "OPEN,KEEPALIVE", "--skip", "OPEN", "--if", "seq > 9", out)
    wanted = [line for line in sample_json if line[3] == "KEEPALIVE" and line[1] > 9]
    assert [json.loads(line) for line in out.read_bytes().splitlines()] == wanted
    assert len(done.lines) == len(sample_json), "the others pass"


def test_append_and_create(bgpipe, sample, tmp_path):
    out = tmp_path / "out.json"
    assert bgpipe("read", sample, "write", "--create", out).code == 0
    once = out.read_bytes()
    done = bgpipe("read", sample, "write", "--create", out)
    assert done.code == 1
    assert "exists already" in done.err
    assert out.read_bytes() == once
    assert bgpipe("read", sample, "write", "--append", out).code == 0
    assert out.read_bytes() == once * 2
    assert bgpipe("read", sample, "write", out).code == 0
    assert out.read_bytes() == once
    assert "exclude each other" in bgpipe("read", sample, "write", "--append", "--create", out).err


@pytest.mark.parametrize("name", ["out.json", "out.mrt.gz", "out.raw.bz2", "out.mrt.zst"])
def test_nothing_that_matches_is_an_empty_file_in_the_place_of_the_old_one(bgpipe, sample, tmp_path, name):
    out = tmp_path / "new" / name
    for words in (("head", "-n", "5"), ("grep", "prefix == 203.0.113.7/32")):
        done = bgpipe("read", sample, *words, "write", out)
        assert done.code == 0
    assert f'no messages were written: the file is empty stage="[3] write" file={out}' in done.err
    assert os.listdir(out.parent) == [name]
    again = bgpipe("read", out, "stdout")
    assert (again.code, again.out, again.err) == (0, b"", "")


def test_rotation(bgpipe, sample, tmp_path):
    done = bgpipe("read", sample, "write", "--every", "1h", "--compress", f"{tmp_path}/out.$TIME.json.gz")
    assert done.code == 0
    (name,) = os.listdir(tmp_path)
    assert re.fullmatch(r"out\.\d{8}\.\d\d00\.json\.gz", name)
    done = bgpipe("read", sample, "write", "--every", "30s", f"{tmp_path}/out.$TIME.json")
    assert (done.code, "--every must be at least 60s" in done.err) == (2, True)
    done = bgpipe("read", sample, "write", "--every", "60s", f"{tmp_path}/out.json")
    assert (done.code, "$TIME" in done.err) == (2, True)


def test_times_in_the_name(bgpipe, sample, tmp_path):
    assert bgpipe("read", sample, "write", "--time-format", "2006", f"{tmp_path}/$TIME-${{01-02}}.json").code == 0
    (name,) = os.listdir(tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.json", name)


def test_a_failure_keeps_what_was_there(bgpipe, sample, tmp_path):
    out = tmp_path / "out.json"
    out.write_text("before")
    done = bgpipe("read", "/no/such/file.mrt", "write", out)
    assert done.code == 1
    assert out.read_text() == "before"
    assert os.listdir(tmp_path) == ["out.json"]


def test_a_file_that_cannot_be_written(bgpipe, sample, tmp_path):
    (tmp_path / "folder").mkdir()
    done = bgpipe("read", sample, "write", "--json", tmp_path / "folder")
    assert (done.code, done.err) == (1, f"bgpipe: [2] write: {tmp_path}/folder: is a directory\n")
    (tmp_path / "file").touch()
    done = bgpipe("read", sample, "write", tmp_path / "file" / "out.json")
    assert done.code == 1
    assert done.err.startswith("bgpipe: [2] write: ")


@pytest.mark.parametrize("words", [("write", "-"), ("stdout",), ("write", "--format", "json", "-")])
def test_standard_output(bgpipe, sample, sample_json, words):
    assert bgpipe("read", sample, *words).lines == sample_json


def test_standard_output_in_other_formats(bgpipe, sample):
    done = bgpipe("read", sample, "stdout", "--format", "mrt")
    assert done.code == 0
    assert bgpipe("read", "-", "head", "-n", "1", "stdout", stdin=done.out[:5000]).code == 0
    done = bgpipe("read", sample, "stdout", "--format", "raw", "--type", "KEEPALIVE")
    assert set(done.out.split(b"\xff" * 16)) == {b"", b"\0\x13\x04"}


def test_the_hidden_output_prints_what_survives(bgpipe, sample, sample_json):
    done = bgpipe("-o", "read", sample, "drop", "update")
    assert [line[3:] for line in done.lines] == [line[3:] for line in sample_json if line[3] != "UPDATE"]


def test_an_output_may_stop_and_the_pipeline_goes_on(bgpipe, sample, sample_json, tmp_path):
    out = tmp_path / "out.json"
    words = ("grep", "--keep", "--event-match", "SEEN", "seq == 100", "write", "-S", "grep/SEEN", out)
    done = bgpipe("-o", "read", sample, *words)
    assert done.code == 0
    assert len(done.lines) == len(sample_json)
    assert len(out.read_bytes().splitlines()) == 99


def test_an_output_may_wait_for_an_event(bgpipe, sample, sample_json):
    words = ("grep", "--keep", "--event-match", "SEEN", "seq == 100", "stdout", "-W", "grep/SEEN")
    done = bgpipe("read", sample, *words)
    assert done.code == 0
    assert [line[1] for line in done.lines] == [line[1] for line in sample_json[100:]], "not the message of the event"


def test_a_message_that_a_format_has_no_form_for(bgpipe, sample, tmp_path):
    """State changes have no place among raw messages; nothing else is lost for it."""
    out = tmp_path / "out.raw"
    done = bgpipe("read", "--state", sample, "write", out)
    assert (done.code, done.err.count("has no form for STATE")) == (1, 10)
    assert out.read_bytes().startswith(b"\xff" * 16)


@pytest.mark.parametrize("how", ["itself", "hard link", "symbolic link", "symbolic link to read"])
@pytest.mark.parametrize("name", ["a.mrt", "a.mrt.gz", "a.json.bz2"])
def test_what_is_read_is_not_appended_to(bgpipe, sample, tmp_path, how, name):
    path, other = tmp_path / name, tmp_path / f"b{name}"
    assert bgpipe("read", sample, "write", path).code == 0
    before = path.read_bytes()
    if how == "hard link":
        os.link(path, other)
    elif how != "itself":
        other.symlink_to(path)
    read, written = (other, path) if how.endswith("read") else (path, path if how == "itself" else other)
    done = bgpipe("read", read, "--", "write", "--append", written)
    assert done.code == 1
    assert "would read what it writes, without end: write to another file" in done.err
    assert path.read_bytes() == before
    assert bgpipe("read", path, "--", "write", path).code == 0, "another file takes its place"


def test_standard_output_behind_what_is_read(sample, tmp_path):
    path = tmp_path / "a.mrt"
    path.write_bytes(sample.read_bytes())
    with open(path, "ab") as file:
        assert spawn("-o", "read", path, stdout=file).code == 1
        with open(path, "rb") as again:
            done = spawn("stdin", "--", "stdout", "--format", "mrt", stdin=again, stdout=file)
        assert done.code == 1
        assert "would read what it writes" in done.err
    assert path.read_bytes() == sample.read_bytes()


@pytest.mark.parametrize("first", [(), ("--append",)])
@pytest.mark.parametrize("second", [(), ("--append",)])
@pytest.mark.parametrize("how", ["itself", "symbolic link"])
def test_two_outputs_do_not_write_one_file(bgpipe, sample, tmp_path, first, second, how):
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    path.write_bytes(b"before\n")
    other.symlink_to(path)
    written = path if how == "itself" else other
    done = bgpipe("read", sample, "--", "write", *first, path, "--", "write", *second, written)
    assert done.code == 1
    assert "writ" in done.err
    assert path.read_bytes() == b"before\n"
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json"]


def test_a_file_behind_standard_output_is_not_replaced(sample, tmp_path):
    path = tmp_path / "a.json"
    with open(path, "wb") as file:
        done = spawn("-o", "read", sample, "--", "write", path, stdout=file)
    assert (done.code, path.read_bytes()) == (1, b"")
    assert "is written twice" in done.err


def test_devices_can_be_read_and_written_by_many(bgpipe):
    write = ("--", "write", "--json", "/dev/null")
    assert bgpipe("read", "/dev/null", *write, *write).code == 0


def test_what_the_format_has_no_form_for_is_no_success(bgpipe, tmp_path):
    source, out = tmp_path / "a.json", tmp_path / "a.mrt"
    late = '["R",1,"2190-01-02T03:04:05.000","KEEPALIVE"]\n'
    source.write_text(late + '["R",2,"2026-01-02T03:04:05.000","KEEPALIVE"]\n' + late)
    done = bgpipe(source, "--", "write", out)
    assert done.code == 1
    assert done.err.count("message not written") == 2
    assert done.err.endswith("write: 2 messages not written, that mrt has no form for\n")
    assert bgpipe("-o", out).err.count("records=1 messages=1") == 1


STATES = (
    '["R",1,"2026-01-02T03:04:05.000","STATE",{"old":"ESTABLISHED","new":"IDLE"}]\n'
    '["R",2,"2026-01-02T03:04:05.000","KEEPALIVE"]\n'
)


@pytest.mark.parametrize("accelerated", ["1", "0"])
@pytest.mark.parametrize(
    "stage",
    [
        ["write", "x.raw"],
        ["write", "--compat", "go", "x.json"],
        ["write", "--format", "raw", "-"],
        ["stdout", "--format", "raw"],
        ["exec", "--write", "--format", "raw", "cat"],
        ["exec", "--write", "--compat", "go", "cat"],
    ],
)
def test_a_state_change_that_is_not_written_is_told(tmp_path, stage, accelerated):
    """Formats of messages have no form for it: nothing that was to be written is left out in silence."""
    (tmp_path / "in.json").write_text(STATES)
    done = spawn("in.json", "--", *stage, cwd=tmp_path, env=os.environ | {"BGPIPE_ACCEL": accelerated})
    assert done.code == 1
    assert "has no form for STATE" in done.err
    assert "1 message not written" in done.err


@pytest.mark.parametrize("words", [["--format", "raw"], ["--compat", "go"], ["--format", "mrt"], []])
def test_a_state_change_is_not_lost_in_a_program(tmp_path, words):
    """One whose format has no form for it does not judge it."""
    (tmp_path / "in.json").write_text(STATES)
    done = spawn("in.json", "--", "exec", *words, "cat", "--", "stdout", cwd=tmp_path)
    assert done.code == 0
    assert sorted(line[3] for line in done.lines) == ["KEEPALIVE", "STATE"]


def test_many_messages_that_are_not_written_are_counted(bgpipe, tmp_path):
    (tmp_path / "in.json").write_text(STATES.splitlines(keepends=True)[0] * 30)
    done = bgpipe(tmp_path / "in.json", "--", "write", tmp_path / "x.raw")
    assert done.err.count("message not written") == 10
    assert done.err.count("are only counted") == 1
    assert "30 messages not written, that raw has no form for" in done.err


@pytest.fixture(scope="module")
def malformed(tmp_path_factory):
    """An archive in which more UPDATEs are malformed than are logged one by one."""
    random = Random(7)
    records = list(updates(grow(random), random, 400))
    for place in range(0, len(records), 20):
        records[place] = records[place].replace(b"\x40\x01\x01\x00", b"\x40\x01\x01\x09", 1)
    path = tmp_path_factory.mktemp("malformed") / "updates.mrt"
    path.write_bytes(b"".join(records))
    return path


@pytest.mark.parametrize("compat", ["own", "go"])
def test_malformed_messages_that_the_encoder_finds_are_told_as_others_are(
    bgpipe, malformed, tmp_path, compat, monkeypatch
):
    calls = []
    if accel.AVAILABLE:
        monkeypatch.setattr(verdict, "_check", lambda *given: calls.append(1) or accel.frame.check(*given))
    outputs = []
    for number, more in enumerate(([], ["--kill", "limit/session"])):
        out = tmp_path / f"{number}.json"
        calls.clear()
        done = bgpipe(*more, malformed, "--", "write", "--compat", compat, out)
        assert done.code == 0
        assert bool(calls) is (accel.AVAILABLE and bool(more)), "validated before the output only if events matter"
        lines = [re.sub(r"^\S+ \S+ |seconds=.*", "", line) for line in done.err.splitlines()]
        outputs.append(([line for line in lines if "no stage emits" not in line], out.read_bytes()))
    (log, octets), again = outputs
    assert again == (log, octets)
    assert sum("event bgpfix/pipe.PARSE" in line for line in log) == 10
    assert "malformed=1" in log[-1]
    assert len(octets.splitlines()) == 400


@pytest.mark.parametrize(
    ("before", "after", "checked"),
    [
        ([], [], False),
        (["grep", "ipv6"], [], True),  # which validates what it reads
        ([], ["grep", "ipv6"], True),
        ([], ["write", "OTHER"], True),
        (["--kill", "limit/session"], [], True),
    ],
)
def test_only_the_last_stage_validates_late(bgpipe, malformed, tmp_path, before, after, checked, monkeypatch):
    """Those behind an output, and those who wait for an event, need the verdict before they get a message."""
    calls = []
    if accel.AVAILABLE:
        monkeypatch.setattr(verdict, "_check", lambda *given: calls.append(1) or accel.frame.check(*given))
    options, first = ([*before], []) if before[:1] == ["--kill"] else ([], before and ["--", *before])
    out, other = tmp_path / "out.json", tmp_path / "other.mrt"
    behind = [str(other) if word == "OTHER" else word for word in after]
    bgpipe(*options, malformed, *first, "--", "write", out, *(["--", *behind] if behind else []))
    assert bool(calls) is (accel.AVAILABLE and checked)


@pytest.fixture(scope="module")
def now_and_then(tmp_path_factory) -> tuple[str, list[Message]]:
    """An archive of two peers, whose UPDATEs have path identifiers now and then; and its messages."""
    attrs = {"ORIGIN": "IGP", "ASPATH": [1], "COMMUNITY": [f"1:{number}" for number in range(800)]}
    bodies = {
        context: Update.make(reach=[prefix], next_hop="192.0.2.1", attrs=attrs, context=context).body[:-2]
        for context, prefix in ((AS4, "10.0.0.0/24"), (AS4_ADD_PATH, "#3#10.0.0.0/24"))
    }
    made = []
    for number in range(1200):
        context = AS4_ADD_PATH if number // 80 % 2 else AS4
        tags = {"PEER_AS": str(65001 + number % 2), "PEER_IP": f"192.0.2.{1 + number % 2}"}
        body = bodies[context] + number.to_bytes(2, "big")
        made.append(Message(UPDATE, body, context=context, time=1 + number, tags=tags))
    path = str(tmp_path_factory.mktemp("archive") / "in.mrt")
    write(path, made)
    return path, made


def announced(messages: Iterable[Message]) -> list[tuple[str, str]]:
    return [(m.tags["PEER_AS"], str(prefix)) for m in messages if m.type == "UPDATE" for prefix in m.update.reach]


@pytest.mark.parametrize("stage", [(), ("--", "head", "-n", "1000")], ids=["in blocks", "one by one"])
@pytest.mark.parametrize("name", ["out.bmp", "out.obmp", "${PEER_AS}.bmp"])
def test_a_format_that_goes_by_what_it_has_written_gets_all_in_order(bgpipe, tmp_path, now_and_then, name, stage):
    """In BMP only a Peer Up says whether UPDATEs have path identifiers."""
    path, made = now_and_then
    assert bgpipe("read", path, *stage, "--", "write", tmp_path / name).code == 0
    found = announced(message for path in sorted(tmp_path.glob("*bmp")) for message in read(path))
    said = announced(made[:1000] if stage else made)
    assert sorted(found) == sorted(said) if "$" in name else found == said
