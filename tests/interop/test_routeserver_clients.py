"""Sessions of the route server with each of the daemons: keys, IPv6, refreshes, roles, AS numbers, restarts, long lists
and changes under load."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("routeserver", "live")]

from bgplite import BgpLite, bgplite  # noqa: E402
from daemons import DAEMONS, Bird, Daemon, Frr, Installed, Neighbor, OpenBgpd, wait_until  # noqa: E402
from peers import place  # noqa: E402

pytestmark = pytest.mark.interop
NET = [f"11.{number}.0.0/24" for number in range(200)]
CLOUD = {*NET, "2606:4700::/32"}
LISTS = "PrefixSources:\n  - {Name: cloud, Path: cloud.txt, Community: 65000:300}\n"
BGP = "  NextHop: 10.99.0.1\n"
EACH = pytest.mark.parametrize("kind", DAEMONS.values(), ids=DAEMONS)
_nets = count(1)


@contextmanager
def client(
    kind: type[Daemon], installed: Installed, folder: Path, server: BgpLite, asn: int = 65003, **more: object
) -> Iterator[Daemon]:
    """A daemon that has subscribed to the list, and calls the route server. more: of Neighbor; `body`: of the peer."""
    address = f"127.85.{next(_nets)}.3"
    body = {"ip": address, "asn": asn, "lists": ["cloud"]} | dict(more.pop("body", {}))  # type: ignore[call-overload]
    status, shown = server.call("POST", "/api/peers", body)
    assert status == 200, shown
    neighbor = Neighbor(server.address[0], 65000, port=server.address[1], **more)  # type: ignore[arg-type]
    daemon = kind(installed, folder / kind.name, address, asn, [neighbor])
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def has(daemon: Daemon, prefixes: set[str], seconds: float = 60) -> None:
    wait_until("the routes are there", lambda: daemon.routes() == prefixes, seconds)


def session(server: BgpLite) -> dict:
    [shown] = server.get("/api/sessions")["sessions"]
    return shown


def write(folder: Path) -> None:
    (folder / "cloud.txt").write_text("\n".join(CLOUD))


@EACH
def test_a_session_with_a_key(kind, installed, tmp_path):
    write(tmp_path)
    signed = {"password": "sesame", "body": {"md5Password": "sesame"}}
    with bgplite(tmp_path, LISTS, bgp=BGP) as server, client(kind, installed, tmp_path, server, **signed) as daemon:
        has(daemon, CLOUD)


@EACH
def test_a_session_over_ipv6(kind, installed, tmp_path):
    """Both are at ::1, since loopback has one address of IPv6."""
    write(tmp_path)
    port = place()[1]
    listeners = f"{BGP}  Listeners: [{{Address: '::1', Port: {port}}}]\n"
    with bgplite(tmp_path, LISTS + "DefaultPrefixSource: cloud\n", bgp=listeners) as server:
        daemon = kind(installed, tmp_path / kind.name, "::1", 65003, [Neighbor("::1", 65000, port=port)], port=port + 1)
        daemon.start()
        try:
            has(daemon, CLOUD)
            assert session(server)["ip"] == "::1"
        finally:
            daemon.stop()


REFRESHES: dict[type[Daemon], Callable[[Daemon, str], object]] = {
    Bird: lambda daemon, server: daemon.control("reload", "in", "n0"),  # type: ignore[attr-defined]
    Frr: lambda daemon, server: daemon.control("clear bgp", server, "soft in"),  # type: ignore[attr-defined]
    OpenBgpd: lambda daemon, server: daemon.control("neighbor", server, "refresh"),  # type: ignore[attr-defined]
}
"""GoBGP keeps what it was told and asks nobody; ExaBGP does not ask."""


@pytest.mark.parametrize("kind", REFRESHES, ids=lambda kind: kind.name)
def test_a_refresh_is_answered_and_takes_no_route_away(kind, installed, tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS, bgp=BGP) as server, client(kind, installed, tmp_path, server) as daemon:
        has(daemon, CLOUD)
        before = session(server)["updatesSent"]
        REFRESHES[kind](daemon, server.address[0])
        wait_until("it is answered", lambda: session(server)["updatesSent"] >= before + 2)
        assert daemon.routes() == CLOUD


@pytest.mark.parametrize("role", ["customer", "peer", "provider", "rs_client"])
@pytest.mark.parametrize("kind", [Bird, Frr], ids=lambda kind: kind.name)
def test_our_role_answers_theirs(kind, role, installed, tmp_path):
    write(tmp_path)
    said = role if kind is Bird else role.replace("_", "-")
    with bgplite(tmp_path, LISTS, bgp=BGP) as server, client(kind, installed, tmp_path, server, role=said) as daemon:
        has(daemon, CLOUD)


@EACH
def test_as_numbers_of_two_and_four_octets(kind, installed, tmp_path):
    """Theirs has four octets, ours two; then the other way round."""
    write(tmp_path)
    large = 4200000007
    with bgplite(tmp_path, LISTS, bgp=BGP) as server, client(kind, installed, tmp_path, server, asn=large) as daemon:
        has(daemon, CLOUD)
    environment = {"Bgp__Asn": "4200000000"}
    with bgplite(tmp_path, LISTS, bgp=BGP, environment=environment) as server:
        address = f"127.85.{next(_nets)}.3"
        server.call("POST", "/api/peers", {"ip": address, "asn": 65003, "lists": ["cloud"]})
        neighbor = Neighbor(server.address[0], 4200000000, port=server.address[1])
        daemon = kind(installed, tmp_path / f"{kind.name}2", address, 65003, [neighbor])
        daemon.start()
        try:
            has(daemon, CLOUD)
        finally:
            daemon.stop()


@EACH
def test_a_client_that_is_killed_comes_back_and_has_all(kind, installed, tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS, bgp=BGP) as server, client(kind, installed, tmp_path, server) as daemon:
        has(daemon, CLOUD)
        daemon.kill()
        wait_until("its session is over", lambda: server.get("/api/sessions")["active"] == 0)
        for left in ("exa.json", "bgpd.vty"):
            (daemon.folder / left).unlink(missing_ok=True)
        daemon.start()
        has(daemon, CLOUD)


@EACH
def test_long_lists_are_complete_and_change_under_load(kind, installed, tmp_path):
    """200,000 prefixes; then ten changes, each while the one before may be under way: a prefix goes only where that
    was meant."""
    numbers = [f"{11 + each // 65536}.{each // 256 % 256}.{each % 256}.0/24" for each in range(0, 400_000, 2)]
    (tmp_path / "cloud.txt").write_text("\n".join(numbers))
    with bgplite(tmp_path, LISTS, bgp=BGP) as server, client(kind, installed, tmp_path, server) as daemon:
        wait_until("it is told", lambda: server.get("/api/sessions")["sessions"], 60)
        for step in range(1, 11):
            wanted = {*numbers[10 * step :], *(f"44.{step}.{each}.0/24" for each in range(0, 200, 2))}
            server.write("cloud.txt", wanted)
            size = len(wanted)
            wait_until("the list is read", lambda size=size: server.get("/api/sources")[0]["prefixes"] == size)
        wait_until("all of it is told", lambda: session(server)["complete"] and session(server)["routes"] == size, 60)
        for _ in range(60):  # to show all of it takes a daemon a second
            if daemon.routes() == wanted:
                break
            time.sleep(4)
        assert daemon.routes() == wanted
