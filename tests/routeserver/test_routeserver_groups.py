"""Groups, limits and entries that end, as the command itself has them, towards routers."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from bgplite import as4, bgplite
from peers import IPV4, IPV6, place, wait_until
from test_routeserver_policy import HOSTS

from bgpipe.routeserver.admission import Entrance
from bgpipe.routeserver.config import Bgp, Config, ConfiguredPeer, Defaults, Listener, WrittenEntry
from bgpipe.routeserver.server import RouteServer
from bgpipe.routeserver.times import parse_time
from bgpipe.wire.open import Open

LISTS = "PrefixSources:\n  - {Name: a, Path: a.txt}\n  - {Name: b, Path: b.txt, Community: '65000:2'}\n"


def write(folder) -> None:
    (folder / "a.txt").write_text("192.0.2.0/24\n")
    (folder / "b.txt").write_text("198.51.100.0/24\n")


def test_a_group_and_the_listener_that_names_it(tmp_path):
    write(tmp_path)
    address = place()
    more = (
        f"{LISTS}Defaults: {{AddCommunities: ['65000:9']}}\n"
        "Groups:\n  - {Name: homes, Lists: [b], LocalAsn: 64999, AddCommunities: [no-export], MaxPrefix: 1}\n"
    )
    listeners = f"  Listeners: [{{Address: {address[0]}, Port: {address[1] + 1}, Group: homes}}]\n"
    with bgplite(tmp_path, more, bgp=listeners, at=(address, address[1] + 1000)) as server:
        usual = server.client(65003, IPV4, as4(65003), source="127.91.0.1")
        usual.until_complete(1)
        assert usual.routes == {}
        server.address = (address[0], address[1] + 1)
        home = server.client(65003, IPV4, as4(65003), source="127.91.0.2")
        home.until_complete(1)
        assert home.open is not None
        assert home.open.asn == 64999
        assert home.routes.keys() == {"198.51.100.0/24"}
        attributes = home.routes["198.51.100.0/24"]
        assert attributes["ASPATH"]["value"] == [64999]
        assert set(attributes["COMMUNITY"]["value"]) == {"65000:2", "65000:9", "65535:65281"}
        peer = next(each for each in server.get("/api/peers") if each["ip"] == "127.91.0.2")
        assert peer["group"] == "homes"
        assert server.call("PUT", f"/api/peers/{peer['id']}", {"group": "nosuch"})[0] == 400
        server.call("PUT", f"/api/peers/{peer['id']}", {"lists": ["a"], "med": 7, "group": ""})
        # another AS number of ours needs another session
        while home.hear():
            pass
        home = server.client(65003, IPV4, as4(65003), source="127.91.0.2")
        home.until_complete(1)
        assert home.open is not None
        assert home.open.asn == 65000
        assert home.routes["192.0.2.0/24"]["MED"]["value"] == 7


def test_a_small_router(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"{host}\n" for host in HOSTS[:32]))
    (tmp_path / "b.txt").write_text("198.51.100.0/24\n")
    peers = "Peers:\n  - {Address: 127.91.0.3, RemoteAsn: 65003, Lists: [a], MaxRoutes: 2, MaxRoutesAction: widen}\n"
    with bgplite(tmp_path, f"{LISTS}{peers}") as server:
        client = server.client(65003, IPV4, IPV6, as4(65003), source="127.91.0.3")
        client.until_complete()
        assert client.routes.keys() == {"10.0.0.0/24"}
        (session,) = server.get("/api/sessions")["sessions"]
        assert session["foreign"] == 224
        assert session["limit"] == "32 routes, MaxRoutes is 2: widened, 224 foreign addresses have come in"
        assert "bgplite_foreign_addresses" in server.get("/metrics")
        (peer,) = server.get("/api/peers")
        why = server.get(f"/api/peers/{peer['id']}/why?target=10.0.0.1")
        assert why["route"] == "10.0.0.0/24"
        assert why["steps"][-1]["outcome"] == "added by widening for MaxRoutes"
        server.write("a.txt", HOSTS[:40])
        client.until("the next network", lambda: len(client.routes) == 2)
        assert client.withdrawn == []


def test_entries_go_when_they_are_over(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        client = server.client(65003, IPV4, as4(65003), source="127.91.0.4")
        client.until_complete(1)
        end = "2099-01-01T00:00:00Z"
        body: dict = {
            "lists": ["a"],
            "exclude": [{"prefix": "192.0.2.1/32", "expires": end}],
            "customPrefixes": ["203.0.113.0/24", {"prefix": "203.0.113.1", "community": "blackhole", "expires": end}],
        }
        (peer,) = server.get("/api/peers")
        status, shown = server.call("PUT", f"/api/peers/{peer['id']}", body)
        assert status == 200, shown
        assert shown["customPrefixes"][1] == {
            "prefix": "203.0.113.1/32",
            "communities": ["blackhole"],
            "expires": end,
        }
        client.until("all of it", lambda: "203.0.113.1/32" in client.routes)
        assert client.routes["203.0.113.1/32"]["COMMUNITY"]["value"] == ["65535:666"]
        client.until("what is left of the list", lambda: len(client.routes) == 10)
        body["exclude"][0]["expires"] = body["customPrefixes"][1]["expires"] = datetime.fromtimestamp(
            time.time() + 0.2, UTC
        ).isoformat()
        assert server.call("PUT", f"/api/peers/{peer['id']}", body)[0] == 200
        client.until("the end", lambda: "203.0.113.1/32" not in client.routes and "192.0.2.0/24" in client.routes)
        client.until("eight pieces are one", lambda: len(client.routes) == 2)
        assert "203.0.113.0/24" not in client.withdrawn
        wait_until("the store forgets it", lambda: not server.get(f"/api/peers/{peer['id']}")["exclude"])
        assert server.get(f"/api/peers/{peer['id']}")["customPrefixes"] == ["203.0.113.0/24"]
        bad = {"customPrefixes": [{"prefix": "203.0.113.1/32", "expires": "tomorrow"}]}
        status, shown = server.call("PUT", f"/api/peers/{peer['id']}", bad)
        assert (status, "2026-12-31T23:59:00Z" in shown["error"]) == (400, True)


def test_ends_that_hold_for_whoever_comes_later_are_waited_for(tmp_path):
    """Nobody is in the network when we start, and no stranger."""
    network, defaults = "2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
    config = Config(
        bgp=Bgp(asn=65000, router_id="192.0.2.1"),
        defaults=Defaults(exclude=(WrittenEntry(prefix="192.0.2.0/25", expires=defaults),)),
        peers=(
            ConfiguredPeer(
                address="127.91.5.0/24", custom_prefixes=(WrittenEntry(prefix="203.0.113.1/32", expires=network),)
            ),
        ),
    )
    server = RouteServer(config, tmp_path, tmp_path, Quiet())
    server.registry.configure(config)
    server.writer.save = lambda peer: None
    watched: list[float] = []
    server.ends_ahead.watch = watched.extend
    for host, ends in (("127.91.5.7", {network, defaults}), ("127.91.6.7", {defaults})):
        watched.clear()
        server._identify(host, Open(65003, 90, "192.0.2.7"), Entrance(Listener()))
        assert set(watched) == {parse_time(end) for end in ends}


class Quiet:
    def error(self, text, **fields):
        raise AssertionError(text)


def test_lines_of_lists_go_when_they_are_over(tmp_path):
    write(tmp_path)
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n203.0.113.1/32  # attack, expires=2099-01-01T00:00:00Z\n")
    with bgplite(tmp_path, f"{LISTS}DefaultPrefixSource: a\n") as server:
        client = server.client(65003, IPV4, as4(65003), source="127.91.0.5")
        client.until("both", lambda: client.routes.keys() == {"192.0.2.0/24", "203.0.113.1/32"})
        shown = server.get("/api/sources")[0]
        assert (shown["prefixes"], shown["ending"], shown["nextEnd"]) == (2, 1, "2099-01-01T00:00:00Z")
        soon = datetime.fromtimestamp(time.time() + 0.3, UTC).isoformat()
        server.write("a.txt", ["192.0.2.0/24", f"203.0.113.1/32 expires={soon}"])
        client.until("the end", lambda: client.withdrawn)
        assert client.withdrawn == ["203.0.113.1/32"]
        wait_until("it has ended", lambda: server.get("/api/sources")[0]["prefixes"] == 1)
        shown = server.get("/api/sources")[0]
        assert (shown["ending"], shown["nextEnd"], shown["held"]) == (0, None, None)
