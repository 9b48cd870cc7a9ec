"""Command lines as people type them, beside real daemons. Only addresses, ports and paths are others; who connects
without --bind comes from 127.0.0.1. The one with --transparent is in test_transparent.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from daemons import NEXT_HOP4, PORT, Bird, Daemon, Frr, GoBgp, Installed, Neighbor, mortal, wait_until
from processes import Run

import bgpipe
from bgpipe.sample import write_sample

pytestmark = pytest.mark.interop
ROUTES = ["198.51.100.0/24", "2001:db8:100::/48"]
OTHERS = ["203.0.113.0/24", "2001:db8:200::/48"]
LOCAL = "127.0.0.1"
VALIDATOR = Path(__file__).resolve().parent.parent.parent / "examples" / "exec" / "validator.py"
_numbers = count(1)


@pytest.fixture
def lab(installed: Installed, tmp_path) -> Iterator[SimpleNamespace]:
    """`here` is an address for bgpipe; `bird` starts a BIRD, `start` any daemon, with bgpipe for its neighbour: there
    if the daemon calls it, at 127.0.0.1 if it calls the daemon."""
    net = f"127.83.{100 + next(_numbers)}"
    started: list[Daemon] = []

    def start(
        kind: type[Daemon], number: int, asn: int, other: int, prefixes: list[str], *, calls: bool = False, **more: Any
    ) -> Daemon:
        peer = Neighbor(made.here if calls else LOCAL, other, passive=not calls, **more)  # type: ignore[arg-type]
        folder = tmp_path / f"{kind.name}{number}"
        started.append(kind(installed, folder, f"{net}.{number}", asn, [peer], prefixes))
        started[-1].start()
        return started[-1]

    def bird(number: int, asn: int, other: int, prefixes: list[str] = ROUTES, **more: object) -> Daemon:
        made = start(Bird, number, asn, other, prefixes, **more)  # type: ignore[arg-type]
        wait_until("BIRD answers", lambda: "BIRD" in made.control("show", "status"))  # type: ignore[attr-defined]
        return made

    made = SimpleNamespace(here=f"{net}.1", at=lambda number: f"{net}.{number}:{PORT}", start=start, bird=bird)
    try:
        yield made
    finally:
        for daemon in started:
            daemon.stop()


def up(daemon: Daemon) -> bool:
    return daemon.established(daemon.neighbors[0].address)


def exchanged(*pair: Daemon) -> None:
    """Both have all that the other one announces."""
    for daemon, other in (pair, pair[::-1]):
        wait_until(f"{daemon.name} is up", lambda: up(daemon))  # noqa: B023
        wait_until(f"{daemon.name} has all", lambda: set(other.prefixes) <= daemon.routes())  # noqa: B023


def line(prefix: str, asn: int) -> str:
    attrs = {"ORIGIN": "IGP", "ASPATH": [asn], "NEXTHOP": NEXT_HOP4, "LOCALPREF": 100}
    return json.dumps(["R", 0, None, "UPDATE", {"reach": [prefix], "attrs": attrs}]) + "\n"


def test_show_the_session(lab: SimpleNamespace, run: Run) -> None:
    """`bgpipe -o speaker ADDR`: connect, answer OPEN with the same AS number, show what comes."""
    lab.bird(2, 65002, 65002)
    shown = run("-o", "speaker", lab.at(2))
    wait_until("its routes", lambda: set(ROUTES) <= shown.prefixes("L"))
    kinds = [each[3] for each in shown.messages()]
    assert kinds[:4] in (["OPEN", "OPEN", "KEEPALIVE", "KEEPALIVE"], ["OPEN", "KEEPALIVE", "OPEN", "KEEPALIVE"])
    assert shown.finish() == 0
    assert shown.messages("R")[-1][3] == "NOTIFY"


@pytest.mark.parametrize("kind", [Bird, Frr])
def test_begin_the_session(lab: SimpleNamespace, run: Run, kind: type[Daemon]) -> None:
    """`bgpipe -o -- speaker --active --asn 65001 -- connect ADDR`: our OPEN is there before the peer's."""
    router = lab.start(kind, 2, 65002, 65001, ROUTES)
    shown = run("-o", "--", "speaker", "--active", "--asn", 65001, "--", "connect", "--retry", lab.at(2))
    wait_until("its routes", lambda: set(ROUTES) <= shown.prefixes("L"))
    first = shown.messages()[0]
    assert (first[0], first[3], first[4]["asn"], first[4]["id"]) == ("R", "OPEN", 65001, "0.0.0.2")
    assert up(router)
    assert shown.finish() == 0
    wait_until("the session is over", lambda: not up(router))


def test_standard_input_and_output(lab: SimpleNamespace, tmp_path) -> None:
    """`cat input.json | bgpipe -io speaker --no-linger ADDR | tee output.json` sends all of it, and ends."""
    bird = lab.bird(2, 65002, 65002)
    given, kept = tmp_path / "input.json", tmp_path / "output.json"
    given.write_text("".join(line(f"100.64.{number}.0/24", 65009) for number in range(200)))
    command = f"{sys.executable} -W error -m bgpipe -io speaker --no-linger {lab.at(2)}"
    done = subprocess.run(
        f"cat {given} | {command} | tee {kept}", shell=True, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    messages = [json.loads(each) for each in done.stdout.splitlines()]
    assert done.stdout == kept.read_text()
    sent = [each for each in messages if each[0] == "R" and each[3] == "UPDATE" and "reach" in each[4]]
    assert len(sent) == 200
    assert [each[3] for each in messages if each[0] == "R"][-1] == "NOTIFY"
    stats = bird.control("show", "protocols", "all", "n0")
    assert "Administrative shutdown" in stats, stats


def test_key_on_one_side(lab: SimpleNamespace, run: Run) -> None:
    """`bgpipe -o -- listen ADDR -- connect --wait listen --md5 KEY ADDR`: the left router needs no key."""
    passing = run(
        *("-o", "--", "listen", f"{lab.here}:{PORT}"),
        *("--", "connect", "--wait", "listen", "--md5", "solarwinds123", lab.at(3)),
    )
    passing.listens()
    right = lab.start(Frr, 3, 65003, 65002, OTHERS, password="solarwinds123")
    left = lab.bird(2, 65002, 65003, calls=True)
    exchanged(left, right)
    assert set(ROUTES) <= passing.prefixes("R")
    assert set(OTHERS) <= passing.prefixes("L")


def test_archive_into_a_session(lab: SimpleNamespace, tmp_path, run: Run) -> None:
    """`bgpipe -- speaker ... -- read --wait ESTABLISHED updates -- listen ADDR`."""
    updates, _ = write_sample(tmp_path, messages=2000)
    speaker = ("speaker", "--active", "--asn", 65055)
    reading = ("--", "read", "--mrt", "--wait", "ESTABLISHED", updates, "--", "listen", f"{lab.here}:{PORT}")
    playing = run("-o", "--", *speaker, *reading)
    playing.listens()
    bird: Any = lab.bird(2, 65002, 65055, [], calls=True)
    ended = '"MP_UNREACH":{"flags":"O","value":{"af":"IPV6/UNICAST","prefixes":[]'
    wait_until("End-of-RIB", lambda: ended in playing.output.read_text())
    wait_until("routes", lambda: len(bird.routes()) > 100)
    kinds = {each[3] for each in playing.messages("R")}
    assert kinds <= {"OPEN", "KEEPALIVE", "UPDATE"}, "what others said to end their sessions is not said here"
    assert playing.finish() == 0
    wait_until("routes are gone", lambda: not bird.routes())
    whole = run("--", *speaker, "--no-linger", *reading)
    assert whole.process.wait(30) == 0, "with --no-linger it ends by itself"
    assert "Administrative shutdown" in bird.control("show", "protocols", "all", "n0")
    (sent,) = re.findall(r" sent=(\{.*\})", whole.log)
    assert json.loads(sent)["UPDATE"] > 1900
    assert json.loads(sent)["NOTIFY"] == 1


@pytest.mark.parametrize("suffix", ["json", "mrt"])
def test_an_archive_for_a_router_that_cannot_take_all_of_it(lab: SimpleNamespace, tmp_path, run: Run, suffix) -> None:
    """GoBGP resets a session in which a family comes that was not agreed, or an UPDATE that is malformed: all routes
    would go. The last route proves that everything before it was taken."""
    text = tmp_path / "routes.json"
    malformed = bytes.fromhex("0000000e 40010109 400200 400304c0000202 18cb0071".replace(" ", ""))
    cut = bytes.fromhex("00000030 40010100".replace(" ", ""))
    attrs = {"ORIGIN": "IGP", "ASPATH": [65002], "MP_REACH": {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1"}}
    shown = [{"attrs": attrs | {"MP_REACH": attrs["MP_REACH"] | {"prefixes": ["2001:db8:9::/48"]}}}]  # type: ignore[operator]
    octets = [f"0x{each.hex()}" for each in (malformed, cut)]
    others = [json.dumps(["R", 0, None, "UPDATE", each]) + "\n" for each in (*shown, *octets)]
    text.write_text(line("198.51.100.0/24", 65002) + "".join(others) + line("198.51.101.0/24", 65002))
    path = tmp_path / f"routes.{suffix}"
    if suffix != "json":
        assert run("read", text, "--", "write", path).process.wait(30) == 0
    router = lab.start(GoBgp, 2, 65003, 65002, [], families=("ipv4-unicast",))
    speaker = ("speaker", "--active", "--asn", 65002, "--id", "192.0.2.7")
    playing = run("--", *speaker, "--", "read", path, "--", "connect", "--retry", lab.at(2))
    wait_until("the last route", lambda: "198.51.101.0/24" in router.routes(), 60)
    assert router.routes() == {"198.51.100.0/24", "198.51.101.0/24"}
    assert up(router)
    assert "routes of a family that was not agreed are not sent" in playing.log
    assert playing.log.count("malformed UPDATE: ") == 2
    assert playing.finish() == 1, "two UPDATEs did not arrive"


def test_numbers_rewritten_by_sed(lab: SimpleNamespace, run: Run) -> None:
    """A program edits the OPENs: the routers agree though neither has the number that the other one expects."""
    left = lab.bird(2, 65055, 65001)
    right = lab.bird(3, 57355, 65055, OTHERS)
    script = r'/"OPEN"/{ s/65055/65999/g; s/57355/65001/g; s/65999/65055/g }'
    between = ("exec", "-LR", "--args", "sed", "-ure", script)
    passing = run("-o", "--", "connect", lab.at(2), "--", *between, "--", "connect", lab.at(3))
    exchanged(left, right)
    assert passing.process.poll() is None


def test_limits_between(lab: SimpleNamespace, run: Run) -> None:
    """Prefixes that are too long stay out; the session goes on."""
    long = ["198.51.100.128/25", "2001:db8:100:1::/64"]
    lab.bird(2, 65002, 65003, [*ROUTES, *long])
    right = lab.bird(3, 65003, 65002, [])
    limits = [
        ("limit", "-LR", f"--{family}", "--min-length", 8, "--max-length", longest, "--session", number)
        for family, longest, number in (("ipv4", 24, 1000000), ("ipv6", 48, 250000))
    ]
    passing = run(
        *("--kill", "limit/session", "--", "connect", lab.at(2)),
        *("--", *limits[0], "--", *limits[1], "--", "connect", lab.at(3)),
    )
    wait_until("routes", lambda: set(ROUTES) <= right.routes())
    wait_until("End-of-RIB", lambda: passing.log.count("pipe.EOR ") == 2)
    assert right.routes() == set(ROUTES)


def test_limit_that_kills(lab: SimpleNamespace, run: Run) -> None:
    """`--kill limit/session`: what is over the limit has not passed, and the routers are apart."""
    left = lab.bird(2, 65002, 65003, [f"100.64.{number}.0/24" for number in range(20)])
    right = lab.bird(3, 65003, 65002, [])
    limit = ("limit", "-LR", "--ipv4", "--session", 10)
    passing = run("--kill", "limit/session", "--", "connect", lab.at(2), "--", *limit, "--", "connect", lab.at(3))
    assert passing.process.wait(30) == 1
    assert "session killed by event" in passing.log
    wait_until("the sessions are over", lambda: not up(left) and not up(right))


@pytest.mark.parametrize("fails", [False, True], ids=["a signal", "a stage fails"])
def test_both_routers_are_told_why(lab: SimpleNamespace, run: Run, tmp_path: Path, fails: bool) -> None:
    script = tmp_path / "fails.py"
    stops = "if '198.18.99.0/24' in map(str, message.update.reach): raise ValueError('no')"
    script.write_text(f"def update(message):\n    {stops}\n")
    left: Any = lab.bird(2, 65002, 65003)
    right: Any = lab.bird(3, 65003, 65002, [*OTHERS, *(["198.18.99.0/24"] if fails else [])])
    stage = ("py", "-LR", "--on-error", "kill", script)
    passing = run("--", "connect", lab.at(2), "--", *stage, "--", "connect", lab.at(3))
    if not fails:
        exchanged(left, right)
        passing.stop()
    assert passing.process.wait(30) == (1 if fails else 0)
    text = "Out of Resources" if fails else "Administrative shutdown"
    for each in (left, right):
        assert f"Received: {text}".lower() in each.control("show", "protocols", "all", "n0").lower()


def write_roas(path: Path, *roas: tuple[int, str, int]) -> None:
    """As rpki-client does it: a new file takes the place of the old one."""
    made = [{"asn": asn, "prefix": prefix, "maxLength": longest, "ta": "test"} for asn, prefix, longest in roas]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"roas": made}))
    new.replace(path)


def test_validator(lab: SimpleNamespace, tmp_path: Path, run: Run) -> None:
    """`bgpipe ADDR -- exec -R ./validator.py -- ADDR`: invalid routes don't pass; one that passed before and is
    invalid now is withdrawn when it is told again. Nothing is wrong with what travels to the left."""
    mine = [(65002, "198.51.100.0/24", 24), (65002, "2001:db8:100::/48", 48)]
    wrong = [(65009, "192.0.2.0/24", 24), (0, "2001:db8:bad::/48", 48)]
    write_roas(tmp_path / "vrps.json", *mine, *wrong)
    (tmp_path / "validator.py").symlink_to(VALIDATOR)
    left = lab.bird(2, 65002, 65003, [*ROUTES, "192.0.2.0/25", "2001:db8:bad::/48", "100.64.0.0/24"])
    right = lab.bird(3, 65003, 65002, [*OTHERS, "192.0.2.128/25"])
    passing = run(lab.at(2), "--", "exec", "-R", "./validator.py", "--", lab.at(3), cwd=tmp_path)
    wait_until("End-of-RIB", lambda: passing.log.count("pipe.EOR ") == 2)
    wait_until("valid routes", lambda: right.routes() == {*ROUTES, "100.64.0.0/24"})
    wait_until("routes of the other one", lambda: left.routes() == set(right.prefixes))
    write_roas(tmp_path / "vrps.json", *mine, *wrong, (65009, "100.64.0.0/16", 24))
    right.control("reload", "in", "n0")
    wait_until("the withdrawal", lambda: right.routes() == set(ROUTES))
    assert "vrps.json was read again" in passing.log
    assert up(left)
    assert up(right)


def test_edge_and_archive(lab: SimpleNamespace, tmp_path: Path, run: Run) -> None:
    """A router's session, over a WebSocket with TLS, ends in a compressed file on another machine.

    `bgpipe -- speaker --asn 65000 -- websocket -L --write URL -- connect ADDR` and `bgpipe -- websocket -R --read
    --listen --open --cert c.pem --key k.pem URL -- write --every 15m --compress '.../bgp.$TIME.json.gz'`.
    """
    url = f"wss://{lab.here}:8443/bgp"
    authority, kept = trustme.CA(), tmp_path / "archive"
    certificate = authority.issue_cert(lab.here)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "k.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "c.pem"))
    keys = ("--cert", "c.pem", "--key", "k.pem")
    server = ("websocket", "-R", "--read", "--listen", "--open", *keys, url)
    writing = ("write", "--every", "15m", "--compress", f"{kept}/bgp.$TIME.json.gz")
    archive = run("--", *server, "--", *writing, cwd=tmp_path)
    archive.listens()
    router = lab.start(Frr, 2, 65002, 65000, ROUTES)
    edge = run(
        *("-o", "--", "speaker", "--asn", 65000, "--", "websocket", "-L", "--write", url),
        *("--", "connect", "--retry", lab.at(2)),
        env={"SSL_CERT_FILE": str(tmp_path / "ca.pem")},
    )
    wait_until("the table", lambda: set(ROUTES) <= edge.prefixes("L"))
    assert up(router)
    assert edge.finish() == 0
    wait_until("all is there", lambda: "disconnected" in archive.log)
    assert archive.finish() == 0
    (path,) = kept.iterdir()
    assert re.fullmatch(r"bgp\.\d{8}\.\d\d(00|15|30|45)\.json\.gz", path.name)
    found = list(bgpipe.read(path))
    updates = [each.update for each in found if each.type == "UPDATE"]
    assert [each.type for each in found[:2]] == ["OPEN", "KEEPALIVE"]
    assert {each.tags["websocket/remote"].partition(":")[0] for each in found} == {LOCAL}
    assert {str(prefix) for update in updates for prefix in update.reach} == set(ROUTES)


def test_program_at_a_fifo(lab: SimpleNamespace, tmp_path: Path, run: Run) -> None:
    """`bgpipe -- listen ADDR -- pipe -LR FIFO -- connect -W listen ADDR`, with a filter that a shell has started."""
    fifo = tmp_path / "bgp.fifo"
    os.mkfifo(fifo)
    write_roas(tmp_path / "vrps.json", (65009, "192.0.2.0/24", 24))
    with subprocess.Popen(
        mortal(["sh", "-c", f"exec {VALIDATOR} <{fifo} >{fifo}.reply"]), cwd=tmp_path, start_new_session=True
    ) as program:
        try:
            listen, connect = ("listen", f"{lab.here}:{PORT}"), ("connect", "-W", "listen", lab.at(3))
            passing = run("-o", "--", *listen, "--", "pipe", "-LR", fifo, "--", *connect)
            passing.listens()
            right = lab.bird(3, 65003, 65002, [*OTHERS, "192.0.2.128/25"])
            left = lab.bird(2, 65002, 65003, [*ROUTES, "192.0.2.0/25"], calls=True)
            wait_until("End-of-RIB", lambda: passing.log.count("pipe.EOR ") == 2)
            for daemon, routes in ((left, OTHERS), (right, ROUTES)):
                wait_until("valid routes", lambda: daemon.routes() == set(routes))  # noqa: B023
                assert up(daemon)
            assert passing.finish() == 0
            assert program.wait(10) == 0, "the program sees the end"
        finally:
            program.kill()
    assert not os.path.exists(f"{fifo}.reply")


def test_policy_in_python(lab: SimpleNamespace, tmp_path: Path, run: Run) -> None:
    """`bgpipe -- listen --many ADDR -- py policy.py -- connect -W listen ADDR`."""
    policy = tmp_path / "policy.py"
    policy.write_text("def update(m):\n    return not any(prefix.afi == 2 for prefix in m.update.reach)\n")
    passing = run(
        *("-o", "--", "listen", "--many", f"{lab.here}:{PORT}", "--", "py", policy),
        *("--", "connect", "-W", "listen", lab.at(3)),
    )
    passing.listens()
    right = lab.bird(3, 65003, 65002, [])
    left = lab.bird(2, 65002, 65003, calls=True)
    wait_until("routes", lambda: ROUTES[0] in right.routes())
    wait_until("End-of-RIB", lambda: up(left) and passing.log.count("pipe.EOR ") == 2)
    assert right.routes() == {ROUTES[0]}
