"""What no stage edits leaves as it came, octet by octet, however the network cuts it."""

from __future__ import annotations

import threading
from random import Random

import pytest
from peers import ALIVE, Peer, announcement, greeting, proxy, sentinel, updates

from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import MARKER, UPDATE, Message

LOOKING = {
    "nothing": ((), ()),
    "-o": ((), ("-o",)),
    "grep": (("grep", "-LR", "!update || as_path || !as_path"), ()),
    "grep, one by one": (("grep", "-LR", "--rate-limit", "1000000", "!update || as_path || !as_path"), ()),
    "-o and drop": (("drop", "-LR", "as_origin == 4200000001"), ("-o",)),
}
EOR = Message(UPDATE, bytes(4)).octets
REFRESH = MARKER + b"\0\x17\5\0\1\0\1"


def conversation() -> bytes:
    """A small session with a bit of everything."""
    return b"".join([announcement("203.0.113.0/24", "198.51.100.0/24"), *updates(9), ALIVE, REFRESH, EOR, ALIVE])


def talk(peer: Peer, pieces: list[bytes]) -> None:
    for piece in pieces:
        peer.socket.sendall(piece)


@pytest.mark.parametrize("looking", LOOKING)
def test_octets_are_the_same_on_both_sides(looking) -> None:
    """Real-looking UPDATEs both ways at the same time, in pieces of random length; what was sent is what came."""
    rng = Random(looking)
    stages, options = LOOKING[looking]
    with proxy(*stages, options=options) as (running, router):
        left, right = running.session(router)
        before = len(left.seen), len(right.seen)
        sent: list[bytes] = []
        threads = []
        for seed, peer in enumerate((left, right)):
            octets = b"".join(updates(20_000, seed))
            sent.append(octets)
            pieces, at = [], 0
            while at < len(octets):
                size = rng.choice((1, 18, 19, 1000, 100_000, rng.randrange(1, 5000)))
                pieces.append(octets[at : at + size])
                at += size
            threads.append(threading.Thread(target=talk, args=(peer, [*pieces, sentinel()]), daemon=True))
        for thread in threads:
            thread.start()
        hearing = threading.Thread(target=left.hear_until, args=(sentinel(),), daemon=True)
        hearing.start()
        right.hear_until(sentinel())
        hearing.join(60)
        assert bytes(left.seen[before[0] :]) == sent[1] + sentinel()
        assert bytes(right.seen[before[1] :]) == sent[0] + sentinel()


@pytest.mark.parametrize("looking", LOOKING)
@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_cut_at_every_place(looking, step) -> None:
    """The same small session on one connection after the other, each cut `step` octets further on, OPEN included; the
    first piece has arrived before the second is sent."""
    opening = greeting(65001, 90, "192.0.2.1", Capability(caps.ROUTE_REFRESH), Capability(caps.EXTENDED_MESSAGE))
    octets = opening + ALIVE + conversation() + sentinel()
    answer = greeting(65002, 90, "192.0.2.2", Capability(caps.EXTENDED_MESSAGE))
    stages, options = LOOKING[looking]
    with proxy(*stages, options=options) as (running, router):
        for cut in range(1, len(octets), step):
            left = running.dial()
            left.say(octets[:cut])
            if cut < len(opening):
                left.say(octets[cut : len(opening)])
                cut = len(opening)
            right = router.accept()
            right.say(answer)
            assert left.hear() == answer
            right.say(ALIVE)  # its arrival: what was sent before has been read, since both are read in turn
            assert left.hear() == ALIVE
            left.say(octets[cut:])
            right.hear_until(sentinel())
            assert bytes(right.seen) == octets
            left.close()
            assert right.hear() == b""
            right.close()


@pytest.mark.parametrize("looking", LOOKING)
def test_one_octet_at_a_time(looking) -> None:
    octets = greeting() + ALIVE + conversation() + sentinel()
    stages, options = LOOKING[looking]
    with proxy(*stages, options=options) as (running, router):
        left = running.dial()
        for octet in octets:
            left.say(bytes((octet,)))
        right = router.accept()
        right.say(greeting(65002))
        right.hear_until(sentinel())
        assert bytes(right.seen) == octets
