"""What real routers do with each other through bgpipe, each by its name: MD5, ADD-PATH, long messages, route refresh,
graceful restart, a full table, IPv6. Two daemons and a bgpipe in each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from daemons import NEXT_HOP4, PORT, Bird, Daemon, Frr, Installed, Neighbor, wait_until
from processes import Bgpipe, Run

pytestmark = pytest.mark.interop
LEFT_AS, RIGHT_AS = 4200065101, 4200065102
"""Numbers that are in no path of a real table, where they would look like loops."""
LEFT, RIGHT = ["198.51.100.0/24", "2001:db8:100::/48"], ["203.0.113.0/24", "2001:db8:200::/48"]
_numbers = count(1)


@pytest.fixture
def lab(installed: Installed, tmp_path, run: Run) -> Iterator[SimpleNamespace]:
    """Addresses of two routers and of bgpipe between them that nobody else uses, and what they need to start."""
    net = f"127.83.{next(_numbers)}"
    started: list[Daemon] = []

    def start(
        kind: Callable[..., Daemon], side: str, prefixes: list[str], extra: str = "", **neighbor: object
    ) -> Daemon:
        """A router. The one at the left calls bgpipe, the one at the right is called by it."""
        address, asn, other = (made.left, LEFT_AS, RIGHT_AS) if side == "left" else (made.right, RIGHT_AS, LEFT_AS)
        peer = Neighbor(made.middle, other, passive=side == "right", **neighbor)  # type: ignore[arg-type]
        folder = tmp_path / f"{side}{len(started)}"
        started.append(kind(installed, folder, address, asn, [peer], prefixes, extra=extra))
        started[-1].start()
        return started[-1]

    def proxy(*stages: str, listen: tuple[str, ...] = (), connect: tuple[str, ...] = ()) -> Bgpipe:
        left = ("listen", *listen, f"{made.middle}:{PORT}")
        right = ("connect", "--bind", made.middle, "--wait", "listen", *connect, f"{made.right}:{PORT}")
        running = run("-o", "--", *left, "--", *stages, *(["--"] if stages else []), *right)
        running.listens()
        return running

    made = SimpleNamespace(left=f"{net}.1", right=f"{net}.2", middle=f"{net}.3", start=start, proxy=proxy, run=run)
    try:
        yield made
    finally:
        for daemon in started:
            daemon.stop()


def exchanged(lab: SimpleNamespace, left: Daemon, right: Daemon) -> None:
    """Both have what the other one announces."""
    for daemon, other in ((left, right), (right, left)):
        wait_until(f"{daemon.name} is up", lambda: daemon.established(lab.middle))  # noqa: B023
        wait_until(f"{daemon.name} has all", lambda: set(other.prefixes) <= daemon.routes())  # noqa: B023


def test_md5_on_both_sides(lab: SimpleNamespace) -> None:
    """Each side with a key of its own."""
    lab.proxy(listen=("--md5", "left key"), connect=("--md5", "right-key"))
    right = lab.start(Frr, "right", RIGHT, password="right-key")
    left = lab.start(Bird, "left", LEFT, password="left key")
    exchanged(lab, left, right)


def test_add_path(lab: SimpleNamespace) -> None:
    """Two paths to a prefix arrive with their identifiers."""
    passing = lab.proxy()
    prefix = "100.64.9.0/24"
    extra = "".join(
        f"protocol static more{number} {{ ipv4 {{ preference {200 + number}; }};\n"
        f"  route {prefix} blackhole {{ bgp_community.add((65101, {number})); }}; }}\n"
        for number in (1, 2)
    )
    right = lab.start(Frr, "right", RIGHT)
    left = lab.start(Bird, "left", LEFT, extra, add_path=True)
    exchanged(lab, left, right)
    wait_until("both paths", lambda: paths(right, prefix) == {"65101:1", "65101:2"})
    reached = [text for each in passing.messages("R", "UPDATE") for text in each[4].get("reach", ()) if prefix in text]
    identifiers = {re.fullmatch(r"#(\d+)#.*", text)[1] for text in reached}  # type: ignore[index]
    assert len(identifiers) == 2


def paths(frr: Daemon, prefix: str) -> set[str]:
    """The communities of each path that FRR has to a prefix."""
    text = frr.control("show bgp ipv4 unicast", prefix, "json")  # type: ignore[attr-defined]
    found = json.loads(text[text.index("{") :]).get("paths", ()) if "{" in text else ()
    return {path["community"]["string"] for path in found}


def test_extended_message(lab: SimpleNamespace) -> None:
    """An UPDATE of more than 4096 octets, which one needs for 1500 communities."""
    communities = " ".join(f"bgp_community.add((65101, {number}));" for number in range(1500))
    prefix = "100.64.10.0/24"
    extra = f"protocol static many {{ ipv4;\n  route {prefix} blackhole {{ {communities} }}; }}\n"
    passing = lab.proxy()
    right = lab.start(Bird, "right", RIGHT, extended_message=True)
    left = lab.start(Bird, "left", LEFT, extra, extended_message=True)
    exchanged(lab, left, right)
    wait_until("the long one", lambda: prefix in right.routes())
    assert right.control("show", "route", "for", prefix, "all").count("(65101,") == 1500  # type: ignore[attr-defined]
    (update,) = [each for each in passing.messages("R", "UPDATE") if prefix in each[4].get("reach", ())]
    assert len(update[4]["attrs"]["COMMUNITY"]["value"]) == 1500


@pytest.mark.parametrize("who", ["left", "right"])
def test_route_refresh(lab: SimpleNamespace, who: str) -> None:
    """One router asks for all routes again, the other one sends them."""
    passing = lab.proxy()
    right = lab.start(Frr, "right", RIGHT)
    left = lab.start(Bird, "left", LEFT)
    exchanged(lab, left, right)
    asked, answered = ("R", "L") if who == "left" else ("L", "R")
    before = len(passing.messages(answered, "UPDATE"))
    assert passing.messages(asked, "REFRESH") == []
    if who == "left":
        left.control("reload", "in", "n0")
    else:
        right.control("clear bgp", lab.middle, "in")
    wait_until("the question", lambda: passing.messages(asked, "REFRESH"))
    wait_until("the answer", lambda: len(passing.messages(answered, "UPDATE")) >= before + 2)


def test_graceful_restart(lab: SimpleNamespace) -> None:
    """A router is gone without a word: its routes are kept at the other side, through the proxy's end and its start,
    until it is there again."""
    right_end = ("connect", "--wait", "listen", "--bind", lab.middle, f"{lab.right}:{PORT}")
    passing = lab.run("-o", "--", "listen", "--again", f"{lab.middle}:{PORT}", "--", *right_end)
    passing.listens()
    right = lab.start(Bird, "right", RIGHT, graceful_restart=True)
    left = lab.start(Bird, "left", LEFT, graceful_restart=True)
    exchanged(lab, left, right)
    left.kill()
    wait_until("the loss is seen", lambda: not right.established(lab.middle))
    wait_until("the helper waits", lambda: "graceful restart" in right.control("show", "protocols", "all", "n0"))
    assert set(LEFT) <= right.routes(), "they are kept, though stale"
    left = lab.start(Bird, "left", LEFT, graceful_restart=True)
    exchanged(lab, left, right)
    assert passing.messages("R", "NOTIFY") == []


def table(tmp_path: Path, data: Path | None) -> tuple[Path, int]:
    """A table of real prefixes where there is one, else one of our own making; and how many prefixes it has."""
    if data is not None and (path := data / "rib.20140530.2200.bz2").exists():
        import bgpipe

        # the table is that of several peers: of each prefix, the last one's route stays
        return path, len(
            {prefix for message in bgpipe.read(path) for prefix in message.update.reach if prefix.afi == 1}
        )
    path = tmp_path / "table.json"
    prefixes = [f"{a}.{b}.{c}.0/24" for a in (20, 21) for b in range(125) for c in range(256)]
    with path.open("w") as file:
        for start in range(0, len(prefixes), 5):
            attrs = {"ORIGIN": "IGP", "ASPATH": [64999, 65000 + start % 500], "NEXTHOP": NEXT_HOP4}
            body = {"reach": prefixes[start : start + 5], "attrs": attrs}
            file.write(json.dumps(["R", 0, None, "UPDATE", body]) + "\n")
    return path, len(prefixes)


@pytest.fixture
def real(request) -> Path | None:
    from processes import FOLDER

    data = FOLDER.parent.parent / "shared" / "data"
    return data if data.is_dir() else None


def test_full_table(lab: SimpleNamespace, tmp_path, real: Path | None) -> None:
    """All of it arrives, and a second time when the router asks for it."""
    path, prefixes = table(tmp_path, real)
    right = lab.start(Bird, "right", [])
    words = ("speaker", "--active", "--asn", LEFT_AS, "--id", lab.middle, "--", "read", path)
    running = lab.run(*("--", *words, "--", "connect", "--bind", lab.middle, "--retry", f"{lab.right}:{PORT}"))
    wait_until("the table", lambda: routes(right) == prefixes, 90)
    assert right.established(lab.middle)
    right.control("reload", "in", "n0")
    wait_until("the answer", lambda: running.log.count("route refresh answered") == 2, 60)
    wait_until("the table", lambda: routes(right) == prefixes)
    assert running.finish() == 0
    wait_until("the end", lambda: routes(right) == 0)


def routes(bird: Daemon) -> int:
    """How many of IPv4 it has."""
    shown = bird.control("show", "route", "count", "table", "master4")  # type: ignore[attr-defined]
    found = re.search(r"(\d+) of (\d+) routes for (\d+) networks", shown)
    return int(found[3]) if found else -1


def test_ipv6(installed: Installed, tmp_path, run: Run) -> None:
    """All on ::1, where only ports tell them apart."""
    left_port, middle_port, right_port = 18391, 18392, 18393
    neighbors = [Neighbor("::1", RIGHT_AS, port=middle_port), Neighbor("::1", LEFT_AS, port=middle_port, passive=True)]
    right = Bird(installed, tmp_path / "right", "::1", RIGHT_AS, neighbors[1:], RIGHT, port=right_port)
    left = Bird(installed, tmp_path / "left", "::1", LEFT_AS, neighbors[:1], LEFT, port=left_port)
    passing = run(
        "-o", "--", "listen", f"[::1]:{middle_port}", "--", "connect", "--wait", "listen", f"[::1]:{right_port}"
    )
    try:
        passing.listens()
        right.start()
        left.start()
        exchanged(SimpleNamespace(middle="::1"), left, right)
        assert "connected" in passing.log
        assert "[::1]" in passing.log
    finally:
        left.stop()
        right.stop()
