"""speaker, live: what a peer is told for each of its faults."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import KEEPALIVE, MARKER, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.open import Open
from conversation import ALIVE, GOOD, announce, attributes, opening, place, router, running

ENHANCED = Capability(caps.ENHANCED_ROUTE_REFRESH)
ROLE = {
    name: Capability(caps.ROLE, bytes((code,)))
    for code, name in enumerate(("provider", "rs", "rs-client", "customer", "peer"))
}
SPEAKER = "-- speaker --active --asn 65001 --id 192.0.2.1"


def header(length: int, type_code: int, marker: bytes = MARKER) -> bytes:
    return marker + length.to_bytes(2, "big") + bytes((type_code,))


def with_params(params: bytes) -> Message:
    return Message(OPEN, replace(opening(), params=params).encode())


# What a peer does, and what it is told

BEFORE = {
    "marker": ("", header(19, 4, b"\0" * 16), (1, 1, b"")),
    "length": ("", header(18, 4), (1, 2, b"\0\x12")),
    "length of a KEEPALIVE": ("", header(20, 4), (1, 2, b"\0\x14")),
    "length of an OPEN": ("", header(4097, 1), (1, 2, b"\x10\x01")),
    "type": ("", header(19, 9), (1, 3, b"\x09")),
    "version": ("", Message(OPEN, b"\3" + opening().encode()[1:]), (2, 1, b"\0\4")),
    "peer AS": ("--remote-asn 65003", opening(), (2, 2, b"")),
    "peer AS 0": ("", opening(0), (2, 2, b"")),
    "BGP identifier 0": ("", opening(bgp_id="0.0.0.0"), (2, 3, b"")),
    "our own BGP identifier": ("", opening(65001, bgp_id="192.0.2.1"), (2, 3, b"")),
    "optional parameter": ("", with_params(b"\1\1\0"), (2, 4, b"")),
    "parameters cut short": ("", with_params(b"\2\5\1"), (2, 0, b"")),
    "hold time 1": ("", opening(hold_time=1), (2, 6, b"")),
    "hold time 2": ("", opening(hold_time=2), (2, 6, b"")),
    "hold time below ours": ("--remote-hold 60", opening(hold_time=30), (2, 6, b"")),
    "hold time 0": ("--remote-hold 60", opening(hold_time=0), (2, 6, b"")),
    "capability": ("--require extended_message", opening(), (2, 7, b"\6\0")),
    "role": ("", opening(65002, ROLE["provider"]), (2, 11, b"")),
    "roles that differ": ("", opening(65002, ROLE["customer"], ROLE["peer"]), (2, 11, b"")),
    "no role": ("--require role", opening(), (2, 11, b"")),
    "UPDATE in OpenSent": ("", announce("198.51.100.0/24"), (5, 1, b"")),
    "KEEPALIVE in OpenSent": ("", ALIVE, (5, 1, b"")),
}
PROVIDER = """--caps '{"ROLE":"PROVIDER"}' """
UP = {
    "marker": (header(19, 4, b"\xff" * 15 + b"\0"), (1, 1, b"")),
    "length of an UPDATE": (header(22, 2), (1, 2, b"\0\x16")),
    "a message that is too long": (header(4097, 2), (1, 2, b"\x10\x01")),
    "type": (header(19, 6), (1, 3, b"\x06")),
    "OPEN": (opening(), (5, 3, b"")),
    "withdrawn routes length": (Message(UPDATE, b"\0\x30\0\0"), (3, 1, b"")),
    "path attributes length": (Message(UPDATE, b"\0\0\0\x30"), (3, 1, b"")),
    "MP_REACH_NLRI twice": (attributes(GOOD + "800e0d000101040a0000010018c63364" * 2), (3, 1, b"")),
    "next hop length": (attributes(GOOD + "800e080002010300000000"), (3, 9, None)),
    "network field": (attributes(GOOD, nlri="21c6336400"), (3, 10, b"")),
    "withdrawn network field": (attributes("", withdrawn="21c6336400"), (3, 10, b"")),
    "BoRR of 5 octets": (Message(ROUTE_REFRESH, b"\0\1\1\1\0"), (7, 1, Message(ROUTE_REFRESH, b"\0\1\1\1\0").octets)),
}


@pytest.mark.parametrize("name", BEFORE)
async def test_fault_before_the_session(name: str) -> None:
    options, octets, told = BEFORE[name]
    async with running(f"{PROVIDER}{SPEAKER} {options} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.expect(OPEN)
        await peer.say(octets)
        assert await peer.fault() == told
        assert await run.end(), "that is a failure"


@pytest.mark.parametrize("octets", [announce("198.51.100.0/24"), opening()], ids=["UPDATE", "OPEN"])
async def test_fault_in_open_confirm(octets: Message | Open) -> None:
    async with running(f"{SPEAKER} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.say(opening())
        await peer.expect(OPEN)
        await peer.expect(KEEPALIVE)
        await peer.say(octets)
        assert await peer.fault() == (5, 2, b"")


@pytest.mark.parametrize("name", UP)
async def test_fault_in_the_session(name: str) -> None:
    octets, (code, subcode, data) = UP[name]
    async with running(f"""--caps '{{"ENHANCED_ROUTE_REFRESH":true}}' {SPEAKER} -- listen {place()}""") as run:
        peer = await run.dial()
        await peer.establish(opening(65002, ENHANCED))
        await peer.say(octets, announce("203.0.113.0/24"))
        told = await peer.fault()
        assert told[:2] == (code, subcode)
        assert data is None or told[2] == data
        assert await run.end()


async def test_hold_timer() -> None:
    async with running(f"{SPEAKER} --hold 3 -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        assert await peer.fault() == (4, 0, b"")
        assert "HoldTimer" in await run.end()


async def test_open_that_does_not_come() -> None:
    async with running(f"{SPEAKER} --open-wait 50ms -- listen {place()}") as run:
        peer = await run.dial()
        assert await peer.fault() == (4, 0, b"")


async def test_peer_that_takes_nothing() -> None:
    """RFC 9687: it can't be told, as nothing gets through; the others are."""
    words = f"{SPEAKER} --send-hold 200ms -- connect --closed-timeout 50ms"
    async with router() as (address, peers), running(f"{words} {address}") as run:
        peer = await peers.get()
        await peer.establish()
        peer.writer.transport.pause_reading()
        end = run.pipeline.stages[-1]
        filler = announce(*(f"10.{a}.{b}.0/24" for a in range(4) for b in range(200)))
        for _ in range(4000):
            end.send(filler)
        assert "SendHoldTimer" in await run.end()


CODES = [
    (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4), (2, 6), (2, 7), (2, 11), (3, 1), (3, 9), (3, 10), (4, 0),
    (5, 1), (5, 2), (5, 3), *((6, subcode) for subcode in range(1, 10)), (7, 1), (8, 0),
]  # fmt: skip


@pytest.mark.parametrize(("code", "subcode"), CODES)
async def test_notification_seen(code: int, subcode: int) -> None:
    """It is told by its name, nothing is answered, and the connection is closed."""
    async with running(f"{SPEAKER} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        seen = Notification(code, subcode, b"\x1b[2J")
        await peer.say(Message(NOTIFICATION, seen.encode()))
        heard = [each for each in await peer.all() if each.type_code != UPDATE]
        assert heard == []
        assert seen.name in await run.end()


async def test_shutdown_communication_seen() -> None:
    async with running(f"{SPEAKER} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        await peer.say(Message(NOTIFICATION, Notification.shutdown("back at 10:00").encode()))
        assert "back at 10:00" in await run.end()
