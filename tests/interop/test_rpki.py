"""RTR caches and firewalls beside real ones.

StayRTR gives us VRPs; routers and librtr judge the cache of our tests; and what a router knows behind `rov` and `guard`
is what a filter in BIRD would have left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from daemons import PORT, Bird, Daemon, Frr, GoBgp, Installed, Neighbor, wait_until
from processes import Bgpipe, Run
from rtr_caches import CacheThread, StayRtr, cache, vrps_of

from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.prefix import Prefix, parse_prefix

pytestmark = pytest.mark.interop
ROUTES = int(os.environ.get("BGPIPE_INTEROP_ROUTES", "20000"))
"""Routes that stand while VRPs change; 100,000 take minutes."""
CHANGES = 50
LEFT_AS, RIGHT_AS = 65101, 65102
ORIGINS = (65101, 65201, 65202)
"""Who originates routes: the router at the left itself, and two behind it."""
_numbers = count(1)


def vrps(rows: Sequence[tuple[str, int, int]]) -> Snapshot:
    return Snapshot.of([Vrp(parse_prefix(prefix), longest, asn) for prefix, longest, asn in rows])


def random_rows(rng: Random, prefixes: Sequence[str], most: int) -> list[tuple[str, int, int]]:
    """VRPs around some of these prefixes: right, too short, or of another AS; each AS and length at most once."""
    found = {}
    for text in rng.sample(prefixes, rng.randrange(1, min(most, len(prefixes)) + 1)):
        prefix = parse_prefix(text)
        bits = 32 if prefix.afi == 1 else 128
        length = max(8, prefix.length - rng.choice((0, 0, 1, 4)))
        covering = str(Prefix(prefix.afi, prefix.address >> bits - length << bits - length, length))
        longest = rng.choice((length, prefix.length, min(bits, prefix.length + 2)))
        found[covering, longest, rng.choice((*ORIGINS, 0))] = None
    return list(found)


@pytest.fixture
def lab(installed: Installed, tmp_path: Path, run: Run) -> Iterator[SimpleNamespace]:
    """Two routers with bgpipe between them, at addresses that nobody else uses."""
    net = f"127.84.{next(_numbers)}"
    started: list[Any] = []

    def start(daemon: Any) -> Any:
        started.append(daemon)
        daemon.start()
        return daemon

    def router(kind: type[Daemon], side: str, prefixes: Sequence[str] = (), **more: Any) -> Daemon:
        address, asn, other = (made.left, LEFT_AS, RIGHT_AS) if side == "left" else (made.right, RIGHT_AS, LEFT_AS)
        peer = Neighbor(made.middle, other, passive=side == "right")
        return start(kind(installed, tmp_path / f"{side}{len(started)}", address, asn, [peer], prefixes, **more))

    def proxy(*stages: object, options: Sequence[object] = ()) -> Bgpipe:
        left = ("listen", f"{made.middle}:{PORT}")
        right = ("connect", "--bind", made.middle, "--wait", "listen", f"{made.right}:{PORT}")
        running = run(*options, "--", *left, "--", *stages, "--", *right)
        running.listens()
        return running

    made = SimpleNamespace(
        left=f"{net}.1",
        right=f"{net}.2",
        middle=f"{net}.3",
        net=net,
        start=start,
        router=router,
        proxy=proxy,
        installed=installed,
        folder=tmp_path,
    )
    try:
        yield made
    finally:
        for daemon in started:
            (daemon.kill if isinstance(daemon, StayRtr) else daemon.stop)()


# the cache of our tests, as routers see it

DATA = [
    [("192.0.2.0/24", 24, 65001), ("192.0.2.0/24", 28, 65002), ("2001:db8::/32", 48, 65001)],
    [("192.0.2.0/24", 28, 65002), ("198.51.100.0/22", 24, 4200000001), ("2001:db8:8000::/33", 128, 65001)],
    [("10.0.0.0/8", 32, 0)],
]


@pytest.mark.parametrize(("kind", "versions"), [(Bird, (0, 1)), (Bird, (0,)), (Frr, (0, 1)), (GoBgp, (0, 1))])
def test_a_router_takes_what_the_cache_of_our_tests_says(
    lab: SimpleNamespace, kind: type[Any], versions: tuple[int, ...]
) -> None:
    with cache(vrps(DATA[0]), versions=versions) as served:
        router = lab.router(kind, "left", rtr=served.place)
        for data in (*DATA, []):
            served.replace(vrps(data))
            wait_until(f"{router.name} has {data}", lambda: vrps_of(router) == set(data))  # noqa: B023
        asked = served.server.connections[-1]
        assert asked.errors == []
        assert asked.version == (0 if kind is GoBgp else max(versions))


@pytest.mark.parametrize("version", [0, 1])
def test_librtr_takes_what_the_cache_of_our_tests_says(installed: Installed, version: int) -> None:
    with cache(vrps(DATA[0]), versions=(0, 1)[: version + 1]) as served:
        address, _, port = served.place.rpartition(":")
        command = ["stdbuf", "-oL", installed.program("rtrclient"), "tcp", "-p", address, port]
        client = subprocess.Popen(
            command, env=installed.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with client:
            assert client.stdout is not None
            found: set[tuple[str, int, int]] = set()
            for line in client.stdout:
                words = line.split()  # + 192.0.2.0   24 - 24   65001
                if len(words) == 6 and words[0] in "+-" and words[3] == "-":
                    row = f"{words[1]}/{words[2]}", int(words[4]), int(words[5])
                    (found.add if words[0] == "+" else found.discard)(row)
                if found == set(DATA[0]):
                    served.replace(vrps(DATA[1]))
                if found == set(DATA[1]):
                    break
            client.kill()
        assert found == set(DATA[1])
        assert served.server.connections[-1].version == version


# StayRTR


def write_json(file: Path, rows: Sequence[tuple[str, int, int]]) -> None:
    roas = [{"asn": f"AS{asn}", "prefix": prefix, "maxLength": longest, "ta": "test"} for prefix, longest, asn in rows]
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps({"metadata": {"buildtime": "2026-01-01T00:00:00Z"}, "roas": roas}))
    whole.rename(file)


PREFIXES = [f"11.{number}.0.0/16" for number in range(10)] + [f"2a00:{number:x}::/32" for number in range(1, 6)]
VALID = [(prefix, parse_prefix(prefix).length, LEFT_AS) for prefix in PREFIXES]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_stayrtr_with_a_file_that_changes(lab: SimpleNamespace, tmp_path: Path, version: int) -> None:
    """What has become invalid is withdrawn and comes back; without the cache nothing changes, whatever its end."""
    write_json(tmp_path / "vrps.json", VALID)
    options = ("-protocol", str(version))
    served = StayRtr(lab.installed, tmp_path / "rtr", f"{lab.net}.9", 8282, tmp_path / "vrps.json", options)
    lab.start(served)
    proxy = lab.proxy("rov", "-R", options=("--rpki", served.place, "--rpki-retry", "1s"))
    right = lab.router(Bird, "right")
    lab.router(Bird, "left", PREFIXES)
    wait_until("all is there", lambda: right.routes() == set(PREFIXES))
    wrong = [(prefix, longest, 65009) for prefix, longest, _ in VALID[:4] + VALID[-2:]]
    write_json(tmp_path / "vrps.json", [*wrong, *VALID[4:-2]])
    wait_until("what is invalid is withdrawn", lambda: right.routes() == set(PREFIXES[4:-2]))
    served.kill()
    served.start()
    write_json(tmp_path / "vrps.json", VALID)
    wait_until("it comes back", lambda: right.routes() == set(PREFIXES))
    assert proxy.process.poll() is None


def test_another_cache_takes_over(lab: SimpleNamespace, tmp_path: Path) -> None:
    """When the first one is killed and its data expire, the second one counts; and the first again when it is back."""
    caches = []
    for number, rows in enumerate((VALID, [(prefix, longest, 65009) for prefix, longest, _ in VALID[:5]])):
        file = tmp_path / f"vrps{number}.json"
        write_json(file, rows)
        caches.append(
            lab.start(StayRtr(lab.installed, tmp_path / f"rtr{number}", f"{lab.net}.{9 + number}", 8282, file))
        )
    places = ",".join(each.place for each in caches)
    lab.proxy("rov", "-R", options=("--rpki", places, "--rpki-retry", "1s", "--rpki-expire", "2s"))
    right = lab.router(Bird, "right")
    lab.router(Bird, "left", PREFIXES)
    wait_until("all is there", lambda: right.routes() == set(PREFIXES))
    caches[0].kill()
    wait_until("the second one counts", lambda: right.routes() == set(PREFIXES[5:]), 60)
    caches[0].start()
    wait_until("the first one counts again", lambda: right.routes() == set(PREFIXES), 60)


# what BIRD would have left


class Oracle:
    """BIRD with the same VRPs and routes, asked what its filter leaves. prefixes: by origin AS."""

    def __init__(self, bird: Bird, prefixes: dict[int, list[str]]) -> None:
        self.bird = bird
        self.prefixes = prefixes

    def left(self) -> set[str]:
        found: set[str] = set()
        for origin in self.prefixes:
            for version in (4, 6):
                where = f"roa_check(r{version}, net, {origin}) != ROA_INVALID"
                found |= self.asked(f"o{origin}v{version}", where)
        return found

    def inside(self, networks: Sequence[str]) -> set[str]:
        """Those that a list of prefixes means."""
        found: set[str] = set()
        for version in (4, 6):
            mine = [each for each in networks if (":" in each) == (version == 6)]
            for start in range(0, len(mine), 10):  # a command of birdc has a kibibyte at most
                for origin in self.prefixes:
                    found |= self.asked(f"o{origin}v{version}", f"net ~ [ {', '.join(mine[start : start + 10])} ]")
        return found

    def asked(self, protocol: str, where: str) -> set[str]:
        text = self.bird.control("show", "route", "protocol", protocol, "where", *where.split())
        return {line.split()[0] for line in text.splitlines() if line[:1].isalnum() and "/" in line.split()[0]}


def static(prefixes: dict[int, list[str]]) -> str:
    """Protocols of BIRD, one for each origin and family."""
    text = ""
    for origin, routes in prefixes.items():
        for version in (4, 6):
            mine = [each for each in routes if (":" in each) == (version == 6)]
            rows = "".join(f"  route {each} blackhole;\n" for each in mine)
            text += f"protocol static o{origin}v{version} {{ ipv{version};\n{rows}}}\n"
    return text


EXPORT = "export filter {{ {} accept; }};".format(
    " ".join(f'if proto ~ "o{asn}v*" then bgp_path.prepend({asn});' for asn in ORIGINS if asn != LEFT_AS)
)


def many_routes(number: int) -> dict[int, list[str]]:
    """So many routes, a tenth of them IPv6, by origin."""
    found: dict[int, list[str]] = {origin: [] for origin in ORIGINS}
    for at in range(number):
        text = f"{20 + (at >> 16)}.{at >> 8 & 0xFF}.{at & 0xFF}.0/24"
        if at % 10 == 9:
            text = f"2a00:{1 + (at >> 8):x}:{1 + (at & 0xFF):x}::/48"
        found[ORIGINS[at % 3]].append(text)
    return found


def all_of(prefixes: dict[int, list[str]]) -> list[str]:
    return [each for routes in prefixes.values() for each in routes]


def compare(oracle: Oracle, right: Any, served: CacheThread, rows: list[tuple[str, int, int]], what: str) -> None:
    served.replace(vrps(rows))
    wait_until(f"BIRD has the VRPs ({what})", lambda: vrps_of(oracle.bird) == set(rows))
    wanted = oracle.left()
    try:
        wait_until(f"the table of the router is that of BIRD's filter ({what})", lambda: right.routes() == wanted, 60)
    except AssertionError:
        found = right.routes()
        raise AssertionError(f"{what}: {sorted(found - wanted)[:5]} {sorted(wanted - found)[:5]}") from None


def test_a_large_table_while_vrps_change(lab: SimpleNamespace) -> None:
    """After each change, the router at the right has what a filter in BIRD with the same VRPs would have left."""
    rng = Random(1)
    prefixes = many_routes(ROUTES)
    every = all_of(prefixes)
    with cache(vrps([("192.0.2.0/24", 24, 1)]), versions=(0, 1)) as served:
        lab.proxy("rov", "-R", options=("--rpki", served.place, "--rpki-shrink"))
        right = lab.router(Bird, "right")
        left = lab.router(Bird, "left", rtr=served.place, extra=static(prefixes), export=EXPORT)
        wait_until("all routes are there", lambda: right.routes() == set(every), 120)
        oracle, before = Oracle(left, prefixes), len(served.server.connections)
        for number in range(CHANGES):
            compare(oracle, right, served, random_rows(rng, every, 1000), f"change {number}")
        assert len(served.server.connections) == before  # nobody had to begin anew


@pytest.mark.parametrize(("one", "other"), [(Frr, GoBgp), (GoBgp, Bird), (Bird, Frr)])
def test_routers_on_both_sides_of_rov(lab: SimpleNamespace, one: type[Daemon], other: type[Daemon]) -> None:
    rng = Random(2)
    prefixes = {LEFT_AS: all_of(many_routes(120))}
    with cache(vrps([("192.0.2.0/24", 24, 1)]), versions=(0, 1)) as served:
        lab.proxy("rov", "-LR", options=("--rpki", served.place, "--rpki-shrink"))
        right = lab.router(other, "right", ["99.1.0.0/16"])
        left = lab.router(one, "left", prefixes[LEFT_AS])
        watch = lab.start(
            Bird(lab.installed, lab.folder / "oracle", f"{lab.net}.4", 65000, rtr=served.place, extra=static(prefixes))
        )
        wait_until("all routes are there", lambda: right.routes() == set(prefixes[LEFT_AS]), 60)
        for number in range(10):
            compare(Oracle(watch, prefixes), right, served, random_rows(rng, prefixes[LEFT_AS], 60), f"{number}")
        served.replace(vrps([("99.1.0.0/16", 16, 1)]))
        wait_until("the other direction is judged too", lambda: "99.1.0.0/16" not in left.routes())
        served.replace(vrps([("99.1.0.0/16", 16, RIGHT_AS)]))
        wait_until("and comes back", lambda: "99.1.0.0/16" in left.routes())


@pytest.mark.parametrize(("one", "other"), [(Bird, Bird), (Frr, GoBgp), (GoBgp, Bird), (Bird, Frr)])
def test_routers_on_both_sides_of_guard(
    lab: SimpleNamespace, tmp_path: Path, one: type[Daemon], other: type[Daemon]
) -> None:
    """A list of prefixes changes, which BIRD has in a filter too."""
    rng = Random(3)
    prefixes = {LEFT_AS: all_of(many_routes(2000 if one is other else 120))}
    file = tmp_path / "list.bird"
    file.write_text("L = [ 0.0.0.0/0{8,24}, ::/0{16,48} ];\n")
    proxy = lab.proxy("guard", "-R", "--prefixes", file)
    right = lab.router(other, "right")
    lab.router(one, "left", prefixes[LEFT_AS])
    oracle = Oracle(
        lab.start(Bird(lab.installed, tmp_path / "oracle", f"{lab.net}.4", 65000, extra=static(prefixes))), prefixes
    )
    wait_until("all routes are there", lambda: right.routes() == set(prefixes[LEFT_AS]), 60)
    for number in range(20 if one is other else 6):
        networks = []
        for text in rng.sample(prefixes[LEFT_AS], 60):
            prefix = parse_prefix(text)
            bits = 32 if prefix.afi == 1 else 128
            length = prefix.length - rng.choice((0, 1, 2, 4))
            covering = Prefix(prefix.afi, prefix.address >> bits - length << bits - length, length)
            low = rng.randint(length, prefix.length)
            networks.append(f"{covering}{{{low},{rng.randint(low, prefix.length + 1)}}}")
        networks += ["20.0.0.0/9{9,24}", "2a00::/16{16,48}"][number % 3 :]
        whole = tmp_path / "new"
        whole.write_text(f"L = [ {', '.join(networks)} ];\n")
        whole.rename(file)
        proxy.process.send_signal(signal.SIGHUP)
        wanted = oracle.inside(networks)
        wait_until(f"change {number}", lambda: right.routes() == wanted)  # noqa: B023
