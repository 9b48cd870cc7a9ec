"""Floods of connections, and hundreds of sessions side by side."""

from __future__ import annotations

import select
import socket
import threading
import time
from random import Random

from peers import (
    ALIVE,
    CLOSE_TIMEOUT,
    Peer,
    greeting,
    kind,
    notification,
    proxy,
    sentinel,
    updates,
    wait_until,
    watched,
)
from yardstick import Yardstick

from bgpipe.wire.message import OPEN

FLOOD = 5000
BACKLOG = 16
STATES = ("connecting", "connected", "established")
SESSIONS = 300


def test_a_flood_of_connections_is_bounded() -> None:
    """5,000 connections from one address that say nothing: at most 16 of them are open at the same time, the oldest
    making room for the next; 20 established sessions go on without a pause worth the name, and memory hardly grows."""
    between = ("drop", "-LR", "as_origin == 4200000001")
    with Yardstick() as yardstick, watched(*between) as (running, router, server):
        pairs = [running.session(router, greeting(65001, 90, f"192.0.2.{n}")) for n in range(1, 21)]
        here = running.address
        before, descriptors = running.resident, running.descriptors
        most, slowest = descriptors, 0.0
        held: list[socket.socket] = []
        for number in range(FLOOD):
            made = socket.socket()
            made.bind(("127.85.0.9", 0))
            made.settimeout(CLOSE_TIMEOUT)
            made.connect(here)
            held.append(made)
            if number % 100 == 0:
                start = time.monotonic()
                for left, right in pairs:
                    left.say(sentinel(number))
                    assert right.hear() == sentinel(number)
                slowest = max(slowest, time.monotonic() - start)
                yardstick.measure(len(pairs))
                most = max(most, running.descriptors)
            if number % 1000 == 0:
                states = {state: server.number(f'bgpipe_sessions{{state="{state}"}}') for state in STATES}
                assert states["established"] == len(pairs)
                assert states["connecting"] + states["connected"] == 0, "they are no sessions"
            if len(held) > 500:
                held.pop(0).close()
        assert running.resident - before < 20 << 20
        assert yardstick.allows(slowest, 1.0)
        assert most - descriptors <= 2 * BACKLOG + 32  # both sides of them, and who is just being refused
        for made in held:
            made.close()
        wait_until("descriptors are closed", lambda: running.descriptors <= descriptors + 2)
        for left, right in pairs:
            right.say(ALIVE)
            assert left.hear() == ALIVE
        assert running.log.count("too many connections without OPEN, and this was the oldest") == 1
        assert running.log.count("\n") < 200


def test_sessions_side_by_side() -> None:
    """300 peers that connect within moments: each gets a session of its own, with all its routes and nobody else's."""
    rng = Random(11)
    with proxy("drop", "-LR", "as_origin == 4200000001") as (running, router):
        address = running.address
        octets = b"".join(updates(200))
        names = [f"10.9.{n >> 8}.{n & 255}" for n in range(SESSIONS)]
        lefts: dict[str, Peer] = {}

        def connect(name: str, source: str, skew: float) -> None:
            select.select([], [], [], skew)
            made = socket.socket()
            made.bind((source, 0))
            made.settimeout(CLOSE_TIMEOUT)
            made.connect(address)
            lefts[name] = Peer(made)
            lefts[name].say(greeting(65001, 90, name))

        jobs = [(name, f"127.85.20.{n % 30 + 1}", rng.uniform(0, 0.05)) for n, name in enumerate(names)]
        threads = [threading.Thread(target=connect, args=job, daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        rights: dict[str, Peer] = {}
        for _ in names:
            right = router.accept()
            opening = right.hear()
            assert kind(opening) == OPEN
            name = socket.inet_ntoa(opening[24:28])
            assert name not in rights
            rights[name] = right
            right.say(greeting(65002, 90, name))
        for thread in threads:
            thread.join()
        assert rights.keys() == lefts.keys() == set(names)
        for number, name in enumerate(names):
            lefts[name].say(ALIVE, octets, sentinel(number))
            rights[name].say(ALIVE)
        for number, name in enumerate(names):
            assert lefts[name].hear()[24:28] == socket.inet_aton(name)
            assert lefts[name].hear() == ALIVE
            assert rights[name].hear() == ALIVE
            assert b"".join(rights[name].hear_until(sentinel(number))) == octets
        for number, name in enumerate(names):  # a third of them ends; the others don't hear of it
            if number % 3 == 0:
                lefts[name].close()
                assert all(notification(each)[0] == 6 for each in rights[name].hear_end())
        for number, name in enumerate(names):
            if number % 3:
                lefts[name].say(sentinel())
                assert rights[name].hear() == sentinel()
                lefts[name].close()
