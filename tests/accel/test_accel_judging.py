"""Stages that judge routes, with the compiled part and without: the same messages, numbers, tags, events, counters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpki_records import judge_again, keep_routes
from test_accel_vrps import random_block, random_records

from bgpipe import accel
from bgpipe.formats.json import JsonEncoder
from bgpipe.formats.mrt import MrtEncoder
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.wiring import attach
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import merge_records
from bgpipe.stages.aspa import Aspa
from bgpipe.stages.otc import Otc
from bgpipe.stages.rov import Rov
from bgpipe.wire.block import ENTRY, FLAGS, NO_PEER, TAGS, Block
from bgpipe.wire.flags import FLAG_OWN_PEER
from bgpipe.wire.message import Message
from bgpipe.wire.tags import TagTable
from bgpipe.wire.update import Update

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

SEEDS = st.integers(0, 2**32)
ACTIONS = ["withdraw", "filter", "drop", "split", "keep"]
MARKS = "valid=65000:1,not_found=65000:2,invalid=65000:0:3"


class Run:
    """What a stage makes of blocks. heard: whether somebody hears its events."""

    def __init__(self, kind: type, words: list[str], snapshot: Snapshot, heard: bool) -> None:
        self.stage = kind(kind.__name__.lower())
        assert self.stage.scan(words) == []
        self.pipeline = Pipeline()
        self.pipeline.add(self.stage, index=1)
        attach(self.pipeline)
        self.pipeline.shared.rpki.replace(snapshot)
        self.pipeline.lines["R"].next_seq = 1000
        self.heard: list[object] = []
        name = f"{self.stage.name}/BAD"
        if heard:
            self.pipeline.bus.on([name], lambda event: self.heard.append(self.said(event.message)))
        self.name = name
        self.items = 0

    @staticmethod
    def said(message: Message) -> tuple[object, ...]:
        tags = list(message.tags.items())
        return message.octets, message.seq, message.time, message.direction, tags, str(message.context)

    def send(self, block: Block) -> list[object]:
        left = self.stage.on_block(block)
        items = left if isinstance(left, list) else [left]
        self.items = len(items)
        messages = [message for item in items for message in ([item] if isinstance(item, Message) else list(item))]
        formats = [b"".join(encoder.encode(item) for item in items) for encoder in (JsonEncoder(), MrtEncoder())]
        said: list[object] = [self.said(message) for message in messages]
        return said + formats


def outcome(kind: type, words: list[str], snapshot: Snapshot, blocks: list[Block], heard: bool) -> tuple[object, ...]:
    run = Run(kind, words, snapshot, heard)
    left = [run.send(block) for block in blocks]
    status = run.stage.status()["metrics"]
    return left, status, run.heard, run.pipeline.events[run.name], run.pipeline.lines["R"].next_seq


def both(*arguments) -> tuple[object, ...]:
    """What comes of both, which must be the same."""
    compiled = outcome(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        plain = outcome(*arguments)
    for one, other in zip(compiled[0], plain[0], strict=True):
        assert one == other
    assert compiled[1:] == plain[1:]
    return compiled


def random_blocks(source: random.Random, records: dict[int, bytes]) -> list[Block]:
    return [with_tags(source, random_block(source, records, 8)) for _ in range(2)]


def with_tags(source: random.Random, block: Block) -> Block:
    """The block with other tags for some messages, beside what their per-peer headers say, or instead of it."""
    block.stamp("R", 1, 5)
    TAGS.fill(block.index, 0)
    table, entries = TagTable(), {}
    for position, message in enumerate(block):
        FLAGS.of(block.index)[position] &= ~FLAG_OWN_PEER
        if source.random() < 0.3:
            more = source.choice(({"K": "v"}, {"K": "2"}, {"PEER_AS": "2"}, {"rov/status": "VALID"}, {"otc/x": "y"}))
            tags = message.tags if source.random() < 0.5 else {}
            entry = table.enter({**tags, **more}, message.header)
            assert entry is not None
            entries[position] = entry
    return block.tagged(entries, table)


def random_tables(source: random.Random) -> dict[int, bytes]:
    return {afi: merge_records(afi, b"", random_records(source, afi, 20), b"\1" * 20).records for afi in (1, 2)}


@given(SEEDS, st.sampled_from(ACTIONS), st.booleans())
@settings(deadline=None)
def test_rov(seed, action, heard):
    source = random.Random(seed)
    records = random_tables(source)
    more = [["--strict"], ["--blackhole"], ["--tag=false"], ["--event", "BAD"], ["--add-com", MARKS]]
    words = ["--invalid", action, *(word for each in source.sample(more, source.randrange(4)) for word in each)]
    both(Rov, words, Snapshot(records[1], records[2]), random_blocks(source, records), heard)


@given(SEEDS, st.sampled_from(["withdraw", "drop", "keep"]), st.booleans())
@settings(deadline=None)
def test_aspa(seed, action, heard):
    source = random.Random(seed)
    more = [["--first-hop=false"], ["--tag=false"], ["--event", "BAD"], ["--peer-tag", "PEER_AS"]]
    words = [word for each in source.sample(more, source.randrange(4)) for word in each]
    words += ["--invalid", action, "--role", source.choice(("provider", "customer", "rs"))]
    snapshot = Snapshot.of(aspas={1: [2], 2: [3, 2**32 - 1], 2**32 - 1: [0]})
    both(Aspa, words, snapshot, random_blocks(source, random_tables(source)), heard)


@given(SEEDS, st.sampled_from(["withdraw", "drop", "keep"]), st.booleans())
@settings(deadline=None)
def test_otc(seed, action, heard):
    source = random.Random(seed)
    words = ["--role", source.choice(("provider", "customer", "peer", "rs", "rs-client")), "--invalid", action]
    more = [["--tag=false"], ["--event", "BAD"], ["--peer-tag", "K"]]
    words += [word for each in source.sample(more, source.randrange(3)) for word in each]
    both(Otc, words, Snapshot(), with_otc(source, random_blocks(source, random_tables(source))), heard)


def with_otc(source: random.Random, blocks: list[Block]) -> list[Block]:
    """Blocks in which some UPDATEs have ONLY_TO_CUSTOMER, a few of them a malformed one."""
    made = []
    for block in blocks:
        bodies = {}
        for position, message in enumerate(block):
            if message.type_code != 2 or source.random() < 0.4:
                continue
            value = source.choice((0, 1, 1, 2, 2, 3)).to_bytes(4, "big")[source.random() < 0.1 :]
            withdrawn = int.from_bytes(message.body[:2], "big") + 2
            size = int.from_bytes(message.body[withdrawn : withdrawn + 2], "big")
            attribute = b"\xc0\x23" + bytes((len(value),)) + value
            head, rest = message.body[:withdrawn], message.body[withdrawn + 2 :]
            bodies[position] = head + (size + len(attribute)).to_bytes(2, "big") + attribute + rest
        made.append(block.edited(bodies))
    return made


def keep(kind: type, words: list[str], snapshots: list[Snapshot], blocks: list[Block]) -> tuple[object, ...]:
    """What leaves a stage that keeps routes, and what it thinks of them after each change."""
    run = Run(kind, words, snapshots[0], False)
    kept = keep_routes(run.stage, sticky="drop" in words or "filter" in words)
    left = [run.send(block) for block in blocks]
    thought = [kept.routes()]
    for snapshot in snapshots[1:]:
        judge_again(run.stage, snapshot)
        thought.append(kept.routes())
    return left, thought, run.stage.counts


@given(SEEDS, st.sampled_from(ACTIONS))
@settings(deadline=None)
def test_routes_of_rov_that_are_kept(seed, action):
    source = random.Random(seed)
    tables = [random_tables(source) for _ in range(2)]
    more = [["--strict"], ["--blackhole"], ["--tag=false"], ["--add-com", MARKS]]
    words = ["-R", "--invalid", action]
    words += [word for each in source.sample(more, source.randrange(4)) for word in each]
    same_when_kept(Rov, words, [Snapshot(each[1], each[2]) for each in tables], random_blocks(source, tables[0]))


@given(SEEDS, st.sampled_from(["withdraw", "drop", "keep"]))
@settings(deadline=None)
def test_routes_of_aspa_that_are_kept(seed, action):
    source = random.Random(seed)
    more = [["--first-hop=false"], ["--tag=false"], ["--peer-tag", "PEER_AS"]]
    words = ["-R", "--invalid", action, "--role", source.choice(("provider", "customer", "rs"))]
    words += [word for each in source.sample(more, source.randrange(3)) for word in each]
    aspas = [{1: [2], 2: [3, 2**32 - 1], 2**32 - 1: [0]}, {}, {1: [0], 2: [1]}, {2: [7]}]
    snapshots = [Snapshot.of(aspas=each) for each in source.sample(aspas, 3)]
    same_when_kept(Aspa, words, snapshots, random_blocks(source, random_tables(source)))


def same_when_kept(*arguments) -> None:
    compiled = keep(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        plain = keep(*arguments)
    assert compiled[1:] == plain[1:]
    assert compiled[0] == plain[0]


def usual_block(count: int, asn: int = 2, **attrs: object) -> Block:
    """UPDATEs that compiled code takes: with one VALID and one INVALID route each, by VRPS."""
    octets, index = b"", bytearray()
    for number in range(count):
        settings = {"ORIGIN": "IGP", "ASPATH": [asn, 1]} | attrs
        reach = [f"192.0.{number}.0/24", f"198.51.{number}.0/24", f"203.0.{number}.0/24"]
        octets_of = Message(2, Update.make(reach=reach, attrs=settings, next_hop="192.0.2.1").body).octets
        index += ENTRY.pack(number + 1, 1, len(octets), NO_PEER, len(octets_of), 9, 0)
        octets += octets_of
    return Block(octets, index)


VRPS = Snapshot(b"\xc0\0\0\0\x10\x18\0\0\0\1" + b"\xc6\x33\0\0\x10\x18\0\0\0\2", b"", {1: (9,), 2: (9,)})
USUAL = [
    *[
        (Rov, f"--invalid {action}{event}{marks}")
        for action in ACTIONS
        for event in ("", " --event BAD")
        for marks in ("", f" --add-com {MARKS}", " --add-com rfc8097", " --blackhole")
    ],
    *[(Aspa, f"--role customer --invalid {action} --event BAD") for action in ("withdraw", "drop", "keep")],
    *[(Otc, f"-R --role customer --invalid {action} --event BAD") for action in ("withdraw", "drop", "keep")],
]


@pytest.mark.parametrize(("kind", "words"), USUAL, ids=[f"{kind.__name__} {words}" for kind, words in USUAL])
def test_usual_blocks_are_not_opened(kind, words, monkeypatch):
    """Whoever judges the usual UPDATE does so in compiled code: the block stays one, and no message of it is made."""
    block = usual_block(40, OTC=7) if kind is Otc else usual_block(40)
    both(kind, words.split(), VRPS, [block, block], True)
    run = Run(kind, words.split(), VRPS, False)
    run.send(block)  # the first leak is told in words
    opened: list[int] = []
    plain = kind._handle
    monkeypatch.setattr(kind, "_handle", lambda self, *args, **more: opened.append(1) or plain(self, *args, **more))
    run.send(block)
    assert (run.items, opened) == (1, [])
