"""Two routers with `listen --many` between them, whichever of them calls first, or both, and strangers beside them: one
session, with the same router at the left every time."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from daemons import PORT, Bird, Daemon, Frr, Installed, Neighbor, wait_until
from processes import Bgpipe, Run

pytestmark = pytest.mark.interop
ASN = {"left": 65101, "right": 65102}
PREFIXES = {"left": ["198.51.100.0/24", "2001:db8:100::/48"], "right": ["203.0.113.0/24", "2001:db8:200::/48"]}
PAIRS = [(Bird, Frr), (Frr, Bird)]
_numbers = count(1)


class Lab:
    """Two routers, and the address of bgpipe between them."""

    def __init__(self, installed: Installed, folder: Path, kinds: tuple[type[Daemon], type[Daemon]]) -> None:
        net = f"127.86.{next(_numbers)}"
        self.address = {"left": f"{net}.1", "right": f"{net}.2"}
        self.middle = f"{net}.3"
        self.stranger = f"{net}.4"
        self._installed, self._folder, self._kinds = installed, folder, dict(zip(ASN, kinds, strict=True))
        self.daemons: dict[str, Daemon] = {}

    def start(self, side: str, *, calls: bool) -> None:
        other = "right" if side == "left" else "left"
        peer = Neighbor(self.middle, ASN[other], passive=not calls)
        folder = self._folder / f"{side}{len(self.daemons)}"
        kind = self._kinds[side]
        self.daemons[side] = kind(self._installed, folder, self.address[side], ASN[side], [peer], PREFIXES[side])
        self.daemons[side].start()

    def come_up(self) -> None:
        """Each has the routes of the other one."""
        for side, other in (("left", "right"), ("right", "left")):
            daemon, wanted = self.daemons[side], set(PREFIXES[other])
            wait_until(f"{side} is up", lambda: daemon.established(self.middle), 60)  # noqa: B023
            wait_until(f"{side} has all", lambda: wanted <= daemon.routes(), 60)  # noqa: B023

    def stop(self) -> None:
        for daemon in self.daemons.values():
            daemon.stop()


@contextmanager
def strangers(lab: Lab) -> Iterator[None]:
    """Connections that are no router's: one says nothing, one no BGP, one ends at once, one is not allowed."""
    made = []
    try:
        for octets, source in ((b"", lab.stranger), (b"GET / HTTP/1.0\r\n\r\n", lab.stranger), (b"", "127.0.0.1")):
            made.append(socket.create_connection((lab.middle, PORT), 10, (source, 0)))
            made[-1].sendall(octets)
        socket.create_connection((lab.middle, PORT), 10, (lab.stranger, 0)).close()
        yield
    finally:
        for each in made:
            each.close()


@pytest.fixture(params=PAIRS, ids=["bird-frr", "frr-bird"])
def lab(request, installed: Installed, tmp_path) -> Iterator[Lab]:
    made = Lab(installed, tmp_path, request.param)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("callers", ["left", "right", "both"])
@pytest.mark.parametrize("first", ["left", "right"])
def test_one_session_with_the_same_sides(lab: Lab, run: Run, callers: str, first: str) -> None:
    passing = run(
        *("-o", "--", "listen", "--many", "--left-is", f"{lab.address['left']}:{PORT}"),
        *("--allow", ",".join(lab.address.values()), f"{lab.middle}:{PORT}"),
        *("--", "connect", "--bind", lab.middle, "--wait", "listen", f"{lab.address['right']}:{PORT}"),
    )
    passing.listens()
    with strangers(lab):
        for side in sorted(ASN, key=lambda side: side != first):
            lab.start(side, calls=callers in (side, "both"))
        lab.come_up()
        check_sides(passing)
        restart_keeps_sides(lab, passing, first, calls=callers in (first, "both"))


def restart_keeps_sides(lab: Lab, passing: Bgpipe, side: str, *, calls: bool) -> None:
    """One router crashes and comes back: again one session, and the same sides."""
    lab.daemons[side].kill()
    other = lab.daemons["right" if side == "left" else "left"]
    wait_until("the other one has noticed", lambda: not other.established(lab.middle), 60)
    lab.daemons[side].stop()
    lab.start(side, calls=calls)
    lab.come_up()
    check_sides(passing)


def check_sides(passing: Bgpipe) -> None:
    """What each announces travels away from it, in the session that is up and in those before."""
    wait_until("it passed to the right", lambda: set(PREFIXES["left"]) <= passing.prefixes("R"))
    wait_until("it passed to the left", lambda: set(PREFIXES["right"]) <= passing.prefixes("L"))
    for direction, side in (("R", "left"), ("L", "right")):
        assert first_of_paths(passing, direction) == {ASN[side]}, passing.log
    up = len(re.findall("event bgpfix/pipe.ESTABLISHED", passing.log))
    ended = len(re.findall("session ended.*established_for=", passing.log))
    assert up >= 1
    assert up - ended <= 1, passing.log


def first_of_paths(passing: Bgpipe, direction: str) -> set[int]:
    """The AS numbers that begin the AS paths of what travels in a direction: those of who has sent it."""
    paths = [each[4].get("attrs", {}).get("ASPATH", {}).get("value") for each in passing.messages(direction, "UPDATE")]
    return {path[0] for path in paths if path}
