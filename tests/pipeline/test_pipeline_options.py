"""Words to options, as pflag reads them."""

from __future__ import annotations

import pytest

from bgpipe.pipeline.errors import UsageError
from bgpipe.pipeline.options import (
    DURATION,
    FLAG,
    INTEGER,
    LIST,
    NUMBER,
    TEXT,
    TEXTS,
    Option,
    Options,
    choice,
    format_duration,
    parse_duration,
)
from cases import all_cases


class Some(Options):
    tag = Option(FLAG, True, "tag")
    go = Option(FLAG, False, "go", short="g")
    out = Option(FLAG, False, "out", short="o")
    count = Option(INTEGER, 10, "count", short="n")
    rate = Option(NUMBER, 0.0, "rate")
    hold = Option(DURATION, 90.0, "hold")
    name_ = Option(TEXT, "", "name", short="N", name="new", old=("inject",))
    events = Option(LIST, ("A",), "events", short="e")
    if_ = Option(TEXTS, (), "if", short="I")
    compress = Option(choice("auto", "gz", aliases={"gzip": "gz"}), "none", "compress", bare="auto")
    format = Option(TEXT, "auto", "format", switches={"mrt": "mrt"})


def scan(*words: str) -> tuple[dict[str, object], list[str]]:
    options = Some()
    rest = options.scan(words)
    return options.values, rest


@all_cases(
    ("words", "values", "rest"),
    [
        ("", {}, ""),
        ("a -g", {}, "a -g"),
        ("--count 5 x", {"count": 5}, "x"),
        ("--count=5 x", {"count": 5}, "x"),
        ("-n 5 x", {"count": 5}, "x"),
        ("-n5 x", {"count": 5}, "x"),
        ("-n=5 x", {"count": 5}, "x"),
        ("-n 0x10", {"count": 16}, ""),
        ("-n -3", {"count": -3}, ""),
        ("-go x", {"go": True, "out": True}, "x"),
        ("-gn5", {"go": True, "count": 5}, ""),
        ("-gn 5", {"go": True, "count": 5}, ""),
        ("-g=false -o", {"go": False, "out": True}, ""),
        ("--tag=false", {"tag": False}, ""),
        ("--tag false", {"tag": True}, "false"),
        ("--rate 0.5", {"rate": 0.5}, ""),
        ("--hold 1h30m", {"hold": 5400.0}, ""),
        ("-e A,B -e C", {"events": ("A", "B", "C")}, ""),
        ("-e A,,B,", {"events": ("A", "B")}, ""),
        ("-I a,b --if c", {"if": ("a,b", "c")}, ""),
        ("--inject first", {"new": "first"}, ""),
        ("--new first", {"new": "first"}, ""),
        ("--mrt file", {"format": "mrt"}, "file"),
        ("--compress file", {"compress": "auto"}, "file"),
        ("--compress gzip file", {"compress": "gz"}, "file"),
        ("--compress=gz file", {"compress": "gz"}, "file"),
        ("--compress", {"compress": "auto"}, ""),
        ("-g -- -o", {"go": True}, "-- -o"),
        ("-g - -o", {"go": True}, "- -o"),
        ("--new -- x", {"new": "--"}, "x"),
        ("-h --nonsense", {"help": True}, "--nonsense"),
    ],
)
def test_scan(words, values, rest):
    assert scan(*words.split()) == (values, rest.split())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--cuont 5", "unknown option --cuont, did you mean --count?"),
        ("--zzzzzz", "unknown option --zzzzzz"),
        ("-z", "unknown option -z"),
        ("-gz", "unknown option -z in -gz"),
        ("-tag", "unknown option -t in -tag, did you mean --tag?"),
        ("--count", "--count needs a value (N)"),
        ("-n", "-n needs a value (N)"),
        ("-n five", "-n: invalid value 'five': a whole number is expected"),
        ("--rate nan", "--rate: invalid value 'nan': a finite number is expected"),
        ("--tag=maybe", "--tag: invalid value 'maybe': true or false is expected"),
        ("--hold 15", "--hold: invalid value '15': a duration needs a unit, as in 15s"),
        ("--hold soon", "--hold: invalid value 'soon': a duration such as 15s or 1h30m is expected"),
        ("--compress gzp file", "--compress: invalid value 'gzp': one of auto, gz is expected, did you mean gzip?"),
        ("--mrt=yes", "unknown option --mrt"),
    ],
)
def test_errors(words, text):
    with pytest.raises(UsageError) as caught:
        scan(*words.split())
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15), ("1h30m", 5400), ("-1s", -1), ("1.5s", 1.5), (".5m", 30), ("250ms", 0.25), ("0", 0), ("+2us", 2e-6)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0"), (15, "15s"), (5400, "1h30m"), (0.25, "0.25s"), (-60, "-1m")])
def test_durations_as_text(seconds, text):
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


def test_values_are_typed_and_have_defaults():
    options = Some()
    assert (options.tag, options.count, options.events, options.if_) == (True, 10, ("A",), ())
    options.scan(["-n", "3"])
    options.hold = 1.0
    assert (options.count, options.hold) == (3, 1.0)
    assert isinstance(Some.count, Option)


def test_environment():
    options = Some()
    options.take_environment({"BGPIPE_COUNT": "3", "BGPIPE_EVENTS": "X", "BGPIPE_HELP": "1", "COUNT": "9"}, "BGPIPE_")
    assert options.values == {"count": 3, "events": ("X",)}
    options.scan(["-e", "Y"])
    assert options.events == ("Y",)


def test_environment_errors_name_the_variable():
    with pytest.raises(UsageError, match="BGPIPE_READ_COUNT: invalid value 'x'"):
        Some().take_environment({"BGPIPE_READ_COUNT": "x"}, "BGPIPE_READ_")
