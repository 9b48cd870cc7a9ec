"""Networks that stand for all peers in them, made and changed over the API, as the configuration has them."""

from __future__ import annotations

import pytest
from bgplite import BgpLite, Client, bgplite
from peers import wait_until

from bgpipe.wire.message import HEADER
from bgpipe.wire.notification import Notification

CONFIG = """\
PrefixSources:
  - {Name: four, Path: four.txt}
  - {Name: six, Path: six.txt}
Peers:
  - {Address: 127.71.0.0/16, Lists: [four]}
"""
FOUR, SIX = {"1.0.0.0/24"}, {"2606:4700::/32"}


def write(folder) -> None:
    (folder / "four.txt").write_text("1.0.0.0/24\n")
    (folder / "six.txt").write_text("2606:4700::/32\n")


@pytest.fixture
def server(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, CONFIG, bgp="  UnknownPeers: reject\n") as running:
        wait_until("the lists are read", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


def end_of(client: Client) -> Notification:
    """How the session of a client ends."""
    last = client.last
    while octets := client.hear():
        last = octets
    return Notification.decode(last[HEADER:])


def peers(server: BgpLite) -> dict[str, dict]:
    return {each["ip"]: each for each in server.get("/api/peers")}


def test_a_network_of_the_database(server, tmp_path):
    status, made = server.call("POST", "/api/peers", {"ip": "127.72.0.9/16", "asn": 0, "lists": ["four"]})
    assert status == 200, made
    assert (made["ip"], made["asn"], made["owner"]) == ("127.72.0.0/16", 0, "database")
    place = f"/api/peers/{made['id']}"
    assert server.get(f"{place}/prefixes?format=json") == ["1.0.0.0/24"]
    client = server.client(65003, source="127.72.1.1")
    client.until_complete()
    assert client.routes.keys() == FOUR
    shown = peers(server)["127.72.1.1"]
    assert (shown["template"], shown["status"], shown["asn"]) == (made["id"], "active", 65003)
    # its peers get what changes, and stay what they are
    server.call("PUT", place, {"lists": ["four", "six"], "description": "guests"})
    client.until("both lists", lambda: client.routes.keys() == FOUR | SIX)
    assert client.withdrawn == []
    again = peers(server)["127.72.1.1"]
    assert (again["id"], again["status"], again["description"]) == (shown["id"], "active", "guests")
    assert again["createdAt"] == shown["createdAt"]
    # the longest network counts
    status, inner = server.call("POST", "/api/peers", {"ip": "127.72.1.0/24", "asn": 65003, "lists": ["six"]})
    assert status == 200, inner
    client.until("the list of the longer network", lambda: client.routes.keys() == SIX)
    server.call("DELETE", f"/api/peers/{inner['id']}")
    client.until("that of the shorter one", lambda: client.routes.keys() == FOUR | SIX)
    at = server.address, server.api_port
    server.stop()

    with bgplite(tmp_path, CONFIG, bgp="  UnknownPeers: reject\n", at=at) as server:
        client = server.client(65003, source="127.72.1.1")
        client.until_complete()
        assert client.routes.keys() == FOUR | SIX
        assert server.call("DELETE", place)[0] == 200
        told = end_of(client)
        assert (told.code, told.subcode) == (6, 4)
        assert b"AS65003 at 127.72.1.1 is no peer of this route server any more" in told.data
        assert peers(server).keys() == {"127.71.0.0/16"}


def test_a_peer_in_a_network_becomes_one_of_its_own(server):
    status, made = server.call("POST", "/api/peers", {"ip": "127.72.0.0/16", "asn": 0, "lists": ["four"]})
    client = server.client(65003, source="127.72.1.2")
    client.until_complete()
    id = peers(server)["127.72.1.2"]["id"]
    refused = "this peer is known by the network 127.72.0.0/16 only: change that, or add this peer by itself"
    for method, path, body in (
        ("PUT", f"/api/peers/{id}", {"lists": ["six"]}),
        ("DELETE", f"/api/peers/{id}", None),
        ("POST", f"/api/peers/{id}/bar", {}),
        ("POST", f"/api/peers/{id}/approve", {}),
    ):
        assert server.call(method, path, body) == (409, {"error": refused})
    status, own = server.call("POST", "/api/peers", {"ip": "127.72.1.2", "asn": 65003, "lists": ["six"]})
    assert (status, own["id"], own["template"], own["status"]) == (200, id, "", "active")
    client.until("its own list", lambda: client.routes.keys() == SIX)
    server.call("DELETE", f"/api/peers/{made['id']}")
    assert server.call("POST", f"/api/peers/{id}/refresh", {})[0] == 200  # its session goes on


def test_a_network_that_is_barred_and_approved(server):
    made = server.call("POST", "/api/peers", {"ip": "127.72.0.0/16", "asn": 0, "lists": ["four"]})[1]
    client = server.client(65003, source="127.72.1.3")
    client.until_complete()
    assert server.call("POST", f"/api/peers/{made['id']}/bar", {})[1]["status"] == "barred"
    told = end_of(client)
    assert (told.code, told.subcode) == (6, 5)
    told = end_of(server.client(65003, source="127.72.1.3"))
    assert (told.code, told.subcode) == (6, 5)
    assert server.call("POST", f"/api/peers/{made['id']}/approve", {})[0] == 200
    client = server.client(65003, source="127.72.1.3")
    client.until("the session", lambda: client.ended)


def test_what_is_no_network_of_peers(server):
    for body, status, said in (
        ({"ip": "127.72.0.0/33", "asn": 0}, 400, "an IP address or a network such as 192.0.2.0/24 is expected"),
        ({"ip": "127.72.0.0/16", "asn": 23456}, 400, "23456 is reserved"),
        ({"ip": "127.72.0.1", "asn": 0}, 400, "0 is reserved"),
        ({"ip": "127.72.0.0/16", "asn": 0, "connect": True}, 400, "127.72.0.0/16 is a network: nobody can call that"),
        ({"ip": "127.71.0.0/16", "asn": 0}, 409, "this peer stands in the configuration"),
    ):
        found, shown = server.call("POST", "/api/peers", body)
        assert (found, said in shown["error"]) == (status, True), shown


def test_networks_from_the_shell(server, tmp_path):
    done = server.shell("peers", "add", "127.73.0.0/16", "any", "--lists", "four", "--description", "guests")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split() == ["127.73.0.0/16", "any", "inactive", "-", "four", "guests"]
    assert server.shell("peers", "change", "127.73.0.0/16", "--lists", "six").returncode == 0
    assert server.shell("routes", "127.73.0.0/16").stdout.split() == ["PREFIX", *SIX]
    assert "six" in server.shell("why", "127.73.0.0/16", "2606:4700::1").stdout
    path = tmp_path / "peers.csv"
    path.write_text(server.shell("export").stdout)
    assert server.shell("peers", "delete", "127.73.0.0/16").returncode == 0
    rows = [row for row in path.read_text().splitlines(keepends=True) if not row.startswith("127.71.")]
    path.write_text("".join(rows))
    done = server.shell("import", str(path))
    assert (done.returncode, "127.73.0.0/16  0" in done.stdout) == (0, True), done.stderr
    assert peers(server)["127.73.0.0/16"]["lists"] == ["six"]
