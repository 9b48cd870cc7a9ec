"""How long something takes is held against what the machine does at the same time, never against a number alone."""

from __future__ import annotations

import math
import select
import socket
import subprocess
import sys
import time

from peers import ALIVE, CLOSE_TIMEOUT, Peer, sentinel, wait_until


def stampede(pairs: list[tuple[Peer, Peer]], octets: bytes) -> float:
    """Seconds until what all those at the left say at the same time, and a sentinel, has come to the right."""
    octets += sentinel()
    rest = {left.socket: memoryview(octets) for left, _ in pairs}
    coming = {right.socket: right for _, right in pairs}
    for made in (*rest, *coming):
        made.setblocking(False)
    start = time.monotonic()
    while coming:
        readable, writable, _ = select.select(coming, rest, [], CLOSE_TIMEOUT)
        assert readable or writable, "nothing goes on"
        for made in writable:
            rest[made] = rest[made][made.send(rest[made]) :]
            if not rest[made]:
                del rest[made]
        for made in readable:
            peer = coming[made]
            piece = made.recv(1 << 18)
            assert piece, "the connection has ended"
            peer.seen += piece
            if peer.seen.endswith(sentinel()):
                peer.taken = len(peer.seen)
                del coming[made]
    seconds = time.monotonic() - start
    for pair in pairs:
        for peer in pair:
            peer.socket.settimeout(CLOSE_TIMEOUT)
    return seconds


def as_fast(alone: list[tuple[Peer, Peer]], beside: list[tuple[Peer, Peer]], octets: bytes) -> None:
    """Fails unless those beside somebody who is stuck get their routes within 1.2 times the time that it takes those
    who are alone. Both try in turn, until each has had a try that nothing else on the machine has disturbed."""
    best = [math.inf, math.inf]

    def holds() -> bool:
        for which, pairs in enumerate((alone, beside)):
            best[which] = min(best[which], stampede(pairs, octets))
        return best[1] <= 1.2 * best[0]

    wait_until("those beside are as fast", holds)


ECHO = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
made, _ = server.accept()
while octets := made.recv(1 << 16):
    made.sendall(octets)
"""


class Yardstick:
    """A process that only echoes: how long the machine lets a process wait that has nothing else to do.

    A pause of ours is held against the longest of its pauses, since on a busy machine both get longer."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.socket = socket.create_connection(("127.0.0.1", int(self.process.stdout.readline())))
        self.slowest = 0.0

    def measure(self, count: int) -> None:
        """Sends so many messages, one after the other; keeps the longest time that such a round took."""
        start = time.monotonic()
        for _ in range(count):
            self.socket.sendall(ALIVE)
            assert self.socket.recv(1 << 16)
        self.slowest = max(self.slowest, time.monotonic() - start)

    def allows(self, pause: float, usual: float) -> bool:
        """Whether a pause is as short as it usually is, or ten times as long as those of the echo at most."""
        return pause < max(usual, 10 * self.slowest)

    def __enter__(self) -> Yardstick:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.process.communicate(timeout=CLOSE_TIMEOUT)
