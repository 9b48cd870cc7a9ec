"""speaker as a process: what it keeps over a reconnect, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from peers import ALIVE, Peer, Router, bgpipe, greeting, kind, place

from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import HEADER, MARKER, UPDATE
from bgpipe.wire.update import Update

SPEAKER = ("speaker", "--active", "--asn", "65001", "--id", "192.0.2.9")
EXTENDED = Capability(caps.EXTENDED_MESSAGE)


def write_routes(path: Path) -> None:
    """Five routes as JSON; one is withdrawn again."""
    shown = [{"reach": [f"10.{number}.0.0/16"]} for number in range(5)] + [{"unreach": ["10.3.0.0/16"]}]
    attrs = {"ORIGIN": "IGP", "ASPATH": [65001], "NEXTHOP": "192.0.2.1"}
    lines = [["R", 0, None, "UPDATE", each | ({"attrs": attrs} if "reach" in each else {})] for each in shown]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def table(router: Router) -> tuple[Peer, set[str]]:
    """The next session of the router's: the peer, and the routes that it has at End-of-RIB of IPv6."""
    peer = router.accept(30)
    peer.hear()
    peer.say(greeting(65002, 90, "192.0.2.2"), ALIVE)
    routes: set[str] = set()
    while True:
        message = peer.hear()
        assert message, "the session has ended"
        if kind(message) != UPDATE:
            continue
        update = Update.decode(message[HEADER:])
        routes |= set(map(str, update.reach))
        routes -= set(map(str, update.withdrawn))
        if update.end_of_rib is not None and update.end_of_rib.afi == 2:
            return peer, routes


@pytest.mark.parametrize("source", ["-i", "read"])
def test_routes_are_announced_again_over_a_reconnect(tmp_path: Path, source: str) -> None:
    """What came from standard input will not come again, so it is kept; a file is read again. End-of-RIB is sent
    behind them, else a peer with graceful restart would remove them all."""
    path = tmp_path / "routes.json"
    write_routes(path)
    router = Router()
    words = ["-i"] if source == "-i" else []
    words += ["--", *SPEAKER, "--", *(("read", str(path), "--") if source == "read" else ())]
    with bgpipe(*words, "connect", "--retry", router.address, stdin=path) as running:
        expected = {f"10.{number}.0.0/16" for number in (0, 1, 2, 4)}
        peer, routes = table(router)
        assert routes == expected
        peer.close()
        peer, routes = table(router)
        assert routes == expected
        assert ("routes announced again" in running.log) == (source == "-i")
        peer.close()
    router.close()


@pytest.mark.slow
def test_memory_does_not_grow_with_what_different_updates_say() -> None:
    """Nothing that is remembered for speed is bounded by a number of bodies alone: they may have 65,000 octets each."""
    router = Router()
    host, port = place()
    words = ("-o", "--", "listen", f"{host}:{port}", "--", "drop", "-LR", "as_origin == 65009")
    with bgpipe(*words, "--", "connect", "--wait", "listen", router.address) as running:
        ours, theirs = (greeting(asn, 90, f"192.0.2.{asn % 10}", EXTENDED) for asn in (65001, 65002))
        left, right = running.session(router, ours, theirs)

        def send(start: int, count: int) -> None:
            for number in range(start, start + count):
                left.say(long_update(number))
                assert right.hear() == long_update(number)

        send(0, 100)
        before = running.resident
        send(100, 700)
        assert running.resident - before < 20 << 20
    router.close()


def long_update(number: int) -> bytes:
    """One of 60,000 octets that differs from all others."""
    communities = b"".join(number.to_bytes(2, "big") + low.to_bytes(2, "big") for low in range(14_900))
    attrs = {"ORIGIN": "IGP", "ASPATH": [65001], "NEXTHOP": "192.0.2.1", "COMMUNITY": "0x" + communities.hex()}
    body = Update.make(reach=["198.51.100.0/24"], attrs=attrs).body
    return MARKER + (len(body) + HEADER).to_bytes(2, "big") + bytes((UPDATE,)) + body
