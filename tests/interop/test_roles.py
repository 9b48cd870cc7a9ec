"""The stage otc between real routers (RFC 9234): BIRD and FRR, with and without roles of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemons import PORT, Bird, Daemon, Frr, Installed, Neighbor, wait_until
from processes import Bgpipe, Run

pytestmark = pytest.mark.interop
LEFT_AS, RIGHT_AS = 65021, 65022
LEFT, RIGHT = ["100.64.1.0/24", "2001:db8:1::/48"], ["100.64.2.0/24", "2001:db8:2::/48"]
LEAK = "100.64.66.0/24"
LEAKING = f"protocol static leak {{ ipv4; route {LEAK} blackhole {{ bgp_otc = 65555; }}; }}\n"
"""A route that another AS wants to go to customers only, as a router without roles passes it on."""
CLOSE_TIMEOUT = 40.0


class Pair:
    """A router that calls the proxy, and one behind it."""

    def __init__(self, left: Daemon, right: Daemon, proxy: Bgpipe, here: str) -> None:
        self.left, self.right, self.proxy, self.here = left, right, proxy, here

    def is_up(self) -> None:
        for daemon in (self.left, self.right):
            wait_until(f"{daemon.name} is up", lambda: daemon.established(self.here), CLOSE_TIMEOUT)  # noqa: B023

    def has(self, daemon: Daemon, prefixes: list[str]) -> None:
        wait_until(f"{daemon.name} has all", lambda: set(prefixes) <= daemon.routes(), CLOSE_TIMEOUT)

    def withdrawn(self, direction: str) -> set[str]:
        """What the stage has withdrawn."""
        found = self.proxy.messages(direction, "UPDATE")
        return {prefix for message in found for prefix in message[4].get("unreach", ())}


@contextmanager
def routers(
    installed: Installed,
    folder: Path,
    run: Run,
    stage: str,
    left: tuple[type[Daemon], str, str],
    right: tuple[type[Daemon], str, str],
    number: int,
) -> Iterator[Pair]:
    """left, right: the kind of router, its role, more of its configuration. number: where nobody else is."""
    here = f"127.77.{number}.9"
    (left_kind, left_role, left_extra), (right_kind, right_role, right_extra) = left, right
    one = left_kind(
        installed,
        folder / "left",
        f"127.77.{number}.1",
        LEFT_AS,
        [Neighbor(here, RIGHT_AS, role=left_role)],
        LEFT,
        extra=left_extra,
    )
    other = right_kind(
        installed,
        folder / "right",
        f"127.77.{number}.2",
        RIGHT_AS,
        [Neighbor(here, LEFT_AS, role=right_role, passive=True)],
        RIGHT,
        extra=right_extra,
    )
    proxy = run(
        *("-o", "--", "listen", "--many", f"{here}:{PORT}", "--", *stage.split()),
        *("--", "connect", "--bind", here, "--wait", "listen", "--retry", f"{other.address}:{PORT}"),
    )
    proxy.listens()
    try:
        other.start()
        one.start()
        yield Pair(one, other, proxy, here)
    finally:
        one.stop()
        other.stop()


def otc_of(bird: Bird, prefix: str) -> str:
    """What BIRD shows of ONLY_TO_CUSTOMER of a route."""
    found = [line.split()[-1] for line in bird.control("show", "route", prefix, "all").splitlines() if "otc" in line]
    return found[0] if found else ""


def test_roles_that_one_router_says(installed: Installed, tmp_path: Path, run: Run) -> None:
    """A router with the role of a provider in front of one that knows no roles and leaks."""
    ends = (Bird, "provider", ""), (Bird, "", LEAKING)
    with routers(installed, tmp_path, run, "otc -LR", *ends, 60) as pair:
        pair.is_up()
        pair.has(pair.right, LEFT)
        pair.has(pair.left, RIGHT)
        wait_until("the leak is withdrawn", lambda: LEAK in pair.withdrawn("L"), CLOSE_TIMEOUT)
        assert LEAK not in pair.proxy.prefixes("L") | pair.left.routes()
        assert isinstance(pair.right, Bird)
        assert [otc_of(pair.right, prefix) for prefix in LEFT] == [str(LEFT_AS)] * 2


def test_roles_that_only_the_option_says(installed: Installed, tmp_path: Path, run: Run) -> None:
    """A customer that leaks, and a router of another kind behind; neither knows roles."""
    ends = (Bird, "", LEAKING), (Frr, "", "")
    with routers(installed, tmp_path, run, "otc -LR --role customer", *ends, 61) as pair:
        pair.is_up()
        pair.has(pair.right, LEFT)
        pair.has(pair.left, RIGHT)
        wait_until("the leak is withdrawn", lambda: LEAK in pair.withdrawn("R"), CLOSE_TIMEOUT)
        assert LEAK not in pair.right.routes()
        assert isinstance(pair.left, Bird)
        assert [otc_of(pair.left, prefix) for prefix in RIGHT] == [str(RIGHT_AS)] * 2


def test_a_router_that_insists_on_roles(installed: Installed, tmp_path: Path, run: Run) -> None:
    """The router behind says no role; the proxy says it for it, and does what goes with it."""
    ends = (Bird, "provider; require roles yes", ""), (Bird, "", LEAKING)
    with routers(installed, tmp_path, run, "otc -LR --add-role", *ends, 64) as pair:
        pair.is_up()
        pair.has(pair.right, LEFT)
        pair.has(pair.left, RIGHT)
        wait_until("the leak is withdrawn", lambda: LEAK in pair.withdrawn("L"), CLOSE_TIMEOUT)


def test_two_routers_with_roles_need_no_stage(installed: Installed, tmp_path: Path, run: Run) -> None:
    ends = (Bird, "customer", ""), (Frr, "provider", "")
    with routers(installed, tmp_path, run, "otc -LR", *ends, 62) as pair:
        pair.is_up()
        pair.has(pair.right, LEFT)
        pair.has(pair.left, RIGHT)
        assert "both routers say their role" in pair.proxy.log
        assert not any("otc/status" in message[5] for message in pair.proxy.messages("LR", "UPDATE"))


def test_a_role_that_does_not_fit(installed: Installed, tmp_path: Path, run: Run) -> None:
    ends = (Bird, "peer", ""), (Bird, "", "")
    with routers(installed, tmp_path, run, "otc -LR --role customer", *ends, 63) as pair:
        wait_until("BIRD was told", lambda: "Role mismatch" in pair.left.log(), CLOSE_TIMEOUT)
        assert not pair.left.established(pair.here)
