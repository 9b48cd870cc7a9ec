"""500 cuts, flips and insertions in a stream of 10,000 messages: of those that are whole, hardly one is lost."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import pytest
from test_formats_mrt_damage import cut_out, flip, put_in, update

from bgpipe.formats import find
from bgpipe.formats.base import DecoderOptions
from bgpipe.wire.block import Block
from bgpipe.wire.context import AS4
from bgpipe.wire.message import UPDATE, Message


@cache
def stream(name: str) -> list[tuple[bytes, bytes]]:
    """Body and octets of each message."""
    rng, encoder, made = random.Random(6396), find(name).open_encoder(), []
    for number in range(10_000):
        tags = {"PEER_IP": f"192.0.2.{number % 9}", "PEER_AS": "65001"}
        body = update(rng)
        message = Message(UPDATE, body, time=(1_700_000_000 + number) * 1_000_000, context=AS4, tags=tags)
        made.append((body, encoder.encode(message)))
    return made


def decoded(name: str, octets: bytes, size: int = 1 << 16) -> tuple[Counter[bytes], list[str]]:
    damage: list[str] = []
    decoder = find(name).open_decoder(DecoderOptions(on_damage=lambda each: damage.append(str(each))))
    items = [item for pos in range(0, len(octets), size) for item in decoder.feed(octets[pos : pos + size])]
    items += decoder.end()
    bodies = Counter(message.body for item in items for message in (item if isinstance(item, Block) else [item]))
    return bodies, damage


@pytest.mark.parametrize("ways", [(flip,), (cut_out,), (put_in,), (flip, cut_out, put_in)])
@pytest.mark.parametrize("name", ["raw", "bmp", "obmp"])
def test_what_is_whole_comes_back(name, ways):
    rng = random.Random(7854)
    pieces, whole = [], Counter()
    hit = set(rng.sample(range(10_000), 500))
    for number, (body, octets) in enumerate(stream(name)):
        patched = bytearray(octets)
        if number in hit:
            rng.choice(ways)(rng, patched, rng.randrange(len(octets)))
        else:
            whole[body] += 1
        pieces.append(bytes(patched))
    found, damage = decoded(name, b"".join(pieces))
    assert (whole - found).total() <= 0.01 * 9500
    assert found.total() <= 10_000 + 50  # nothing is read twice
    assert 50 <= len(damage) <= 600
