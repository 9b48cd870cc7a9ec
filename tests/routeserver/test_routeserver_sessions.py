"""What a session tells of itself: why it has no routes, what the peer announces, and when that is too much."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
from bgplite import as4, bgplite
from peers import ALIVE, CEASE, IPV4, Peer, announcement, greeting, kind, wait_until

from bgpipe.net.tcp import set_md5
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import HEADER, NOTIFICATION, OPEN, ROUTE_REFRESH, Message
from bgpipe.wire.notification import Notification

LISTS = """\
DefaultPrefixSource: six
PrefixSources:
  - {Name: six, Path: six.txt}
  - {Name: four, Path: four.txt}
"""


def write(folder):
    (folder / "six.txt").write_text("2606:4700::/32\n2a00:1450::/32\n")
    (folder / "four.txt").write_text("1.0.0.0/24\n")


def session(server):
    [shown] = server.get("/api/sessions")["sessions"]
    return shown


def test_a_session_that_gets_nothing_says_why(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        client = server.client(65003, IPV4, as4(65003), source="127.77.0.9")
        client.until_complete(1)
        shown = session(server)
        assert (shown["routes"], shown["leftOut"]) == (0, {"the peer takes no IPv6 routes": 2})
        assert shown["why"] == "the peer takes no IPv6 routes"
        server.waits_for_log("the session is up, and nothing is announced to it")
        status, _ = server.call("POST", "/api/peers", {"ip": "127.77.0.9", "asn": 65003, "lists": ["six", "four"]})
        assert status == 200
        client.until("the IPv4 route", lambda: client.routes.keys() == {"1.0.0.0/24"})
        server.waits_for_log("routes are not announced: the peer takes no IPv6 routes")
        shown = session(server)
        assert (shown["routes"], shown["leftOut"], shown["why"]) == (1, {"the peer takes no IPv6 routes": 2}, "")
        client.peer.close()
        # RFC 4760 section 8: who names other families alone has no IPv4 unicast
        multicast = server.client(65003, Capability(caps.MP, bytes((0, 1, 0, 2))), as4(65003), source="127.77.0.9")
        wait_until("it is up", lambda: server.get("/api/sessions")["active"] == 1)
        wait_until("it says why", lambda: session(server)["complete"])
        assert session(server)["why"] == "the peer takes no IPv4 routes; the peer takes no IPv6 routes"
        multicast.hear_so_far()
        assert (multicast.updates, multicast.ended) == (0, set())


def test_routes_of_a_peer_are_counted_and_bounded(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        body = {"ip": "127.77.0.9", "asn": 65003, "maxPrefix": 3}
        assert server.call("POST", "/api/peers", body)[0] == 200
        client = server.client(65003, source="127.77.0.9")
        client.until_complete()
        client.peer.say(announcement("5.0.0.0/24", "5.0.1.0/24", "5.0.2.0/24", asn=65003))
        wait_until("they are counted", lambda: session(server)["prefixesReceived"] == 3)
        client.peer.say(announcement("5.0.3.0/24", asn=65003))
        told = [Notification.decode(each[HEADER:]) for each in client.peer.hear_end() if kind(each) == NOTIFICATION]
        assert told == [Notification(6, 1, b"\0\1\1\0\0\0\3")]  # RFC 4486: family and limit


def test_a_peer_without_a_limit_is_counted_too(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS, bgp="  MaxPrefixesPerPeer: 0\n") as server:
        client = server.client(65003)
        client.until_complete()
        client.peer.say(announcement("5.0.0.0/24", asn=65003))
        wait_until("it is counted", lambda: session(server)["prefixesReceived"] == 1)


def test_routers_behind_one_address_are_told_apart_by_their_identifiers(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        routers = [server.client(65003, source="127.77.0.9", bgp_id=f"10.0.0.{number}") for number in (3, 4)]
        for router in routers:
            router.until_complete()
        shown = server.get("/api/sessions")
        assert shown["active"] == 2
        assert {each["routerId"] for each in shown["sessions"]} == {"10.0.0.3", "10.0.0.4"}
        assert len(server.get("/api/peers")) == 1
        server.write("six.txt", ["2606:4700::/32", "2a00:1450::/32", "2a01::/32"])
        for router in routers:
            router.until("the new route", lambda router=router: "2a01::/32" in router.routes)
        routers[0].peer.close()
        wait_until("one is left", lambda: len(server.get("/api/sessions")["sessions"]) == 1)
        assert session(server)["routerId"] == "10.0.0.4"


TEMPLATES = """\
Peers:
  - {Address: 127.78.0.0/16, Lists: [four], HoldTime: 30}
  - {Address: 127.78.5.0/24, Lists: [six, four], Md5Password: secret}
  - {Address: 0.0.0.0/0, RemoteAsn: 65077, Lists: [four]}
"""


def test_a_network_stands_for_the_peers_in_it(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS + TEMPLATES, bgp="  UnknownPeers: reject\n") as server:
        near = server.client(65003, source="127.78.1.1")
        near.until_complete()
        assert (near.routes.keys(), near.open.hold_time) == ({"1.0.0.0/24"}, 30)
        anywhere = server.client(65077, source="127.79.1.1")
        anywhere.until_complete()
        assert anywhere.routes.keys() == {"1.0.0.0/24"}
        stranger = server.client(65003, source="127.79.1.2")
        told = Notification.decode(stranger.last[HEADER:])
        text = "AS65003 at 127.79.1.2 is no peer of this route server: register it first"
        assert told == (6, 5, bytes((len(text),)) + text.encode())
        assert {(each["ip"], each["owner"]) for each in server.get("/api/peers")} == {
            ("127.78.1.1", "config"),
            ("127.79.1.1", "config"),
            ("127.78.0.0/16", "config"),
            ("127.78.5.0/24", "config"),
            ("0.0.0.0/0", "config"),
        }
        near.peer.close()
        wait_until("it is forgotten", lambda: len(server.get("/api/peers")) == 4)


def test_a_network_of_peers_has_one_key(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, LISTS + TEMPLATES) as server:
        with socket.socket() as made:
            made.settimeout(1)
            made.bind(("127.78.5.5", 0))
            with pytest.raises(TimeoutError):  # the kernel drops what is not signed
                made.connect(server.address)
        with socket.socket() as made:
            made.settimeout(20)
            made.bind(("127.78.5.6", 0))
            set_md5(made, "secret")
            made.connect(server.address)
            peer = Peer(made)
            peer.say(greeting(65003, bgp_id="192.0.2.77"))
            assert kind(peer.hear()) == OPEN


def test_a_peer_can_be_wanted_nearby(tmp_path):
    """RFC 5082: what has come over a router is not taken."""
    write(tmp_path)
    peers = "Peers:\n  - {Address: 127.77.0.3, RemoteAsn: 65003, MinTtl: 255}\n"
    with bgplite(tmp_path, LISTS + peers) as server:
        with socket.socket() as made:
            made.settimeout(20)
            made.bind(("127.77.0.3", 0))
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
            made.connect(server.address)
            near = Peer(made)
            near.say(greeting(65003, bgp_id="192.0.2.77"), ALIVE)
            assert kind(near.hear()) == OPEN
            wait_until("it is up", lambda: server.get("/api/sessions")["active"] == 1)
            near.say(CEASE)
            near.hear_end()
        wait_until("it is over", lambda: not server.get("/api/sessions")["sessions"])
        with socket.create_connection(server.address, timeout=20, source_address=("127.77.0.3", 0)) as made:
            far = Peer(made)
            far.say(greeting(65003, bgp_id="192.0.2.77"))
            assert kind(far.hear()) == OPEN
            far.say(ALIVE)
            server.waits_for_log("session=2")
            assert server.get("/api/sessions")["active"] == 0


def test_a_peer_that_reads_nothing_is_dropped_by_the_send_hold_timer(tmp_path):
    """RFC 9687. It asks for all routes again and again, until no buffer has room for more."""
    (tmp_path / "six.txt").write_text("")
    (tmp_path / "four.txt").write_text("".join(f"11.{n >> 8}.{n & 255}.0/25\n" for n in range(1 << 16)))
    peers = "Peers:\n  - {Address: 127.77.0.3, RemoteAsn: 65003, SendHoldTime: 1, Lists: [four]}\n"
    with bgplite(tmp_path, LISTS + peers) as server, socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.bind(("127.77.0.3", 0))
        made.connect(server.address)
        made.sendall(greeting(65003, bgp_id="192.0.2.77") + ALIVE)

        def dropped():
            with suppress(OSError):
                made.sendall(Message(ROUTE_REFRESH, b"\0\1\0\1").octets)
            return "Send Hold Timer Expired" in server.log

        wait_until("it is dropped", dropped)
