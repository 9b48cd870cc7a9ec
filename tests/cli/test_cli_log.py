"""Lines of the log."""

from __future__ import annotations

import pytest

from bgpipe.cli.log import StderrLog, format_field, printable


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
