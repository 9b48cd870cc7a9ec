"""Tables for accel, against RE2."""

from __future__ import annotations

from random import Random

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.filters.dfa import LETTERS, MAX_STATES, ROW, match_table, pattern_table, text_table
from bgpipe.wire.attrs.as_path import make_path
from bgpipe.wire.attrs.community import format_json

_ATOMS = r"1 2 9 , . \d \D \[ \] \, ^ $ \A \z \b \B : 6939 [0-4] [^,] [1x] []] [^]0-9] [\d,] [,-] x é ()"
ATOMS = [*_ATOMS.split(), '"']
PATTERNS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join).map("(%s)".__mod__),
        st.tuples(
            inner.map("(?:%s)".__mod__), st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,3}", "{0,}", "{0}"])
        ).map("".join),
    ),
    max_leaves=10,
)
_rng = Random(1)
_ASES = [1, 2, 12, 99, 6939, 64500, 4_200_000_000]


def _path() -> str:
    hops = [
        tuple(_rng.choices(_ASES, k=_rng.randint(1, 3))) if _rng.random() < 0.2 else _rng.choice(_ASES)
        for _ in range(_rng.randint(1, 6))
    ]
    return str(make_path(*hops))


PATHS = [_path() for _ in range(60)]
COMMUNITIES = [format_json(tuple(_rng.choices(_ASES, k=_rng.randint(1, 4))))[1:-1] for _ in range(20)]


def search(pattern: str, text: str) -> bool:
    return re2.search(pattern, text) is not None


@given(PATTERNS)
def test_tables_find_what_re2_finds(pattern):
    table = pattern_table(pattern)
    for text in (*PATHS, *COMMUNITIES, "", "1"):
        assert not table or match_table(table, text) == search(pattern, text), text


@pytest.mark.parametrize(
    "pattern",
    [
        ",6939,",
        "^6939",
        "6939$",
        r"\b6939\b",
        r",204[0-9]+$",
        r"^(174|3356|1299),",
        r"(^|,)(174|3356)(,|$)",
        r"^[0-9]+,6939,[0-9]+$",
        r"\[.*\]",
        r"([0-9]+,){3}6939",
        "(a+)+$",
        "",
    ],
)
def test_what_people_write_has_a_table(pattern):
    table = pattern_table(pattern)
    assert 0 < len(table) <= MAX_STATES * ROW
    assert len(table) % ROW == 0
    assert max(table) < len(table) // ROW
    assert [text for text in PATHS if match_table(table, text)] == [text for text in PATHS if search(pattern, text)]


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?i)x",
        r"(?P<n>1)",
        r"\pN",
        r"\x31",
        r"[[:digit:]]",
        r"[\d-9]",
        r"1{2}{3}",
        r"6939.{20}1",
        r"\Q1.2\E",
        r"x{,5}",
        "(" * 60 + "1" + ")" * 60,
        "(1|2){900}",
    ],
)
def test_the_rest_is_left_to_re2(pattern):
    assert pattern_table(pattern) == b""


def test_exact_texts():
    for text in PATHS:
        table = text_table(text)
        assert [other for other in PATHS if match_table(table, other)] == [other for other in PATHS if other == text]
    assert not match_table(text_table("1,(2)"), "1,2")
    assert text_table(",".join(["4200000000"] * 100)) == b""


def test_what_is_settled_stays_so():
    table = pattern_table("^1")
    assert table[:ROW] == bytes(ROW)
    assert table[ROW : 2 * ROW] == bytes([1] * ROW)
    assert table[2 * ROW : 3 * ROW] == bytes(letter == "1" for letter in LETTERS) + b"\0"
