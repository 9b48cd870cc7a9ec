"""speaker, live: the routes that it reads are sent to a peer that can take them, and again when the peer asks."""

from __future__ import annotations

import json

import pytest

from bgpipe.wire import caps
from bgpipe.wire.caps import Capability, mp
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.open import Open
from bgpipe.wire.refresh import RouteRefresh
from bgpipe.wire.update import Update
from conversation import (
    ALIVE,
    AS_PATH,
    GOOD,
    MP4,
    NEXT_HOP,
    ORIGIN,
    Peer,
    announce,
    attributes,
    opening,
    place,
    running,
)

REFRESH = Capability(caps.ROUTE_REFRESH)
ENHANCED = Capability(caps.ENHANCED_ROUTE_REFRESH)
SPEAKER = "-- speaker --active --asn 65001 --id 192.0.2.1"


# What is read is sent when the session is up


EVERY = [MP4, *(Capability(caps.MP, mp.encode(family)) for family in (IPV6_UNICAST, Family(1, 133), Family(2, 133)))]


async def test_end_of_rib_of_each_family() -> None:
    async with running(f"{SPEAKER} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish(Open(65002, 90, "192.0.2.2", tuple(EVERY)))
        ended = {(await peer.expect(UPDATE)).update.end_of_rib for _ in EVERY}
        assert ended == {mp.decode(capability.value) for capability in EVERY}


def lines(*messages: Message) -> bytes:
    return b"".join(
        json.dumps(["R", 0, None, each.type, json.loads(each.format_json())]).encode() + b"\n" for each in messages
    )


async def test_a_file_waits_for_the_session(tmp_path) -> None:
    """Its UPDATEs come after the OPENs, End-of-RIB after them, and then the session ends. What others said in it to
    open and to end their session is not said again."""
    routes = [announce(f"10.{number}.0.0/16") for number in range(100)]
    path = tmp_path / "routes.json"
    cease = Message(NOTIFICATION, Notification.shutdown().encode())
    path.write_bytes(lines(Message(OPEN, opening(65009).encode()), ALIVE, *routes, cease))
    async with running(f"{SPEAKER} --no-linger -- read {path} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        heard = await peer.all()
        assert [each.octets for each in heard[:100]] == [each.octets for each in routes]
        assert {each.update.end_of_rib for each in heard[100:-1]} == {IPV4_UNICAST, IPV6_UNICAST}
        assert heard[-1].notification == Notification.shutdown()
        await peer.close()
        assert await run.end() == ""


async def test_the_session_stays_up_when_all_is_read(tmp_path) -> None:
    path = tmp_path / "routes.json"
    path.write_bytes(lines(announce("10.0.0.0/8")))
    async with running(f"{SPEAKER} -- read {path} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        assert [(await peer.expect(UPDATE)).update.is_eor for _ in range(3)] == [False, True, True]
        await peer.say(Message(ROUTE_REFRESH, RouteRefresh(IPV4_UNICAST).encode()))
        assert [str(prefix) for prefix in (await peer.expect(UPDATE)).update.reach] == ["10.0.0.0/8"]
        assert not run.task.done()
        run.runner.interrupt()
        assert (await peer.fault())[:2] == (6, 2)


async def test_keepalives() -> None:
    async with running(f"{SPEAKER} --hold 3 -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        for _ in range(2):
            await peer.expect(UPDATE)  # End-of-RIB
        for _ in range(3):
            await peer.expect(KEEPALIVE)
            await peer.say(ALIVE)


# What the peer can't take is not sent

VPN_ROUTE = attributes(
    ORIGIN + AS_PATH + "800e20" + "000180" + "0c" + "0000000000000000c0000202" + "00"
    "70" + "000011" + "0000fde900000001" + "c63364"
)


@pytest.fixture
def mixed(tmp_path):
    """Routes of four families, some in one UPDATE with others."""
    path = tmp_path / "mixed.json"
    both = Update.make(reach=["2001:db8:1::/48"], attrs={"ORIGIN": "IGP", "ASPATH": [65002]}, next_hop="2001:db8::1")
    _, section, _ = both.parts()
    multicast = attributes(GOOD + "800e0d000102040a0000010018c63364")
    path.write_bytes(
        lines(
            *(announce(f"10.{number}.0.0/16") for number in range(3)),
            announce("2001:db8:2::/48"),
            attributes(section.hex() + NEXT_HOP, nlri="18cb0071"),
            multicast,
            VPN_ROUTE,
            Message(UPDATE, Update.make(withdrawn=["2001:db8:3::/48"]).body),
            announce("10.9.0.0/16"),
        )
    )
    return path


@pytest.mark.parametrize(
    ("capabilities", "left_out"),
    [
        ((MP4,), {"IPV6/UNICAST": 3, "IPV4/MULTICAST": 1, str(Family(1, 128)): 1}),
        ((EVERY_IPV6 := Capability(caps.MP, mp.encode(IPV6_UNICAST)),), {"IPV4/UNICAST": 5, "IPV4/MULTICAST": 1}),
        ((MP4, EVERY_IPV6), {"IPV4/MULTICAST": 1, str(Family(1, 128)): 1}),
    ],
    ids=["IPv4", "IPv6", "both"],
)
@pytest.mark.parametrize("kind", ["json", "mrt"])
async def test_only_families_that_were_agreed_are_sent(mixed, tmp_path, capabilities, left_out, kind) -> None:
    """RFC 4760 section 8. Of an UPDATE with routes of two families, the part that the peer takes is sent. MRT comes in
    blocks, where accel is there."""
    path = mixed
    if kind == "mrt":
        path = tmp_path / "mixed.mrt"
        async with running(f"read {mixed} -- write {path}") as run:
            assert await run.end() == ""
    async with running(f"{SPEAKER} --no-linger -- read {path} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish(Open(65002, 90, "192.0.2.2", (*capabilities, Capability(caps.AS4, b"\0\0\xfd\xea"))))
        heard = [each.update for each in await peer.all() if each.type_code == UPDATE]
        agreed = {mp.decode(capability.value) for capability in capabilities}
        assert {family for update in heard for family in families(update)} == agreed
        routes = {str(prefix) for update in heard for prefix in update.reach}
        assert ("203.0.113.0/24" in routes) == (MP4 in capabilities)
        assert ("2001:db8:1::/48" in routes) == (EVERY_IPV6 in capabilities)
        assert len(routes) == 5 * (MP4 in capabilities) + 2 * (EVERY_IPV6 in capabilities)
        await peer.close()
        assert await run.end() == ""
        end = run.pipeline.stages[-1]
        told = {str(family): count for family, count in end.family_filter.left_out.items()}
        assert told.items() >= left_out.items()
        assert end.drops["family"] == sum(told.values())
        for family in left_out:
            assert [family in line for line in run.log.lines if "not agreed" in line].count(True) == 1


def families(update: Update) -> set[Family]:
    """Those that an UPDATE has routes or an End-of-RIB marker of."""
    withdrawn, section, nlri = update.parts()
    found = {update.family} if update.attrs.keys() & {14, 15} else set()
    return found | ({IPV4_UNICAST} if withdrawn or nlri or not section else set())


async def test_families_of_a_program_are_checked_too(mixed) -> None:
    async with running(
        f"{SPEAKER} --no-linger -- exec --wait ESTABLISHED --read 'cat {mixed}' -- listen {place()}"
    ) as run:
        peer = await run.dial()
        await peer.establish(Open(65002, 90, "192.0.2.2", (MP4,)))
        heard = [each.update for each in await peer.all() if each.type_code == UPDATE]
        assert {family for update in heard for family in families(update)} == {IPV4_UNICAST}


BAD_ORIGIN = attributes("40010109" + AS_PATH + NEXT_HOP, nlri="18cb0071")
BAD_AGGREGATOR = attributes(GOOD + "c007020001", nlri="18cb0072")
CUT_SHORT = Message(UPDATE, b"\0\0\0\x30" + bytes.fromhex(GOOD))


@pytest.mark.parametrize("policy", [None, "auto", "forward", "withdraw", "drop"])
async def test_malformed_updates_of_a_file_are_treated(tmp_path, policy) -> None:
    """As those of a peer are, by the --malformed of the stage that has the connection (RFC 7606)."""
    path = tmp_path / "routes.raw"
    messages = (announce("10.1.0.0/16"), BAD_ORIGIN, BAD_AGGREGATOR, CUT_SHORT, announce("10.2.0.0/16"))
    path.write_bytes(b"".join(each.octets for each in messages))
    option = f"--malformed {policy}" if policy else ""
    async with running(f"{SPEAKER} --no-linger -- read {path} -- listen {option} {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        heard = [each for each in await peer.all() if each.type_code == UPDATE and each.update.end_of_rib is None]
        first, *treated, last = heard
        assert (first.octets, last.octets) == (messages[0].octets, messages[4].octets)
        withdrawn = Message(UPDATE, bytes.fromhex("000418cb00710000"))
        discarded = attributes(GOOD, nlri="18cb0072")
        expected = {
            "forward": [BAD_ORIGIN, BAD_AGGREGATOR, CUT_SHORT],
            "withdraw": [withdrawn, Message(UPDATE, bytes.fromhex("000418cb00720000"))],
            "drop": [],
        }.get(policy or "auto", [withdrawn, discarded])
        assert [each.octets for each in treated] == [each.octets for each in expected]
        assert run.pipeline.events["bgpfix/pipe.MALFORMED"] == 3
        assert len([line for line in run.log.lines if "malformed UPDATE" in line]) == 3


async def test_kill_holds_for_a_file_too(tmp_path) -> None:
    path = tmp_path / "routes.raw"
    path.write_bytes(announce("10.1.0.0/16").octets + BAD_ORIGIN.octets)
    async with running(f"{SPEAKER} -- read {path} -- listen --malformed kill {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        assert (await peer.fault())[0] == 6
        assert "[2] read: malformed UPDATE" in await run.end()


@pytest.mark.parametrize("kind", ["raw", "mrt"])
async def test_one_that_is_too_long_loses_only_itself(tmp_path, kind) -> None:
    """Its routes are withdrawn, so that no older ones stay; it is told, counted, and the exit code says it."""
    path = tmp_path / f"routes.{kind}"
    long = announce("10.200.0.0/16", COMMUNITY=[f"65000:{number}" for number in range(1200)])
    routes = [announce(f"10.{number}.0.0/16") for number in range(200)]
    raw = tmp_path / "routes.raw"
    raw.write_bytes(b"".join(each.octets for each in (*routes[:100], long, *routes[100:])))
    if kind == "mrt":
        async with running(f"read {raw} -- write {path}") as run:
            assert await run.end() == ""
    async with running(f"{SPEAKER} --no-linger -- read {path} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish()
        heard = [each for each in await peer.all() if each.type_code == UPDATE and each.update.end_of_rib is None]
        assert {str(prefix) for each in heard for prefix in each.update.reach} == {
            f"10.{number}.0.0/16" for number in range(200)
        }
        assert [str(prefix) for each in heard for prefix in each.update.withdrawn] == ["10.200.0.0/16"]
        await run.told("UPDATE can't be sent: its routes are withdrawn instead")
        await peer.close()
        assert "1 UPDATE could not be sent" in await run.end()
        assert run.pipeline.stages[-1].drops["unsendable"] == 1


# ROUTE-REFRESH


@pytest.fixture
def table(tmp_path):
    """Routes that come and go: what is left are three of IPv4, in two UPDATEs, and two of IPv6."""
    path = tmp_path / "table.json"
    withdraw = Message(UPDATE, Update.make(withdrawn=["10.1.0.0/16", "2001:db8:1::/48"]).body)
    path.write_bytes(
        lines(
            announce("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"),
            announce("2001:db8:1::/48", "2001:db8:2::/48"),
            withdraw,
            announce("10.3.0.0/16", MED=5),
            announce("10.4.0.0/16"),
            announce("2001:db8:3::/48"),
        )
    )
    return path


async def up(run, *more: Capability) -> Peer:
    """A peer that has the whole table and asks for no more."""
    peer = await run.dial()
    await peer.establish(opening(65002, REFRESH, *more))
    ended = 0
    while ended < 2:
        ended += (await peer.expect(UPDATE)).update.is_eor
    return peer


async def test_refresh(table) -> None:
    async with running(f"{SPEAKER} -- read {table} -- listen {place()}") as run:
        peer = await up(run)
        for family, count, prefixes in (
            (IPV4_UNICAST, 2, ["10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"]),
            (IPV6_UNICAST, 1, ["2001:db8:2::/48", "2001:db8:3::/48"]),
        ):
            await peer.say(Message(ROUTE_REFRESH, RouteRefresh(family).encode()))
            updates = [(await peer.expect(UPDATE)).update for _ in range(count)]
            assert sorted(str(prefix) for update in updates for prefix in update.reach) == prefixes
            assert all(not update.errors for update in updates)
            assert {update.med for update in updates} == ({None, 5} if family == IPV4_UNICAST else {None})
        await run.told("route refresh answered")


async def test_a_peer_may_ask_although_it_does_not_answer_itself(table) -> None:
    """RFC 2918 section 4: who announces the capability answers; ours is announced."""
    async with running(f"{SPEAKER} -- read {table} -- listen {place()}") as run:
        peer = await run.dial()
        await peer.establish(opening(65002))
        ended = 0
        while ended < 2:
            ended += (await peer.expect(UPDATE)).update.is_eor
        await peer.say(Message(ROUTE_REFRESH, RouteRefresh(IPV6_UNICAST).encode()))
        assert len((await peer.expect(UPDATE)).update.reach) == 2


@pytest.mark.parametrize(
    "attribute",
    ["800f00", "800f0200", "800e00", "800e020002", "800e0500020110ff", "800e0900018500000318c0", "800f04000185" + "05"],
    ids=[
        "MP_UNREACH of 0",
        "of 1",
        "MP_REACH of 0",
        "of 2",
        "hop cut short",
        "flowspec cut short",
        "unreach cut short",
    ],
)
async def test_an_odd_update_does_not_keep_the_peer_from_being_answered(tmp_path, attribute: str) -> None:
    path = tmp_path / "odd.raw"
    code, length = attribute[:4], int(attribute[4:6], 16)
    value = bytes.fromhex(attribute[6:])[:length].ljust(0)
    odd = attributes(code + f"{len(value):02x}" + value.hex())
    path.write_bytes(announce("10.1.0.0/16").octets + odd.octets)
    async with running(f"{SPEAKER} -- read {path} -- listen --malformed forward {place()}") as run:
        peer = await up(run)
        await peer.say(Message(ROUTE_REFRESH, RouteRefresh(IPV4_UNICAST).encode()))
        assert [str(prefix) for prefix in (await peer.expect(UPDATE)).update.reach] == ["10.1.0.0/16"]
        await run.told("not repeated")


async def test_refresh_between_marks(table) -> None:
    words = f"""--caps '{{"ENHANCED_ROUTE_REFRESH":true}}' {SPEAKER} -- read {table}"""
    async with running(f"{words} -- listen {place()}") as run:
        peer = await up(run, ENHANCED)
        await peer.say(Message(ROUTE_REFRESH, RouteRefresh(IPV6_UNICAST).encode()))
        begin, update, end = [await peer.hear() for _ in range(3)]
        assert begin.refresh == RouteRefresh(IPV6_UNICAST, 1)
        assert len(update.update.reach) == 2
        assert end.refresh == RouteRefresh(IPV6_UNICAST, 2)


async def test_refresh_of_what_is_not_agreed_is_ignored(table) -> None:
    async with running(f"{SPEAKER} -- read {table} -- listen {place()}") as run:
        peer = await up(run)
        marks = [RouteRefresh(IPV6_UNICAST, subtype) for subtype in (1, 2, 3)]
        for refresh in (RouteRefresh(Family(1, 133)), RouteRefresh(Family(1, 2)), *marks, RouteRefresh(IPV6_UNICAST)):
            await peer.say(Message(ROUTE_REFRESH, refresh.encode()))
        assert (await peer.expect(UPDATE)).update.family == IPV6_UNICAST
        run.runner.interrupt()
        assert [each.type_code for each in await peer.all()] == [NOTIFICATION]


async def test_refresh_says_what_stages_made_of_it(table) -> None:
    """Routes are remembered as they left, and pass no stage again."""
    async with running(f"{SPEAKER} -- read {table} -- drop -R 'prefix == 10.4.0.0/16' -- listen {place()}") as run:
        peer = await up(run)
        await peer.say(Message(ROUTE_REFRESH, RouteRefresh(IPV4_UNICAST).encode()))
        updates = [(await peer.expect(UPDATE)).update for _ in range(2)]
        assert {str(prefix) for update in updates for prefix in update.reach} == {"10.2.0.0/16", "10.3.0.0/16"}


async def test_session_with_another_speaker() -> None:
    """Ours on both sides."""
    where = place()
    async with running(f"-- speaker -- listen {where}") as passive:
        await passive.told("listening on")
        async with running(f"{SPEAKER} -- connect {where}") as active:
            await active.told("negotiated")
            for run in (passive, active):
                speaker = next(stage for stage in run.pipeline.stages if stage.name == "speaker")
                for family in ("IPV4/UNICAST", "IPV6/UNICAST", "IPV4/FLOWSPEC", "IPV6/FLOWSPEC"):
                    await run.told(family)
                assert speaker.status()["state"] == "Established"
