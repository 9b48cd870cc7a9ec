"""What a list says, in all the forms in which lists are published."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import json
import math
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.net.process import Output
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routeserver.sources import worker
from bgpipe.routeserver.sources.content import ANYWHERE, ContentError, Form, read
from bgpipe.routeserver.sources.worker import Lane, pack_prefixes, read_list, unpack_prefixes


def zstd(octets: bytes) -> bytes:
    try:
        from compression.zstd import compress
    except ImportError:
        from backports.zstd import compress
    return compress(octets)


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
        ("5.5.5.0/24,5.5.7.0/24, 2001:db8::/32", ["5.5.5.0/24", "5.5.7.0/24", "2001:db8::/32"]),
        ("5.5.5.1 5.5.5.3\t5.5.5.5", ["5.5.5.1/32", "5.5.5.3/32", "5.5.5.5/32"]),
        ("5.5.5.1,5.5.5.3", ["5.5.5.1/32", "5.5.5.3/32"]),
        ("define x = { 5.5.5.0/24, 5.5.7.0/24 }", ["5.5.5.0/24", "5.5.7.0/24"]),
        ("[5.5.5.0/24, 5.5.7.0/24]", ["5.5.5.0/24", "5.5.7.0/24"]),
        ("5.5.5.0/24 5.5.7.1", ["5.5.5.0/24"]),  # and its gateway
        ('address=5.5.5.0/24 comment="was 5.5.7.0/24"', ["5.5.5.0/24"]),
        ("inetnum:  5.5.5.0 - 5.5.5.255", ["5.5.5.0/24"]),
        ("a range 2001:db8:: - 2001:db8::3 of mine", ["2001:db8::/126"]),
        ("inetnum:  5.5.5.9 - 5.5.5.0", []),
        ("permit ip 5.5.5.0 0.0.0.255 any", ["5.5.5.0/24"]),
        ("set 5.5.5.0 netmask 255.255.255.0", ["5.5.5.0/24"]),
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


CLOUDS = {
    "aws": ({"syncToken": "1", "createDate": "2026-11-28-00-00-00",
             "prefixes": [{"ip_prefix": "3.2.34.0/26", "region": "af-south-1", "service": "AMAZON"}],
             "ipv6_prefixes": [{"ipv6_prefix": "2600:1f60::/40", "service": "EC2"}]},
            ["3.2.34.0/26", "2600:1f60::/40"]),
    "google": ({"syncToken": "1", "prefixes": [{"ipv4Prefix": "8.8.4.0/24"}, {"ipv6Prefix": "2001:4860::/32"},
                                               {"ipv4Prefix": "34.1.0.0/20", "service": "x", "scope": "y"}]},
               ["8.8.4.0/24", "34.1.0.0/20", "2001:4860::/32"]),
    "azure": ({"changeNumber": 1, "cloud": "Public", "values": [{"name": "ActionGroup", "properties": {
                  "region": "", "addressPrefixes": ["4.145.74.52/30", "2603:1000:4:402::178/125"]}}]},
              ["4.145.74.52/30", "2603:1000:4:402::178/125"]),
    "cloudflare": ({"result": {"ipv4_cidrs": ["173.245.48.0/20"], "ipv6_cidrs": ["2400:cb00::/32"], "etag": "38f79d/2"},
                    "success": True, "errors": [], "messages": []},
                   ["173.245.48.0/20", "2400:cb00::/32"]),
    "fastly": ({"addresses": ["23.235.32.0/20"], "ipv6_addresses": ["2a04:4e40::/32"]},
               ["23.235.32.0/20", "2a04:4e40::/32"]),
    "github": ({"verifiable_password_authentication": False, "ssh_keys": ["ssh-ed25519 AAAA/C3Nz"],
                "ssh_key_fingerprints": {"SHA256_RSA": "uNiVztksCsDhcc0u9e8B/rXVTSMu"}, "hooks": ["192.30.252.0/22"],
                "api": ["192.30.252.0/22", "20.201.28.148/32"], "actions": ["2603:1030:401:16f::/64"],
                "domains": {"website": ["*.github.com"], "actions_inbound": {"full_domains": ["github.com"]}}},
               ["20.201.28.148/32", "192.30.252.0/22", "2603:1030:401:16f::/64"]),
    "oracle": ({"last_updated_timestamp": "2026-11-20T00:00:00.0", "regions": [
                  {"region": "us-phoenix-1", "cidrs": [{"cidr": "129.146.0.0/21", "tags": ["OCI"]}]}]},
               ["129.146.0.0/21"]),
    "iplist": ({"youtube.com": {"domains": ["youtube.com"], "dns": ["127.0.0.11:53", "77.88.8.88:53"], "timeout": 3600,
                                "ip4": ["74.125.1.2"], "cidr4": ["74.125.0.0/16"], "ip6": ["2a00:1450::1"],
                                "cidr6": [], "external": {"cidr4": ["https://example.org/x/24"]}}},
               ["74.125.0.0/16", "74.125.1.2/32", "2a00:1450::1/128"]),
    "iplist by site": ({"youtube.com": ["74.125.0.0/16", "74.126.0.1"]}, ["74.125.0.0/16", "74.126.0.1/32"]),
    "ripestat": ({"data": {"resources": {"asn": ["1", "2"], "ipv4": ["5.1.0.0/16"], "ipv6": ["2a00::/32"]}}},
                 ["5.1.0.0/16", "2a00::/32"]),
    "bgpq4": ({"x": [{"prefix": "5.1.0.0/16", "exact": True}]}, ["5.1.0.0/16"]),
}  # fmt: skip


def test_json_of_clouds_is_read_as_it_is():
    for name, (value, prefixes) in CLOUDS.items():
        for octets in (json.dumps(value).encode(), json.dumps(value, indent=2).encode(), json.dumps([value]).encode()):
            content = read(octets)
            assert (name, list(content.prefixes), content.bad) == (name, prefixes, 0)


def test_a_cloud_that_says_something_else_in_the_place_of_a_prefix_is_told():
    octets = json.dumps({"prefixes": [{"ip_prefix": "3.0.0.0/8"}, {"ip_prefix": "4.0.0.0/33"}]}).encode()
    content = read(octets)
    assert (list(content.prefixes), content.samples) == (["3.0.0.0/8"], [(2, "4.0.0.0/33")])


def test_json_at_a_path():
    octets = json.dumps({"data": [{"net": "192.0.2.0/24"}, {"net": "x"}], "old": ["10.0.0.0/8"]}).encode()
    content = read(octets, Form(json="data.*.net"))
    assert (list(content.prefixes), content.bad) == (["192.0.2.0/24"], 1)
    with pytest.raises(ContentError, match=r"nothing at data\.x"):
        read(octets, Form(json="data.x"))


GEO = """\
# from somewhere
network,country,"name, long"
5.5.5.0/24,RU,"x, y"
5.5.6.0/24,DE,
2001:db8::/32,RU,"5.5.7.0/24"
nonsense,RU,
,RU,
"""


@pytest.mark.parametrize(
    ("text", "column", "prefixes", "bad"),
    [
        (GEO, "network", ["5.5.5.0/24", "5.5.6.0/24", "2001:db8::/32"], 2),
        (GEO, "NETWORK", ["5.5.5.0/24", "5.5.6.0/24", "2001:db8::/32"], 2),
        (GEO, "1", ["5.5.5.0/24", "5.5.6.0/24", "2001:db8::/32"], 2),
        ("1;5.5.5.0-5.5.5.3;x\n2;5.5.6.1;y\n", "2", ["5.5.5.0/30", "5.5.6.1/32"], 0),
        ("a\tcidr\n1\t5.5.5.0/24\n", "cidr", ["5.5.5.0/24"], 0),
        ("5.5.5.0 255.255.255.0|x\n", "1", ["5.5.5.0/24"], 0),
    ],
)
def test_csv(text, column, prefixes, bad):
    content = read(text.encode(), Form(column=column))
    assert (list(content.prefixes), content.bad) == (prefixes, bad)
    if bad:
        assert content.samples == [(6, "nonsense"), (7, "")]


@pytest.mark.parametrize("column", ["net", "9", "0"])
def test_csv_without_the_column(column):
    with pytest.raises(ContentError):
        read(GEO.encode(), Form(column=column))


def test_rpsl():
    octets = b"""\
% This is the RIPE Database query service.

route:          5.5.5.0/24   # a comment
descr:          was 5.5.6.0/24
                and 5.5.7.0/24
+               and 5.5.8.0/24
origin:         AS64500
mnt-by:         X-MNT
source:         RIPE # Filtered

route6:         2001:db8:1::/48
holes:          2001:db8:1:2::/64
origin:         AS64500

route:          5.5.5/24x
origin:         AS64500
"""
    content = read(octets)
    assert list(content.prefixes) == ["5.5.5.0/24", "2001:db8:1::/48"]
    assert (content.lines, content.samples) == (3, [(15, "5.5.5/24x")])


END = "2027-01-01T00:00:00Z"
AT = 1798761600.0
ENDING = {
    "behind": f"192.0.2.0/24 expires={END}\n198.51.100.0/24\n",
    "a comment": f"192.0.2.0/24  # RTBH, expires={END} (ticket 7)\r\n198.51.100.0/24 # no end\r\n",
    "the other way": f"expires={END},192.0.2.0/24\n198.51.100.0/24\n",
    "capitals, another zone": "192.0.2.0/24;EXPIRES=2027-01-01T01:00:00+01:00\n198.51.100.0/24\n",
    "a range": f"192.0.2.0-192.0.2.255 expires={END}\n198.51.100.0 255.255.255.0\n",
    "the later end": f"192.0.2.0/24 expires=2026-01-01\n192.0.2.0/24 expires={END}\n198.51.100.0/24\n",
    "no end": f"192.0.2.0/24 expires={END}\n198.51.100.0/24 expires={END}\n198.51.100.0/24\n",
    "json": json.dumps([{"prefix": "192.0.2.0/24", "expires": END}, {"prefix": "198.51.100.0/24", "expires": None}]),
    "json, a number": json.dumps({"x": {"cidr": "192.0.2.0/24", "expires": AT}, "y": {"cidr": "198.51.100.0/24"}}),
    "json of its own": json.dumps(
        {"expires": "never", "data": [{"prefix": "192.0.2.0/24", "expires": END}, {"prefix": "198.51.100.0/24"}]}
    ),
}


@pytest.mark.parametrize("text", ENDING.values(), ids=ENDING)
def test_lines_that_have_an_end(text):
    content = read(text.encode())
    assert (list(content.prefixes), content.bad) == (["192.0.2.0/24", "198.51.100.0/24"], 0)
    assert list(content.lifetimes.prefixes) == ["192.0.2.0/24"]
    assert content.lifetimes.next(AT - 1) == AT
    assert list(content.lifetimes.alive(content.prefixes, AT - 1)) == ["192.0.2.0/24", "198.51.100.0/24"]
    assert list(content.lifetimes.alive(content.prefixes, AT)) == ["198.51.100.0/24"]
    assert content.lifetimes.next(AT) == math.inf


@pytest.mark.parametrize("form", [Form(column="net"), Form(column="2")])
def test_csv_with_ends(form):
    text = f"Expires;net\n{END};192.0.2.0/24\n;198.51.100.0/24\n{END};2001:db8::/32\nx;9.9.9.9\n"
    content = read(text.encode(), form)
    assert list(content.prefixes) == ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"]
    assert list(content.lifetimes.prefixes) == ["192.0.2.0/24", "2001:db8::/32"]
    assert content.samples == [(5, "9.9.9.9 expires=x")]


@pytest.mark.parametrize("path", ["data.*.net", "data.*.*", "data.net"])
def test_json_at_a_path_with_ends(path):
    value = {"data": [{"net": "192.0.2.0/24", "expires": END}, {"net": "198.51.100.0/24"}], "expires": "x"}
    content = read(json.dumps(value).encode(), Form(json=path))
    assert (list(content.prefixes), content.bad) == (["192.0.2.0/24", "198.51.100.0/24"], 0)
    assert list(content.lifetimes.prefixes) == ["192.0.2.0/24"]


@pytest.mark.parametrize("end", ["tomorrow", "", "2027-13-01", "1e9"])
def test_a_line_whose_end_is_no_time_is_told_and_does_not_count(end):
    content = read(f"192.0.2.0/24\n9.9.9.0/24 expires={end}\n198.51.100.0/24\n".encode())
    assert list(content.prefixes) == ["192.0.2.0/24", "198.51.100.0/24"]
    assert content.samples == [(2, f"9.9.9.0/24 expires={end}")]
    value = [{"prefix": "192.0.2.0/24"}, {"prefix": "9.9.9.0/24", "expires": end or [1]}, {"prefix": "198.51.100.0/24"}]
    assert read(json.dumps(value).encode()).bad == 1


async def test_ends_come_back_from_the_process_that_reads(monkeypatch):
    monkeypatch.setattr(worker, "SMALL", -1)
    text = f"192.0.2.0/24 expires={END}\n198.51.100.0/24\n2001:db8::/32 # expires=2028-01-01\n"
    content = await read_list(text.encode(), ANYWHERE, Lane())
    assert content == read(text.encode())
    assert list(content.lifetimes.prefixes) == ["192.0.2.0/24", "2001:db8::/32"]
    assert list(content.lifetimes.over(AT)) == ["192.0.2.0/24"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstd])
def test_packed_lists(pack):
    assert list(read(pack(b"192.0.2.0/24\n")).prefixes) == ["192.0.2.0/24"]
    with pytest.raises(ContentError, match="can't be unpacked"):
        read(pack(b"192.0.2.0/24\n" * 100)[:-9])


@pytest.mark.parametrize(
    "octets",
    [b"", b" \n", b"<html>\n<body>404</body>", b"\xff\xfe\0", b"{", b'{"error": "no"}', b"# only\n# comments\n",
     b"not\na\nlist\n10.0.0.0/8\n", b"[" * 10_000, b"<!DOCTYPE html>\n" + b"9.9.9.9 x\n" * 9,
     b"<?xml version='1.0'?>\n<html>\n" + b"9.9.9.9\n" * 9, b"<!-- x -->\n<HEAD>\n" + b"9.9.9.9\n" * 9,
     gzip.compress(b"", mtime=0), b"\x1f\x8b\x08", b'["9.9.9.0/24", "9.9', b'{"prefixes": []}'],
)  # fmt: skip
def test_what_is_no_list_is_refused(octets):
    with pytest.raises(ContentError):
        read(octets)


def test_a_list_that_grows_when_it_is_unpacked_is_refused(monkeypatch):
    monkeypatch.setattr("bgpipe.routeserver.sources.content.MAX_UNPACKED", 1 << 20)
    with pytest.raises(ContentError, match="larger than 1 MiB"):
        read(gzip.compress(b"\n" * (2 << 20)))


def test_more_prefixes_than_any_list_has_are_refused(monkeypatch):
    monkeypatch.setattr("bgpipe.routeserver.sources.content.MAX_PREFIXES", 2)
    with pytest.raises(ContentError, match="more than 2 prefixes"):
        read(b"9.9.9.1\n9.9.9.2\n9.9.9.3\n")


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused(octets):
    with suppress(ContentError):
        assert read(octets).prefixes


async def test_a_list_is_read_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(worker, "SMALL", -1)
    content = await read_list(b"192.0.2.0/24\nx\n2001:db8::/32\n10.0.0.0/8\n", ANYWHERE, Lane())
    assert list(content.prefixes) == ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]
    assert content.samples == [(2, "x")]
    with pytest.raises(ContentError, match="it is empty"):
        await read_list(b"", ANYWHERE, Lane())


async def test_a_small_list_needs_no_process(monkeypatch):
    started: list[int] = []

    async def output_of(words: object, octets: bytes, timeout: float) -> Output:
        started.append(len(octets))
        return Output(0, b"", b"")

    monkeypatch.setattr(worker, "output_of", output_of)
    line = b"192.0.2.0/24\n"
    for count in (1, worker.SMALL // len(line)):
        assert list((await read_list(line * count, ANYWHERE, Lane())).prefixes) == ["192.0.2.0/24"]
    for octets in (b"", b"[" * worker.SMALL, b"<html>"):
        with pytest.raises(ContentError):
            await read_list(octets, ANYWHERE, Lane())
    assert started == []
    for octets in (line * (worker.SMALL // len(line) + 1), gzip.compress(line)):
        with pytest.raises(ContentError, match="too much memory or time"):
            await read_list(octets, ANYWHERE, Lane())
    assert len(started) == 2


@pytest.mark.slow
async def test_a_list_that_takes_too_long_is_stopped_and_nobody_else_waits(monkeypatch):
    monkeypatch.setattr("bgpipe.routeserver.sources.worker.LEAST_SECONDS", 1)
    bomb = gzip.compress(b"9.9.9.0/24 # x\n" * (1 << 20))  # each line is out of the ordinary
    ended: list[tuple[str, str]] = []

    async def work(name: str, octets: bytes, lane: Lane) -> None:
        try:
            ended.append((name, str(len((await read_list(octets, ANYWHERE, lane)).prefixes))))
        except ContentError as error:
            ended.append((name, str(error)))

    lane = Lane(1)
    async with asyncio.TaskGroup() as group:
        for name in ("first", "second"):
            group.create_task(work(name, bomb, lane))
        await asyncio.sleep(0.1)
        group.create_task(work("other", b"9.9.9.0/24\n", Lane()))
    assert ended[0] == ("other", "1")
    assert {name for name, _ in ended[1:]} == {"first", "second"}
    assert all("too much memory or time" in why or "can't be read within" in why for _, why in ended[1:])


def test_a_list_that_takes_too_much_memory_is_stopped():
    """The limit is that of the process of its own, which says so itself."""
    program = (
        "import sys; from bgpipe.routeserver.sources import worker; worker.MAX_MEMORY = 100 << 20;"
        "sys.argv = ['', '{}', '60']; worker.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], input=gzip.compress(b"9.9.9.9\n" * (4 << 20)),
                          capture_output=True, check=False, timeout=120)  # fmt: skip
    assert b"takes too much memory" in done.stdout
    assert b"Traceback" not in done.stderr


@given(st.lists(st.integers(0, 2**32 - 1)), st.lists(st.integers(0, 2**128 - 1)))
def test_prefixes_are_packed_and_unpacked(ipv4, ipv6):
    prefixes = PrefixSet.of((address << 8 | 32 for address in ipv4), (address << 8 | 128 for address in ipv6))
    assert unpack_prefixes(*pack_prefixes(prefixes)) == prefixes
