"""The policies of examples/policies and the program of examples/exec do what they say, each by its command line."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commandline import Done, spawn

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
POLICIES = EXAMPLES / "policies"
PROGRAM = EXAMPLES / "exec" / "validator.py"
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

    def run(policy: str, *messages: list[Any], words: tuple[str, ...] = ()) -> Done:
        Path("in.json").write_text("".join(json.dumps(message) + "\n" for message in messages))
        file = str(POLICIES / policy)
        what = ["py", "-A", file, *words, "--"] if words else ["py", file, "--"]
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


ANNOUNCED = (
    update(["193.0.0.0/16"]),
    update(["193.0.0.0/16", "12.0.0.0/8"], unreach=["13.0.0.0/8"]),
    update(["12.0.0.0/8"]),
    update(["2001:db8::/32", "11.0.0.0/8"]),
    update(["11.0.0.0/8"], attrs=with_path(1, [2, 3])),
    update(unreach=["12.0.0.0/8"], attrs={}),
)
LEFT = [
    ("193.0.0.0/16", set()),
    ("193.0.0.0/16", {"13.0.0.0/8", "12.0.0.0/8"}),
    ("", {"12.0.0.0/8"}),
    ("11.0.0.0/8", {"2001:db8::/32"}),
    ("11.0.0.0/8", set()),
    ("", {"12.0.0.0/8"}),
]
"""What is left of these where all but AS3333's 193.0.0.0/16 and 11.0.0.0/8 is invalid."""


def left(done: Done) -> list[tuple[str, set[str]]]:
    assert "ASPATH" not in bodies(done)[2]
    assert bodies(done)[3]["ASPATH"] == PATH
    return [(reach, set(withdrawn.split())) for reach, withdrawn in routes(done)]


def test_rpki(run, validator):
    assert left(run("rpki.py", *ANNOUNCED)) == LEFT


def test_rpki_without_answers(run, monkeypatch):
    monkeypatch.setenv("VALIDATOR", "http://127.81.0.1:1")
    assert routes(run("rpki.py", update(["12.0.0.0/8"]))) == [("12.0.0.0/8", "")]


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


def roa(asn: int | str, prefix: str, longest: int) -> dict[str, Any]:
    return {"asn": asn, "prefix": prefix, "maxLength": longest, "ta": "test"}


def write_roas(path: Path, *roas: dict[str, Any]) -> None:
    """As rpki-client and Routinator do, in the place of the file that is there."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"metadata": {}, "roas": roas}))
    new.replace(path)


@pytest.fixture
def filter_by_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*messages: list[Any], roas: tuple[dict[str, Any], ...], words: tuple[str, ...] = ("vrps.json",)) -> Done:
        write_roas(Path(words[0]), *roas)
        Path("in.json").write_text("".join(json.dumps(message) + "\n" for message in messages))
        done = spawn("read", "in.json", "--", "exec", "-R", "-A", PROGRAM, *words, "--", "write", "-")
        assert done.code == 0, done.err
        return done

    return run


def test_program(filter_by_program):
    roas = roa(3333, "193.0.0.0/16", 24), roa("AS64500", "12.0.0.0/8", 8), roa(64500, "2001:db8::/32", 48)
    assert left(filter_by_program(*ANNOUNCED, roas=roas)) == LEFT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prefix", "path", "valid"),
    [
        ("193.0.0.0/16", [3333], True),
        ("193.0.128.0/17", [3333], True),
        ("193.0.0.0/18", [3333], False),
        ("#7#193.0.0.0/18", [3333], False),
        ("193.0.0.0/17", [3334], True),  # allowed by the other one
        ("193.0.0.0/16", [3334], False),
        ("192.0.0.0/7", [1], True),  # not covered
        ("193.0.0.0/16", [3333, [3333, 3334]], False),
        ("193.0.0.0/16", [[3333]], False),
        ("198.51.100.0/24", [0], False),  # AS 0 allows nobody (RFC 6483)
        ("2001:db8::/33", [3333], True),
        ("2001:db8::/34", [3333], False),
        ("0.0.0.0/0", [1], True),
    ],
)
def test_program_by_rfc_6811(filter_by_program, prefix, path, valid):
    roas = (
        *(roa(3333, "193.0.0.0/16", 17), roa(3334, "193.0.0.0/17", 17)),
        *(roa(0, "198.51.100.0/24", 24), roa(3333, "2001:db8::/32", 33)),
    )
    done = filter_by_program(update([prefix], with_path(*path)), roas=roas)
    assert routes(done) == [(prefix, "") if valid else ("", prefix)]


def ask(line: str) -> str:
    """What the program says to one line, run in this folder."""
    done = subprocess.run([PROGRAM], input=line, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_program_leaves_the_rest_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_roas(Path("vrps.json"), roa(3333, "193.0.0.0/16", 16))
    attrs = {"ASPATH": {"flags": "T", "value": "0x01"}, "MP_REACH": {"flags": "O", "value": "0x02"}}
    vpn = {"MP_REACH": {"flags": "O", "value": {"af": "IPV4/MPLS_VPN", "nh": "0x00", "data": "0x58"}}}
    for body in (None, "0x0102", {"attrs": "0x0102"}, {"reach": ["12.0.0.0/8"], "attrs": attrs}, {"attrs": vpn}, {}):
        line = json.dumps(["R", 1, None, "UPDATE", body, {}], separators=(",", ":")) + "\n"
        assert ask(line) == line
    line = '["R",1,null,"KEEPALIVE",null,{}]\n'
    assert ask(line) == line


def test_program_with_other_paths(tmp_path, monkeypatch):
    """No path at all is one of the sender's own AS; AS_TRANS stands for an AS number of 4 octets (RFC 6793)."""
    monkeypatch.chdir(tmp_path)
    write_roas(Path("vrps.json"), roa(4200000001, "193.0.0.0/16", 16))
    hello = ["R", 0, None, "OPEN", {"asn": 23456, "caps": {"AS4": 4200000001}}, {}]
    own = {"ASPATH": {"flags": "T", "value": []}}
    short = {"ASPATH": {"flags": "T", "value": [1, 23456]}, "AS4PATH": {"flags": "OT", "value": [1, 4200000001]}}
    other = {"ASPATH": {"flags": "T", "value": [1, 23456]}, "AS4PATH": {"flags": "OT", "value": [1, 4200000002]}}
    messages = [
        ["R", 0, None, "UPDATE", {"reach": ["193.0.0.0/16"], "attrs": each}, {}] for each in (own, short, other)
    ]
    lines = [
        json.loads(line) for line in ask("".join(json.dumps(each) + "\n" for each in (hello, *messages))).splitlines()
    ]
    assert lines[:3] == [hello, *messages[:2]]
    assert lines[3][4] == {"reach": [], "unreach": ["193.0.0.0/16"], "attrs": {}}


def test_program_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([PROGRAM], input="", capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("vrps.json: FileNotFoundError")


def test_program_reads_a_new_file(tmp_path, monkeypatch):
    """What is no file of ROAs, or no file at all, leaves what was known."""
    monkeypatch.chdir(tmp_path)
    path = Path("vrps.json")
    write_roas(path, roa(1, "12.0.0.0/8", 8))
    line = json.dumps(["R", 0, None, "UPDATE", {"reach": ["12.0.0.0/8"], "attrs": {}}, {}]) + "\n"
    with subprocess.Popen(
        [PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:

        def reach() -> list[str]:
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write(line)
            program.stdin.flush()
            return json.loads(program.stdout.readline())[4]["reach"]

        assert reach() == []
        path.write_text("[]")
        os.utime(path, ns=(0, 1))
        assert reach() == []
        path.unlink()
        assert reach() == []
        write_roas(path)
        assert reach() == ["12.0.0.0/8"]
        assert program.stdin is not None
        program.stdin.close()
        assert program.stderr is not None
        told = program.stderr.read().splitlines()
    assert [text.partition(": ")[0] for text in told] == ["vrps.json", "vrps.json", "vrps.json was read again"]


def test_every_policy_is_tested_and_on_the_page():
    names = sorted(path.name for path in POLICIES.glob("*.py"))
    tests = Path(__file__).read_text()
    page = (POLICIES.parent.parent / "docs" / "stages" / "py.md").read_text()
    assert len(names) == 10
    assert [name for name in names if f"def test_{name[:-3]}(" not in tests or f"`{name}`" not in page] == []
