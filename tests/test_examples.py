"""The policies of examples/policies do what they say, each by its command line."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commandline import Done, spawn

POLICIES = Path(__file__).resolve().parent.parent / "examples" / "policies"
PATH = [65001 - 1000, 3333]
IPV4 = {"ORIGIN": "IGP", "ASPATH": PATH, "NEXTHOP": "10.0.0.1"}


def update(reach: Any = (), attrs: Any = IPV4, **others: Any) -> list[Any]:
    """A message as JSON; IPv6 prefixes go into MP_REACH."""
    ipv6 = [prefix for prefix in reach if ":" in prefix]
    ipv4 = [prefix for prefix in reach if ":" not in prefix]
    mp_reach = {"MP_REACH": {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "prefixes": ipv6}} if ipv6 else {}
    body = {"reach": ipv4, "attrs": {**attrs, **mp_reach}, **others}
    return ["R", 0, "2026-01-02T03:04:05.000", "UPDATE", {key: value for key, value in body.items() if value}, {}]


def with_path(*hops: Any, **attrs: Any) -> dict[str, Any]:
    return {**IPV4, "ASPATH": list(hops), **attrs}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(policy: str, *messages: list[Any], words: tuple[str, ...] = (), stage: tuple[str, ...] = ("py",)) -> Done:
        Path("in.json").write_text("".join(json.dumps(message) + "\n" for message in messages))
        file = str(POLICIES / policy)
        what = [*stage, "-A", file, *words, "--"] if words else [*stage, file, "--"]
        done = spawn("read", "in.json", "--", *what, "write", "-")
        assert done.code == 0, done.err
        assert "ERR" not in done.err, done.err
        return done

    return run


def bodies(done: Done) -> list[dict[str, Any]]:
    """What each message says, attributes without flags."""
    found = []
    for line in done.lines:
        body = dict(line[4])
        attrs = {name: attribute["value"] for name, attribute in body.pop("attrs", {}).items()}
        mp_reach, mp_unreach = attrs.pop("MP_REACH", {}), attrs.pop("MP_UNREACH", {})
        reach = body.get("reach", []) + mp_reach.get("prefixes", [])
        withdrawn = body.get("unreach", []) + mp_unreach.get("prefixes", [])
        found.append({"reach": reach, "withdrawn": withdrawn, "hop6": mp_reach.get("nexthop"), **attrs})
    return found


def routes(done: Done) -> list[tuple[str, str]]:
    return [(" ".join(body["reach"]), " ".join(body["withdrawn"])) for body in bodies(done)]


class Validator(BaseHTTPRequestHandler):
    """Says what a validator would: AS3333 may announce 193.0.0.0/16 and nothing else."""

    def do_GET(self) -> None:
        _, _, _, _, origin, address, _ = self.path.split("/")
        state = "valid" if (origin, address) == ("AS3333", "193.0.0.0") else "invalid"
        state = "not-found" if address == "11.0.0.0" else state
        answer = json.dumps({"validated_route": {"validity": {"state": state}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def validator(monkeypatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.81.0.1", 0), Validator)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("VALIDATOR", f"http://127.81.0.1:{server.server_port}")
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("stage", ["py", "exec"])
def test_validator(run, validator, stage):
    done = run(
        "validator.py",
        update(["193.0.0.0/16"]),
        update(["193.0.0.0/16", "12.0.0.0/8"], unreach=["13.0.0.0/8"]),
        update(["12.0.0.0/8"]),
        update(["2001:db8::/32", "11.0.0.0/8"]),
        update(["11.0.0.0/8"], attrs=with_path(1, [2, 3])),
        update(unreach=["12.0.0.0/8"], attrs={}),
        stage=(stage, "-R"),
    )
    assert [(left, set(withdrawn.split())) for left, withdrawn in routes(done)] == [
        ("193.0.0.0/16", set()),
        ("193.0.0.0/16", {"13.0.0.0/8", "12.0.0.0/8"}),
        ("", {"12.0.0.0/8"}),
        ("11.0.0.0/8", {"2001:db8::/32"}),
        ("11.0.0.0/8", set()),
        ("", {"12.0.0.0/8"}),
    ]
    assert "ASPATH" not in bodies(done)[2]
    assert bodies(done)[3]["ASPATH"] == PATH


def test_validator_that_does_not_answer(run, monkeypatch):
    monkeypatch.setenv("VALIDATOR", "http://127.81.0.1:1")
    assert routes(run("validator.py", update(["12.0.0.0/8"]))) == [("12.0.0.0/8", "")]


def test_validator_is_a_program():
    assert os.access(POLICIES / "validator.py", os.X_OK)
    done = subprocess.run(
        [sys.executable, str(POLICIES / "validator.py")],
        input='["R",1,"2026-01-02T03:04:05.000","KEEPALIVE",null,{}]\n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)[3] == "KEEPALIVE"


def test_bogons(run):
    done = run(
        "bogons.py",
        update(["10.1.0.0/16", "11.0.0.0/8", "0.0.0.0/0", "8.8.8.0/24"]),
        update(["2001:db8:1::/48", "2a00::/32"]),
        update(["11.0.0.0/8"], attrs=with_path(3333, 64512)),
        update(["11.0.0.0/8"], attrs=with_path(3333, [174, 4200000001])),
        update(["11.0.0.0/8"], attrs=with_path(3333, 174)),
    )
    assert routes(done) == [
        ("11.0.0.0/8 8.8.8.0/24", "10.1.0.0/16 0.0.0.0/0"),
        ("2a00::/32", "2001:db8:1::/48"),
        ("", "11.0.0.0/8"),
        ("", "11.0.0.0/8"),
        ("11.0.0.0/8", ""),
    ]


def test_path_length(run):
    messages = update(["11.0.0.0/8"], with_path(*range(1, 4))), update(["12.0.0.0/8"], with_path(*range(1, 5)))
    assert routes(run("path_length.py", *messages, words=("3",))) == [("11.0.0.0/8", ""), ("", "12.0.0.0/8")]
    assert routes(run("path_length.py", *messages)) == [("11.0.0.0/8", ""), ("12.0.0.0/8", "")]


def test_blackhole(run):
    attrs = {**IPV4, "COMMUNITY": ["65535:666", "3333:1"]}
    done = run(
        "blackhole.py",
        update(["11.0.0.1/32"], attrs),
        update(["11.0.0.1/32", "11.0.0.0/24"]),
        update(["2a00::1/128"], {**attrs, "NEXTHOP": "10.0.0.1"}),
        update(unreach=["11.0.0.1/32"], attrs={}),
    )
    first, second, third, _ = bodies(done)
    assert first["NEXTHOP"] == "192.0.2.1"
    assert first["COMMUNITY"] == ["3333:1", "65535:65281", "65535:666"]
    assert second == {**second, "reach": ["11.0.0.0/24"], "withdrawn": ["11.0.0.1/32"], "NEXTHOP": "10.0.0.1"}
    assert third["hop6"] == "100::1"
    assert routes(done)[3] == ("", "11.0.0.1/32")


def test_prepend(run):
    messages = (
        update(["11.0.0.0/8", "12.0.0.0/8"], unreach=["13.0.0.0/8"]),
        update(["11.0.0.0/8"], with_path(1, [2, 3])),
        update(["12.0.0.0/8"]),
        update(["11.0.0.0/8"], unreach=["13.0.0.0/8"]),
    )
    done = run("prepend.py", *messages, words=("65001", "2", "11.0.0.0/8"))
    assert [(*route, body.get("ASPATH")) for route, body in zip(routes(done), bodies(done), strict=True)] == [
        ("12.0.0.0/8", "13.0.0.0/8", PATH),
        ("11.0.0.0/8", "", [65001, 65001, *PATH]),
        ("11.0.0.0/8", "", [65001, 65001, 1, [2, 3]]),
        ("12.0.0.0/8", "", PATH),
        ("", "13.0.0.0/8", None),
        ("11.0.0.0/8", "", [65001, 65001, *PATH]),
    ]
    everything = run("prepend.py", *messages[:1], words=("65001", "1"))
    assert [body.get("ASPATH") for body in bodies(everything)] == [None, [65001, *PATH]]


def test_prefix_list(run, tmp_path):
    (tmp_path / "list.txt").write_text("# ours\n11.0.0.0/22\n12.0.0.0/24 le 25\n2a00::/32 ge 40 le 48 # and more\n")
    done = run(
        "prefix_list.py",
        update(["11.0.0.0/22", "11.0.0.0/23", "12.0.0.128/25", "12.0.0.0/26", "12.0.0.0/24", "13.0.0.0/8"]),
        update(["2a00::/32", "2a00:0:100::/40", "2a00::/48", "2a00::/49"]),
        words=("list.txt",),
    )
    assert routes(done) == [
        ("11.0.0.0/22 12.0.0.128/25 12.0.0.0/24", "11.0.0.0/23 12.0.0.0/26 13.0.0.0/8"),
        ("2a00:0:100::/40 2a00::/48", "2a00::/32 2a00::/49"),
    ]


def test_private_asn(run):
    done = run(
        "private_asn.py",
        update(["11.0.0.0/8"], with_path(64512, 3333, [64513, 174], 4200000000, [64514])),
        update(["11.0.0.0/8"], with_path(3333, 174)),
        update(["11.0.0.0/8"], with_path(64512)),
    )
    assert [body.get("ASPATH") for body in bodies(done)] == [[3333, [174]], [3333, 174], None]
    assert routes(done)[2] == ("", "11.0.0.0/8")


def test_communities(run):
    done = run(
        "communities.py",
        update(["11.0.0.0/8"], {**IPV4, "COMMUNITY": ["65001:7", "3333:1"]}),
        update(["2a00::/32"], with_path(7, 7)),
        words=("65001", "198.51.100.254", "2001:db8::fe"),
    )
    first, second = bodies(done)
    assert (first["NEXTHOP"], first["COMMUNITY"]) == ("198.51.100.254", ["3333:1", "65001:100"])
    assert (second["hop6"], second["COMMUNITY"]) == ("2001:db8::fe", ["65001:200"])


def test_deduplicate(run):
    one, other = update(["11.0.0.0/8"]), update(["11.0.0.0/8"], {**IPV4, "MED": 7})
    gone = update(unreach=["11.0.0.0/8"], attrs={})
    ipv6, more = update(["2a00::/32"]), update(["2a00::/32", "2a01::/32"])
    end_of_rib = update(attrs={})
    sent = [one, one, other, other, one, gone, gone, one, ipv6, ipv6, more, more, end_of_rib, end_of_rib]
    done = run("deduplicate.py", *sent)
    left = [one, other, one, gone, one, ipv6, more, end_of_rib, end_of_rib]
    assert routes(done) == [(" ".join(body["reach"]), " ".join(body["withdrawn"])) for body in map(plain, left)]


def plain(message: list[Any]) -> dict[str, Any]:
    body = message[4]
    reach = body.get("reach", []) + body.get("attrs", {}).get("MP_REACH", {}).get("prefixes", [])
    return {"reach": reach, "withdrawn": body.get("unreach", [])}


def test_to_sqlite(run):
    run("to_sqlite.py", update(["11.0.0.0/8", "12.0.0.0/8"], unreach=["13.0.0.0/8"]), words=("r.sqlite",))
    database = sqlite3.connect("r.sqlite")
    try:
        found = database.execute("select direction, kind, prefix, path from log order by prefix").fetchall()
        (second,) = database.execute("select distinct time from log").fetchone()
    finally:
        database.close()
    path = " ".join(map(str, PATH))
    assert found == [("R", "A", "11.0.0.0/8", path), ("R", "A", "12.0.0.0/8", path), ("R", "W", "13.0.0.0/8", None)]
    assert second == 1767323045.0


def test_every_policy_is_tested_and_on_the_page():
    names = sorted(path.name for path in POLICIES.glob("*.py"))
    tests = Path(__file__).read_text()
    page = (POLICIES.parent.parent / "docs" / "stages" / "py.md").read_text()
    assert len(names) == 10
    assert [name for name in names if f"def test_{name[:-3]}(" not in tests or f"`{name}`" not in page] == []
