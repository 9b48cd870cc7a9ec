"""The stages update and tag: the same result for messages and blocks, and octets that nothing is said of stay."""

from __future__ import annotations

from typing import Any

import pytest
from sessions import between, make_open

from bgpipe import accel
from bgpipe.pipeline.errors import ConfigError
from bgpipe.stages.tag import Tag
from bgpipe.stages.update import Update as UpdateStage
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS2, AS4, HEADER, WireContext
from bgpipe.wire.flags import DIRECTION_FLAGS, context_flags
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message
from bgpipe.wire.update import Update
from playbook import Feeder, begin, feed, stage


def make_block(message: Message) -> Block:
    flags = (context_flags(message.context) or 0) | DIRECTION_FLAGS[message.direction]
    return Block(message.octets, bytearray(ENTRY.pack(0, 0, 0, NO_PEER, len(message.octets), flags, 0)))


class Bench:
    def __init__(self, kind: Any, words: str, blocks: bool) -> None:
        self.source = stage(Feeder, "-LR --new first")
        self.stage = stage(kind, words)
        self.blocks = blocks
        self.pipeline = begin(self.source, self.stage)
        self.left: list[Message] = []
        for line in self.pipeline.lines.values():
            line.outputs.append(lambda item: self.left.extend([item] if isinstance(item, Message) else list(item)))

    def send(self, message: Message) -> list[Message]:
        self.left.clear()
        message = Message(
            message.type_code,
            message.body,
            direction=message.direction,
            context=message.context,
            tags=dict(message.tags),
        )
        feed(self.source.inlet, make_block(message) if self.blocks else message)
        return list(self.left)

    def one(self, message: Message) -> Update:
        (left,) = self.send(message)
        return left.update


@pytest.fixture(params=["messages", "blocks"])
def make(request):
    def make(words: str, kind: Any = UpdateStage) -> Bench:
        return Bench(kind, words, request.param == "blocks")

    return make


def announce(reach: str = "10.0.0.0/8", context: WireContext = AS4, to: str = "R", **attrs: Any) -> Message:
    settings = {"ORIGIN": "IGP", "ASPATH": [65001, 65002]} | attrs
    hop = "2001:db8::1" if ":" in reach else "192.0.2.1"
    made = Update.make(reach=reach.split(), attrs=settings, next_hop=hop, context=context)
    return Message(UPDATE, made.body, direction=to, context=context)


# AS paths


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("--prepend 65009*3", "65009,65009,65009,65001,65002"),
        ("--prepend AS65009", "65009,65001,65002"),
        ("--prepend last*2", "65001,65001,65001,65002"),
        ("--prepend 1,2*2", "2,2,1,65001,65002"),
        ("--prepend 1 --prepend 2", "2,1,65001,65002"),
        ("--strip-as 65001", "65002"),
        ("--strip-as private", ""),
        ("--strip-as 65000-65010 --prepend 7", "7"),
    ],
)
def test_paths(make, words, path):
    assert str(make(words).one(announce()).as_path) == path


def test_a_full_segment_gets_another_before_it(make):
    left = make("--prepend 7*3").one(announce(ASPATH=[1] * 254))
    assert [len(ases) for _, ases in left.as_path] == [2, 255]


def test_sets_and_confederations_stay_behind_what_is_prepended(make):
    left = make("--prepend 7").one(announce(ASPATH=[[1, 2], 3]))
    assert str(left.as_path) == "7,[1,2],3"


def test_an_as_of_four_octets_goes_into_as4_path(make):
    left = make("--prepend 200000").one(announce(context=AS2))
    assert str(left.value(2)) == "23456,65001,65002"
    assert str(left.value(17)) == str(left.as_path) == "200000,65001,65002"


def test_as4_path_grows_with_as_path_and_goes_when_it_is_not_needed(make):
    old = announce(context=AS2, ASPATH=[23456, 65002], AS4PATH=[200000, 65002])
    assert str(make("--prepend 7").one(old).as_path) == "7,200000,65002"
    left = make("--strip-as 200000").one(old)
    assert (str(left.as_path), left.value(17)) == ("65002", None)


def test_self_is_who_sent_the_message_where_no_session_says(make):
    bench = make("--prepend self*2", UpdateStage)
    message = announce()
    message.tags = {"PEER_AS": "65001"}
    bench.blocks = False
    assert str(bench.one(message).as_path) == "65001,65001,65001,65002"
    assert str(bench.one(announce()).as_path) == "65001,65002"  # nobody knows who that is


# Numbers, next hops


def test_numbers(make):
    left = make("--med 50 --local-pref 200 --origin egp").one(announce(MED=7))
    assert (left.med, left.local_pref, left.origin) == (50, 200, "EGP")
    left = make("--med none --local-pref none").one(announce(MED=7, LOCALPREF=1))
    assert (left.med, left.local_pref) == (None, None)


@pytest.mark.parametrize(("reach", "hop"), [("10.0.0.0/8", "198.51.100.1"), ("2001:db8:1::/48", "2001:db8::9")])
def test_next_hops(make, reach, hop):
    left = make("--nexthop4 198.51.100.1 --nexthop6 2001:db8::9").one(announce(reach))
    assert (left.next_hop, [str(each) for each in left.reach]) == (hop, [reach])


def test_a_link_local_next_hop_stays(make):
    value = {"af": "IPV6/UNICAST", "nexthop": "2001:db8::1", "link-local": "fe80::1", "prefixes": ["2001:db8:1::/48"]}
    message = Message(
        UPDATE, Update.make(attrs={"MP_REACH": value, "ORIGIN": "IGP", "ASPATH": [1]}).body, direction="R"
    )
    reach = make("--nexthop6 2001:db8::9").one(message).attrs[14].value
    assert (reach.next_hop, reach.link_local) == ("2001:db8::9", "fe80::1")


def test_the_next_hop_of_a_vpn_keeps_its_distinguisher(make):
    value = {"af": "IPV4/MPLS_VPN", "nh": "0x" + "0001000000000002c0000201", "data": "0x7000001100000000000000020a"}
    message = Message(
        UPDATE, Update.make(attrs={"MP_REACH": value, "ORIGIN": "IGP", "ASPATH": [1]}).body, direction="R"
    )
    reach = make("--nexthop4 198.51.100.1").one(message).attrs[14].value
    assert reach.hop.hex() == "0001000000000002" + "c6336401"


def test_our_own_address_towards_the_receiver(make):
    bench = make("--nexthop-self")
    assert bench.one(announce()).next_hop == "192.0.2.1"  # there is no connection
    bench.pipeline.values |= {"R_LOCAL_ADDR": "198.51.100.7", "L_LOCAL_ADDR": "2001:db8::7"}
    assert bench.one(announce()).next_hop == "198.51.100.7"
    assert bench.one(announce("2001:db8:1::/48")).next_hop == "2001:db8::1"  # no IPv6 address there


# Communities


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("--add-com 65000:666", ["65535:65281", "1:1", "1:2", "65000:666"]),
        ("--add-com 1:1", ["65535:65281", "1:1", "1:2"]),
        ("--add-com no-export,5:5 --drop-com 1:*", ["65535:65281", "5:5"]),
        ('--add-com ["5:5","6:6"] --drop-com 65535:*', ["1:1", "1:2", "5:5", "6:6"]),
        ("--drop-com 1:2-9 --drop-com no-export", ["1:1"]),
        ("--drop-com 1:* --add-com 1:7", ["65535:65281", "1:7"]),
        ("--drop-com", []),
        ("--drop-com --add-com 5:5", []),
        ("--set-com 7:7", ["7:7"]),
        ("--set-com 7:7,1:1 --drop-com 7:*", ["1:1"]),
    ],
)
def test_communities(make, words, left):
    message = announce(COMMUNITY=["65535:65281", "1:1", "1:2"])
    assert make(words).one(message).communities == left


def test_an_attribute_without_communities_is_removed(make):
    assert 8 not in make("--drop-com").one(announce(COMMUNITY=["1:1"])).attrs


def test_large_communities(make):
    message = announce(LARGE_COMMUNITY=["65000:1:2", "7:1:2"])
    assert make("--drop-com-large 65000:*").one(message).large_communities == ["7:1:2"]
    assert make("--drop-com-large *:1:2 --add-com-large 1:2:3").one(message).large_communities == ["1:2:3"]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("--drop-com-ext rt:65000:*", ["ORIGIN", "AS4_TARGET", "VALIDATION_STATE"]),
        ("--drop-com-ext 65000:*", ["AS4_TARGET", "VALIDATION_STATE"]),
        ("--drop-com-ext *:*", ["VALIDATION_STATE"]),
        ("--drop-com-ext 0x4300000000000002", ["TARGET", "ORIGIN", "AS4_TARGET"]),
        ("--drop-com-ext", []),
        ("--drop-com-ext *:* --add-com-ext soo:192.0.2.1:7", ["VALIDATION_STATE", "IP4_ORIGIN"]),
        ('--set-com-ext {"type":"TARGET","value":"65000:9"}', ["TARGET"]),
    ],
)
def test_extended_communities(make, words, left):
    found = [
        {"type": "TARGET", "value": "65000:1"},
        {"type": "ORIGIN", "value": "65000:1"},
        {"type": "AS4_TARGET", "value": "200000:1"},
        {"type": "0x4300", "value": "0x2", "nontransitive": True},
    ]
    texts = make(words).one(announce(EXT_COMMUNITY=found)).ext_communities
    assert len(texts) == len(left)
    assert all(each in text for each, text in zip(left, texts, strict=True))


# What stays


def test_what_announces_nothing_stays(make):
    bench = make("--prepend 7 --med 1 --add-com 1:1 --nexthop4 1.2.3.4")
    messages = [
        Message(KEEPALIVE, direction="R"),
        Message(UPDATE, bytes(4), direction="R"),
        Message(UPDATE, Update.make(withdrawn=["10.0.0.0/8"]).body, direction="R"),
        Message(UPDATE, Update.make(withdrawn=["2001:db8::/32"]).body, direction="R"),
    ]
    assert [bench.send(each)[0].body for each in messages] == [each.body for each in messages]


def test_octets_order_and_flags_of_other_attributes_stay(make):
    section = "50010001004002060201000000010f400304c0000201" + "c0630101" + "e0200c000000010000000200000003"
    section = section.replace("0f400304", "400304")
    body = bytes.fromhex("0000" + f"{len(section) // 2:04x}" + section + "080a")
    message = Message(UPDATE, body, direction="R")
    left = make("--med 5").one(message).body
    assert left.hex() == "0000" + f"{len(section) // 2 + 7:04x}" + section + "80040400000005" + "080a"


def test_a_malformed_list_of_attributes_stays(make):
    twice = "400101004001010040020602010000000140030400000001"
    body = bytes.fromhex("0000" + f"{len(twice) // 2:04x}" + twice + "080a")
    assert make("--med 5").send(Message(UPDATE, body, direction="R"))[0].body == body


def test_unknown_attributes_are_stripped(make):
    message = announce(ATTR_99={"flags": "OT", "value": "0x0102"}, OTC=7)
    left = make("--unknown-attrs strip").one(message)
    assert (99 in left.attrs, left.otc) == (False, 7)
    assert 99 in make("--unknown-attrs keep --med 1").one(message).attrs


def test_conditions(make):
    bench = make("--med 5 --if aspath_len==1")
    assert bench.one(announce()).med is None
    assert bench.one(announce(ASPATH=[1])).med == 5


def test_a_condition_chooses_among_the_messages_of_a_block():
    bench = Bench(UpdateStage, "--med 5 --if as_origin==2", True)
    messages = [announce(ASPATH=[1, number % 3]) for number in range(1, 20)]
    octets, index = b"", bytearray()
    for each in messages:
        index += ENTRY.pack(0, 0, len(octets), NO_PEER, len(each.octets), 1 | DIRECTION_FLAGS["R"], 0)
        octets += each.octets
    feed(bench.source.inlet, Block(octets, index))
    assert [each.update.med for each in bench.left] == [5 if n % 3 == 2 else None for n in range(1, 20)]


# Results that are too long


def test_what_gets_too_long_is_split(make):
    message = announce(" ".join(f"10.{n >> 8}.{n & 255}.0/24" for n in range(1000)))
    assert len(message.octets) > 4000
    left = make("--prepend 7*100 --drop-com 1:1").send(message)
    assert len(left) == 2
    assert all(len(each.body) + HEADER <= 4096 and str(each.update.as_path).startswith("7,7") for each in left)
    assert [prefix for each in left for prefix in each.update.reach] == message.update.reach


def test_what_can_not_be_split_is_withdrawn_and_told(make):
    message = announce(COMMUNITY=[f"1:{number}" for number in range(1000)], ASPATH=[1] * 5)
    bench = make("--prepend 7*255")
    (left,) = bench.send(message)
    assert [str(each) for each in left.update.withdrawn] == ["10.0.0.0/8"]
    assert left.update.reach == []
    assert bench.stage.status()["metrics"]["withdrawn"] == 1


# Words that can't be meant


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--add-com 1:2:3", "another kind"),
        ("--add-com x", "--add-com"),
        ("--drop-com 70000:*", "65535"),
        ("--drop-com-large 1:2", "65000:\\*:\\*"),
        ("--nexthop4 ::1", "not an IPv4"),
        ("--nexthop6 1.2.3.4", "not an IPv6"),
        ("--strip-as 5-2", "not a range"),
    ],
)
def test_errors_name_the_option(words, text):
    with pytest.raises(ConfigError, match=text):
        Bench(UpdateStage, words, False)


def test_a_word_that_is_no_pattern_is_the_next_stage():
    made = UpdateStage("update")
    assert made.scan(["--drop-com", "write", "x.mrt"]) == ["write", "x.mrt"]
    assert made.drop_com == ("*",)


# tag


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        ("--add src=rv", {"A": "1", "B": "2", "src": "rv"}),
        ("--add A=9,C=3,4", {"A": "9", "B": "2", "C": "3,4"}),
        ("--drop A,B", {}),
        ("--drop * --add X=y", {"X": "y"}),
        ("--src --drop A", {"B": "2", "SRC": "feeder"}),
    ],
)
def test_tags(words, tags):
    bench = Bench(Tag, words, False)
    for kind in (UPDATE, KEEPALIVE):
        message = announce() if kind == UPDATE else Message(KEEPALIVE, direction="R")
        message.tags = {"A": "1", "B": "2"}
        body = message.body
        (left,) = bench.send(message)
        assert (left.tags, left.body) == (tags, body)


def test_tags_in_blocks(bgpipe, sample, monkeypatch):
    words = ["-o", sample, "--", "tag", "--add", "src=rv", "--drop", "LOCAL_AS,INTERFACE", "--src", "-I", "ipv4"]
    done = bgpipe(*words)
    monkeypatch.setattr(accel, "AVAILABLE", False)
    assert done.code == 0
    tags = [line[5] for line in done.lines]
    assert any("SRC" in each for each in tags)
    assert all(each["SRC"] == "read" and each["src"] == "rv" for each in tags if "SRC" in each)
    assert all(("LOCAL_AS" in each) != ("SRC" in each) for each in tags)


@pytest.mark.parametrize("words", ["", "--add x", "--add ACTION=1", "--add x=", "--add =1"])
def test_tags_that_can_not_be(words):
    with pytest.raises(ConfigError):
        Bench(Tag, words, False)


# Sessions


async def test_self_is_who_the_receiver_speaks_with():
    """In both directions, for messages that travel in blocks."""
    words = ["update", "-LR", "--prepend", "self*2", "--nexthop-self", "--med", "7"]
    async with between(*words) as session:
        await session.establish(make_open(65001), make_open(65009))
        values = session.pipeline.pipeline.values
        last = Message(UPDATE, bytes(4))
        for sender, receiver, asn, side in (
            (session.left, session.right, 65001, "R"),
            (session.right, session.left, 65009, "L"),
        ):
            sender.send(*(announce(f"10.{number}.0.0/16") for number in range(5)), last)
            left = [each.update for each in await receiver.until(last)][:-1]
            assert [str(each.reach[0]) for each in left] == [f"10.{number}.0.0/16" for number in range(5)]
            for each in left:
                assert str(each.as_path) == f"{asn},{asn},65001,65002"
                assert (each.next_hop, each.med) == (values[f"{side}_LOCAL_ADDR"], 7)
        assert session.pipeline.stage("update").status()["metrics"] == {"changed": 10, "withdrawn": 0}


def test_a_community_that_is_named_twice_is_added_once(make):
    assert make("--add-com 1:1 --add-com 1:1,2:2").one(announce()).communities == ["1:1", "2:2"]
