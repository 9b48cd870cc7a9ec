"""The stage rov: what becomes of routes by the VRPs, for messages and blocks alike."""

from __future__ import annotations

from typing import Any

import pytest

from bgpipe.pipeline.errors import UsageError
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.stages.rov import Rov
from bgpipe.wire import attrs
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.flags import DIRECTION_FLAGS, context_flags
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message
from bgpipe.wire.prefix import parse_prefix
from bgpipe.wire.update import Update
from playbook import Feeder, begin, feed, stage

VALID, INVALID, LONGER, UNKNOWN = "192.0.2.0/24", "198.51.100.0/24", "192.0.2.0/25", "203.0.113.0/24"
VALID6, INVALID6, UNKNOWN6 = "2001:db8:1::/48", "2001:db8:2::/48", "3fff::/32"
VRPS = [
    ("192.0.2.0/24", 24, 65001),
    ("198.51.100.0/24", 24, 65002),
    ("2001:db8:1::/48", 48, 65001),
    ("2001:db8:2::/48", 48, 65002),
    ("10.0.0.0/8", 32, 0),
]
SNAPSHOT = Snapshot.of([Vrp(parse_prefix(prefix), longest, asn) for prefix, longest, asn in VRPS])


def block_of(*messages: Message) -> Block:
    octets, index = b"", bytearray()
    for message in messages:
        flags = (context_flags(message.context) or 0) | DIRECTION_FLAGS[message.direction]
        index += ENTRY.pack(0, 0, len(octets), NO_PEER, len(message.octets), flags, 0)
        octets += message.octets
    return Block(octets, index)


class Bench:
    """A stage between a source and nothing; what leaves it is read as text."""

    def __init__(self, words: str, blocks: bool) -> None:
        self.source = stage(Feeder, "-LR --new first")
        self.stage = stage(Rov, words)
        self.blocks = blocks
        self.pipeline = begin(self.source, self.stage)
        self.pipeline.shared.rpki.replace(SNAPSHOT)
        self.left: list[Message] = []
        for line in self.pipeline.lines.values():
            line.outputs.append(lambda item: self.left.extend([item] if isinstance(item, Message) else list(item)))

    def send(self, *messages: Message) -> list[Message]:
        self.left.clear()
        if self.blocks:
            feed(self.source.inlet, block_of(*messages))
        else:
            feed(self.source.inlet, *messages)
        return list(self.left)


@pytest.fixture(params=["messages", "blocks"])
def make(request):
    return lambda words="": Bench(words, request.param == "blocks")


def announce(*reach: str, withdrawn: tuple[str, ...] = (), context: WireContext = AS4, **more: Any) -> Message:
    settings = {"ORIGIN": "IGP", "ASPATH": [65009, 65001]} | more
    six = [each for each in reach if ":" in each]
    four = [each for each in reach if ":" not in each]
    hop = "2001:db8::1" if six and not four else "192.0.2.1"
    if six and four:
        made = Update.make(reach=six, attrs=settings, next_hop="2001:db8::1", context=context)
        section = made.parts()[1] + b"\x40\x03\x04\xc0\0\2\1"
        nlri = Update.make(reach=four, attrs=settings, next_hop="192.0.2.1", context=context).parts()[2]
        body = b"\0\0" + len(section).to_bytes(2, "big") + section + nlri
    else:
        body = Update.make(reach=reach, withdrawn=withdrawn, attrs=settings, next_hop=hop, context=context).body
    return Message(UPDATE, body, direction="R", context=context)


def said(message: Message) -> tuple[list[str], list[str]]:
    return [*map(str, message.update.reach)], [*map(str, message.update.withdrawn)]


def test_nothing_changes_where_all_is_valid(make):
    bench = make("--tag=false")
    message = announce(VALID, UNKNOWN, VALID6)
    (left,) = bench.send(message)
    assert left.body == message.body
    assert left.tags == {}


def test_tags(make):
    (left,) = make("--invalid keep").send(announce(VALID, INVALID, LONGER, VALID6, UNKNOWN6))
    assert left.tags == {
        "rov/192.0.2.0/24": "VALID",
        "rov/198.51.100.0/24": "INVALID",
        "rov/192.0.2.0/25": "INVALID",
        "rov/2001:db8:1::/48": "VALID",
        "rov/3fff::/32": "NOT_FOUND",
        "rov/status": "INVALID",
    }
    (left,) = make("--invalid keep").send(announce(VALID, UNKNOWN))
    assert left.tags["rov/status"] == "NOT_FOUND"
    (left,) = make("--invalid keep").send(announce("#7#192.0.2.0/24", context=AS4_ADD_PATH))
    assert left.tags == {"rov/#7#192.0.2.0/24": "VALID", "rov/status": "VALID"}
    withdrawal = Message(UPDATE, Update.make(withdrawn=[VALID]).body, direction="R")
    assert [each.tags for each in make("--invalid keep").send(withdrawal)] == [{}]


@pytest.mark.parametrize("split", [False, True])
def test_invalid_prefixes_of_both_families_are_withdrawn_at_once(make, split):
    bench = make("--invalid split" if split else "")
    left = bench.send(announce(VALID, INVALID, LONGER, VALID6, INVALID6))
    if split:
        assert [said(each) for each in left] == [
            ([VALID, VALID6], []),
            ([], [INVALID, LONGER, INVALID6]),
        ]
        assert left[0].tags == {"rov/192.0.2.0/24": "VALID", "rov/2001:db8:1::/48": "VALID", "rov/status": "VALID"}
        assert left[1].tags == {"rov/status": "INVALID"}
        assert [each.seq for each in left] == [1, 1]  # as with all messages that one is made into
    else:
        assert [said(each) for each in left] == [([VALID, VALID6], [INVALID, LONGER, INVALID6])]
        assert left[0].tags["rov/status"] == "INVALID"
    for each in left:
        assert not each.update.errors


def test_nothing_but_withdrawals_has_no_attributes(make):
    for reach in ([INVALID], [INVALID6], [INVALID, INVALID6]):
        (left,) = make().send(announce(*reach))
        assert said(left) == ([], reach)
        assert set(left.update.attrs) <= {attrs.MP_UNREACH}
        (left,) = make("--invalid split").send(announce(*reach))
        assert said(left) == ([], reach)


def test_withdrawals_of_the_message_stay(make):
    (left,) = make().send(announce(VALID, INVALID, withdrawn=("10.1.0.0/16", "2001:db8:9::/48")))
    assert said(left) == ([VALID], ["10.1.0.0/16", INVALID, "2001:db8:9::/48"])
    (left,) = make("--invalid filter").send(announce(INVALID, withdrawn=("10.1.0.0/16", "2001:db8:9::/48")))
    assert said(left) == ([], ["10.1.0.0/16", "2001:db8:9::/48"])
    left = make("--invalid split").send(announce(VALID, INVALID, withdrawn=("10.1.0.0/16",)))
    assert [said(each) for each in left] == [([VALID], ["10.1.0.0/16"]), ([], [INVALID])]


def test_another_family_that_is_withdrawn_gets_a_message_of_its_own(make):
    message = announce(VALID6, INVALID6)
    start = 4
    section = message.body[start:] + bytes.fromhex("800f05 000102 080a")  # IPv4 multicast 10.0.0.0/8 is withdrawn
    body = b"\0\0" + len(section).to_bytes(2, "big") + section
    left = make().send(Message(UPDATE, body, direction="R"))
    assert [said(each) for each in left] == [([VALID6], ["10.0.0.0/8"]), ([], [INVALID6])]


def test_filter_and_drop(make):
    (left,) = make("--invalid filter").send(announce(VALID, INVALID, VALID6, INVALID6))
    assert said(left) == ([VALID, VALID6], [])
    assert make("--invalid filter").send(announce(INVALID, INVALID6)) == []
    assert make("--invalid drop").send(announce(VALID, INVALID)) == []
    assert len(make("--invalid drop").send(announce(VALID, UNKNOWN))) == 1


def test_strict(make):
    (left,) = make("--strict").send(announce(VALID, UNKNOWN, UNKNOWN6))
    assert said(left) == ([VALID], [UNKNOWN, UNKNOWN6])
    assert left.tags["rov/203.0.113.0/24"] == "INVALID"


def test_origins(make):
    paths: list[tuple[Any, str]] = [
        ([65001, 65002], "INVALID"),
        ([65009, [65001]], "INVALID"),
        ([], "INVALID"),
        ([{"confed_sequence": [65001]}], "INVALID"),
        ([65001, {"confed_set": [65003]}], "VALID"),
        ([65001] * 300, "VALID"),
    ]
    for path, expected in paths:
        (left,) = make("--invalid keep").send(announce(VALID, ASPATH=path))
        assert left.tags["rov/status"] == expected, path
    (left,) = make("--invalid keep").send(announce("10.1.0.0/16", ASPATH=[]))
    assert left.tags["rov/status"] == "INVALID"  # AS 0: nobody


def test_an_empty_path_is_of_the_sender(make):
    bench = make("--invalid keep")
    message = announce(VALID, ASPATH=[])
    message.tags = {"PEER_AS": "65001"}
    if not bench.blocks:  # a block has tags in its index, see the tests of judge_block
        (left,) = bench.send(message)
        assert left.tags["rov/status"] == "VALID"
    bench.stage.sender = lambda direction: {"R": 65001, "L": 65002}[direction]
    (left,) = bench.send(announce(VALID, ASPATH=[]))
    assert left.tags["rov/status"] == "VALID"


def test_blackhole_routes_may_be_longer(make):
    black = {"COMMUNITY": ["65535:666"]}
    host = "192.0.2.1/32"
    for words, reach, expected in (
        ("--blackhole", [host], "VALID"),
        ("", [host], "INVALID"),
        ("--blackhole", ["198.51.100.1/32"], "INVALID"),  # the VRP is of another origin
        ("--blackhole --strict", [UNKNOWN], "INVALID"),
        ("--blackhole", ["10.1.2.3/32"], "INVALID"),  # of nobody
    ):
        (left,) = make(f"{words} --invalid keep").send(announce(*reach, **black))
        assert left.tags["rov/status"] == expected, (words, reach)
    (left,) = make("--blackhole --invalid keep").send(announce(host))
    assert left.tags["rov/status"] == "INVALID"


def test_marks(make):
    words = "--add-com valid=65000:1,not_found=65000:2 --add-com invalid=65000:0:3"
    left = make(f"{words} --invalid keep").send(announce(VALID, INVALID, UNKNOWN, VALID6, COMMUNITY=["65000:2", "1:2"]))
    found = {(*said(each)[0],): (each.update.communities, each.update.large_communities) for each in left}
    assert found == {
        (VALID, VALID6): (["1:2", "65000:1"], []),
        (UNKNOWN,): (["1:2", "65000:2"], []),
        (INVALID,): (["1:2"], ["65000:0:3"]),
    }
    assert [each.tags["rov/status"] for each in left] == ["VALID", "NOT_FOUND", "INVALID"]
    left = make(words).send(announce(VALID, INVALID, UNKNOWN, withdrawn=("10.9.0.0/16",)))
    assert [said(each) for each in left] == [([VALID], ["10.9.0.0/16", INVALID]), ([UNKNOWN], [])]
    (left,) = make(words).send(announce(INVALID))
    assert said(left) == ([], [INVALID])
    assert make(f"{words} --invalid drop").send(announce(VALID, INVALID)) == []
    assert make(f"{words} --invalid filter").send(announce(INVALID)) == []


def test_marks_of_rfc_8097(make):
    forged = {"EXT_COMMUNITY": [{"type": "0x4300", "value": "0x0"}]}
    left = make("--add-com rfc8097 --invalid keep").send(announce(VALID, INVALID, UNKNOWN, **forged))
    values = [each.update.value(attrs.EXT_COMMUNITY) for each in left]
    assert values == [(0x4300000000000000,), (0x4300000000000001,), (0x4300000000000002,)]


@pytest.mark.parametrize("words", ["--add-com 65000:1", "--add-com valid=1", "--add-com good=65000:1", "--invalid no"])
def test_wrong_words(words):
    with pytest.raises(UsageError):
        stage(Rov, words)


def test_events_carry_what_is_invalid(make):
    for words, expected in (
        ("--event BAD", [VALID, INVALID]),
        ("--event BAD --invalid drop", [VALID, INVALID]),
        ("--event BAD --invalid keep", [VALID, INVALID]),
    ):
        bench = make(words)
        seen: list[list[str]] = []
        bench.pipeline.bus.on(["rov/BAD"], lambda event, seen=seen: seen.append(said(event.message)[0]))
        bench.send(announce(VALID, INVALID), announce(VALID))
        assert seen == [expected], words
    bench = make("--event BAD --invalid split")
    withdrawn: list[list[str]] = []
    bench.pipeline.bus.on(["rov/BAD"], lambda event: withdrawn.append(said(event.message)[1]))
    bench.send(announce(VALID, INVALID))
    assert withdrawn == [[INVALID]]
    bench = make("--event BAD --invalid keep")
    bench.send(announce(INVALID), announce(INVALID), announce(VALID))
    assert bench.pipeline.events["rov/BAD"] == 2


def test_counts(make):
    bench = make()
    bench.send(announce(VALID, INVALID), announce(UNKNOWN), Message(KEEPALIVE, direction="R"))
    bench.send(announce(INVALID6, LONGER, VALID6))
    status = bench.stage.status()
    assert status["metrics"] == {"messages": 3, "valid": 2, "invalid": 3, "not_found": 1}
    assert (status["vrps_ipv4"], status["vrps_ipv6"]) == (3, 2)


def test_conditions(make):
    bench = make("--if ipv6")
    left = bench.send(announce(INVALID), announce(INVALID6))
    assert [said(each) for each in left] == [([INVALID], []), ([], [INVALID6])]


def test_other_families_and_unreadable_updates_pass(make):
    flow = bytes.fromhex("0000 001b 40010100 4002060201 0000fdea 800e0b 0001 85 00 00 05 01 18 c63364".replace(" ", ""))
    for body in (flow, b"\0\0\0\0\x21\x0a"):
        (left,) = make().send(Message(UPDATE, body, direction="R"))
        assert left.body == body


def test_very_many_prefixes_in_one_message(make):
    reach = [f"198.51.{number >> 6}.{(number & 63) << 2}/30" for number in range(1500)]
    context = WireContext(extended_message=True)
    (left,) = make("--invalid keep").send(announce(*reach, context=context))
    assert len(left.tags) == 1501
