"""The filter vectors of bgpfix: what its own suite runs, and what it says."""

from __future__ import annotations

import pytest

from bgpipe.filters import FilterError, compile_filter
from bgpipe.filters.values import parse_time
from bgpipe.wire.message import Message
from vectors import context, load, parametrize

EVALUATIONS = load("bgpfix_filter_eval")
PARSES = load("bgpfix_filter_parse")

_PRECEDENCE = "bgpfix reads from left to right and stops at a false term beside &&; here && binds before ||"
DIFFERENT = {
    "origin == egp && as_origin == 15169 || update": _PRECEDENCE,
    "origin == igp && as_origin == 9999 || update": _PRECEDENCE,
}
"""Filters that say something else here, with the reason."""
LATE = {"bgpfix_filter_eval-0219", "bgpfix_filter_eval-0220"}
"""The suite changed the direction of this message to R only after it was written down."""
REASONS = {
    "prefix ==": "operator needs value",
    "prefix == not_a_prefix": "invalid value not_a_prefix: not an IP prefix or address",
    "json[x] > hello": "invalid value: numeric operator requires numeric value",
}
"""What is told of a wrong filter, where that is more than bgpfix's words with something behind them."""


def message_of(row: dict) -> Message:
    octets = bytes.fromhex(row["hex"])
    direction, seq, time, *_ = row["message"]
    if row["id"] in LATE:
        direction = "R"
    return Message(
        octets[18],
        octets[19:],
        direction=direction,
        seq=seq,
        time=parse_time(time) if time else 0,
        context=context(row),
        tags=row.get("tags"),
    )


@parametrize(EVALUATIONS)
def test_evaluation(row):
    expected = row["expected"] is not (row["filter"] in DIFFERENT)
    assert compile_filter(row["filter"])(message_of(row)) is expected


@parametrize(PARSES)
def test_parsing(row):
    text = row["filter"]
    if row["expected"] == "ok":
        assert compile_filter(text).text == text
        return
    with pytest.raises(FilterError) as caught:
        compile_filter(text)
    prefix, _, reason = row["error"].partition(": parse error near ")
    assert str(caught.value).startswith(prefix + ": parse error ")
    assert caught.value.reason.startswith(REASONS.get(text, reason.partition("': ")[2]))


def test_what_differs_has_its_reason():
    if not EVALUATIONS:
        pytest.skip("no vectors")
    different = [row for row in EVALUATIONS if compile_filter(row["filter"])(message_of(row)) is not row["expected"]]
    print(f"bgpfix_filter_eval: {len(EVALUATIONS)}, different: {len(different)}; bgpfix_filter_parse: {len(PARSES)}")
    for row in different:
        print(f"{row['id']} {row['filter']}: {DIFFERENT[row['filter']]}")
    assert len(EVALUATIONS) > 100
    assert len(different) <= len(DIFFERENT)
    assert len(PARSES) > 50
