"""The route server with each of the daemons as its client: what they show is what they subscribed to."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("routeserver", "live")]

from bgplite import BgpLite, bgplite  # noqa: E402
from daemons import DAEMONS, PORT, Bird, Daemon, Frr, Installed, Neighbor, wait_until  # noqa: E402

pytestmark = pytest.mark.interop
CLOUD = [f"11.{number}.0.0/24" for number in range(200)] + ["2606:4700::/32"]
LISTS = "PrefixSources:\n  - {Name: cloud, Path: cloud.txt, Community: 65000:300}\n"
_nets = count(1)


def client(
    kind: type[Daemon], installed: Installed, folder: Path, server: BgpLite, *, called: bool = False, **more: bool
) -> Daemon:
    """A daemon whose address has subscribed at the route server, and which calls it. called: is called, too."""
    address = f"127.84.{next(_nets)}.3"
    subscription = {"lists": ["cloud"], "customPrefixes": ["12.0.0.0/8"], "exclude": ["11.7.0.0/24"]}
    subscription |= {"connect": called, "port": PORT}
    status, shown = server.call("POST", "/api/peers", {"ip": address, "asn": 65003} | subscription)
    assert status == 200, shown
    neighbor = Neighbor(server.address[0], 65000, port=server.address[1], **more)
    daemon = kind(installed, folder / kind.name, address, 65003, [neighbor])
    daemon.start()
    return daemon


def subscribed() -> set[str]:
    return {*CLOUD, "12.0.0.0/8"} - {"11.7.0.0/24"}


@pytest.mark.parametrize("kind", DAEMONS.values(), ids=DAEMONS)
def test_a_client_has_what_it_subscribed_to_and_gets_what_changes(kind, installed, tmp_path):
    (tmp_path / "cloud.txt").write_text("\n".join(CLOUD))
    with bgplite(tmp_path, LISTS, bgp="  NextHop: 10.99.0.1\n") as server:
        daemon = client(kind, installed, tmp_path, server)
        try:
            wait_until("the routes are there", lambda: daemon.routes() == subscribed(), 60)
            before = server.get("/api/sessions")["sessions"][0]["updatesSent"]
            server.write("cloud.txt", [*CLOUD[1:], "13.0.0.0/8"])
            wanted = (subscribed() - {CLOUD[0]}) | {"13.0.0.0/8"}
            wait_until("the changes are there", lambda: daemon.routes() == wanted, 60)
            after = server.get("/api/sessions")["sessions"][0]["updatesSent"]
            assert after - before == 2  # one that announces, and one that withdraws
        finally:
            daemon.stop()


@pytest.mark.parametrize("kind", DAEMONS.values(), ids=DAEMONS)
def test_a_client_that_waits_is_called(kind, installed, tmp_path):
    (tmp_path / "cloud.txt").write_text("\n".join(CLOUD))
    with bgplite(tmp_path, LISTS, bgp="  NextHop: 10.99.0.1\n") as server:
        daemon = client(kind, installed, tmp_path, server, called=True, passive=True)
        try:
            wait_until("the routes are there", lambda: daemon.routes() == subscribed(), 60)
        finally:
            daemon.stop()


@pytest.mark.parametrize("kind", [Bird, Frr], ids=lambda kind: kind.name)
def test_a_restart_takes_no_route_away(kind, installed, tmp_path):
    """FRR that keeps routes does not call until our restart time is over, so it is called."""
    (tmp_path / "cloud.txt").write_text("\n".join(CLOUD))
    with bgplite(tmp_path, LISTS) as server:
        place = server.address, server.api_port
        daemon = client(kind, installed, tmp_path, server, called=kind is Frr, graceful_restart=True)
        try:
            wait_until("the routes are there", lambda: daemon.routes() == subscribed(), 60)
            assert server.stop() == 0
            wait_until("the session is down", lambda: not daemon.established(server.address[0]))
            assert daemon.routes() == subscribed()
        except BaseException:
            daemon.stop()
            raise
    try:
        (tmp_path / "cloud.txt").unlink()
        with bgplite(tmp_path, LISTS, at=place) as server:
            wait_until("the session is up", lambda: daemon.established(server.address[0]), 60)
            assert daemon.routes() == subscribed()
            wait_until("all of it is there", lambda: server.get("/api/sessions")["sessions"][0]["complete"])
            assert daemon.routes() == subscribed()
    finally:
        daemon.stop()
