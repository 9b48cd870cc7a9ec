"""Groups that are made, changed and removed over the API and from the shell; and null, which leaves it to the group."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest
from bgplite import as4, bgplite
from peers import IPV4

from bgpipe.net.tcp import set_ao
from bgpipe.wire.message import HEADER
from bgpipe.wire.notification import Notification

CONFIG = """\
PrefixSources:
  - {Name: a, Path: a.txt}
  - {Name: b, Path: b.txt}
Defaults: {Med: 9}
Groups:
  - {Name: homes, Description: at home, Lists: [b], MaxRoutes: 5}
"""


def write(folder) -> None:
    (folder / "a.txt").write_text("192.0.2.0/24\n")
    (folder / "b.txt").write_text("198.51.100.0/24\n")


def med(client, prefix: str) -> int:
    return client.routes[prefix]["MED"]["value"]


def test_a_group_of_the_database_from_its_first_peer_to_its_end(tmp_path):
    write(tmp_path)
    with bgplite(tmp_path, CONFIG) as server:
        body = {"name": "offices", "Lists": ["a"], "med": 7, "description": "at work", "exclude": ["192.0.2.1/32"]}
        status, made = server.call("POST", "/api/groups", body)
        assert status == 200, made
        assert (made["owner"], made["members"], made["exclude"]) == ("database", [], ["192.0.2.1/32"])
        assert server.call("POST", "/api/groups", body)[0] == 409
        assert [each["name"] for each in server.get("/api/groups")] == ["offices", "homes"]

        status, peer = server.call("POST", "/api/peers", {"ip": "127.91.2.1", "asn": 65003, "group": "offices"})
        assert status == 200, peer
        client = server.client(65003, IPV4, as4(65003), source="127.91.2.1")
        client.until_complete(1)
        assert len(client.routes) == 8
        assert med(client, "192.0.2.128/25") == 7
        assert [each["ip"] for each in server.get("/api/groups/offices")["members"]] == ["127.91.2.1"]
        refused = server.call("DELETE", "/api/groups/offices")
        assert refused == (409, {"error": "there are peers in this group: 127.91.2.1#65003"})

        status, changed = server.call("PUT", "/api/groups/offices", {"exclude": [], "med": None})
        assert (status, changed["med"], changed["lists"]) == (200, None, ["a"])
        client.until("the whole prefix", lambda: client.routes.keys() == {"192.0.2.0/24"})
        assert med(client, "192.0.2.0/24") == 9
        shown = server.get("/api/audit?limit=1")[0]
        assert (shown["action"], shown["target"], shown["changes"]["med"]) == ("change group", "offices", [7, None])
        place = server.address, server.api_port
        server.stop()

    more = CONFIG.replace("homes", "offices").replace("MaxRoutes: 5", "MaxRoutes: 5, LocalAsn: 64999")
    with bgplite(tmp_path, more, at=place) as server:
        server.waits_for_log("a group of the database is that of the configuration")
        client = server.client(65003, IPV4, as4(65003), source="127.91.2.1")
        client.until_complete(1)
        assert client.open is not None
        assert (client.open.asn, client.routes.keys()) == (64999, {"198.51.100.0/24"})
        assert server.call("PUT", "/api/groups/offices", {"med": 1})[0] == 409
        # the configuration lets go of the name: the group of the database counts again
        config = tmp_path / "appsettings.yml"
        config.write_text(config.read_text().replace("Name: offices", "Name: homes"))
        while client.hear():
            pass
        client = server.client(65003, IPV4, as4(65003), source="127.91.2.1")
        client.until_complete(1)
        assert client.routes.keys() == {"192.0.2.0/24"}
        server.call("PUT", f"/api/peers/{peer['id']}", {"group": None, "lists": ["b"]})
        assert server.call("DELETE", "/api/groups/offices") == (200, {"name": "offices", "deleted": True})
        assert server.call("GET", "/api/groups/offices")[0] == 404


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    write(folder)
    with bgplite(folder, CONFIG) as running:
        yield running


def test_what_is_no_group(server):
    for name in ("", " x", "a/b", "x" * 200, "a\nb"):
        assert server.call("POST", "/api/groups", {"name": name})[0] == 400
    for body, said in (
        ({"lists": ["nosuch"]}, "unknown lists: nosuch"),
        ({"med": -1}, "med: a number from 0 to 4294967295 is expected"),
        ({"localAsn": 23456}, "localAsn: 23456 is reserved"),
        ({"exclude": ["0.0.0.0/0"]}, "exclude: 0.0.0.0/0: a default route"),
        ({"nextHop": "x"}, "nextHop: 'x'"),
    ):
        status, shown = server.call("POST", "/api/groups", {"name": "new"} | body)
        assert (status, said in shown["error"]) == (400, True), shown
    assert server.call("PUT", "/api/groups/homes", {"med": 1}) == (
        409,
        {"error": "this group stands in the configuration, and is changed there"},
    )
    assert server.call("DELETE", "/api/groups/homes")[0] == 409
    assert server.call("PUT", "/api/groups/nosuch", {"med": 1})[0] == 404


def test_a_list_that_a_group_names_is_in_use(server):
    body = {"name": "web", "kind": "set", "sources": ["a"]}
    assert server.call("POST", "/api/sources", body)[0] == 200
    assert server.call("POST", "/api/groups", {"name": "readers", "lists": ["web"]})[0] == 200
    assert server.call("DELETE", "/api/sources/web") == (409, {"error": "the list is in use by the group readers"})
    assert server.call("DELETE", "/api/groups/readers")[0] == 200
    assert server.call("DELETE", "/api/sources/web")[0] == 200


def test_null_leaves_it_to_the_group(server):
    numbers = {
        "maxPrefix": 1, "maxRoutes": 2, "maxRoutesAction": "widen", "maxForeign": 3, "maxForeignIpv6": 4,
        "minLengthIpv4": 8, "maxLengthIpv4": 24, "minLengthIpv6": 16, "maxLengthIpv6": 48, "union": False,
        "med": 5, "prepends": 1,
    }  # fmt: skip
    said = numbers | {"exclude": ["10.0.0.0/8"], "communities": ["65000:1"], "addCommunities": ["65000:2"]}
    said |= {"nextHop": "self", "nextHopIpv6": "self", "group": "homes"}
    session = {"connect": False, "port": 1790, "localAddress": "127.0.0.1", "role": "peer", "localAsn": 64998}
    session |= {"holdTime": 30, "sendHoldTime": 40, "capabilities": ["IPV4"], "minTtl": 1}
    stay = {"description": "kept", "lists": ["a"], "customPrefixes": ["203.0.113.0/24"], "customAsns": []}
    body = {"ip": "127.91.2.9", "asn": 65009} | said | session | stay
    status, made = server.call("POST", "/api/peers", body)
    assert status == 200, made
    assert {name: made[name] for name in said} == said
    assert {name: made["session"][name] for name in session} == session
    nulls = dict.fromkeys([*said, *session, *stay, "aoKey", "md5Password", "asnLists"])
    status, shown = server.call("PUT", f"/api/peers/{made['id']}", nulls)
    assert status == 200, shown
    assert {name: shown[name] for name in numbers} == dict.fromkeys(numbers)
    assert [shown[name] for name in said if name not in numbers] == [[], [], [], "", "", ""]
    fresh = server.call("POST", "/api/peers", {"ip": "127.91.2.8", "asn": 65008} | dict.fromkeys(nulls))[1]
    assert shown["session"] == fresh["session"]
    assert {name: shown[name] for name in stay} == stay


def test_keys_of_tcp_ao_by_their_ids(server):
    body = {"ip": "127.91.2.6", "asn": 65006, "aoKeys": ["7:first-secret", "8:second-secret"]}
    status, made = server.call("POST", "/api/peers", body)
    assert (status, made["session"]["tcpAo"], made["session"]["aoKeyIds"]) == (200, True, [7, 8])
    assert "secret" not in json.dumps([made, server.get("/api/audit?limit=5")]).replace("secrets", "")
    place = f"/api/peers/{made['id']}"
    for wrong, said in (
        ({"aoKeys": ["7:a", "7:b"]}, "aoKeys: two keys of TCP-AO have the id 7"),
        ({"aoKeys": ["7"]}, "aoKeys: ID:KEY is expected, ID being a number from 0 to 255"),
        ({"aoKeys": ["7:a\n8:b"]}, "aoKeys: ID:KEY is expected, in one line"),
        ({"aoKey": "256:a"}, "aoKey: ID:KEY is expected"),
        ({"aoKey": "1:a", "aoKeys": ["2:b"]}, "aoKeys: this or aoKey, not both"),
    ):
        status, shown = server.call("PUT", place, wrong)
        assert (status, shown["error"].startswith(said)) == (400, True), shown
    for change, ids in (
        ({"aoKey": "9:z"}, [9]),
        ({"aoKeys": None}, []),
        ({"aoKeys": ["1:a"]}, [1]),
        ({"aoKey": ""}, []),
    ):
        assert server.call("PUT", place, change)[1]["session"]["aoKeyIds"] == ids
    done = server.shell("peers", "change", "127.91.2.6", "--ao", "$ONE,$TWO", ONE="1:a", TWO="2:b")
    assert (done.returncode, server.get(place)["session"]["aoKeyIds"]) == (0, [1, 2]), done.stderr
    with socket.socket() as probe, contextlib.suppress(OSError):
        set_ao(probe, "1:a")
        return  # the kernel has TCP-AO: who does not authenticate itself is not heard
    server.waits_for_log("this kernel has no TCP-AO (RFC 5925): it needs Linux 6.7 with CONFIG_TCP_AO")
    client = server.client(65006, source="127.91.2.6")
    assert Notification.decode(client.last[HEADER:])[:2] == (6, 5)


def test_groups_from_the_shell(server):
    words = (
        "--lists",
        "a",
        "--max-routes",
        "4",
        "--union",
        "no",
        "--description",
        "small ones",
        "--local-as",
        "AS64999",
    )
    done = server.shell("groups", "add", "small", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split() == ["small", "0", "a", "4", "database", "small", "ones"]
    assert server.shell("peers", "add", "127.91.2.7", "65007", "--group", "small", "--max-routes", "3").returncode == 0
    assert server.shell("peers", "change", "127.91.2.7", "--max-routes", "inherit").returncode == 0
    shown = json.loads(server.shell("groups", "show", "small", "--json").stdout)
    assert (shown["maxRoutes"], shown["union"], shown["localAsn"]) == (4, False, 64999)
    assert "127.91.2.7#65007" in server.shell("groups", "show", "small").stdout
    peer = next(each for each in server.get("/api/peers") if each["ip"] == "127.91.2.7")
    assert peer["maxRoutes"] is None
    assert server.shell("groups", "change", "small", "--max-routes", "inherit", "--union", "inherit").returncode == 0
    assert (server.get("/api/groups/small")["maxRoutes"], server.get("/api/groups/small")["union"]) == (None, None)
    for words, code, said in (
        (("change", "small", "--union", "maybe"), 2, "'maybe': yes, no or inherit is expected"),
        (("change", "small", "--max-routes", "x"), 2, "'x': a number or inherit is expected"),
        (("change", "small", "--local-as", "ASx"), 2, "'ASx': an AS number is expected"),
        (("show", "nosuch"), 1, "Group not found"),
        (("delete", "small"), 1, "there are peers in this group: 127.91.2.7#65007"),
        (("delete", "homes"), 1, "stands in the configuration"),
    ):
        done = server.shell("groups", *words)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert server.shell("peers", "delete", "127.91.2.7").returncode == 0
    assert server.shell("groups", "delete", "small").returncode == 0
    assert server.shell("groups").stdout.split() == [
        *("GROUP", "PEERS", "LISTS", "MAX", "ROUTES", "STANDS", "IN", "DESCRIPTION"),
        *("homes", "0", "b", "5", "config", "at", "home"),
    ]
