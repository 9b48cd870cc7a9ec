"""pipe: FIFOs and Unix sockets, whose other ends come and go."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from sessions import between, make_open, make_update, running

from bgpipe.net.pipes import Fifos
from bgpipe.pipeline import events
from bgpipe.pipeline.errors import StageError
from bgpipe.stages.base import link_attempts
from bgpipe.wire.message import KEEPALIVE, Message
from commandline import spawn

OPENS = make_open(65001), make_open(65002)


@pytest.fixture
def fifo(tmp_path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def quick(monkeypatch) -> None:
    """No time passes between attempts."""
    monkeypatch.setattr(link_attempts, "backoff", lambda attempt: 0.01)


def reading(path: Path) -> BinaryIO:
    return path.open("rb")


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def shell(text: str, *words: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("sh", "-c", text, "sh", *map(str, words))


@asynccontextmanager
async def echo(path: Path, limit: int = -1):
    """A server at a Unix socket that gives back what it gets; it hangs up after so many pieces."""

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces = 0
        while pieces != limit and (octets := await reader.read(1 << 16)):
            writer.write(octets)
            await writer.drain()
            pieces += 1
        writer.close()

    server = await asyncio.start_unix_server(on_client, path)
    try:
        yield server
    finally:
        server.close()
        remove(path)


async def test_a_session_through_fifos(fifo):
    async with between("pipe", "-LR", str(fifo)) as session:
        await session.pipeline.until(lambda: Path(f"{fifo}.reply").exists())
        program = await shell('exec sed -u "s/65001/64999/g" <"$1" >"$1.reply"', fifo)
        try:
            session.left.send(OPENS[0])
            assert (await (await session.called()).next()).open.asn == 64999
            session.right.send(OPENS[1])
            assert (await session.left.next()).open.asn == 65002
        finally:
            program.kill()
            await program.wait()
    assert os.listdir(fifo.parent) == [fifo.name], "what we have made is removed"


async def test_our_own_output_does_not_come_back(fifo):
    """Nobody is at the other end: nothing passes, whatever we have written."""
    words = ("pipe", "-R", "--stall-timeout", "0", "--type", "UPDATE", str(fifo))
    async with between(*words) as session:
        await session.establish(*OPENS)
        session.left.send(make_update(1), Message(KEEPALIVE))
        assert (await session.right.next()).type_code == KEEPALIVE


async def test_fifo_to_be_written(fifo, tmp_path):
    """Who reads may go, and another one come: nothing is lost between them, and the session is as it was."""
    async with between("pipe", "-R", "--write", str(fifo)) as session:
        await session.establish(*OPENS)
        got = []
        for number in range(3):
            session.left.send(make_update(number), make_update(number + 100))
            with reading(fifo) as octets:
                count = "4" if not number else "2"
                reader = await asyncio.create_subprocess_exec(
                    "sed", "-u", f"{count}q", stdin=octets, stdout=subprocess.PIPE
                )
            octets, _ = await reader.communicate()
            got += [json.loads(line) for line in octets.splitlines()]
        assert [line[3] for line in got[:2]] == ["OPEN", "KEEPALIVE"]
        prefixes = [line[4]["reach"][0] for line in got[2:]]
        assert prefixes == [f"10.0.{n}.0/24" for n in (0, 100, 1, 101, 2, 102)]
        assert len(await session.right.until(make_update(102))) == 6


async def test_fifo_to_be_read(fifo):
    """Who writes may go, and another one come."""
    async with running("-o", "--", "pipe", "--read", str(fifo), "--", "grep", "-LR", "update") as made:
        await made.until(lambda: made.happened("pipe/START"))
        line = made.pipeline.lines["R"]
        for number in range(1, 4):
            writer = await shell('echo "{\\"reach\\":[\\"192.0.2.0/24\\"]}" >"$1"', fifo)
            await writer.wait()
            await made.until(lambda n=number: line.left == n)
        assert not made.task.done()


def test_the_end_of_the_input_is_told(fifo, tmp_path, sample, sample_json):
    """The program at the other end sees it, and when it has ended too, so does the pipeline."""
    out = tmp_path / "out.json"
    os.mkfifo(f"{fifo}.reply")
    with subprocess.Popen(["sh", "-c", 'exec cat <"$1" >"$1.reply"', "sh", str(fifo)]) as program:
        done = spawn("read", sample, "--", "pipe", fifo, "--", "write", out)
        assert program.wait(10) == 0
    assert done.code == 0
    assert len(out.read_text().splitlines()) == len(sample_json)
    assert Path(f"{fifo}.reply").exists(), "it was there before"


async def test_a_program_that_was_there_first(tmp_path):
    """A shell waits for the FIFO and opens the one for replies in the same moment: it is there."""
    for number in range(20):
        fifo = tmp_path / f"fifo{number}"
        os.mkfifo(fifo)
        program = await shell('exec cat <"$1" >"$1.reply"', fifo)
        link = Fifos(str(fifo), f"{fifo}.reply")
        try:
            await link.write(b"1\n")
            assert await asyncio.wait_for(link.read(), 10) == b"1\n"
        finally:
            link.abort()
        assert await program.wait() == 0


@pytest.mark.parametrize("on_exit", ["kill", "restart"])
@pytest.mark.parametrize("path", ["nowhere", "file", ".", "with a reply"])
def test_what_is_no_pipe(bgpipe, sample, tmp_path, path, on_exit):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "with a reply")
    (tmp_path / "with a reply.reply").write_text("")
    how = ("--write",) if "reply" not in path else ()
    done = bgpipe("-o", "read", sample, "--", "pipe", *how, "--on-exit", on_exit, tmp_path / path)
    assert done.code == 1
    why = {"nowhere": "no such FIFO", ".": "Is a directory"}
    assert why.get(path, "neither a FIFO nor a Unix socket") in done.err
    assert f"[2] pipe: {tmp_path / path}" in done.err


def test_a_socket_at_which_nobody_listens(bgpipe, sample, tmp_path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    done = bgpipe("-o", "read", sample, "--", "pipe", "--on-exit", "kill", tmp_path / "socket")
    assert done.code == 1
    assert f"bgpipe: [2] pipe: {tmp_path / 'socket'}: Connection refused" in done.err


async def test_a_session_through_a_socket(tmp_path):
    path = tmp_path / "socket"
    async with echo(path), between("pipe", "-LR", str(path)) as session:
        await session.establish(*OPENS)
        session.left.send(*map(make_update, range(500)))
        session.right.send(make_update(7))
        await session.right.until(make_update(499))
        assert [m.octets for m in session.right.got[2:]] == [make_update(n).octets for n in range(500)]
        await session.left.until(make_update(7))


async def test_a_socket_is_told_the_end_of_the_input(tmp_path, sample, sample_json):
    path, out = tmp_path / "socket", tmp_path / "out.json"
    async with echo(path), running("read", sample, "--", "pipe", path, "--", "write", out) as made:
        await made.ended()
    assert len(out.read_text().splitlines()) == len(sample_json)


async def test_a_socket_whose_server_hangs_up(tmp_path, quick):
    """It is called again; the session goes on."""
    path = tmp_path / "socket"
    async with echo(path, limit=8), between("pipe", "-LR", "--pardon", str(path)) as session:
        await session.establish(*OPENS)
        for number in range(30):
            session.left.send(make_update(number))
            await session.right.until(make_update(number))


async def test_a_socket_whose_server_is_gone(tmp_path, quick):
    """As long as there is none messages wait, for a while, then they pass by; and a new one is found."""
    path = tmp_path / "socket"
    words = ("pipe", "-LR", "--stall-timeout", "300ms", str(path))
    async with echo(path, limit=0) as server, between(*words) as session:
        stage = session.pipeline.stage("pipe")
        server.close()
        remove(path)
        await session.establish(*OPENS)
        session.left.send(make_update(1))
        await session.right.until(make_update(1))
        await session.pipeline.until(lambda: session.pipeline.happened(events.RECONNECT))
        async with echo(path):
            await session.pipeline.until(lambda: stage.link is not None)
            session.left.send(make_update(2))
            await session.right.until(make_update(2))


async def test_kill(tmp_path):
    path = tmp_path / "socket"
    async with echo(path, limit=2), between("pipe", "-LR", "--on-exit", "kill", str(path)) as session:
        session.left.send(OPENS[0])
        await (await session.called()).next()
        session.left.send(Message(KEEPALIVE))
        with pytest.raises(StageError, match="the other end has closed the connection"):
            await session.pipeline.ended()
