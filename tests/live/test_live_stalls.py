"""Peers that stop reading, that dribble, that die, that say nothing."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import threading
import time
from contextlib import suppress

import pytest
from peers import (
    ALIVE,
    CLOSE_TIMEOUT,
    Bgpipe,
    StatusServer,
    another_id,
    bgpipe,
    greeting,
    kind,
    notification,
    place,
    pour,
    prefixes,
    proxy,
    sentinel,
    updates,
    wait_until,
    watched,
)
from yardstick import as_fast, stampede

from bgpipe.wire.message import NOTIFICATION, OPEN, Message

BUFFER_LIMIT = 16 << 20
"""Octets that may wait for one peer that doesn't read."""
MANY = 60_000
"""UPDATEs: more than all buffers on their way hold."""


@pytest.mark.slow
def test_a_peer_that_stops_reading_harms_only_itself() -> None:
    """One of several routers reads nothing: what waits for it is bounded, the way back and all other sessions go on."""
    octets = b"".join(updates(MANY)) * 4
    with proxy(options=("-e", "SLOW")) as (running, router):
        others = [running.session(router) for _ in range(5)]
        left, right = running.session(router)
        before = running.resident
        pouring = pour(left, octets)
        running.waits_for_log(r"event bgpfix/pipe\.SLOW .*evdir=R")
        for number, (one, other) in enumerate(others):  # others, both ways
            one.say(updates(500)[number], sentinel())
            other.hear_until(sentinel())
            other.say(sentinel())
            one.hear_until(sentinel())
        for number in range(50):  # the way back
            right.say(sentinel(number))
            assert left.hear() == sentinel(number)
        assert running.resident - before < BUFFER_LIMIT
        assert pouring.is_alive()
        taken = 0
        while taken < len(octets):  # it reads again, and everything is there
            piece = right.socket.recv(1 << 20)
            assert piece == octets[taken : taken + len(piece)]
            taken += len(piece)
        pouring.join(10)
        assert not pouring.is_alive()


class Copies:
    """Reads JSON lines from a pipe, in a thread of its own, until the pipe ends."""

    def __init__(self, reader: int) -> None:
        self.octets = bytearray()
        self._thread = threading.Thread(target=self._run, args=(reader,), daemon=True)
        self._thread.start()

    def _run(self, reader: int) -> None:
        while piece := os.read(reader, 1 << 20):
            self.octets += piece

    def numbers(self) -> list[int]:
        """The numbers of the messages that leave to the right, when all has come."""
        self._thread.join()
        messages = map(json.loads, bytes(self.octets).splitlines())
        return [message[1] for message in messages if message[0] == "R"]


@pytest.mark.slow
@pytest.mark.parametrize(("hold_time", "words"), [(90, ("--stall-timeout", "1s")), (3, ())], ids=["stall", "silence"])
def test_an_output_that_nobody_reads_holds_up_no_session(hold_time: int, words: tuple[str, ...]) -> None:
    """Two routers go on when standard output takes nothing: it misses messages, in one piece, which is told. The exit
    code says it too, although the session goes well."""
    messages = updates(MANY)
    octets = b"".join(messages)
    reader, writer = os.pipe()
    try:
        with proxy("stdout", *words, options=("-e", "SLOW"), stdout=writer, fails=True) as (running, router):
            os.close(writer)
            left, right = running.session(router, greeting(65001, hold_time), greeting(65002, hold_time))
            pour(left, octets + sentinel(1))
            before = time.monotonic()
            passed = right.hear_until(sentinel(1))
            assert passed == list(messages)
            assert time.monotonic() - before < 6
            running.waits_for_log(r"event bgpfix/pipe\.SLOW .*stage=.\[2\] stdout")
            running.waits_for_log("the output is stalled, and misses messages")
            passive = Copies(reader)  # somebody reads again
            running.waits_for_log("the output has missed messages")
            left.say(sentinel(2))
            right.hear_until(sentinel(2))
            (missed,) = map(int, re.findall(r"has missed messages .*missed=(\d+)", running.log))
            running.signal()
            left.close()
            right.close()
            assert running.wait() == 1
            assert f"bgpipe: session 1: [2] stdout: at least {missed} messages not written" in running.log
        numbers = passive.numbers()
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == len(messages) + 4  # OPEN, KEEPALIVE, two sentinels
        assert len(numbers) == numbers[-1] - missed
    finally:
        os.close(reader)


@pytest.mark.slow
def test_an_output_may_be_waited_for() -> None:
    """With --stall-timeout 0 nothing is missed: the routers wait."""
    messages = updates(MANY)
    octets = b"".join(messages)
    reader, writer = os.pipe()
    try:
        with proxy("stdout", "--stall-timeout", "0", options=("-e", "SLOW"), stdout=writer) as (running, router):
            os.close(writer)
            left, right = running.session(router)
            pour(left, octets + sentinel())
            running.waits_for_log(r"event bgpfix/pipe\.SLOW .*stage=.\[2\] stdout")
            heard = 0
            while select.select([right.socket], [], [], 0.5)[0]:
                heard += len(right.socket.recv(1 << 20))
            assert 0 < heard < len(octets)
            passive = Copies(reader)
            while heard < len(octets) + len(sentinel()):
                heard += len(right.socket.recv(1 << 20))
        assert passive.numbers() == list(range(1, len(messages) + 4))
    finally:
        os.close(reader)


@pytest.mark.slow
def test_others_are_as_fast_beside_a_stuck_one() -> None:
    """One of 20 peers stops reading while 200,000 routes go to them: the other 19 have theirs in 1.2 times the time
    that it takes without it, and at most 16 MiB wait for it."""
    octets = b"".join(updates(8000))
    words = ("drop", "-LR", "as_origin == 4200000001")
    with proxy(*words) as (alone, router), proxy(*words, options=("-e", "SLOW")) as (beside, other):
        pairs = [[running.session(to) for _ in range(19)] for running, to in ((alone, router), (beside, other))]
        assert 20 * sum(map(prefixes, updates(8000))) >= 200_000
        stampede(pairs[1], octets)
        before = beside.resident
        stuck, silent = beside.session(other)
        silent.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        pouring = pour(stuck, b"".join(updates(MANY)) * 4)
        beside.waits_for_log(r"event bgpfix/pipe\.SLOW")
        as_fast(*pairs, octets)
        assert pouring.is_alive()
        assert beside.resident - before < BUFFER_LIMIT
        assert silent.hear()


@pytest.mark.slow
def test_send_hold(tmp_path) -> None:
    """RFC 9687: a peer that lives but takes nothing is given up after the send hold time, with 8/0."""
    host, port = place()
    file = tmp_path / "updates.raw"
    file.write_bytes(b"".join(updates(MANY)) * 4)
    words = ["speaker", "--active", "--asn", "65055", "--send-hold", "10s"]
    feed = ["read", "--wait", "ESTABLISHED", "--format", "raw", str(file)]
    with bgpipe("--", *words, "--", *feed, "--", "listen", f"{host}:{port}", fails=True) as running:
        left = running.dial(buffer=4096)
        left.say(greeting(65001))
        assert kind(left.hear()) == OPEN
        left.say(ALIVE)
        start = time.monotonic()

        def ended() -> bool:
            with suppress(OSError):
                left.say(ALIVE)
            return not running.alive

        wait_until("it gives up", ended, 20)
        assert time.monotonic() - start >= 8  # 10 +- 2
        assert running.wait() != 0
        assert "sent Send Hold Timer Expired" in running.log


def costs(running: Bgpipe, server: StatusServer) -> dict[str, float]:
    """What nobody who is gone may leave behind."""
    return {"descriptors": running.descriptors, "tasks": server.number("bgpipe_tasks")}


def wait_until_gone(
    running: Bgpipe, server: StatusServer, before: dict[str, float], seconds: float = CLOSE_TIMEOUT
) -> None:
    def gone() -> bool:
        now = costs(running, server)
        return all(now[what] <= before[what] for what in now)

    try:
        wait_until("nothing is left", gone, seconds)
    except AssertionError:
        raise AssertionError(f"{costs(running, server)} are left, {before} were there before") from None


@pytest.mark.slow
def test_without_an_open_it_is_closed() -> None:
    """Connections that never send an OPEN, or 18 octets, or an octet a second (200 of them, from 200 addresses) are
    gone after 10 s, at less than a fifth of a processor; descriptors and tasks are as before."""
    with watched() as (running, router, server):
        good, other = running.session(router)
        before, cpu, start = costs(running, server), running.seconds, time.monotonic()
        peers = []
        for beginning in (b"", greeting()[:18], greeting()[:-1], ALIVE):
            for _ in range(3):
                peers.append(running.dial())
                peers[-1].say(beginning)
        dribbling = [running.dial(source=f"127.87.0.{number + 1}") for number in range(200)]
        for octet in greeting():
            for peer in dribbling:
                peer.say(bytes((octet,)))
            if select.select([peer.socket for peer in dribbling], [], [], 1.0)[0]:
                break
        first = time.monotonic()
        for peer in (*dribbling, *peers):
            peer.hear_end()
        assert 9 <= first - start <= 12
        assert time.monotonic() - first <= 3
        assert running.seconds - cpu < 0.2 * (time.monotonic() - start) + 0.7  # what 212 connections cost to be taken
        wait_until_gone(running, server, before)
        good.say(sentinel())
        assert other.hear() == sentinel()


@pytest.mark.slow
def test_dribbling_costs_little() -> None:
    """200 established sessions whose peers send an octet at a time: every octet arrives, at little cost."""
    with proxy() as (running, router):
        pairs = [running.session(router) for _ in range(200)]
        cpu, start = running.seconds, time.monotonic()
        for octet in sentinel():
            for left, _ in pairs:
                left.say(bytes((octet,)))
        for _, right in pairs:
            assert right.hear() == sentinel()
        assert running.seconds - cpu < 0.2 * len(sentinel())  # had it been an octet a second
        assert time.monotonic() - start < len(sentinel())


def test_dead_peers_vanish() -> None:
    """Sessions that are reset or closed end at once on the other side too, and leave nothing behind."""
    with watched() as (running, router, server):
        good, other = running.session(router)
        before = costs(running, server)
        for number in range(60):
            left, right = running.session(router)
            dying, living = (left, right) if number % 2 else (right, left)
            dying.reset() if number % 3 else dying.close()
            assert all(notification(each)[0] == 6 for each in living.hear_end(3))
        wait_until_gone(running, server, before)
        good.say(sentinel())
        assert other.hear() == sentinel()


@pytest.mark.slow
def test_a_stopped_peer_vanishes() -> None:
    """A peer whose process is stopped (SIGSTOP) keeps its connection and is silent: a speaker gives it up at its hold
    time, with 4/0, a second later nothing is left of it, and others have noticed nothing."""
    (host, port), seen = place(), "{}:{}".format(*place())
    words = ["listen", "--many", f"{host}:{port}", "--", "speaker", "--asn", "65055", "--hold", "3"]
    calling = ["speaker", "--active", "--asn", "65001", "--hold", "3", "--", "connect", f"{host}:{port}"]
    with bgpipe("--http", seen, "--http-open", "--", *words) as running:
        good = running.dial()
        good.say(greeting(65002, 0), ALIVE)
        server = StatusServer(seen)
        running.waits_for_log("negotiated")
        before = costs(running, server)
        with bgpipe("--", *calling, fails=True) as stopped:
            running.waits_for_log("negotiated", 2)
            start = time.monotonic()
            stopped.signal(signal.SIGSTOP)
            try:
                running.waits_for_log("session ended.*Hold Timer Expired")
                assert 2 <= time.monotonic() - start <= 4 + 1  # the hold time runs from its last KEEPALIVE
                wait_until_gone(running, server, before)
                assert time.monotonic() - start <= 4 + 1
            finally:
                stopped.signal(signal.SIGCONT)
            assert stopped.wait() == 1
            assert "Hold Timer Expired" in stopped.log
        sample = 'bgpipe_messages_received_total{side="left",type="update"}'
        heard = server.number(sample)
        good.say(ALIVE, sentinel())
        wait_until("others are still heard", lambda: server.number(sample) == heard + 1)


def test_a_stopped_peer_between_two_routers() -> None:
    """What the router at the other side says when its hold time is over ends both connections, though the peer takes no
    notice."""
    with watched() as (running, router, server):
        running.session(router)
        before = costs(running, server)
        _, right = running.session(router)
        right.say(Message(NOTIFICATION, b"\4\0").octets)
        right.close()
        wait_until_gone(running, server, before, 3)


def test_half_open_peer() -> None:
    """A peer that is silent once the session is up is gone at its hold time, with 4/0."""
    host, port = place()
    with bgpipe(
        "--", "listen", "--many", f"{host}:{port}", "--", "speaker", "--asn", "65055", "--hold", "3"
    ) as running:
        peers = [running.dial() for _ in range(5)]
        for peer in peers:
            peer.say(greeting(65001, 3, another_id()))
            assert kind(peer.hear()) == OPEN
            peer.say(ALIVE)
            assert peer.hear() == ALIVE
        start = time.monotonic()
        for peer in peers:
            heard = [each for each in peer.hear_end(6) if kind(each) == NOTIFICATION]
            assert [notification(each) for each in heard] == [(4, 0)]
        assert 2 <= time.monotonic() - start <= 4
