"""Cases that share a test: each runs, and those that fail are named."""

from __future__ import annotations

import pytest

from cases import all_cases


def test_every_case_runs_and_those_that_fail_are_named(tmp_path):
    seen = []

    @all_cases("number, text", [(1, "one"), (2, "two"), (3, "three")], ids=["first", "second", "third"])
    @all_cases("sign", "+-")
    def check(number, text, sign, folder):
        assert folder == tmp_path
        seen.append(f"{sign}{number} {text}")
        if sign == "-":
            assert number == 2

    with pytest.raises(ExceptionGroup, match="2 of 3 cases failed") as caught:
        check(folder=tmp_path)
    assert seen == ["+1 one", "-1 one", "+2 two", "-2 two", "+3 three", "-3 three"]
    assert [error.__notes__ for error in caught.value.exceptions] == [["the case is first"], ["the case is third"]]
    assert [error.exceptions[0].__notes__ for error in caught.value.exceptions] == [["the case is '-'"]] * 2


def test_a_case_that_is_skipped_skips_no_other():
    seen = []

    @all_cases("number", [1, 2, 3])
    def check(number):
        if number < 3:
            pytest.skip(f"not {number}")
        seen.append(number)

    check()
    assert seen == [3]
    with pytest.raises(pytest.skip.Exception, match="not 1"):
        all_cases("number", [1, 2])(check.__wrapped__)()


def test_no_cases_are_a_failure():
    with pytest.raises(AssertionError, match="there are no cases"):
        all_cases("number", [])(lambda number: None)()
