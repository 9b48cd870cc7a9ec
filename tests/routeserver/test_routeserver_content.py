"""What a list says, in all the forms in which lists are published."""

from __future__ import annotations

import bz2
import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routeserver.sources.content import ANYWHERE, ContentError, Form, read
from bgpipe.routeserver.sources.worker import Lane, pack_prefixes, read_list, unpack_prefixes


@pytest.mark.parametrize(
    ("line", "prefixes"),
    [
        ("192.0.2.0/24", ["192.0.2.0/24"]),
        ("192.0.2.77/24", ["192.0.2.0/24"]),
        ("  192.0.2.0/24  # documentation", ["192.0.2.0/24"]),
        ("192.0.2.0/24;x", ["192.0.2.0/24"]),
        ("192.0.2.0 255.255.255.0", ["192.0.2.0/24"]),
        ("192.0.2.0/255.255.255.0", ["192.0.2.0/24"]),
        ("192.0.2.1", ["192.0.2.1/32"]),
        ("192.0.2.0-192.0.2.5", ["192.0.2.0/30", "192.0.2.4/31"]),
        ("192.0.2.0 - 192.0.2.255", ["192.0.2.0/24"]),
        ("2001:db8::1/32", ["2001:db8::/32"]),
        ("2001:db8::1", ["2001:db8::1/128"]),
        ("2001:db8::-2001:db8::3", ["2001:db8::/126"]),
        ("route:          198.51.100.0/24", ["198.51.100.0/24"]),
        ("route6: 2001:db8::/32", ["2001:db8::/32"]),
        ("add address=203.0.113.0/24 list=x", ["203.0.113.0/24"]),
        ('"5.5.5.0/24","Some, name",3', ["5.5.5.0/24"]),
        ("RU,91.0.0.0/8", ["91.0.0.0/8"]),
        ("<b>10.0.0.0/8</b>", []),
    ],
)
def test_a_line(line, prefixes):
    content = read(f"1.2.3.0/24\n{line}\n".encode())
    assert sorted(content.prefixes - PrefixSet.parse(["1.2.3.0/24"])) == sorted(prefixes)
    assert content.bad == (not prefixes)


def test_bad_lines_are_counted_and_shown():
    lines = "192.0.2.0/24,,# no,nonsense\x07,10.0.0.0/8,192.0.2.0/33,0.0.0.0/0,::ffff:1.2.3.4,1.0.0.0/8,2.0.0.0/8"
    content = read(lines.replace(",", "\n").encode())
    assert list(content.prefixes) == ["1.0.0.0/8", "2.0.0.0/8", "10.0.0.0/8", "192.0.2.0/24"]
    assert content.bad == 4
    assert content.samples[:2] == [(4, "nonsense?"), (6, "192.0.2.0/33")]


@pytest.mark.parametrize(
    ("value", "prefixes"),
    [
        ({"prefixes": [{"ip_prefix": "1.0.0.0/8", "region": "x"}], "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/32"}]},
         ["1.0.0.0/8", "2001:db8::/32"]),
        ({"prefixes": [{"ipv4Prefix": "8.8.4.0/24"}, {"ipv6Prefix": "2001:4860::/32"}], "syncToken": "1"},
         ["8.8.4.0/24", "2001:4860::/32"]),
        ({"site.example": ["1.2.3.4", "5.6.7.0/24"]}, ["1.2.3.4/32", "5.6.7.0/24"]),
        (["192.0.2.0/24"], ["192.0.2.0/24"]),
        ({"result": {"ipv4_cidrs": ["192.0.2.0/24"], "etag": "1/2"}}, ["192.0.2.0/24"]),
    ],
)  # fmt: skip
def test_json(value, prefixes):
    assert list(read(json.dumps(value).encode()).prefixes) == prefixes


def test_json_at_a_path():
    octets = json.dumps({"data": [{"net": "192.0.2.0/24"}, {"net": "x"}], "old": ["10.0.0.0/8"]}).encode()
    content = read(octets, Form(json="data.*.net"))
    assert (list(content.prefixes), content.bad) == (["192.0.2.0/24"], 1)
    with pytest.raises(ContentError, match=r"nothing at data\.x"):
        read(octets, Form(json="data.x"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed_lists(pack):
    assert list(read(pack(b"192.0.2.0/24\n")).prefixes) == ["192.0.2.0/24"]
    with pytest.raises(ContentError, match="can't be unpacked"):
        read(pack(b"192.0.2.0/24\n" * 100)[:-9])


@pytest.mark.parametrize(
    "octets",
    [b"", b" \n", b"<html>\n<body>404</body>", b"\xff\xfe\0", b"{", b'{"error": "no"}', b"# only\n# comments\n",
     b"not\na\nlist\n10.0.0.0/8\n", b"[" * 10_000],
)  # fmt: skip
def test_what_is_no_list_is_refused(octets):
    with pytest.raises(ContentError):
        read(octets)


def test_a_list_that_grows_when_it_is_unpacked_is_refused(monkeypatch):
    monkeypatch.setattr("bgpipe.routeserver.sources.content.MAX_UNPACKED", 1 << 20)
    with pytest.raises(ContentError, match="larger than 1 MiB"):
        read(gzip.compress(b"\n" * (2 << 20)))


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused(octets):
    with suppress(ContentError):
        assert read(octets).prefixes


async def test_a_list_is_read_in_a_process_of_its_own():
    content = await read_list(b"192.0.2.0/24\nx\n2001:db8::/32\n10.0.0.0/8\n", ANYWHERE, Lane())
    assert list(content.prefixes) == ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]
    assert content.samples == [(2, "x")]
    with pytest.raises(ContentError, match="it is empty"):
        await read_list(b"", ANYWHERE, Lane())


@given(st.lists(st.integers(0, 2**32 - 1)), st.lists(st.integers(0, 2**128 - 1)))
def test_prefixes_are_packed_and_unpacked(ipv4, ipv6):
    prefixes = PrefixSet.of((address << 8 | 32 for address in ipv4), (address << 8 | 128 for address in ipv6))
    assert unpack_prefixes(*pack_prefixes(prefixes)) == prefixes
