"""bmp: a station for many routers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from bmp_routers import (
    TERMINATION,
    cut_off,
    framed,
    initiation,
    monitored,
    multiprotocol,
    peer,
    peer_down,
    peer_up,
    router,
    statistics,
    withdrawn,
)
from sessions import Running, address, eventually, running

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.net.layout import MAX_NAME, file_name, fill_tags
from bgpipe.net.tls import client_context
from bgpipe.pipeline.errors import ArgumentError, ConfigError, Incomplete, StageError, UsageError
from bgpipe.pipeline.log import NullLog
from bgpipe.pipeline.metrics import Metrics
from bgpipe.stages.base import bmp_station
from bgpipe.stages.base.bmp_router import READ_SIZE


def lines(path: Path) -> list[list]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def messages(run: Running) -> int:
    return run.stage("bmp").status()["metrics"]["messages"]


async def ended(run: Running) -> None:
    """What has come in is written."""
    run.runner.interrupt()
    await run.ended()


async def test_routers_report(tmp_path):
    """OPENs, UPDATEs and NOTIFICATIONs enter with the tags of their peer and their router; the rest are events."""
    where, out = address(), tmp_path / "out.json"
    async with running("bmp", where, "--", "write", out) as run:
        await run.until(lambda: run.happened("bmp/START"))
        said = peer_up(), monitored("198.51.100.0/24"), statistics(adj_rib_in=5), peer_down()
        async with router(where, initiation("edge1"), *said), router(where, initiation("edge2"), peer_up(2)) as second:
            await run.until(lambda: messages(run) == 6)
            second.write(monitored("203.0.113.0/24", number=2) + TERMINATION)
            assert await cut_off(second)
            await run.until(lambda: len(run.happened("bmp/ROUTER_DOWN")) == 1)
        await run.until(lambda: len(run.happened("bmp/ROUTER_DOWN")) == 2)
        await ended(run)
    found = {}
    for line in lines(out):
        found.setdefault(line[-1]["ROUTER"], []).append((line[3], line[-1]["PEER_AS"], line[-1]["RIB"]))
    ups = [("OPEN", "65001", "in-pre"), ("OPEN", "65001", "out-pre")]
    assert found["edge1"] == [*ups, ("UPDATE", "65001", "in-pre"), ("NOTIFY", "65001", "in-pre")]
    assert [kind for kind, asn, _ in found["edge2"] if asn == "65002"] == ["OPEN", "OPEN", "UPDATE"]
    told = {name: [event.values for event in run.happened(f"bmp/{name}")] for name in bmp_station.EVENTS.values()}
    assert told["STATISTICS"] == [("edge1", "192.0.2.1", "adj_rib_in=5")]
    assert told["PEER_DOWN"] == [("edge1", "192.0.2.1", "reason=remote, NOTIFICATION received")]
    assert told["TERMINATION"] == [("edge2", "reason=administratively closed")]
    assert {values[0] for values in told["INITIATION"]} == {"edge1", "edge2"}
    assert [event.values[1] for event in run.happened("bmp/ROUTER_DOWN")] == ["administratively closed", "closed"]


async def test_bmp_out_is_what_came_in(tmp_path):
    where, out = address(), tmp_path / "out.bmp"
    said = initiation(), peer_up(), monitored("198.51.100.0/24"), statistics(rejected=1), peer_down(), TERMINATION
    async with running("bmp", where, "--", "write", out) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, *said) as one:
            assert await cut_off(one)
        await ended(run)
    assert out.read_bytes() == b"".join(said)


async def test_path_identifiers_are_those_of_the_peer(tmp_path):
    """What the OPENs of one peer agree on holds for that peer of that router only."""
    where, out = address(), tmp_path / "out.json"
    both = {"MP": ["IPV4/UNICAST"], "ADDPATH": ["IPV4/UNICAST/BIDIR"], "AS4": 65000}
    plain = monitored("198.51.100.0/24")
    nlri = bytes((24, 198, 51, 100))
    body = plain[6 + 42 + 19 :].replace(nlri, b"\0\0\0\x07" + nlri)
    marked = plain[48 : 48 + 16] + (19 + len(body)).to_bytes(2, "big") + b"\2" + body
    async with running("bmp", where, "--", "write", out) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with (
            router(where, initiation("a"), peer_up(1, both), framed(0, marked, peer(1))),
            router(where, initiation("b"), peer_up(1), plain),
        ):
            await run.until(lambda: messages(run) == 6)
        await ended(run)
    found = {line[-1]["ROUTER"]: line[4]["reach"] for line in lines(out) if line[3] == "UPDATE"}
    assert found == {"a": ["#7#198.51.100.0/24"], "b": ["198.51.100.0/24"]}


async def test_what_is_not_bmp_costs_its_own_connection(tmp_path):
    where, out = address(), tmp_path / "out.json"
    async with running("bmp", where, "--", "write", out) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation("good"), peer_up()) as good:
            async with router(where, b"GET / HTTP/1.1\r\n\r\n") as web:
                assert await cut_off(web)
            async with router(where, initiation("bad"), peer_up(), bytes(100), monitored("192.0.2.0/24")) as bad:
                assert await cut_off(bad)
            async with router(where, initiation("short"), monitored("192.0.2.0/24")[:-1]):
                await run.until(lambda: len(run.happened("bmp/ROUTER_UP")) == 3)
            await run.until(lambda: len(run.happened("bmp/ROUTER_DOWN")) == 2)
            good.write(monitored("198.51.100.0/24"))
            await run.until(lambda: messages(run) == 5)
        with pytest.raises(Incomplete, match="2 pieces of damaged input"):
            await ended(run)
    assert [line[3] for line in lines(out) if line[-1]["ROUTER"] == "good"] == ["OPEN", "OPEN", "UPDATE"]
    assert run.pipeline.stages[0].acceptor.refusals.counts == {"greeting": 1}


async def test_one_octet_at_a_time(tmp_path):
    where, out = address(), tmp_path / "out.json"
    async with running("bmp", where, "--", "write", out) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation()):
            await run.until(lambda: run.happened("bmp/ROUTER_UP"))
            (link,) = run.stage("bmp").station.routers
            for octet in peer_up() + monitored("198.51.100.0/24"):
                link.connection.data_received(bytes((octet,)))
                await asyncio.sleep(0)
            await run.until(lambda: messages(run) == 3)
        await ended(run)


@pytest.mark.parametrize(
    ("limit", "said", "reason"),
    [
        (("--max-peers", "2"), [peer_up(1), peer_up(2), peer_up(3)], "more than 2 peers"),
        (
            ("--max-routes", "3"),
            [monitored("10.0.1.0/24", "10.0.2.0/24"), monitored("10.0.1.0/24", "10.0.2.0/24", number=2)],
            "more than 3 routes",
        ),
    ],
)
async def test_a_router_with_too_much_is_cut_off(limit, said, reason):
    where = address()
    async with running("bmp", *limit, where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation("good"), peer_up()) as good:
            async with router(where, initiation("greedy"), *said) as greedy:
                assert await cut_off(greedy)
            assert [event.values[0] for event in run.happened("bmp/LIMIT")] == ["greedy"]
            assert reason in run.happened("bmp/LIMIT")[0].values[1]
            good.write(monitored("198.51.100.0/24"))
            await run.until(lambda: run.stage("bmp").status()["routers"][0]["updates"] == 3)


async def test_withdrawn_routes_and_peers_that_are_down_do_not_count():
    where = address()
    async with running("bmp", "--max-routes", "2", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation(), peer_up()) as one:
            for third in range(5):
                one.write(monitored(f"10.0.{third}.0/24", f"10.1.{third}.0/24"))
                one.write(withdrawn(f"10.0.{third}.0/24", f"10.1.{third}.0/24"))
            one.write(monitored("10.0.0.0/24", "10.1.0.0/24") + peer_down() + monitored("10.2.0.0/24"))
            await run.until(lambda: messages(run) == 15)
            assert not run.happened("bmp/LIMIT")
            one.write(monitored("10.3.0.0/24", "10.4.0.0/24"))
            await run.until(lambda: run.happened("bmp/LIMIT"))


@pytest.mark.parametrize("families", [["IPV4/UNICAST", "IPV4/MPLS_VPN"], None])
async def test_routes_of_all_families_count(families):
    """What the OPENs have agreed on tells which are looked at; without a Peer Up all are."""
    where = address()
    opened = peer_up(caps={"MP": families, "AS4": 65001}) if families else b""
    vpn = [{"rd": "1:1", "prefix": f"10.{n}.0.0/16", "labels": [100]} for n in range(4)]
    async with running("bmp", "--max-routes", "3", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation(), opened) as one:
            one.write(
                multiprotocol("IPV4/MPLS_VPN", *vpn[:3]) + multiprotocol("IPV4/MPLS_VPN", vpn[0] | {"labels": [7]})
            )
            gone = vpn[0] | {"labels": ["0x800000"]}
            one.write(multiprotocol("IPV4/MPLS_VPN", gone, withdrawn=True) + monitored("10.0.0.0/16"))
            await run.until(lambda: messages(run) == 4 + 2 * bool(families))
            assert not run.happened("bmp/LIMIT")
            one.write(multiprotocol("IPV4/MPLS_VPN", vpn[3]))
            await run.until(lambda: run.happened("bmp/LIMIT"))


async def test_who_may_connect():
    where = address()
    async with running("bmp", "--allow", "192.0.2.0/24", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation()) as stranger:
            assert await cut_off(stranger)
            assert run.stage("bmp").acceptor.refusals.counts == {"not_allowed": 1}
        assert not run.happened("bmp/ROUTER_UP")
    where = address()
    async with running("bmp", "--max-routers", "1", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation()):
            await run.until(lambda: run.happened("bmp/ROUTER_UP"))
            async with router(where, initiation()) as second:
                assert await cut_off(second)
        assert len(run.happened("bmp/ROUTER_UP")) == 1


async def test_tls(certificates):
    where = address()
    files = "--cert", certificates["cert"], "--key", certificates["key"]
    async with running("bmp", "--tls", *files, where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        context = client_context(cert="", key="", ca=certificates["ca"], insecure=True)
        async with router(where, initiation(), peer_up(), tls=context):
            await run.until(lambda: messages(run) == 2)


async def test_nobody_is_read_while_a_line_is_held(monkeypatch):
    """What waits is one read of each router. All of it enters in turns when the line is free, and nothing is lost."""
    monkeypatch.setattr(bmp_station, "TURN", 0.0)
    where = address()
    async with running("bmp", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        flood = b"".join(monitored(f"10.{third}.{fourth}.0/24") for third in range(20) for fourth in range(250))
        async with (
            router(where, initiation("a"), peer_up()) as first,
            router(where, initiation("b"), peer_up()) as second,
        ):
            await run.until(lambda: messages(run) == 4)
            run.pipeline.hold()
            for each in (first, second):
                each.write(flood)
            routers = list(run.stage("bmp").station.routers)
            await run.until(lambda: all(each.connection.paused for each in routers))
            assert max(each.connection.octets_read for each in routers) <= 2 * READ_SIZE + 1000
            run.pipeline.release()
            await run.until(lambda: messages(run) == 4 + 2 * 5000)


async def test_routers_that_wait_are_called(tmp_path):
    where, out = address(), tmp_path / "out.json"
    host, _, port = where.rpartition(":")
    calls = []

    async def on_call(reader, writer):
        calls.append(writer)
        writer.write(initiation(f"edge{len(calls)}") + peer_up(len(calls)))
        writer.close()

    server = await asyncio.start_server(on_call, host, int(port))
    async with server:
        async with running("bmp", "--connect", where, "--", "write", out) as run:
            await run.ended()
        assert [line[-1]["ROUTER"] for line in lines(out)] == ["edge1"] * 2
        async with running("bmp", "--connect", where, "--retry") as run:
            await run.until(lambda: len(run.happened("bmp/ROUTER_UP")) == 2)
    async with running("bmp", "--connect", where) as run:
        with pytest.raises(StageError, match="refused"):
            await run.ended()


async def test_files_of_many_routers(tmp_path):
    """The name of a router can't lead to another folder, whatever it is."""
    where = address()
    names = ["edge1", "../../evil", "..", "a/b", "x" * 300, "\0\n\x1b[1m", "Zürich"]
    path = tmp_path / "bmp" / "${ROUTER}" / "updates.$TIME.mrt"
    async with running("bmp", where, "--", "write", "--every", "15m", path) as run:
        await run.until(lambda: run.happened("bmp/START"))
        for count, name in enumerate(names, 1):
            async with router(where, initiation(name), peer_up(), monitored("198.51.100.0/24")):
                await run.until(lambda count=count: messages(run) == 3 * count)
        await ended(run)
    folders = sorted((tmp_path / "bmp").iterdir())
    assert len(folders) == len(names)
    assert {folder.name for folder in folders} >= {"edge1", "%2E.", "%2E.%2F..%2Fevil", "a%2Fb", "Z%C3%BCrich"}
    assert [len(list(folder.iterdir())) for folder in folders] == [1] * len(names)
    assert [each.name for each in tmp_path.iterdir()] == ["bmp"]


@pytest.mark.parametrize("value", ["", "a", ".", "..", ".hidden", "a/b", "\0", "é" * 200, "\udcff", "%2E", "x" * 1000])
def test_a_tag_is_one_name_of_a_file(value):
    name = file_name(value)
    assert name
    assert not set(name) & set("/\0\n")
    assert not name.startswith(".")
    assert len(name) <= MAX_NAME
    assert fill_tags("/x/${ROUTER}.${PEER_AS}.$TIME", {"ROUTER": value, "PEER_AS": "1"}) == f"/x/{name}.1.$TIME"


def test_different_tags_have_different_names():
    values = ["a/b", "a_b", "a%2Fb", "x" * 300, "x" * 301, "none.", "é" * 99, "é" * 100]
    assert len({file_name(value) for value in values}) == len(values)


async def test_metrics():
    where = address()
    async with running("bmp", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        said = peer_up(), peer_up(2), statistics(adj_rib_in=7, rejected=2), statistics(9, loc_rib=1)
        async with router(where, initiation(), *said):
            await run.until(lambda: len(run.happened("bmp/STATISTICS")) == 2)
            metrics = Metrics()
            run.stage("bmp").measure(metrics)
    about = {"stage": "bmp", "router": "edge1"}
    assert metrics.get("bgpipe_bmp_peers", **about) == 2
    shown = {"peer": "192.0.2.1", "asn": "65001", "statistic": "adj_rib_in"}
    assert metrics.get("bgpipe_bmp_statistics", **about, **shown) == 7
    assert "loc_rib" not in metrics.text()  # of a peer that is not up


async def test_an_error_in_what_one_router_says_is_its_own(monkeypatch):
    where = address()
    async with running("bmp", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation("good"), peer_up()), router(where, initiation("bad"), peer_up()) as bad:
            await run.until(lambda: messages(run) == 4)
            link = next(each for each in run.stage("bmp").station.routers if each.name == "bad")
            monkeypatch.setattr(link.decoder, "feed", lambda octets: (1 // 0 for _ in octets))
            bad.write(monitored("192.0.2.0/24"))
            assert await cut_off(bad)
            await eventually(lambda: len(run.stage("bmp").station.routers) == 1)
            assert not run.pipeline.failed


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (("bmp",), UsageError, "needs an argument"),
        (("bmp", "192.0.2.1"), ArgumentError, "not an address with a port"),
        (("bmp", ":99999"), ArgumentError, "not a port"),
        (("bmp", "--allow", "x", ":5000"), ConfigError, "--allow"),
        (("bmp", "--retry", ":5000"), ConfigError, "only with --connect"),
        (("bmp", "--connect", "192.0.2.1:5000", "--allow", "::/0"), ConfigError, "only with ADDR"),
        (("bmp", "--connect", ":5000"), ArgumentError, "not an address with a port"),
        (("bmp", "--max-peers", "-1", ":5000"), ConfigError, "negative"),
        (("bmp", "--tls", ":5000"), ConfigError, "--cert"),
    ],
)
def test_wrong_command_lines(words, error, text):
    with pytest.raises(error, match=text):
        build(parse(words), NullLog())
