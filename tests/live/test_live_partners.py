"""Programs, sockets and WebSockets that stall: they hold up their own session, and nobody else's.

Of 20 sessions, each with a partner of its own through which 10,000 routes and more pass, one has a partner that stops
reading. The other 19 are as fast as without it, and what waits for it is bounded.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from peers import CLOSE_TIMEOUT, announcement, greeting, place, pour, proxy
from yardstick import as_fast, stampede

STUCK = "192.0.2.66"
"""The BGP identifier of who gets a partner that stalls."""
BUFFER_LIMIT = 16 << 20
SESSIONS = 20
TABLE = b"".join(
    announcement(*(f"10.{number}.{each}.0/24" for each in range(start, start + 50)))
    for number in range(40)
    for start in range(0, 250, 50)
)
"""10,000 routes: 200,000 of 20 sessions."""
PROGRAM = f"""#!/bin/sh
read -r first
printf '%s\\n' "$first"
case "$first" in *{STUCK}*) exec sleep 600;; esac
exec cat
"""


class Partners:
    """Servers in a thread of their own, whose clients get back what they say, until one tells the name of STUCK."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._enough = asyncio.Event()
        self._servers: list[Any] = []
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Partners:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.call(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _close(self) -> None:
        self._enough.set()
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)

    def call(self, doing: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result(10)

    async def socket(self, path: str) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while octets := await reader.read(1 << 16):
                    writer.write(octets)
                    if STUCK.encode() in octets:
                        await self._enough.wait()
                        return
                    await writer.drain()
            except OSError:
                pass
            finally:
                writer.transport.abort()

        self._servers.append(await asyncio.start_unix_server(serve, path))

    async def websocket(self, host: str, port: int) -> None:
        from websockets.asyncio.server import serve as serve_at

        async def serve(connection: Any) -> None:
            try:
                async for frame in connection:
                    await connection.send(frame)
                    if STUCK.encode() in frame:
                        await self._enough.wait()
                        return
            finally:
                connection.transport.abort()

        self._servers.append(await serve_at(serve, host, port, compression=None, max_queue=1, ping_interval=None))


@contextmanager
def partners(kind: str, folder: Path) -> Iterator[tuple[str, ...]]:
    """The words of a stage, whose partners are there."""
    with ExitStack() as stack:
        if kind == "exec":
            program = folder / "program"
            program.write_text(PROGRAM)
            program.chmod(0o755)
            yield "exec", "-R", "--stall-timeout", "0", str(program)
            return
        servers = stack.enter_context(Partners())
        if kind == "pipe":
            servers.call(servers.socket(str(folder / "socket")))
            yield "pipe", "-R", "--stall-timeout", "0", str(folder / "socket")
        else:
            host, port = place()
            servers.call(servers.websocket(host, port))
            yield "websocket", "-R", "--stall-timeout", "0", f"ws://{host}:{port}"


SLOW = pytest.mark.slow


@pytest.mark.parametrize("kind", ["exec", pytest.param("pipe", marks=SLOW), pytest.param("websocket", marks=SLOW)])
def test_a_stalled_partner_holds_up_nobody_else(kind: str, tmp_path: Path) -> None:
    with (
        partners(kind, tmp_path) as words,
        proxy(*words) as (alone, router),
        proxy(*words, options=("-e", "SLOW"), fails=True) as (beside, other),  # the partner keeps what it has
    ):
        pairs = [
            [running.session(there) for _ in range(SESSIONS - 1)]
            for running, there in ((alone, router), (beside, other))
        ]
        assert stampede(pairs[1], TABLE) > 0
        before = beside.resident
        stuck = beside.dial()
        stuck.say(greeting(65001, 90, STUCK))
        silent = other.accept()
        assert silent.hear() == greeting(65001, 90, STUCK)
        pouring = pour(stuck, TABLE * 200)
        beside.waits_for_log(r"event bgpfix/pipe\.SLOW")
        as_fast(*pairs, TABLE)
        assert pouring.is_alive()
        assert beside.resident - before < BUFFER_LIMIT
        stuck.socket.shutdown(socket.SHUT_RDWR)
        pouring.join()


def subscribe(host: str, port: int) -> socket.socket:
    """A WebSocket client, which has not read anything yet but that it is one."""
    made = socket.create_connection((host, port), CLOSE_TIMEOUT)
    made.sendall(
        f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert made.recv(12) == b"HTTP/1.1 101"
    return made


def swallow(made: socket.socket) -> None:
    made.settimeout(None)
    with suppress(OSError):
        while made.recv(1 << 20):
            pass


@pytest.mark.slow
def test_a_stalled_client_holds_up_nobody() -> None:
    """websocket --listen --write: a client that stops reading is dropped when it is 16 MiB behind one that reads."""
    places = place(), place()
    words = [("websocket", "-LR", "--write", "--listen", f"ws://{host}:{port}") for host, port in places]
    with ExitStack() as clients, proxy(*words[0]) as (alone, router), proxy(*words[1]) as (beside, other):
        pairs = []
        for (running, there), where in zip(((alone, router), (beside, other)), places, strict=True):
            pairs.append([running.session(there) for _ in range(SESSIONS)])
            reader = clients.enter_context(subscribe(*where))
            threading.Thread(target=swallow, args=(reader,), daemon=True).start()
            stampede(pairs[-1], TABLE * 5)
        before = beside.resident
        clients.enter_context(subscribe(*places[1]))
        as_fast(*pairs, TABLE * 5)
        beside.waits_for_log("client dropped: it is too slow")
        waiting = SESSIONS * (4 << 20)  # what all sessions may have for a reader that is just not fast enough
        assert beside.resident - before < BUFFER_LIMIT + waiting
