"""Blocks: runs of messages with an index."""

from __future__ import annotations

from bgpipe.wire.block import ENTRY, FLAG_AS4, FLAG_RIGHT, NO_PEER, Block
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
