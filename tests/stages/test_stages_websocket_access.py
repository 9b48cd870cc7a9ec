"""websocket: who may come in, what a client may send, and TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from sessions import CLOSE_TIMEOUT, address, make_open, make_update, running
from websocket_listener import UPDATES, host_port, left_line, listening
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from bgpipe.net import websocket
from bgpipe.pipeline.errors import StageError
from bgpipe.stages.base import pace

OPENS = make_open(65001), make_open(65002)


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
        (["--listen", "wss://x/"], "needs --cert"),
        (["--listen", "ws://127.0.0.1:1/"], "--listen accepts clients that can send routes: give --auth"),
        (["--listen", "--auth", "x", "--open", "ws://127.0.0.1:1/"], "--auth and --open exclude each other"),
        (["--open", "ws://127.0.0.1:1/"], "--open needs --listen"),
        (["--cert", "x", "ws://x/"], "need wss://"),
        (["--listen", "--retry", "ws://x/"], "options of a client"),
        (["--header", "X", "ws://x/"], "NAME:VALUE is expected"),
    ],
)
def test_words_that_can_not_be(bgpipe, sample, words, why):
    done = bgpipe("read", sample, "--", "websocket", *words, "--", "write", "--format", "json", "/dev/null")
    assert done.code == 2
    assert why in done.err
    assert "secret" not in done.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--auth", "user:secret", "ws://127.0.0.1:1/"], "--auth: No such file or directory: the name of a file"),
        (["--ca", "/no/ca", "wss://127.0.0.1:1/"], "/no/ca: No such file"),
        (["--ca", "/dev/null", "wss://127.0.0.1:1/"], "/dev/null: no certificates in PEM"),
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
