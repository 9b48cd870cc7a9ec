"""A command that waits for programs, files, pipes and WebSockets."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

from peers import (
    Bgpipe,
    Peer,
    announcement,
    sentinel,
    wait_until,
)
from points import Ready, between, point, router, script, start, where

# programs

CAT = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)\n"


@point("a program that ignores SIGTERM")
def _(folder: Path, stack: ExitStack) -> Ready:
    deaf = "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CAT + "time.sleep(3600)\n"
    running, other = between(stack, "exec", "-LR", *script(folder, deaf))
    left, right = running.session(other)
    left.say(sentinel())
    right.hear_until(sentinel())
    return Ready(running, told=[left, right])


@point("a program that stands still")
def _(folder: Path, stack: ExitStack) -> Ready:
    """What it has read is the program's affair, and it gives nothing back."""
    stops = CAT.replace("\n", "\nimport os, signal\n", 1).replace(
        "for line in sys.stdin:",
        "for line in sys.stdin:\n    if '198.18.0.0' in line: os.kill(os.getpid(), signal.SIGSTOP)\n   ",
    )
    running, other = between(stack, "exec", "-LR", *script(folder, stops))
    left, right = running.session(other)
    left.say(sentinel())
    wait_until("it stands still", lambda: any(state(child) == "T" for child in running.children))
    return Ready(running, told=[left, right])


def state(child: str) -> str:
    return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]


@point("draining a slow program")
def _(folder: Path, stack: ExitStack) -> Ready:
    """`head` has seen enough, and the program takes an hour for what it was given."""
    slow = (
        CAT.replace(": print", ":\n    print")
        + "    print('begun', file=sys.stderr)\n    import time\n    time.sleep(1)\n"
    )
    archive, path = folder / "in.json", folder / "out.json"
    lines = (json.dumps(["R", n, "2024-01-01T00:00:00.000", "KEEPALIVE", None, {}]) for n in range(5000))
    archive.write_text("\n".join(lines) + "\n")
    slowly = script(folder, slow)
    running = start(stack, "read", archive, "--", "head", "-n", "3000", "--", "exec", *slowly, "--", "write", path)
    running.waits_for_log("begun")
    return Ready(running, code=1)


@point("a limit of rate")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack, "grep", "-R", "--rate-limit", "1", "update || !update")
    left, right = running.session(other)
    left.say(*(announcement(f"10.{n}.0.0/16") for n in range(100)))
    right.hear()
    return Ready(running, told=[left, right], code=1)


# files and pipes


@point("a FIFO that nobody writes")
def _(folder: Path, stack: ExitStack) -> Ready:
    fifo, path = folder / "in.mrt", folder / "out.json"
    os.mkfifo(fifo)
    running = start(stack, "-e", "all", "read", fifo, "--", "write", path)
    running.waits_for_log("read/START")
    return Ready(running)


@point("a FIFO that nobody reads")
def _(folder: Path, stack: ExitStack) -> Ready:
    fifo = folder / "out.json"
    os.mkfifo(fifo)
    running, other = between(stack, "write", "-LR", fifo)
    left, right = running.session(other)
    left.say(sentinel())
    right.hear_until(sentinel())
    return Ready(running, told=[left, right], code=1)


@point("a FIFO that nobody reads, many sessions")
def _(folder: Path, stack: ExitStack) -> Ready:
    fifo = folder / "out.json"
    os.mkfifo(fifo)
    running, other = between(stack, "write", "-LR", fifo, listen=("--many",))
    left, right = running.session(other)
    left.say(sentinel())
    right.hear_until(sentinel())
    return Ready(running, told=[left, right], code=1)


@point("standard input that says nothing")
def _(folder: Path, stack: ExitStack) -> Ready:
    fifo = folder / "in"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)
    stack.callback(os.close, held)
    running = start(stack, "-e", "all", "stdin", "--", "write", folder / "out.json", stdin=fifo)
    running.waits_for_log("stdin/START")
    return Ready(running)


@point("a URL that stands still")
def _(folder: Path, stack: ExitStack) -> Ready:
    server = router(stack)
    running = start(stack, "read", f"http://{server.address}/updates", "--", "write", folder / "out.json")
    client = server.accept()
    client.socket.recv(1000)
    client.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + sentinel())
    wait_until("a message is there", lambda: (folder / "out.json.tmp").stat().st_size)
    return Ready(running, code=1)  # a part of the archive is no archive


# WebSockets


@point("a WebSocket that is not answered")
def _(folder: Path, stack: ExitStack) -> Ready:
    server = router(stack)
    running = start(stack, "--", "listen", where(), "--", "websocket", "-LR", f"ws://{server.address}/bgp")
    assert server.accept().socket.recv(3) == b"GET"
    return Ready(running)


@point("a WebSocket without clients")
def _(folder: Path, stack: ExitStack) -> Ready:
    words = ("websocket", "-LR", "--write", "--listen", f"ws://{where()}/bgp")
    running, other = between(stack, *words)
    host, port = running.waits_for_log(r"(?m)listening on ([\d.]+):(\d+)$")[0]
    running.__dict__["address"] = host, int(port)
    left, right = running.session(other)
    return Ready(running, told=[left, right])


def tunnel(stack: ExitStack) -> tuple[Bgpipe, Bgpipe, Peer, Peer]:
    """Two of us with a WebSocket between them, and both routers."""
    other, middle = router(stack), where()
    far = start(
        stack, "--", "websocket", "-LR", "--listen", "--open", f"ws://{middle}/", "--", "connect", other.address
    )
    far.waits_for_log("listening on")
    near = start(stack, "--", "listen", where(), "--", "websocket", "-LR", "--retry", f"ws://{middle}/")
    left, right = near.session(other)
    return near, far, left, right


@point("a tunnel, the near side")
def _(folder: Path, stack: ExitStack) -> Ready:
    near, _, left, right = tunnel(stack)
    return Ready(near, told=[left, right])


@point("a tunnel, the far side")
def _(folder: Path, stack: ExitStack) -> Ready:
    _, far, left, right = tunnel(stack)
    return Ready(far, told=[right, left])


@point("a tunnel whose other side is gone")
def _(folder: Path, stack: ExitStack) -> Ready:
    near, far, left, _ = tunnel(stack)
    far.process.kill()
    near.waits_for_log("the connection of the tunnel is lost")
    return Ready(near, told=[left])
