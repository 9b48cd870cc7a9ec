"""`bgpipe rpki`: the verdict about a route, the reasons, the exit code."""

from __future__ import annotations

import json
import socket

import pytest

DATA = {
    "roas": [
        {"asn": 65001, "prefix": "192.0.2.0/24", "maxLength": 24},
        {"asn": 64500, "prefix": "192.0.0.0/16", "maxLength": 20},
        {"asn": 0, "prefix": "198.51.100.0/24", "maxLength": 32},
        {"asn": 65001, "prefix": "2001:db8::/32", "maxLength": 48},
    ],
    "aspas": [
        {"customer": 65001, "providers": [64510]},
        {"customer": 64510, "providers": [64520]},
        {"customer": 64520, "providers": [0]},
    ],
}


@pytest.fixture
def ask(bgpipe, tmp_path):
    path = tmp_path / "vrps.json"
    path.write_text(json.dumps(DATA))
    return lambda *words: bgpipe("rpki", "--rpki", path, *words)


@pytest.mark.parametrize(
    ("words", "code", "validity", "reasons"),
    [
        ("192.0.2.0/24 65001", 0, "VALID", ["matches", "the route is longer than maxLength 20; another origin AS"]),
        ("192.0.2.0/24 AS64500", 3, "INVALID", ["another origin AS", "the route is longer than maxLength 20"]),
        ("192.0.16.0/20 64500", 0, "VALID", ["matches"]),
        ("192.0.0.0/15 64500", 0, "NOT_FOUND", []),
        ("198.51.100.0/24 0", 3, "INVALID", ["AS 0 says that nobody may originate it"]),
        ("198.51.100.0/24", 0, None, ["AS 0 says that nobody may originate it"]),
        ("192.0.16.0/20", 0, None, ["covers"]),
        ("192.0.2.0/24 64510 {65001,65002}", 3, "INVALID", ["the path has no origin AS"] * 2),
        ("2001:db8:1::/48 64496 65001", 0, "VALID", ["matches"]),
    ],
)
def test_origins(ask, words, code, validity, reasons):
    done = ask(*words.split())
    assert (done.code, done.err) == (code, "")
    lines = done.out.decode().splitlines()
    if validity:
        assert f": {validity}, " in lines[0]
    told = json.loads(ask("--json", *words.split()).out)
    assert told["validity"] == validity
    if "{" in words:
        assert [each["reason"].split("; ")[-1] for each in told["vrps"]] == reasons
    else:
        assert [each["reason"] for each in told["vrps"]] == reasons
    assert [each["matches"] for each in told["vrps"]] == [reason == "matches" for reason in reasons]
    for each in told["vrps"]:
        assert f"  {each['prefix']}-{each['maxLength']} AS{each['asn']}: {each['reason']}" in lines


@pytest.mark.parametrize(
    ("words", "code", "verdicts"),
    [
        ("64520 64510 65001", 0, [("customer", "VALID", None), ("provider", "VALID", None)]),
        ("64530 64520 64510 65001", 0, [("customer", "INVALID", [64520, 64530]), ("provider", "VALID", None)]),
        ("--role customer 64530 64520 64510 65001", 3, [("customer", "INVALID", [64520, 64530])]),
        ("--role provider 64530 64520 64510 65001", 0, [("provider", "VALID", None)]),
        (
            "64520 64530 64540 65001",
            3,
            [("customer", "INVALID", [65001, 64540]), ("provider", "INVALID", [64520, 64530])],
        ),
        ("64530 64530 64531", 0, [("customer", "UNKNOWN", None), ("provider", "VALID", None)]),
        ("--role peer 65001", 0, [("peer", "VALID", None)]),
        ("65001", 0, []),
    ],
)
def test_paths(ask, words, code, verdicts):
    options, path = (words.split()[:2], words.split()[2:]) if words.startswith("--") else ([], words.split())
    done = ask("--json", *options, "203.0.113.0/24", *path)
    assert (done.code, done.err) == (code, "")
    told = json.loads(done.out)
    assert [(each["neighbor"], each["validity"], each["invalid_hop"]) for each in told["aspa"]] == verdicts
    for each in told["aspa"]:
        collapsed = [asn for asn, before in zip(path, [None, *path], strict=False) if asn != before]
        assert [str(hop["left"]) for hop in each["hops"]] == collapsed[:-1]
    lines = ask(*options, "203.0.113.0/24", *path).out.decode().splitlines()
    assert len([line for line in lines if line.startswith("path ")]) == len(verdicts)
    assert lines[-1].endswith(": 3 VRPs for IPv4, 1 for IPv6, 3 ASPAs")


def test_options_may_stand_anywhere(bgpipe, tmp_path):
    path = tmp_path / "vrps.json"
    path.write_text(json.dumps(DATA))
    said = {
        bgpipe("rpki", "192.0.2.0/24", "--rpki", path, "65001").out,
        bgpipe("--rpki", path, "rpki", "192.0.2.0/24", "65001").out,
        bgpipe("rpki", "192.0.2.0/24", "65001", env={"BGPIPE_RPKI": str(path)}).out,
    }
    assert len(said) == 1
    assert b"VALID" in said.pop()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("192.0.2.0 65001", "a prefix is expected, as in 192.0.2.0/24"),
        ("#1#192.0.2.0/24 65001", "has a path identifier"),
        ("192.0.2.0/24 4294967296", "an AS number is expected, as in 65001: '4294967296'"),
        ("192.0.2.0/24 {65001", "an AS number is expected"),
        ("192.0.2.0/24 {}", "an AS number is expected"),
        ("--bogus", "unknown option --bogus"),
        ("--role nobody", "one of any, provider"),
    ],
)
def test_wrong_command_lines(ask, words, error):
    done = ask(*words.split())
    assert (done.code, done.out) == (2, b"")
    assert error in done.err


def test_sources_that_fail_are_told(bgpipe, tmp_path):
    good, missing = tmp_path / "vrps.json", tmp_path / "missing.json"
    good.write_text(json.dumps(DATA))
    done = bgpipe("rpki", "--rpki", f"{missing},{good}", "192.0.2.0/24", "65001")
    assert done.code == 0
    assert done.out.decode().splitlines()[-2:] == [
        f"{missing}: no such file or directory",
        f"by {good}: 3 VRPs for IPv4, 1 for IPv6, 3 ASPAs",
    ]
    done = bgpipe("rpki", "--rpki", missing, "192.0.2.0/24")
    assert (done.code, done.out) == (1, b"")
    assert f"bgpipe: no RPKI data: {missing}: no such file or directory" in done.err


def test_a_cache_that_is_silent_is_waited_for_so_long(bgpipe):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        done = bgpipe("rpki", "--rpki", place, "--timeout", "300ms", "192.0.2.0/24")
    assert (done.code, done.out) == (1, b"")
    assert f"no RPKI data: none within 0.3 s ({place}: starting)" in done.err


def test_help(bgpipe):
    text = bgpipe("rpki", "-h").out.decode()
    assert text == bgpipe("help", "rpki").out.decode()
    assert "--timeout DURATION" in text
    assert "--rpki-slurm FILE" in text
