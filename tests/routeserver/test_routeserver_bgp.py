"""What clients are told: their lists, what changes, and nothing else."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from bgplite import ENHANCED, ROUTE_REFRESH, as4, bgplite
from listserver import serving
from peers import ALIVE, IPV4, IPV6, wait_until

from bgpipe.wire import caps

LISTS = """\
DefaultPrefixSource: default
PrefixSources:
  - {Name: default, Path: default.txt}
  - {Name: cloud, Path: cloud.txt, Community: 65000:300}
"""
SUBSCRIPTION = {"lists": ["cloud"], "customPrefixes": ["203.0.113.0/24", "2001:db8:ff::/48"]}


def sessions(server) -> list[dict]:
    return server.get("/api/sessions")["sessions"]


def write_lists(folder: Path) -> None:
    (folder / "default.txt").write_text("198.51.100.0/24\n")
    (folder / "cloud.txt").write_text("1.0.0.0/24\n1.1.1.0/24 # resolver\n2606:4700::/32\n")


def subscribe(server, ip: str, asn: int = 65003, **more) -> dict:
    status, shown = server.call("POST", "/api/peers", {"ip": ip, "asn": asn} | SUBSCRIPTION | more)
    assert status == 200, shown
    return shown


def test_a_stranger_gets_the_default_list(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        client = server.client(source="127.77.0.9")
        client.until_complete()
        assert client.routes.keys() == {"198.51.100.0/24"}
        peers = server.get("/api/peers")
        assert [(each["ip"], each["asn"]) for each in peers] == [("127.77.0.9", 65003)]


def test_a_subscription_is_announced_and_changes_reach_the_session(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        peer = subscribe(server, "127.77.0.3")
        client = server.client(source="127.77.0.3")
        client.until_complete()
        assert client.routes.keys() == {
            "1.0.0.0/24", "1.1.1.0/24", "2606:4700::/32", "203.0.113.0/24", "2001:db8:ff::/48",
        }  # fmt: skip
        assert client.routes["1.1.1.0/24"]["COMMUNITY"]["value"] == ["65000:300"]
        assert client.routes["203.0.113.0/24"]["COMMUNITY"]["value"] == ["65000:100"]
        assert client.routes["1.1.1.0/24"]["ASPATH"]["value"] == [65000]
        assert client.routes["1.1.1.0/24"]["NEXTHOP"]["value"] == "10.99.0.1"
        before = client.updates
        server.write("cloud.txt", ["1.0.0.0/24", "9.9.9.0/24", "2606:4700::/32"])
        client.until("the new prefix", lambda: "9.9.9.0/24" in client.routes and client.withdrawn)
        assert client.withdrawn == ["1.1.1.0/24"]
        assert client.updates - before == 2  # one that announces, and one that withdraws
        status, _ = server.call("PUT", f"/api/peers/{peer['id']}", {"customPrefixes": []})
        assert status == 200
        client.until("withdrawals", lambda: len(client.withdrawn) == 3)
        assert "1.0.0.0/24" in client.routes
        assert server.get(f"/api/peers/{peer['id']}/prefixes?format=json") == sorted(client.routes, key=by_address)


def by_address(prefix: str) -> tuple[bool, int, int]:
    from bgpipe.wire.prefix import parse_prefix

    found = parse_prefix(prefix)
    return found.afi == 2, found.address, found.length


def test_a_route_refresh_is_answered_with_marks_where_they_are_agreed(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        subscribe(server, "127.77.0.3")
        client = server.client(65003, IPV4, IPV6, ROUTE_REFRESH, ENHANCED, as4(65003), source="127.77.0.3")
        client.until_complete()
        client.routes.clear()
        client.refresh(1)
        client.until("EoRR", lambda: client.marks == [1, 2])
        assert client.routes.keys() == {"1.0.0.0/24", "1.1.1.0/24", "203.0.113.0/24"}
        assert not client.withdrawn


def test_a_client_that_never_offered_route_refresh_is_answered_too(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        client = server.client(65003, IPV4, as4(65003))
        client.until_complete(1)
        client.routes.clear()
        client.refresh(1)
        client.until("the routes again", lambda: client.routes)


def test_our_open_answers_what_the_client_offers(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        nothing = server.client(65003, offers=False)
        assert nothing.open is not None
        assert nothing.open.capabilities == ()
        nothing.until_complete(1)
        assert nothing.routes.keys() == {"198.51.100.0/24"}
        some = server.client(65004, IPV4, as4(65004))
        assert some.open is not None
        assert [each.code for each in some.open.capabilities] == [caps.MP, caps.AS4]
        role = server.client(65005, IPV4, as4(65005), caps.Capability(caps.ROLE, b"\3"))
        assert role.open is not None
        assert role.open.role == 0  # customer and provider


def test_nothing_is_withdrawn_when_a_source_fails(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        subscribe(server, "127.77.0.3")
        client = server.client(source="127.77.0.3")
        client.until_complete()
        for content in (b"", b"<html>\n<p>503</p>", b"\x1f\x8b\x08\0torn"):
            (tmp_path / "cloud.txt").write_bytes(content)
            server.call("POST", "/api/sources/cloud/refresh", {})
            wait_until("the failure is told", lambda: server.get("/api/sources")[1]["error"])
            server.write("cloud.txt", ["1.0.0.0/24", "1.1.1.0/24", "2606:4700::/32"])
            server.call("POST", "/api/sources/cloud/refresh", {})
            wait_until("it is well again", lambda: not server.get("/api/sources")[1]["error"])
        (tmp_path / "cloud.txt").unlink()
        wait_until("the failure is told", lambda: server.get("/api/sources")[1]["error"])
        client.refresh(1)
        client.until("all routes again", lambda: client.updates > 3)
        assert not client.withdrawn


def test_a_list_that_collapses_waits_for_a_word(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "cloud.txt").write_text("".join(f"10.{n}.0.0/24\n" for n in range(250)))
    with bgplite(tmp_path, LISTS) as server:
        subscribe(server, "127.77.0.3", customPrefixes=[])
        client = server.client(source="127.77.0.3")
        client.until_complete()
        assert len(client.routes) == 250
        server.write("cloud.txt", [f"10.{n}.0.0/24" for n in range(100)])
        wait_until("it is held back", lambda: server.get("/api/sources")[1]["held"])
        assert server.get("/api/sources")[1]["prefixes"] == 250
        assert server.call("POST", "/api/sources/cloud/accept", {})[0] == 200
        client.until("withdrawals", lambda: len(client.routes) == 100)


def test_the_end_of_rib_does_not_wait_for_ever_for_a_list_that_can_not_be_read(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    more = "PrefixSources: [{Name: a, Path: a.txt}, {Name: b, Path: b.txt}]\n"
    with bgplite(tmp_path, more, bgp="  FirstWait: 1\n") as server:
        server.call("POST", "/api/peers", {"ip": "127.92.0.1", "asn": 65003, "lists": ["a", "b"]})
        wait_until("one list is there", lambda: server.get("/api/sources")[0]["prefixes"])
        client = server.client(source="127.92.0.1")
        client.until("what there is", lambda: client.routes)
        assert not client.ended
        client.until_complete()
        assert client.routes.keys() == {"192.0.2.0/24"}
        assert not server.get("/api/sessions")["sessions"][0]["complete"]
        server.write("b.txt", ["198.51.100.0/24"])
        server.call("POST", "/api/sources/b/refresh", {})
        client.until("the rest", lambda: len(client.routes) == 2)
        assert not client.withdrawn


def test_a_client_that_comes_while_lists_are_read_gets_one_table(tmp_path):
    """Halves that come one after the other would be announced, withdrawn and announced as one."""
    answer = threading.Event()

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer.wait(60)
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # who has asked may have ended
                self.wfile.write(b"9.128.0.0/9\n")

        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "a.txt").write_text("9.0.0.0/9\n")
    with serving(Late) as url:
        more = (
            "AllowedNetworks: [127.0.0.0/8]\nPrefixSources:\n  - {Name: a, Path: a.txt}\n"
            f"  - {{Name: b, Kind: http, Url: '{url}/b'}}\n  - {{Name: c, Kind: set, Sources: [b]}}\n"
        )
        try:
            with bgplite(tmp_path, more, bgp="  FirstWait: 600\n") as server:
                server.call("POST", "/api/peers", {"ip": "127.92.0.2", "asn": 65003, "lists": ["a", "c"]})
                wait_until("one list is there", lambda: server.get("/api/sources")[0]["prefixes"])
                client = server.client(source="127.92.0.2")
                why = "nothing was announced yet: lists are being read for the first time: c"
                wait_until("c is missing", lambda: [each["why"] for each in sessions(server)] == [why])
                assert [(each["routes"], each["updatesSent"]) for each in sessions(server)] == [(0, 0)]
                answer.set()
                client.until_complete()
                assert (client.routes.keys(), client.withdrawn, client.updates) == ({"9.0.0.0/8"}, [], 1)
        finally:
            answer.set()


def test_a_client_does_not_wait_for_a_list_that_has_failed(tmp_path):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    more = (
        "PrefixSources: [{Name: a, Path: a.txt}, {Name: b, Path: b.txt}, {Name: c, Kind: set, Sources: [a], "
        "Without: [b]}]\n"
    )
    with bgplite(tmp_path, more, bgp="  FirstWait: 600\n") as server:
        server.call("POST", "/api/peers", {"ip": "127.92.0.1", "asn": 65003, "lists": ["a", "b", "c"]})
        client = server.client(source="127.92.0.1")
        client.until("what there is", lambda: client.routes)
        assert (client.routes.keys(), client.ended) == ({"192.0.2.0/24"}, set())


def test_a_restart_without_any_source_announces_what_was_announced(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        subscribe(server, "127.77.0.3")
        wait_until("the list is there", lambda: server.get("/api/sources")[1]["prefixes"] == 3)
        assert server.stop() == 0
    (tmp_path / "cloud.txt").unlink()
    with bgplite(tmp_path, LISTS) as server:
        client = server.client(source="127.77.0.3")
        client.until_complete()
        assert len(client.routes) == 5


def test_a_second_connection_of_a_client_takes_the_place_of_the_first(tmp_path):
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        first = server.client(source="127.77.0.3", bgp_id="10.0.0.3")
        first.until_complete()
        second = server.client(source="127.77.0.3", bgp_id="10.0.0.3")
        second.until_complete()
        while first.hear():
            pass
        second.peer.say(ALIVE)
        assert server.get("/api/sessions")["active"] == 1
        assert server.get("/api/peers")[0]["status"] == "active"


def test_one_of_many_custom_prefixes_is_one_route(tmp_path):
    many = [f"11.{each // 250}.{each % 250}.0/24" for each in range(0, 3000, 2)]
    write_lists(tmp_path)
    with bgplite(tmp_path, LISTS) as server:
        peer = subscribe(server, "127.77.0.3", customPrefixes=many)
        client = server.client(source="127.77.0.3")
        client.until_complete()
        assert client.routes.keys() >= set(many)
        before = client.updates
        server.call("PUT", f"/api/peers/{peer['id']}", {"customPrefixes": [*many[1:], "203.0.113.0/24"]})
        client.until("the other routes", lambda: many[0] not in client.routes)
        assert "203.0.113.0/24" in client.routes
        assert client.updates - before == 2  # one that announces, and one that withdraws
        fewer = {"customPrefixes": many[1:4], "exclude": ["1.0.0.0/8"]}
        server.call("PUT", f"/api/peers/{peer['id']}", fewer)
        client.until("few routes", lambda: len(client.routes) < 5)
        assert client.routes.keys() == {*many[1:4], "2606:4700::/32"}
