"""The API: paths, bodies and answers of BGPLite, and what is new."""

from __future__ import annotations

import json

import pytest
from bgplite import BgpLite, bgplite
from peers import IPV4, wait_until

from bgpipe.routeserver.api.http import Buckets
from bgpipe.routeserver.config import RateLimit
from bgpipe.routeserver.snippets import KINDS

CONFIG = """\
DefaultPrefixSource: default
CorsAllowedOrigins: ["https://page.example"]
TrustedProxies: [127.0.0.0/8]
PrefixSources:
  - {Name: default, Path: default.txt, Description: what all get}
  - {Name: cloud, Path: cloud.txt, Community: 65000:300}
Peers:
  - {Address: 127.88.0.1, RemoteAsn: 65010, Lists: [cloud], Description: fixed}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    (folder / "default.txt").write_text("198.51.100.0/24\n")
    (folder / "cloud.txt").write_text("1.0.0.0/24\n1.1.1.0/24\n2606:4700::/32\n")
    with bgplite(folder, CONFIG) as running:
        wait_until("both lists are there", lambda: running.call("GET", "/readyz")[0] == 200)
        yield running


def add(server: BgpLite, ip: str, asn: int = 65003, **more) -> dict:
    status, shown = server.call("POST", "/api/peers", {"ip": ip, "asn": asn} | more)
    assert status == 200, shown
    return shown


def test_a_peer_is_added_changed_and_deleted(server):
    made = add(server, "127.88.1.1", lists=["cloud", "cloud"], customPrefixes=["203.0.113.7/24"], description="one")
    assert made["lists"] == ["cloud"]
    assert made["customPrefixes"] == ["203.0.113.0/24"]
    assert made["tcpMd5"] is False
    path = f"/api/peers/{made['id']}"
    assert server.get(path)["customSources"] == []
    _, changed = server.call("PUT", path, {"customPrefixes": [], "maxPrefix": 5})
    assert (changed["customPrefixes"], changed["lists"], changed["maxPrefix"]) == ([], ["cloud"], 5)
    again = add(server, "127.88.1.1", lists=[])
    assert (again["id"], again["lists"], again["maxPrefix"], again["description"]) == (made["id"], [], None, "")
    assert server.call("DELETE", path) == (200, {"id": made["id"], "deleted": True})
    assert server.call("GET", path) == (404, {"error": "Peer not found"})


def test_names_of_keys_count_in_any_case_and_unknown_ones_are_ignored(server):
    status, made = server.call("POST", "/api/peers", {"IP": "127.88.1.2", "Asn": 65003, "LISTS": ["cloud"], "x": {}})
    assert (status, made["lists"]) == (200, ["cloud"])
    assert add(server, "127.88.1.2", asnLists=["default"])["lists"] == ["default"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"asn": 65003}, "ip"),
        ({"ip": "x", "asn": 65003}, "'x' is no IP address"),
        ({"ip": "224.0.0.1", "asn": 65003}, "no peer can have this address"),
        ({"ip": "0.0.0.0", "asn": 65003}, "no peer can have this address"),
        ({"ip": "10.0.0.1", "asn": 0}, "nobody's AS number"),
        ({"ip": "10.0.0.1", "asn": 23456}, "nobody's AS number"),
        ({"ip": "10.0.0.1", "asn": 2**32}, "an AS number from 1 to 4294967294 is expected"),
        ({"ip": "10.0.0.1", "asn": "65003"}, "asn"),
        ({"ip": "10.0.0.1", "asn": 65003, "lists": ["nosuch", "cloud"]}, "unknown lists: nosuch"),
        ({"ip": "10.0.0.1", "asn": 65003, "customPrefixes": ["10.0.0.0/8", "0.0.0.0/0"]}, "default route"),
        ({"ip": "10.0.0.1", "asn": 65003, "customPrefixes": ["x/8"]}, "customPrefixes"),
        ({"ip": "10.0.0.1", "asn": 65003, "customAsns": [65535]}, "nobody's AS number"),
        ({"ip": "10.0.0.1", "asn": 65003, "maxPrefix": -1}, "maxPrefix"),
        ({"ip": "10.0.0.1", "asn": 65003, "md5Password": "x" * 81}, "80 octets"),
        ({"ip": "10.0.0.1", "asn": 65003, "description": "x" * 513}, "description"),
        ([], "an object is expected"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
    ],
)
def test_what_a_peer_can_not_be(server, body, error):
    status, shown = server.call("POST", "/api/peers", body)
    assert status == 400
    assert error in shown["error"]


def test_a_mapped_address_is_its_ipv4_address(server):
    assert add(server, "::ffff:127.88.1.3")["ip"] == "127.88.1.3"


def test_a_key_is_never_shown(server):
    made = add(server, "127.88.1.4", md5Password="sesame street")
    assert made["tcpMd5"] is True
    for path in (f"/api/peers/{made['id']}", "/api/peers", "/api/sessions", "/metrics"):
        assert "sesame" not in str(server.get(path))
    assert server.call("PUT", f"/api/peers/{made['id']}", {"md5Password": ""})[1]["tcpMd5"] is False
    assert "sesame" not in server.log


def test_lists_at_urls_of_one_peer(server):
    made = add(server, "127.88.1.5")
    path = f"/api/peers/{made['id']}/sources"
    status, source = server.call("POST", path, {"name": "mine", "url": "https://list.example/x.txt"})
    assert (status, source["active"], source["community"]) == (200, False, None)
    assert server.get(path) == [source]
    assert server.call("PATCH", f"{path}/{source['id']}", {"active": True}) == (
        200,
        {"id": source["id"], "active": True},
    )
    assert server.call("PATCH", f"{path}/{source['id']}", {})[0] == 400
    assert server.call("PATCH", f"{path}/nosuch", {"active": True})[0] == 404
    for wrong in ({"name": "", "url": "https://a.example/"}, {"name": "a", "url": "ftp://a.example/"}):
        assert server.call("POST", path, wrong)[0] == 400
    assert server.call("DELETE", f"{path}/{source['id']}") == (200, {"id": source["id"], "deleted": True})
    assert server.get(path) == []


def test_a_peer_of_the_configuration_is_changed_there(server):
    fixed = next(each for each in server.get("/api/peers") if each["owner"] == "config")
    assert (fixed["ip"], fixed["asn"], fixed["lists"], fixed["description"]) == (
        "127.88.0.1",
        65010,
        ["cloud"],
        "fixed",
    )
    assert server.call("PUT", f"/api/peers/{fixed['id']}", {"description": "x"})[0] == 409
    assert server.call("DELETE", f"/api/peers/{fixed['id']}")[0] == 409


def test_who_asks(server):
    made = add(server, "127.88.1.6", asn=65006)
    forwarded = {"X_Forwarded_For": "9.9.9.9, 127.88.1.6"}
    assert server.call("GET", "/api/my-ip", **forwarded)[1] == {"ip": "9.9.9.9"}
    _, shown = server.call("GET", "/api/me?asn=65006", X_Forwarded_For="127.88.1.6")
    assert shown["ip"] == "127.88.1.6"
    assert [each["id"] for each in shown["peers"]] == [made["id"]]
    assert shown["peers"][0]["advertisedPrefixCount"] == 0
    assert server.call("GET", "/api/me?asn=x")[0] == 400


def test_what_a_peer_would_have(server):
    made = add(server, "127.88.1.7", lists=["cloud"], customPrefixes=["1.0.0.0/8"], exclude=["2606:4700::/33"])
    path = f"/api/peers/{made['id']}/prefixes"
    assert server.get(f"{path}?format=json") == ["1.0.0.0/8", "2606:4700:8000::/33"]
    assert server.get(path) == "1.0.0.0/8\n2606:4700:8000::/33\n"


def test_why(server):
    made = add(server, "127.88.1.10", lists=["cloud"], exclude=["1.1.1.0/24"])
    path = f"/api/peers/{made['id']}/why?target="
    shown = server.get(f"{path}1.0.0.9")
    assert shown["route"] == "1.0.0.0/24"
    step = {"source": "cloud", "prefix": "1.0.0.0/24", "outcome": "announced", "by": None, "line": 1}
    assert shown["steps"][0] == step
    shown = server.get(f"{path}1.1.1.1")
    assert shown["route"] is None
    assert shown["steps"][0]["outcome"] == "excluded for this peer"
    assert server.get(f"{path}198.51.100.7")["steps"][0]["outcome"] == "not chosen"
    assert server.call("GET", f"{path}x")[0] == 400


def test_the_api_from_the_shell(server):
    add(server, "127.88.1.11", lists=["cloud"], exclude=["1.1.1.0/24"], description="shell")
    add(server, "127.88.1.12", asn=65011)
    add(server, "127.88.1.12", asn=65012)
    peers = server.shell("peers").stdout.splitlines()
    assert peers[0].split() == ["ADDRESS", "AS", "STATUS", "ROUTES", "LISTS", "DESCRIPTION"]
    assert ["127.88.1.11", "65003", "inactive", "0", "cloud", "shell"] in [line.split() for line in peers]
    assert server.shell("routes", "127.88.1.11").stdout == "PREFIX\n1.0.0.0/24\n2606:4700::/32\n"
    assert "excluded for this peer" in server.shell("why", "127.88.1.11", "1.1.1.1").stdout
    assert json.loads(server.shell("sources", "--json").stdout)[0]["name"] == "default"
    assert server.shell("sessions").returncode == 0
    several = server.shell("routes", "127.88.1.12")
    assert (several.returncode, several.stdout) == (1, "")
    assert "127.88.1.12#65011, 127.88.1.12#65012" in several.stderr
    nobody = server.shell("peers", "--api", "http://127.0.0.1:1")
    assert nobody.returncode == 1
    assert "is bgplite running?" in nobody.stderr


def test_lists_and_counts(server):
    shown = {each["Name"]: each for each in server.get("/api/asn-lists")}
    assert shown["default"]["Description"] == "what all get"
    assert (shown["cloud"]["prefixCount"], shown["cloud"]["Community"], shown["cloud"]["type"]) == (
        3,
        "65000:300",
        "list",
    )
    assert server.get("/api/routes") == {"total": 4, "byCommunity": {"default": 1, "65000:300": 3}}
    assert server.get("/api/routes/count") == {"total": 4}
    scheme = {"asn": 65000, "customPrefixes": "65000:100", "customAsns": "65000:200"}
    assert server.get("/api/community-scheme") == scheme


def test_about_the_server(server):
    shown = server.get("/api/server")
    assert (shown["asn"], shown["routerId"], shown["bgpPort"]) == (65000, "10.99.0.1", server.address[1])
    assert {"setup", "bird", "mikrotik", "setup6", "bird6", "mikrotik6"} <= shown.keys()
    assert "protocol bgp bgplite {" in shown["bird"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_to_put_into_a_router(server, kind):
    peer = add(server, "127.88.1.31", asn=65031, md5Password="planted-secret")
    path = f"/api/peers/{peer['id']}/setup/{kind}"
    status, text = server.call("GET", f"{path}?gateway=10.0.0.9&gateway6=fd00::9&server=10.99.0.5")
    assert status == 200
    for value in ("10.99.0.5", "10.0.0.9", "fd00::9", "65031", "65000", "180", "<MD5_KEY>"):
        assert value in text, (value, text)
    assert str(server.address[1]) in text or "no other port than 179" in text
    assert "planted" not in text
    text = server.call("GET", path)[1]
    assert server.address[0] in text  # the one on which we listen
    assert "<YOUR_GATEWAY>" in text
    assert "<YOUR_GATEWAY_V6>" in text


@pytest.mark.parametrize(
    ("rest", "status", "named"),
    [
        ("nortel", 404, "nortel"),
        ("bird?gateway=here%0aexit", 400, "gateway"),
        ("bird?gateway6=10.0.0.1", 400, "gateway6"),
        ("bird?server=%22", 400, "server"),
    ],
)
def test_what_can_not_be_put_into_a_router(server, rest, status, named):
    peer = add(server, "127.88.1.32", asn=65032)
    answered, shown = server.call("GET", f"/api/peers/{peer['id']}/setup/{rest}")
    assert answered == status
    assert named in shown["error"]


def test_communities_and_descriptions_by_address(server):
    add(server, "127.88.1.8", lists=["cloud"])
    path = "/api/peer/127.88.1.8/communities"
    assert server.call("PUT", path, {"communities": ["65000:300"]})[0] == 200
    assert server.get(path) == {"ip": "127.88.1.8", "communities": ["65000:300"]}
    assert server.call("PUT", "/api/peer/127.88.1.8/description", {"description": "two"})[0] == 200
    shown = next(each for each in server.get("/api/peers") if each["ip"] == "127.88.1.8")
    assert (shown["description"], shown["communities"], shown["allRoutes"]) == ("two", ["65000:300"], False)
    assert server.call("DELETE", path)[0] == 200
    assert server.get(path) == {"ip": "127.88.1.8", "communities": []}
    assert server.call("PUT", "/api/peer/127.88.9.9/description", {"description": "x"})[0] == 404


def test_sessions_say_why_they_have_nothing(server):
    made = add(server, "127.88.1.9", lists=["cloud"])
    server.call("PUT", f"/api/peers/{made['id']}", {"communities": ["65000:999"]})
    client = server.client(65003, IPV4, source="127.88.1.9")
    client.until_complete(1)
    session = next(each for each in server.get("/api/sessions")["sessions"] if each["ip"] == "127.88.1.9")
    assert session["why"] == "no route has one of the communities that the peer wants"
    assert session["state"] == "Established"
    server.call("PUT", f"/api/peers/{made['id']}", {"communities": []})
    client.until("routes", lambda: client.routes)
    server.call("DELETE", f"/api/peers/{made['id']}")
    while (message := client.hear()) and message[18] != 3:
        pass
    assert message[19:21] == b"\6\4"  # Cease, Administrative Reset


def test_requests_that_are_refused(server):
    assert server.call("POST", "/api/peers", b"{}", Content_Type="text/plain")[0] == 415
    assert server.call("POST", "/api/peers", {}, Sec_Fetch_Site="cross-site")[0] == 403
    assert server.call("PATCH", "/api/peers") == (404, {"error": "Not found"})
    assert server.call("GET", "/nowhere") == (404, {"error": "Not found"})
    assert server.call("POST", "/api/peers", b" " * (1 << 20) + b"{}")[0] == 413


def test_who_asks_too_often_is_answered_at_the_rate_that_is_allowed():
    now = [0.0]
    buckets = Buckets(RateLimit(token_limit=3, tokens_per_period=2, period_seconds=1), lambda: now[0])
    assert [buckets.admits("192.0.2.1") for _ in range(5)] == [True, True, True, False, False]
    assert buckets.admits("192.0.2.2"), "others have a bucket of their own"
    admitted = 0
    for _ in range(100):
        now[0] += 0.01
        admitted += buckets.admits("192.0.2.1")
    assert admitted == 2, "a request that is refused costs nothing of what comes back"


def test_monitors(server):
    assert server.call("GET", "/livez") == (200, "ok\n")
    assert server.call("GET", "/readyz") == (200, "ok\n")
    assert server.get("/hc")["status"] == "ok"
    metrics = server.get("/metrics")
    assert 'bgplite_list_prefixes{list="cloud"} 3' in metrics
    assert "# HELP bgplite_peers" in metrics
