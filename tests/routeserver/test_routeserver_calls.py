"""Peers that bgplite calls: what it offers, what it does when that is refused, and who calls at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest
from bgplite import BgpLite, Client, as4, bgplite
from peers import ALIVE, CEASE, IPV4, IPV6, Peer, Router, another_id, kind, notification, wait_until

from bgpipe.wire import caps
from bgpipe.wire.message import HEADER, KEEPALIVE, NOTIFICATION, OPEN, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.open import Open

LISTS = "DefaultPrefixSource: cloud\nPrefixSources:\n  - {Name: cloud, Path: cloud.txt}\n"
ROUTES = {"1.0.0.0/24", "2606:4700::/32"}
COLLISION = (6, 7)


def peers_of(router: Router, more: str = "") -> str:
    return f"Peers:\n  - {{Address: {router.host}, RemoteAsn: 65003, Connect: true, Port: {router.port}{more}}}\n"


@pytest.fixture
def router():
    listening = Router()
    yield listening
    listening.close()


def write(folder: Path) -> None:
    (folder / "cloud.txt").write_text("\n".join(ROUTES))


def opening(*capabilities: caps.Capability, bgp_id: str = "", asn: int = 65003) -> bytes:
    return Message(OPEN, Open(asn, 90, bgp_id or another_id(), capabilities).encode()).octets


def heard_open(peer: Peer) -> Open:
    message = peer.hear()
    assert kind(message) == OPEN
    return Open.decode(message[HEADER:])


def answer(peer: Peer, bgp_id: str = "") -> Client:
    """A client that has answered an OPEN, and has a session."""
    client = Client(peer, 65003)
    client.open = heard_open(peer)
    peer.say(opening(IPV4, IPV6, as4(65003), bgp_id=bgp_id), ALIVE)
    assert kind(client.hear()) == KEEPALIVE
    return client


def test_a_peer_is_called_from_where_we_listen_and_offered_all_that_we_can(tmp_path, router):
    write(tmp_path)
    with bgplite(tmp_path, LISTS + peers_of(router)) as server:
        peer = router.accept()
        assert peer.socket.getpeername()[0] == server.address[0]
        client = answer(peer)
        client.until_complete()
        assert client.routes.keys() == ROUTES
        assert client.open is not None
        assert [each.code for each in client.open.capabilities] == [
            *(caps.MP, caps.MP, caps.ROUTE_REFRESH, caps.EXTENDED_NEXT_HOP, caps.EXTENDED_MESSAGE),
            *(caps.GRACEFUL_RESTART, caps.AS4, caps.ADD_PATH, caps.ENHANCED_ROUTE_REFRESH),
        ]
        assert server.get("/api/sessions")["active"] == 1


@pytest.mark.parametrize("subcode", [4, 7])
def test_a_peer_that_refuses_capabilities_is_offered_none_in_the_next_attempt(tmp_path, router, subcode):
    write(tmp_path)
    with bgplite(tmp_path, LISTS + peers_of(router)):
        first = router.accept()
        assert heard_open(first).capabilities
        first.say(Message(NOTIFICATION, Notification(2, subcode).encode()).octets)
        first.hear_end()
        second = router.accept()
        assert heard_open(second).capabilities == ()
        second.say(Message(NOTIFICATION, Notification(2, 7).encode()).octets)
        second.hear_end()
        third = router.accept()
        assert heard_open(third).capabilities  # such as BIRD, which wants IPv4 unicast


def test_a_peer_is_called_again_after_its_session(tmp_path, router):
    write(tmp_path)
    with bgplite(tmp_path, LISTS + peers_of(router)):
        for _ in range(2):
            client = answer(router.accept())
            client.until_complete()
            client.peer.say(CEASE)
            client.peer.hear_end()


def test_a_peer_of_the_api_is_called_as_long_as_it_is_to_be(tmp_path, router):
    write(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        body = {"ip": router.host, "asn": 65003, "connect": True, "port": router.port, "localAddress": "127.77.9.9"}
        status, shown = server.call("POST", "/api/peers", body)
        assert status == 200, shown
        peer = router.accept()
        assert peer.socket.getpeername()[0] == "127.77.9.9"
        answer(peer).until_complete()
        assert server.call("DELETE", f"/api/peers/{shown['id']}")[0] == 200
        ended = [each for each in peer.hear_end() if kind(each) == NOTIFICATION]
        assert [Notification.decode(each[HEADER:]).text for each in ended] == [
            "this peer was removed from the route server"
        ]
        assert server.get("/api/sessions")["calls"] == []


def test_a_call_that_fails_is_told_and_tried_again(tmp_path, router):
    write(tmp_path)
    router.socket.close()
    with bgplite(tmp_path, LISTS + peers_of(router)) as server:
        server.waits_for_log("call failed: Connection refused")
        [call] = server.get("/api/sessions")["calls"]
        assert (call["ip"], call["asn"], call["error"]) == (router.host, 65003, "Connection refused")
        wait_until("more attempts", lambda: server.get("/api/sessions")["calls"][0]["attempts"] > 1)


def call_both_ways(server: BgpLite, router: Router, bgp_id: str) -> tuple[Client, Peer]:
    """A router that calls while it is called, and has a session on its own connection; what it has accepted."""
    called = router.accept()
    assert heard_open(called)
    client = server.client(65003, IPV4, IPV6, as4(65003), source=router.host, bgp_id=bgp_id)
    client.until_complete()
    called.say(opening(IPV4, IPV6, as4(65003), bgp_id=bgp_id))
    return client, called


def test_of_two_connections_at_once_that_of_the_higher_identifier_stays(tmp_path, router):
    """RFC 4271 section 6.8. Ours is 10.99.0.1."""
    write(tmp_path)
    with bgplite(tmp_path, LISTS + peers_of(router)) as server:
        client, called = call_both_ways(server, router, "192.0.2.250")
        assert notification(called.hear_end()[-1]) == COLLISION
        client.refresh()
        client.until("routes again", lambda: client.updates > 2)
        assert server.get("/api/sessions")["active"] == 1


def test_of_two_connections_at_once_ours_stays_if_our_identifier_is_higher(tmp_path, router):
    write(tmp_path)
    with bgplite(tmp_path, LISTS + peers_of(router)) as server:
        client, called = call_both_ways(server, router, "10.0.0.3")
        called.say(ALIVE)
        while client.hear():
            pass
        assert notification(bytes(client.peer.seen[-21:])) == COLLISION
        ours = Client(called, 65003)
        ours.until_complete()
        assert ours.routes.keys() == ROUTES


def test_a_peer_that_calls_is_not_called(tmp_path, router):
    write(tmp_path)
    with bgplite(tmp_path, LISTS + peers_of(router)) as server:
        first = router.accept()
        heard_open(first)
        client = server.client(65003, IPV4, as4(65003), source=router.host)
        client.until_complete(1)
        first.say(CEASE)
        first.hear_end()
        client.peer.say(ALIVE)
        client.refresh()
        client.until("routes again", lambda: client.updates > 1)
        assert server.get("/api/sessions")["calls"] == []
