"""What a session tells of itself: why it has no routes, what the peer announces, and when that is too much."""

from __future__ import annotations

from bgplite import as4, bgplite
from peers import IPV4, announcement, kind, wait_until

from bgpipe.wire.message import HEADER, NOTIFICATION
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
