"""websocket: client and server, who may come in, partners that are slow or gone, and from an edge to an archive."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sessions import CLOSE_TIMEOUT, Recorder, Running, address, between, eventually, make_open, make_update, running
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.net import websocket, websocket_server
from bgpipe.pipeline import events
from bgpipe.pipeline.errors import ConfigError, StageError
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.runtime.sessions import Sessions
from bgpipe.stages.base import link_attempts, pace
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, UPDATE, Message
from certificates import Authority

OPENS = make_open(65001), make_open(65002)
UPDATES = ['["R",0,null,"UPDATE",{"reach":["192.0.2.0/24"]}]', '{"reach":["198.51.100.0/24"]}']


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> dict[str, str]:
    """ca, cert and key: PEM files for the address that a test listens at, and for clients."""
    authority = Authority(tmp_path_factory.mktemp("certificates"), "authority")
    cert, key = authority.issue("archive", address().partition(":")[0])
    return {"ca": str(authority.cert), "cert": str(cert), "key": str(key)}


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(link_attempts, "backoff", lambda attempt: 0.01)
    monkeypatch.setattr(websocket, "QUIET", 0.2)


@asynccontextmanager
async def listening(url: str, *words: str, behind: tuple[str, ...] = ("--", "grep", "update")):
    """A pipeline that begins with a server."""
    known = {"--auth", "--ca", "--write"}.intersection(words)
    words = words if known else ("--open", *words)
    async with running("--", "websocket", "-R", "--listen", *words, url, *behind) as made:
        await made.until(lambda: any("listening on" in text for text in made.log.texts))
        yield made


def left_line(made: Running) -> int:
    """Messages that have come out at the right."""
    return made.pipeline.lines["R"].left


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


def host_port(url: str) -> tuple[str, int]:
    host, _, port = url.partition("//")[2].partition("/")[0].partition(":")
    return host, int(port)


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


async def test_a_frame_that_is_too_long():
    url = f"ws://{address()}/"
    async with listening(url, "--read") as server, connect(url) as client:
        await client.send(b"#" * (4 << 20))
        await client.send(UPDATES[0])
        await server.until(lambda: left_line(server) == 1)
        await client.send(b"#" * ((4 << 20) + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            await client.recv()


# who may come in


@pytest.mark.parametrize("auth", ["$BGPIPE_TEST_AUTH", "file"])
async def test_basic_authentication(tmp_path, monkeypatch, auth):
    monkeypatch.setenv("BGPIPE_TEST_AUTH", "edge:a:b")
    (tmp_path / "file").write_text("edge:a:b\nmore\n")
    auth = auth if auth.startswith("$") else str(tmp_path / "file")
    url = f"ws://{address()}/"
    async with listening(url, "--read", "--auth", auth) as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["WWW-Authenticate"].startswith('Basic realm="bgpipe"')
        for wrong in ("edge:a", "edge:", "x:a:b"):
            with pytest.raises(InvalidStatus):
                await connect(url.replace("//", f"//{wrong}@"))
        async with running("websocket", "--read", url, "--", "grep", "update") as other:
            with pytest.raises(StageError, match="HTTP status 401"):
                await other.ended()
        async with running("-i", "--", "websocket", "--write", "--auth", auth, url) as client:
            await server.until(lambda: "connected" in server.log.texts)
            assert "edge" not in repr(client.log.lines)


async def test_paths_and_origins():
    url = f"ws://{address()}/bgp"
    async with listening(url, "--read") as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(url.replace("/bgp", "/other"))
        assert refused.value.response.status_code == 404
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="http://elsewhere.example")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        place = url.partition("//")[2].partition("/")[0]
        async with connect(f"{url}?x=1", origin=f"http://{place}"):  # type: ignore[arg-type]
            await server.until(lambda: "connected" in server.log.texts)


async def ask(url: str, *fields: str) -> bytes:
    """The answer to a request to open a WebSocket, with these header fields besides."""
    host, port = host_port(url)
    reader, writer = await asyncio.open_connection(host, port)
    path = "/" + url.partition("//")[2].partition("/")[2]
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *fields, "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


GOOD = "Authorization: Basic ZWRnZTphOmI="
"""edge:a:b"""


async def test_headers_that_decide_are_there_once(monkeypatch):
    """Two of them might be read differently by two who look: 400, before any password is looked at."""
    monkeypatch.setenv("BGPIPE_TEST_AUTH", "edge:a:b")
    url = f"ws://{address()}/bgp"
    async with listening(url, "--read", "--auth", "$BGPIPE_TEST_AUTH") as server:
        for fields in (
            (GOOD, GOOD),
            (GOOD, "Authorization: Basic eDp5"),
            (GOOD, "Origin: http://x", "Origin: http://x"),
        ):
            assert (await ask(url, *fields)).startswith(b"HTTP/1.1 400")
        assert (await ask(url, GOOD)).startswith(b"HTTP/1.1 101")
        assert (await ask(url)).startswith(b"HTTP/1.1 401")
        assert not any("unexpected" in text for text in server.log.texts)


async def test_refused_clients_are_logged_once_a_minute_for_each_reason(monkeypatch):
    monkeypatch.setenv("BGPIPE_TEST_AUTH", "edge:a:b")
    url = f"ws://{address()}/bgp"
    async with listening(url, "--read", "--auth", "$BGPIPE_TEST_AUTH") as server:
        limit = server.stage("websocket")._refusals._limit
        limit._clock = lambda: 1000.0
        for number in range(30):
            await ask(url, "Authorization: Basic ZWRnZTp3cm9uZw==" if number else "X: y")
        lines = [(text, fields) for level, text, fields in server.log.lines if "refused" in text and level == "warning"]
        assert lines[0][0] == "client refused: no user and password"
        assert lines[1][0] == "client refused: wrong user or password (user 'edge')"
        assert lines[0][1]["remote"].startswith("127.")
        assert len(lines) == 2
        limit._clock = lambda: 1060.0
        await ask(url)
        fields = next(each[2] for each in reversed(server.log.lines) if "refused" in each[1])
        assert fields["more_refused"] == 28
        assert "wrong:" not in repr(server.log.lines)


async def test_a_flood_of_empty_frames_holds_up_nobody():
    """256 KiB hold 40,000 frames: others have their turn between them."""
    url = f"ws://{address()}/"
    async with listening(url, "--read") as server, connect(url) as client:
        feeders: list[int] = []
        connection = next(iter(server.stage("websocket").server._seats)).connection
        receive = connection.protocol.receive_data
        connection.protocol.receive_data = lambda data: (feeders.append(len(data)), receive(data))[1]
        client.transport.write(b"\x82\x80abcd" * 100_000)
        await client.send(UPDATES[0])
        await server.until(lambda: left_line(server) == 1)
        assert max(feeders) <= websocket.PIECE


@pytest.mark.parametrize(("how", "octet"), [("raw", b"\xff"), ("json", b"["), ("mrt", b"\0")])
async def test_a_long_frame_of_nonsense_holds_up_nobody(how, octet):
    """It is worked on in pieces, and others have their turn between them."""
    url, pieces = f"ws://{address()}/", []
    async with listening(url, "--read", "--pardon", "--format", how) as server, connect(url) as client:
        stage = server.stage("websocket")
        cut = stage.pace.pieces

        def pieces_of(octets: bytes) -> Iterator[bytes]:
            for piece in cut(octets):
                pieces.append((turns, len(piece)))
                yield piece

        turns, over = 0, False

        async def others() -> None:
            nonlocal turns
            while not over:
                turns += 1
                await asyncio.sleep(0)

        stage.pace.pieces = pieces_of
        waiting = asyncio.create_task(others())
        await client.send(octet * (4 << 20))
        await client.send({"json": UPDATES[0].encode()}.get(how, make_update(1).octets if how == "raw" else b""))
        await server.until(lambda: sum(size for _, size in pieces) >= 4 << 20)
        over = True
        await waiting
        assert max(size for _, size in pieces) <= pace.MOST
        seen = [turn for turn, _ in pieces]
        assert all(later > earlier for earlier, later in pairwise(seen)), "somebody else has had a turn"


async def test_headers_of_a_client():
    seen: list[Any] = []

    async def remember(connection: Any) -> None:
        seen.append(connection.request.headers)

    url = f"http://{address()}/"
    async with serve(remember, *host_port(url)):
        words = ("--read", "--header", "X-Site: edge 1", "--header", "X-More:2", url)
        async with running("websocket", *words, "--", "grep", "update") as client:
            await client.ended()
    assert (seen[0]["X-Site"], seen[0]["X-More"]) == ("edge 1", "2")


async def test_tls(certificates, tmp_path, sample, sample_json):
    url, out = f"wss://{address()}/bgp", tmp_path / "out.json"
    own = ("--cert", certificates["cert"], "--key", certificates["key"])
    async with listening(url, "--read", *own, behind=("--", "write", out)) as server:
        for words, why in (((), "certificate verify failed"), (("--ca", certificates["key"]), "(?i)no.certificate")):
            async with running("websocket", "--read", *words, url, "--", "grep", "update") as client:
                with pytest.raises(StageError, match=why):
                    await client.ended()
        for words in (("--insecure",), ("--ca", certificates["ca"]), ("--ca", certificates["ca"], *own)):
            async with running("read", sample, "--", "websocket", "-R", "--write", *words, url) as client:
                await client.ended()
        await server.until(lambda: left_line(server) == 3 * len(sample_json))


async def test_certificates_of_clients(certificates):
    url = f"wss://{address()}/bgp"
    own = ("--ca", certificates["ca"], "--cert", certificates["cert"], "--key", certificates["key"])
    async with listening(url, "--read", *own) as server:
        context = ssl.create_default_context(cafile=certificates["ca"])
        with pytest.raises((ssl.SSLError, ConnectionError, ConnectionClosed, InvalidHandshake)):
            async with connect(url, ssl=context) as nobody:
                await nobody.recv()
        for words, ours, theirs in (
            (("--ca", certificates["ca"]), "alert certificate required", "peer did not return a certificate"),
            ((), "certificate verify failed", "tlsv1 alert unknown ca"),
        ):
            async with running("websocket", "--read", *words, url, "--", "grep", "update") as client:
                with pytest.raises(StageError, match=f"TLS: .*{ours}"):
                    await client.ended()
            await server.until(lambda theirs=theirs: any(f"refused: TLS: {theirs}" in t for t in server.log.texts))
        context.load_cert_chain(certificates["cert"], certificates["key"])
        async with connect(url, ssl=context):
            await server.until(lambda: "connected" in server.log.texts)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["ftp://x/"], "not a URL of a WebSocket: 'ftp://x/'"),
        (["nonsense"], "not a URL of a WebSocket: 'nonsense'"),
        (["ws://"], "no host in 'ws://'"),
        (["ws://x:0/"], "not a port in 'ws://x:0/'"),
        (["ws://x:y/"], "not a port"),
        (["--timeout", "-1s", "ws://x/"], "can't be negative"),
        (["--listen", "ws://user:secret@:8080/"], "use --auth"),
        (["--auth", "user:secret", "ws://127.0.0.1:1/"], "--auth: No such file or directory: the name of a file"),
        (["--ca", "/no/ca", "wss://127.0.0.1:1/"], "/no/ca: No such file"),
        (["--ca", "/dev/null", "wss://127.0.0.1:1/"], "/dev/null: no certificates in PEM"),
        (["--listen", "wss://x/"], "needs --cert"),
        (["--listen", "ws://127.0.0.1:1/"], "--listen accepts clients that can send routes: give --auth"),
        (["--listen", "--auth", "x", "--open", "ws://127.0.0.1:1/"], "--auth and --open exclude each other"),
        (["--open", "ws://127.0.0.1:1/"], "--open needs --listen"),
        (["--cert", "x", "ws://x/"], "need wss://"),
        (["--listen", "--retry", "ws://x/"], "options of a client"),
        (["--header", "X", "ws://x/"], "NAME:VALUE is expected"),
        (["--auth", "$BGPIPE_NOT_THERE", "ws://127.0.0.1:1/"], "$BGPIPE_NOT_THERE is not set"),
        (["--auth", "/dev/null", "ws://127.0.0.1:1/"], "USER:PASSWORD is expected in /dev/null"),
        (["--listen", "--open", "--cert", "/no/cert", "wss://127.0.0.1:1/"], "No such file"),
        (["--listen", "--open", "ws://192.0.2.1:8080/"], "ws://192.0.2.1:8080/: "),
        (["ws://user:secret@127.82.0.9:18299/"], "ws://127.82.0.9:18299/: "),
    ],
)
def test_what_can_not_be(bgpipe, sample, words, why):
    done = bgpipe("read", sample, "--", "websocket", *words, "--", "write", "--format", "json", "/dev/null")
    assert done.code == 1
    assert why in done.err
    assert "secret" not in done.err


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

    def make() -> Pipeline:
        return build(parse(words), log)  # type: ignore[arg-type]

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
