"""When a pipeline is over: the situations that command lines come into, and what holds for all of them."""

from __future__ import annotations

from itertools import product

import pytest

from bgpipe.pipeline.lifecycle import EndAction, Record, StageKind, StageState, next_step
from cases import all_cases

LETTERS = {"S": StageKind.SOURCE, "B": StageKind.BACKGROUND, "T": StageKind.TRANSFORMER, "P": StageKind.PASSIVE}
STATES = {
    "w": StageState.WAITING,
    "i": StageState.STARTING,
    "r": StageState.RUNNING,
    "d": StageState.DRAINING,
    "s": StageState.STOPPING,
} | {"e": StageState.ENDED}


def record(text: str) -> Record:
    """`Sr+` a source that runs and is open, `Sr*` busy, `Sr+*` both."""
    return Record(LETTERS[text[0]], STATES[text[1]], "+" in text, "*" in text)


def step(text: str, flow: str = "R") -> str:
    action, place = next_step([record(word) for word in text.split()], flow)
    return f"{action.value} {place}" if action is EndAction.DRAIN else action.value


@all_cases(
    ("records", "expected"),
    [
        # a file through filters
        ("Sr+ Pr Pr", "wait"),
        ("Sr+* Pr", "wait"),
        ("Sr* Pr", "wait"),
        ("Sr Pr Pr", "finish"),
        ("Se Pr Pr", "finish"),
        # head before a program, which is drained and gets all the time that it needs
        ("Sr Pr Tr+ Pr", "drain 2"),
        ("Se Pr Td+ Pr", "wait"),
        ("Se Pr Te Pr", "finish"),
        # head before --rate-limit
        ("Sr* Pr Pr", "wait"),
        # a file, a speaker and its peer: with --no-linger, and without
        ("Sr+ Br+ Br+", "wait"),
        ("Se Br+ Br+", "finish"),
        ("Se Sr+ Sr+", "wait"),
        # a speaker alone with its peer
        ("Br+ Br+", "wait"),
        ("Br Br", "finish"),
        # a file that waits for an event of the session, and one that will never start
        ("Sw+ Br+ Br+", "wait"),
        ("Se Sw+ Pr", "finish"),
        # a program between two peers
        ("Sr+ Tr+ Sr+", "wait"),
        ("Sr Tr+ Sr", "drain 1"),
        # alone it is the source
        ("Tr+ Pr", "wait"),
        ("Tr Pr", "finish"),
        # two programs one after the other
        ("Se Tr+ Tr+ Pr", "drain 1"),
        ("Se Td+ Tr+ Pr", "wait"),
        ("Se Te Tr+ Pr", "drain 2"),
        ("Se Te* Tr+ Pr", "wait"),
        # a file after another
        ("Se Sr+ Pr", "wait"),
        # the program died, and what waited for it is still on its way
        ("Se Te* Pr", "wait"),
        # --stop of a source, of a program
        ("Ss* Pr", "wait"),
        ("Se Tr+ Pr", "drain 1"),
        ("Sr+ Td+ Pr", "wait"),
        # nobody makes messages, or the one who would has not been started
        ("Pr Pr", "finish"),
        ("Se Tw+ Pr", "finish"),
        ("Si+ Pr", "wait"),
    ],
)
def test_situations(records, expected):
    assert step(records) == expected


def test_what_enters_from_the_right_is_drained_from_the_right():
    assert step("Tr+ Tr+ Se", "L") == "drain 1"
    assert step("Tr+ Te Se", "L") == "drain 0"


def all_records() -> list[Record]:
    flags = (True, False)
    return [Record(*each) for each in product(StageKind, StageState, flags, flags)]


def test_rules_for_all_combinations_of_two_stages():
    for pair in product(all_records(), repeat=2):
        action, place = next_step(pair)
        if any(each.busy or each.state in (StageState.STARTING, StageState.STOPPING) for each in pair):
            assert action is EndAction.WAIT, pair
        if any(each.kind is StageKind.SOURCE and each.open and each.state is StageState.RUNNING for each in pair):
            assert action is EndAction.WAIT, pair
        if all(each.state is StageState.ENDED and not each.busy for each in pair):
            assert action is EndAction.FINISH, pair
        if action is EndAction.DRAIN:
            assert (pair[place].kind, pair[place].state) == (StageKind.TRANSFORMER, StageState.RUNNING), pair


@pytest.mark.parametrize("count", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_it_comes_to_an_end_whatever_the_combination(count):
    """Where what is under way comes through, programs end when drained, and inputs are shut, it is over at last."""
    for combination in product([each for each in all_records() if each.state is not StageState.WAITING], repeat=count):
        records = [
            each._replace(open=each.open and each.kind is StageKind.TRANSFORMER, busy=False) for each in combination
        ]
        settled = {
            StageState.STARTING: StageState.RUNNING,
            StageState.STOPPING: StageState.ENDED,
            StageState.DRAINING: StageState.ENDED,
        }
        for _ in range(6):
            records = [each._replace(state=settled.get(each.state, each.state)) for each in records]
            records = [each._replace(open=each.open and each.state is not StageState.ENDED) for each in records]
            action, place = next_step(records)
            if action is EndAction.DRAIN:
                records[place] = records[place]._replace(state=StageState.DRAINING)
            elif action is EndAction.WAIT:
                assert all(each.kind is StageKind.TRANSFORMER for each in records if each.open), combination
                records = [each._replace(open=False) for each in records]  # programs alone end by themselves
            else:
                break
        assert action is EndAction.FINISH, combination
