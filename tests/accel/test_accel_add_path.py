"""ADD-PATH for one family alone: blocks say it, and everything that reads them reads both families as they are."""

from __future__ import annotations

import pytest
from accel_records import attribute

from bgpipe import accel
from bgpipe.filters import compile_filter
from bgpipe.formats import json, mrt, raw
from bgpipe.formats.base import EncoderOptions
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.wiring import attach
from bgpipe.stages.limit import Limit
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.context import ALL_FAMILIES, WireContext
from bgpipe.wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_UNICAST
from bgpipe.wire.flags import FLAG_RIGHT, context_flags
from bgpipe.wire.message import UPDATE, Message

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason="no accel")

SETS = [frozenset(each) for each in ([IPV4_UNICAST], [IPV6_UNICAST], [IPV4_UNICAST, IPV6_UNICAST])]
CONTEXTS = [WireContext(as4=as4, add_path=families) for families in SETS for as4 in (True, False)]


def make(context: WireContext) -> list[Message]:
    """UPDATEs with prefixes in all four fields, with path identifiers where the context has them."""
    path_ids = [b"\0\0\0\7" if family in context.add_path else b"" for family in (IPV4_UNICAST, IPV6_UNICAST)]
    v4, more4 = path_ids[0] + bytes.fromhex("180a0001"), path_ids[0] + bytes.fromhex("100b01")
    v6, more6 = path_ids[1] + bytes.fromhex("2020010db8"), path_ids[1] + bytes.fromhex("3020010db80001")
    path = attribute(0x40, 2, "0201 0000fde9" if context.as4 else "0201 fde9")
    common = attribute(0x40, 1, "00") + path + attribute(0x40, 3, "c0000201")
    hop = bytes.fromhex("000201 10 20010db8000000000000000000000001 00")
    reach, unreach = attribute(0x80, 14, hop + v6 + more6), attribute(0x80, 15, b"\0\2\1" + more6)
    messages = []
    for withdrawn, attributes, nlri in (
        (b"", common, v4 + more4),
        (v4, common + reach + unreach, more4),
        (b"", common + reach, b""),
        (v4 + more4, unreach, b""),
    ):
        body = b"".join((len(withdrawn).to_bytes(2, "big"), withdrawn, len(attributes).to_bytes(2, "big"), attributes))
        messages.append(Message(UPDATE, body + nlri, direction="R", seq=len(messages) + 1, time=1, context=context))
    return messages


def make_block(messages: list[Message]) -> Block:
    octets, index = b"", bytearray()
    for message in messages:
        flags = context_flags(message.context)
        assert flags is not None
        index += ENTRY.pack(message.seq, 1, len(octets), NO_PEER, len(message.octets), flags | FLAG_RIGHT, 0)
        octets += message.octets
    return Block(octets, index)


@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_blocks_and_messages_say_the_same(context):
    messages = make(context)
    whole = make_block(messages)
    assert [message.context for message in whole] == [context] * 4
    assert [message.update.reach for message in whole] == [message.update.reach for message in messages]
    assert all(not message.update.errors for message in messages)
    for formats in (json, mrt, raw):
        encoder = formats.FORMAT.open_encoder(EncoderOptions(lambda *_: None))  # MRT has no form for some
        assert encoder.encode(whole) == b"".join(map(encoder.encode, messages))
    _, declined = accel.json_out.encode(whole.octets, whole.index, 0)
    assert declined == 4


@pytest.mark.parametrize("context", CONTEXTS, ids=str)
@pytest.mark.parametrize("text", ["prefix == 10.0.1.0/24", "prefix == 2001:db8::/32", "unreach == 11.1.0.0/16", "ipv6"])
def test_filters(context, text):
    messages = make(context)
    wanted = compile_filter(text)
    assert [message.seq for message in wanted.select(make_block(messages), True)] == [
        message.seq for message in messages if wanted(message)
    ]
    narrowed = [(message.seq, message.body) for message in wanted.narrow(make_block(messages), True)]
    alone = [(message.seq, wanted.narrow_message(message, True)) for message in messages]
    assert narrowed == [(seq, body) for seq, body in alone if body is not None]


@pytest.mark.parametrize("context", CONTEXTS, ids=str)
@pytest.mark.parametrize("words", ["--max-length 20", "--session 2", "--min-length 30"])
def test_limits(context, words):
    left = []
    for together in (True, False):
        limit = Limit("limit")
        assert limit.scan(["-46", *words.split()]) == []
        pipeline = Pipeline()
        pipeline.add(limit, index=1)
        attach(pipeline)
        messages = make(context)
        kept = (
            limit.on_block(make_block(messages)) if together else [each for each in messages if limit.on_message(each)]
        )
        left.append(([each.body for each in kept], limit.removed, limit.routes.count))
    assert left[0] == left[1]


def test_what_the_flags_can_not_say():
    assert context_flags(WireContext(add_path=frozenset([IPV4_MULTICAST]))) is None
    flags = [context_flags(WireContext(add_path=families)) for families in (*SETS, ALL_FAMILIES, frozenset())]
    assert len(set(flags)) == 5
