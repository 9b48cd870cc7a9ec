"""Stages as records: what may be said, and what an error names."""

from __future__ import annotations

import pytest

from bgpipe.app import compose
from bgpipe.app.build import build
from bgpipe.pipeline.errors import ConfigError, PipelineError, UsageError
from bgpipe.pipeline.explain import explain
from bgpipe.pipeline.log import NullLog
from bgpipe.stage import INTEGER, Consuming, Option


class Every(Consuming):
    """Keep one of N messages."""

    number = Option(INTEGER, 10, "N")


def check(message):
    return True


def source():
    yield from ()


async def waits(message):
    return True


def values(stage) -> tuple[str, dict, list[str]]:
    return stage.name, stage.values, stage.arguments


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("limit --session 1000 --min-length 8", None),
        ({"limit": {"session": 1000}}, "limit --session 1000"),
        ({"limit": {"session": "0x10", "ipv6": True, "ipv4": False}}, "limit --session 0x10 --ipv6 --ipv4=false"),
        ({"limit": None}, "limit"),
        ({"grep": "ipv6 || x"}, "grep 'ipv6 || x'"),
        ({"grep": ["ipv6"]}, "grep ipv6"),
        ({"grep": {"arguments": "ipv6", "if": ["update", "ipv4, x"]}}, "grep --if update --if 'ipv4, x' ipv6"),
        ({"grep": {"arguments": "ipv6", "if_": "update"}}, "grep --if update ipv6"),
        ({"exec": ["./p", "-x", 3]}, "exec -A ./p -x 3"),
        ({"write": {"arguments": "a.json", "every": "15m", "compress": True}}, "write --every 15m --compress a.json"),
        ({"write": {"arguments": "a.json", "every": 900, "compress": False}}, "write --every 15m a.json"),
        ({"write": {"arguments": "a.json", "every": 90.5}}, "write --every 90500ms a.json"),
        ({"write": {"arguments": "a.json", "name": "log"}}, "@log write a.json"),
        ({"write": {"arguments": "a.json", "rate_limit": 2.5}}, "write --rate-limit 2.5 a.json"),
        ({"read": {"arguments": "a.mrt", "type": ["UPDATE", "OPEN"]}}, "read --type UPDATE,OPEN a.mrt"),
        ({"read": {"arguments": "a.mrt", "type": "UPDATE,OPEN"}}, "read --type UPDATE,OPEN a.mrt"),
        (("head", {"count": 3}), "head -n 3"),
    ],
    ids=str,
)
def test_a_record_says_what_words_say(record, words):
    (stage,) = compose(stages=[record]).stages
    (said,) = compose(words or record).stages
    expected = values(said)
    expected[1].pop("args", None)
    assert values(stage) == expected
    assert stage.index == 1


def test_classes_functions_and_messages_are_stages():
    spec = compose(stages=[source, (Every, {"number": 3}), (check, {"if": "update", "left": True}), [], "head"])
    assert [str(stage) for stage in spec.stages] == [
        "[1] source",
        "[2] every",
        "[3] check",
        "[4] messages",
        "[5] head",
    ]
    assert spec.stages[1].number == 3
    assert spec.stages[2].left


@pytest.mark.parametrize(
    ("record", "text", "option"),
    [
        ({"limit": {"sesion": 3}}, "[2] limit: unknown option 'sesion', did you mean session?", "sesion"),
        ("limit --sesion 3", "[2] limit: unknown option --sesion, did you mean --session?", "sesion"),
        ({"limit": {"session": "x"}}, "[2] limit: session: invalid value 'x': a whole number is expected", "session"),
        ({"limit": {"session": True}}, "[2] limit: session: invalid value true: N is expected", "session"),
        ({"limit": {"session": None}}, "[2] limit: session: needs a value (N)", "session"),
        ({"limit": {"session": {"a": 1}}}, "[2] limit: session: invalid value {'a': 1}: N is expected", "session"),
        ({"limit": {"ipv6": "perhaps"}}, "[2] limit: ipv6: invalid value 'perhaps': true or false is expected", "ipv6"),
        ({"limit": {"help": True}}, "[2] limit: unknown option 'help'", "help"),
        ({"limit": 5}, "[2] limit: takes no argument, and '5' is given", ""),
        ({"grep": None}, "[2] grep: needs an argument: FILTER", ""),
        ({"nope": None}, "[2]: unknown stage 'nope'", ""),
        ("nope", "nope: no such stage or file", ""),
        ({"limit": {}, "grep": "x"}, "[2]: a stage is written as {NAME: OPTIONS}, with one name", ""),
        ({}, "[2]: a stage is written as {NAME: OPTIONS}, with one name", ""),
        (("limit",), "[2]: a pair of stage and options is expected", ""),
        ("", "[2]: a stage without words", ""),
        ("head -n 3 grep", "[2] head: takes no more words, and 'grep' follows", ""),
        ("head 'x", '[2]: "head \'x": No closing quotation', ""),
        ("head -h", "[2] head: --help is for the command line", ""),
        (5, "[2]: 5 is no stage", ""),
        (waits, "[2] waits: a coroutine function can't decide about messages", ""),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_an_error_names_the_stage_and_the_option(record, text, option):
    with pytest.raises(PipelineError) as caught:
        compose(stages=["head", record])
    assert str(caught.value).startswith(text)
    assert (caught.value.stage, caught.value.option) == (2, option)


def test_what_is_found_when_the_stages_are_put_together_names_the_stage_too():
    with pytest.raises(ConfigError, match=r"^\[2\] head: --count must be more than 0, not 0") as caught:
        build(compose(stages=["read x.mrt", {"head": {"count": 0}}]), NullLog())
    assert caught.value.stage == 2
    with pytest.raises(ConfigError, match=r"^\[1\] grep: filter") as caught:
        build(compose("grep nothing== -- head"), NullLog())
    assert caught.value.stage == 1


@pytest.mark.parametrize("stages", ["head", {"head": None}, 5])
def test_a_list_of_stages_is_wanted(stages):
    with pytest.raises(UsageError, match="a list of stages is expected"):
        compose(stages=stages)


def test_words_and_records_exclude_each_other():
    with pytest.raises(UsageError, match="in words or as records, not both"):
        compose("head", stages=["head"])


def test_options_of_the_whole_pipeline():
    spec = compose(stages=["head"], options={"events": ["EOR", "OPEN"], "short_asn": True})
    assert spec.options.events == ("EOR", "OPEN")
    assert spec.options.short_asn
    assert compose(stages=["head"], options={"caps": {"AS4": 65001}}).options.caps == '{"AS4": 65001}'
    with pytest.raises(UsageError, match="unknown option 'evnts', did you mean events") as caught:
        compose(stages=["head"], options={"evnts": "x"})
    assert (caught.value.stage, caught.value.option) == (0, "evnts")


def test_each_pipeline_has_stages_of_its_own():
    """Words are read once, however many sessions run with them."""
    spec = compose(stages=["@in read x.mrt", {"grep": "ipv6"}, check, {"head": {"count": 2}}])
    one, other = build(spec, NullLog()), build(spec, NullLog())
    assert explain(one) == explain(other)
    assert "[4] head --count=2" in explain(one)
    assert not {*map(id, one.stages)} & {*map(id, [*other.stages, *spec.stages])}
    one.stages[3].count = 5
    assert other.stages[3].count == spec.stages[3].count == 2
    assert all(not stage.callbacks and not stage.inputs for stage in spec.stages)


def test_secrets_of_records_are_not_shown():
    record = {"connect": {"arguments": "192.0.2.1", "md5": "s3cret"}}
    pipeline = build(compose(stages=["speaker", record]), NullLog())
    assert "s3cret" not in explain(pipeline)
    assert "--md5=***" in explain(pipeline)
