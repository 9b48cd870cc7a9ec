"""Five BGP daemons, every pair of them with a session through bgpipe, and each beside `speaker`, active and passive.

All of it runs at the same time: ten proxies, ten speakers. Each daemon has a route of IPv4 and one of IPv6 of its own,
each speaker too. Routes must arrive with the neighbour, and pass the very proxy between the two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from daemons import DAEMONS, NEXT_HOP4, NEXT_HOP6, PORT, Daemon, Installed, Neighbor, wait_until
from processes import REQUIRED, Bgpipe, runner

pytestmark = pytest.mark.interop
NAMES = [name for name in DAEMONS if name != "openbgpd" or not os.geteuid() or REQUIRED]
PAIRS = [pair if sum(map(NAMES.index, pair)) % 2 else pair[::-1] for pair in combinations(NAMES, 2)]
"""(who calls, who is called)"""
SPEAKERS = [(name, mode) for name in NAMES for mode in ("active", "passive")]
SPEAKER_AS = 65001
CLOSE_TIMEOUT = 30.0


def asn(name: str) -> int:
    return 65010 + NAMES.index(name)


def routes(number: int) -> list[str]:
    return [f"100.64.{number}.0/24", f"2001:db8:{number:x}::/48"]


def own(name: str) -> list[str]:
    return routes(10 + NAMES.index(name))


def spoken(name: str, mode: str) -> list[str]:
    return routes(100 + SPEAKERS.index((name, mode)))


def between(pair: tuple[str, str]) -> str:
    """The address of the proxy of a pair."""
    return f"127.77.1.{PAIRS.index(pair) + 1}"


def beside(name: str, mode: str) -> str:
    """The address of a speaker."""
    return f"127.77.2.{SPEAKERS.index((name, mode)) + 1}"


class Mesh:
    def __init__(self, installed: Installed, folder: Path) -> None:
        self.daemons: dict[str, Daemon] = {}
        for number, name in enumerate(NAMES):
            neighbors = [Neighbor(between(pair), asn(pair[1])) for pair in PAIRS if pair[0] == name]
            neighbors += [Neighbor(between(pair), asn(pair[0]), passive=True) for pair in PAIRS if pair[1] == name]
            neighbors += [
                Neighbor(beside(name, mode), SPEAKER_AS, passive=mode == "active") for mode in ("active", "passive")
            ]
            kind = DAEMONS[name]
            self.daemons[name] = kind(
                installed, folder / name, f"127.77.0.{number + 1}", asn(name), neighbors, own(name)
            )
        self.proxies: dict[tuple[str, str], Bgpipe] = {}
        self.speakers: dict[tuple[str, str], Bgpipe] = {}


@pytest.fixture(scope="module")
def mesh(installed: Installed, tmp_path_factory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("mesh")
    made = Mesh(installed, folder)
    with runner(folder) as run:
        try:
            for pair in PAIRS:
                here = between(pair)
                called = made.daemons[pair[1]]
                left = ("listen", "--allow", made.daemons[pair[0]].address, f"{here}:{PORT}")
                right = ("connect", "--bind", here, "--wait", "listen", "--retry", f"{called.address}:{PORT}")
                made.proxies[pair] = run("-o", "--", *left, "--", *right)
            for name, mode in SPEAKERS:
                file = folder / f"{name}-{mode}.json"
                file.write_text("".join(map(announcement, spoken(name, mode))))
                here, there = beside(name, mode), made.daemons[name].address
                speaker = (
                    "speaker",
                    "--asn",
                    SPEAKER_AS,
                    "--id",
                    here,
                    *(["--active"] * (mode == "active")),
                )
                end = ("connect", "--bind", here, "--retry", f"{there}:{PORT}")
                if mode == "passive":
                    end = ("listen", f"{here}:{PORT}")
                made.speakers[name, mode] = run("-o", "--", *speaker, "--", "read", file, "--", *end)
            for each in (*made.proxies.values(), *(made.speakers[name, "passive"] for name in NAMES)):
                each.listens()
            for daemon in made.daemons.values():
                daemon.start()
            yield made
        finally:
            for daemon in made.daemons.values():
                daemon.stop()


def announcement(prefix: str) -> str:
    attrs: dict[str, object] = {"ORIGIN": "IGP", "ASPATH": [SPEAKER_AS]}
    if ":" in prefix:
        attrs["MP_REACH"] = {"af": "IPV6/UNICAST", "nexthop": NEXT_HOP6, "prefixes": [prefix]}
        body: dict[str, object] = {"attrs": attrs}
    else:
        body = {"reach": [prefix], "attrs": attrs | {"NEXTHOP": NEXT_HOP4}}
    return json.dumps(["R", 0, None, "UPDATE", body]) + "\n"


def test_openbgpd_is_among_them() -> None:
    if "openbgpd" not in NAMES:
        pytest.skip("OpenBGPD runs as root only: nothing here is beside it")


@pytest.mark.parametrize("pair", PAIRS, ids=map("-".join, PAIRS))
def test_pair(mesh: Mesh, pair: tuple[str, str]) -> None:
    left, right = (mesh.daemons[name] for name in pair)
    proxy = mesh.proxies[pair]
    for daemon, other in ((left, right), (right, left)):
        wait_until(f"{daemon.name} is up", lambda: daemon.established(between(pair)), CLOSE_TIMEOUT)  # noqa: B023
        wait_until(f"{daemon.name} has all", lambda: set(other.prefixes) <= daemon.routes(), CLOSE_TIMEOUT)  # noqa: B023
    wait_until("it passed to the right", lambda: set(left.prefixes) <= proxy.prefixes("R"), CLOSE_TIMEOUT)
    wait_until("it passed to the left", lambda: set(right.prefixes) <= proxy.prefixes("L"), CLOSE_TIMEOUT)
    assert "negotiated session capabilities" in proxy.log


@pytest.mark.parametrize(("name", "mode"), SPEAKERS, ids=map("-".join, SPEAKERS))
def test_speaker(mesh: Mesh, name: str, mode: str) -> None:
    daemon, speaker = mesh.daemons[name], mesh.speakers[name, mode]
    wait_until(f"{name} is up", lambda: daemon.established(beside(name, mode)), CLOSE_TIMEOUT)
    wait_until(f"{name} has all", lambda: set(spoken(name, mode)) <= daemon.routes(), CLOSE_TIMEOUT)
    wait_until("the speaker has all", lambda: set(daemon.prefixes) <= speaker.prefixes("L"), CLOSE_TIMEOUT)
    wait_until("End-of-RIB of both families", lambda: len(ends(speaker)) == 2, CLOSE_TIMEOUT)


def ends(speaker: Bgpipe) -> list[object]:
    """Its End-of-RIB markers."""
    updates = speaker.messages("R", "UPDATE")
    return [each for each in updates if "reach" not in each[4] and "MP_REACH" not in str(each)]


def test_end(mesh: Mesh) -> None:
    """The last of the module: all of them end as they are told, with Cease, and nobody complains."""
    for each in (*mesh.proxies.values(), *mesh.speakers.values()):
        each.stop()
    for each in (*mesh.proxies.values(), *mesh.speakers.values()):
        assert each.finish() == 0, each.log
    for speaker in mesh.speakers.values():
        (cease,) = speaker.messages("R", "NOTIFY")
        assert cease[4]["code"] == 6
