"""Command lines as people type them, beside BIRD."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from daemons import NEXT_HOP4, PORT, Bird, Installed, Neighbor, wait_until
from processes import Run

from bgpipe.sample import write_sample

pytestmark = pytest.mark.interop
ROUTES = ["198.51.100.0/24", "2001:db8:100::/48"]
_numbers = count(1)


@pytest.fixture
def lab(installed: Installed, tmp_path) -> Iterator[SimpleNamespace]:
    """`here` is bgpipe's address; `bird` starts a BIRD with one neighbour there."""
    net = f"127.83.{100 + next(_numbers)}"
    started: list[Bird] = []

    def bird(number: int, asn: int, other: int, prefixes: list[str] = ROUTES, *, passive: bool = True) -> Bird:
        peer = Neighbor(made.here, other, passive=passive)
        started.append(Bird(installed, tmp_path / f"bird{number}", f"{net}.{number}", asn, [peer], prefixes))
        started[-1].start()
        wait_until("BIRD answers", lambda: "BIRD" in started[-1].control("show", "status"))
        return started[-1]

    made = SimpleNamespace(here=f"{net}.1", bird=bird)
    try:
        yield made
    finally:
        for daemon in started:
            daemon.stop()


def line(prefix: str, asn: int) -> str:
    attrs = {"ORIGIN": "IGP", "ASPATH": [asn], "NEXTHOP": NEXT_HOP4, "LOCALPREF": 100}
    return json.dumps(["R", 0, None, "UPDATE", {"reach": [prefix], "attrs": attrs}]) + "\n"


def test_show_the_session(lab: SimpleNamespace, run: Run) -> None:
    """`bgpipe -o speaker ADDR`: connect, answer OPEN with the same AS number, show what comes."""
    bird = lab.bird(2, 65002, 65002)
    shown = run("-o", "speaker", "connect", "--bind", lab.here, f"{bird.address}:{PORT}")
    wait_until("its routes", lambda: set(ROUTES) <= shown.prefixes("L"))
    kinds = [each[3] for each in shown.messages()]
    assert kinds[:4] in (["OPEN", "OPEN", "KEEPALIVE", "KEEPALIVE"], ["OPEN", "KEEPALIVE", "OPEN", "KEEPALIVE"])
    assert shown.finish() == 0
    assert shown.messages("R")[-1][3] == "NOTIFY"


def test_standard_input_and_output(lab: SimpleNamespace, tmp_path) -> None:
    """`cat input.json | bgpipe -io speaker ADDR | tee output.json` sends all of it, and ends."""
    bird = lab.bird(2, 65002, 65002)
    given, kept = tmp_path / "input.json", tmp_path / "output.json"
    given.write_text("".join(line(f"100.64.{number}.0/24", 65009) for number in range(200)))
    command = f"{sys.executable} -W error -m bgpipe -io speaker connect --bind {lab.here} {bird.address}:{PORT}"
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


def test_archive_into_a_session(lab: SimpleNamespace, tmp_path, run: Run) -> None:
    """`bgpipe -- speaker ... -- read --wait ESTABLISHED updates -- listen ADDR`."""
    updates, _ = write_sample(tmp_path, messages=2000)
    words = ("speaker", "--active", "--asn", 65055, "--linger", "--", "read", "--mrt", "--wait", "ESTABLISHED", updates)
    playing = run("-o", "--", *words, "--", "listen", f"{lab.here}:{PORT}")
    playing.listens()
    bird = lab.bird(2, 65002, 65055, [], passive=False)
    ended = '"MP_UNREACH":{"flags":"O","value":{"af":"IPV6/UNICAST","prefixes":[]'
    wait_until("End-of-RIB", lambda: ended in playing.output.read_text())
    wait_until("routes", lambda: len(bird.routes()) > 100)
    kinds = {each[3] for each in playing.messages("R")}
    assert kinds <= {"OPEN", "KEEPALIVE", "UPDATE"}, "what others said to end their sessions is not said here"


def test_numbers_rewritten_by_sed(lab: SimpleNamespace, run: Run) -> None:
    """A program edits the OPENs: the routers agree though neither has the number that the other one expects."""
    left = lab.bird(2, 65055, 65001)
    right = lab.bird(3, 57355, 65055, ["203.0.113.0/24", "2001:db8:200::/48"])
    script = r'/"OPEN"/{ s/65055/65999/g; s/57355/65001/g; s/65999/65055/g }'
    between = ("exec", "-LR", "--args", "sed", "-ure", script)
    passing = run(
        *("-o", "--", "connect", "--bind", lab.here, f"{left.address}:{PORT}"),
        *("--", *between, "--", "connect", "--bind", lab.here, f"{right.address}:{PORT}"),
    )
    for daemon, other in ((left, right), (right, left)):
        wait_until("up", lambda: daemon.established(lab.here))  # noqa: B023
        wait_until("routes", lambda: set(other.prefixes) <= daemon.routes())  # noqa: B023
    assert passing.process.poll() is None


def test_limits_between(lab: SimpleNamespace, run: Run) -> None:
    """Prefixes that are too long stay out; the session goes on."""
    long = ["198.51.100.128/25", "2001:db8:100:1::/64"]
    left = lab.bird(2, 65002, 65003, [*ROUTES, *long])
    right = lab.bird(3, 65003, 65002, [])
    limits = [
        ("limit", "-LR", f"--{family}", "--min-length", 8, "--max-length", longest, "--session", number)
        for family, longest, number in (("ipv4", 24, 1000000), ("ipv6", 48, 250000))
    ]
    passing = run(
        *("--kill", "limit/session", "--", "connect", "--bind", lab.here, f"{left.address}:{PORT}"),
        *("--", *limits[0], "--", *limits[1]),
        *("--", "connect", "--bind", lab.here, f"{right.address}:{PORT}"),
    )
    wait_until("routes", lambda: set(ROUTES) <= right.routes())
    wait_until("End-of-RIB", lambda: passing.log.count("pipe.EOR ") == 2)
    assert right.routes() == set(ROUTES)


def test_policy_in_python(lab: SimpleNamespace, tmp_path: Path, run: Run) -> None:
    """`bgpipe -- listen --many ADDR -- py policy.py -- connect -W listen ADDR`."""
    policy = tmp_path / "policy.py"
    policy.write_text("def update(m):\n    return not any(prefix.afi == 2 for prefix in m.update.reach)\n")
    passing = run(
        *("-o", "--", "listen", "--many", f"{lab.here}:{PORT}", "--", "py", policy),
        *("--", "connect", "--bind", lab.here, "--wait", "listen", f"{lab.here[:-1]}3:{PORT}"),
    )
    passing.listens()
    right = lab.bird(3, 65003, 65002, [])
    left = lab.bird(2, 65002, 65003, passive=False)
    wait_until("routes", lambda: ROUTES[0] in right.routes())
    wait_until("End-of-RIB", lambda: left.established(lab.here) and passing.log.count("pipe.EOR ") == 2)
    assert right.routes() == {ROUTES[0]}
