"""Peers that send nonsense, come in crowds or announce too much cost themselves: the others notice nothing."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import pytest
from bgplite import BgpLite, Client, as4, bgplite
from peers import ALIVE, IPV4, Peer, greeting, kind, notification, pour, sentinel, wait_until
from soak import soak

from bgpipe.routes.attributes import PLAIN, UpdateGroup, head
from bgpipe.routes.packing import announce
from bgpipe.wire import caps
from bgpipe.wire.message import HEADER, NOTIFICATION, OPEN
from bgpipe.wire.notification import Notification
from vectors import load

ROWS = [row for suite in ("frr_rfc7606", "openbgpd_attr_errors", "cve_messages") for row in load(suite, "update")]
LISTS = "DefaultPrefixSource: cloud\nPrefixSources:\n  - {Name: cloud, Path: cloud.txt}\n"
ASN = {"ebgp": 65001, "ibgp": 65000, "ebgp-oad": 65000}
REFRESH = caps.Capability(caps.ROUTE_REFRESH)


def rows(outcome: str, peer: str) -> list[dict]:
    return [row for row in ROWS if row["session_must"] == outcome and row["session"]["peer"] == peer]


@pytest.mark.slow
@pytest.mark.parametrize("peer", ASN)
def test_malformed_updates_leave_the_session_up_or_end_it_as_they_must(tmp_path, peer):
    if not ROWS:
        pytest.skip("no vectors")
    (tmp_path / "cloud.txt").write_text("1.0.0.0/24\n")
    with bgplite(tmp_path, LISTS) as server:
        asn = ASN[peer]
        client = server.client(asn, IPV4, as4(asn), REFRESH)
        client.until_complete(1)
        for number, row in enumerate(rows("stay-up", peer)):
            client.peer.say(bytes.fromhex(row["hex"]), sentinel(number))
            before = client.updates
            client.refresh()  # whose answer proves that all before was handled
            client.until(row["name"], lambda before=before: client.updates > before)
        [shown] = server.get("/api/sessions")["sessions"]
        assert shown["prefixesReceived"] >= len(rows("stay-up", peer))
        for row in rows("reset", peer):
            other = server.client(asn, IPV4, as4(asn), REFRESH)
            other.until_complete(1)
            other.peer.say(bytes.fromhex(row["hex"]), sentinel())
            assert notification(other.peer.hear_end()[-1])[0] in (1, 3), row["name"]
        client.refresh()
        client.until("the answer", lambda before=client.updates: client.updates > before)


def crowd(server: BgpLite, size: int) -> None:
    """Routers that come and go: closed, reset, silent, with two identifiers, from an address each and from one."""
    for number in range(size):
        source = f"127.210.{number // 250}.{number % 250 + 1}" if number % 2 else "127.211.0.1"
        with socket.socket() as made:
            made.settimeout(20)
            made.bind((source, 0))
            made.connect(server.address)
            peer = Peer(made)
            with suppress(OSError):
                if number % 3:
                    peer.say(greeting(65100 + number % 7, bgp_id=f"10.7.{number % 5}.{number % 250 + 1}"))
                if number % 3 == 1:
                    peer.hear()
                    peer.say(ALIVE)
                if number % 5 == 0:
                    peer.reset()


def routes(first: int, number: int) -> bytes:
    """UPDATEs that announce so many /32."""
    how = head(PLAIN, UpdateGroup(65200, "192.0.2.253"), 1)
    assert how is not None
    numbers = [(first + each) << 8 | 32 for each in range(number)]
    return b"".join(bytes(block.octets) for block in announce(numbers, 1, how).blocks)


def others_notice_nothing(server: BgpLite, good: list[Client], trouble) -> None:
    trouble()
    server.write("cloud.txt", ["1.0.0.0/24", "2.0.0.0/24"])
    for client in good:
        client.peer.say(ALIVE)
        client.until("the change", lambda client=client: "2.0.0.0/24" in client.routes, 60)
        assert client.withdrawn == []


@pytest.mark.parametrize("size", [30, pytest.param(500, marks=pytest.mark.slow)])
def test_a_crowd_that_comes_and_goes_is_not_noticed(tmp_path, size):
    (tmp_path / "cloud.txt").write_text("1.0.0.0/24\n")
    with bgplite(tmp_path, LISTS) as server:
        good = [server.client(65003) for _ in range(3)]
        for client in good:
            client.until_complete()
        others_notice_nothing(server, good, lambda: crowd(server, size))
        wait_until("the crowd is gone", lambda: len(server.get("/api/sessions")["sessions"]) == len(good), 60)


@pytest.mark.parametrize("size", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_peer_that_announces_too_much_is_ended_alone(tmp_path, size):
    (tmp_path / "cloud.txt").write_text("1.0.0.0/24\n")
    with bgplite(tmp_path, LISTS, bgp=f"  MaxPrefixesPerPeer: {size - 1}\n") as server:
        good = [server.client(65003) for _ in range(3)]
        for client in good:
            client.until_complete()
        bad = server.client(65200)
        bad.until_complete()

        def flood() -> None:
            pouring = pour(bad.peer, routes(11 << 24, size))
            ended = [each for each in bad.peer.hear_end(120) if kind(each) == NOTIFICATION]
            pouring.join(60)
            assert [Notification.decode(each[HEADER:])[:2] for each in ended] == [(6, 1)]

        others_notice_nothing(server, good, flood)


def test_silent_connections_of_one_address_leave_room_for_others(tmp_path):
    (tmp_path / "cloud.txt").write_text("1.0.0.0/24\n")
    with bgplite(tmp_path, LISTS) as server:
        silent = [socket.create_connection(server.address, source_address=("127.212.0.1", 0)) for _ in range(100)]
        try:
            server.client(65003).until_complete()
            late = Peer(socket.create_connection(server.address, source_address=("127.212.0.1", 0)))
            late.say(greeting(65003, bgp_id="192.0.2.99"))
            assert kind(late.hear()) == OPEN
            late.close()
        finally:
            for each in silent:
                each.close()


SOAK = float(os.environ.get("BGPLITE_SOAK", "20"))
"""Seconds; `make soak` takes longer."""


@pytest.mark.slow(seconds=SOAK)
def test_nothing_grows_while_peers_come_and_go(tmp_path):
    soak(tmp_path, SOAK)
