"""A program that fails in every way beside an archive: nothing is missing without a word, whatever --on-exit says."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha1
from pathlib import Path

import pytest

COUNT = 50
PROGRAMS = {
    "never reads": "exec sleep 0.3",
    "ends at once": "exit 0",
    "fails at once": "exit 3",
    "is killed at once": "kill -9 $$",
    "is killed when it has read": "cat >/dev/null; kill -9 $$",
    "reads one": 'read -r line; echo "$line"',
    "closes its input": "exec <&-; sleep 0.3",
    "closes its output": "exec >&-; cat >/dev/null",
    "says nonsense": "cat; echo nonsense",
    "says everything twice": 'while read -r line; do echo "$line"; echo "$line"; done',
    "eats everything": "cat >/dev/null",
    "passes on": "cat",
}
TAKEN = ("is killed when it has read", "closes its output", "eats everything", "reads one")
"""What they have read and not given back is theirs: nobody can tell it from what a filter drops."""
MODES = {"filter": (), "copies": ("--copy",), "only copies": ("--write",)}
HOW = ("kill", "pass", "drop", "restart")
CHEAP = {("never reads", mode, how) for mode in MODES for how in ("kill", "pass", "drop")}
CELLS = [
    pytest.param(program, mode, how, marks=() if (program, mode, how) in CHEAP else pytest.mark.slow)
    for program in PROGRAMS
    for mode in MODES
    for how in HOW
    if not (how == "restart" and program not in ("passes on", "eats everything", "never reads"))  # it has another try
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "in.json"
    attrs = {"ORIGIN": {"flags": "T", "value": "IGP"}, "ASPATH": {"flags": "T", "value": [65001]}}
    attrs["NEXTHOP"] = {"flags": "T", "value": "192.0.2.1"}
    bodies = [{"reach": [f"10.0.{number}.0/24"], "attrs": attrs} for number in range(COUNT)]
    rows = [["R", at, "2024-01-01T00:00:00.000", "UPDATE", body, {}] for at, body in enumerate(bodies, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("program", "mode", "how"), CELLS)
def test_nothing_is_missing_without_a_word(bgpipe, archive, tmp_path, program, mode, how):
    script, out = tmp_path / "program", tmp_path / "out.json"
    script.write_text(f"#!/bin/sh\n{PROGRAMS[program]}\n")
    script.chmod(0o700)
    done = bgpipe("read", archive, "--", "exec", *MODES[mode], "--on-exit", how, script, "--", "write", out)
    there = out if out.exists() else Path(f"{out}.partial")
    arrived = set(re.findall(r"10\.0\.\d+\.0/24", there.read_text())) if there.exists() else set()
    assert "Traceback" not in done.err
    assert "unexpected" not in done.err
    if mode != "filter" and out.exists():
        assert len(arrived) == COUNT, "a copy changes nothing"
    if program == "never reads":
        told = r"without reading (all: .* unread=50|50 messages)"
        assert re.search(told, done.err), done.err
        assert done.code == (1 if how == "kill" else 0)
        assert len(arrived) == (COUNT if mode != "filter" or how in ("pass", "restart") else 0)
    elif done.code == 0 and len(arrived) < COUNT and program not in TAKEN:
        assert re.search(r"(missed|lost)=\d+", done.err), done.err
    if program == "passes on":
        assert (done.code, len(arrived)) == (0, COUNT)


@pytest.mark.parametrize("how", ["kill", "pass"])
@pytest.mark.parametrize("mode", ["filter", "only copies"])
def test_a_fifo_that_nobody_reads(bgpipe, archive, tmp_path, mode, how):
    fifo, out = tmp_path / "fifo", tmp_path / "out.json"
    os.mkfifo(fifo)
    done = bgpipe("read", archive, "--", "pipe", *MODES[mode], "--on-exit", how, fifo, "--", "write", out)
    assert re.search(r"without reading (all: .* unread=50|50 messages)", done.err), done.err
    assert done.code == (1 if how == "kill" else 0)
    if how == "pass":
        assert out.read_text().count("UPDATE") == COUNT


@contextmanager
def served(listening: socket.socket, talk: Callable[[socket.socket], object]) -> Iterator[None]:
    """Each client is talked to, and the connection is closed then."""

    def run() -> None:
        with suppress(OSError):
            while True:
                with listening.accept()[0] as client, suppress(OSError):
                    talk(client)

    listening.listen()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def await_octets(client: socket.socket) -> None:
    """Returns when there is something, which stays there."""
    select.select([client], [], [], 10)


def upgrade(client: socket.socket) -> None:
    """Answers the request for a WebSocket, and reads nothing of what follows."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += client.recv(1)
    key = re.search(rb"Sec-WebSocket-Key: *(\S+)", asked, re.IGNORECASE)[1]  # type: ignore[index]
    accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await_octets(client)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("mode", ["filter", "only copies"])
@pytest.mark.parametrize("kind", ["pipe", "websocket"])
def test_a_partner_that_never_reads(bgpipe, archive, tmp_path, kind, mode, how):
    """It closes the connection: what it has not read passes by, is lost or ends the pipeline, and is told."""
    out = tmp_path / "out.json"
    if kind == "pipe":
        listening, where = socket.socket(socket.AF_UNIX), str(tmp_path / "socket")
        listening.bind(where)
        talk = await_octets
    else:
        listening = socket.create_server(("127.0.0.1", 0))
        where, talk = f"ws://127.0.0.1:{listening.getsockname()[1]}/", upgrade
    with served(listening, talk):
        done = bgpipe("read", archive, "--", kind, *MODES[mode], "--on-exit", how, where, "--", "write", out)
    assert re.search(r"without reading (all: .* unread=50|50 messages)|missed=50", done.err), done.err
    assert done.code == (1 if how == "kill" else 0)
    if how != "kill":
        lost = mode == "filter" and how == "drop"
        assert out.read_text().count("UPDATE") == (0 if lost else COUNT)


def test_a_partner_that_reads_all_and_closes_at_once(bgpipe, archive, tmp_path):
    """That is no loss, although nobody has seen it read."""
    path, out = str(tmp_path / "socket"), tmp_path / "out.json"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)

    def echo(client: socket.socket) -> None:
        while octets := client.recv(1 << 16):
            client.sendall(octets)

    with served(listening, echo):
        done = bgpipe("read", archive, "--", "pipe", "--on-exit", "kill", path, "--", "write", out)
    assert done.code == 0, done.err
    assert "reading" not in done.err
    assert out.read_text().count("UPDATE") == COUNT
