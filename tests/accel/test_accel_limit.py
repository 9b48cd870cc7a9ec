"""Blocks past accel's tables of routes: the same is said of the same prefixes as Python says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

import pytest
from mutants import make_stream, rare_records, sample_records

from bgpipe import accel
from bgpipe.formats import mrt
from bgpipe.routes.prefix_limits import LimitRules, PlainTable, Total, Violation, examine, make_table, make_total
from bgpipe.wire.block import Block
from bgpipe.wire.errors import WireError
from bgpipe.wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_MULTICAST, IPV6_UNICAST
from bgpipe.wire.message import UPDATE, Message
from cases import all_cases

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)

FAMILIES = frozenset((IPV4_UNICAST, IPV6_UNICAST, IPV4_MULTICAST, IPV6_MULTICAST))
RULES = {
    "everything": LimitRules(FAMILIES, minimum=9, maximum=40, session=900, origin=4, block=12),
    "permanent": LimitRules(FAMILIES, session=900, origin=4, block=12, permanent=True),
    "lengths": LimitRules(FAMILIES, minimum=17, maximum=23),
    "ipv6": LimitRules(frozenset((IPV6_UNICAST,)), origin=2, near=False),
    "wide blocks": LimitRules(FAMILIES, block=3, block_bits={1: 0, 2: 0}),
    "total": LimitRules(FAMILIES, total=500, block=2, block_bits={1: 32, 2: 64}),
}
Found = tuple[Message, list[Violation]]


def read(octets: bytes) -> Iterator[Block]:
    """The blocks of an archive; its messages go to either side."""
    decoder = mrt.MrtDecoder()
    number = 0
    for part in (decoder.feed(octets), decoder.end()):
        for item in part:
            if isinstance(item, Block):
                for start in range(0, len(item), 7):
                    piece = item.part(start, start + 7)
                    piece.stamp("RL"[number % 2], 1)
                    number += 1
                    yield piece


def python(message: Message, rules: LimitRules, table: PlainTable) -> list[Violation]:
    try:
        side = 1 if message.direction == "L" else 0
        return examine(message.update, rules, table, side) if message.type_code == UPDATE else []
    except WireError:
        return []


@cache
def pieces(kind: str) -> list[tuple[Block, list[Message]]]:
    """Blocks of an archive, and their messages, which all rules look at."""
    octets = {
        "sample": lambda: b"".join(sample_records()),
        "mutants": lambda: make_stream(sample_records(), Random(1), 450),
        "rare": lambda: make_stream(rare_records(), Random(2), 250),
    }[kind]()
    return [(block, list(block)) for block in read(octets)]


def compare(kind: str, rules: LimitRules) -> tuple[int, int]:
    """Numbers of prefixes something is said of, and of messages that accel declines."""
    plain, fast = PlainTable(rules, Total()), make_table(rules, make_total())
    spoken = declined = 0
    for block, messages in pieces(kind):
        expected = {at: violations for at, each in enumerate(messages) if (violations := python(each, rules, plain))}
        found = {}
        position = 0
        while True:
            position, violations = fast.run(block.octets, block.index, position)
            if position == len(block):
                break
            if violations is None:
                declined += 1
                violations = python(block.message(position), rules, fast)
            if violations:
                found[position] = violations
            position += 1
        assert found == expected
        spoken += sum(map(len, found.values()))
        assert fast.count == plain.count
    return spoken, declined


@all_cases("rules", RULES.values(), ids=RULES)
def test_an_archive(rules):
    spoken, declined = compare("sample", rules)
    assert spoken > 20
    assert declined < 50


@all_cases("rules", RULES.values(), ids=RULES)
def test_mutants(rules):
    spoken, declined = compare("mutants", rules)
    assert spoken
    assert declined
    _, declined = compare("rare", rules)
    assert declined


def test_an_entry_that_leads_out_of_the_octets_is_declined():
    (block, *_) = read(b"".join(sample_records()[:20]))
    table = make_table(RULES["everything"], make_total())
    assert table.run(b"", block.index, 0) == (0, None)


def test_values_that_no_table_has():
    with pytest.raises(ValueError, match="length"):
        make_table(LimitRules(block_bits={1: 33, 2: 32}), make_total())
    table = make_table(RULES["everything"], make_total())
    with pytest.raises(ValueError, match="family"):
        table.announce((1, 0, 0, None), 128, 0, 0)
    with pytest.raises(OverflowError):
        table.announce((1, 1 << 64, 0, None), 1, 0, 0)
