"""The stage limit: what it removes, and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import pytest

from bgpipe import accel
from bgpipe.pipeline.errors import ConfigError
from bgpipe.pipeline.events import ANY, Bus, Event
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.stages.limit import Limit, parse_on_limit
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_UNICAST
from bgpipe.wire.flags import DIRECTION_FLAGS, FLAG_ADD_PATH, FLAG_AS4
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message
from bgpipe.wire.update import Update
from commandline import spawn
from playbook import Feeder, begin, feed, stage

# A limit that is told messages, one by one or as blocks


class Bench:
    """A pipeline with one limit in it. `blocks`: messages come as blocks of one."""

    def __init__(self, words: str, *, blocks: bool = False, shared: Pipeline | None = None) -> None:
        self.source = stage(Feeder, "-LR --new first")
        self.limit = stage(Limit, words)
        self.blocks = blocks
        self.events: list[Event] = []
        self.left: list[Any] = []
        self.pipeline = begin(self.source, self.limit)
        if shared is not None:
            self.pipeline.shared = shared.shared
        self.pipeline.bus.on([ANY], self.events.append)
        for line in self.pipeline.lines.values():
            line.outputs.append(self._take)

    def _take(self, item: Any) -> None:
        self.left += [item] if isinstance(item, Message) else list(item)

    def send(self, *messages: Message) -> list[Message]:
        """What is left of these."""
        self.left.clear()
        feed(self.source.inlet, *(map(make_block, messages) if self.blocks else messages))
        return list(self.left)

    def told(self) -> list[tuple[Any, ...]]:
        """Events since the last call: what, and the values."""
        told = [(event.name.removeprefix("limit/"), *event.values) for event in self.events]
        self.events.clear()
        return told


def make_block(message: Message) -> Block:
    flags = FLAG_AS4 | (FLAG_ADD_PATH if message.context is AS4_ADD_PATH else 0) | DIRECTION_FLAGS[message.direction]
    return Block(message.octets, bytearray(ENTRY.pack(0, 0, 0, NO_PEER, len(message.octets), flags, 0)))


@pytest.fixture(params=["messages", "blocks", "no accel"])
def make(request, monkeypatch):
    if request.param == "blocks" and not accel.AVAILABLE:
        pytest.skip(accel.WHY_NOT)
    if request.param == "no accel":
        monkeypatch.setattr(accel, "AVAILABLE", False)

    def make(words: str, **settings: Any) -> Bench:
        return Bench(words, blocks=request.param == "blocks", **settings)

    return make


def message(
    reach: str = "", withdrawn: str = "", *, path: Sequence[Any] = (65001,), to: str = "R", context: WireContext = AS4
) -> Message:
    attrs = {"ORIGIN": "IGP", "ASPATH": list(path)} if reach else {}
    update = Update.make(
        reach=reach.split(),
        withdrawn=withdrawn.split(),
        attrs=attrs,
        next_hop=("2001:db8::1" if ":" in reach else "192.0.2.1") if reach else None,
        context=context,
    )
    return Message(UPDATE, update.body, direction=to, context=context)


def routes(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """(announced, withdrawn) of each message."""
    return [(" ".join(map(str, each.update.reach)), " ".join(map(str, each.update.withdrawn))) for each in messages]


# Numbers


def test_n_means_n(make):
    bench = make("--session 2")
    assert routes(bench.send(message("10.0.0.0/8"), message("11.0.0.0/8"), message("12.0.0.0/8"))) == [
        ("10.0.0.0/8", ""),
        ("11.0.0.0/8", ""),
    ]
    assert bench.told()[1:] == [("session", "12.0.0.0/8", 65001, 2)]


def test_what_is_let_pass_is_untouched(make):
    bench = make("-46 --session 100 --origin 100 --block 100 --min-length 8 --max-length 48")
    messages = [
        message("10.0.0.0/8 11.0.0.0/16", "12.0.0.0/8"),
        message("2001:db8::/32", "2001:db8:1::/48"),
        Message(KEEPALIVE, direction="R"),
        Message(UPDATE, bytes(4), direction="L"),
        Message(UPDATE, Update.make(attrs={"MP_UNREACH": {"af": "IPV6/UNICAST", "prefixes": []}}).body, direction="R"),
    ]
    bodies = [each.body for each in messages]
    assert [each.body for each in bench.send(*messages)] == bodies
    assert bench.told() == []


def test_known_prefixes_may_come_again(make):
    bench = make("--session 1")
    bench.send(message("10.0.0.0/8"))
    assert routes(bench.send(message("10.0.0.0/8", path=(65009, 65002)))) == [("10.0.0.0/8", "")]
    assert bench.send(message("11.0.0.0/8")) == []


def test_withdrawals_make_room(make):
    bench = make("--session 1")
    bench.send(message("10.0.0.0/8"))
    assert routes(bench.send(message("11.0.0.0/8", "10.0.0.0/8"))) == [("11.0.0.0/8", "10.0.0.0/8")]
    assert routes(bench.send(message("", "12.0.0.0/8"), message("12.0.0.0/8"))) == [("", "12.0.0.0/8")]


def test_permanent(make):
    bench = make("--session 1 --permanent --min-length 9")
    bench.send(message("10.0.0.0/16"))
    assert routes(bench.send(message("", "10.0.0.0/16"), message("", "10.0.0.0/8"))) == [
        ("", "10.0.0.0/16"),
        ("", "10.0.0.0/8"),
    ]
    assert bench.send(message("11.0.0.0/16")) == []
    assert routes(bench.send(message("10.0.0.0/16"))) == [("10.0.0.0/16", "")]


def test_lengths(make):
    bench = make("-m 9 -M 24")
    left = bench.send(message("10.0.0.0/8 10.0.0.0/9 10.0.0.0/24 10.0.0.0/25", "11.0.0.0/8 11.0.0.0/24 11.0.0.0/32"))
    assert routes(left) == [("10.0.0.0/9 10.0.0.0/24", "11.0.0.0/24")]
    assert bench.told() == [("short", "10.0.0.0/8", 65001), ("long", "10.0.0.0/25", 65001)]


def test_origins(make):
    bench = make("--origin 1")
    assert len(bench.send(message("10.0.0.0/8"), message("11.0.0.0/8", path=(65001, 65002)))) == 2
    assert bench.send(message("12.0.0.0/8", path=(1, 2, 65001))) == []
    assert ("origin", "12.0.0.0/8", 65001, 1) in bench.told()
    # a route that comes from elsewhere now is one less there
    bench.send(message("10.0.0.0/8", path=(65003,)))
    assert routes(bench.send(message("12.0.0.0/8"))) == [("12.0.0.0/8", "")]


def test_an_origin_that_is_a_set_is_0(make):
    bench = make("--origin 1")
    assert len(bench.send(message("10.0.0.0/8", path=(65001, [65002, 65003])))) == 1
    assert bench.send(message("11.0.0.0/8", path=([65004],))) == []
    assert bench.send(message("12.0.0.0/8", path=())) == []
    assert [told for told in bench.told() if told[0] == "origin"] == [
        ("origin", "11.0.0.0/8", 0, 1),
        ("origin", "12.0.0.0/8", 0, 1),
    ]


def test_blocks(make):
    bench = make("-46 --block 2")
    left = bench.send(message("10.1.0.0/24 10.1.1.0/24 10.1.2.0/24 10.2.0.0/24", path=(7,)))
    assert routes(left) == [("10.1.0.0/24 10.1.1.0/24 10.2.0.0/24", "")]
    left = bench.send(message("2001:db8:1::/48 2001:db8:2::/48 2001:db8:3::/48 2001:db9::/48"))
    assert routes(left) == [("2001:db8:1::/48 2001:db8:2::/48 2001:db9::/48", "")]
    assert [told for told in bench.told() if told[0] == "block"] == [
        ("block", "10.1.2.0/24", 7, 2),
        ("block", "2001:db8:3::/48", 65001, 2),
    ]


@pytest.mark.parametrize(
    ("bits", "prefixes", "passes"),
    [
        (8, "10.0.0.0/24 10.255.0.0/24 11.0.0.0/24", 2),
        (24, "10.0.0.0/24 10.0.0.128/25 10.0.1.0/24", 2),
        (32, "10.0.0.0/32 10.0.0.1/32", 2),
        (64, "10.0.0.0/32 10.0.0.1/32 10.0.0.0/31", 2),  # IPv4 has 32 bits
        (64, "2001:db8::/64 2001:db8::/65 2001:db8:0:1::/64", 2),
        (1, "::/1 8000::/1 4000::/2", 2),
    ],
)
def test_length_of_blocks(make, bits, prefixes, passes):
    (left,) = make(f"-46 --block 1 -B {bits}").send(message(prefixes))
    assert len(left.update.reach) == passes


def test_blocks_of_ipv4_and_ipv6_are_not_the_same(make):
    bench = make("-46 --block 1 -B 32")
    assert len(bench.send(message("32.1.13.184/32"), message("2001:db8::/32"))) == 2


# What is counted as one


def test_families(make):
    both = (message("10.0.0.0/8"), message("11.0.0.0/8"), message("2001:db8::/32"), message("2001:db9::/32"))
    assert len(make("--session 1").send(*both)) == 3
    assert len(make("-4 --session 1").send(*both)) == 3
    assert len(make("-6 --session 1").send(*both)) == 3
    assert len(make("-46 --session 1").send(*both)) == 1
    assert routes(make("-6 --session 1").send(*both))[-1] == ("2001:db8::/32", "")


def multicast(prefix: str, attribute: str = "MP_REACH") -> Message:
    value = {"af": "IPV4/MULTICAST", "prefixes": [prefix]}
    if attribute == "MP_REACH":
        value["nexthop"] = "192.0.2.1"
    attrs = {attribute: value}
    return Message(UPDATE, Update.make(attrs={"ORIGIN": "IGP", "ASPATH": [1], **attrs}).body, direction="R")


def test_multicast(make):
    messages = multicast("10.0.0.0/8"), multicast("11.0.0.0/8"), message("10.0.0.0/8")
    assert len(make("--session 1").send(*messages)) == 3
    assert len(make("--session 1 --multicast").send(*messages)) == 1
    assert len(make("--session 2 --multicast").send(*messages)) == 2
    bench = make("--session 1 --multicast")
    bench.send(multicast("10.0.0.0/8"), multicast("10.0.0.0/8", "MP_UNREACH"))
    assert len(bench.send(multicast("11.0.0.0/8"))) == 1


def test_path_identifiers_make_different_routes(make):
    bench = make("--session 2")
    context = AS4_ADD_PATH
    left = bench.send(message("#1#10.0.0.0/8 #2#10.0.0.0/8 #3#10.0.0.0/8 #1#10.0.0.0/8", context=context))
    assert routes(left) == [("#1#10.0.0.0/8 #2#10.0.0.0/8 #1#10.0.0.0/8", "")]
    assert bench.told()[-1] == ("session", "#3#10.0.0.0/8", 65001, 2)
    bench.send(message("", "#2#10.0.0.0/8", context=context))
    assert len(bench.send(message("#3#10.0.0.0/8", context=context))) == 1


def test_bits_behind_the_mask_make_no_other_prefix(make):
    bench = make("--session 1")
    attributes = message("10.0.0.0/8").update.parts()[1]
    body = b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + bytes((12, 10, 0x1F, 12, 10, 0x10))
    assert len(bench.send(Message(UPDATE, body, direction="R"))) == 1
    assert bench.limit.routes.count == 1


def test_both_directions_have_one_table(make):
    bench = make("-LR --session 2")
    left = bench.send(message("10.0.0.0/8"), message("10.0.0.0/8 11.0.0.0/8", to="L"), message("12.0.0.0/8"))
    assert routes(left) == [("10.0.0.0/8", ""), ("10.0.0.0/8 11.0.0.0/8", "")]
    # nobody can withdraw what only the other side announces
    bench.send(message("", "11.0.0.0/8"), message("", "10.0.0.0/8", to="L"))
    assert bench.send(message("12.0.0.0/8")) == []
    bench.send(message("", "10.0.0.0/8"))
    assert len(bench.send(message("12.0.0.0/8", to="L"))) == 1


def test_one_direction(make):
    bench = make("-R --session 1")
    assert len(bench.send(message("10.0.0.0/8"), message("11.0.0.0/8", to="L"), message("12.0.0.0/8", to="L"))) == 3


# What is left of a message


def test_an_emptied_mp_reach_goes(make):
    bench = make("-6 --session 1")
    bench.send(message("2001:db8::/32"))
    (left,) = bench.send(message("2001:db9::/32", "2001:db8::/32 10.0.0.0/8", path=(7, 8)), message("2001:dba::/32"))
    assert routes([left]) == [("2001:db9::/32", "10.0.0.0/8 2001:db8::/32")]
    (left,) = bench.send(message("2001:dbb::/32", "10.0.0.0/8"))
    assert left.update.format_json() == '{"unreach":["10.0.0.0/8"]}'


def test_an_emptied_mp_unreach_is_no_end_of_rib(make):
    bench = make("-46 --max-length 40")
    assert bench.send(message("", "2001:db8:1::/48")) == []
    (left,) = bench.send(message("10.0.0.0/8", "2001:db8:1::/48"))
    assert routes([left]) == [("10.0.0.0/8", "")]
    assert "MP_UNREACH" not in left.update.format_json()


def test_other_families_keep_a_message_alive(make):
    bench = make("--max-length 8")
    (left,) = bench.send(message("10.0.0.0/16 2001:db8::/32"))
    assert routes([left]) == [("2001:db8::/32", "")]
    assert left.update.as_path is not None
    flowspec = {"af": "IPV4/FLOWSPEC", "data": "0x0501180a0000"}
    body = message("10.0.0.0/16").update.replace(attrs={"MP_REACH": flowspec}).body
    (left,) = bench.send(Message(UPDATE, body, direction="R"))
    assert left.update.nlri == []
    assert left.update.attrs.keys() >= {1, 2, 14}


def test_flags_and_unknown_attributes_stay(make):
    bench = make("--max-length 8")
    attrs = {"ORIGIN": {"flags": "TX", "value": "IGP"}, "ASPATH": [1], "ATTR_99": {"flags": "OTP", "value": "0x0102"}}
    body = Update.make(reach=["10.0.0.0/8", "10.0.0.0/16"], attrs=attrs, next_hop="192.0.2.1").body
    (left,) = bench.send(Message(UPDATE, body, direction="R"))
    assert left.body == body[:-3]
    assert left.seq == 1


def test_what_cannot_be_read_passes_and_is_told(make):
    bench = make("--session 1")
    body = bytes.fromhex("0000 0000 40")
    left = bench.send(Message(UPDATE, body, direction="R"))
    assert [each.body for each in left] == [body]
    assert [event.name for event in bench.events] == ["bgpfix/pipe.PARSE"]
    assert bench.limit.routes.count == 0


# Near a limit


def test_three_quarters_are_told_once_until_it_falls(make):
    bench = make("--session 4")
    bench.send(message("10.0.0.0/8 11.0.0.0/8 12.0.0.0/8 12.0.0.0/8"))
    assert bench.told() == [("near", "session", "12.0.0.0/8", 65001, 3, 4)]
    bench.send(message("13.0.0.0/8"), message("", "13.0.0.0/8"), message("13.0.0.0/8"))
    assert bench.told() == []
    bench.send(message("", "13.0.0.0/8 12.0.0.0/8"), message("14.0.0.0/8"))
    assert bench.told() == [("near", "session", "14.0.0.0/8", 65001, 3, 4)]


def test_every_limit_can_come_near(make):
    bench = make("--session 2 --origin 2 --block 2 --total 2")
    (left,) = bench.send(message("10.0.0.0/24 10.0.1.0/24"))
    assert len(left.update.reach) == 2
    limits_near = [(name, *told) for name, *told in bench.told() if name == "near"]
    assert limits_near == [
        ("near", name, "10.0.1.0/24", 65001, 2, 2) for name in ("origin", "block", "session", "total")
    ]


# The total


def test_the_total_is_of_all_sessions(make):
    first = make("--total 3")
    second = make("--total 3", shared=first.pipeline)
    assert len(first.send(message("10.0.0.0/8"), message("11.0.0.0/8"))) == 2
    assert routes(second.send(message("10.0.0.0/8 12.0.0.0/8"))) == [("10.0.0.0/8", "")]
    assert second.told()[-1] == ("total", "12.0.0.0/8", 65001, 3)
    asyncio.run(first.limit.stop())  # a session that ends gives its share back
    assert len(second.send(message("12.0.0.0/8"), message("13.0.0.0/8"))) == 2
    assert second.send(message("14.0.0.0/8")) == []


# Options


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--session=-1", "--session: a number of prefixes from 1 to 4294967295"),
        ("--total=4294967296", "--total: a number of prefixes"),
        ("-m 128", "0 to 127 bits"),
        ("-m 24 -M 8", "--min-length is more than --max-length"),
        ("-B 65", "--block-length"),
    ],
)
def test_wrong_options(words, text):
    with pytest.raises(ConfigError, match=text):
        Bench(words)


def test_kill(sample):
    done = spawn("--kill", "limit/session", sample, "--", "limit", "-LR", "--session", "10", "--", "write", "-")
    assert done.code == 1
    assert "session killed by event" in done.err


def test_a_summary_is_logged(sample):
    done = spawn(sample, "--", "limit", "--session", "10", "-M", "23", "--", "write", "-")
    assert done.code == 0
    assert done.err.count("prefixes are removed: session") == 1
    assert "prefixes were removed" in done.err
    announced = {prefix for line in done.lines if line[3] == "UPDATE" for prefix in line[4].get("reach", ())}
    assert len(announced) >= 10
    assert all(int(prefix.rpartition("/")[2]) <= 23 for prefix in announced)


def test_families_of_the_rules():
    bench = Bench("-6")
    assert bench.limit.rules.families == {IPV6_UNICAST}
    assert Bench("--multicast").limit.rules.families == {IPV4_UNICAST, IPV4_MULTICAST}


# What is said once, and what nobody hears


class Warnings:
    """A log that keeps its warnings and errors."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def debug(self, text: str, /, **fields: Any) -> None: ...
    def info(self, text: str, /, **fields: Any) -> None: ...

    def warning(self, text: str, /, **fields: Any) -> None:
        self.lines.append((text, fields))

    error = warning


@pytest.mark.parametrize("words", ["--max-length 24", "--min-length 33", "--session 1", "--origin 1", "--block 1"])
def test_the_first_removed_prefix_is_logged_with_side_peer_family_and_limit(make, words):
    bench = make(words)
    bench.pipeline.log = log = Warnings()
    bench.pipeline.values["L_REMOTE_ADDR"] = "192.0.2.7"
    bench.send(message("10.0.0.0/32 10.0.0.1/32"), message("10.0.0.2/32"), message("10.0.0.3/32"))
    removed = [(text, fields) for text, fields in log.lines if text.startswith("prefixes are removed")]
    assert len(removed) == 1
    text, fields = removed[0]
    what, limit = words[2:].split()
    assert text == f"prefixes are removed: { {'max-length': 'long', 'min-length': 'short'}.get(what, what) }"
    first = "10.0.0.0/32" if "length" in what else "10.0.0.1/32"
    assert fields == {
        "stage": "[2] limit",
        "side": "left",
        "peer": "192.0.2.7",
        "family": "IPV4/UNICAST",
        "limit": int(limit),
        "first": first,
        "origin": 65001,
    }


def test_a_kill_is_told_once(make):
    bench = make("--session 1")
    bench.pipeline.log = log = Warnings()
    killed: list[str] = []
    bench.pipeline.on_kill = killed.append
    bench.pipeline.bus.on(["limit/session"], lambda event: bench.pipeline.kill(event.name))
    bench.send(*(message(f"10.{number}.0.0/16 10.{number}.1.0/24") for number in range(100)))
    assert killed == ["limit/session"]
    assert [fields for text, fields in log.lines if text == "session killed by event"] == [{"event": "limit/session"}]


@pytest.mark.parametrize("seed", range(20))
def test_what_nobody_hears_is_taken_out_alike(make, seed):
    """Without listeners accel takes prefixes out itself: the same bodies are left, and the same is counted."""
    rng = Random(seed)
    words = f"-46 --session {rng.randrange(1, 9)} --max-length {rng.choice((0, 20, 24))} --origin {rng.randrange(5)}"

    def prefixes(ipv6: bool) -> str:
        some = f"2001:db8:{rng.randrange(9)}::/48" if ipv6 else f"10.{rng.randrange(9)}.0.0/{rng.choice((16, 24))}"
        return " ".join({some for _ in range(rng.randrange(5))} | {some})

    sent = [
        message(prefixes(ipv6 := rng.random() < 0.5), prefixes(ipv6), path=(rng.randrange(1, 4),)) for _ in range(60)
    ]
    bodies = [each.body for each in sent]
    loud, quiet = Bench(words), make(words)
    quiet.pipeline.bus = Bus(quiet.pipeline._on_handler_error)
    expected = [each.body for each in loud.send(*sent)]
    assert [each.body for each in quiet.send(*(Message(UPDATE, body, direction="R") for body in bodies))] == expected
    assert quiet.limit.removed == loud.limit.removed
    assert quiet.limit.routes.count == loud.limit.routes.count
    assert expected != bodies


@pytest.mark.parametrize("words", ["--on-limit kill", "--on-limit restart=15m --origin 3"])
def test_what_ends_the_session_needs_a_limit_of_the_session(words):
    with pytest.raises(ConfigError, match="--session or --total"):
        begin(stage(Feeder), stage(Limit, words))


@pytest.mark.parametrize("text", ["restart", "restart=", "restart=15", "restart=0", "stop", "kill=5m"])
def test_what_happens_at_a_limit_must_be_known(text):
    with pytest.raises(ValueError, match=r"restart=DURATION|duration"):
        parse_on_limit(text)


def test_an_archive_ends_at_its_limit(make):
    bench = make("--session 1 --on-limit kill")
    bench.send(message("10.0.0.0/8 11.0.0.0/8"))
    assert [str(error) for error in bench.pipeline.errors] == ["[2] limit: more than 1 prefixes (session)"]
    assert bench.limit.status()["removed"]["session"] == 1
