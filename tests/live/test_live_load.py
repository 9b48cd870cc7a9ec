"""Sessions that are as busy as they can be: no hold timer expires, with accel or without."""

from __future__ import annotations

import select
import socket
import threading
import time
from pathlib import Path

from peers import ALIVE, Bgpipe, Peer, StatusServer, bgpipe, greeting, kind, place, prefixes, updates

from bgpipe import accel
from bgpipe.wire.message import OPEN


def test_hold_timers_hold_under_load(tmp_path: Path) -> None:
    """20 sessions with the least hold time push 200,000 prefixes and more at full speed at a speaker behind a filter,
    while it writes two outputs and somebody looks over HTTP: none expires, no pause between keepalives is longer than
    1.5 s, and the event loop is less than 0.1 s late (99 % of the time) and never 0.5 s."""
    (host, port), seen = place(), "{}:{}".format(*place())
    options = ["-o", "--http", seen, "--http-open"]
    words = ["listen", "--many", f"{host}:{port}", "--", "drop", "-LR", "as_path ~ 4200000001", "--"]
    output = ["write", "-LR", str(tmp_path / "all.json"), "--"]
    each = updates(10_000)
    assert 20 * sum(map(prefixes, each)) >= 200_000
    octets = b"".join(each)
    with bgpipe(*options, "--", *words, *output, "speaker", "--asn", "65055", "--hold", "3") as running:
        peers = [running.dial() for _ in range(20)]
        for peer in peers:
            peer.say(greeting(65001, 3))
            assert kind(peer.hear()) == OPEN
            peer.say(ALIVE)
            assert peer.hear() == ALIVE
        server, decodes, enough = StatusServer(seen), [], threading.Event()

        def look() -> None:
            while not enough.is_set():
                decodes.append([server.get(path) for path in ("metrics", "sessions", "readyz", "")])

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        longest, expired, sent = press(running, peers, octets, 9.0)
        enough.set()
        looking.join()
        assert expired == 0
        assert sent >= 20 * len(octets)
        assert len(decodes) >= (10 if accel.AVAILABLE else 1)
        assert longest <= (1.5 if accel.AVAILABLE else 3.0)
        if accel.AVAILABLE:
            lag = {bound: server.number(f'bgpipe_loop_lag_seconds_bucket{{le="{bound}"}}') for bound in (0.1, 0.5)}
            total = server.number("bgpipe_loop_lag_seconds_count")
            assert lag[0.1] >= 0.99 * total
            assert lag[0.5] == total


def press(running: Bgpipe, peers: list[Peer], octets: bytes, seconds: float) -> tuple[float, int, int]:
    """(longest gap in what comes, connections that ended, octets sent): everybody sends as fast as it is taken."""
    start = now = time.monotonic()
    heard = dict.fromkeys(peers, start)
    rest = dict.fromkeys(peers, memoryview(octets))
    by_socket: dict[socket.socket, Peer] = {peer.socket: peer for peer in peers}
    longest, expired, sent = 0.0, 0, 0
    for peer in peers:
        peer.socket.setblocking(False)
    while now < start + seconds:
        readable, writable, _ = select.select(by_socket, by_socket, [], 0.05)
        now = time.monotonic()
        for each in readable:
            peer = by_socket[each]
            try:
                came = each.recv(1 << 16)
            except OSError:
                came = b""
            if not came or b"\xff" * 16 + b"\0\x15\3" in came:
                expired += 1
                del by_socket[each]
                continue
            longest, heard[peer] = max(longest, now - heard[peer]), now
        for each in writable:
            if each in by_socket:
                peer = by_socket[each]
                try:
                    count = each.send(rest[peer][: 1 << 16])
                except BlockingIOError:
                    continue
                sent += count
                rest[peer] = rest[peer][count:] or memoryview(octets)
    return max(longest, *(now - each for each in heard.values())), expired, sent
