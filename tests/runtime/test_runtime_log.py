"""Lines of the log."""

from __future__ import annotations

import json
import os

import pytest

from bgpipe.runtime.log import StderrLog, format_field, printable


@pytest.fixture
def log():
    return StderrLog(now=lambda: 1_767_323_045.9)


def test_a_line(log, capsys):
    log.info("event bgpfix/pipe.EOR", evdir="R", stage="[1] read", seq=7)
    assert capsys.readouterr().err == '2026-01-02 03:04:05 INF event bgpfix/pipe.EOR evdir=R stage="[1] read" seq=7\n'


def test_levels(log, capsys):
    def shown(level: str) -> str:
        log.level = level
        for write in (log.debug, log.info, log.warning, log.error):
            write("x")
        return " ".join(line.split()[2] for line in capsys.readouterr().err.splitlines())

    assert shown("trace") == "DBG INF WRN ERR"
    assert shown("debug") == "DBG INF WRN ERR"
    assert shown("info") == "INF WRN ERR"
    assert shown("warn") == "WRN ERR"
    assert shown("error") == "ERR"
    assert shown("disabled") == ""


def test_bound_fields(log, capsys):
    log.bind(session=3).warning("x", seq=1)
    assert capsys.readouterr().err.endswith("WRN x session=3 seq=1\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash it", '"back\\\\slash it"'),
        ("line\nbreak", "line\\nbreak"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eright to left", '"\\\\u202eright to left"'),
    ],
)
def test_fields(value, text):
    assert format_field(value) == text


def test_printable_text_stays():
    assert printable("Zürich → 1") == "Zürich → 1"


def test_nobody_listens(log, monkeypatch):
    class Closed:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    log.error("x")  # which must not end anything


def test_a_line_for_programs(log, capsys):
    log.format = "json"
    log.bind(session=3).info("connected", stage="[1] listen", caps={"AS4": 1}, level="mine", path=ValueError("x"))
    assert json.loads(capsys.readouterr().err) == {
        "time": "2026-01-02T03:04:05.900Z",
        "level": "info",
        "message": "connected",
        "session": 3,
        "stage": "[1] listen",
        "caps": {"AS4": 1},
        "path": "x",
    }


def test_lines_for_programs_are_lines(log, capsys):
    log.format = "json"
    log.warning("a\nb\x1b", text="\u2028\u202e\n")
    try:
        raise ValueError("no")
    except ValueError as error:
        log.error("failed", exc_info=error)
    warning, failed = capsys.readouterr().err.splitlines()
    assert json.loads(warning)["text"] == "\u2028\u202e\n"
    assert warning.isascii()
    assert warning.isprintable()
    assert json.loads(failed)["traceback"].endswith("ValueError: no\n")
    assert json.loads(failed)["level"] == "error"


def test_objects_in_a_line_for_people(log, capsys):
    log.info("closed", received={"OPEN": 1, "UPDATE": 2}, sent={})
    assert capsys.readouterr().err.endswith('closed received={"OPEN":1,"UPDATE":2} sent={}\n')


def test_a_reader_that_stalls_holds_nothing_up(log, monkeypatch):
    """What a full pipe does not take is dropped; when there is room again, the next line says how many are lost."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with open(writer, "w", buffering=1) as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        count = 5000
        for number in range(count):
            log.info("line", number=number, filling="x" * 100)
        first = os.read(reader, 1 << 20).decode()
        assert first.endswith("\n")
        came = first.count("\n")
        assert 100 < came < count
        log.info("again")
        assert os.read(reader, 1 << 20).decode().endswith(f"INF again dropped={count - came}\n")
        log.info("and on")
        assert os.read(reader, 1 << 20).decode().endswith("INF and on\n")
    os.close(reader)


def test_a_long_line_waits_for_no_reader(log, monkeypatch):
    """A pipe that has room for some octets may have none for all of a line: a long one goes only into an empty pipe."""
    reader, writer = os.pipe()
    with open(writer, "w", buffering=1) as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        log.info("long", filling="x" * 50_000)
        log.info("short")
        log.info("long", filling="x" * 50_000)
        log.info("too long", filling="x" * 2_000_000)
        assert os.read(reader, 1 << 20).decode().endswith("INF short\n")
        log.info("again")
        assert os.read(reader, 1 << 20).decode().endswith("INF again dropped=2\n")
    os.close(reader)


def test_the_last_words_for_programs(bgpipe, tmp_path):
    done = bgpipe("--log-format", "json", "-l", "disabled", tmp_path / "nothing.mrt", "--", "head")
    assert done.code == 1
    done = bgpipe("--log-format", "json", "-l", "disabled", "read", tmp_path / "nothing.mrt")
    assert done.code == 1
    (line,) = [json.loads(line) for line in done.err.splitlines()]
    assert line["level"] == "error"
    assert "nothing.mrt" in line["message"]
