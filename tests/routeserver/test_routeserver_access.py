"""Tokens and roles: who may do what, and that secrets are told to nobody."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from contextlib import ExitStack

import pytest
from bgplite import BgpLite, bgplite, command, configuration
from peers import place

from bgpipe.routeserver.access import Access, hash_of
from bgpipe.routeserver.api.operations import OPERATIONS, Operation
from bgpipe.routeserver.audit import Actor
from bgpipe.routeserver.config import Bgp, Config, ConfiguredToken
from bgpipe.routeserver.peers import Peers, new_peer
from bgpipe.routeserver.store import store
from cases import all_cases
from fork_server import Process

SECRETS = {role: f"secret-of-a-{role}-for-tests" for role in ("peer", "reader", "operator", "admin")}
ROLES = ("nobody", "address", *SECRETS)
CONFIG = """\
TrustedProxies: [127.0.0.0/8]
PrefixSources:
  - {Name: default, Path: default.txt}
Tokens:
""" + "".join(
    f"  - {{Name: {role}, Role: {role}, Token: {secret}{', Peer: 127.99.1.1#65001' if role == 'peer' else ''}}}\n"
    for role, secret in SECRETS.items()
)
BY_ADDRESS = CONFIG + "PeersByAddress: true\n"
OWN, OTHER = "127.99.1.1", "127.99.1.2"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """By whether a peer is known by its address."""
    with ExitStack() as stack:
        yield {
            by_address: stack.enter_context(bgplite(tmp_path_factory.mktemp("access"), config))
            for by_address, config in ((False, CONFIG), (True, BY_ADDRESS))
        }


@pytest.fixture
def server(servers):
    return servers[True]


def call(server: BgpLite, role: str, method: str, path: str, body: object = None):
    headers = {"X-Forwarded-For": OWN if role == "address" else "127.99.9.9"}
    if role in SECRETS:
        headers["Authorization"] = f"Bearer {SECRETS[role]}"
    return server.call(method, path, body, **headers)


def new(server: BgpLite, ip: str, asn: int) -> str:
    status, made = call(server, "operator", "POST", "/api/peers", {"ip": ip, "asn": asn})
    assert status == 200, made
    return made["id"]


KEPT: dict[tuple[int, str], str] = {}
"""ids of peers that are there, by server and address"""


def kept(server: BgpLite, ip: str, asn: int) -> str:
    """The id of a peer, which is made if it is not there or barred."""
    if (server.api_port, ip) not in KEPT:
        made = new(server, ip, asn)
        call(server, "operator", "POST", f"/api/peers/{made}/approve")
        KEPT[server.api_port, ip] = made
    return KEPT[server.api_port, ip]


@pytest.mark.parametrize("role", ROLES)
@all_cases("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_operation_for_every_role(servers, operation: Operation, role):
    """What is allowed may fail for another reason, never for want of a role; what is not allowed is refused first."""
    server = servers[role == "address"]
    ids = {"own": kept(server, OWN, 65001), "other": kept(server, OTHER, 65002)}
    rank = {"reader": 1, "operator": 2, "admin": 3}
    of_a_peer = re.search(r"\{(id|ip)\}", operation.path)
    allowed = rank.get(role, 0) >= {"anyone": 0, **rank}[operation.role]
    for whose, ip in (("own", OWN), ("other", OTHER)):
        path = operation.path.replace("{id}", ids[whose]).replace("{ip}", ip)
        path = re.sub(r"\{\w+\}", "nothing", path)
        body = {"ip": ip, "asn": 65001 if whose == "own" else 65002} if operation.body is not None else None
        if operation.endless:
            path += "?after=x"  # a fault that is found when it is clear who may ask
        status, shown = call(server, role, operation.method, path, body)
        own = operation.own and role in ("peer", "address")
        refused = {401, 403} if not own or path.partition("?")[0] == operation.path else {404, 403}
        if allowed or (own and (whose == "own" or (not operation.changes and not of_a_peer))):
            assert status not in (401, 403, 500), shown
            if path != operation.path and "{id}" in operation.path and status == 404:
                assert shown["error"] != "Peer not found"
        else:
            assert status in refused, (status, shown)
    if operation.name in ("delete_peer", "bar_peer"):
        KEPT.clear()


def test_a_peer_sees_its_own_rows_only(server):
    own, other = new(server, OWN, 65001), new(server, OTHER, 65002)
    assert [each["id"] for each in call(server, "peer", "GET", "/api/peers")[1]] == [own]
    at_address = call(server, "address", "GET", "/api/peers")[1]  # other tests may have added some there
    assert own in {each["id"] for each in at_address}
    assert {each["ip"] for each in at_address} == {OWN}
    assert {own, other} <= {each["id"] for each in call(server, "reader", "GET", "/api/peers")[1]}
    assert [each["id"] for each in call(server, "peer", "GET", "/api/me")[1]["peers"]] == [own]
    assert call(server, "peer", "GET", "/api/sessions")[1] == {
        "active": 0, "sessions": [], "calls": [], "ended": {},
    }  # fmt: skip


def test_what_a_peer_may_not_say_of_itself(server):
    own = new(server, OWN, 65001)
    assert call(server, "peer", "PUT", f"/api/peers/{own}", {"description": "mine"})[0] == 200
    assert call(server, "peer", "PUT", f"/api/peers/{own}", {"maxPrefix": 0})[0] == 403
    call(server, "operator", "PUT", f"/api/peers/{own}", {"maxPrefix": 7, "maxRoutes": 7})
    nulls = {"maxPrefix": None, "maxRoutes": None, "connect": None, "group": None}
    shown = call(server, "peer", "PUT", f"/api/peers/{own}", nulls)
    assert (shown[0], shown[1]["maxPrefix"], shown[1]["maxRoutes"]) == (200, 7, None)
    assert call(server, "peer", "PUT", f"/api/peers/{own}", {"connect": True})[0] == 403
    assert call(server, "peer", "POST", "/api/peers", {"ip": "127.99.1.9", "asn": 65009})[0] == 403
    assert call(server, "address", "POST", "/api/peers", {"ip": OWN, "asn": 65033})[0] == 200
    assert call(server, "nobody", "POST", "/api/peers", {"ip": "127.99.9.8", "asn": 65033})[0] == 403
    assert call(server, "nobody", "GET", "/api/peers")[1] == []


def test_a_peer_can_not_approve_itself(tmp_path):
    with bgplite(tmp_path, BY_ADDRESS, bgp="  UnknownPeers: pending\n") as server:
        status, made = call(server, "address", "POST", "/api/peers", {"ip": OWN, "asn": 65001})
        assert (status, made["status"]) == (200, "pending")
        assert (
            call(server, "address", "PUT", f"/api/peers/{made['id']}", {"lists": ["default"]})[1]["status"] == "pending"
        )
        assert call(server, "address", "POST", f"/api/peers/{made['id']}/approve")[0] == 401
        assert call(server, "operator", "POST", f"/api/peers/{made['id']}/approve")[1]["status"] == "inactive"


def test_tokens_are_made_used_and_removed(server):
    assert call(server, "admin", "POST", "/api/tokens", {"name": "x", "role": "peer"})[0] == 400
    assert call(server, "admin", "POST", "/api/tokens", {"name": "x", "role": "nosuch"})[0] == 400
    status, made = call(server, "admin", "POST", "/api/tokens", {"name": "night", "role": "operator"})
    assert status == 200
    assert call(server, "admin", "POST", "/api/tokens", {"name": "night", "role": "operator"})[0] == 409
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert server.call("GET", "/api/whoami", **bearer)[1]["role"] == "operator"
    shown = call(server, "admin", "GET", "/api/tokens")[1]
    assert "night" in [each["name"] for each in shown]
    assert made["token"] not in str(shown)
    assert hash_of(made["token"]) not in str(shown)
    assert call(server, "admin", "DELETE", "/api/tokens/night") == (200, {"id": "night", "deleted": True})
    assert server.call("GET", "/api/whoami", **bearer)[0] == 401
    assert call(server, "admin", "DELETE", "/api/tokens/night")[0] == 404
    assert call(server, "admin", "DELETE", "/api/tokens/reader")[0] == 409


@pytest.mark.parametrize("field", ["Bearer", "Bearer wrong", "Basic Zm9vOmJhcg==", "bearer " + "x" * 1000])
def test_a_wrong_token_is_refused_and_not_told(server, field):
    for path in ("/api/peers", "/api/whoami", "/metrics"):
        status, shown = server.call("GET", path, Authorization=field)
        assert status == 401
        assert "wrong" not in str(shown)
    assert "Bearer wrong" not in server.log


def test_metrics_are_for_readers_and_health_for_anyone(server):
    assert call(server, "nobody", "GET", "/metrics")[0] == 401
    assert "bgplite_peers" in call(server, "reader", "GET", "/metrics")[1]
    assert call(server, "nobody", "GET", "/livez") == (200, "ok\n")
    assert call(server, "nobody", "GET", "/api/openapi.json")[1]["openapi"] == "3.1.0"


def test_what_was_changed_is_in_the_audit_log(server):
    own = new(server, OWN, 65001)
    call(server, "operator", "PUT", f"/api/peers/{own}", {"description": "before"})
    call(server, "peer", "PUT", f"/api/peers/{own}", {"description": "audited", "md5Password": "a planted key"})
    newest = call(server, "operator", "GET", "/api/audit?limit=1")[1][0]
    assert (newest["who"], newest["client"], newest["action"]) == ("token peer", "127.99.9.9", "change peer")
    assert newest["target"] == f"{OWN}#65001"
    assert newest["changes"]["description"][1] == "audited"
    assert newest["changes"]["md5_password"] == ["", "changed"]
    older = call(server, "operator", "GET", f"/api/audit?before={newest['id']}&limit=2")[1]
    assert [each["id"] < newest["id"] for each in older] == [True, True]
    call(server, "peer", "PUT", f"/api/peers/{own}", {"md5Password": ""})


async def test_the_audit_log_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_ENTRIES", 3)
    kept = store.Store(str(tmp_path / "x.db"))
    await kept.open()
    for number in range(5):
        await kept.note(Actor("somebody").entry("add peer", str(number)))
    assert [entry.target for _, entry in await kept.load_audit(0, 100)] == ["4", "3", "2"]
    await kept.close()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"name": "a", "role": "reader", "token": "too short"}, "at least 16"),
        ({"name": "a", "role": "peer", "token": "x" * 20}, "Tokens[0].Peer"),
        ({"name": "a", "role": "reader", "token": "x" * 20, "peer": "192.0.2.1#65001"}, "Tokens[0].Peer"),
        ({"name": "a", "role": "reader", "token": "$NO_SUCH_TOKEN"}, "$NO_SUCH_TOKEN is not set"),
        ({"name": "a", "role": "owner", "token": "x" * 20}, "one of"),
    ],
)
def test_tokens_of_the_configuration_are_checked(tmp_path, more, error):
    text = "".join(f"    {name.capitalize()}: {value!r}\n" for name, value in more.items())
    path = tmp_path / "appsettings.yml"
    path.write_text(configuration(place(), 5000, "Tokens:\n  -\n" + text))
    done = command("check", path)
    assert done.returncode == 2
    assert error in done.stderr


@pytest.mark.parametrize("more", ["", "AnonymousRole: none\n", "AnonymousRole: reader\n"])
def test_an_api_for_others_needs_tokens_or_the_word_that_it_does_not(tmp_path, more):
    address = place()
    path = tmp_path / "appsettings.yml"
    with socket.create_server(("0.0.0.0", 0)) as free:
        port = free.getsockname()[1]
    text = configuration(address, port, more).replace(f"ApiListen: {address[0]}", "ApiListen: 0.0.0.0")
    path.write_text(text)
    env = os.environ | {"BGPLITE_DATA": str(tmp_path / "data")}
    with Process([path], command="bgplite", stderr=subprocess.PIPE, env=env) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"API on" in line:
                process.kill()
                break
        else:
            assert process.wait(20) == 1
    assert (b"API on" if more else b"there are no tokens") in line


def test_who_has_no_token():
    def access(listen: str | None, role: str | None, *tokens: ConfiguredToken) -> Access:
        bgp = Bgp(asn=65000, router_id="192.0.2.1")
        return Access(Config(bgp=bgp, api_listen=listen, anonymous_role=role, tokens=tokens), Peers())

    token = ConfiguredToken(name="a", role="reader", token="x" * 20)
    assert access(None, None).anonymous_role == "admin"
    assert access("::1", None).anonymous_role == "admin"
    assert access(None, None, token).anonymous_role == "anyone"
    assert access("0.0.0.0", None).anonymous_role == "anyone"
    assert access("0.0.0.0", "reader", token).anonymous_role == "reader"
    assert access(None, "none").anonymous_role == "anyone"


def test_the_token_of_a_peer_is_that_of_the_row_with_its_address_and_as():
    peers = Peers([one := new_peer("192.0.2.1", 65001), new_peer("192.0.2.1", 65002)])
    token = ConfiguredToken(name="a", role="peer", token="x" * 20, peer="192.0.2.1#65001")
    access = Access(Config(bgp=Bgp(asn=65000, router_id="192.0.2.1"), tokens=(token,)), peers)
    identity = access.identify("x" * 20, "198.51.100.1")
    assert identity is not None
    assert identity.peers == {one.id}


def test_tokens_from_the_shell(server, tmp_path):
    admin = {"BGPLITE_TOKEN": SECRETS["admin"]}
    refused = server.shell("tokens", BGPLITE_TOKEN=SECRETS["reader"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "only the role admin may do this" in refused.stderr
    assert "--token" in server.shell("tokens").stderr
    made = server.shell("tokens", "add", "--role", "peer", "--peer", "127.99.1.1#65001", "shop", "--json", **admin)
    (tmp_path / "token").write_text(json.loads(made.stdout)["token"] + "\n")
    new(server, OWN, 65001)
    mine = server.shell("peers", "--json", BGPLITE_TOKEN_FILE=str(tmp_path / "token"))
    assert {each["asn"] for each in json.loads(mine.stdout)} == {65001}
    assert "shop" in server.shell("tokens", **admin).stdout
    assert server.shell("tokens", "delete", "shop", **admin).returncode == 0
    assert server.shell("peers", "--token", str(tmp_path / "token")).returncode == 1
    assert "add token" in server.shell("audit", "--token", "$MINE", MINE=SECRETS["operator"]).stdout
    assert SECRETS["admin"] not in server.shell("peers", "--help", **admin).stdout


def test_the_first_token_of_a_server_for_others(tmp_path):
    """It is made in the database, before the server is started."""
    words = ["tokens", "add", "--role", "reader", "first", "--json", "--database", tmp_path / "data" / "bgplite.db"]
    done, again = command(*words), command(*words)
    assert (again.returncode, again.stdout) == (1, "")
    assert (tmp_path / "data/bgplite.db").stat().st_mode & 0o777 == 0o600
    secret = json.loads(done.stdout)["token"]
    assert secret.encode() not in (tmp_path / "data/bgplite.db").read_bytes()
    with bgplite(tmp_path) as server:
        assert server.call("GET", "/api/peers")[0] == 401
        assert server.call("GET", "/api/peers", Authorization=f"Bearer {secret}") == (200, [])


@pytest.mark.parametrize("more", ["", "AnonymousRole: admin\n", "TrustedProxies: [127.0.0.0/8]\n"])
def test_a_name_that_leads_to_loopback_is_not_this_machine(tmp_path, more):
    """A page on the Internet whose name leads to us (DNS rebinding) is not taken for a program of this machine."""
    with bgplite(tmp_path, more) as server:
        for host in ("localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "bgp.localhost"):
            assert server.call("GET", "/api/peers", Host=host)[0] == 200
        for host in ("rebinding.example", "localhost.example:5000", "127.0.0.1.example", "[", "]x"):
            assert server.call("GET", "/api/peers", Host=host)[0] == (200 if more else 403)
        if not more:
            assert server.call("GET", "/metrics", Host="rebinding.example")[0] == 403
            assert server.call("GET", "/livez", Host="rebinding.example")[0] == 200
