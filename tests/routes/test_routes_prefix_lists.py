"""Lists of prefixes and AS numbers in the spellings of bgpq4 and routers, and what they match."""

from __future__ import annotations

from random import Random

import pytest

from bgpipe import accel
from bgpipe.routes import prefix_lists
from bgpipe.routes.prefix_lists import PrefixList, PrefixRange, entry_of, parse_as_list, parse_prefix_list
from bgpipe.wire.errors import TextError
from bgpipe.wire.prefix import AFI_BITS, Prefix, parse_prefix

TWO = PrefixList([entry_of("192.0.2.0/24"), entry_of("198.51.100.0/22", 22, 24)])
SPELLINGS = {
    "bgpq4 json": '{ "NN": [ { "prefix": "192.0.2.0\\/24", "exact": true },'
    ' { "prefix": "198.51.100.0\\/22", "exact": false, "less-equal": 24 } ] }',
    "bird": "NN = [\n    192.0.2.0/24,\n    198.51.100.0/22{22,24}\n];\n",
    "bird define": "define NN = [ 192.0.2.0/24, 198.51.100.0/22{22,24} ];",
    "openbgpd": "prefix {\n\t192.0.2.0/24\n\t198.51.100.0/22 prefixlen 22 - 24\n}",
    "openbgpd set": "prefix-set NN { 192.0.2.0/24, 198.51.100.0/22 maxlen 24 }",
    "ios": "no ip prefix-list NN\nip prefix-list NN permit 192.0.2.0/24\n"
    "ip prefix-list NN permit 198.51.100.0/22 le 24\n",
    "ios seq": "ip prefix-list NN seq 5 permit 192.0.2.0/24\nip prefix-list NN seq 10 permit 198.51.100.0/22 le 24",
    "junos": "policy-options {\n  route-filter-list NN {\n    192.0.2.0/24 exact;\n    198.51.100.0/22 upto /24;\n}\n}",
    "lines": "# ours\n192.0.2.0/24\n\n198.51.100.0/22 ge 22 le 24  # and more\n",
    "rpsl": "192.0.2.0/24\n198.51.100.0/22^22-24\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings(spelling):
    assert parse_prefix_list(SPELLINGS[spelling]) == TWO


@pytest.mark.parametrize(
    ("text", "shortest", "longest"),
    [
        ("10.0.0.0/8+", 8, 32),
        ("10.0.0.0/8^-", 9, 32),
        ("10.0.0.0/8 orlonger", 8, 32),
        ("10.0.0.0/8 ge 16", 16, 32),
        ("10.0.0.0/8 prefixlen >= 12", 12, 32),
        ("2001:db8::/32 le 48", 32, 48),
        ("10.0.0.0/8 prefix-length-range /16-/24", 16, 24),
    ],
)
def test_lengths(text, shortest, longest):
    assert parse_prefix_list(text) == PrefixList(
        [PrefixRange(parse_prefix(text.split()[0].rstrip("+^-")), shortest, longest)]
    )


@pytest.mark.parametrize(
    "text",
    ["192.0.2.0/33", "<html>", "192.0.2.0/24 le 23", "ip prefix-list NN deny 192.0.2.0/24", '{"NN": 1}', "192.0.2.1"],
)
def test_what_is_no_list(text):
    with pytest.raises(TextError):
        parse_prefix_list(text)


LINES = [
    *("10.0.0.0/8", "10.1.2.3/16", "  10.0.0.0/8 le 24 ", "10.0.0.0/8 ge 9", "10.0.0.0/8 ge 9 le 10"),
    *("0.0.0.0/0 le 24", "10.0.0.0/8{8,24},", "10.0.0.0/8,", "10.0.0.0/8 le 24,", "10.0.0.0/8{8,24} le 9"),
    *("10.0.0.0/8 le 7", "10.0.0.0/8{9,8}", "10.0.0.0/33", "256.0.0.0/8", "010.0.0.0/8", "2001:db8::/32"),
    *("10.0.0.0/8+", "permit 10.0.0.0/8", "10.0.0.0/8 11.0.0.0/8", "10.0.0.0/8 le", "# 10.0.0.0/8", ""),
    *("10.0.0.0/8 ge 9{8,9}", "10.0.0.0/8 # ours", "x 10.0.0.0/8 <", "deny 10.0.0.0/8", "deny"),
]


def test_simple_lines_are_read_as_any_other():
    """Those that are read quickly give what they give where none is."""

    def read(text: str) -> object:
        try:
            found = parse_prefix_list(text)
        except TextError as error:
            return str(error)
        return found.ipv4, found.ipv6

    random = Random(3)
    texts = [*LINES, *("\n".join(random.choices(LINES, k=random.randrange(1, 6))) for _ in range(500))]
    quick = [read(text) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_lists, "_quick_lines", lambda text: ([], text))
        assert quick == [read(text) for text in texts]
    assert sum(isinstance(each, tuple) for each in quick) > 50


def test_an_empty_list_of_a_router_is_empty():
    assert len(parse_prefix_list("! generated prefix-list NN is empty\nip prefix-list NN deny 0.0.0.0/0\n")) == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"NN": [1001,1002]}',
        "NN = [ 1001, 1002 ];",
        "as-set NN { 1001 1002 }",
        "AS1001\n1002 # two\n",
        "1001-1002",
        "no ip as-path access-list NN\nip as-path access-list NN permit ^1001(_1001)*$\n"
        "ip as-path access-list NN permit ^1001(_[0-9]+)*_(1002)$\n",
    ],
)
def test_as_numbers(text):
    assert parse_as_list(text).ranges == [(1001, 1002)]


@pytest.mark.parametrize("text", ["1001 x", "4294967296", "<html>", "ip as-path access-list NN permit .*"])
def test_what_is_no_list_of_as_numbers(text):
    with pytest.raises(TextError):
        parse_as_list(text)


def test_accel_and_python_find_the_same(monkeypatch):
    random = Random(7)

    def prefix(afi: int, longest: int) -> Prefix:
        bits, length = AFI_BITS[afi], random.choice((random.randint(0, longest), longest, 12))
        address = random.getrandbits(8) << bits - 11 | random.getrandbits(4) << bits - longest
        return Prefix(afi, address >> bits - length << bits - length, length)

    entries = []
    for _ in range(300):
        made = prefix(afi := random.choice((1, 2)), AFI_BITS[afi])
        low = random.randint(made.length, AFI_BITS[afi])
        entries.append(PrefixRange(made, low, random.randint(low, AFI_BITS[afi])))
    quick = PrefixList(entries)
    monkeypatch.setattr(accel, "AVAILABLE", False)
    plain = PrefixList(entries)
    routes = [prefix(afi, AFI_BITS[afi]) for _ in range(10000) if (afi := random.choice((1, 2)))]
    assert [quick.covers(each) for each in routes] == [plain.covers(each) for each in routes]
    assert [quick.matches(each) for each in routes] == [plain.matches(each) for each in routes]
    assert 0 < sum(map(plain.matches, routes)) < len(routes)
