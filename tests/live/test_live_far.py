"""Who is not a neighbour, or has not the key, cannot speak: no connection within ten seconds, in either direction."""

from __future__ import annotations

import errno
import select
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from peers import ALIVE, CLOSE_TIMEOUT, Bgpipe, Peer, Router, bgpipe, greeting, kind, place

from bgpipe.net.tcp import set_md5
from bgpipe.wire.message import OPEN

NEVER = 10.0
"""Seconds in which nothing must happen."""
KEY = "solarwinds123"


def has_md5() -> bool:
    with socket.socket() as probe:
        try:
            set_md5(probe, KEY)
        except OSError:
            return False
    return True


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_md5(), reason="this kernel has no TCP MD5")]


def prepare(made: socket.socket, ttl: int = 64, key: str = "") -> socket.socket:
    made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    if key:
        set_md5(made, key)
    return made


CALLERS = {
    # what listens: those who may speak, those who never may
    "GTSM": (["--min-ttl", "255", "--ttl", "255"], {"ttl": 255}, [{"ttl": 64}, {"ttl": 254}, {"ttl": 1}]),
    "MD5": (["--md5", KEY], {"key": KEY}, [{"key": "solarwinds124"}, {}]),
}


def originates_session(peer: Peer) -> bool:
    """Whether a speaker is at the other end, which opens a session."""
    assert kind(peer.hear()) == OPEN
    peer.say(greeting(65001))
    return peer.hear() == ALIVE


def test_strangers_never_connect() -> None:
    """GTSM (RFC 5082): a TTL of 64 or 254 where 255 is wanted; TCP MD5 (RFC 2385): the wrong key, or none. They call us
    and get no connection, we call them and get none; who has the right TTL or key speaks at once."""
    speaker = ("speaker", "--active", "--asn", "65055")
    with ExitStack() as stack:
        strangers: list[socket.socket] = []
        in_vain: list[Bgpipe] = []

        def called(options: list[str], settings: dict[str, Any]) -> tuple[Bgpipe, Router]:
            router = Router()
            stack.callback(router.close)
            prepare(router.socket, **settings)
            words = ("--", *speaker, "--", "connect", *options, "--timeout", "60s", router.address)
            return stack.enter_context(bgpipe(*words, fails=True)), router

        for options, good, bad in CALLERS.values():
            host, port = place()
            words = ("--", "listen", "--many", *options, f"{host}:{port}", "--", *speaker)
            running = stack.enter_context(bgpipe(*words))
            for settings in bad:
                made = stack.enter_context(prepare(socket.socket(), **settings))
                made.setblocking(False)
                assert made.connect_ex(running.address) == errno.EINPROGRESS
                caller, router = called(options, settings)
                strangers += made, router.socket
                in_vain.append(caller)
            made = prepare(socket.socket(), **good)
            made.settimeout(CLOSE_TIMEOUT)
            made.connect(running.address)
            running.peers.append(Peer(made))
            assert originates_session(running.peers[0])
            _, router = called(options, good)
            assert originates_session(router.accept())
        assert select.select(strangers, strangers, [], NEVER) == ([], [], [])
        for caller in in_vain:
            assert "dialing" in caller.log
            assert "connected" not in caller.log
