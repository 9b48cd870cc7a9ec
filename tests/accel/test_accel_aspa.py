"""ASPAs in compiled code and in Python: the same verdicts, hops and tags."""

from __future__ import annotations

import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpipe import accel
from bgpipe.rpki.aspa import ROLES, Neighbour, PathValidity, judge_block
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.flags import CONTEXTS
from bgpipe.wire.tags import TagTable
from bgpipe.wire.update import Update

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

SEEDS = st.integers(0, 2**32)
TAGS = (
    {"PEER_AS": "2"},
    {"K": "v", "PEER_AS": "3"},
    {"K": 'x","PEER_AS":"1', "PEER_AS": "2"},
    {'x","PEER_AS': "1"},
    {"PEER_AS": "0"},
    {"PEER_AS": "02"},
    {"PEER_AS": "4294967296"},
    {"PEER_AS": "1 "},
    {"PEER_AS": "٣"},
    {"K": "v"},
    {'W"HO': "1"},
    {"rov/status": "VALID", "PEER_AS": "1"},
    {"aspa/status": "VALID", "aspa/invalid-hop": "1 2", "PEER_AS": "1"},
    {"K": "v" * 65000, "PEER_AS": "1"},
)
"""Tags of messages, some of them with text that looks like another tag."""


def random_aspas(source: random.Random, asns: int) -> dict[int, tuple[int, ...]]:
    customers = source.sample(range(1, asns + 1), source.randint(0, asns))
    return {
        customer: tuple(sorted(set(source.choices(range(asns + 1), k=source.randint(1, 3))))) for customer in customers
    }


def random_path(source: random.Random, asns: int) -> list[object]:
    path: list[object] = []
    for _ in range(source.choice((0, 1, 2, 3, 3, 4, 5, 6, 8))):
        path += [source.randint(1, asns)] * source.choice((1, 1, 1, 2, 3))
    if source.random() < 0.05:
        path.insert(source.randint(0, len(path)), [source.randint(1, asns)])
    if source.random() < 0.03:
        path.append({"confed_sequence": [1]})
    return path


def random_block(source: random.Random, asns: int, count: int) -> Block:
    """UPDATEs of all kinds: with and without per-peer headers, tags, both families, and malformed ones."""
    octets, index, tags = b"", bytearray(), TagTable()
    for number in range(count):
        flags = source.choice((1, 1, 1, 0)) | source.choice((8, 8, 8, 16, 24, 0))
        attrs = {"ORIGIN": "IGP", "ASPATH": random_path(source, asns)}
        if source.random() < 0.03:
            del attrs["ASPATH"]
        if source.random() < 0.05:
            attrs["AS4PATH"] = [2**32 - 1]
        kind = source.random()
        if kind < 0.2:
            family = source.choice(("IPV6/UNICAST", "IPV6/UNICAST", "IPV6/MULTICAST", "IPV4/UNICAST"))
            prefixes = source.choice(([], ["192.0.2.0/24"] if "V4" in family else ["2001:db8::/32"]))
            attrs["MP_REACH"] = {"af": family, "nexthop": "2001:db8::1", "prefixes": prefixes}
        reach = ["192.0.2.0/24"] if kind > 0.1 else []
        body = Update.make(reach=reach, attrs=attrs, next_hop="192.0.2.1", context=CONTEXTS[flags & 3]).body
        message = bytearray(b"\xff" * 16 + (len(body) + 19).to_bytes(2, "big") + b"\2" + body)
        if source.random() < 0.05:
            message[source.randrange(18, len(message))] ^= 1 << source.randrange(8)
        peer, place = NO_PEER, 0
        if source.random() < 0.7:
            peer, wide = len(octets), source.random() < 0.5
            flags |= 4 if wide else 0
            octets += source.choice((0, 1, 2)).to_bytes(4 if wide else 2, "big") + bytes(4 if wide else 2)
            octets += b"\0\0\0\1" + source.randbytes(8)
        if source.random() < 0.3:
            place, own = tags.enter(source.choice(TAGS), None)
            flags |= 512 if own else 0
        index += ENTRY.pack(number, 1, len(octets), peer, len(message), flags, place)
        octets += message
    return Block(octets, index, tags.octets)


def random_neighbours(source: random.Random) -> dict[str, Neighbour]:
    tag = source.choice(("", "", "PEER_AS", "PEER_AS", "K", 'W"HO'))
    directions = source.choice((["R"], ["R", "L"], ["R", "LR", "?"], []))
    return {each: Neighbour(source.choice(ROLES), source.choice((0, 1, 1, 2)), tag) for each in directions}


def outcome(aspas, block: Block, neighbours, first_hop: bool, tag: bool) -> tuple:
    judged = judge_block(Snapshot(aspas=aspas), block, neighbours, first_hop=first_hop, tag=tag)
    said = [list(message.tags.items()) for message in judged.block]
    octets = [message.octets for message in judged.block]
    return judged.invalid, judged.unfit, judged.counts, said, octets, judged.block is block


def compare(aspas, *asked) -> dict:
    compiled = outcome(aspas, *asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "AVAILABLE", False)
        assert compiled == outcome(aspas, *asked)
    return compiled[2]


@given(SEEDS)
@settings(deadline=None)
def test_blocks(seed):
    source = random.Random(seed)
    asked = random_block(source, 6, 12), random_neighbours(source), source.random() < 0.5, source.random() < 0.8
    compare(random_aspas(source, 6), *asked)


@pytest.mark.slow
def test_a_million_tables_and_paths():
    source, counts, judged = random.Random(7), dict.fromkeys(PathValidity, 0), 0
    while judged < 1_000_000:
        asns = source.choice((6, 12, 30))
        block = random_block(source, asns, 500)
        for _ in range(50):
            role = Neighbour(source.choice(ROLES), source.choice((0, 0, 0, 1)))
            found = compare(random_aspas(source, asns), block, dict.fromkeys(("R", "L"), role), False, False)
            judged += sum(found.values())
            counts = {validity: counts[validity] + found[validity] for validity in counts}
    assert min(counts.values()) > 50_000


def test_all_that_is_usual_is_judged_in_compiled_code(monkeypatch):
    source = random.Random(1)
    octets, index = b"\0\0\0\1" + bytes(4) + b"\0\0\0\1" + bytes(8), bytearray()
    for number in range(50):
        path = [1, *(source.randint(2, 6) for _ in range(number % 7))]
        body = Update.make(reach=["192.0.2.0/24"], attrs={"ORIGIN": "IGP", "ASPATH": path}, next_hop="192.0.2.1").body
        message = b"\xff" * 16 + (len(body) + 19).to_bytes(2, "big") + b"\2" + body
        index += ENTRY.pack(number, 1, len(octets), 0, len(message), 8 | 4 | 1, 0)
        octets += message
    snapshot = Snapshot(aspas=random_aspas(source, 6))
    monkeypatch.setattr("bgpipe.rpki.aspa._judge_message", lambda *asked: pytest.fail("declined"))
    judged = judge_block(snapshot, Block(octets, index), {"R": Neighbour("provider", tag="PEER_AS")})
    assert sum(judged.counts.values()) == 50
    again = judge_block(snapshot, Block(octets, index), {"R": Neighbour("peer", 1)}, tag=False)
    assert sum(again.counts.values()) == 50


@pytest.mark.parametrize(
    ("customers", "counts", "providers"),
    [([1], [], [2]), ([1], [0], []), ([1], [2], [2]), ([1, 2], [1, 1], [2]), ([1], [2**32 - 1], [2])],
)
def test_a_table_that_cannot_be(customers, counts, providers):
    columns = (array("I", column).tobytes() for column in (customers, counts, providers))
    with pytest.raises(ValueError, match="expected"):
        accel.aspa.AspaTable(*columns)
