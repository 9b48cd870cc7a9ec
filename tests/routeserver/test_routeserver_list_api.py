"""Lists that are made, changed, tried, rolled back and removed over the API, and what a restart knows of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from bgplite import BgpLite, bgplite
from listserver import ListServer
from peers import wait_until

MORE = "AllowedNetworks: [127.0.0.0/8]\nPrefixSources: [{Name: a, Path: a.txt}]\n"


@pytest.fixture
def lists():
    server = ListServer()
    yield server
    server.shutdown()
    server.server_close()


def source(server: BgpLite, name: str) -> dict:
    return server.get(f"/api/sources/{name}")


def test_a_list_of_the_database_from_its_first_try_to_its_end(tmp_path, lists):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    with bgplite(tmp_path, MORE) as server:
        lists.content = b"9.9.9.0/24\nnonsense\n2620:fe::/48\n"
        status, tried = server.call("POST", "/api/sources/try", {"url": lists.url})
        assert status == 200, tried
        assert (tried["prefixes"], tried["ipv4"], tried["badSamples"]) == (2, 1, [{"line": 2, "text": "nonsense"}])
        assert tried["first"] == ["9.9.9.0/24", "2620:fe::/48"]
        assert [each["name"] for each in server.get("/api/sources")] == ["a"]

        headers = {"X-API-Key": "sesame"}
        body = {"name": "web", "Kind": "http", "url": lists.url, "community": "65000:302", "headers": headers}
        status, made = server.call("POST", "/api/sources", body)
        assert status == 200, made
        assert (made["owner"], made["settings"]["headers"]) == ("database", ["X-API-Key"])
        assert server.call("POST", "/api/sources", body)[0] == 409
        server.call("POST", "/api/peers", {"ip": "127.91.0.1", "asn": 65003, "lists": ["web"]})
        client = server.client(source="127.91.0.1")
        client.until("its routes", lambda: len(client.routes) == 2)
        assert server.call("DELETE", "/api/sources/web") == (
            409,
            {"error": "the list is in use by the peer 127.91.0.1#65003"},
        )

        lists.content = b"9.9.8.0/24\n"
        server.call("POST", "/api/sources/web/refresh", {})
        client.until("the other route", lambda: client.routes.keys() == {"9.9.8.0/24"})
        assert [each["version"] for each in server.get("/api/sources/web/versions")] == [2, 1]
        assert server.get("/api/sources/web/diff") == {
            "more": 1, "fewer": 2, "morePrefixes": ["9.9.8.0/24"], "fewerPrefixes": ["9.9.9.0/24", "2620:fe::/48"],
        }  # fmt: skip
        assert server.call("POST", "/api/sources/web/rollback", {"version": 9})[0] == 409
        assert server.get("/api/audit?limit=1")[0]["action"] != "roll back list"  # nothing was
        assert server.call("POST", "/api/sources/web/rollback", {"version": 1})[1]["rolledBack"] == 1
        client.until("the old routes", lambda: client.routes.keys() == {"9.9.9.0/24", "2620:fe::/48"})

        status, changed = server.call("PUT", "/api/sources/web", {"description": "the web", "maxShrink": 0.5})
        assert (status, changed["settings"]["url"], changed["rolledBack"]) == (200, lists.url, 1)
        server.call("PUT", "/api/sources/web", {"community": "65000:303"})
        client.until("the other community", lambda: "303" in json.dumps(client.routes["9.9.9.0/24"]["COMMUNITY"]))
        said = {"addCommunities": ["65000:0:7"], "med": 5, "prepends": 1, "nextHop": "192.0.2.66"}
        status, changed = server.call("PUT", "/api/sources/web", said)
        assert (status, {name: changed["settings"][name] for name in said}) == (200, said)
        client.until("the other next hop", lambda: client.routes["9.9.9.0/24"]["NEXTHOP"]["value"] == "192.0.2.66")
        found = client.routes["9.9.9.0/24"]
        assert (found["MED"]["value"], found["ASPATH"]["value"]) == (5, [65000, 65000])
        assert found["LARGE_COMMUNITY"]["value"] == ["65000:0:7"]
        for wrong in ({"med": -1}, {"prepends": 51}, {"expires": "tomorrow"}, {"nextHop": "::1"}):
            assert server.call("PUT", "/api/sources/web", wrong)[0] == 400, wrong
        assert "sesame" not in json.dumps([server.get("/api/sources"), source(server, "web"), server.get("/api/audit")])
        end = datetime.fromtimestamp(time.time() + 0.5, UTC).isoformat()
        assert server.call("PUT", "/api/sources/web", {"expires": end})[0] == 200
        client.until("the end of the list", lambda: not client.routes)
        assert server.call("PUT", "/api/sources/web", {"expires": ""})[1]["settings"]["expires"] == ""
        client.until("it has none any more", lambda: len(client.routes) == 2)
        port = server.address, server.api_port
        server.stop()

    lists.status = 500
    with bgplite(tmp_path, MORE, at=port) as server:
        assert (source(server, "web")["owner"], source(server, "web")["description"]) == ("database", "the web")
        client = server.client(source="127.91.0.1")
        client.until_complete()
        assert client.routes.keys() == {"9.9.9.0/24", "2620:fe::/48"}
        peer = server.get("/api/peers")[0]["id"]
        server.call("PUT", f"/api/peers/{peer}", {"lists": ["a"]})
        assert server.call("DELETE", "/api/sources/web") == (200, {"name": "web", "deleted": True})
        assert server.call("GET", "/api/sources/web")[0] == 404
        assert not (tmp_path / "data/lists/web").exists()
        assert [each["action"] for each in server.get("/api/audit") if "list" in each["action"]] == [
            "delete list", *["change list"] * 5, "roll back list", "add list",
        ]  # fmt: skip
    assert "sesame" not in server.log


def test_lists_that_can_not_be_made_or_changed(tmp_path, lists):
    (tmp_path / "a.txt").write_text("192.0.2.0/24\n")
    with bgplite(tmp_path, MORE) as server:
        for body, error in (
            ({"name": "b", "kind": "file"}, "kind: one of http, asn, country, domain, set is expected; others stand in "
             "the configuration"),
            ({"name": "b"}, "url: is missing: a source of the kind http needs it"),
            ({"name": "b", "url": "ftp://x/"}, "url: an absolute URL that begins with http:// or https:// is expected"),
            ({"name": "b/c", "url": lists.url}, "name: at most 120 printable characters without / are expected"),
            ({"name": " ", "url": lists.url}, "name: at most 120 printable characters without / are expected"),
            ({"name": "", "url": lists.url}, "name: the name is empty"),
            ({"name": "b", "url": lists.url, "max": 0}, "max: Expected `int` >= 1"),
            ({"name": "b", "url": lists.url, "interval": 2**62}, "interval: Expected `int` <= 31536000"),
            ({"name": "b", "url": lists.url, "timeout": 86401}, "timeout: Expected `int` <= 86400"),
            ({"name": "b", "kind": "asn", "asn": -1}, "asn: Expected `int` >= 0"),
            ({"name": "b", "kind": "asn", "asns": [0]}, "asns[0]: Expected `int` >= 1"),
            ({"name": "b", "url": lists.url, "community": "x"}, "community: 'x': a community such as 65001:100, "
             "65001:0:100, rt:65001:100 or no-export is expected"),
            ({"name": "b", "kind": "set", "sources": ["a", "x"]}, "sources: there is no list 'x'"),
            ({"name": "b", "kind": "set", "sources": ["b"]}, "sources: the list is a part of itself: b -> b"),
        ):  # fmt: skip
            assert server.call("POST", "/api/sources", body) == (400, {"error": error})
        assert server.call("POST", "/api/sources", {"name": "a", "url": lists.url})[0] == 409
        for method, path in (("PUT", "/api/sources/a"), ("DELETE", "/api/sources/a")):
            error = "this list stands in the configuration, and is changed there"
            assert server.call(method, path, {}) == (409, {"error": error})
        for path in ("/api/sources/x", "/api/sources/x/versions", "/api/sources/x/diff"):
            assert server.call("GET", path) == (404, {"error": "there is no list 'x'"})
        assert server.call("GET", "/api/sources/a/diff?old=7&new=8")[0] == 409
        assert server.call("POST", "/api/sources/a/rollback", {"version": 9})[0] == 409
        assert server.call("POST", "/api/sources/try", {"kind": "set", "sources": ["a"]})[0] == 400
        assert server.call("POST", "/api/sources/try", {"url": "http://169.254.169.254/"})[0] == 502
        lists.content = b"<html><body>no</body></html>"
        assert server.call("POST", "/api/sources/try", {"url": lists.url}) == (
            502, {"error": "it is a page of HTML, not a list"},
        )  # fmt: skip


def test_a_set_over_the_api_and_a_name_that_the_configuration_takes(tmp_path, lists):
    (tmp_path / "a.txt").write_text("9.0.0.0/8\n")
    with bgplite(tmp_path, MORE) as server:
        lists.content = b"9.0.0.0/9\n"
        server.call("POST", "/api/sources", {"name": "b", "url": lists.url})
        assert (
            server.call("POST", "/api/sources", {"name": "s", "kind": "set", "sources": ["a"], "without": ["b"]})[0]
            == 200
        )
        wait_until("the set is there", lambda: source(server, "s")["prefixes"])
        server.call("POST", "/api/peers", {"ip": "127.91.0.2", "asn": 65003, "lists": ["s", "b"]})
        client = server.client(source="127.91.0.2")
        client.until("its routes", lambda: client.routes.keys() == {"9.0.0.0/8"})  # joined again
        assert server.call("DELETE", "/api/sources/b")[0] == 409
        (tmp_path / "b.txt").write_text("11.0.0.0/8\n")
        path = tmp_path / "appsettings.yml"
        before = path.read_text()
        path.write_text(before.replace("{Name: a, Path: a.txt}", "{Name: a, Path: a.txt}, {Name: b, Path: b.txt}"))
        server.process.send_signal(signal.SIGHUP)
        client.until("that of the configuration", lambda: client.routes.keys() == {"9.0.0.0/8", "11.0.0.0/8"})
        assert source(server, "b")["owner"] == "config"
        path.write_text(before)
        server.process.send_signal(signal.SIGHUP)
        wait_until("that of the database", lambda: source(server, "b")["owner"] == "database")
        client.until("its routes", lambda: client.routes.keys() == {"9.0.0.0/8"})


def test_lists_from_the_shell(tmp_path, lists):
    lists.content = json.dumps({"a": {"x": ["9.9.9.0/24"], "y": ["11.0.0.0/8"]}}).encode()
    with bgplite(tmp_path, "AllowedNetworks: [127.0.0.0/8]\n") as server:

        def shell(*words: str) -> str:
            api = f"http://{server.address[0]}:{server.api_port}"
            done = subprocess.run([sys.executable, "-m", "bgpipe.routeserver", *words, "--api", api],
                                  capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
            return done.stdout or done.stderr

        where = ("--url", lists.url, "--path", "a.x")
        assert json.loads(shell("sources", "try", *where, "--json"))["first"] == ["9.9.9.0/24"]
        assert "web" in shell("sources", "add", "web", *where, "--max-growth", "3", "--med", "7", "--next-hop", "self")
        settings = json.loads(shell("sources", "show", "web", "--json"))["settings"]
        assert (settings["maxGrowth"], settings["med"], settings["nextHop"]) == (3, 7, "self")
        wait_until("it is read", lambda: source(server, "web")["version"] == 1)
        shell("sources", "change", "web", "--path", "a.y", "--description", "other")
        wait_until("it is read again", lambda: source(server, "web")["version"] == 2)
        assert "11.0.0.0/8" in shell("sources", "diff", "web")
        assert "url: an absolute URL" in shell("sources", "change", "web", "--url", "x")
        assert "deleted" in shell("sources", "delete", "web")
        assert server.get("/api/sources") == []
