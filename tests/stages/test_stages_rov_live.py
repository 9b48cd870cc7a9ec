"""The stage rov between two routers: what has passed is taken back, and what was held back comes, when VRPs change."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random

import pytest
from routers import ENHANCED, MP6, REFRESH, Routers, announce, turns_of, withdraw
from routers import race as race_of_routers
from sessions import between, make_open

from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import Validity, Vrp
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import AS4, WireContext
from bgpipe.wire.family import IPV4_UNICAST
from bgpipe.wire.message import ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.prefix import Prefix, parse_prefix


def vrps(*rows: tuple[str, int, int]) -> Snapshot:
    return Snapshot.of([Vrp(parse_prefix(prefix), longest, asn) for prefix, longest, asn in rows])


@asynccontextmanager
async def routers(
    words: str, snapshot: Snapshot = EMPTY, *capabilities: Capability, context: WireContext = AS4
) -> AsyncIterator[Routers]:
    words = words.replace("rov -", "rov --no-wait -")  # the VRPs come from the test
    async with between(*words.split()) as session:
        session.pipeline.pipeline.shared.rpki.replace(snapshot)
        opens = [make_open(asn, MP6, REFRESH, ENHANCED, *capabilities) for asn in (65001, 65009)]
        await session.establish(*opens)
        yield Routers(session, context)


@pytest.mark.parametrize("words", ["rov -R", "rov -LR", "rov -R --invalid split", "rov -R --tag=false"])
async def test_what_becomes_invalid_is_withdrawn_and_comes_back(words):
    async with routers(words, vrps(("10.0.0.0/8", 24, 65001))) as pair:
        pair.send(announce("10.0.1.0/24", "10.0.2.0/25", "10.9.0.0/16"), announce("2001:db8::/32"))
        assert set(await pair.settled()) == {"10.0.1.0/24", "10.9.0.0/16", "2001:db8::/32"}
        pair.rpki.replace(vrps(("10.0.0.0/8", 25, 65001), ("10.9.0.0/16", 16, 65002), ("2001:db8::/31", 32, 65002)))
        assert set(await pair.settled()) == {"10.0.1.0/24", "10.0.2.0/25", "10.9.0.0/16"}
        pair.rpki.replace(vrps(("10.9.0.0/16", 16, 65002)))
        assert set(await pair.settled()) == {"10.0.1.0/24", "10.0.2.0/25", "2001:db8::/32"}
        pair.send(withdraw("10.0.1.0/24"), withdraw("10.9.0.0/16"))
        pair.rpki.replace(EMPTY)
        assert set(await pair.settled()) == {"10.0.2.0/25", "2001:db8::/32"}
        status = pair.stage.status()
        assert status["routes"] == 3
        assert status["judged_again"]["withdrawals"] == 2
        assert status["judged_again"]["announcements"] >= 2


async def test_without_revalidation_nothing_is_taken_back():
    async with routers("rov -R --revalidate=false", EMPTY) as pair:
        pair.send(announce("10.0.1.0/24"))
        assert set(await pair.settled()) == {"10.0.1.0/24"}
        pair.rpki.replace(vrps(("10.0.0.0/8", 8, 65001)))
        assert set(await pair.settled()) == {"10.0.1.0/24"}
        assert pair.stage.revalidations == {}


async def test_an_empty_path_is_of_the_sender_in_its_direction():
    async with routers("rov -LR", vrps(("10.1.0.0/16", 16, 65001), ("10.2.0.0/16", 16, 65009))) as pair:
        pair.send(announce("10.1.0.0/16", path=()), announce("10.2.0.0/16", path=()))
        assert set(await pair.settled()) == {"10.1.0.0/16"}
        last = announce("192.0.2.0/24", path=(65009,))
        pair.session.right.send(announce("10.1.0.0/16", path=()), announce("10.2.0.0/16", path=()), last)
        got = [message for message in await pair.session.left.until(last) if message.type_code == UPDATE]
        assert [[*map(str, each.update.reach)] for each in got[:2]] == [[], ["10.2.0.0/16"]]
        pair.rpki.replace(vrps(("10.2.0.0/16", 16, 65001)))
        assert set(await pair.settled()) == {"10.1.0.0/16", "10.2.0.0/16"}


async def test_routes_that_if_leaves_alone_stay():
    async with routers("rov -R --if ipv6", EMPTY) as pair:
        pair.send(announce("10.0.1.0/24"), announce("2001:db8::/32"))
        await pair.settled()
        pair.rpki.replace(vrps(("10.0.0.0/8", 8, 65001), ("2001:db8::/32", 32, 65002)))
        assert set(await pair.settled()) == {"10.0.1.0/24"}


async def test_marks_change_with_the_verdict():
    words = "rov -R --invalid keep --add-com valid=65000:1,not_found=65000:2,invalid=65000:3"
    async with routers(words, EMPTY) as pair:
        pair.send(announce("10.0.1.0/24"))
        for snapshot in (EMPTY, vrps(("10.0.1.0/24", 24, 65001)), vrps(("10.0.1.0/24", 24, 65002))):
            pair.rpki.replace(snapshot)
            await pair.settled()
        updates = [message.update for message in pair.session.right.got if message.type_code == UPDATE]
        found = [each.communities for each in updates if "10.0.1.0/24" in map(str, each.reach)]
        assert found == [["65000:2"], ["65000:1"], ["65000:3"]]


async def test_add_path():
    context = WireContext(add_path=frozenset((IPV4_UNICAST,)))
    both = Capability(caps.ADD_PATH, struct.pack(">HBB", 1, 1, 3))
    async with routers("rov -R", EMPTY, both, context=context) as pair:
        pair.send(announce("#1#10.0.1.0/24", context=context))
        pair.send(announce("#2#10.0.1.0/24", path=(65002,), context=context))
        assert set(await pair.settled()) == {"#1#10.0.1.0/24", "#2#10.0.1.0/24"}
        pair.rpki.replace(vrps(("10.0.1.0/24", 24, 65002)))
        assert set(await pair.settled()) == {"#2#10.0.1.0/24"}
        pair.rpki.replace(vrps(("10.0.1.0/24", 24, 65001)))
        assert await pair.settled() == {"#1#10.0.1.0/24": "65001"}


async def test_what_comes_back_keeps_its_attributes():
    async with routers("rov -R", vrps(("10.0.0.0/8", 8, 65001))) as pair:
        sent = announce("10.0.1.0/24", COMMUNITY=["65000:7"], MED=9, ATTR_99={"flags": "OT", "value": "0x0102"})
        pair.send(sent)
        assert await pair.settled() == {}
        pair.rpki.replace(EMPTY)
        await pair.settled()
        assert sent.octets in [message.octets for message in pair.session.right.got]


async def test_a_refresh_between_two_changes():
    async with routers("rov -R", vrps(("10.0.0.0/8", 8, 65001))) as pair:
        pair.send(announce("10.0.1.0/24", "10.0.2.0/24"))
        assert await pair.settled() == {}
        pair.send(Message(ROUTE_REFRESH, b"\0\1\1\1"), announce("10.0.1.0/24"))
        pair.rpki.replace(EMPTY)
        pair.send(Message(ROUTE_REFRESH, b"\0\1\2\1"))
        assert set(await pair.settled()) == {"10.0.1.0/24"}


def slow_table(sent: dict[str, int], snapshot: Snapshot) -> set[str]:
    """The routes that the snapshot allows, by a plain reading of RFC 6811."""
    found = set()
    rows = [vrp for afi in (1, 2) for vrp in snapshot.vrps(afi)]
    for text, origin in sent.items():
        prefix = parse_prefix(text)
        bits = 32 if prefix.afi == 1 else 128
        covering = [
            vrp
            for vrp in rows
            if vrp.prefix.afi == prefix.afi
            and vrp.prefix.length <= prefix.length
            and vrp.prefix.address >> bits - vrp.prefix.length == prefix.address >> bits - vrp.prefix.length
        ]
        if not covering or any(vrp.asn == origin and prefix.length <= vrp.max_length for vrp in covering):
            found.add(text)
    return found


def random_snapshot(rng: Random) -> Snapshot:
    rows = []
    for _ in range(rng.randrange(40)):
        if rng.random() < 0.6:
            length = rng.choice([8, 16, 18, 24])
            prefix = Prefix(
                1, (10 << 24 | rng.randrange(8) << 16 | rng.randrange(4) << 14) >> 32 - length << 32 - length, length
            )
            rows.append(Vrp(prefix, min(32, length + rng.randrange(9)), rng.choice([65001, 65002, 0])))
        else:
            length = rng.choice([32, 36, 48])
            address = 0x20010DB8 << 96 | rng.randrange(16) << 92 | rng.randrange(4) << 80
            prefix = Prefix(2, address >> 128 - length << 128 - length, length)
            rows.append(Vrp(prefix, length + rng.randrange(9), rng.choice([65001, 65002])))
    return Snapshot.of(rows)


def random_prefix(rng: Random) -> str:
    if rng.random() < 0.6:
        length = rng.choice([16, 18, 20, 24])
        address = (10 << 24 | rng.randrange(8) << 16 | rng.randrange(16) << 12) >> 32 - length << 32 - length
        return str(Prefix(1, address, length))
    length = rng.choice([36, 48, 52])
    address = (0x20010DB8 << 96 | rng.randrange(16) << 92 | rng.randrange(4) << 80) >> 128 - length << 128 - length
    return str(Prefix(2, address, length))


async def race(words: str, seed: int, turns: Iterable[int]) -> None:
    """Announcements, withdrawals, refreshes and table changes in any order: the router on the right ends with the
    routes that the last table allows."""
    rng = Random(seed)
    snapshot = EMPTY
    async with routers(words) as pair:

        def change() -> None:
            nonlocal snapshot
            snapshot = random_snapshot(rng)
            pair.rpki.replace(snapshot)

        await race_of_routers(
            pair,
            rng,
            turns,
            neighbor=65001,
            origins=[65001, 65002],
            random_prefix=random_prefix,
            change=change,
            allowed=lambda sent: slow_table(sent, snapshot),
        )


@pytest.mark.parametrize("words", ["rov -R", "rov -R -- limit -46R --session 100000", "rov -R --if update"])
async def test_a_race(words):
    await race(words, 1, range(300))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_longer_races(seed):
    words = ["rov -R", "rov -R --invalid split", "rov -R -- limit -46R --session 100000 -- rov -R"][seed % 3]
    await race(words, seed, turns_of(4000))  # a thousand changes of VRPs


def test_the_model_of_the_race_is_rfc_6811():
    rng = Random(3)
    for _ in range(50):
        snapshot = random_snapshot(rng)
        sent = {random_prefix(rng): rng.choice([65001, 65002]) for _ in range(50)}
        allowed = {
            each
            for each, origin in sent.items()
            if snapshot.validate(parse_prefix(each), origin) is not Validity.INVALID
        }
        assert slow_table(sent, snapshot) == allowed
