"""Sessions that are as busy as they can be: no hold timer expires, with accel or without."""

from __future__ import annotations

import select
import socket
import threading
import time
from pathlib import Path

import pytest
from peers import ALIVE, Peer, StatusServer, another_id, bgpipe, greeting, kind, place, prefixes, updates

from bgpipe.wire.message import OPEN

HOLD_TIME = 6
"""Seconds; KEEPALIVEs come after a third of it."""


@pytest.mark.slow
def test_hold_timers_hold_under_load(tmp_path: Path) -> None:
    """20 sessions push 200,000 prefixes and more at full speed at a speaker behind a filter, for longer than their hold
    time, while it writes two outputs and somebody looks over HTTP: no session ends, each peer hears its KEEPALIVEs in
    time, and every look has its answer. How long the gaps are on this machine is what `make bench-live` prints."""
    (host, port), seen = place(), "{}:{}".format(*place())
    options = ["-o", "--http", seen, "--http-open"]
    words = ["listen", "--many", f"{host}:{port}", "--", "drop", "-LR", "as_path ~ 4200000001", "--"]
    output = ["write", "-LR", str(tmp_path / "all.json"), "--"]
    each = updates(10_000)
    assert 20 * sum(map(prefixes, each)) >= 200_000
    octets = b"".join(each)
    with bgpipe(*options, "--", *words, *output, "speaker", "--asn", "65055", "--hold", str(HOLD_TIME)) as running:
        peers = []
        for _ in range(20):
            peers.append(peer := running.dial())
            peer.say(greeting(65001, HOLD_TIME, another_id()))
            assert kind(peer.hear()) == OPEN
            peer.say(ALIVE)
            assert peer.hear() == ALIVE
        server, decodes, enough = StatusServer(seen), [], threading.Event()

        def look() -> None:
            while not enough.is_set():
                decodes.append([server.get(path) for path in ("metrics", "sessions", "readyz", "")])

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        ended, longest = press(peers, octets)
        enough.set()
        looking.join()
        assert ended == 0
        assert longest < HOLD_TIME
        assert {status for each in decodes for status, _ in each} == {200}


def press(peers: list[Peer], octets: bytes) -> tuple[int, float]:
    """(connections that ended, seconds of the longest gap in what comes): everybody sends as fast as it is taken, until
    all have sent all octets and more than the hold time is over."""
    start = now = time.monotonic()
    heard = dict.fromkeys(peers, start)
    rest = dict.fromkeys(peers, memoryview(octets))
    sent = dict.fromkeys(peers, 0)
    by_socket: dict[socket.socket, Peer] = {peer.socket: peer for peer in peers}
    longest, ended = 0.0, 0
    for peer in peers:
        peer.socket.setblocking(False)
    while by_socket and (now < start + 1.5 * HOLD_TIME or min(sent.values()) < len(octets)):
        readable, writable, _ = select.select(by_socket, by_socket, [], 0.05)
        now = time.monotonic()
        for each in readable:
            peer = by_socket[each]
            try:
                came = each.recv(1 << 16)
            except OSError:
                came = b""
            if not came or b"\xff" * 16 + b"\0\x15\3" in came:
                ended += 1
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
                sent[peer] += count
                rest[peer] = rest[peer][count:] or memoryview(octets)
    return ended, max(longest, *(now - each for each in heard.values()))
