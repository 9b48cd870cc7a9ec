"""What users of RouterOS report, played by raw peers: how it opens sessions, refreshes, loops and comes back."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from bgplite import ENHANCED, ROUTE_REFRESH, BgpLite, Client, as4, bgplite
from peers import ALIVE, IPV4, IPV6, Peer, announcement, kind, notification, wait_until

from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, Message
from bgpipe.wire.open import Open
from cases import all_cases

ASN = 65003
PREFIXES = [f"1.{number >> 8}.{number & 255}.0/24" for number in range(0, 1000, 2)]
ROUTES = {*PREFIXES, "2606:4700::/32"}
FOUR = {*PREFIXES}
CONFIG = "DefaultPrefixSource: cloud\nPrefixSources:\n  - {Name: cloud, Path: cloud.txt}\n"
CUSTOMER = Capability(caps.ROLE, b"\3")
ADDRESSES = (f"127.66.{number // 250}.{number % 250 + 1}" for number in itertools.count())
CUSTOMERS_PROVIDER = 0


@dataclass(frozen=True)
class Router:
    """A version of RouterOS with some settings: what its OPEN says, and whether it refuses what it has not offered."""

    name: str
    offered: tuple[Capability, ...]
    hold: int = 180
    strict: bool = False
    families: int = 1

    def open(self, bgp_id: str) -> bytes:
        return Message(OPEN, Open(ASN, self.hold, bgp_id, self.offered).encode()).octets


V6_OLD = Router("6, capabilities off", (), strict=True)
V6 = Router("6", (ROUTE_REFRESH, as4(ASN)), strict=True)
V6_TWO = Router("6, address-families=ip,ipv6", (IPV4, IPV6, ROUTE_REFRESH, as4(ASN)), families=2)
V7 = Router("7, afi=ip,ipv6 on IPv4, hold-time=4m", (IPV4, IPV6, ROUTE_REFRESH, as4(ASN)), hold=240, families=2)
V7_ROLE = Router("7, .role=ebgp-customer", (IPV4, ROUTE_REFRESH, as4(ASN), CUSTOMER), hold=240)
V7_NEW = Router("7, newer", (IPV4, IPV6, ROUTE_REFRESH, ENHANCED, as4(ASN), CUSTOMER), hold=240, families=2)
ROUTERS = (V6_OLD, V6, V6_TWO, V7, V7_ROLE, V7_NEW)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[BgpLite]:
    folder = tmp_path_factory.mktemp("routeros")
    (folder / "cloud.txt").write_text("".join(f"{prefix}\n" for prefix in ROUTES))
    with bgplite(folder, CONFIG, environment={"Bgp__MaxAcceptsPerIpPerMinute": "60"}) as running:
        wait_until("the list is read", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


def connected(server: BgpLite, source: str) -> Peer:
    return Peer(socket.create_connection(server.address, timeout=20, source_address=(source, 0)))


def started(server: BgpLite, router: Router, source: str, bgp_id: str = "10.20.30.40") -> Client:
    """A session up to its first KEEPALIVE. A strict router ends it when it is offered what it has not offered."""
    client = Client(connected(server, source), ASN)
    server.clients.append(client)
    client.peer.say(router.open(bgp_id))
    while kind(client.hear() or bytes(19)) != KEEPALIVE:
        assert client.last, "the connection has ended"
        assert kind(client.last) != NOTIFICATION, notification(client.last)
        if client.open is not None and router.strict:
            new = {each.code for each in client.open.capabilities} - {each.code for each in router.offered}
            assert not new, f"{router.name} would end the session with 2/7 for {new}"
    client.peer.say(ALIVE)
    return client


def complete(client: Client, routes: set[str]) -> None:
    """Hears until it has these routes, with or without an End-of-RIB."""
    client.until("all routes", lambda: client.routes.keys() == routes)


@all_cases("router", ROUTERS, ids=lambda each: each.name)
def test_each_version_gets_the_table_that_it_can_read(server, router):
    client = started(server, router, next(ADDRESSES))
    complete(client, ROUTES if router.families == 2 else FOUR)
    assert client.open is not None
    assert client.open.hold_time == 180
    role = {each.code: each.value for each in client.open.capabilities}.get(caps.ROLE)
    assert role == (bytes((CUSTOMERS_PROVIDER,)) if CUSTOMER in router.offered else None)
    assert client.withdrawn == []
    path = client.routes[PREFIXES[0]]["ASPATH"]["value"]
    assert path == ([65000] if as4(ASN) in router.offered else "0x0201fde8")


def test_refresh_ip_is_answered_whether_it_was_offered_or_not(server):
    """Version 6 asks without having offered it, and again at each change of an input filter."""
    clients = [started(server, router, next(ADDRESSES)) for router in (V6_OLD, V6, V7)]
    for client in clients:
        complete(client, ROUTES if client.open.capabilities and IPV6 in client.open.capabilities else FOUR)
        for _ in range(3):
            before = client.updates
            client.routes.clear()
            client.refresh()
            client.until("the table again", lambda client=client: client.routes.keys() >= FOUR)
            assert client.updates > before
        for _ in range(20):  # a script that changes filters
            client.refresh()
    server.write("cloud.txt", [*ROUTES, "9.9.9.0/24"])
    for client in clients:
        client.until("a change behind all of them", lambda client=client: "9.9.9.0/24" in client.routes)
        assert client.withdrawn == []
    server.write("cloud.txt", ROUTES)
    for client in clients:
        client.until("as before", lambda client=client: "9.9.9.0/24" not in client.routes)


def test_multihop_no_connects_and_closes_in_a_loop(server):
    """Version 7 that is not directly connected closes before its OPEN, again and again. Others notice nothing, the log
    says what it is, and when it is mended the router comes in."""
    other = started(server, V7, next(ADDRESSES))
    complete(other, ROUTES)
    source = next(ADDRESSES)
    for _ in range(30):
        connected(server, source).close()
    server.waits_for_log("connection closed by the client before its OPEN")
    mended = started(server, V7, source)
    complete(mended, ROUTES)
    for _ in range(60):
        connected(server, source).close()
    server.waits_for_log("more than 60 a minute")
    refused = connected(server, source)
    assert [notification(each) for each in refused.hear_end()] == [(6, 5)]  # until the minute is over
    other.refresh()
    other.routes.clear()
    other.until("its table again", lambda: other.routes.keys() >= FOUR)
    assert server.log.count("before its OPEN") < 100


def test_a_router_behind_nat_comes_back_from_the_same_address_and_from_another(server):
    """Its old session is still there when it calls again: the new one counts. From another address it is another
    peer."""
    source = next(ADDRESSES)
    first = started(server, V7, source)
    complete(first, ROUTES)
    second = started(server, V7, source)
    complete(second, ROUTES)
    assert [notification(each) for each in first.peer.hear_end()][-1:] == [(6, 7)]
    moved = started(server, V7, next(ADDRESSES))
    complete(moved, ROUTES)
    second.refresh()
    second.routes.clear()
    second.until("the one before goes on", lambda: second.routes.keys() >= FOUR)
    assert len([each for each in server.get("/api/sessions")["sessions"] if each["ip"] == source]) == 1


def test_two_routers_behind_one_nat_with_one_as_number(server):
    source = next(ADDRESSES)
    one, two = started(server, V7, source, "10.20.30.41"), started(server, V6_TWO, source, "10.20.30.42")
    for client in (one, two):
        complete(client, ROUTES)
    shown = [each for each in server.get("/api/sessions")["sessions"] if each["ip"] == source]
    assert {each["routerId"] for each in shown} == {"10.20.30.41", "10.20.30.42"}
    one.peer.close()
    two.refresh()
    two.routes.clear()
    two.until("the other one goes on", lambda: two.routes.keys() >= FOUR)


def test_what_a_router_announces_to_us_is_counted_and_nothing_else(server):
    """`output.redistribute` left on: its own routes come to us."""
    source = next(ADDRESSES)
    client, other = started(server, V7, source), started(server, V7, next(ADDRESSES))
    complete(client, ROUTES)
    complete(other, ROUTES)
    client.peer.say(announcement("192.168.88.0/24", "0.0.0.0/0", asn=ASN))
    session = f"/api/peers/{next(each['id'] for each in server.get('/api/peers') if each['ip'] == source)}/session"
    wait_until("they are counted", lambda: server.get(session)["session"]["prefixesReceived"] == 2)
    other.refresh()
    other.routes.clear()
    other.until("the same as ever", lambda: other.routes.keys() >= FOUR)
    assert "192.168.88.0/24" not in other.routes


def test_the_scripts_for_routeros(server):
    source = next(ADDRESSES)
    client = started(server, V7, source)
    complete(client, ROUTES)
    id = next(each["id"] for each in server.get("/api/peers") if each["ip"] == source)
    script = server.octets(f"/api/peers/{id}/prefixes?format=rsc").decode()
    assert all(prefix in script for prefix in ROUTES)
    for version in ("mikrotik", "routeros6"):
        text = server.octets(f"/api/peers/{id}/setup/{version}?gateway=10.0.0.1").decode()
        assert str(ASN) in text
        assert "multihop=yes" in text
