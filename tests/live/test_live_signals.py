"""SIGTERM and SIGINT at every step of a session's life: the process ends within 5 seconds, with the exit code that
docs/events.md says, every peer that has been sent an OPEN gets Cease/Administrative Shutdown, and outputs are whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from peers import (
    ALIVE,
    CLOSE_TIMEOUT,
    Bgpipe,
    Peer,
    Router,
    announcement,
    another_id,
    bgpipe,
    greeting,
    kind,
    notification,
    place,
    pour,
    sentinel,
    updates,
    wait_until,
)

from bgpipe.wire.message import UPDATE
from leaks import LEAKS

SIGNALS = [signal.SIGTERM, signal.SIGINT]
END_TIMEOUT = 5.0
"""Seconds in which the process must have ended."""
CEASE_SHUTDOWN = (6, 2)


@dataclass
class Ready:
    """A command at the point that is tried.

    told: peers that must hear of the end; untold: those that see the connection end, and nothing else. code: the exit
    code. check: what must hold then.
    """

    running: Bgpipe
    told: list[Peer] = field(default_factory=list)
    untold: list[Peer] = field(default_factory=list)
    code: int = 0
    check: Callable[[], object] = lambda: None


Point = Callable[[Path, ExitStack], Ready]
POINTS: dict[str, Point] = {}
QUICK: set[str] = set()
"""those that `make test` tries too"""


def point(name: str, quick: bool = False) -> Callable[[Point], Point]:
    def add(function: Point) -> Point:
        POINTS[name] = function
        if quick:
            QUICK.add(name)
        return function

    return add


def start(stack: ExitStack, *words: str | Path, stdin: Path | None = None) -> Bgpipe:
    return stack.enter_context(bgpipe(*map(str, words), fails=True, stdin=stdin))


def router(stack: ExitStack, buffer: int = 0) -> Router:
    made = Router(buffer)
    stack.callback(made.close)
    return made


def where() -> str:
    host, port = place()
    return f"{host}:{port}"


def between(stack: ExitStack, *stages: str | Path, listen: tuple[str, ...] = (), **more: int) -> tuple[Bgpipe, Router]:
    """A proxy with stages between its ends, and where it connects to."""
    other = router(stack, **more)
    middle = ("--", *stages) if stages else ()
    words = ("--", "listen", *listen, where(), *middle, "--", "connect", "-W", "listen", other.address)
    return start(stack, *words), other


def script(folder: Path, text: str) -> tuple[str, str, str]:
    """The words that run a program in Python."""
    path = folder / "program.py"
    path.write_text(text)
    return "-A", sys.executable, str(path)


def hanging_names(stack: ExitStack, folder: Path) -> None:
    """From now on, in processes that are started, the resolver never answers for hangs.example."""
    (folder / "sitecustomize.py").write_text(
        "import socket, sys, time\n"
        "real = socket.getaddrinfo\n"
        "def getaddrinfo(host, *words, **more):\n"
        "    if host == 'hangs.example':\n"
        "        print('resolving', file=sys.stderr, flush=True)\n"
        "        time.sleep(3600)\n"
        "    return real(host, *words, **more)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", "")))))


@contextmanager
def full_listener() -> Iterator[str]:
    """An address at which connections are taken by nobody: a SYN is not answered."""
    host, port = place()
    with socket.socket() as listening:
        listening.bind((host, port))
        listening.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for each in filling:
            each.setblocking(False)
            each.connect_ex((host, port))
        yield f"{host}:{port}"
        for each in filling:
            each.close()


# before there is a session


@point("resolving the name of listen")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "listen", "hangs.example:179", "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of listen --many")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "listen", "--many", "hangs.example:179", "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of connect", quick=True)
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "connect", "hangs.example", "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of a WebSocket")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--", "listen", where(), "--", "websocket", "-LR", "ws://hangs.example/bgp")
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of a URL")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    path = folder / "out.json"
    running = start(stack, "read", "http://hangs.example/updates.gz", "--", "write", path)
    running.waits_for_log("resolving")
    return Ready(running)


@point("resolving the name of --http")
def _(folder: Path, stack: ExitStack) -> Ready:
    hanging_names(stack, folder)
    running = start(stack, "--http", "hangs.example:8080", "--http-open", "--", "listen", where(), "--", "grep", "ipv6")
    running.waits_for_log("resolving")
    return Ready(running)


@point("listening")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "--", "listen", where(), "--", "grep", "ipv6")
    running.waits_for_log("listening on")
    return Ready(running)


@point("connecting")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "--", "connect", stack.enter_context(full_listener()), "--", "grep", "ipv6")
    running.waits_for_log("dialing")
    return Ready(running)


@point("waiting before the next attempt")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "--", "connect", "--retry", where(), "--", "grep", "ipv6")
    running.waits_for_log("next attempt")
    return Ready(running)


@point("TLS handshake of connect")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "connect", "--tls", "--insecure", other.address, "--", "grep", "ipv6")
    silent = other.accept()
    assert silent.socket.recv(1) == b"\x16"  # ClientHello
    return Ready(running)


@point("TLS handshake of listen")
def _(folder: Path, stack: ExitStack) -> Ready:
    from certificates import Authority

    cert, key = Authority(folder / "ca", "authority").issue("router", "127.0.0.1")
    running = start(stack, "--", "listen", "--tls", "--cert", str(cert), "--key", str(key), where(), "--", "speaker")
    running.dial()
    return Ready(running)


# until it is established


@point("waiting for the OPEN")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, _ = between(stack, listen=("--many",))
    return Ready(running, untold=[running.dial()])


@point("the OPEN is passed on")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack)
    left = running.dial()
    left.say(greeting())
    right = other.accept()
    assert right.hear() == greeting()
    return Ready(running, told=[right], untold=[left])


@point("OPEN sent")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "speaker", "--active", "--", "connect", other.address)
    peer = other.accept()
    assert kind(peer.hear()) == 1
    return Ready(running, told=[peer])


@point("OpenConfirm", quick=True)
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "speaker", "--active", "--", "connect", other.address)
    peer = other.accept()
    peer.hear()
    peer.say(greeting())
    assert peer.hear() == ALIVE
    return Ready(running, told=[peer])


# established


@point("established", quick=True)
def _(folder: Path, stack: ExitStack) -> Ready:
    path = folder / "out.json"
    running, other = between(stack, "write", "-LR", path)
    left, right = running.session(other)
    left.say(sentinel())
    right.hear_until(sentinel())

    def check() -> None:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line[3] for line in lines].count("UPDATE") == 1
        assert lines[-1][3] in ("KEEPALIVE", "UPDATE", "NOTIFY")

    return Ready(running, told=[left, right], check=check)


@point("many sessions")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack, listen=("--many",))
    pairs = [running.session(other) for _ in range(3)]
    return Ready(running, told=[peer for pair in pairs for peer in pair])


@point("under load")
def _(folder: Path, stack: ExitStack) -> Ready:
    path = folder / "out.json"
    running, other = between(stack, "write", "-R", path)
    left, right = running.session(other)
    pouring = pour(left, b"".join(updates(1700)) * 20)
    for _ in range(1000):
        right.hear()
    heard = sum(message[18] == UPDATE for message in messages(right)[1:])

    def check() -> None:
        lines = path.read_text().splitlines()
        assert [json.loads(line) for line in lines[-50:]]
        assert sum('"UPDATE"' in line for line in lines) >= heard
        pouring.join(CLOSE_TIMEOUT)

    return Ready(running, told=[left, right], check=check)


def messages(peer: Peer) -> list[bytes]:
    """All messages that a peer was given so far."""
    found, at = [], 0
    while at + 19 <= peer.taken:
        length = int.from_bytes(peer.seen[at + 16 : at + 18], "big")
        found.append(bytes(peer.seen[at : at + length]))
        at += length
    return found


@point("a peer that takes nothing")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack, 4096)
    words = ("-e", "SLOW", "--", "listen", where(), "--", "connect", "-W", "listen", other.address)
    running = start(stack, *words)
    left, _ = running.session(other)
    pour(left, b"".join(updates(20_000)) * 10)
    running.waits_for_log(r"pipe\.SLOW")
    return Ready(running)


@point("a peer that does not close")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack)
    left, right = running.session(other)
    right.hear_end = lambda seconds=0: [right.hear()]  # type: ignore[method-assign]
    return Ready(running, told=[left, right])


@point("the session before is ending, --again")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = between(stack, listen=("--again",))
    running.session(other)[0].close()
    running.waits_for_log("connection closed")
    return Ready(running)


def after_a_session(stack: ExitStack) -> tuple[Bgpipe, Router]:
    """A bgpipe with --again whose first session has ended, and the router that it calls."""
    running, other = between(stack, listen=("--again",))
    left, right = running.session(other)
    left.close()
    right.hear_end()
    running.waits_for_log("session ended")
    return running, other


@point("waiting for the next peer, --again")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, _ = after_a_session(stack)
    return Ready(running)


@point("the second session, --again")
def _(folder: Path, stack: ExitStack) -> Ready:
    running, other = after_a_session(stack)
    again = another_id()
    left = running.dial()
    left.say(greeting(65001, 90, again))
    right = other.accept()
    right.hear()
    right.say(greeting(65002))
    left.hear()
    return Ready(running, told=[left, right])


@point("waiting to connect again, --retry")
def _(folder: Path, stack: ExitStack) -> Ready:
    other = router(stack)
    running = start(stack, "--", "speaker", "--active", "--", "connect", "--retry", other.address)
    peer = other.accept()
    peer.hear()
    peer.say(greeting(), ALIVE)
    peer.hear()
    peer.close()
    running.waits_for_log("next session in")
    return Ready(running)


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


def tries() -> Iterator[object]:
    for name in POINTS:
        for number in SIGNALS:
            for time_ in range(5):
                quick = name in QUICK and number == signal.SIGTERM and time_ == 0
                marks = [] if quick else [pytest.mark.slow]
                hangup = time_ % 2 == 1
                yield pytest.param(name, number, hangup, id=f"{name}-{number.name}-{time_}", marks=marks)


@pytest.mark.parametrize(("name", "number", "hangup"), list(tries()))
def test_it_ends(name: str, number: signal.Signals, hangup: bool, tmp_path: Path) -> None:
    """hangup: SIGHUP comes before, which ends nothing."""
    with ExitStack() as stack:
        ready = POINTS[name](tmp_path, stack)
        ended: list[float] = []
        process = ready.running.process
        if hangup:
            ready.running.signal(signal.SIGHUP)
            ready.running.waits_for_log("SIGHUP|reload")
        begun = time.monotonic()
        waiting = threading.Thread(target=lambda: (process.wait(30), ended.append(time.monotonic())))
        ready.running.signal(number)
        waiting.start()
        for peer in ready.told:
            assert notification(peer.hear_end()[-1]) == CEASE_SHUTDOWN
        for peer in ready.untold:
            assert peer.hear_end() == []
        waiting.join()
        assert ended, ready.running.log
        assert ended[0] - begun < END_TIMEOUT
        assert process.returncode == ready.code, ready.running.log
        ready.check()


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["bgpipe.app.grammar", "asyncio.base_events", "bgpipe.pipeline.pipeline"])
def test_while_it_starts(module: str, number: signal.Signals) -> None:
    """Nothing is open yet: the signal ends the process, with one line at most, and nobody sees where it was."""
    command = [sys.executable, "-X", "importtime", "-m", "bgpipe", "--", "listen", where(), "--", "grep", "ipv6"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.split(b"|")[-1].strip() == module.encode():
                break
        process.send_signal(number)
        rest = process.stderr.read().decode()
        assert process.wait(END_TIMEOUT) in (-number, 0, 1)
        assert not LEAKS.search(rest)
        assert "KeyboardInterrupt" not in rest
