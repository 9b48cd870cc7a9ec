"""Route origin validation of lists of AS numbers."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from bgplite import as4, bgplite
from peers import IPV4, wait_until
from test_routeserver_more import ListServer
from test_routeserver_policy import BGP, tables_of
from test_routeserver_policy import peer as any_peer

from bgpipe.pipeline.log import NullLog
from bgpipe.routes.attributes import Attributes
from bgpipe.routes.explain import explain
from bgpipe.routes.prefixes import PrefixSet
from bgpipe.routeserver import rpki
from bgpipe.routeserver.config import Config, Rov
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.prefix import parse_prefix

LIST = ["9.9.9.0/24", "9.9.8.0/24", "8.8.8.0/24", "2620:fe::/48"]
ROAS = [
    {"asn": "AS64500", "prefix": "9.9.9.0/24", "maxLength": 24},
    {"asn": "AS64501", "prefix": "9.9.8.0/23", "maxLength": 24},
]
VRPS = Snapshot.of([Vrp(parse_prefix("9.9.9.0/24"), 24, 64500), Vrp(parse_prefix("9.9.8.0/23"), 24, 64501)])


def peer(**fields):
    return any_peer(union=False, **fields)


def tag(number: int) -> Attributes:
    return Attributes(large_communities=frozenset({(65000, 1000, number)}))


def by_prefix(tables, who) -> dict:
    found = tables.of(who).table.routes()
    return {text: attributes for attributes, prefixes in found.items() for text in prefixes}


def rov(mode: str, **more) -> Config:
    return Config(bgp=BGP, rov=Rov(vrps="vrps.json", mode=mode, **more))


def test_tag():
    tables, _ = tables_of(
        {"a": (LIST, {"kind": "asn", "asn": 64500}), "b": ["9.9.8.0/24"]}, rov("tag", invalid="65000:9")
    )
    view = tables.of(peer())
    assert (view.table.count, view.whole, view.why) == (0, False, "lists were never read: a")
    tables.vrps = VRPS
    tables.update({"a"})
    invalid = Attributes(frozenset({65000 << 16 | 9}))
    assert by_prefix(tables, peer()) == {
        "9.9.9.0/24": tag(1),
        "9.9.8.0/24": invalid,
        "8.8.8.0/24": tag(2),
        "2620:fe::/48": tag(2),
    }
    assert by_prefix(tables, peer(lists=("b",))) == {"9.9.8.0/24": Attributes()}
    # another word of the RPKI changes what is said, and withdraws nothing
    tables.vrps = Snapshot.of([Vrp(parse_prefix("9.9.8.0/23"), 24, 64500)])
    tables.update(tables.validated())
    assert by_prefix(tables, peer())["9.9.8.0/24"] == tag(1)


def test_drop():
    tables, lists = tables_of({"a": (LIST, {"kind": "asn", "asns": (64500,)})}, rov("drop"))
    tables.vrps = VRPS
    tables.update({"a"})
    assert by_prefix(tables, peer()) == dict.fromkeys(["9.9.9.0/24", "8.8.8.0/24", "2620:fe::/48"], Attributes())
    found = explain("9.9.8.1", tables.subscription(peer()), tables.tables)
    assert [(step.source, str(step.outcome)) for step in found.steps] == [("a (ROV: invalid)", "not chosen")]
    del lists["a"]
    tables.update({"a"})
    assert not tables.tables.lists


def test_one_of_several_as_numbers_is_enough():
    tables, _ = tables_of({"a": (LIST, {"kind": "asn", "asns": (64501, 64500)})}, rov("drop"))
    tables.vrps = VRPS
    tables.update({"a"})
    assert len(by_prefix(tables, peer())) == 4


@pytest.mark.parametrize("settings", [{}, {"kind": "asn", "as_sets": ("AS-SET",)}, {"kind": "http"}])
def test_lists_whose_origins_nobody_knows_are_not_judged(settings):
    tables, _ = tables_of({"a": (LIST, settings)}, rov("drop"))
    assert by_prefix(tables, peer()).keys() == set(LIST)


def test_off():
    tables, _ = tables_of({"a": (LIST, {"kind": "asn", "asn": 64500})}, rov("off"))
    assert by_prefix(tables, peer()).keys() == set(LIST)


def test_the_default_list_has_all_its_parts():
    config = Config(
        bgp=BGP,
        rov=Rov(vrps="vrps.json"),
        default_prefix_source="a",
        prefix_sources=(tables_of({"a": (LIST, {"kind": "asn", "asn": 64500})})[1]["a"].settings,),
    )
    tables, _ = tables_of({"a": (LIST, {"kind": "asn", "asn": 64500})}, config)
    tables.vrps = VRPS
    tables.update({"a"})
    assert by_prefix(tables, peer(lists=())).keys() == set(LIST)


def test_prefixes_are_told_apart_in_steps():
    async def run() -> int:
        many = [f"{first}.{second}.0.0/16" for first in range(20, 100) for second in range(100)]
        tables, lists = tables_of({"a": (many, {"kind": "asn", "asn": 64500})}, rov("drop"))
        lists["a"].prefixes = PrefixSet.parse(many[1:])
        tables.vrps = VRPS
        turns = 0
        work = asyncio.ensure_future(tables.update_in_steps({"a"}))
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        assert tables.of(peer()).table.count == len(many) - 1
        return turns

    assert asyncio.run(run()) >= 4


def test_vrps_in_a_file_and_what_becomes_of_it(tmp_path):
    ripe = ListServer()
    body = {"data": {"prefixes": {"v4": {"originating": LIST[:3]}, "v6": {"originating": []}}}}
    ripe.content = json.dumps(body).encode()
    vrps = tmp_path / "vrps.json"
    vrps.write_text(json.dumps({"roas": ROAS}))
    more = (
        f"RipeStat: {{Url: 'http://127.0.0.1:{ripe.server_port}'}}\nAllowedNetworks: [127.0.0.0/8]\n"
        "DefaultPrefixSource: a\nPrefixSources: [{Name: a, Kind: asn, Asn: 64500}]\n"
        "Rov: {Vrps: vrps.json, Mode: drop}\n"
    )
    try:
        with bgplite(tmp_path, more) as server:
            client = server.client(65003, IPV4, as4(65003))
            client.until_complete(1)
            assert client.routes.keys() == {"9.9.9.0/24", "8.8.8.0/24"}
            assert client.withdrawn == []
            assert "bgplite_vrps 2" in server.get("/metrics")
            vrps.write_text("<html>")
            wait_until("the fault is told", lambda: "no VRPs in CSV: line 1" in str(server.get("/hc")))
            vrps.write_text(json.dumps({"roas": [*ROAS, {"asn": 64500, "prefix": "9.9.8.0/24"}]}))
            client.until("it is valid now", lambda: len(client.routes) == 2 and "9.9.8.0/23" in client.routes)
            server.stop()
        vrps.unlink()
        with bgplite(tmp_path, more) as server:  # what the file said last counts
            client = server.client(65003, IPV4, as4(65003))
            client.until_complete(1)
            assert client.routes.keys() == {"8.8.8.0/24", "9.9.8.0/23"}
            assert "no such file" in str(server.get("/hc")).lower()
    finally:
        ripe.shutdown()
        ripe.server_close()


def test_vrps_at_a_url_are_kept(tmp_path):
    lists = ListServer()
    lists.content = json.dumps({"roas": ROAS}).encode()
    (tmp_path / "a.txt").write_text("9.9.9.0/24\n")
    more = (
        "AllowedNetworks: [127.0.0.0/8]\nPrefixSources: [{Name: a, Path: a.txt}]\n"
        f"Rov: {{Vrps: 'http://127.0.0.1:{lists.server_port}/vrps.json'}}\n"
    )
    try:
        with bgplite(tmp_path, more) as server:
            wait_until("VRPs", lambda: "bgplite_vrps 2" in server.get("/metrics"))
            wait_until("the list", lambda: server.call("GET", "/readyz")[0] == 200)
            assert server.stop() == 0
        lists.status = 500
        with bgplite(tmp_path, more) as server:
            wait_until("VRPs", lambda: "bgplite_vrps 2" in server.get("/metrics"))
            wait_until("the fault is told", lambda: "VRPs:" in str(server.get("/hc")))
    finally:
        lists.shutdown()
        lists.server_close()


def test_vrps_of_several_sources(tmp_path):
    web = ListServer()
    web.status = 500
    (tmp_path / "vrps.json").write_text(json.dumps({"roas": ROAS}))
    (tmp_path / "a.txt").write_text("9.9.9.0/24\n")
    exceptions = {
        "slurmVersion": 1,
        "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
        "locallyAddedAssertions": {
            "prefixAssertions": [{"asn": 64500, "prefix": "8.8.8.0/24"}],
            "bgpsecAssertions": [],
        },
    }
    (tmp_path / "local.json").write_text(json.dumps(exceptions))
    more = (
        "PrefixSources: [{Name: a, Path: a.txt}]\n"
        f"Rov: {{Rpki: ['http://127.0.0.1:{web.server_port}/vrps.json', vrps.json], RpkiSlurm: local.json, "
        "RpkiRetry: 1, RpkiRefresh: 1}\n"
    )
    try:
        with bgplite(tmp_path, more) as server:
            wait_until("VRPs of the file", lambda: "bgplite_vrps 3" in server.get("/metrics"))
            assert server.get("/hc")["status"] == "ok"
            web.content = json.dumps({"roas": [*ROAS, {"asn": 1, "prefix": "9.9.8.0/24"}]}).encode()
            web.status = 200
            wait_until("VRPs of the URL", lambda: "bgplite_vrps 4" in server.get("/metrics"))
    finally:
        web.shutdown()
        web.server_close()


def test_no_source_of_vrps_has_any(tmp_path, monkeypatch):
    monkeypatch.setattr(rpki, "PATIENCE", 0.05)
    told: list[Snapshot] = []

    async def run() -> str:
        validator = rpki.RpkiValidator(Rov(rpki=("missing.json", "127.0.0.1:1")), tmp_path, tmp_path, NullLog())
        validator.on_change = told.append
        work = asyncio.ensure_future(validator.run())
        while not told or not validator.failed.count(";"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.wait([work])
        return validator.failed

    assert "missing.json: no such file or directory; 127.0.0.1:1: " in asyncio.run(asyncio.wait_for(run(), 30))
    assert told == [Snapshot()]


@pytest.mark.parametrize("stale", ["keep", "drop"])
def test_vrps_of_a_run_before_count_until_a_source_answers(tmp_path, monkeypatch, stale):
    """Else a restart without any source would announce what is invalid, or without the communities that it had."""
    monkeypatch.setattr(rpki, "PATIENCE", 0.05)
    folder = tmp_path / "configuration"
    folder.mkdir()
    (folder / "vrps.json").write_text(json.dumps({"roas": ROAS}))

    def run(rov: Rov, until) -> list[Snapshot]:
        told: list[Snapshot] = []

        async def serve() -> None:
            validator = rpki.RpkiValidator(rov, folder, tmp_path / "data", NullLog())
            validator.on_change = told.append
            work = asyncio.ensure_future(validator.run())
            while not until(told):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            work.cancel()
            await asyncio.wait([work])

        asyncio.run(asyncio.wait_for(serve(), 30))
        return told

    rov = Rov(rpki=("vrps.json",), rpki_stale=stale)
    kept = tmp_path / "data" / rpki.KEPT
    before = run(rov, lambda told: told and told[-1] and (kept.exists() or stale == "drop"))[-1]
    assert len(before) == len(ROAS)
    (folder / "vrps.json").unlink()
    assert run(rov, bool) == [before if stale == "keep" else Snapshot()]
    assert run(msgspec.structs.replace(rov, rpki=("other.json",)), bool) == [Snapshot()]
    if stale == "keep":
        kept.write_bytes(kept.read_bytes()[:-1])
        assert run(rov, bool) == [Snapshot()]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"rpki": ("tls://",)}, ("Rov.Rpki[0]", "tls://: HOST:PORT is expected")),
        ({"rpki": ("a.json", "ftp://x/y")}, ("Rov.Rpki[1]", "ftp://x/y: tls://, http:// or https:// is expected")),
        ({"rpki": ("a.json",), "rpki_bind": "x"}, ("Rov.RpkiBind", "")),
        ({"rpki": ("a.json",), "rpki_md5": "x" * 99}, ("Rov.RpkiMd5", "")),
    ],
)
def test_sources_that_cannot_be(settings, fault):
    ((key, text),) = rpki.rpki_faults(Rov(**settings))
    assert key == fault[0]
    assert fault[1] in text
    assert "--" not in text
    assert not list(rpki.rpki_faults(Rov(rpki=("a.json", "192.0.2.8:8282"), rpki_md5="$KEY", rpki_bind="192.0.2.1")))
