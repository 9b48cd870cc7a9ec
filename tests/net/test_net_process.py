"""Programs beside us: what goes in and comes out, how they end, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from bgpipe.net import process
from bgpipe.net.process import ChildProcess, explain_code, find_program, output_of
from fork_server import children, is_alive

CLOSE_TIMEOUT = 20


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


async def read_all(running: ChildProcess) -> bytes:
    octets = b""
    async with asyncio.timeout(CLOSE_TIMEOUT):
        while piece := await running.read():
            octets += piece
    return octets


async def gone(pid: int) -> None:
    """Returns when a process is no more, or no more than something that its parent has to look at."""
    async with asyncio.timeout(CLOSE_TIMEOUT):
        while is_alive(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_is_left():
    before, earlier = descriptors(), set(children())
    yield
    assert descriptors() == before
    assert set(children()) <= earlier


async def test_in_and_out():
    running = await ChildProcess.start(["cat"])
    sent = os.urandom(3 << 20)
    reading = asyncio.create_task(read_all(running))
    await running.write(sent)
    left = -1
    while left != running.waiting:  # it reads on meanwhile
        left, taken = running.waiting, running.taken
    assert taken + left == len(sent)
    running.end()
    assert await reading == sent
    assert await running.close(1) == ""
    assert running.code == 0


async def test_what_it_has_not_taken_waits():
    running = await ChildProcess.start(["sleep", "100"])
    writing = asyncio.create_task(running.write(bytes(1 << 20)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert running.waiting == 1 << 20, "what lies in the pipe is not taken"
    assert running.taken == 0
    running.abort()
    with pytest.raises(BrokenPipeError):
        await writing
    await running.close(0)
    assert running.code == -signal.SIGKILL


async def test_it_takes_no_more():
    running = await ChildProcess.start(shell("exec <&-; echo closed; sleep 100"))
    assert await running.read() == b"closed\n"
    with pytest.raises(BrokenPipeError):
        await running.write(bytes(1 << 20))
    assert await running.close(1) == "", "we have ended it: that is no failure of its own"
    assert running.code == -signal.SIGTERM


async def test_exit_codes():
    for text, code, why in (("exit 3", 3, "exit code 3"), ("kill -9 $$", -9, "killed by SIGKILL"), ("", 0, "")):
        running = await ChildProcess.start(shell(f"echo last words; {text}"))
        assert await read_all(running) == b"last words\n"
        assert await running.close(1) == why
        assert running.code == code
    assert explain_code(-200) == "killed by signal 200"


async def test_the_code_of_a_program_that_has_stopped_reading_first():
    """It closes its input, and a write fails before anybody reads the end of its output: it is not ended by us."""
    running = await ChildProcess.start(shell("exec <&-; sleep 0.2; exit 3"))
    with pytest.raises(BrokenPipeError):  # more than a pipe holds
        await asyncio.wait_for(running.write(bytes(1 << 20)), CLOSE_TIMEOUT)
    assert await running.close(CLOSE_TIMEOUT) == "exit code 3"


async def test_standard_error_comes_in_lines():
    lines: list[str] = []
    text = r"printf 'one\ntwo\r\n\377\n' >&2; head -c 10000 /dev/zero | tr '\0' x >&2"
    running = await ChildProcess.start(shell(text), on_line=lines.append)
    await read_all(running)
    await running.close(1)
    assert lines[:3] == ["one", "two", "\N{REPLACEMENT CHARACTER}"]
    assert [len(line) for line in lines[3:]] == [4096, 4096, 1808]


async def test_without_input_or_output():
    running = await ChildProcess.start(shell("cat; echo nothing was there"), reads=False)
    assert await read_all(running) == b"nothing was there\n"
    await running.close(1)
    running = await ChildProcess.start(shell("cat > /dev/null; echo nobody hears"), writes=False)
    await running.write(b"x")
    running.end()
    assert await running.read() == b"", "which comes when it ends"
    await running.close(1)


async def test_its_output_may_end_before_it(monkeypatch):
    monkeypatch.setattr(process, "STRAGGLER", 0.05)
    running = await ChildProcess.start(shell("exec >&-; sleep 100"))
    assert await running.read() == b""
    assert await running.close(1) == ""
    running = await ChildProcess.start(shell("exec >&-; read line; exit 5"), keep_stdout=True)
    reading = asyncio.create_task(running.read())
    await running.write(b"\n")
    assert await reading == b""
    assert await running.close(1) == "exit code 5"


async def test_its_output_in_other_hands(monkeypatch):
    """It has ended, and a process that it has left holds its output: that ends too, when it has nothing to say."""
    monkeypatch.setattr(process, "STRAGGLER", 0.05)
    running = await ChildProcess.start(shell("sleep 100 & echo $!"))
    octets = await read_all(running)
    assert await running.close(1) == ""
    pid = int(octets)
    await gone(pid)


async def test_it_ignores_sigterm():
    running = await ChildProcess.start(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"))
    assert await running.read() == b"ready\n"
    await running.close(0.1)
    assert running.code == -signal.SIGKILL


async def test_its_whole_group_ends():
    running = await ChildProcess.start(shell("sleep 100 & echo $!; wait"))
    pid = int(await running.read())
    await running.close(1)
    await gone(pid)


async def test_closing_is_cancelled():
    running = await ChildProcess.start(shell("trap '' TERM; echo ready; while :; do sleep 0.1; done"))
    await running.read()
    closing = asyncio.create_task(running.close(100))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await running.close(0)
    assert running.code == -signal.SIGKILL


def test_find_program(tmp_path):
    (tmp_path / "plain").write_text("")
    assert find_program("sh").endswith("/sh")
    plain, nowhere = str(tmp_path / "plain"), str(tmp_path / "nowhere")
    for word, error in ((nowhere, FileNotFoundError), (plain, PermissionError), ("", FileNotFoundError)):
        with pytest.raises(error):
            find_program(word)


async def test_what_can_not_be_started(tmp_path):
    path = tmp_path / "script"
    path.write_text("no first line\n")
    path.chmod(0o755)
    with pytest.raises(OSError, match="first line such as"):
        await ChildProcess.start([str(path)])


async def test_what_a_program_writes_until_its_end(tmp_path):
    told = await output_of(("sh", "-c", "cat; echo no >&2; exit 3"), b"in")
    assert told == (3, b"in", b"no\n")
    (tmp_path / "file").write_bytes(b"of a file")
    with (tmp_path / "file").open("rb") as file:
        assert (await output_of(("cat",), file)).stdout == b"of a file"
    with pytest.raises(OSError, match="nothing"):
        await output_of((str(tmp_path / "nothing"),))


async def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path):
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(TimeoutError):
        await output_of(("sh", "-c", script), timeout=0.5)
    await gone(int((tmp_path / "pid").read_text()))
