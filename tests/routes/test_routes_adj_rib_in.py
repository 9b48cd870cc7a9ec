"""The Adj-RIB-In of a stage: what comes in, what is judged again, and the UPDATEs that follow from it."""

from __future__ import annotations

from random import Random

import pytest

from bgpipe import accel
from bgpipe.routes.adj_rib_in import (
    BLACKHOLE,
    NO_ORIGIN,
    OF_SENDER,
    ORIGIN_AS,
    OUT,
    UNCHANGED,
    VERDICT_SHIFT,
    WANTED,
    AdjRibIn,
    origin_of,
)
from bgpipe.routes.plain_rib import PlainRib
from bgpipe.rpki.origin import origin_as
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Validity, Vrp
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS2, AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.family import IPV6_UNICAST
from bgpipe.wire.flags import DIRECTION_FLAGS, context_flags
from bgpipe.wire.message import ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.prefix import Prefix, parse_prefix
from bgpipe.wire.update import Update

KINDS = ["plain", *(["accel"] if accel.AVAILABLE else [])]
BOTH = OUT | WANTED


def make_table(kind: str, sticky: bool = False) -> AdjRibIn:
    table = AdjRibIn(sticky)
    if kind == "plain":
        table.rib = PlainRib(sticky)
        table.take = lambda item, states=None: plain_take(table, item, states)
    return table


def plain_take(table: AdjRibIn, item: Message | Block, states: bytes | None) -> None:
    """`AdjRibIn.take` as it is without accel."""
    available, accel.AVAILABLE = accel.AVAILABLE, False
    try:
        AdjRibIn.take(table, item, states)
    finally:
        accel.AVAILABLE = available


def scan(table: AdjRibIn, prefixes: list[Prefix] | None = None) -> dict[str, tuple[int, int]]:
    """All routes in prefixes: the number of their attributes, and their state."""
    if isinstance(table.rib, PlainRib):
        available, accel.AVAILABLE = accel.AVAILABLE, False
        try:
            going = table.scan(prefixes)
        finally:
            accel.AVAILABLE = available
    else:
        going = table.scan(prefixes)
    found = {}
    while (routes := going.step(50)) is not None:
        found |= {str(each.prefix): (each.attributes, each.state) for each in routes}
    return found


def update(reach=(), withdrawn=(), *, path=(65001,), context: WireContext = AS4, com=(), hop="192.0.2.1") -> Message:
    attributes = {"ORIGIN": "IGP", "ASPATH": list(path)} if reach else {}
    if com:
        attributes["COMMUNITY"] = list(com)
    hop = hop if reach and ":" not in reach[0] else "2001:db8::1" if reach else None
    body = Update.make(reach=reach, withdrawn=withdrawn, attrs=attributes, next_hop=hop, context=context).body
    return Message(UPDATE, body, direction="R", context=context)


def block_of(messages: list[Message]) -> Block:
    octets, index = b"", bytearray()
    for message in messages:
        flags = context_flags(message.context) | DIRECTION_FLAGS[message.direction]
        index += ENTRY.pack(0, 0, len(octets), NO_PEER, len(message.octets), flags, 0)
        octets += message.octets
    return Block(octets, index)


def effects(messages: list[Message]) -> list[tuple[str, str]]:
    """What UPDATEs do, prefix by prefix: withdrawn, or announced with this path."""
    found = []
    for message in messages:
        found += [(str(prefix), "") for prefix in message.update.withdrawn]
        found += [(str(prefix), str(message.update.as_path)) for prefix in message.update.reach]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_routes_come_and_go(kind):
    table = make_table(kind)
    table.take(update(["10.0.0.0/8", "10.1.0.0/16"]))
    table.take(update(["2001:db8::/32"]))
    table.take(update(["10.1.0.0/16"], path=(65002,)), bytes([WANTED | 5 << VERDICT_SHIFT]))
    found = scan(table)
    assert set(found) == {"#0#10.0.0.0/8", "#0#10.1.0.0/16", "#0#2001:db8::/32"}
    assert [found[each][1] for each in sorted(found)] == [BOTH, WANTED | 5 << VERDICT_SHIFT, BOTH]
    attributes = table.attributes(found["#0#10.1.0.0/16"][0])
    assert attributes is not None
    assert (attributes.origin_kind, attributes.origin) == (ORIGIN_AS, 65002)
    assert str(attributes.update().as_path) == "65002"
    table.take(update(withdrawn=["10.0.0.0/8", "10.9.0.0/16"]))
    table.take(update(withdrawn=["2001:db8::/32"]))
    assert set(scan(table)) == {"#0#10.1.0.0/16"}
    assert (len(table), table.rib.attribute_count) == (1, 1)
    table.clear()
    assert (len(table), table.rib.attribute_count, scan(table)) == (0, 0, {})


@pytest.mark.parametrize("kind", KINDS)
def test_withdrawals_come_first_and_equal_attributes_travel_together(kind):
    table = make_table(kind)
    table.take(update(["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"], path=(65001,)), bytes([WANTED, 0, BOTH]))
    table.take(update(["10.0.3.0/24"], path=(65002,)), bytes([0]))
    table.take(update(["10.0.4.0/24"], path=(65001,)), bytes([0]))
    table.take(update(["2001:db8::/32", "2001:db8:1::/48"]))
    for prefix in ("10.0.1.0/24", "10.0.3.0/24", "10.0.4.0/24"):
        table.judge(parse_prefix(prefix), True)
    for prefix in ("10.0.2.0/24", "2001:db8::/32", "2001:db8:1::/48", "10.99.0.0/16"):
        table.judge(parse_prefix(prefix), False)
    gone = table.take_withdrawals(4096, 100)
    assert [sorted(effects([each])) for each in gone] == [
        [("10.0.2.0/24", "")],
        [("2001:db8:1::/48", ""), ("2001:db8::/32", "")],
    ]
    back = [message for message, _ in table.take_announcements(4096, 100)]
    assert sorted(sorted(effects([each])) for each in back) == [
        [("10.0.1.0/24", "65001"), ("10.0.4.0/24", "65001")],
        [("10.0.3.0/24", "65002")],
    ]
    assert table.pending == 0
    assert not table.take_withdrawals(4096, 100)
    assert not table.take_announcements(4096, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_settles_what_was_pending(kind):
    table = make_table(kind)
    prefixes = [f"10.0.{number}.0/24" for number in range(200)]
    table.take(update(prefixes))
    for prefix in prefixes:
        table.judge(parse_prefix(prefix), False)
    table.take(update(withdrawn=prefixes[:50]))
    table.take(update(prefixes[50:100], path=(65009,)))
    table.judge(parse_prefix(prefixes[150]), True)
    gone = effects(table.take_withdrawals(4096, 100))
    assert sorted(gone) == sorted((each, "") for each in prefixes[100:] if each != prefixes[150])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [4096, 65535])
def test_messages_end_at_the_limit(kind, size):
    table = make_table(kind)
    v4 = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(3000)]
    v6 = [f"2001:db8:{number:x}::/48" for number in range(1, 2001)]
    for start in range(0, 3000, 500):
        table.take(update(v4[start : start + 500]))
        table.take(update(v6[start : start + 500])) if start < 2000 else None
    for prefix in v4 + v6:
        table.judge(parse_prefix(prefix), False)
    gone = []
    while more := table.take_withdrawals(size, 2):
        assert len(more) <= 2
        gone += more
    assert sorted(each for each, _ in effects(gone)) == sorted(v4 + v6)
    for prefix in v4 + v6:
        table.judge(parse_prefix(prefix), True)
    back = []
    while found := table.take_announcements(size, 3):
        back += [message for message, _ in found]
    assert sorted(each for each, _ in effects(back)) == sorted(v4 + v6)
    for messages in (gone, back):
        assert max(len(each.octets) for each in messages) <= size
        octets = sum(len(each.octets) for each in messages)
        assert len(messages) <= octets // (size - 200) + 2
    assert table.pending == 0


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_that_fill_a_message_are_told(kind):
    table = make_table(kind)
    table.take(update(["10.0.0.0/24"], com=[f"65000:{number}" for number in range(1010)]), bytes([0]))
    table.judge(parse_prefix("10.0.0.0/24"), True, 7)
    assert table.take_announcements(4096, 5) == [(None, 7)]
    assert table.pending == 0
    table.judge(parse_prefix("10.0.0.0/24"), False)
    table.take_withdrawals(4096, 5)
    table.judge(parse_prefix("10.0.0.0/24"), True)
    assert len(table.take_announcements(65535, 5)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_path_identifiers(kind):
    context = WireContext(add_path=frozenset((IPV6_UNICAST,)))
    table = make_table(kind)
    table.take(update(["#7#2001:db8::/32", "#8#2001:db8::/32"], context=context), bytes([BOTH, 0]))
    table.take(update(["10.0.0.0/8"], context=context))
    table.judge(parse_prefix("#7#2001:db8::/32"), False)
    table.judge(parse_prefix("#8#2001:db8::/32"), True)
    table.judge(parse_prefix("10.0.0.0/8"), False)
    gone = table.take_withdrawals(4096, 9)
    assert effects(gone) == [("10.0.0.0/8", ""), ("#7#2001:db8::/32", "")]
    ((back, _),) = table.take_announcements(4096, 9)
    assert effects([back]) == [("#8#2001:db8::/32", "65001")]
    assert back.context == context


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_verdict_is_announced_again_if_that_is_wanted(kind):
    table = make_table(kind)
    table.take(update(["10.0.0.0/8", "10.0.0.0/9"]), bytes([BOTH | 1 << VERDICT_SHIFT] * 2))
    table.judge(parse_prefix("10.0.0.0/8"), True, 2, again=True)
    table.judge(parse_prefix("10.0.0.0/9"), True, 2)
    found = table.take_announcements(4096, 9)
    assert [(effects([message]), verdict) for message, verdict in found] == [([("10.0.0.0/8", "65001")], 2)]
    assert table.pending == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_sticky_table_knows_that_an_older_route_is_still_there(kind):
    for sticky in (False, True):
        table = make_table(kind, sticky)
        table.take(update(["10.0.0.0/8"]))
        table.take(update(["10.0.0.0/8"], path=(65002,)), bytes([0]))
        table.judge(parse_prefix("10.0.0.0/8"), False)
        assert effects(table.take_withdrawals(4096, 9)) == ([("10.0.0.0/8", "")] if sticky else [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_refresh_leaves_what_was_announced_again(kind):
    def refresh(afi: int, subtype: int) -> Message:
        return Message(ROUTE_REFRESH, bytes((0, afi, subtype, 1)))

    table = make_table(kind)
    table.take(update(["10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/10"]), bytes([BOTH, BOTH, 0]))
    table.take(update(["2001:db8::/32"]))
    table.take(refresh(1, 1))
    table.take(update(["10.0.0.0/8"]))
    table.judge(parse_prefix("10.0.0.0/10"), True)
    assert table.take_announcements(4096, 9) == []  # it may be gone at the end
    table.take(refresh(1, 2))
    assert set(scan(table)) == {"#0#10.0.0.0/8", "#0#2001:db8::/32"}
    assert table.take_announcements(4096, 9) == []
    assert table.pending == 0


@pytest.mark.parametrize("kind", KINDS)
def test_scans_of_prefixes(kind):
    table = make_table(kind)
    routes = ["10.0.0.0/8", "10.1.0.0/16", "10.1.255.0/24", "10.2.0.0/16", "0.0.0.0/0", "192.0.2.0/24"]
    table.take(update(routes))
    table.take(update(["2001:db8::/32", "2001:db8:1::/48", "2001:db9::/32", "::/0"]))
    assert set(scan(table, [parse_prefix("10.1.0.0/16")])) == {"#0#10.1.0.0/16", "#0#10.1.255.0/24"}
    assert set(scan(table, [parse_prefix("10.0.0.0/8"), parse_prefix("192.0.2.128/25")])) == {
        *(f"#0#{each}" for each in routes[:4])
    }
    assert set(scan(table, [parse_prefix("2001:db8::/32")])) == {"#0#2001:db8::/32", "#0#2001:db8:1::/48"}
    assert len(scan(table, [parse_prefix("0.0.0.0/0")])) == 6
    assert len(scan(table, [parse_prefix("::/0")])) == 4
    assert scan(table, []) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_by_attributes(kind):
    table = make_table(kind)
    table.take(update(["10.0.0.0/8", "10.0.0.0/9"], path=(65001,)))
    table.take(update(["10.0.0.0/10"], path=(65002,)))
    table.take(update(["10.0.0.0/11"], path=(65003,)), bytes([BOTH | 3 << VERDICT_SHIFT]))
    verdicts = bytearray([UNCHANGED]) * table.rib.attribute_limit
    for number in range(len(verdicts)):
        attributes = table.attributes(number)
        if attributes is not None and attributes.origin != 65003:
            verdicts[number] = attributes.origin - 65001
    going = table.scan()
    while going.cursor != -1:
        going.cursor = table.rib.judge_attributes(bytes(verdicts), going.cursor, 1, 1 << 0)
    assert {each: state for each, (_, state) in scan(table).items()} == {
        "#0#10.0.0.0/8": OUT,
        "#0#10.0.0.0/9": OUT,
        "#0#10.0.0.0/10": BOTH | 1 << VERDICT_SHIFT,
        "#0#10.0.0.0/11": BOTH | 3 << VERDICT_SHIFT,
    }
    assert len(effects(table.take_withdrawals(4096, 9))) == 2


def test_origins():
    kinds = {
        (65001, 65002): (ORIGIN_AS, 65002),
        (): (OF_SENDER, 0),
        (65001, (65002, 65003)): (NO_ORIGIN, 0),
    }
    for path, expected in kinds.items():
        message = update(["10.0.0.0/8"], path=[list(hop) if isinstance(hop, tuple) else hop for hop in path])
        assert origin_of(message.update) == expected
    for path in ([{"confed_sequence": [65003]}], [{"confed_set": [65003]}]):
        assert origin_of(update(["10.0.0.0/8"], path=path).update) == (OF_SENDER, 0)


def random_message(rng: Random) -> Message:
    context = rng.choice([AS4, AS4, AS4, AS2, AS4_ADD_PATH])
    path_id = rng.randrange(3) if context is AS4_ADD_PATH else None

    def prefixes(most: int) -> list[Prefix]:
        found = []
        for _ in range(rng.randrange(most)):
            if six:
                length = rng.choice([0, 32, 40, 48, 64, 65, 127, 128])
                address = (0x20010DB8 << 96 | rng.getrandbits(12) << 84 | rng.getrandbits(3)) >> 128 - length
                found.append(Prefix(2, address << 128 - length, length, path_id))
            else:
                length = rng.choice([0, 8, 15, 16, 17, 24, 32])
                address = (10 << 24 | rng.getrandbits(10) << 14 | rng.getrandbits(2)) >> 32 - length
                found.append(Prefix(1, address << 32 - length, length, path_id))
        return found

    six = rng.random() < 0.4
    withdrawn, reach = prefixes(4), prefixes(5)
    path = rng.choice([[65001], [65002, 65003], [], [65001, [65002]], [{"confed_sequence": [5]}, 65004], [100000]])
    com = rng.choice([[], ["65535:666"], ["1:2", "3:4"]])
    attributes = {"ORIGIN": "IGP", "ASPATH": path} if reach else {}
    if com and reach:
        attributes["COMMUNITY"] = com
    hop = None if not reach else "2001:db8::1" if six else "192.0.2.1"
    made = Update.make(reach=reach, withdrawn=withdrawn, attrs=attributes, next_hop=hop, context=context)
    return Message(UPDATE, made.body, direction="R", context=context)


@pytest.mark.skipif(not accel.AVAILABLE, reason="no accel")
@pytest.mark.parametrize("sticky", [False, True])
def test_accel_is_what_python_is(sticky):
    rng = Random(5)
    plain, fast = make_table("plain", sticky), make_table("accel", sticky)
    downstream: list[dict[str, str]] = [{}, {}]
    for turn in range(400):
        what = rng.random()
        if what < 0.6:
            messages = [random_message(rng) for _ in range(rng.randrange(1, 6))]
            item = block_of(messages) if rng.random() < 0.5 else messages[0]
            reach = [len(each.update.reach) for each in (messages if isinstance(item, Block) else messages[:1])]
            states = bytes(rng.choice([0, BOTH, BOTH | 4, WANTED]) for _ in range(sum(reach)))
            if rng.random() < 0.2:
                states = None
            for table in (plain, fast):
                table.take(item, states)
        elif what < 0.85:
            ranges = sorted({Prefix(1, 10 << 24 | rng.getrandbits(8) << 16, 16) for _ in range(20)})
            found = scan(plain, ranges if turn % 3 else None)
            assert {each: state for each, (_, state) in found.items()} == {
                each: state for each, (_, state) in scan(fast, ranges if turn % 3 else None).items()
            }
            for prefix in sorted(found):
                wanted, verdict, again = rng.random() < 0.5, rng.randrange(3), rng.random() < 0.5
                for table in (plain, fast):
                    table.judge(parse_prefix(prefix), wanted, verdict, again)
        elif what < 0.9:
            begins = rng.random() < 0.5
            for table in (plain, fast):
                table.rib.refresh(1 + turn % 2, begins)
        else:
            gone = [sorted(effects(table.take_withdrawals(4096, 1000))) for table in (plain, fast)]
            assert gone[0] == gone[1]
            back = [sorted(effects([m for m, _ in table.take_announcements(4096, 1000)])) for table in (plain, fast)]
            assert back[0] == back[1]
            for number in range(2):
                for prefix, path in gone[number] + back[number]:
                    downstream[number][prefix] = path
        assert (len(plain), plain.rib.attribute_count) == (len(fast), fast.rib.attribute_count)
    found = [scan(table) for table in (plain, fast)]
    assert {each: state for each, (_, state) in found[0].items()} == {each: s for each, (_, s) in found[1].items()}
    for prefix, (number, _) in found[0].items():
        assert tuple(plain.attributes(number)) == tuple(fast.attributes(found[1][prefix][0]))
        assert plain.attributes(number).marks in (0, BLACKHOLE)
    assert downstream[0]
    assert downstream[0] == downstream[1]


@pytest.mark.skipif(not accel.AVAILABLE, reason="no accel")
@pytest.mark.parametrize(
    ("strict", "keep", "together"), [(False, False, False), (True, False, True), (False, True, False)]
)
def test_accel_judges_as_python_does(strict, keep, together):
    """Blocks as they come in, then all routes by another snapshot."""
    rng = Random(6)
    first, second = (
        Snapshot.of(
            Vrp(Prefix(1, 10 << 24 | rng.getrandbits(4) << 20, 12), rng.choice([16, 24]), rng.choice([65001, 65004, 7]))
            for _ in range(12)
        )
        for _ in range(2)
    )

    def verdict(snapshot: Snapshot, prefix: Prefix, origin: int | None) -> int:
        found = [Validity.VALID, Validity.NOT_FOUND, Validity.INVALID].index(snapshot.validate(prefix, origin))
        return 2 if found == 1 and strict else found

    def states(message: Message) -> bytes:
        origin = origin_as(message.update.as_path, 7)
        found = [verdict(first, prefix, origin) for prefix in message.update.reach]
        out = [BOTH if keep or (each != 2 and not (together and 2 in found)) else 0 for each in found]
        return bytes(state | each << VERDICT_SHIFT for state, each in zip(out, found, strict=True))

    judge = accel.judge.OriginJudge(first.table, 7, strict, keep, together)
    plain, fast = make_table("plain"), make_table("accel")
    for _ in range(60):
        messages = [random_message(rng) for _ in range(8)]
        fast.take_judged(block_of(messages), judge, states)
        for message in messages:
            plain.take(message, states(message))
    before = {each: state for each, (_, state) in scan(plain).items()}
    assert {each: state for each, (_, state) in scan(fast).items()} == before
    judge = accel.judge.OriginJudge(second.table, 7, strict, keep, together)
    going = fast.scan([Prefix(1, 0, 0), Prefix(2, 0, 0)])
    while going.cursor != -1:
        going.cursor = fast.rib.judge_routes(judge, going.ranges, going.cursor, 100)
    for text, (number, _) in scan(plain).items():
        found = plain.attributes(number)
        origin = {NO_ORIGIN: None, ORIGIN_AS: found.origin, OF_SENDER: 7}[found.origin_kind]
        new = verdict(second, parse_prefix(text), origin)
        plain.judge(parse_prefix(text), keep or new != 2, new)
    after = {each: state for each, (_, state) in scan(plain).items()}
    assert {each: state for each, (_, state) in scan(fast).items()} == after
    assert after != before
