"""Malformed messages of every type, from many sessions, beside a healthy one in the same process.

50,000 of them are read and survived in each of three command lines; BGPIPE_MUTANTS says another number. The healthy
session is the oracle: it stays up, loses nothing and keeps its order.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from functools import cache
from random import Random

import pytest
from peers import (
    ALIVE,
    Bgpipe,
    Peer,
    Router,
    announcement,
    another_id,
    greeting,
    kind,
    proxy,
    sentinel,
    updates,
    wait_until,
)
from yardstick import Yardstick

from bgpipe.session.error_handler import ErrorHandler
from bgpipe.session.facts import Facts
from bgpipe.wire.context import AS4
from bgpipe.wire.errors import WireError
from bgpipe.wire.message import HEADER, KEEPALIVE, MARKER, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from vectors import load

SUITES = ("frr_rfc7606", "openbgpd_attr_errors", "cve_messages", "robustness", "gobgp_messages", "exabgp_encoding")
MUTANTS = int(os.environ.get("BGPIPE_MUTANTS", "50000"))
ODD = (0, 1, 2, 3, 4, 16, 23, 32, 64, 127, 128, 192, 254, 255)
EXTERNAL = Facts()
"""Those of a session with an external peer."""
EXTERNAL.on_received(Message(OPEN, greeting(65001)[HEADER:]))
EXTERNAL.on_sent(Message(OPEN, greeting(65002)[HEADER:]))
BATCH = 200
"""Mutants that are sent without waiting for a word from the other side."""


def seeds() -> list[bytes]:
    """Good and bad messages of all types."""
    rows = [row for suite in SUITES for row in load(suite) if row["kind"] in ("update", "open", "message")]
    found = [bytes.fromhex(row.get("message_hex") or row["hex"]) for row in rows]
    whole = [each for each in found if len(each) >= HEADER and each[:16] == MARKER]
    refresh = MARKER + b"\0\x17\5\0\1\0\1"
    shutdown = MARKER + b"\0\x1e\3\6\2\x08so long!"
    return [*whole, *updates(300), *[greeting(), refresh, shutdown, ALIVE] * 20]


def mutate(message: bytes, rng: Random) -> bytes:
    """Changed inside; one in 20 is said to be of another type."""
    octets = bytearray(message)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(HEADER, len(octets) + 1)
        match rng.randrange(3):
            case 0 if at < len(octets):
                octets[at] = rng.choice((*ODD, rng.randrange(256)))
            case 1:
                del octets[at : at + rng.randrange(1, 4)]
            case _:
                octets[at:at] = rng.randbytes(rng.randrange(1, 4))
    if len(octets) > 4096:
        del octets[4096:]
    octets[16:18] = len(octets).to_bytes(2, "big")
    if rng.randrange(20) == 0:
        octets[18] = rng.choice((OPEN, UPDATE, NOTIFICATION, ROUTE_REFRESH))
    return bytes(octets)


def verdict(mutant: bytes) -> str:
    """As our codec sees it: "good"; "harmless", if it is malformed and ends no session; "fatal", if it may."""
    read = Message(kind(mutant), mutant[HEADER:], context=AS4)
    try:
        if kind(mutant) == OPEN:
            read.open.check()
            return "good"
        if kind(mutant) != UPDATE:
            good = len(read.body) == {KEEPALIVE: 0, ROUTE_REFRESH: 4}.get(kind(mutant))
            return "good" if good else "fatal"
        if not read.update.errors:
            return "good"
    except WireError:
        return "fatal"
    return "fatal" if any(each.fault for each in ErrorHandler("auto", EXTERNAL).handle(read)) else "harmless"


@cache
def mutants(count: int) -> tuple[list[bytes], dict[int, list[bytes]]]:
    """A third of `count` malformed messages that end no session, and by type others that may."""
    rng, messages = Random(2), seeds()
    harmless: list[bytes] = []
    fatal: dict[int, list[bytes]] = {each: [] for each in (OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH)}
    while len(harmless) <= count // 3:
        found = mutate(rng.choice(messages), rng)
        match verdict(found):
            case "harmless":
                harmless.append(found)
            case "fatal":
                fatal[kind(found)].append(found)
    return harmless, fatal


class Attacker:
    """Sends mutants on one session after the other; counts by type those that were read: those behind which a sentinel
    came through, and those that have ended a session."""

    def __init__(self, running: Bgpipe, router: Router, rng: Random) -> None:
        self.running = running
        self.router = router
        self.rng = rng
        self.read: Counter[int] = Counter()
        self.harmless: list[bytes] = []
        self.fatal: dict[int, list[bytes]] = {}

    def attack(self, count: int) -> None:
        self.harmless, self.fatal = mutants(count)
        while self.read.total() < count:
            left = self.running.dial()
            left.say(greeting(self.rng.choice((65001, 65002)), 90, another_id()), ALIVE)
            right = self.router.accept()
            try:
                if self.rng.randrange(16):  # else the first message, where an OPEN should be, is a mutant too
                    right.say(greeting(65002), ALIVE)
                while self.read.total() < count and self.batch(left, right):
                    pass
            except OSError:
                pass  # the session is over
            left.close()
            right.close()
            self.running.peers.remove(left)
            self.router.peers.remove(right)

    def batch(self, left: Peer, right: Peer) -> bool:
        """Whether the session is still up behind some mutants. Half of the batches have one at their end that may end
        it, and one in eight a wrong header: then what follows can't be read, and the session must end."""
        sent = self.rng.sample(self.harmless, BATCH)
        if self.rng.randrange(2):
            sent.append(self.rng.choice(self.fatal[self.rng.choice(list(self.fatal))]))
        broken = self.rng.randrange(8) == 0
        if broken:
            header = bytearray(ALIVE)
            header[self.rng.randrange(HEADER)] ^= 1 << self.rng.randrange(8)
            sent.append(bytes(header))
        left.say(sentinel(1), *sent, *([bytes(70_000)] if broken else [sentinel(2)]))
        came = False
        while heard := right.hear():
            came = came or heard == sentinel(1)
            if kind(heard) == NOTIFICATION:
                break  # whoever is told that the session is over closes it
            if heard == sentinel(2):
                assert not broken
                self.read.update(map(kind, sent))
                return True
        if came:
            self.read.update(map(kind, sent[: BATCH + 1]))
        return False


class Healthy:
    """A session that goes on: what is said at one end must be heard at the other, all of it and in order."""

    def __init__(self, left: Peer, right: Peer, yardstick: Yardstick) -> None:
        self.left = left
        self.right = right
        self.yardstick = yardstick
        self.stop = threading.Event()
        self.count = 0
        self.slowest = 0.0
        self.faults: list[str] = []

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                message = announcement(f"10.{self.count >> 8 & 255}.{self.count & 255}.0/24")
                start = time.monotonic()
                self.left.say(message)
                assert self.right.hear() == message
                self.right.say(ALIVE)
                assert self.left.hear() == ALIVE
                self.slowest = max(self.slowest, time.monotonic() - start)
                self.yardstick.measure(2)
                self.count += 1
        except Exception as error:
            self.faults.append(repr(error))


@pytest.mark.parametrize(
    ("option", "filtering", "count"),
    [
        pytest.param("-o", "drop", 1000, id="some"),
        pytest.param("-o", "drop", MUTANTS, id="drop and -o", marks=pytest.mark.slow),
        pytest.param("", "grep", MUTANTS, id="grep", marks=pytest.mark.slow),
        pytest.param("", "", MUTANTS, id="nothing", marks=pytest.mark.slow),
    ],
)
def test_malformed_messages_beside_a_healthy_session(option: str, filtering: str, count: int) -> None:
    stages = {
        "drop": ("drop", "-LR", "as_origin == 4200000001"),
        "grep": ("grep", "-LR", "!update || !as_path || as_path"),
    }
    options = ("-e", "SLOW", *([option] if option else []))
    rng = Random(filtering)
    with Yardstick() as yardstick, proxy(*stages.get(filtering, ()), options=options) as (running, router):
        healthy = Healthy(*running.session(router), yardstick)
        before = running.descriptors
        thread = threading.Thread(target=healthy.run, daemon=True)
        thread.start()
        attacker = Attacker(running, router, rng)
        try:
            attacker.attack(count)
        finally:
            healthy.stop.set()
            thread.join(30)
        assert not healthy.faults
        assert running.alive
        assert healthy.count > 10
        assert yardstick.allows(healthy.slowest, 1.0)
        assert attacker.read.total() >= count
        assert (
            min(attacker.read[each] for each in (OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH)) >= count // 5000
        )
        wait_until("descriptors are closed", lambda: running.descriptors <= before)
