"""FIFOs and Unix sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from bgpipe.net.pipes import Fifos, PipeReader, PipeWriter, UnixSocket


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) == len(before)


def ends() -> tuple[PipeReader, PipeWriter]:
    reading, writing = os.pipe()
    return PipeReader(reading), PipeWriter(writing)


async def test_more_than_a_pipe_holds():
    reader, writer = ends()
    writing = asyncio.create_task(writer.write(bytes(1 << 20)))
    got = 0
    while got < 1 << 20:
        got += len(await reader.read())
    await writing
    assert writer.waiting == 0
    writer.close()
    assert await reader.read() == b""
    reader.close()


async def test_closed_while_somebody_waits():
    reader, writer = ends()
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    assert reader.blocked
    reader.close()
    assert await reading == b""
    with pytest.raises(BrokenPipeError):
        await writer.write(b"x")
    writer.close()
    with pytest.raises(BrokenPipeError):
        await writer.write(b"x")
    reader, writer = ends()
    writing = asyncio.create_task(writer.write(bytes(1 << 20)))
    await asyncio.sleep(0)
    writer.close()
    with pytest.raises(BrokenPipeError):
        await writing
    reader.close()


async def test_cancelled_while_somebody_waits():
    reader, writer = ends()
    reading, writing = asyncio.create_task(reader.read()), asyncio.create_task(writer.write(b"x"))
    await writing
    assert await reading == b"x"
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    await writer.write(b"y")
    assert await reader.read() == b"y"
    reader.close()
    writer.close()


async def test_two_fifos(tmp_path):
    path, reply = tmp_path / "fifo", tmp_path / "reply"
    os.mkfifo(path)
    link = Fifos(str(path), str(reply))
    await link.write(b"out")
    with path.open("rb") as there:
        assert os.read(there.fileno(), 10) == b"out"
    with reply.open("wb") as back:
        back.write(b"in")
        back.flush()
        assert await link.read() == b"in"
        link.end()
    assert await link.read() == b"", "nobody else writes"
    assert await link.close(1) == ""
    assert os.listdir(tmp_path) == ["fifo"]


async def test_fifos_that_are_none(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("text")
    for outgoing, incoming in ((str(plain), ""), ("", str(plain)), (str(tmp_path / "nowhere"), "")):
        with pytest.raises(OSError, match=r"neither a FIFO|No such file"):
            Fifos(outgoing, incoming)
    assert plain.read_text() == "text"


async def test_one_fifo_has_one_way(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    link = Fifos(str(path), "")
    reading = asyncio.create_task(link.read())
    await link.write(b"x")
    await asyncio.sleep(0)
    assert not reading.done(), "what we have written is not ours to read"
    link.end()
    assert await reading == b""
    await link.close(1)
    link = Fifos("", str(path))
    with path.open("wb") as there:
        there.write(b"y")
    assert await link.read() == b"y"
    await link.close(1)


async def test_a_socket(tmp_path):
    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(2 * await reader.read())
        await writer.drain()
        writer.close()

    path = tmp_path / "socket"
    server = await asyncio.start_unix_server(twice, path)
    link = await UnixSocket.connect(str(path))
    await link.write(b"ab")
    link.end()
    assert await link.read() == b"abab"
    assert await link.read() == b""
    assert await link.close(1) == ""
    server.close()
    await server.wait_closed()
    os.unlink(path)
    with pytest.raises(FileNotFoundError):
        await UnixSocket.connect(str(path))
    assert not Path(path).exists()  # noqa: ASYNC240


@pytest.mark.parametrize("reads", [0, 1])
async def test_what_a_socket_has_not_read_is_known(tmp_path, reads):
    """When the other program closes it without reading everything, that counts as unread; else all is read."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        link = await UnixSocket.connect(str(path))
        with listening.accept()[0] as other:
            await link.write(b"one\n")
            assert other.recv(100) == b"one\n"
            assert link.taken == 4
            await link.write(b"two\n")
            if reads:
                other.recv(100)
        assert await link.read() == b""
        assert await link.close(1) == ""
        assert link.tells_unread == (not reads)
        assert link.taken == (8 if reads else 4)
