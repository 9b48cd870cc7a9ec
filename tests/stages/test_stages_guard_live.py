"""The stage guard between two routers: nothing malformed arrives; what has passed is taken back when lists change."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from routers import ENHANCED, MP6, REFRESH, Routers, turns_of, withdraw
from routers import announce as announce_any
from routers import race as race_of_routers
from sessions import between, make_open

from bgpipe import accel
from bgpipe.routes.guard_checks import NAMES
from bgpipe.routes.list_changes import changed_asns, changed_prefixes
from bgpipe.routes.prefix_lists import PrefixList, parse_as_list, parse_prefix_list
from bgpipe.rpki.snapshot import EMPTY, Snapshot
from bgpipe.rpki.vrps import Validity, Vrp
from bgpipe.stages.base import list_file
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import AS4, WireContext
from bgpipe.wire.errors import Reaction, WireError
from bgpipe.wire.family import IPV4_UNICAST
from bgpipe.wire.message import HEADER, UPDATE, Message
from bgpipe.wire.prefix import Prefix, parse_prefix
from bgpipe.wire.update import Update
from bgpipe.wire.validation import strongest, validate
from vectors import load

SENTINEL = "9.9.9.0/24"
ROLE = 9


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """A file that was written a moment ago is read, and one that has shrunk is taken at its word."""
    monkeypatch.setattr(list_file, "QUIET", 0)
    monkeypatch.setattr(list_file, "CONFIRMED", 0)


@pytest.fixture(params=["accel", "no accel"])
def both(request, monkeypatch):
    if request.param == "no accel":
        monkeypatch.setattr(accel, "AVAILABLE", False)


def announce(*reach: str, path: tuple[int, ...] = (3333, 1103), **more: Any) -> Message:
    return announce_any(*reach, path=path, **more)


@asynccontextmanager
async def guarded(words: str, *capabilities: Capability, context: WireContext = AS4) -> AsyncIterator[Routers]:
    async with between(*words.split()) as session:
        opens = [make_open(asn, MP6, REFRESH, ENHANCED, *capabilities) for asn in (3333, 1299)]
        await session.establish(*opens)
        made = Routers(session, context, stage_name="guard", sentinel=SENTINEL)
        made.path = (3333, 1103)
        yield made


async def write(routers: Routers, path: Path, text: str) -> None:
    path.write_text(text)  # noqa: ASYNC240 - it is short
    await routers.stage.lists.look(again=True)


async def test_a_list_of_prefixes_that_changes(both, tmp_path):
    file = tmp_path / "list"
    file.write_text(f"{SENTINEL}\n8.0.0.0/9 le 24\n2a00::/16 le 48\n")
    async with guarded(f"guard -R --prefixes {file}") as pair:
        pair.send(announce("8.8.8.0/24", "8.9.0.0/16", "11.0.0.0/8"), announce("2a00:1450::/32", "2a01::/32"))
        assert set(await pair.settled()) == {"8.8.8.0/24", "8.9.0.0/16", "2a00:1450::/32"}
        await write(pair, file, f"{SENTINEL}\n8.8.8.0/24\n11.0.0.0/8\n2a01::/16 ge 32 le 32\n")
        assert set(await pair.settled()) == {"8.8.8.0/24", "11.0.0.0/8", "2a01::/32"}
        pair.send(withdraw("8.9.0.0/16"), announce("11.0.0.0/8", path=(3333, 7)))
        await write(pair, file, f"{SENTINEL}\n0.0.0.0/0 le 24\n::/0 le 48\n")
        assert await pair.settled() == {
            "8.8.8.0/24": "3333,1103",
            "11.0.0.0/8": "3333,7",
            "2a01::/32": "3333,1103",
            "2a00:1450::/32": "3333,1103",
        }
        status = pair.stage.status()
        assert status["routes"] == 5
        assert status["lists"]["prefixes"]["entries"] == 3
        assert status["judged_again"]["withdrawals"] == 2


@pytest.mark.parametrize(
    ("option", "before", "after"),
    [
        ("origins", "AS1103\nAS3333\n", "AS1103\nAS7\n"),
        ("peerlock", "AS7\nAS9\n", "AS8\nAS9\n"),
        ("own", "11.2.0.0/16\n11.9.0.0/16\n", "11.1.0.0/16\n11.9.0.0/16\n"),
        ("bogons", "11.2.0.0/16\n11.9.0.0/16\n", "11.1.0.0/16\n11.9.0.0/16\n"),
    ],
)
async def test_other_lists_that_change(both, tmp_path, option, before, after):
    file = tmp_path / "list"
    file.write_text(before)
    async with guarded(f"guard -R --{option} {file}") as pair:
        pair.send(announce("11.1.0.0/16", path=(3333, 8, 3333)), announce("11.2.0.0/16", path=(3333, 7)))
        assert set(await pair.settled()) == {"11.1.0.0/16"}
        await write(pair, file, after)
        assert set(await pair.settled()) == {"11.2.0.0/16"}
        await write(pair, file, before)
        assert set(await pair.settled()) == {"11.1.0.0/16"}


async def test_without_revalidation_nothing_is_taken_back(tmp_path):
    file = tmp_path / "list"
    file.write_text(f"{SENTINEL}\n8.8.8.0/24\n")
    async with guarded(f"guard -R --revalidate=false --prefixes {file}") as pair:
        pair.send(announce("8.8.8.0/24"))
        assert set(await pair.settled()) == {"8.8.8.0/24"}
        await write(pair, file, f"{SENTINEL}\n8.8.4.0/24\n")
        pair.send(announce("8.8.4.0/24"))
        assert set(await pair.settled()) == {"8.8.8.0/24", "8.8.4.0/24"}
        assert pair.stage.revalidations == {}


async def test_routes_are_not_kept_where_nothing_can_change():
    async with guarded("guard -R --own 11.1.0.0/16") as pair:
        pair.send(announce("8.8.8.0/24"))
        assert set(await pair.settled()) == {"8.8.8.0/24"}
        assert pair.stage.revalidations == {}


async def test_what_comes_back_is_edited(both, tmp_path):
    file = tmp_path / "list"
    file.write_text(f"{SENTINEL}\n8.8.4.0/24\n")
    words = f"guard -R --prefixes {file} --blackhole --scrub 1299:* --attr-discard MED,unknown --gshut mark"
    async with guarded(words) as pair:
        pair.path = (3333,)
        coms = ["1299:1", "65535:666", "5:5", "65535:0"]
        pair.send(announce("8.8.8.0/24", "8.8.8.8/32", COMMUNITY=coms, ATTR_99={"flags": "OT", "value": "0x01"}))
        await _settled_without_med(pair)
        await write(pair, file, f"{SENTINEL}\n8.8.8.0/24\n")
        routes = await _settled_without_med(pair)
        assert routes == {"8.8.8.0/24", "8.8.8.8/32"}
        for prefix in routes:
            update = pair.table.updates[prefix]
            assert update.communities == ["65535:666", "5:5", "65535:0", "65535:65281"]
            assert (update.local_pref, update.med, 99 in update.attrs) == (0, None, False)


async def _settled_without_med(pair: Routers) -> set[str]:
    """As `settled`, where the sentinels lose their MED: it tells them apart by their path."""
    for number in (1, 2):
        if number == 2:
            await pair.session.pipeline.until(pair.is_idle)
        pair.sent += 1
        path = (3333,) * pair.sent
        pair.send(announce(SENTINEL, path=path))
        while pair.table.routes.get(SENTINEL) != ",".join(map(str, path)):
            pair.table.take(await pair.session.right.next())
    return set(pair.table.routes) - {SENTINEL}


async def test_routes_that_if_leaves_alone_stay(both, tmp_path):
    file = tmp_path / "list"
    file.write_text(f"{SENTINEL}\n8.0.0.0/8 le 24\n2a00::/16 le 48\n")
    async with guarded(f"guard -R --if ipv6 --prefixes {file}") as pair:
        pair.send(announce("10.8.8.0/24"), announce("2a00:1450::/32"), announce("2a01::/32"))
        assert set(await pair.settled()) == {"10.8.8.0/24", "2a00:1450::/32"}
        await write(pair, file, f"{SENTINEL}\n2a01::/16 le 48\n8.8.8.0/24\n")
        assert set(await pair.settled()) == {"10.8.8.0/24", "2a01::/32"}


@pytest.mark.parametrize("action", ["discard", "drop"])
async def test_an_older_route_stays_where_nothing_is_withdrawn(both, tmp_path, action):
    file = tmp_path / "list"
    file.write_text("AS1103\nAS9\n")
    async with guarded(f"guard -R --origins {file} --on origins={action}") as pair:
        pair.send(announce("8.8.8.0/24", path=(3333, 9)), announce("8.8.8.0/24", path=(3333, 7)))
        assert await pair.settled() == {"8.8.8.0/24": "3333,9"}
        await write(pair, file, "AS1103\nAS7\n")
        assert set(await pair.settled()) == {"8.8.8.0/24"}
        await write(pair, file, "AS1103\nAS8\n")
        assert await pair.settled() == {}
        await write(pair, file, "AS1103\nAS7\n")
        assert await pair.settled() == {"8.8.8.0/24": "3333,7"}


async def test_add_path(both, tmp_path):
    context = WireContext(add_path=frozenset((IPV4_UNICAST,)))
    capability = Capability(caps.ADD_PATH, struct.pack(">HBB", 1, 1, 3))
    file = tmp_path / "list"
    file.write_text("AS1103\nAS9\n")
    async with guarded(f"guard -R --origins {file}", capability, context=context) as pair:
        for number, origin in ((1, 1103), (2, 9)):
            pair.send(announce(f"#{number}#8.8.8.0/24", path=(3333, origin), context=context))
        assert set(await pair.settled()) == {"#1#8.8.8.0/24", "#2#8.8.8.0/24"}
        await write(pair, file, "AS1103\nAS8\n")
        assert set(await pair.settled()) == {"#1#8.8.8.0/24"}
        await write(pair, file, "AS1103\nAS9\n")
        assert set(await pair.settled()) == {"#1#8.8.8.0/24", "#2#8.8.8.0/24"}


@pytest.mark.parametrize("words", ["", "--on default-route=drop"])
async def test_multicast_routes_are_not_those_of_the_table(both, tmp_path, words):
    """What becomes of them says nothing about unicast routes with the same prefix."""
    file = tmp_path / "list"
    file.write_text(f"{SENTINEL}\n8.8.8.0/24\n8.8.4.0/24\n")
    reach = {"af": "IPV4/MULTICAST", "nexthop": "193.0.4.28", "prefixes": ["8.8.8.0/24", "8.8.9.0/24"]}
    multicast = Update.make(attrs={"ORIGIN": "IGP", "ASPATH": [3333, 1103], "MP_REACH": reach})
    async with guarded(f"guard -R --prefixes {file} {words}") as pair:
        pair.send(announce("8.8.8.0/24", "8.8.4.0/24"), Message(UPDATE, multicast.body))
        assert set(await pair.settled()) == {"8.8.8.0/24", "8.8.4.0/24"}
        await write(pair, file, f"{SENTINEL}\n8.8.8.0/24\n8.8.5.0/24\n")
        assert set(await pair.settled()) == {"8.8.8.0/24"}
        assert pair.stage.status()["routes"] == 3


async def test_treated_as_withdrawn_is_gone(both, tmp_path):
    file = tmp_path / "list"
    file.write_text(f"{SENTINEL}\n8.8.8.0/24\n")
    async with guarded(f"guard -R --prefixes {file}") as pair:
        pair.send(announce("8.8.8.0/24"), announce("8.8.8.0/24", path=(3333, 0)))
        assert await pair.settled() == {}
        for text in ("8.8.4.0/24", "8.8.8.0/24"):
            await write(pair, file, f"{SENTINEL}\n{text}\n")
            assert await pair.settled() == {}


# the checks of sessions


@pytest.mark.parametrize("kind", ["ebgp", "ibgp"])
async def test_attributes_of_internal_peers(both, kind):
    """RFC 7606 sections 3 and 7: LOCAL_PREF is discarded where it may not be, and missed where it must be."""
    async with between("guard", "-R") as session:
        await session.establish(*(make_open(asn, MP6) for asn in (3333, 1299 if kind == "ebgp" else 3333)))
        with_pref = announce("8.8.8.0/24", LOCALPREF=7, CLUSTER_LIST=["1.1.1.1"], ORIGINATOR="1.1.1.1")
        last = announce("8.8.4.0/24", LOCALPREF=8)
        session.left.send(with_pref, announce("9.9.9.0/24"), last)
        got = [message.update for message in await _updates(session.right, 3)]
        if kind == "ebgp":
            assert [(each.local_pref, set(each.attrs)) for each in got] == [(None, {1, 2, 3})] * 3
        else:
            assert got[0].body == with_pref.body
            assert ([*map(str, got[1].withdrawn)], got[1].reach) == (["9.9.9.0/24"], [])
            assert got[2].body == last.body


async def _updates(peer: Any, count: int) -> list[Message]:
    found: list[Message] = []
    while len(found) < count:
        message = await peer.next()
        found += [message] if message.type_code == UPDATE else []
    return found


@pytest.mark.parametrize(
    ("role", "passes"), [(0, True), (1, False), (2, False), (3, False), (4, False), (None, True), (9, True)]
)
async def test_a_transit_free_network_comes_from_providers_alone(both, role, passes):
    async with between("guard", "-R") as session:
        said = [Capability(ROLE, bytes((role,)))] if role is not None else []
        await session.establish(make_open(3333, MP6, *said), make_open(1299, MP6))
        session.left.send(announce("8.8.8.0/24", path=(3333, 174, 1103)), announce("8.8.4.0/24"))
        first, second = await _updates(session.right, 2)
        assert bool(first.update.reach) is passes
        assert second.update.reach


async def test_the_role_of_a_route_server(both):
    """The first AS of a path is not that of the route server (RFC 7947)."""
    for words, role, passes in (("--role rs", 0, True), ("", 1, True), ("", 0, False), ("--role peer", 1, False)):
        async with between("guard", "-R", *words.split()) as session:
            await session.establish(make_open(3333, MP6, Capability(ROLE, bytes((role,)))), make_open(1299, MP6))
            session.left.send(announce("8.8.8.0/24", path=(1103, 9)))
            assert bool((await _updates(session.right, 1))[0].update.reach) is passes


async def test_a_next_hop_of_ours(both):
    """The addresses of the receiving router and of bgpipe can't be next hops; that of the sender can, even if bgpipe
    speaks with it to the receiver (--transparent)."""
    async with between("guard", "-R") as session:
        await session.establish(make_open(3333, MP6), make_open(1299, MP6))
        values = session.pipeline.pipeline.values
        values["R_REMOTE_ADDR"], values["L_LOCAL_ADDR"] = "8.1.1.1", "8.1.1.2"
        values["L_REMOTE_ADDR"] = values["R_LOCAL_ADDR"] = "8.1.1.3"
        body, old = announce("8.8.8.0/24").body, bytes((192, 0, 2, 1))
        session.left.send(*(Message(UPDATE, body.replace(old, bytes((8, 1, 1, last)))) for last in range(1, 5)))
        got = await _updates(session.right, 4)
        assert [len(each.update.reach) for each in got] == [0, 0, 1, 1]
        assert session.pipeline.stage("guard").found["next-hop"] == 2


async def test_both_directions(both, tmp_path):
    """Each has a sender, and routes, of its own."""
    file = tmp_path / "list"
    file.write_text("8.8.8.0/24\n8.8.4.0/24\n")
    async with between("guard", "-LR", "--prefixes", str(file)) as session:
        await session.establish(make_open(3333, MP6), make_open(1299, MP6))
        peers = {"R": (session.left, session.right, 3333), "L": (session.right, session.left, 1299)}
        for sender, receiver, asn in peers.values():
            sender.send(*(announce("8.8.8.0/24", path=(first, 7)) for first in (4608 - asn, asn)))
            assert [len(each.update.reach) for each in await _updates(receiver, 2)] == [0, 1]
        file.write_text("8.8.4.0/24\n")
        await session.pipeline.stage("guard").lists.look(again=True)
        for _, receiver, _ in peers.values():
            (gone,) = await _updates(receiver, 1)
            assert [*map(str, gone.update.withdrawn)] == ["8.8.8.0/24"]
        assert session.pipeline.stage("guard").status()["routes"] == 2


def updates_of_others() -> list[bytes]:
    """The bodies of UPDATEs in other implementations' tests, most of them malformed."""
    bodies = []
    for name in ("frr_rfc7606", "cve_messages", "openbgpd_attr_errors", "robustness", "routecore_messages"):
        for row in load(name):
            octets = bytes.fromhex(row["hex"]) if isinstance(row.get("hex"), str) else b""
            if octets[18:19] == b"\2" and len(octets) == int.from_bytes(octets[16:18]):
                bodies.append(octets[HEADER:])
    return bodies


def errors_of(body: bytes, kind: str) -> list[WireError]:
    return validate(Update(body, AS4), kind)


@pytest.mark.parametrize("listen", ["", "--malformed forward"])
@pytest.mark.parametrize("kind", ["ebgp", "ibgp"])
async def test_nothing_malformed_arrives(both, kind, listen):
    """Where no other stage looks: what would end the session is left out here, if `listen` forwards it."""
    bodies = updates_of_others()
    if not listen:
        bodies = [body for body in bodies if strongest(errors_of(body, kind)) is not Reaction.SESSION_RESET]
    assert sum(bool(errors_of(body, kind)) for body in bodies) > 100
    keep = ",".join(f"{name}=keep" for name in NAMES if name != "malformed")
    async with between("guard", "-R", "--on", keep, listen=tuple(listen.split())) as session:
        await session.establish(make_open(3333, MP6), make_open(3333 if kind == "ibgp" else 1299, MP6))
        session.left.send(*(Message(UPDATE, body) for body in bodies))
        last = announce("8.8.8.0/24", **({"LOCALPREF": 1} if kind == "ibgp" else {}))
        session.left.send(last)
        got = [message.body for message in await session.right.until(last) if message.type_code == UPDATE]
    assert [body.hex() for body in got if errors_of(body, kind)] == []
    assert len(got) > 90  # treated as withdrawn, or without what was wrong


# everything at once


class Model:
    """What passes, by a plain reading of the lists."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.prefixes = parse_prefix_list(f"{SENTINEL}\n11.0.0.0/8 le 24\n2a00::/16 le 48")
        self.origins = parse_as_list("1103 7")

    def change(self, routers: Routers) -> None:
        files = routers.stage.lists.files
        if self.rng.random() < 0.6:
            rows = [SENTINEL]
            for _ in range(self.rng.randrange(1, 12)):
                prefix = parse_prefix(random_prefix(self.rng))
                most = 24 if prefix.afi == 1 else 48
                rows.append(f"{prefix} le {self.rng.randint(prefix.length, most)}")
            before, self.prefixes = self.prefixes, parse_prefix_list("\n".join(rows))
            files["prefixes"]._take(self.prefixes, changed_prefixes(before, self.prefixes))
        else:
            old, self.origins = self.origins, parse_as_list(self.rng.choice(["1103", "1103 7", "1103 8", "1103 7 8"]))
            files["origins"]._take(self.origins, changed_asns(old, self.origins))

    def allowed(self, sent: dict[str, int]) -> set[str]:
        rows = [(prefix, low, high) for prefix, low, high in _entries(self.prefixes)]
        found = set()
        for text, origin in sent.items():
            route = parse_prefix(text)
            bits = 32 if route.afi == 1 else 128
            inside = any(
                prefix.afi == route.afi
                and prefix.length <= route.length
                and (prefix.address ^ route.address) >> bits - prefix.length == 0
                and low <= route.length <= high
                for prefix, low, high in rows
            )
            if inside and origin in self.origins:
                found.add(text)
        return found


def _entries(found: PrefixList) -> list[tuple[Prefix, int, int]]:
    rows = []
    for afi, numbers in ((1, found.ipv4), (2, found.ipv6)):
        for number in numbers:
            prefix = Prefix(afi, number >> 24, number >> 16 & 0xFF)
            rows.append((prefix, number >> 8 & 0xFF, number & 0xFF))
    return rows


def random_prefix(rng: Random) -> str:
    if rng.random() < 0.6:
        length = rng.choice([12, 14, 16, 20, 24])
        address = (11 << 24 | rng.randrange(8) << 17 | rng.randrange(16) << 8) >> 32 - length << 32 - length
        return str(Prefix(1, address, length))
    length = rng.choice([24, 32, 48])
    address = (0x2A00 << 112 | rng.randrange(16) << 100 | rng.randrange(4) << 80) >> 128 - length << 128 - length
    return str(Prefix(2, address, length))


async def race(words: str, seed: int, turns: Iterable[int], tmp_path: Path) -> None:
    """Announcements, withdrawals, refreshes and list changes in any order: the router on the right ends with the routes
    that the last lists allow."""
    rng = Random(seed)
    model = Model(rng)
    (tmp_path / "prefixes").write_text(f"{SENTINEL}\n11.0.0.0/8 le 24\n2a00::/16 le 48\n")
    (tmp_path / "origins").write_text("1103 7\n")
    words = words.replace("guard", f"guard --prefixes {tmp_path}/prefixes --origins {tmp_path}/origins", 1)
    async with guarded(words) as pair:
        await race_of_routers(
            pair,
            rng,
            turns,
            neighbor=3333,
            origins=[1103, 7, 8],
            random_prefix=random_prefix,
            change=lambda: model.change(pair),
            allowed=model.allowed,
        )


@pytest.mark.parametrize("words", ["guard -R", "guard -R -- limit -46R --session 100000"])
async def test_a_race(words, tmp_path, both):
    await race(words, 1, range(200), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["rov -R --no-wait -- guard -R", "guard -R -- otc -R --role provider -- rov -R --no-wait"]
)
async def test_races_of_several_stages(words, tmp_path):
    """VRPs change, too: the router on the right ends with what all stages allow."""
    rng = Random(9)
    model = Model(rng)
    snapshot = EMPTY
    (tmp_path / "prefixes").write_text(f"{SENTINEL}\n11.0.0.0/8 le 24\n2a00::/16 le 48\n")
    (tmp_path / "origins").write_text("1103 7\n")
    words = words.replace("guard", f"guard --prefixes {tmp_path}/prefixes --origins {tmp_path}/origins", 1)

    def change(pair: Routers) -> None:
        nonlocal snapshot
        if rng.random() < 0.5:
            rows = [parse_prefix(random_prefix(rng)) for _ in range(rng.randrange(1, 9))]
            snapshot = Snapshot.of(
                Vrp(each, each.length + rng.choice((0, 4)), rng.choice((1103, 7, 0))) for each in rows
            )
            pair.rpki.replace(snapshot)
        else:
            model.change(pair)

    def allowed(sent: dict[str, int]) -> set[str]:
        routes = {each: parse_prefix(each) for each in model.allowed(sent)}
        return {text for text, route in routes.items() if snapshot.validate(route, sent[text]) is not Validity.INVALID}

    async with guarded(words) as pair:
        await race_of_routers(
            pair,
            rng,
            turns_of(2000),
            neighbor=3333,
            origins=[1103, 7, 8],
            random_prefix=random_prefix,
            change=lambda: change(pair),
            allowed=allowed,
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_longer_races(seed, tmp_path):
    words = ["guard -R", "guard -R -- limit -46R --session 100000 -- guard -R"][seed % 2]
    await race(words, seed, turns_of(4000), tmp_path)  # a thousand changes of lists
