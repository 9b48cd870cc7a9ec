"""In which line of a file a prefix stands."""

from __future__ import annotations

import gzip
import json

import pytest
from bgplite import bgplite
from peers import wait_until

from bgpipe.routeserver.sources.lines import line_in_file, line_of

TEXT = """\
# two comments
; and more
192.0.2.0/24
198.51.100.1 - 198.51.100.6  # a range
nonsense
203.0.113.7/24
2001:db8::1
192.0.2.0/24
"""


@pytest.mark.parametrize(
    ("prefix", "line"),
    [
        ("192.0.2.0/24", 3),
        ("198.51.100.4/31", 4),
        ("203.0.113.0/24", 6),
        ("2001:db8::1/128", 7),
        ("192.0.2.0/25", None),
        ("9.9.9.0/24", None),
    ],
)
def test_the_line_of_a_prefix(tmp_path, prefix, line):
    for name, octets in (("plain", TEXT.encode()), ("packed", gzip.compress(TEXT.encode())), ("bom", b"\xef\xbb\xbf")):
        (tmp_path / name).write_bytes(octets if name != "bom" else octets + TEXT.encode())
        assert line_in_file(tmp_path / name, prefix) == line


def test_every_line_of_a_long_list():
    lines = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(3000)]
    assert [line_of(lines, lines[number]) for number in (0, 1, 1499, 1500, 2998, 2999)] == [
        1,
        2,
        1500,
        1501,
        2999,
        3000,
    ]


@pytest.mark.parametrize("text", ["", '["192.0.2.0/24"]', "route: 192.0.2.0/24\norigin: AS1\n", "\ufffe"])
def test_what_has_no_lines(tmp_path, text):
    (tmp_path / "x").write_text(text)
    assert line_in_file(tmp_path / "x", "192.0.2.0/24") is None
    assert line_in_file(tmp_path / "none", "192.0.2.0/24") is None


def test_why_tells_the_line(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.json").write_text(json.dumps(["192.0.2.0/24"]))
    lists = "PrefixSources: [{Name: a, Path: a.txt}, {Name: b, Path: b.json}]\n"
    with bgplite(tmp_path, lists) as server:
        wait_until("the lists are read", lambda: server.call("GET", "/readyz")[0] == 200)
        body = {"ip": "127.91.5.1", "asn": 65003, "lists": ["a", "b"], "customPrefixes": ["192.0.2.0/25"]}
        peer = server.call("POST", "/api/peers", body)[1]
        steps = server.get(f"/api/peers/{peer['id']}/why?target=192.0.2.200")["steps"]
        assert [(each["source"], each["line"]) for each in steps] == [("a", 3), ("b", None)]
        shown = server.shell("why", "127.91.5.1", "2001:db8::1").stdout.splitlines()
        assert shown[0].split() == ["SOURCE", "(2001:db8::1/128)", "LINE", "PREFIX", "OUTCOME", "BY"]
        assert shown[1].split() == ["a", "7", "2001:db8::1/128", "announced", "-"]
