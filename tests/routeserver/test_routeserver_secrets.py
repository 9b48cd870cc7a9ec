"""Planted secrets appear nowhere: not in answers, logs, command lines, metrics or files that others can read."""

from __future__ import annotations

import http.client
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from bgplite import BgpLite, bgplite, command
from peers import wait_until

from bgpipe.routeserver.api.operations import OPERATIONS
from bgpipe.routeserver.snippets import KINDS

PLANTED = {
    "key of a peer over the API": "planted-md5-key-1",
    "key of a peer in the configuration": "planted-md5-key-2",
    "key of TCP-AO": "planted-ao-key-3",
    "token": "planted-token-of-an-admin-4",
    "header of a source": "planted-header-5",
    "URL of a source": "planted-url-6",
    "URL of a peer's source": "planted-url-7",
    "secret of a webhook": "planted-webhook-8",
    "password of a database": "planted-database-9",
}
NAMES = {name: f"PLANTED_{number}" for number, name in enumerate(PLANTED)}
CONFIG = f"""\
RipeStat: {{Url: "http://127.0.0.1:1", RetryAttempts: 0, DelegatedFiles: []}}
PrefixSources:
  - {{Name: cloud, Path: cloud.txt}}
  - Name: secret
    Kind: http
    Url: http://user:{PLANTED["URL of a source"]}@127.0.0.1:1/list?key={PLANTED["URL of a source"]}
    Headers: {{X-Key: {PLANTED["header of a source"]}}}
Peers:
  - {{Address: 127.94.0.1, RemoteAsn: 65001, Md5Password: ${NAMES["key of a peer in the configuration"]}}}
Tokens:
  - {{Name: boss, Role: admin, Token: ${NAMES["token"]}}}
  - {{Name: reads, Role: reader, Token: a-token-that-only-reads}}
Webhooks:
  - {{Name: hook, Url: "http://127.0.0.1:1/", Secret: ${NAMES["secret of a webhook"]}}}
"""
PATHS = ("/api/openapi.json", "/api/docs", "/metrics", "/hc", "/livez", "/readyz", "/", "/nothing")


def all_paths(peer: str, source: str) -> Iterator[str]:
    """Whatever can be asked for, also what is refused."""
    values = {"id": peer, "ip": "127.94.0.2", "name": "secret", "source": source, "asn": "65001", "kind": "bird"}
    for each in OPERATIONS:
        if each.method == "GET" and not each.endless:
            path = re.sub(r"\{(\w+)[^}]*\}", lambda found: values.get(found[1], "1"), each.path)
            yield path
            yield f"{path}?target=1.0.0.1&old=1&new=1&format=json"
    yield from (f"/api/peers/{peer}/setup/{kind}" for kind in KINDS)


def events_of(server: BgpLite, token: str, cause: Callable[[], object]) -> str:
    """The events until the one that something causes."""
    connection = http.client.HTTPConnection(server.address[0], server.api_port, timeout=20)
    with closing(connection):
        connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {token}", "Last-Event-ID": "0"})
        answer = connection.getresponse()
        cause()
        text = ""
        while "peer.changed" not in text:
            text += answer.readline().decode()
        return text + answer.readline().decode()


def test_planted_secrets_appear_nowhere(tmp_path: Path) -> None:
    (tmp_path / "cloud.txt").write_text("1.0.0.0/24\n")
    environment = {NAMES[name]: secret for name, secret in PLANTED.items()}
    boss = {"Authorization": f"Bearer {PLANTED['token']}"}
    seen: dict[str, str] = {}
    with bgplite(tmp_path, CONFIG, environment=environment) as server:
        body = {"ip": "127.94.0.2", "asn": 65002, "lists": ["cloud"]}
        body |= {"md5Password": PLANTED["key of a peer over the API"]}
        status, made = server.call("POST", "/api/peers", body, **boss)
        assert status == 200, made
        other = {"ip": "127.94.0.3", "asn": 65003, "aoKey": f"7:{PLANTED['key of TCP-AO']}"}
        seen["TCP-AO"] = str(server.call("POST", "/api/peers", other, **boss))
        path = f"/api/peers/{made['id']}/sources"
        url = "https://user:pass@list.invalid/x?key=" + PLANTED["URL of a peer's source"]
        _, source = server.call("POST", path, {"name": "mine", "url": url}, **boss)
        server.call("PATCH", f"{path}/{source['id']}", {"active": True}, **boss)
        wait_until("sources have failed", lambda: server.log.count("a list can't be read") >= 2)
        wait_until("a webhook has failed", lambda: "an event can't be delivered" in server.log)
        reader = {"Authorization": "Bearer a-token-that-only-reads"}
        for each in (*PATHS, *all_paths(made["id"], source["id"])):
            if not each.startswith(
                ("/api/sources/secret", f"/api/peers/{made['id']}")
            ):  # an operator changes URLs there
                seen[each] = str(server.call("GET", each, **boss)[1])
            seen[f"{each} by a reader"] = str(server.call("GET", each, **reader)[1])
        assert "127.94.0.2" in seen["/api/peers"]
        changed = body | {"description": "changed"}
        seen["events"] = events_of(server, PLANTED["token"], lambda: server.call("POST", "/api/peers", changed, **boss))
        for words in (("export",), ("peers", "--json"), ("sources", "--json"), ("sessions",), ("audit",), ("tokens",)):
            ran = server.shell(*words, BGPLITE_TOKEN=PLANTED["token"])
            seen[" ".join(words)] = ran.stdout + ran.stderr
        assert "127.94.0.2" in seen["export"]
        for each in ("Bearer x", f"Basic {PLANTED['token']}"):
            seen[each] = str(server.call("GET", "/api/peers", Authorization=each))
        seen["bad body"] = str(server.call("POST", "/api/peers", body | {"asn": "x"}, **boss))
        too_long = body | {"md5Password": body["md5Password"] * 9}
        seen["bad key"] = str(server.call("POST", "/api/peers", too_long, **boss))
        seen["command line"] = Path(f"/proc/{server.process.pid}/cmdline").read_text()
        seen["log"] = server.log
    for path_ in (tmp_path / "data").rglob("*"):
        if path_.is_file() and path_.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            seen[str(path_)] = path_.read_bytes().decode(errors="replace")
    found = {(name, where) for name, secret in PLANTED.items() for where, text in seen.items() if secret in text}
    assert found == set()
    environment = {"Database": f"postgresql://user:{PLANTED['password of a database']}@127.0.0.1:1/x"}
    environment["BGPLITE_DATA"] = str(tmp_path / "data")
    ran = command(tmp_path / "appsettings.yml", **environment, **{NAMES[name]: text for name, text in PLANTED.items()})
    assert "127.0.0.1:1/x" in ran.stderr
    assert PLANTED["password of a database"] not in ran.stdout + ran.stderr
    assert all(secret not in os.environ.values() for secret in PLANTED.values())
