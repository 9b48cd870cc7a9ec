"""speaker, live: who we are, how a session comes up, and how it ends."""

from __future__ import annotations

import json

import pytest

from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.pipeline.errors import ConfigError
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.family import Family
from bgpipe.wire.message import OPEN, UPDATE
from bgpipe.wire.open import Open
from conversation import opening, place, running

SPEAKER = "-- speaker --active --asn 65001 --id 192.0.2.1"


# The end


@pytest.mark.parametrize(("options", "data"), [("", b"\0"), ("--text 'back at 10:00'", b"\x0dback at 10:00")])
async def test_cease_on_a_signal(options: str, data: bytes) -> None:
    async with running(f"{SPEAKER} {options} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        await peer.expect(UPDATE)
        run.runner.interrupt()
        assert await peer.fault() == (6, 2, data)
        await peer.close()
        assert await run.end() == ""


async def test_hard_reset_where_routes_would_be_kept() -> None:
    """Both sides keep routes after a NOTIFICATION (RFC 8538): a shutdown has to say that it is one."""
    retains = Capability(caps.GRACEFUL_RESTART, bytes.fromhex("4078"))
    async with running(f"""--caps '{{"GRACEFUL_RESTART":"0x4078"}}' {SPEAKER} -- listen {place()}""") as run:
        peer = await run.dial()
        await peer.establish(opening(65002, retains))
        run.runner.interrupt()
        assert await peer.fault() == (6, 9, b"\6\2\0")


# Who we are


async def test_passive_takes_after_the_peer() -> None:
    async with running(f"-- speaker -- listen {place()}") as run:
        peer = await run.dial()
        ours = await peer.establish()
        assert (ours.asn, ours.bgp_id, ours.hold_time) == (65002, "192.0.2.1", 90)


@pytest.mark.parametrize(
    ("asn", "bgp_id", "ours"), [(65002, "0.0.0.1", (65002, "0.0.0.2")), (0, "0.0.0.1", (0, "0.0.0.2"))]
)
async def test_passive_comes_up_with_any_defaults(asn: int, bgp_id: str, ours: tuple[int, str]) -> None:
    """Those of the Go bgpipe's active speaker are AS 0 and 0.0.0.1."""
    async with running(f"-- speaker -- listen {place()}") as run:
        peer = await run.dial()
        found = await peer.establish(Open(asn, 90, bgp_id))
        assert (found.asn, found.bgp_id) == ours


async def test_as_0_is_refused_where_an_as_number_is_wanted() -> None:
    """RFC 7607."""
    async with running(f"-- speaker --asn 65001 -- listen {place()}") as run:
        peer = await run.dial()
        await peer.say(Open(0, 90, "192.0.2.2"))
        assert (await peer.fault())[:2] == (2, 2)


async def test_speakers_come_up_without_options() -> None:
    where = place()
    async with running(f"-- listen {where} -- speaker -L") as passive:
        await passive.told("listening on")
        async with running(f"-- speaker --active -- connect {where}") as active:
            for run in (active, passive):
                await run.told("negotiated")
            (facts,) = active.pipeline.tracker.facts
            assert facts.established
            assert (facts.sent_open.asn, facts.sent_open.bgp_id) == (64512, "0.0.0.2")
            assert (facts.peer_open.asn, facts.peer_open.bgp_id) == (64512, "0.0.0.1")


async def test_options_in_open() -> None:
    words = "-- speaker --active --asn 4200000001 --id 10.1.2.3 --hold 2"
    async with running(f"{words} -- listen {place()}") as run:
        peer = await run.dial()
        ours = (await peer.expect(OPEN)).open
        assert (ours.my_as, ours.asn, ours.bgp_id, ours.hold_time) == (23456, 4200000001, "10.1.2.3", 3)
        assert set(ours.families) == {Family(afi, safi) for afi in (1, 2) for safi in (1, 133)}
        assert ours.has(caps.ROUTE_REFRESH)
        assert ours.has(caps.EXTENDED_MESSAGE)


async def test_defaults_in_open() -> None:
    async with running(f"-2 -- speaker --active -- listen {place()}") as run:
        ours = (await (await run.dial()).expect(OPEN)).open
        assert (ours.my_as, ours.bgp_id) == (64512, "0.0.0.2")
        assert not ours.has(caps.AS4)


async def test_capabilities_as_told() -> None:
    given = {
        "MP": ["IPV4/UNICAST"],
        "ROLE": "CUSTOMER",
        "GRACEFUL_RESTART": {"time": 120, "families": ["IPV4/UNICAST"]},
        "ADDPATH": ["IPV4/UNICAST/BIDIR"],
        "FQDN": {"host": "r1", "domain": "example"},
    }
    async with running(f"--caps '{json.dumps(given)}' {SPEAKER} -- listen {place()}") as run:
        shown = (await (await run.dial()).expect(OPEN)).open.to_json()["caps"]
        assert isinstance(shown, dict)
        assert {name: shown[name] for name in given} == given
        assert shown["AS4"] == 65001


@pytest.mark.parametrize(
    "options",
    ["--asn 4294967296", "--asn -2", "--remote-asn 4294967296", "--hold 65536", "--remote-hold -1", "--id 0.0.0.0",
     "--id ::1", "--id x", "--open-wait -1s", "--send-hold -1s", "--require nonsense", f"--text {'x' * 256}", "-LR"],
)  # fmt: skip
def test_options_that_can_not_be(options: str) -> None:
    from conversation import Records

    with pytest.raises(ConfigError):
        build(parse(["--", "speaker", *options.split(), "--", "connect", "192.0.2.1"], {}), Records())  # type: ignore[arg-type]


def test_a_speaker_wants_somebody_to_speak_with() -> None:
    from conversation import Records

    with pytest.raises(ConfigError, match="there is no peer to speak with"):
        build(parse(["-o", "speaker"], {}), Records())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="there is no peer at the left to speak with"):
        build(parse(["--", "speaker", "-L", "--", "connect", "192.0.2.1"], {}), Records())  # type: ignore[arg-type]


def test_a_long_number_is_not_shortened() -> None:
    from conversation import Records

    with pytest.raises(ConfigError, match="at most 16 bits"):
        build(parse(["-2", "--", "speaker", "--asn", "65536", "--", ":179"], {}), Records())  # type: ignore[arg-type]
