"""Blocks: runs of messages with an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgpipe.wire.block import ENTRY, FLAGS, LENGTH, NO_PEER, OFFSET, PEER, SEQ, TIME, Block
from bgpipe.wire.flags import FLAG_AS4, FLAG_RIGHT
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message


def make_block(*messages: Message) -> Block:
    octets, index = b"", bytearray()
    for number, message in enumerate(messages, 1):
        index += ENTRY.pack(number, 7, len(octets), NO_PEER, len(message.octets), FLAG_AS4 | FLAG_RIGHT, 0)
        octets += message.octets
    return Block(octets, index)


def listed(block: Block) -> list[tuple[int, int, bytes]]:
    return [(message.seq, message.type_code, message.body) for message in block]


def test_edited():
    bodies = [bytes(4), bytes(5), bytes(6)]
    block = make_block(*(Message(UPDATE, body) for body in bodies), Message(KEEPALIVE))
    before = listed(block)
    edited = block.edited({0: b"another body", 2: None})
    assert listed(edited) == [(1, UPDATE, b"another body"), (2, UPDATE, bodies[1]), (4, KEEPALIVE, b"")]
    assert listed(block) == before
    assert edited.message(0).time == 7
    assert edited.message(0).direction == "R"


def test_edited_again_and_emptied():
    block = make_block(Message(UPDATE, bytes(4)), Message(UPDATE, bytes(5)))
    again = block.edited({1: b"one"}).edited({1: b"two"})
    assert listed(again) == [(1, UPDATE, bytes(4)), (2, UPDATE, b"two")]
    assert len(again.edited({0: None, 1: None})) == 0
    assert listed(block.edited({})) == listed(block)


def test_columns_are_the_fields_of_an_entry():
    entries = [(1, -2, 3, 4, 5, 6, 0), (1 << 40, 1 << 50, 7, NO_PEER, 0xFFFF, 0x8001, 0)]
    index = bytearray(b"".join(ENTRY.pack(*entry) for entry in entries))
    for place, column in enumerate((SEQ, TIME, OFFSET, PEER, LENGTH, FLAGS)):
        assert column.of(index).tolist() == [entry[place] for entry in entries]


@pytest.mark.parametrize("column", [SEQ, TIME, OFFSET, PEER, LENGTH, FLAGS])
def test_a_column_is_filled_and_nothing_else(column):
    index = bytearray(range(1, 97))
    before = [list(each) for each in ENTRY.iter_unpack(index)]
    column.fill(index, 9)
    place = (SEQ, TIME, OFFSET, PEER, LENGTH, FLAGS).index(column)
    for each in before:
        each[place] = 9
    assert [list(each) for each in ENTRY.iter_unpack(index)] == before


def test_without():
    block = make_block(*(Message(UPDATE, bytes(4 + size)) for size in range(5)))
    assert [message.seq for message in block.without([0, 2, 4])] == [2, 4]
    assert [message.seq for message in block.without([])] == [1, 2, 3, 4, 5]
    assert len(block.without(range(5))) == 0


def test_the_layout_is_known_in_one_place_of_python():
    """Other modules name the columns; `memoryview.cast` and struct sizes are the business of wire/block.py."""
    source = Path(__file__).resolve().parents[2] / "src" / "bgpipe"
    found = [
        path.name for path in source.rglob("*.py") if ".cast(" in path.read_text() or "ENTRY.s" in path.read_text()
    ]
    assert found == ["block.py"]
