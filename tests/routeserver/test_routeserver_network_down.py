"""Every kind of source and the network down: a restart announces what was announced before."""

from __future__ import annotations

import json

from bgplite import bgplite
from listserver import ListServer
from peers import wait_until

from bgpipe.routeserver.versions import Version, VersionFolder

SOURCES = """\
AllowedNetworks: [127.0.0.0/8]
RipeStat: {{Url: "http://127.0.0.1:{port}", RetryAttempts: 0, DelegatedFiles: []}}
Irr: {{Host: 127.0.0.1, Port: {port}, Bgpq4: ""}}
PrefixSources:
  - {{Name: file, Path: file.txt}}
  - {{Name: web, Kind: http, Url: "http://127.0.0.1:{port}/web"}}
  - {{Name: asn, Kind: asn, Asn: 64500}}
  - {{Name: irr, Kind: asn, Via: irr, Asn: 64500}}
  - {{Name: country, Kind: country, Country: ru}}
  - {{Name: names, Kind: domain, Domain: nowhere.invalid, Timeout: 1}}
  - {{Name: set, Kind: set, Sources: [file, web], Without: [asn]}}
"""
KEPT = {"irr": "12.0.0.0/8", "names": "14.0.0.1/32"}
"""What there is no server for in this test: an earlier run has kept it."""
ROUTES = {"9.0.0.0/8", "11.0.0.0/8", "12.0.0.0/7", "14.0.0.1/32"}


def test_a_restart_with_every_source_and_the_network_down(tmp_path):
    server = ListServer()
    port = server.server_port
    (tmp_path / "file.txt").write_text("9.0.0.0/8\n")
    text = SOURCES.format(port=port)
    for name, prefix in KEPT.items():
        network, _, length = prefix.partition("/")
        number = int.from_bytes(bytes(map(int, network.split("."))), "big") << 8 | int(length)
        version = Version(1, 1e9, "", number.to_bytes(8, "little"), b"", 1, 0, [])
        VersionFolder.of(tmp_path / "data/lists", name).keep(version)
    answers = {
        "/web": b"11.0.0.0/8\n",
        "/data/ris-prefixes": json.dumps({"data": {"prefixes": {"v4": {"originating": ["11.128.0.0/9"]}}}}).encode(),
        "/data/country-resource-list": json.dumps({"data": {"resources": {"ipv4": ["13.0.0.0/8"]}}}).encode(),
    }
    server.answers = answers
    names = ["file", "web", "asn", "irr", "country", "names", "set"]
    with bgplite(tmp_path, text) as running:
        running.call("POST", "/api/peers", {"ip": "127.93.0.1", "asn": 65003, "lists": names})
        wait_until("all are there", lambda: all(each["prefixes"] for each in running.get("/api/sources")))
        before = running.client(source="127.93.0.1")
        before.until("its routes", lambda: before.routes.keys() == ROUTES)
        assert running.stop() == 0
    server.shutdown()
    server.server_close()
    (tmp_path / "file.txt").unlink()
    with bgplite(tmp_path, text, bgp="  FirstWait: 600\n") as running:
        after = running.client(source="127.93.0.1")
        after.until_complete()
        assert after.routes == before.routes
        assert not after.withdrawn
        wait_until("the trouble is told", lambda: len(running.get("/hc")["trouble"]) == 6)
        assert running.get("/hc")["status"] == "degraded"
        assert running.call("GET", "/readyz")[0] == 200
