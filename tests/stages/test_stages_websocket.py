"""websocket: client and server, partners that are slow or gone, and from an edge to an archive."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sessions import CLOSE_TIMEOUT, Recorder, address, between, eventually, make_open, make_update, running
from websocket_listener import UPDATES, host_port, left_line, listening
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.net import websocket_server
from bgpipe.pipeline import events
from bgpipe.pipeline.errors import ConfigError, StageError
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.runtime.sessions import Sessions
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, UPDATE, Message

OPENS = make_open(65001), make_open(65002)


# archives over a WebSocket


async def test_from_a_client_to_a_server(sample, sample_json, tmp_path):
    url, out = f"ws://{address()}/bgp", tmp_path / "out.json"
    async with listening(url, "--read", behind=("--", "write", out)) as server:
        async with running("read", sample, "--", "websocket", "-R", "--write", url) as client:
            await client.ended()
        await server.until(lambda: left_line(server) == len(sample_json))
    got = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line[3:5] for line in got] == [line[3:5] for line in sample_json]
    assert all(line[5].pop("websocket/remote").startswith("127.") for line in got)
    assert [line[5] for line in got] == [line[5] for line in sample_json]


@pytest.mark.parametrize("how", ["json", "raw", "mrt"])
async def test_from_a_server_to_a_client(sample, sample_json, tmp_path, how, quick):
    """A client that reads ends when the server has said all."""
    url, out = f"ws://{address()}/", tmp_path / "out.json"
    words = ("websocket", "-R", "--format", how, "--read", "--retry", "--no-seq", url)
    async with running(*words, "--", "write", out) as client:
        await client.until(lambda: client.happened(events.RECONNECT))
        flag, text = tmp_path / "flag", tmp_path / "text"
        text.write_text("".join(json.dumps(line) + "\n" for line in sample_json))
        wait = 'until [ -e "$1" ]; do sleep 0.02; done; cat "$2"'
        words = ("exec", "-R", "--read", "-A", "sh", "-c", wait, "sh", flag, text)
        async with running(*words, "--", "websocket", "--listen", "--write", "--format", how, url) as server:
            await client.until(lambda: "connected" in client.log.texts)
            flag.touch()
            await server.until(lambda: left_line(server) == len(sample_json))
            await client.until(lambda: left_line(client) == len(sample_json))
    got = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line[3] for line in got] == [line[3] for line in sample_json]


async def test_a_filter_at_the_other_end(sample, sample_json, tmp_path, quick):
    """Messages go there and come back; the pipeline ends when all are back."""
    url, out = f"ws://{address()}/", tmp_path / "out.json"
    async with (
        serve(reflect, *host_port(url), compression=None),
        running("read", sample, "--", "websocket", "-R", url, "--", "write", out) as client,
    ):
        await client.ended()
    assert len(out.read_text().splitlines()) == len(sample_json)


async def reflect(connection: Any) -> None:
    async for frame in connection:
        await connection.send(frame)


async def test_frames(tmp_path):
    """Text and binary ones come in; binary ones go out, one message in each."""
    url = f"ws://{address()}/"
    async with listening(url, "--copy", "--new", "here") as server, connect(url) as client:
        await client.send(UPDATES[0])
        await client.send(UPDATES[1].encode())
        await client.send("")
        await client.send("\n".join(UPDATES))
        await server.until(lambda: left_line(server) == 4)


async def test_what_clients_are_sent():
    url = f"ws://{address()}/"
    async with between("websocket", "-LR", "--listen", "--write", url) as session:
        await session.pipeline.until(lambda: any("listening on 127" in text for text in session.pipeline.log.texts))
        async with connect(url) as first, connect(url) as second:
            stage = session.pipeline.stage("websocket")
            await session.pipeline.until(lambda: stage.link is not None and len(stage.server._seats) == 2)
            await session.establish(*OPENS)
            session.left.send(make_update(1))
            for client in (first, second):
                got = [await asyncio.wait_for(client.recv(), CLOSE_TIMEOUT) for _ in range(5)]
                assert all(
                    isinstance(frame, bytes) and frame.startswith(b"[") and frame.endswith(b"]") for frame in got
                )
                assert [json.loads(frame)[3] for frame in got].count("KEEPALIVE") == 2
        await session.right.until(make_update(1))


async def test_garbage_costs_its_frame(tmp_path):
    for how, good in (("json", b'["R"]'), ("raw", Message(KEEPALIVE).octets)):
        url = f"ws://{address()}/"
        words = ("--read", "--pardon", "--format", how)
        async with listening(url, *words, behind=("--", "grep", "keepalive")) as server, connect(url) as client:
            for frame in (good, b"garbage", good[:-3], good, b"\0" * 5000, good):
                await client.send(frame)
            await server.until(lambda s=server: left_line(s) == 3)
            assert server.log.texts.count("damaged input") == 3


# partners that are slow or gone


async def test_a_server_that_goes_and_comes_back(quick, sample_json):
    """The edge goes on, calls again, and says what has waited."""
    url = f"ws://{address()}/bgp"
    async with between("websocket", "-R", "--write", "--retry", "--type", "UPDATE", url) as session:
        await session.pipeline.until(lambda: session.pipeline.happened(events.RECONNECT))
        await session.establish(*OPENS)
        session.left.send(make_update(0))
        await session.right.until(make_update(0))
        for number in range(1, 4):
            async with listening(url, "--read") as server:
                await server.until(lambda s=server: left_line(s) >= 1)
            session.left.send(make_update(number))
            await session.right.until(make_update(number))


async def test_it_is_tried_so_often(quick):
    url = f"ws://{address()}/"
    async with running("websocket", "--read", "--retry", "--retry-max", "3", url, "--", "grep", "update") as client:
        with pytest.raises(StageError, match="Connection refused"):
            await client.ended()
        assert len(client.happened(events.RECONNECT)) == 2


async def test_a_client_without_retry():
    url = f"ws://{address()}/"

    async def hang_up(connection: Any) -> None:
        await connection.close(1011, "out of order")

    async with serve(hang_up, *host_port(url)), running("websocket", "--read", url, "--", "grep", "update") as client:
        with pytest.raises(StageError, match=r"closed by the peer: 1011 \(out of order\)"):
            await client.ended()


async def test_a_client_that_is_silent(monkeypatch):
    """A session that waits for the answers of nobody: messages wait for a while, then they pass by."""
    url = f"ws://{address()}/"
    async with between("websocket", "-LR", "--listen", "--open", "--stall-timeout", "300ms", url) as session:
        await session.establish(*OPENS)
        session.left.send(make_update(1))
        await session.right.until(make_update(1))
        stage = session.pipeline.stage("websocket")
        async with connect(url) as client:
            await session.pipeline.until(lambda: stage.link is not None)
            session.left.send(make_update(2))
            frame = await asyncio.wait_for(client.recv(), CLOSE_TIMEOUT)
            assert json.loads(frame)[4]["reach"] == ["10.0.2.0/24"]
            await client.send(frame)
            await session.right.until(make_update(2))
        session.left.send(make_update(3))
        await session.right.until(make_update(3))


async def test_a_slow_client_is_dropped(monkeypatch, sample):
    """It does not hold up the others."""
    monkeypatch.setattr(websocket_server, "MAX_BEHIND", 1 << 20)
    monkeypatch.setattr(websocket_server, "HIGH_WATER", 1 << 17)
    url = f"ws://{address()}/"
    async with between("websocket", "-R", "--listen", "--write", "--type", "UPDATE", url) as session:
        await session.establish(*OPENS)
        stage = session.pipeline.stage("websocket")
        async with connect(url) as quick_client, connect(url, max_queue=1) as slow:
            slow.transport.pause_reading()
            await session.pipeline.until(lambda: stage.link is not None and len(stage.server._seats) == 2)
            count = 40_000

            async def read_all() -> int:
                got = 0
                while b"10.255.255.0/24" not in await quick_client.recv():
                    got += 1
                return got

            session.left.send(*[make_update(n) for n in range(count)], make_update(65535))
            async with asyncio.timeout(60):
                got, _ = await asyncio.gather(read_all(), session.right.until(make_update(65535)))
            assert got == count
            assert "client dropped: it is too slow" in session.pipeline.log.texts
            assert any(event.values for event in session.pipeline.happened(events.SLOW))
            slow.transport.abort()


async def test_many_clients_come_and_go():
    url = f"ws://{address()}/"
    async with listening(url, "--read") as server:
        for _ in range(5):
            clients = await asyncio.gather(*[connect(url) for _ in range(20)])
            for client in clients:
                await client.send(UPDATES[0])
            await asyncio.gather(*[client.close() for client in clients[::2]])
            for client in clients[1::2]:
                client.transport.abort()
        await server.until(lambda: left_line(server) == 100)
        await server.until(lambda: not server.stage("websocket").server._seats)


# the edge and the archive


async def test_from_the_edge_to_the_archive(certificates, tmp_path):
    """speaker and websocket at the edge, websocket and write at the archive: what a router says is in its file."""
    url, router = f"wss://{address()}/bgp", address()
    files = tmp_path / "bgpipe"
    archive_words = ("--read", "--cert", certificates["cert"], "--key", certificates["key"])
    write = ("--", "write", "--every", "15m", "--compress", f"{files}/bgp.$TIME.json.gz")
    host, _, port = router.partition(":")
    async with listening(url, *archive_words, behind=write) as archive:

        async def on_edge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            from sessions import Peer

            peer = Peer(reader, writer)
            peer.send(make_open(65002))
            while (message := await peer.next()).type_code != KEEPALIVE:
                pass
            peer.send(Message(KEEPALIVE), *map(make_update, range(200)))
            assert message.type_code == KEEPALIVE
            said.append((await peer.until_type(NOTIFICATION)).notification.code)
            writer.close()

        said: list[int] = []
        server = await asyncio.start_server(on_edge, host, int(port))
        words = ("speaker", "--asn", "65000", "--", "websocket", "-L", "--write", "--ca", certificates["ca"], url)
        async with running("--", *words, "--", "connect", router) as edge:
            await archive.until(lambda: left_line(archive) >= 202)
            assert not edge.task.done()
        server.close()
        assert said == [6], "the router is told that it is over"
    got = [json.loads(line) for line in _unpacked(files)]
    assert {line[0] for line in got} == {"R"}
    assert [line[3] for line in got][:2] == ["OPEN", "KEEPALIVE"]
    assert sum(line[3] == "UPDATE" for line in got) == 200
    assert all("websocket/remote" in line[5] for line in got)


def _unpacked(folder: Path) -> list[bytes]:
    import gzip

    return b"".join(gzip.decompress(path.read_bytes()) for path in sorted(folder.iterdir())).splitlines()


async def test_a_session_between_two_sites(quick):
    """websocket as the end of a pipeline is a tunnel: a session from one site to the other."""
    url, left, right = f"ws://{address()}/", address(), address()
    accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result((reader, writer))

    from sessions import Peer

    server = await asyncio.start_server(on_peer, *host_port(f"//{right}"))
    async with (
        running("websocket", "--listen", "--open", url, "--", "connect", right) as far,
        running("listen", left, "--", "websocket", "--retry", url) as near,
    ):
        await near.until(lambda: f"listening on {left}" in near.log.texts)
        one = Peer(*await asyncio.open_connection(*host_port(f"//{left}")))
        assert not accepted.done(), "nobody is called before a router is there"
        one.send(OPENS[0])
        other = Peer(*await asyncio.wait_for(accepted, CLOSE_TIMEOUT))
        assert (await other.next()).octets == OPENS[0].octets
        other.send(OPENS[1], Message(KEEPALIVE))
        assert (await one.next()).octets == OPENS[1].octets
        one.send(Message(KEEPALIVE), *map(make_update, range(100)))
        got = await other.until(make_update(99))
        assert sum(m.type_code == UPDATE for m in got) == 100
        assert far.happened("connect/START")
        one.close()
        other.close()
    server.close()


async def test_one_server_for_many_sessions():
    """listen --many: each session has its own pipeline, and all of them write to the clients of one server."""
    url, ours, theirs = f"ws://{address()}/", address(), address()
    peers: list[asyncio.StreamWriter] = []
    far = await asyncio.start_server(lambda reader, writer: peers.append(writer), *host_port(f"//{theirs}"))
    log = Recorder()
    words = ["listen", "--many", ours, "--", "websocket", "-R", "--listen", "--write", url, "--", "connect", theirs]

    def make(**how: Any) -> Pipeline:
        return build(parse(words), log, **how)  # type: ignore[arg-type]

    sessions = Sessions(make(), make, log)  # type: ignore[arg-type]
    task = asyncio.create_task(sessions.run())
    near: list[asyncio.StreamWriter] = []
    try:
        await eventually(lambda: any("listening" in text for text in log.texts))

        async def begin() -> None:
            near.append((await asyncio.open_connection(*host_port(f"//{ours}")))[1])
            near[-1].write(make_open(65000 + len(near)).octets)
            await eventually(lambda: len(peers) == len(near))

        await begin()
        await eventually(lambda: sum("listening on" in text for text in log.texts) == 2)
        async with asyncio.timeout(CLOSE_TIMEOUT), connect(url) as client:
            await eventually(
                lambda: any("websocket" in f.get("stage", "") for _, t, f in log.lines if t == "connected")
            )
            await begin()
            await begin()
            got = [json.loads(await client.recv()) for _ in range(2)]
            assert {line[4]["asn"] for line in got} == {65002, 65003}
            near[0].close()
            await near[0].wait_closed()
            near[1].write(Message(KEEPALIVE).octets)
            while json.loads(await client.recv())[3] != "KEEPALIVE":
                pass
        with pytest.raises(ConfigError, match="--listen needs --write"):
            build(parse([word for word in words if word != "--write"]), log)  # type: ignore[arg-type]
    finally:
        sessions.interrupt()
        await asyncio.wait_for(task, CLOSE_TIMEOUT)
        for writer in (*near, *peers):
            writer.close()
        far.close()
