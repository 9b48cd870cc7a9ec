"""Programs and servers that die, up to a thousand times each: they are started or called again after growing waits, the
session stays up, nothing of them is left, and no shell is involved."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path
from random import Random

import pytest
from sessions import Session, address, between, make_open, make_update

from bgpipe.stages.base import link_attempts
from bgpipe.wire.message import KEEPALIVE, Message
from commandline import spawn
from fork_server import children

NEXT = 30.0
"""Seconds in which it has to die again."""
DEATHS = [30, pytest.param(1000, marks=pytest.mark.slow)]
WAYS = [
    "exit 3",
    "kill -9 $$",
    "yes nonsense | head -c 300000; exit 0",
    "exec <&-; exec >&-; exit 1",
    "read -r line; printf '%s' \"$line\"; kill -TERM $$",
    "sed -u 3q",
]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Backoffs:
    """Takes the place of `backoff`: remembers what was asked, and waits for nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.attempts: list[int] = []
        monkeypatch.setattr(link_attempts, "backoff", self.backoff)

    def backoff(self, attempt: int) -> float:
        self.attempts.append(attempt)
        return 0.0


async def survive(session: Session, deaths: Callable[[], int], times: int) -> None:
    """Messages pass by the stage, in whatever state its partner is, until it has died so often; the session stays up.

    The next death has to come in time, not all of them: a machine may be slow."""
    number = seen = 0
    async with asyncio.timeout(NEXT) as deadline:
        while deaths() < times:
            if deaths() > seen:
                seen = deaths()
                deadline.reschedule(asyncio.get_running_loop().time() + NEXT)
            session.left.send(make_update(number % 50_000))
            session.right.send(Message(KEEPALIVE))  # passes by: its arrival shows that the session is up
            assert (await session.left.next()).type_code == KEEPALIVE
            number += 1


@pytest.mark.parametrize("times", DEATHS)
async def test_a_program_that_dies(times: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It exits, is killed, floods, closes its pipes, stops in the middle of a line, one after the other:
    it is started again with growing waits, the session stays up, and no zombie and no descriptor is left."""
    backoffs, earlier = Backoffs(monkeypatch), set(children())
    program = tmp_path / "program"
    cases = "".join(f"{number}) {way};;\n" for number, way in enumerate(WAYS))
    turn = tmp_path / "turn"
    turn.write_text("0\n")
    count = f"read -r turn < {turn}\necho $((turn + 1)) > {turn}\n"
    program.write_text(f"#!/bin/sh\n{count}case $((turn % {len(WAYS)})) in\n{cases}esac\n")
    program.chmod(0o755)
    words = ("exec", "-R", "--type", "UPDATE", "--on-exit", "restart", "--pardon", str(program))
    async with between(*words) as session:
        deaths: Callable[[], int] = lambda: len(session.pipeline.happened("exec/EXIT"))  # noqa: E731
        before = open_files()
        await session.establish(make_open(65001), make_open(65002))
        await survive(session, deaths, times)
        assert open_files() - before <= 8, "those of one program"
        assert len(set(children()) - earlier) <= 4, "it, and what it has started"
        assert backoffs.attempts[:times] == list(range(1, times + 1))
        codes = {event.values[0] for event in session.pipeline.happened("exec/EXIT")}
        assert {3, -signal.SIGKILL, -signal.SIGTERM, 0} <= codes
    assert set(children()) <= earlier


@pytest.mark.parametrize("times", DEATHS)
async def test_a_server_that_dies(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It resets the connection, before or after the handshake, in the middle of a frame, or ends it as it should, at
    random: it is called again with growing waits, the session stays up, and no descriptor and no task is left."""
    backoffs = Backoffs(monkeypatch)
    rng, deaths = Random(32), 0

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal deaths
        way = rng.randrange(5)
        try:
            if way:
                head = await reader.readuntil(b"\r\n\r\n")
                key = re.search(rb"Sec-WebSocket-Key: (\S+)", head, re.IGNORECASE)
                assert key is not None
                accept = b64encode(sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                writer.write(answer + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            if way > 1:
                writer.write((b"\x82\x7e\x10\0half a frame", b"\x88\2\3\xe9", b"no frame at all")[way - 2])
                await writer.drain()
            if way == 3:
                await reader.read(1 << 16)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            deaths += 1
            writer.transport.abort()

    where = address()
    host, _, port = where.partition(":")
    server = await asyncio.start_server(die, host, int(port))
    words = ("websocket", "-R", "--type", "UPDATE", "--retry", f"ws://{where}")
    try:
        async with between(*words) as session:
            await session.establish(make_open(65001), make_open(65002))
            before = open_files(), len(asyncio.all_tasks())
            await survive(session, lambda: deaths, times)
            assert open_files() - before[0] <= 4, "those of one connection, at both ends"
            assert len(asyncio.all_tasks()) - before[1] <= 8, "those of one connection, at both ends"
            assert len(backoffs.attempts) >= times - 1
    finally:
        server.close()
        await server.wait_closed()


def test_no_shell_is_involved(tmp_path: Path) -> None:
    """What a shell would take for more than a word is one: as an argument it arrives, as a command it is not found."""
    words = [
        "$(touch spoilt)",
        "`touch spoilt`",
        "; touch spoilt",
        "| touch spoilt",
        "> spoilt",
        "*",
        "~",
        "$HOME",
        "a b",
    ]
    program, seen = tmp_path / "program", tmp_path / "seen"
    program.write_text(f"#!{sys.executable}\nimport sys\nopen({str(seen)!r}, 'w').write(repr(sys.argv[1:]))\n")
    program.chmod(0o755)
    assert spawn("exec", "--read", "-A", program, *words, cwd=tmp_path).code == 0
    assert seen.read_text() == repr(words)
    for word in words[:5]:
        done = spawn("exec", "--read", f"true {word}", cwd=tmp_path)
        assert done.code == 1
        assert "no such program" in done.err
    assert not (tmp_path / "spoilt").exists()
