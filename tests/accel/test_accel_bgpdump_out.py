"""Blocks to lines of bgpdump: the same octets as Python writes, of what is common and of what is a little wrong."""

from __future__ import annotations

from random import Random

import pytest
from differential import DATA
from mutants import make_stream, rare_records, real_records, sample_records
from rib_records import rib_records

from bgpipe import accel
from bgpipe.formats import find
from bgpipe.formats.mrt import MrtDecoder
from bgpipe.wire.block import Block
from bgpipe.wire.message import UPDATE
from bgpipe.wire.tags import TagTable

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
SOURCES = {"sample": sample_records, "rare": rare_records, "rib": rib_records, "real": lambda: real_records(DATA)}


def blocks(octets: bytes) -> list[Block]:
    decoder = MrtDecoder()
    return [item for item in (*decoder.feed(octets), *decoder.end()) if isinstance(item, Block)]


def compare(found: list[Block]) -> int:
    """Compares the lines of whole blocks and of their messages one by one; how many messages accel has declined."""
    reports: list[list[object]] = [[], []]
    fast, slow = (find("bgpdump").open_encoder() for _ in range(2))
    declined = 0
    for encoder, reported in ((fast, reports[0]), (slow, reports[1])):
        encoder.on_report = lambda message, error, reported=reported: reported.append((message.octets, str(error)))
    for block in found:
        one_by_one = [slow.encode_message(message) for message in block]
        assert fast.encode(block).split(b"\n") == b"".join(one_by_one).split(b"\n")
        position = 0
        while position < len(block):
            _, position = accel.bgpdump_out.encode(block.octets, block.index, position)
            declined += position < len(block)
            position += 1
    assert reports[0] == reports[1]
    return declined


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_well_formed(name):
    records = SOURCES[name]()
    if not records:
        pytest.skip("no real archives here")
    found = blocks(b"".join(records))
    declined = compare(found)
    if name in ("sample", "rib"):
        assert declined <= sum(map(len, found)) // 4


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SOURCES)
def test_mutants(name, seed):
    records = SOURCES[name]()
    if not records:
        pytest.skip("no real archives here")
    for number in range(8):
        compare(blocks(make_stream(records, Random(f"{seed}/{number}"), 50)))


def test_messages_with_tags_are_for_python():
    (block, *_) = blocks(b"".join(sample_records()))
    first = next(number for number, message in enumerate(block) if message.type_code == UPDATE)
    block = block.part(first, first + 1)
    table = TagTable(block.tags)
    entry = table.enter({"PEER_IP": "2001:db8:0:1:1:1:1:1", "PEER_AS": "7"}, block.message(0).header)
    assert entry is not None
    tagged = block.tagged({0: entry}, table)
    assert accel.bgpdump_out.encode(tagged.octets, tagged.index, 0) == (b"", 0)
    assert b"|2001:db8::1:1:1:1:1|7|" in find("bgpdump").open_encoder().encode(tagged)
