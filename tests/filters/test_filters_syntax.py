"""Text to tree: precedence, values, white space, and where errors are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.filters import FilterError, compile_filter
from bgpipe.filters.conditions import BoundCondition
from bgpipe.filters.syntax import MAX_DEPTH, AndNode, Condition, GroupNode, NotNode, OrNode, parse
from cases import all_cases


def show(node) -> str:
    """A tree with parentheses around everything that has parts, and brackets around groups."""
    match node:
        case NotNode(inner):
            return f"!{show(inner)}"
        case GroupNode(inner):
            return f"[{show(inner)}]"
        case AndNode(nodes):
            return "(" + " & ".join(map(show, nodes)) + ")"
        case OrNode(nodes):
            return "(" + " | ".join(map(show, nodes)) + ")"
    return node.predicate


def tree(text: str) -> str:
    return show(parse(text, lambda condition: BoundCondition(condition.name + condition.operator + condition.value)))


def condition(text: str) -> Condition:
    found = []
    parse(text, lambda one: found.append(one) or BoundCondition(None))
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "a"),
        ("a && b || c", "((a & b) | c)"),
        ("a || b && c", "(a | (b & c))"),
        ("a || b && c || d", "(a | (b & c) | d)"),
        ("a && b && c", "(a & b & c)"),
        ("(a || b) && c", "([(a | b)] & c)"),
        ("!a && b", "(!a & b)"),
        ("!(a && b)", "![(a & b)]"),
        ("!!a", "a"),
        ("! ! !a", "!a"),
        ("!a == 1", "!a==1"),
        ("a != 1", "!a==1"),
        ("!a != 1", "!!a==1"),
        ("a!~x", "!a~x"),
        ("a~!x", "!a~x"),
        ("a =! 1", "!a==1"),
        ("a&&b||!c", "((a & b) | !c)"),
        ("\ta\n  &&\nb ", "(a & b)"),
        ("((a))", "[[a]]"),
        ("a>1&&b<=2||c==3", "((a>1 & b<=2) | c==3)"),
    ],
)
def test_precedence(text, shown):
    assert tree(text) == shown


@pytest.mark.parametrize(
    ("text", "value", "quoted"),
    [
        ("a == 1", "1", False),
        ("a==1", "1", False),
        ("a   ==   1", "1", False),
        ('a == "1 2"', "1 2", True),
        ("a == 'it is \"so\"'", 'it is "so"', True),
        (r'a == "say \"so\""', 'say "so"', True),
        (r'a ~ "10\.\d"', r"10\.\d", True),
        (r'a ~ "\\d"', r"\d", True),
        (r'a ~ "\\"', "\\", True),
        ("a == ,204[0-9]+$", ",204[0-9]+$", False),
        ("a ~ ^(1|2),(3)$", "^(1|2),(3)$", False),
        (r"a ~ \)", r"\)", False),
        ("a ~ x\\", "x\\", False),
        ('a == {"type":"T", "value":{"b": 1}}', '{"type":"T", "value":{"b": 1}}', False),
        ("a == ris-live", "ris-live", False),
        ("a == 2001:db8::/32", "2001:db8::/32", False),
        ('a == x"y', 'x"y', False),
    ],
)
def test_values(text, value, quoted):
    found = condition(text)
    assert (found.value, found.quoted) == (value, quoted)
    assert condition(f"( {text} )").value == value or text.endswith("\\")


def test_a_word_ends_where_the_logic_goes_on():
    assert tree("a == 1&&b == 2||c") == "((a==1 & b==2) | c)"
    assert tree("(a == 1)&&(b ~ (x|y))") == "([a==1] & [b~(x|y)])"


def test_names_and_indices():
    found = condition("As-Path[ -1 ]>=5")
    assert (found.name, found.subscript, found.operator, found.value) == ("As-Path", "-1", ">=", "5")
    assert condition("tag[rov/status] == x").subscript == "rov/status"
    assert condition("json[a.b.0]").subscript == "a.b.0"
    assert condition("med").subscript is None


@pytest.mark.parametrize("spelling", ["==", "="])
def test_equals_has_two_spellings(spelling):
    assert condition(f"a {spelling} 1").operator == "=="


ERRORS = [
    ("", 0, "empty filter"),
    ("   ", 3, "empty filter"),
    ("med &&", 6, "a name is expected"),
    ("&& med", 0, "a name is expected"),
    ("med || || otc", 7, "a name is expected"),
    ("(med", 0, "never closed"),
    ("med || (otc && (med)", 7, "never closed"),
    ("med)", 3, "closes nothing"),
    ("med otc", 4, "expecting logical operator"),
    ("med & otc", 4, "expecting logical operator"),
    ("(med otc)", 5, "expecting logical operator"),
    ("med ==", 6, "operator needs value"),
    ("med == && otc", 7, "operator needs value"),
    ("(med ==)", 7, "operator needs value"),
    ('tag == ""', 7, "operator needs value"),
    ('tag == "x', 7, "never closed"),
    ("ext_com == {1", 11, "never closed"),
    ("med === 1", 6, "a value that starts with = needs quotes"),
    ("med => 1", 5, "a value that starts with > needs quotes"),
    ("tag[", 3, "invalid index"),
    ("tag[]", 3, "invalid index"),
    ("tag[x == 1", 3, "invalid index"),
    ("9med", 0, "a name is expected"),
    ("med == 1 && aspaht == 2", 12, "invalid attribute: aspaht; did you mean 'aspath'?"),
    ("medd", 0, "invalid attribute: medd; did you mean 'med'?"),
    ("comunity", 0, "did you mean 'community'?"),
    ("med ~ 1", 4, "invalid operator: med takes"),
    ("as_origin", 9, "invalid operator: as_origin takes"),
    ("update == 1", 7, "invalid operator: update takes (none)"),
    ("otc || med == hello", 14, "invalid value: hello (expected integer)"),
    ("med == 4294967296", 7, "value out of range"),
    ("med == 010", 7, "invalid value: 010"),
    ("seq[0]", 3, "invalid index: seq takes none"),
    ("prefix[1] ~ 10.0.0.0/8", 6, "invalid index: prefix takes [*]"),
    ("aspath[x] == 1", 6, "invalid index: aspath takes [N]"),
    ("aspath[0]", 6, "invalid index: [0] needs one of"),
    ('aspath[0] ~ "1"', 6, "invalid index: [0] needs one of"),
    ("aspath == ASX", 10, "expected an AS number, or a path such as"),
    ("aspath ~ google", 9, "g matches no AS path"),
    ("aspath ~ ^174_x", 14, "x matches no AS path"),
    ("com ~ internal", 6, "i matches no community"),
    ("com ~ ^65000:1x", 14, "x matches no community"),
    ("as_origin == 4294967296", 13, "value out of range"),
    ("as_origin == 65536.1", 13, "value out of range"),
    ("origin == 15169", 10, "as_origin is the AS"),
    ("med and otc", 4, "write && for and"),
    ("med or otc", 4, "write || for or"),
    ("not med", 0, "! negates"),
    ("peer == 1", 0, "peer_asn or peer_ip"),
    ("prefix_sub == 10.0.0.0/8", 0, "prefix <= PREFIX"),
    ("elem_type == A", 0, "reach for announcements"),
    ("peer_ip == 10.0.0.0/8", 11, "peer_ip ~ PREFIX"),
    ("json", 4, "invalid index: json needs one"),
    ("attr[BOGUS]", 4, "unknown attribute: BOGUS"),
    ("attr[commnity]", 4, "did you mean 'COMMUNITY'?"),
    ("prefix ~ 10.0.0.0/33", 9, "not an IP prefix"),
    ("prefix ~ #1#10.0.0.0/8", 9, "path identifiers"),
    ("nh == 10.0.0.0/8", 6, "a single IP address"),
    ("type == UPDAET", 8, "did you mean 'UPDATE'?"),
    ("type == 256", 8, "invalid BGP message type"),
    ("af == ipv5", 6, "invalid AFI/SAFI value"),
    ("origin == bgp", 10, "use igp/egp/incomplete"),
    ("dir == up", 7, "expected L, R, or LR"),
    ("time > yesterday", 7, "invalid time"),
    ("com == 1:2:3", 7, "invalid value"),
    ("com == 1:65536", 7, "invalid value"),
    ("large_com == 1:2", 13, "invalid value"),
    ("ext_com == 1:2", 11, "invalid value"),
    ('ext_com == {"type":"TARGET"}', 11, "invalid value"),
    ("json[x] > y", 10, "requires numeric value"),
    ("aspath ~ (a", 9, "invalid regex: missing )"),
    ('aspath ~ "x(a"', 10, "invalid regex: missing )"),
    ('aspath ~ "[z-a]"', 11, "invalid regex"),
    (r'com ~ "\q"', 7, "invalid regex: invalid escape sequence"),
    ("(" * (MAX_DEPTH + 1) + "med" + ")" * (MAX_DEPTH + 1), MAX_DEPTH, "parentheses inside each other"),
]


@all_cases(("text", "position", "reason"), ERRORS)
def test_errors_say_where(text, position, reason):
    with pytest.raises(FilterError) as caught:
        compile_filter(text)
    error = caught.value
    assert (error.filter, error.position, error.column) == (text, position, position + 1)
    assert reason in error.reason
    assert str(error).startswith(f"filter '{text}': parse error ")
    assert str(error).endswith(f"(column {position + 1})")
    shown, caret = error.caret.split("\n")
    assert len(shown) == len(text)
    assert caret == " " * position + "^"


def test_an_error_repeats_what_is_left():
    with pytest.raises(FilterError, match=r"parse error near 'hello && otc': invalid value") as caught:
        compile_filter("med == hello && otc")
    assert caught.value.reason == "invalid value: hello (expected integer)"
    with pytest.raises(FilterError, match=r"parse error at the end: operator needs value"):
        compile_filter("med == ")
    with pytest.raises(FilterError, match=r"near 'x{60}\.\.\.': invalid attribute"):
        compile_filter("x" * 500)


def test_as_many_parentheses_as_allowed():
    assert compile_filter("(" * MAX_DEPTH + "med" + ")" * MAX_DEPTH)
    assert compile_filter("!" * 10_001 + "med")


def test_long_filters():
    many = " || ".join(f"prefix ~ 10.{n >> 8}.{n & 255}.0/24" for n in range(6000))
    with pytest.raises(FilterError, match="more than 4096 conditions") as caught:
        compile_filter(many)
    assert many[: caught.value.position].count("prefix") == 4096
    assert compile_filter(many[: caught.value.position].rpartition(" || ")[0]).program
    slow = [f"json[{n}]" for n in range(257)]
    with pytest.raises(FilterError, match="more than 256 conditions that the compiled part can't answer"):
        compile_filter(" && ".join(slow))
    assert compile_filter(" && ".join(slow[:256]))


_WORDS = r"""
! ( ) && || == != = < <= > >= ~ !~ [ ] [0] [-1] [*] [x] [attrs.MED.value] { } " ' \ & | , * + ? é
update open ipv4 af type prefix reach nexthop aspath as_origin aspath_len origin med com ext_com large_com tag json attr
time dir seq igp 1 65536 4294967296 -1 0x10 1.5 1e999 10.0.0.0/8 ::/0 1:2 1:2:3 UPDATE L 2023 9999-99-99
(a+)+$ (a [z-a] \\d{3} {"type":"TARGET","value":"1:2"} 'z'
"""
WORDS = [*_WORDS.split(), "tag[PEER_AS] == 99999999999999999999", '"x y"', "\x00", "\ud800"]


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.sampled_from(["", " "]))
def test_word_soup_is_a_filter_or_a_filter_error(words, between):
    _compile_or_error(between.join(words))


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_a_filter_error(text):
    _compile_or_error(text)


@given(st.sampled_from([field for field, *_ in ERRORS]), st.text(max_size=3), st.integers(0, 30))
def test_broken_filters_are_filter_errors(text, put_in, place):
    _compile_or_error(text[:place] + put_in + text[place + 1 :])


def _compile_or_error(text: str) -> None:
    try:
        compile_filter(text)
    except FilterError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017
