"""What live tests are made of: the command in a process of its own, and peers that speak raw BGP to it over loopback.

A peer is a socket: it sends the octets that a test gives it, and takes apart into messages what comes back. It has no
timers and answers nothing. A test never sleeps: it sends a sentinel, a route that nobody else announces, and hears it
at the other side, which proves that all before it was handled; or it waits for a condition with a deadline.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import fork_server
from bgpipe import sample
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import HEADER, KEEPALIVE, MARKER, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.open import AS_TRANS, Open
from bgpipe.wire.update import Update
from leaks import LEAKS

ALIVE = Message(KEEPALIVE).octets
CEASE = Message(NOTIFICATION, Notification.shutdown().encode()).octets
IPV4, IPV6 = Capability(caps.MP, b"\0\1\0\1"), Capability(caps.MP, b"\0\2\0\1")
CLOSE_TIMEOUT = 20.0
"""Seconds to wait for what must come."""
_places = count(1)
_routers = count()
"""for BGP identifiers: a second session of one router would be a collision"""


def place() -> tuple[str, int]:
    """An address and a port that nothing else of these tests uses, nor a run of them beside this one."""
    number, high, low = next(_places), *divmod(os.getpid() % 25_000, 250)
    return f"127.{100 + high}.{low + 1}.{number % 250 + 1}", 18500 + number % 100


def wait_until(what: str, happened: Callable[[], Any], seconds: float = CLOSE_TIMEOUT) -> Any:
    """What `happened` gives, as soon as it is true; fails if that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while not (found := happened()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        select.select([], [], [], pause)
        pause = min(pause * 1.2, 0.2)  # to ask costs both processes time
    return found


# messages


def greeting(asn: int = 65001, hold_time: int = 90, bgp_id: str = "192.0.2.1", *more: Capability) -> bytes:
    """An OPEN with 4-octet AS numbers and both unicast families."""
    capabilities = (IPV4, IPV6, Capability(caps.AS4, asn.to_bytes(4, "big")), *more)
    return Message(OPEN, Open(asn if asn <= 0xFFFF else AS_TRANS, hold_time, bgp_id, capabilities).encode()).octets


def another_id() -> str:
    """A BGP identifier that no other peer has: a second connection with the same one is refused (RFC 4271 6.8)."""
    number = next(_routers)
    return f"192.0.{number // 250 % 250}.{number % 250 + 1}"


def announcement(*prefixes: str, asn: int = 65001) -> bytes:
    attrs = {"ORIGIN": "IGP", "ASPATH": [asn, 64999], "NEXTHOP": "192.0.2.1"}
    return Message(UPDATE, Update.make(reach=list(prefixes), attrs=attrs).body).octets


def sentinel(number: int = 0) -> bytes:
    """A good route that nothing else announces: its arrival proves that all before it was handled."""
    return announcement(f"198.18.{number >> 8 & 255}.{number & 255}/32")


@cache
def updates(count: int, seed: int = 1) -> tuple[bytes, ...]:
    """UPDATEs like those of a busy session, with 4-octet AS numbers: always the same ones."""
    rng = Random(seed)
    records = sample.updates(sample.grow(rng), rng, count)
    plain = (record for record in records if record[6:8] == b"\0\4" and MARKER in record)  # BGP4MP_MESSAGE_AS4
    found = [record[record.index(MARKER) :] for record in plain]
    return tuple(message for message in found if kind(message) == UPDATE)


def prefixes(octets: bytes) -> int:
    """How many routes an UPDATE is about."""
    update = Update.decode(octets[HEADER:])
    return len(update.reach) + len(update.withdrawn)


def kind(octets: bytes) -> int:
    return octets[18]


def notification(octets: bytes) -> tuple[int, int]:
    """Code and subcode of a message, (0, 0) if it is no NOTIFICATION."""
    return (octets[19], octets[20]) if octets and kind(octets) == NOTIFICATION else (0, 0)


# peers


class Peer:
    """One connection. `seen` is every octet that came."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.seen = bytearray()
        self.taken = 0
        """octets of `seen` that were given out as messages"""
        self.ended = False
        connected.settimeout(CLOSE_TIMEOUT)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, *messages: bytes) -> None:
        self.socket.sendall(b"".join(messages))

    def hear(self, seconds: float = CLOSE_TIMEOUT) -> bytes:
        """The next message; b"" when the connection has ended. Fails if neither comes within `seconds`."""
        while (message := self._next()) is None:
            if self.ended:
                return b""
            self._read(seconds)
        return message

    def hear_until(self, last: bytes, seconds: float = CLOSE_TIMEOUT) -> list[bytes]:
        """All messages before `last`, which must come."""
        heard: list[bytes] = []
        while (message := self.hear(seconds)) != last:
            assert message, f"the connection ended after {[each.hex() for each in heard[-3:]]}"
            heard.append(message)
        return heard

    def hear_end(self, seconds: float = CLOSE_TIMEOUT) -> list[bytes]:
        """All messages to the end of the connection, which must come."""
        return list(iter(lambda: self.hear(seconds), b""))

    def hear_so_far(self) -> list[bytes]:
        """All messages that have come, without waiting for more."""
        while not self.ended and select.select([self.socket], [], [], 0)[0]:
            self._read(CLOSE_TIMEOUT)
        return list(iter(self._next, None))

    def hear_nothing(self) -> bool:
        """Whether nothing has come, so far."""
        return self._next() is None and not select.select([self.socket], [], [], 0)[0]

    def reset(self) -> None:
        """Ends the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def _next(self) -> bytes | None:
        rest = len(self.seen) - self.taken
        if rest < HEADER:
            return None
        length = int.from_bytes(self.seen[self.taken + 16 : self.taken + 18], "big")
        assert length >= HEADER, "what bgpipe sends is no BGP"
        if rest < length:
            return None
        self.taken += length
        return bytes(self.seen[self.taken - length : self.taken])

    def _read(self, seconds: float) -> None:
        self.socket.settimeout(seconds)
        try:
            octets = self.socket.recv(1 << 18)
        except TimeoutError:
            raise AssertionError(f"nothing came within {seconds:g} s") from None
        except OSError:
            octets = b""
        self.socket.settimeout(CLOSE_TIMEOUT)
        self.seen += octets
        if not octets:
            self.ended = True
            self.socket.close()  # as a router does that hears the end


def pour(peer: Peer, octets: bytes) -> threading.Thread:
    """Sends in a thread of its own, which ends when all is taken or the connection has ended."""

    def run() -> None:
        peer.socket.settimeout(None)
        with suppress(OSError):
            peer.socket.sendall(octets)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def push(to: socket.socket, octets: bytes, start: int) -> int:
    """Sends as much as goes at once; how much that was."""
    try:
        return to.send(octets[start : start + (1 << 20)])
    except BlockingIOError:
        return 0


class Router:
    """Where bgpipe connects to."""

    def __init__(self, buffer: int = 0) -> None:
        """buffer: octets of the receive buffer of its connections, 0 as the system has it."""
        self.host, self.port = place()
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((self.host, self.port))
        self.socket.listen(1024)
        self.socket.settimeout(CLOSE_TIMEOUT)
        self.peers: list[Peer] = []

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def accept(self, seconds: float = CLOSE_TIMEOUT) -> Peer:
        self.socket.settimeout(seconds)
        self.peers.append(Peer(self.socket.accept()[0]))
        return self.peers[-1]

    def close(self) -> None:
        self.socket.close()
        for peer in self.peers:
            peer.close()


# the command


class Bgpipe:
    """A running command."""

    def __init__(
        self, words: list[str], output: Path, errors: Path, stdout: int | None = None, stdin: Path | None = None
    ) -> None:
        self.output = output
        self.errors = errors
        with output.open("wb") as out, errors.open("wb") as err, open(stdin or os.devnull, "rb") as given:
            self.process = fork_server.Process(words, stdin=given, stdout=stdout or out, stderr=err)
        self.peers: list[Peer] = []

    @property
    def log(self) -> str:
        return self.errors.read_text(errors="replace")

    def waits_for_log(self, pattern: str, times: int = 1, seconds: float = CLOSE_TIMEOUT) -> list[str]:
        """What matches in the log, when it is there so many times."""

        def found() -> list[str] | None:
            matches = re.findall(pattern, self.log)
            assert len(matches) >= times or self.alive, f"it ended: {self.log[-2000:]}"
            return matches if len(matches) >= times else None

        return wait_until(f"{pattern!r} in the log", found, seconds)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @cached_property
    def address(self) -> tuple[str, int]:
        """Where it said that it listens."""
        host, port = self.waits_for_log(r"listening on ([\d.]+):(\d+)")[0]
        return host, int(port)

    def dial(self, buffer: int = 0, source: str = "") -> Peer:
        """A peer that connects to it. source: the address that it comes from."""
        host, port = self.address
        made = socket.socket()
        if source:
            made.bind((source, 0))
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(CLOSE_TIMEOUT)
        made.connect((host, port))
        self.peers.append(Peer(made))
        return self.peers[-1]

    def session(self, router: Router, left: bytes = b"", right: bytes = b"") -> tuple[Peer, Peer]:
        """Both ends of a session that is up: the peer that called, and the router that was called."""
        left = left or greeting(65001, 90, another_id())
        right = right or greeting(65002)
        one = self.dial()
        one.say(left)
        other = router.accept()
        assert other.hear() == left
        other.say(right)
        assert one.hear() == right
        for peer, opposite in ((one, other), (other, one)):
            peer.say(ALIVE)
            assert opposite.hear() == ALIVE
        return one, other

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = CLOSE_TIMEOUT) -> int:
        return self.process.wait(seconds)

    # what it says with --log-format json

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of its log that are there in full."""
        return [json.loads(line) for line in self.log.rpartition("\n")[0].splitlines()]

    def told(self, *names: str) -> list[dict[str, Any]]:
        """The events of these names (all, if none is named), in order."""
        found = [line for line in self.records if line["message"].startswith("event ")]
        return [line for line in found if not names or line["message"].removeprefix("event ") in names]

    # what it costs

    @property
    def resident(self) -> int:
        """Octets of memory."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) * 1024

    @property
    def descriptors(self) -> int:
        """Open files."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    @property
    def children(self) -> list[str]:
        """Processes that it has started and not waited for, zombies too."""
        return fork_server.children(self.process.pid)

    @property
    def seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class StatusServer:
    """Looks at a running command over HTTP."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.address}/{path}", timeout=CLOSE_TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path: str) -> Any:
        status, text = self.get(path)
        assert status == 200, text
        return json.loads(text)

    def numbers(self) -> dict[str, float]:
        """/metrics, by name and labels as they stand there."""
        lines = [line for line in self.get("metrics")[1].splitlines() if not line.startswith("#")]
        return {sample: float(value) for sample, _, value in (line.rpartition(" ") for line in lines)}

    def number(self, sample: str) -> float:
        """One number of /metrics; 0 if it isn't there."""
        return self.numbers().get(sample, 0.0)


@contextmanager
def bgpipe(*words: str, fails: bool = False, stdout: int | None = None, stdin: Path | None = None) -> Iterator[Bgpipe]:
    """Runs the command until the test is through. There must be no traceback, and unless it `fails`, a SIGTERM must end
    it with exit code 0, if it has not ended by itself."""
    with tempfile.TemporaryDirectory() as folder:
        running = Bgpipe(list(words), Path(folder) / "output", Path(folder) / "errors", stdout, stdin)
        try:
            yield running
            if running.alive:
                running.signal()
                with suppress(AssertionError):  # from then on it doesn't matter who closes first
                    running.waits_for_log("signal received", seconds=0.5)
                for peer in running.peers:
                    peer.close()
                assert running.wait(10) == 0 or fails, running.log[-2000:]
            assert not LEAKS.search(running.log), running.log[-4000:]
        except BaseException:
            sys.stderr.write(running.log[-3000:])
            raise
        finally:
            for peer in running.peers:
                peer.close()
            with suppress(ProcessLookupError):
                running.process.kill()
            running.process.wait()


@contextmanager
def proxy(
    *stages: str,
    options: tuple[str, ...] = (),
    policy: str = "",
    many: bool = True,
    buffer: int = 0,
    stdout: int | None = None,
    fails: bool = False,
) -> Iterator[tuple[Bgpipe, Router]]:
    """`listen --many`, what is between, and `connect` to a router that is there. policy: what --malformed says.
    many: else `listen` takes one peer. buffer: octets of the router's receive buffers. stdout: where output goes.
    fails: the exit code may be another than 0, since messages may be lost."""
    router = Router(buffer)
    host, port = place()
    listen = ["listen", *(["--many"] if many else []), *(["--malformed", policy] if policy else []), f"{host}:{port}"]
    middle = ["--", *stages] if stages else []
    try:
        words = (*options, "--", *listen, *middle, "--", "connect", "--wait", "listen", router.address)
        with bgpipe(*words, stdout=stdout, fails=fails) as running:
            yield running, router
            running.peers += router.peers
    finally:
        router.close()


@contextmanager
def watched(
    *stages: str, options: tuple[str, ...] = (), many: bool = True, buffer: int = 0
) -> Iterator[tuple[Bgpipe, Router, StatusServer]]:
    """A proxy that everybody may look at over HTTP."""
    host, port = place()
    words = ("--http", f"{host}:{port}", "--http-open", *options)
    with proxy(*stages, options=words, many=many, buffer=buffer) as (running, router):
        running.waits_for_log("http on")
        yield running, router, StatusServer(f"{host}:{port}")
