"""What the looking glass Alice-LG asks of a birdwatcher."""

from __future__ import annotations

import re

from bgplite import bgplite
from peers import wait_until

SERVERTIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""2006-01-02T15:04:05.999999999Z07:00, the default of Alice-LG's setting servertime: an answer with another ttl counts
as failed there."""
LISTS = """\
PrefixSources:
  - {Name: cloud, Path: cloud.txt, AddCommunities: ["65000:300", "65000:1:2", "rt:65000:9"], Prepends: 1, Med: 7}
Peers:
  - {Address: 127.0.0.1, RemoteAsn: 65003, Lists: [cloud], Description: home}
  - {Address: 127.0.0.2, RemoteAsn: 65004}
  - {Address: 127.0.0.3, RemoteAsn: 65005, Lists: [cloud]}
"""


def test_a_looking_glass(tmp_path):
    (tmp_path / "cloud.txt").write_text("11.1.0.0/24\n11.2.0.0/16\n2606:4700::/32\n")
    with bgplite(tmp_path, LISTS) as server:
        wait_until("the list is read", lambda: server.call("GET", "/readyz")[0] == 200)
        client = server.client(65003, source="127.0.0.1")
        client.until_complete()
        status = server.get("/birdwatcher/status")
        assert status["status"]["router_id"] == "10.99.0.1"
        assert status["api"]["Version"]
        assert status["api"]["result_from_cache"] is False
        protocols = server.get("/birdwatcher/protocols/bgp")["protocols"]
        here, there, third = sorted(protocols.values(), key=lambda each: each["neighbor_address"])
        assert (here["state"], here["neighbor_as"], here["description"]) == ("up", 65003, "home")
        assert here["routes"]["imported"] == 3
        assert (there["state"], there["routes"]["imported"]) == ("down", 0)
        routes = {
            each["network"]: each for each in server.get(f"/birdwatcher/routes/protocol/{here['protocol']}")["routes"]
        }
        assert routes.keys() == client.routes.keys()
        bgp = routes["11.2.0.0/16"]["bgp"]
        assert bgp["as_path"] == ["65000", "65000"]
        assert (bgp["communities"], bgp["large_communities"]) == ([[65000, 300]], [[65000, 1, 2]])
        assert bgp["ext_communities"] == [["rt", "65000", "9"]]
        assert (bgp["next_hop"], bgp["med"]) == ("10.99.0.1", "7")
        for path in ("filtered", "noexport"):
            assert server.get(f"/birdwatcher/routes/{path}/{here['protocol']}")["routes"] == []
        found = server.get("/birdwatcher/routes/prefix?prefix=11.2.9.9")["routes"]
        assert [each["network"] for each in found] == ["11.2.0.0/16"] * 2
        assert {each["from_protocol"] for each in found} == {here["protocol"], third["protocol"]}
        table = server.get("/birdwatcher/routes/table/master4")["routes"]  # those of both peers
        assert sorted((each["from_protocol"], each["network"]) for each in table) == sorted(
            (each["protocol"], network) for network in routes for each in (here, third)
        )
        assert server.get("/birdwatcher/routes/table/master4/filtered")["routes"] == []
        for path in (
            "status",
            "protocols/bgp",
            "protocols/short?uncached=true",
            "routes/table/x",
            "routes/prefix?prefix=::",
        ):
            answer = server.get(f"/birdwatcher/{path}")
            for text in (answer["ttl"], answer["api"]["cache_status"]["cached_at"]["date"]):
                assert SERVERTIME.fullmatch(text)
        client.peer.close()

        def ended() -> tuple[str, str]:
            protocol = server.get("/birdwatcher/protocols/bgp")["protocols"][here["protocol"]]
            return protocol["state"], protocol["last_error"]

        wait_until("it is told how the session ended", lambda: ended() == ("down", "connection closed by the peer"))
        assert server.call("GET", "/birdwatcher/routes/prefix?prefix=x")[0] == 400
        assert server.call("GET", "/birdwatcher/routes/protocol/x")[0] == 404
