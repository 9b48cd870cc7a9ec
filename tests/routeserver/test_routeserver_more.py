"""Sources over HTTP, keys, restarts, strangers, and a configuration that is read anew."""

from __future__ import annotations

import signal
import socket

import pytest
from bgplite import GRACEFUL, ROUTE_REFRESH, as4, bgplite
from listserver import ListServer
from peers import IPV4, IPV6, Peer, kind, wait_until

from bgpipe.net.tcp import parse_networks, set_md5
from bgpipe.wire.message import HEADER, NOTIFICATION


@pytest.fixture
def lists():
    server = ListServer()
    yield server
    server.shutdown()
    server.server_close()


def with_source(lists: ListServer, more: str = "AllowedNetworks: [127.0.0.0/8]\n") -> str:
    return f"{more}DefaultPrefixSource: web\nPrefixSources:\n  - {{Name: web, Kind: http, Url: '{lists.url}'}}\n"


def test_a_list_at_a_url(tmp_path, lists):
    with bgplite(tmp_path, with_source(lists)) as server:
        client = server.client()
        client.until_complete()
        assert client.routes.keys() == {"9.9.9.0/24"}  # a bogon is not taken from what is fetched
        server.call("POST", "/api/sources/web/refresh", {})
        wait_until("it is asked again", lambda: lists.asked[-1][1] == 304)
        lists.content = b"9.9.9.0/24\n8.8.8.0/24\n"
        server.call("POST", "/api/sources/web/refresh", {})
        client.until("the new route", lambda: len(client.routes) == 2)
        for status in (500, 302, 404):
            lists.status = status
            server.call("POST", "/api/sources/web/refresh", {})
            wait_until("the failure is told", lambda: server.get("/api/sources")[0]["error"])
        assert server.get("/hc")["status"] == "degraded"
        lists.status = 200
        server.call("POST", "/api/sources/web/refresh", {})
        wait_until("it is well", lambda: not server.get("/api/sources")[0]["error"])
        assert not client.withdrawn


def test_what_is_not_on_the_internet_is_not_asked(tmp_path, lists):
    with bgplite(tmp_path, with_source(lists, "")) as server:
        wait_until("the failure is told", lambda: server.get("/api/sources")[0]["error"])
        assert "127.0.0.1 is not on the Internet" in server.get("/api/sources")[0]["error"]
        assert server.call("GET", "/readyz")[0] == 503
        assert not lists.asked


def test_a_stranger_waits_for_approval(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    more = "DefaultPrefixSource: a\nPrefixSources: [{Name: a, Path: a.txt}]\n"
    with bgplite(tmp_path, more, bgp="  UnknownPeers: pending\n") as server:
        wait_until("the list is read", lambda: server.call("GET", "/readyz")[0] == 200)
        client = server.client(source="127.90.0.1")
        client.until_complete()
        assert not client.routes
        peer = server.get("/api/peers")[0]
        assert peer["status"] == "pending"
        assert server.get("/api/sessions")["sessions"][0]["why"] == "the peer waits for approval"
        why = server.get(f"/api/peers/{peer['id']}/why?target=192.0.2.1")
        assert (why["route"], why["why"]) == (None, "the peer waits for approval")
        assert why["steps"][0]["outcome"] == "not announced: the peer waits for approval"
        assert "the peer waits for approval" in server.shell("why", "127.90.0.1", "10.0.0.1").stdout
        status, approved = server.call("POST", f"/api/peers/{peer['id']}/approve", {})
        assert (status, approved["status"]) == (200, "active")
        client.until("routes", lambda: client.routes)
        assert server.get(f"/api/peers/{peer['id']}/why?target=192.0.2.1")["why"] == ""


def test_why_tells_of_lists_that_were_never_read(tmp_path):
    with bgplite(tmp_path, "PrefixSources: [{Name: a, Path: a.txt}]\n") as server:
        _, peer = server.call("POST", "/api/peers", {"ip": "127.90.0.7", "asn": 65007, "lists": ["a"]})
        path = f"/api/peers/{peer['id']}/why?target=192.0.2.1"
        assert server.get(path)["why"] == "lists were never read: a"
        (tmp_path / "a.txt").write_text("198.51.100.0/24\n")
        wait_until("the list is read", lambda: server.get(path)["why"] == "none of the peer's lists has it")
        assert "none of the peer's lists has it" in server.shell("why", "127.90.0.7", "192.0.2.1").stdout


def test_a_stranger_is_refused(tmp_path):
    with bgplite(tmp_path, bgp="  UnknownPeers: reject\n") as server:
        client = server.client()
        assert kind(client.last) == NOTIFICATION
        assert client.last[HEADER : HEADER + 2] == b"\6\5"
        assert server.get("/api/peers") == []


def test_the_session_of_a_peer_with_a_key_is_signed(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    with bgplite(tmp_path, "PrefixSources: [{Name: a, Path: a.txt}]\n") as server:
        body = {"ip": "127.90.0.2", "asn": 65003, "lists": ["a"], "md5Password": "sesame"}
        _, peer = server.call("POST", "/api/peers", body)
        assert not reaches(server.address, "127.90.0.2", "")
        assert not reaches(server.address, "127.90.0.2", "other")
        assert reaches(server.address, "127.90.0.2", "sesame")
        assert reaches(server.address, "127.90.0.3", "")
        server.call("PUT", f"/api/peers/{peer['id']}", {"md5Password": ""})
        assert reaches(server.address, "127.90.0.2", "")


def reaches(address: tuple[str, int], source: str, key: str) -> bool:
    """Whether a connection from there can be made, signed with a key."""
    with socket.socket() as connection:
        connection.bind((source, 0))
        if key:
            set_md5(connection, key, parse_networks([address[0]])[0])
        connection.settimeout(1)
        try:
            connection.connect(address)
        except TimeoutError:
            return False
        return True


def test_peers_keep_our_routes_when_we_stop_if_that_is_agreed(tmp_path):
    with bgplite(tmp_path) as server:
        keeps = server.client(65003, IPV4, GRACEFUL, as4(65003))
        forgets = server.client(65004, IPV4, as4(65004))
        assert keeps.open is not None
        assert keeps.open.values(64) == [b"\x80\x78\0\1\1\x80"]  # restarting; IPv4 is kept
        assert server.stop() == 0
        while keeps.hear():
            assert kind(keeps.last) != NOTIFICATION
        while message := forgets.hear():
            last = message
        assert last[HEADER : HEADER + 2] == b"\6\2"


def test_the_configuration_is_read_anew(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    (tmp_path / "b.txt").write_text("198.51.100.0/24\n")
    lists = "DefaultPrefixSource: a\nPrefixSources:\n  - {Name: a, Path: a.txt}\n"
    with bgplite(tmp_path, lists) as server:
        client = server.client(65003, IPV4, IPV6, ROUTE_REFRESH, as4(65003))
        client.until_complete()
        path = tmp_path / "appsettings.yml"
        good = path.read_text()
        path.write_text(good + "Nonsense: 1\n")
        server.process.send_signal(signal.SIGHUP)
        server.waits_for_log("Nonsense: there is no such key")
        path.write_text(good.replace("Source: a", "Source: b") + "  - {Name: b, Path: b.txt}\n")
        server.process.send_signal(signal.SIGHUP)
        client.until("the other list", lambda: client.routes.keys() == {"198.51.100.0/24"})
        assert client.withdrawn == ["192.0.2.0/24"]


def test_the_configuration_is_read_anew_when_its_file_changes(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    (tmp_path / "b.txt").write_text("198.51.100.0/24\n")
    lists = "DefaultPrefixSource: a\nPrefixSources:\n  - {Name: a, Path: a.txt}\n"
    with bgplite(tmp_path, lists) as server:
        client = server.client()
        client.until_complete()
        path = tmp_path / "appsettings.yml"
        good = path.read_text()
        path.write_text(good + "Nonsense: 1\n")
        server.waits_for_log("Nonsense: there is no such key")
        path.unlink()  # as some editors do, before they move the new one to its place
        new = tmp_path / "appsettings.new"
        new.write_text(good.replace("Source: a", "Source: b") + "  - {Name: b, Path: b.txt}\n")
        new.replace(path)
        client.until("the other list", lambda: client.routes.keys() == {"198.51.100.0/24"})
        assert client.withdrawn == ["192.0.2.0/24"]
        assert server.log.count("Nonsense: there is no such key") == 1
        assert server.log.count("the configuration was read anew") == 1


def test_a_peer_that_sends_too_much_is_told(tmp_path):
    with bgplite(tmp_path, bgp="  MaxPrefixesPerPeer: 2\n") as server:
        from peers import announcement

        client = server.client()
        client.peer.say(announcement("10.1.0.0/16", asn=65003), announcement("10.2.0.0/16", "10.3.0.0/16", asn=65003))
        while (message := client.hear()) and kind(message) != NOTIFICATION:
            pass
        assert client.last[HEADER : HEADER + 2] == b"\6\1"


def test_scans_and_strangers_leave_nothing_behind(tmp_path):
    with bgplite(tmp_path) as server:
        for octets in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 16 + b"\0\x13\4"):
            peer = Peer(socket.create_connection(server.address))
            peer.say(octets)
            peer.close()
        good = server.client()
        good.until_complete()
        assert [each["asn"] for each in server.get("/api/peers")] == [65003]
