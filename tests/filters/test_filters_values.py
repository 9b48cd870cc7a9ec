"""Numbers, times and prefixes in filters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bgpipe.filters.errors import ConditionError, nearest
from bgpipe.filters.values import integer_of, number_of, parse_address_or_prefix, parse_time, parse_unsigned


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("15169", 15169),
        ("0x10", 16),
        ("0XfF", 255),
        ("0o17", 15),
        ("0b101", 5),
        ("-1", -1),
        ("+1", 1),
        ("010", None),
        ("1_000", None),
        ("1.0", None),
        ("", None),
        ("AS1", None),
        ("١", None),
        ("9" * 71, None),
    ],
)
def test_integers(text, number):
    assert integer_of(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-2.5E-1", -0.25), ("0x10", 16), ("1e", None), ("nan", None)],
)
def test_numbers(text, number):
    assert number_of(text) == number


def test_unsigned():
    assert parse_unsigned("4294967295", 32) == 4294967295
    for text, reason in (("4294967296", "out of range"), ("-1", "out of range"), ("x", "expected integer")):
        with pytest.raises(ConditionError, match=reason):
            parse_unsigned(text, 32)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2023", (2023, 1, 1)),
        ("2023-03", (2023, 3, 1)),
        ("2023-03-02", (2023, 3, 2)),
        ("2023/03/02", (2023, 3, 2)),
        ("20230302", (2023, 3, 2)),
        ("20230302.0405", (2023, 3, 2, 4, 5)),
        ("20230302040506", (2023, 3, 2, 4, 5, 6)),
        ("2023-03-02T04:05:06.789", (2023, 3, 2, 4, 5, 6, 789000)),
        ("2023-03-02 04:05", (2023, 3, 2, 4, 5)),
        (" 2023-03-02T04:05:06.123456Z ", (2023, 3, 2, 4, 5, 6, 123456)),
        ("2023-03-02T04:05:06+02:00", (2023, 3, 2, 2, 5, 6)),
        ("1677729906", (2023, 3, 2, 4, 5, 6)),
        ("1677729906.5", (2023, 3, 2, 4, 5, 6, 500000)),
        ("1677729906789", (2023, 3, 2, 4, 5, 6, 789000)),
        ("1677729906123456", (2023, 3, 2, 4, 5, 6, 123456)),
        ("Thu, 02 Mar 2023 04:05:06 +0100", (2023, 3, 2, 3, 5, 6)),
    ],
)
def test_times(text, time):
    assert parse_time(text) == round(datetime(*time, tzinfo=UTC).timestamp() * 1_000_000)


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13", "2023-02-30", "0000", "25:00", "9" * 40, "Thu, 99 Mar"])
def test_no_times(text):
    with pytest.raises(ConditionError, match="invalid time"):
        parse_time(text)


def test_prefixes_and_addresses():
    assert str(parse_address_or_prefix("10.1.2.3/8")) == "10.0.0.0/8"
    assert str(parse_address_or_prefix("10.1.2.3")) == "10.1.2.3/32"
    assert str(parse_address_or_prefix("::")) == "::/128"
    assert str(parse_address_or_prefix("::/0")) == "::/0"
    for text in ("10.0.0", "10.0.0.0/", "10.0.0.0/-1", "::/129", "x", "#1#10.0.0.0/8", "10.0.0.0/8/8"):
        with pytest.raises(ConditionError):
            parse_address_or_prefix(text)


def test_the_nearest_word():
    assert nearest("Comunity", ["community", "med"]) == "; did you mean 'community'?"
    assert nearest("local-prf", ["local_pref", "med"]) == "; did you mean 'local_pref'?"
    assert nearest("zzz", ["community", "med"]) == ""
