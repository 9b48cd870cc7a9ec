"""The stage otc: RFC 9234 section 5 for all pairs of roles and both directions, for messages and blocks alike, and
sessions whose roles do not fit."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest
from sessions import between, make_open

from bgpipe.stages.base.session_facts import header_asn
from bgpipe.stages.otc import Otc
from bgpipe.wire import attrs, caps
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import AS2, AS4, HEADER, WireContext
from bgpipe.wire.family import IPV4_UNICAST
from bgpipe.wire.flags import DIRECTION_FLAGS, FLAG_PEER_AS4, context_flags
from bgpipe.wire.message import NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.peer import make_peer
from bgpipe.wire.roles import COUNTERPARTS, ROLES
from bgpipe.wire.update import Update
from bgpipe.wire.update_body import join
from playbook import Feeder, begin, feed, stage

LEFT, RIGHT, OTHER = 65001, 65009, 65555
MP6 = Capability(caps.MP, b"\0\2\0\1")


def announce(otc: int | None, *reach: str, to: str = "R", context: WireContext = AS4, **more: Any) -> Message:
    reach = reach or ("10.0.0.0/8",)
    settings: dict[str, Any] = {"ORIGIN": "IGP", "ASPATH": [LEFT, 65002]}
    hop = "2001:db8::1" if ":" in reach[0] else "192.0.2.1"
    made = Update.make(reach=reach, attrs=settings | more, next_hop=hop, context=context)
    if otc is not None:
        made = made.replace(attrs={"OTC": otc})
    return Message(UPDATE, made.body, direction=to, context=context)


class Bench:
    def __init__(self, words: str, blocks: bool) -> None:
        self.source = stage(Feeder, "-LR --new first")
        self.stage = stage(Otc, words)
        self.blocks = blocks
        self.pipeline = begin(self.source, self.stage)
        self.left: list[Message] = []
        for line in self.pipeline.lines.values():
            line.outputs.append(lambda item: self.left.extend([item] if isinstance(item, Message) else list(item)))

    def send(self, message: Message, peer: int = LEFT) -> list[Message]:
        self.left.clear()
        header = make_peer(peer, bytes((192, 0, 2, 1)))
        if self.blocks:
            flags = (context_flags(message.context) or 0) | FLAG_PEER_AS4 | DIRECTION_FLAGS[message.direction]
            entry = ENTRY.pack(0, 0, len(header), 0 if peer else NO_PEER, len(message.octets), flags, 0)
            feed(self.source.inlet, Block(header + message.octets, bytearray(entry)))
        else:
            peers = header if peer else None
            copied = Message(UPDATE, message.body, direction=message.direction, context=message.context, peer=peers)
            feed(self.source.inlet, copied)
        return list(self.left)

    def one(self, message: Message, peer: int = LEFT) -> Message:
        (left,) = self.send(message, peer)
        return left


@pytest.fixture(params=["messages", "blocks"])
def make(request):
    return lambda words: Bench(words, request.param == "blocks")


# The table of RFC 9234 section 5


def expected(sender: str, otc: int | None, asn: int) -> tuple[str, int | None]:
    """(status, the attribute behind the stage), by the two lists of rules in the RFC: those of the receiver on ingress,
    and those of the sender on egress. They agree on every pair of roles that fits."""
    receiver = COUNTERPARTS[sender]
    # ingress
    if otc is not None and sender in ("customer", "rs-client"):
        ingress: tuple[str, int | None] = "INVALID", None
    elif otc is not None and sender == "peer" and otc != asn:
        ingress = "INVALID", None
    elif otc is None and sender in ("provider", "peer", "rs"):
        ingress = "ADDED", asn
    else:
        ingress = "VALID", otc
    # egress; a lateral peer that speaks roles has put its own AS number there
    if otc is None and receiver in ("customer", "peer", "rs-client"):
        egress: tuple[str, int | None] = "ADDED", asn
    elif (otc is not None and receiver in ("provider", "rs")) or (
        otc is not None and receiver == "peer" and otc != asn
    ):
        egress = "INVALID", None
    else:
        egress = "VALID", otc
    assert ingress == egress
    return ingress


@pytest.mark.parametrize("reach", ["10.0.0.0/8", "2001:db8:1::/48"])
@pytest.mark.parametrize("words", ["-R", "-LR", "-L"])
@pytest.mark.parametrize("role", ROLES)
def test_what_becomes_of_a_route(make, role, words, reach):
    bench = make(f"{words} --role {role}")
    for to in ("R", "L"):
        if to not in words:
            (left,) = bench.send(announce(OTHER, reach, to=to))
            assert "otc/status" not in left.tags
            continue
        neighbor_sends = to == "R" or words == "-L"
        for otc in (None, LEFT, OTHER):
            status, after = expected(role if neighbor_sends else COUNTERPARTS[role], otc, LEFT)
            sent = announce(otc, reach, to=to, MED=5)
            left = bench.one(sent)
            assert left.tags["otc/status"] == status, (to, otc)
            if status == "INVALID":
                assert (left.update.reach, [*map(str, left.update.withdrawn)]) == ([], [reach])
                assert left.tags["otc/invalid-as"] == str(otc)
            else:
                assert left.update.otc == after
                assert left.body == sent.body if status == "VALID" else left.body == announce(LEFT, reach, MED=5).body
                assert "otc/invalid-as" not in left.tags


def test_counters_events_and_actions(make):
    bench = make("-R --role peer --event LEAK")
    for otc in (None, LEFT, OTHER, OTHER):
        bench.send(announce(otc))
    assert bench.stage.status()["metrics"] == {"messages": 4, "valid": 1, "added": 1, "invalid": 2}
    assert bench.pipeline.events["otc/LEAK"] == 2
    assert make("-R --role peer --invalid drop").send(announce(OTHER)) == []
    kept = make("-R --role peer --invalid keep").one(announce(OTHER))
    assert (kept.body, kept.tags["otc/status"]) == (announce(OTHER).body, "INVALID")
    left = make("-R --role peer --tag=false").one(announce(None))
    assert (left.update.otc, "otc/status" in left.tags) == (LEFT, False)


@pytest.mark.parametrize("octets", [b"", b"\0\0\xfd", b"\0\0\xfd\xe9\0", bytes(4)])
def test_a_malformed_attribute_withdraws_the_routes(make, octets):
    good = announce(None).update
    section = good.parts()[1] + bytes((0xC0, attrs.OTC, len(octets))) + octets
    body = b"\0\0" + len(section).to_bytes(2, "big") + section + good.parts()[2]
    for role in ROLES:
        bench = make(f"-R --role {role}")
        left = bench.one(Message(UPDATE, body, direction="R"))
        assert (left.update.reach, [*map(str, left.update.withdrawn)]) == ([], ["10.0.0.0/8"])
        assert "ONLY" in left.tags["otc/invalid-as"] or left.tags["otc/invalid-as"] == "malformed"


def vpn(otc: int | None = None) -> dict[str, Any]:
    value = {"af": "IPV4/MPLS_VPN", "nh": "0x" + "0000000000000000c0000201", "data": "0x7000001100000000000000020a"}
    return {"MP_REACH": value} | ({"OTC": otc} if otc is not None else {})


def test_other_families_are_left_alone(make):
    for otc in (None, OTHER):
        settings = {"ORIGIN": "IGP", "ASPATH": [1]} | vpn(otc)
        body = Update.make(attrs=settings).body
        for role in ROLES:
            left = make(f"-R --role {role}").one(Message(UPDATE, body, direction="R"))
            assert left.body == body
            assert "otc/status" not in left.tags
    for body in (bytes(4), Update.make(withdrawn=["10.0.0.0/8"]).body, Update.make(withdrawn=["2001:db8::/32"]).body):
        assert make("-R --role customer").one(Message(UPDATE, body, direction="R")).body == body


def test_an_update_with_routes_of_another_family_too(make):
    """Of what is announced beside them, only unicast is marked, or withdrawn."""
    plain = announce(None, **vpn())
    first, second = make("-R --role provider").send(plain)
    assert (first.update.otc, first.update.reach, first.update.family) == (None, [], plain.update.family)
    assert (second.update.otc, [*map(str, second.update.reach)]) == (LEFT, ["10.0.0.0/8"])
    assert attrs.MP_REACH not in second.update.attrs
    leak = announce(OTHER, **vpn())
    left = make("-R --role customer").one(leak)
    assert [*map(str, left.update.withdrawn)] == ["10.0.0.0/8"]
    assert left.update.attrs[attrs.MP_REACH].octets == leak.update.attrs[attrs.MP_REACH].octets
    assert left.update.otc == OTHER


def both_families(otc: int | None, **more: Any) -> Message:
    section = announce(otc, "2001:db8:1::/48", NEXTHOP="192.0.2.1", **more).update.parts()[1]
    return Message(UPDATE, join(b"", section, bytes((8, 10))), direction="R")


def test_both_families_in_one_update(make):
    assert make("-R --role rs").one(both_families(None)).body == both_families(LEFT).body
    bench = make("-R --role rs-client")
    left = bench.one(both_families(OTHER, MED=1))
    assert [*map(str, left.update.withdrawn)] == ["10.0.0.0/8", "2001:db8:1::/48"]
    assert [*left.update.attrs] == [attrs.MP_UNREACH]
    assert bench.stage.status()["metrics"]["invalid"] == 1


def test_withdrawals_in_a_leak_stay(make):
    update = announce(OTHER).update.replace(withdrawn=["11.0.0.0/8", "2001:db8:7::/48"])
    left = make("-R --role customer").one(Message(UPDATE, update.body, direction="R"))
    assert sorted(map(str, left.update.withdrawn)) == ["10.0.0.0/8", "11.0.0.0/8", "2001:db8:7::/48"]


def test_add_path(make):
    context = WireContext(add_path=frozenset((IPV4_UNICAST,)))
    sent = announce(OTHER, "#7#10.0.0.0/8", context=context)
    left = make("-R --role customer").one(sent)
    assert [*map(str, left.update.withdrawn)] == ["#7#10.0.0.0/8"]
    left = make("-R --role provider").one(announce(None, "#7#10.0.0.0/8", context=context))
    assert ([*map(str, left.update.reach)], left.update.otc) == (["#7#10.0.0.0/8"], LEFT)


def test_as_numbers_of_two_octets(make):
    sent = announce(None, context=AS2)
    left = make("-R --role provider").one(sent)
    assert left.body == sent.update.replace(attrs={"OTC": LEFT}).body
    assert make("-R --role customer").one(announce(70000, context=AS2)).tags["otc/invalid-as"] == "70000"


def test_what_gets_too_long_is_split(make):
    sent = announce(None, *(f"10.{n >> 8}.{n & 255}.0/24" for n in range(1011)))
    assert 4096 - 7 < len(sent.octets) <= 4096
    left = make("-R --role provider").send(sent)
    assert [len(each.octets) <= 4096 and each.update.otc for each in left] == [LEFT, LEFT]
    assert [prefix for each in left for prefix in each.update.reach] == sent.update.reach


def test_what_has_no_place_is_withdrawn(make):
    large = announce(None, ATTR_99={"flags": "OT", "value": "0x" + "00" * (4096 - HEADER - 4 - 28 - 3)})
    assert 4096 - 7 < len(large.octets) <= 4096
    left = make("-R --role provider").one(large)
    assert (left.update.reach, [*map(str, left.update.withdrawn)]) == ([], ["10.0.0.0/8"])


def test_archives_say_the_sender(make):
    bench = make("-R --role peer")
    assert bench.one(announce(None), 65002).update.otc == 65002
    assert bench.one(announce(65002), 65002).tags["otc/status"] == "VALID"
    unknown = bench.one(announce(None), 0)
    assert (unknown.update.otc, "otc/status" in unknown.tags) == (None, False)
    assert bench.one(announce(OTHER), 0).update.otc == OTHER  # nobody knows whether that is right
    assert make("-R --role customer").one(announce(OTHER), 0).tags["otc/status"] == "INVALID"
    assert make("-R").one(announce(OTHER)).update.otc == OTHER  # nobody says a role


def test_the_as_of_the_sender_in_another_tag():
    bench = Bench("-R --role peer --peer-tag FROM", False)
    message = announce(None)
    message.tags = {"FROM": "65007"}
    feed(bench.source.inlet, message)
    assert bench.left[-1].update.otc == 65007


def test_tags_of_a_block_say_who_the_sender_is():
    """A stage before may have given a message another PEER_AS than that of its record."""
    header = make_peer(LEFT, bytes((192, 0, 2, 1)))
    assert header_asn(Message(UPDATE, peer=header)) == LEFT
    assert header_asn(Message(UPDATE, peer=header, fragment=b'"PEER_AS":"65007"')) == 65007
    assert header_asn(Message(UPDATE, peer=header, fragment=b'"A":"1"')) == 0


def test_conditions(make):
    bench = make("-R --role customer --if ipv6")
    assert bench.one(announce(OTHER)).update.reach
    assert bench.one(announce(OTHER, "2001:db8:1::/48")).update.reach == []


# Sessions


def role_of(role: str | None) -> list[Capability]:
    return [Capability(caps.ROLE, bytes((ROLES.index(role),)))] if role else []


@asynccontextmanager
async def routers(words: str, left: str | None, right: str | None, right_as: int = RIGHT):
    async with between(*words.split()) as session:
        opens = make_open(LEFT, MP6, *role_of(left)), make_open(right_as, MP6, *role_of(right))
        await session.establish(*opens)
        yield session


async def seen(session: Any, to: str, *messages: Message) -> list[Update]:
    """What comes out of the stage for these messages, read up to an End-of-RIB."""
    sender, receiver = (session.left, session.right) if to == "R" else (session.right, session.left)
    last = Message(UPDATE, bytes(4))
    sender.send(*messages, last)
    return [each.update for each in await receiver.until(last) if each.type_code == UPDATE][:-1]


@pytest.mark.parametrize("right", [*ROLES, None])
@pytest.mark.parametrize("left", [*ROLES, None])
async def test_pairs_of_roles_in_both_directions(left, right):
    """What the sender is to the receiver is what its OPEN says, or what the receiver's says of it; of two routers that
    both say it, none needs the stage, and two that do not fit end the session themselves."""
    async with routers("otc -LR", left, right) as session:
        for to, sender, receiver, asn in (("R", left, right, LEFT), ("L", right, left, RIGHT)):
            role = None if left and right else sender or COUNTERPARTS.get(receiver or "")
            for otc in (None, asn, OTHER):
                (update,) = await seen(session, to, announce(otc))
                status, after = expected(role, otc, asn) if role else ("VALID", otc)
                assert (update.otc, bool(update.reach)) == (after, status != "INVALID")


async def test_roles_that_both_say_are_enforced_too_with_force():
    async with routers("otc -LR --force", "customer", "provider") as session:
        (update,) = await seen(session, "R", announce(OTHER))
        assert [*map(str, update.withdrawn)] == ["10.0.0.0/8"]
        (update,) = await seen(session, "L", announce(None))
        assert update.otc == RIGHT
        assert session.pipeline.stage("otc").status()["peers"] == {
            "left": {"role": "customer", "asn": LEFT},
            "right": {"role": "provider", "asn": RIGHT},
        }


async def test_an_internal_session_is_left_alone():
    async with routers("otc -LR --role customer", None, None, right_as=LEFT) as session:
        (update,) = await seen(session, "R", announce(OTHER))
        assert update.otc == OTHER


@pytest.mark.parametrize(
    ("words", "left", "right", "side"),
    [
        ("otc -R --role customer", "peer", None, "left"),
        ("otc -LR --role customer", "provider", "provider", "left"),
        ("otc -LR --role customer", None, "customer", "right"),
        ("otc -L --role customer", None, "peer", "right"),
        ("otc -R --role peer --strict", None, None, "left"),
        ("otc -R --strict", None, "peer", "left"),
        ("otc -LR --force", "peer", "rs", "right"),
    ],
)
async def test_a_role_that_does_not_fit_ends_the_session(words, left, right, side):
    async with between(*words.split()) as session:
        session.left.send(make_open(LEFT, *role_of(left)))
        refused, other = session.left, None
        if side == "right":
            other = session.left
            await session.called()
            session.right.send(make_open(RIGHT, *role_of(right)))
            refused = session.right
        found = await refused.until_type(NOTIFICATION)
        assert (found.body[:2], side) == (bytes((2, 11)), side)
        if other is not None:
            assert await other.reader.read() == b""  # it has got no OPEN
        with pytest.raises(Exception, match="role mismatch"):
            await session.pipeline.ended()
        assert session.pipeline.happened("otc/role")


async def test_a_mismatch_that_only_the_other_open_shows_ends_the_session_at_the_first_route():
    async with routers("otc -R --role customer", None, "peer") as session:
        session.left.send(announce(None))
        found = await session.right.until_type(NOTIFICATION)
        assert found.body[:2] == bytes((2, 11))


async def test_strict_lets_a_peer_with_the_role_pass():
    async with routers("otc -R --role customer --strict", "customer", None) as session:
        (update,) = await seen(session, "R", announce(OTHER))
        assert update.reach == []


@pytest.mark.parametrize(
    ("words", "left", "right", "told_left", "told_right"),
    [
        ("otc -LR --role customer --add-role", None, None, "provider", "customer"),
        ("otc -LR --add-role", "rs", None, "rs-client", "rs"),
        ("otc -L --role peer --add-role", None, "peer", "peer", None),
        ("otc -LR --add-role", None, None, None, None),
        ("otc -LR --role customer", None, None, None, None),
    ],
)
async def test_a_role_is_added_to_the_open_of_a_router_that_says_none(words, left, right, told_left, told_right):
    """The routes are judged all the same: the router itself does nothing with its role."""
    async with routers(words, left, right) as session:
        for peer, told, asn in ((session.left, told_left, RIGHT), (session.right, told_right, LEFT)):
            (got,) = [message.open for message in peer.got if message.type_code == OPEN]
            assert (got.asn, got.role) == (asn, ROLES.index(told) if told else None)
        if told_left == "provider":
            (update,) = await seen(session, "R", announce(OTHER))
            assert update.reach == []
