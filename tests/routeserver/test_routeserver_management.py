"""Over the API: peers are found, changed only as they are known, reset and barred; what they have in all formats."""

from __future__ import annotations

import csv
import io
import json
from http.server import BaseHTTPRequestHandler

import pytest
from bgplite import BgpLite, as4, bgplite
from listserver import serving
from peers import IPV4, wait_until

import bgpipe

CONFIG = """\
AllowedNetworks: [127.0.0.0/8]
PrefixSources:
  - {Name: cloud, Path: cloud.txt, Community: 65000:300}
"""


class RipeStat(BaseHTTPRequestHandler):
    def do_GET(self):
        broken = "AS65099" in self.path
        self.send_response(500 if broken else 200)
        self.end_headers()
        found = {"v4": {"originating": ["192.0.2.0/24", "1.0.0.0/24"]}, "v6": {"originating": ["2606:4700::/32"]}}
        self.wfile.write(json.dumps({"data": {"prefixes": found}}).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def ripestat():
    with serving(RipeStat) as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory, ripestat):
    folder = tmp_path_factory.mktemp("management")
    (folder / "cloud.txt").write_text("1.0.0.0/24\n1.1.1.0/24\n2606:4700::/32\n")
    with bgplite(folder, CONFIG + f"RipeStat: {{Url: {ripestat}}}\n") as running:
        wait_until("the list is there", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


def add(server: BgpLite, ip: str, asn: int = 65003, **more) -> dict:
    status, shown = server.call("POST", "/api/peers", {"ip": ip, "asn": asn} | more)
    assert status == 200, shown
    return shown


def test_peers_are_found(server):
    for number in range(1, 6):
        add(server, f"127.90.1.{number}", 65100 + number, description=f"Shop {number}", lists=["cloud"][: number % 2])

    def found(query: str) -> list[int]:
        return [each["asn"] for each in server.get(f"/api/peers?search=127.90.1.&{query}")]

    assert found("") == [65101, 65102, 65103, 65104, 65105]
    assert found("limit=2&offset=1") == [65102, 65103]
    assert found("list=cloud") == [65101, 65103, 65105]
    assert found("asn=65104") == found("ip=127.90.1.4") == [65104]
    assert found("status=active") == []
    assert [each["asn"] for each in server.get("/api/peers?search=shop%203")] == [65103]
    assert [each["asn"] for each in server.get("/api/peers?search=as65102")] == [65102]
    for wrong in ("limit=0", "limit=x", "offset=-1", "status=unknown", "asn=x"):
        status, shown = server.call("GET", f"/api/peers?{wrong}")
        assert status == 400
        assert wrong.partition("=")[0] in shown["error"]


def test_a_peer_is_changed_only_as_it_is_known(server):
    path = f"/api/peers/{add(server, '127.90.2.1')['id']}"
    tag = server.headers("GET", path)["ETag"]
    assert server.call("GET", path, If_None_Match=tag) == (304, "")
    assert server.call("GET", path, If_None_Match='"other", W/' + tag)[0] == 304
    assert server.call("PUT", path, {"description": "one"}, If_Match='"other"')[0] == 412
    assert server.call("PUT", path, {"description": "one"}, If_Match=tag)[0] == 200
    assert server.call("GET", path, If_None_Match=tag)[0] == 200
    assert server.call("PUT", path, {"description": "two"}, If_Match=tag)[0] == 412
    assert server.call("DELETE", path, If_Match=tag)[0] == 412
    assert server.get(path)["description"] == "one"
    assert server.call("DELETE", path, If_Match="*")[0] == 200


def test_what_a_session_has_in_all_formats(server):
    made = add(server, "127.90.3.1", lists=["cloud"], customPrefixes=["203.0.113.0/24"])
    path = f"/api/peers/{made['id']}"
    would_have = server.get(f"{path}/prefixes?format=json")
    assert would_have == ["1.0.0.0/24", "1.1.1.0/24", "203.0.113.0/24", "2606:4700::/32"]
    client = server.client(65003, IPV4, as4(65003), source="127.90.3.1")
    client.until_complete(1)
    has = sorted(client.routes)
    assert "2606:4700::/32" not in has  # this session has no IPv6
    assert server.get(f"{path}/prefixes?format=json") == has
    assert server.get(f"{path}/prefixes") == "".join(f"{each}\n" for each in has)
    rows = list(csv.DictReader(io.StringIO(server.get(f"{path}/prefixes?format=csv"))))
    assert [each["prefix"] for each in rows] == has
    assert rows[0] == {
        "prefix": "1.0.0.0/24", "next_hop": "10.99.0.1", "communities": "65000:300", "med": "", "prepends": "0",
    }  # fmt: skip
    script = server.get(f"{path}/prefixes?format=rsc").splitlines()
    assert script[:2] == [
        "/ip firewall address-list remove [find list=bgplite]",
        "/ip firewall address-list add list=bgplite address=1.0.0.0/24",
    ]
    routes = server.get(f"{path}/routes?limit=1&offset=2")
    assert routes == [
        {"prefix": "203.0.113.0/24", "nextHop": "10.99.0.1", "communities": ["65000:100"], "med": None, "prepends": 0}
    ]
    assert server.call("GET", f"{path}/prefixes?format=xml")[0] == 400


def test_mrt_of_a_session_is_what_it_was_sent(server, tmp_path):
    made = add(server, "127.90.3.2", lists=["cloud"], customPrefixes=["203.0.113.0/24"])
    client = server.client(source="127.90.3.2")
    client.until_complete()
    archive = tmp_path / "out.mrt"
    archive.write_bytes(server.octets(f"/api/peers/{made['id']}/prefixes?format=mrt"))
    messages = list(bgpipe.read(archive))
    prefixes = [str(prefix) for message in messages for prefix in message.update.reach]
    assert sorted(prefixes) == sorted(client.routes)
    assert {message.tags["PEER_AS"] for message in messages} == {"65000"}
    assert {message.tags["LOCAL_IP"] for message in messages} == {"127.90.3.2"}


def test_a_session_is_reset_refreshed_and_told_about(server):
    made = add(server, "127.90.4.1", lists=["cloud"])
    path = f"/api/peers/{made['id']}"
    assert server.get(f"{path}/session") == {"session": None, "call": None, "lastEnd": None}
    for what in ("reset", "refresh"):
        assert server.call("POST", f"{path}/{what}") == (409, {"error": "the peer has no session"})
    client = server.client(source="127.90.4.1")
    client.until_complete()
    session = server.get(f"{path}/session")["session"]
    assert session["state"] == "Established"
    assert session["receivedOpen"]["asn"] == 65003
    assert session["sentOpen"]["asn"] == 65000
    before = client.updates
    assert server.call("POST", f"{path}/refresh")[0] == 200
    client.until("all routes once more", lambda: client.updates >= 2 * before)
    assert client.withdrawn == []
    assert server.call("POST", f"{path}/reset")[0] == 200
    while (message := client.hear()) and message[18] != 3:
        pass
    assert message[19:21] == b"\6\4"
    assert b"an operator has reset this session" in message
    wait_until("it has ended", lambda: server.get(f"{path}/session")["lastEnd"] is not None)
    assert server.get("/api/sessions")["ended"][made["id"]]["why"]
    assert server.get("/api/audit?limit=1")[0]["action"] == "reset peer"


def test_a_barred_peer_does_not_come_back_until_it_is_approved(server):
    made = add(server, "127.90.5.1", lists=["cloud"])
    path = f"/api/peers/{made['id']}"
    client = server.client(source="127.90.5.1")
    client.until_complete()
    assert server.call("DELETE", f"{path}?bar=true")[0] == 200
    while (message := client.hear()) and message[18] != 3:
        pass
    assert message[19:21] == b"\6\5"
    shown = server.get(path)
    assert (shown["status"], shown["lists"]) == ("barred", [])
    again = server.client(source="127.90.5.1")
    while again.last and again.last[18] != 3:
        again.hear()
    assert again.last[19:21] == b"\6\5"
    assert b"is barred" in again.last
    assert add(server, "127.90.5.1", lists=["cloud"])["status"] == "barred"
    assert server.call("POST", f"{path}/approve")[1]["status"] in ("inactive", "active")  # until it has ended
    server.client(source="127.90.5.1").until_complete()


def test_what_an_as_number_originates(server):
    shown = server.get("/api/as/65010/prefixes")
    assert shown == {"asn": 65010, "prefixCount": 3, "prefixes": ["1.0.0.0/24", "192.0.2.0/24", "2606:4700::/32"]}
    for path in ("/api/as/65010/prefixes/count", "/api/as/65010/prefixes?count=true"):
        assert server.get(path) == {"asn": 65010, "prefixCount": 3}
    for wrong in ("x", "0", "23456", "99999999999", "-1"):
        assert server.call("GET", f"/api/as/{wrong}/prefixes")[0] == 400
    status, shown = server.call("GET", "/api/as/65099/prefixes/count")
    assert status == 502
    assert "AS65099" in shown["error"]


def test_what_a_subscription_would_announce(server):
    status, shown = server.call("POST", "/api/try?prefixes=2", {"lists": ["cloud"], "exclude": ["1.1.1.0/24"]})
    assert status == 200, shown
    assert (shown["routes"], shown["ipv4"], shown["ipv6"], shown["lists"]) == (2, 1, 1, {"cloud": 3})
    assert shown["prefixes"] == ["1.0.0.0/24", "2606:4700::/32"]
    assert server.call("POST", "/api/try", {"lists": ["nosuch"]}) == (400, {"error": "unknown lists: nosuch"})
    assert server.call("POST", "/api/try", {"lists": ["cloud"], "maxRoutes": 1})[1]["limit"]
    assert "0.0.0.0" not in [each["ip"] for each in server.get("/api/peers")]


def test_what_a_change_would_send(server):
    made = add(server, "127.90.6.1", lists=["cloud"])
    path = f"/api/peers/{made['id']}"
    client = server.client(source="127.90.6.1")
    client.until_complete()
    status, shown = server.call(
        "POST", f"{path}/diff", {"exclude": ["1.1.1.0/24"], "customPrefixes": ["203.0.113.0/24"]}
    )
    assert status == 200, shown
    assert shown == {
        "more": 1, "fewer": 1, "other": 0,
        "announced": ["203.0.113.0/24"], "withdrawn": ["1.1.1.0/24"], "changed": [],
    }  # fmt: skip
    assert server.get(path)["exclude"] == []
    assert server.call("POST", f"{path}/diff", {"exclude": ["x"]})[0] == 400


def test_versions_of_a_list_over_the_api(server):
    assert server.call("GET", "/api/sources/cloud/diff") == (409, {"error": "there is only one version of this list"})
    server.write("cloud.txt", ["1.0.0.0/24", "1.1.1.0/24", "9.9.9.0/24"])
    wait_until("the list has changed", lambda: server.get("/api/sources")[0]["version"] == 2)
    assert [(each["version"], each["state"]) for each in server.get("/api/sources/cloud/versions")] == [
        (2, "current"),
        (1, "old"),
    ]
    shown = server.get("/api/sources/cloud/diff")
    assert (shown["morePrefixes"], shown["fewerPrefixes"]) == (["9.9.9.0/24"], ["2606:4700::/32"])
    assert server.get("/api/sources/cloud/diff?old=2&new=1")["morePrefixes"] == ["2606:4700::/32"]
    status, shown = server.call("POST", "/api/sources/cloud/rollback", {"version": 1})
    assert (status, shown["ipv6"]) == (200, 1)
    assert server.call("POST", "/api/sources/cloud/rollback", {"version": 77})[0] == 409
    for path in ("nosuch/versions", "nosuch/diff"):
        assert server.call("GET", f"/api/sources/{path}")[0] == 404
