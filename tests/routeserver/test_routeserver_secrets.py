"""Planted secrets appear nowhere: not in answers, logs, command lines, metrics or files that others can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bgplite import bgplite
from peers import wait_until

PLANTED = {
    "key of a peer over the API": "planted-md5-key-1",
    "key of a peer in the configuration": "planted-md5-key-2",
    "key of TCP-AO": "planted-ao-key-3",
    "token": "planted-token-of-an-admin-4",
    "header of a source": "planted-header-5",
    "URL of a source": "planted-url-6",
    "URL of a peer's source": "planted-url-7",
    "secret of a webhook": "planted-webhook-8",
}
NAMES = {name: f"PLANTED_{number}" for number, name in enumerate(PLANTED)}
CONFIG = f"""\
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
PATHS = (
    *("/api/peers", "/api/sessions", "/api/sources", "/api/asn-lists", "/api/tokens", "/api/audit", "/api/server"),
    *("/api/whoami", "/api/routes", "/api/openapi.json", "/metrics", "/hc", "/readyz"),
)


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
        for each in PATHS:
            seen[each] = str(server.call("GET", each, **boss)[1])
        reader = {"Authorization": "Bearer a-token-that-only-reads"}
        for each in ("", "/sources", "/session", "/why?target=1.0.0.1", "/prefixes"):
            seen[each] = str(server.call("GET", f"/api/peers/{made['id']}{each}", **reader)[1])
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
    assert all(secret not in os.environ.values() for secret in PLANTED.values())
