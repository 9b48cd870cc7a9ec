"""Blocks selected by accel, against the closures of the same filters, message by message."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from random import Random

import pytest
from accel_records import KEEPALIVE, OPEN, attribute, block, join, message, update
from differential import DATA, file_cases, give_tags
from mutants import make_stream, rare_records, sample_records
from select_filters import CONDITIONS, random_filter

from bgpipe import accel
from bgpipe.filters import Filter, compile_filter
from bgpipe.filters import filter as filter_module
from bgpipe.filters.program import HEADER, STEP
from bgpipe.formats import mrt
from bgpipe.wire.block import ENTRY, NO_PEER, TAGS, Block
from bgpipe.wire.flags import FLAG_ADD_PATH, FLAG_AS4, FLAG_LEFT, FLAG_RIGHT
from bgpipe.wire.message import Message

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)
ARCHIVES = sorted(DATA.glob("updates.*.bz2"))
RANDOM_FILTERS = 60
BREATH = 500
"""Messages of an archive that are looked at."""


def blocks_of(octets: bytes) -> list[Block]:
    decoder = mrt.MrtDecoder()
    return [item for part in (decoder.feed(octets), decoder.end()) for item in part if isinstance(item, Block)]


def joined(blocks: list[Block], step: int = 1) -> Block:
    """One block of every `step`th message, without the longest: in all directions, and with numbers."""
    octets, index = bytearray(), bytearray()
    entries = [(each.octets, entry) for each in blocks for entry in ENTRY.iter_unpack(bytes(each.index))]
    for number, (source, (_, time, offset, peer, length, flags, spare)) in enumerate(entries[::step]):
        start = min(peer, offset)  # the per-peer header stands before its message
        flags = flags & ~(FLAG_LEFT | FLAG_RIGHT) | (0, FLAG_LEFT, FLAG_RIGHT, FLAG_LEFT | FLAG_RIGHT)[number % 4]
        if length < 1000:  # Python has much to do with long ones
            place = peer if peer == NO_PEER else len(octets)
            index += ENTRY.pack(number % 50, time, len(octets) + offset - start, place, length, flags, spare)
            octets += source[start : offset + length]
    return Block(bytes(octets), index)


@lru_cache
def made_up(kind: str) -> Block:
    """A block of good records, of rare ones, or of mutants."""
    if kind == "sample":
        return joined(blocks_of(b"".join(sample_records()[:600])))
    if kind == "rare":
        return joined(blocks_of(b"".join(rare_records())))
    return joined(blocks_of(make_stream(sample_records()[:300] + rare_records(), Random(kind), 400)))


def agree(filter: Filter, whole: Block, messages: Sequence[Message] = ()) -> None:
    """Accel keeps and drops what the closure says, in order, and nothing gets lost. messages: those of the block, where
    many filters look at them."""
    entries = [bytes(whole.index[start : start + ENTRY.size]) for start in range(0, len(whole.index), ENTRY.size)]
    answers = [filter(one) for one in messages or whole]
    for keep in (True, False):
        selected = filter.select(whole, keep)
        wanted = [entry for entry, answer in zip(entries, answers, strict=True) if answer is keep]
        assert bytes(selected.index) == b"".join(wanted), (filter.text, keep)
        assert selected.octets is whole.octets


@pytest.mark.parametrize("kind", ["sample", "rare", pytest.param("mutants 1", marks=pytest.mark.slow)])
def test_every_condition(kind):
    whole = made_up(kind)
    some = joined([whole], len(whole) // 50)
    messages = list(some)
    for text in CONDITIONS:
        agree(compile_filter(text), some, messages)


@pytest.mark.parametrize("kind", ["sample", "rare", "mutants 1", pytest.param("mutants 2", marks=pytest.mark.slow)])
def test_random_filters(kind):
    rng = Random(kind)
    whole = made_up(kind).part(0, 200)
    messages = list(whole)
    for _ in range(RANDOM_FILTERS):
        agree(compile_filter(random_filter(rng)), whole, messages)


@pytest.mark.parametrize("kind", ["sample", "rare", "mutants 1"])
def test_tags(kind):
    whole = give_tags(made_up(kind).part(0, 150))
    assert isinstance(whole, Block)
    index = bytearray(whole.index)
    TAGS.of(index)[::3] = memoryview(array("I", bytes(4 * len(TAGS.of(index)[::3]))))  # those of their peers
    mixed = whole.with_index(index)
    rng = Random(kind)
    texts = [text for text in CONDITIONS if text.startswith("tag")]
    both = [f"{first} {rng.choice(('&&', '||'))} {rng.choice(CONDITIONS)}" for first in texts]
    for text in (*texts, *both, "tag[n] == 3 || tag[n] == 4", "! tag[n] == 1"):
        filter = compile_filter(text)
        agree(filter, whole)
        agree(filter, mixed)


def test_a_tag_is_asked_about_once_for_each_text():
    whole = give_tags(made_up("sample").part(0, 300))
    assert isinstance(whole, Block)
    asked = []
    filter = compile_filter("tag[n] ~ 3")
    ((key, test),) = filter._tag_tests
    filter._tag_tests = [(key, lambda value: asked.append(value) or test(value))]
    kept = filter.select(whole)
    assert len(asked) <= len(set(TAGS.of(whole.index))) < len(whole)
    assert [message.tags["n"] for message in kept] == ["3"] * len(kept) != []


@pytest.mark.parametrize("kind", ["sample", "rare", "mutants 1"])
def test_selecting_gives_the_verdicts_of_a_pass_before_it(kind):
    rng = Random(kind)
    parts = [made_up(kind).part(start, start + 5) for start in range(0, 200, 5)]
    for part in (*parts, made_up(kind)):
        filter, keep = compile_filter(random_filter(rng) if rng.random() < 0.8 else "json[x] == 1"), rng.random() < 0.5
        index = bytearray(part.index)
        in_doubt = accel.frame.check(part.octets, index)
        before = bytes(part.index)
        found = filter.select_checked(part, keep)
        assert bytes(part.index) == before  # others may have seen it
        if in_doubt or filter.program is None:
            assert found is None
        else:
            assert found is not None
            assert found.index == filter.select(part.with_index(index), keep).index


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_archives(path):
    rng = Random(path.name)
    blocks = blocks_of(next(file_cases(path, 2_000_000)))
    if not blocks:
        pytest.skip("no BGP4MP messages in it")
    whole = max(blocks, key=len)
    whole = whole.part(start := rng.randrange(max(1, len(whole) - BREATH)), start + BREATH)
    messages = list(whole)
    for text in rng.sample(CONDITIONS, 60):
        agree(compile_filter(text), whole, messages)


def test_common_messages_and_filters_need_no_python():
    whole = made_up("sample")
    undecided = 0
    asking = ("tag", "json", "attr", "ext_com ~", "time ~", "(?i)", ".{20}", "large_com ~ '(?i)")
    for text in CONDITIONS:
        if not any(mark in text for mark in asking):
            program = compile_filter(text).program
            assert program, text
            _, declined = accel.select.select(whole.octets, whole.index, program, True)
            undecided += len(declined)
    assert undecided < 0.05 * len(CONDITIONS) * len(whole)  # paths that AS4_PATH belongs to


def test_what_the_kernel_did_not_judge_is_told():
    good = block(update(attribute(0x80, 4, "00000005")))
    needs_check = block(update(attribute(0x80, 4, "000005")))
    keepalive, opening = block(message(b"", KEEPALIVE)), block(message(bytes(10), OPEN))
    whole = join(good, needs_check, keepalive, needs_check, opening)
    select = accel.select.select
    program = compile_filter("med == 5").program
    index, declined = select(whole.octets, whole.index, program, True)
    assert (len(index) // ENTRY.size, declined) == (3, [1, 2])
    index, declined = select(whole.octets, whole.index, program, False)
    assert (len(index) // ENTRY.size, declined) == (4, [0, 2])
    index, declined = select(whole.octets, whole.index, compile_filter("update").program, True)
    assert (len(index) // ENTRY.size, declined) == (3, [])
    assert select(b"", b"", program, True) == (bytearray(), [])


def test_python_sees_only_what_the_kernel_could_not_settle():
    whole = join(
        *(block(update(attribute(0x80, 4, "00000005"), reach=bytes((8, number)))) for number in range(100)),
    )
    filter = compile_filter("json[attrs.MED.value] == 5 && prefix == 10.0.0.0/8")
    index, declined = accel.select.select(whole.octets, whole.index, filter.program, True)
    assert (len(index) // ENTRY.size, declined) == (1, [0])
    assert len(filter.select(whole)) == 1
    filter = compile_filter("json[attrs.MED.value] == 5 || prefix > 0.0.0.0/32")
    index, declined = accel.select.select(whole.octets, whole.index, filter.program, True)
    assert (len(index) // ENTRY.size, len(declined)) == (100, 99)


def test_many_prefixes():
    whole = join(block(update(reach=b"\x18\x0a\0\0" * 900)), block(update(reach=b"\x18\x0a\0\0" * 900 + b"\x08\x0b")))
    for text in ("reach[*] == 10.0.0.0/24", "reach == 10.0.0.0/24", "prefix ~ 11.0.0.0/8", "prefix[*] < 10.0.0.0/8"):
        agree(compile_filter(text), whole)
    assert len(compile_filter("reach[*] == 10.0.0.0/24").select(whole)) == 1


@pytest.mark.parametrize(("flags", "path"), [(FLAG_AS4, "0202 0000fde9 00001b1b"), (0, "0202 fde9 1b1b")])
def test_both_widths_of_as_numbers(flags, path):
    whole = block(update(attribute(0x40, 2, path)), flags)
    agree(compile_filter("aspath == 65001,6939"), whole)
    assert len(compile_filter("aspath == 65001,6939 && as_origin == 6939 && aspath_len == 2").select(whole)) == 1


def test_path_identifiers_are_skipped():
    whole = block(update(reach=bytes.fromhex("00000007 080a 00000008 10c0a8")), FLAG_AS4 | FLAG_ADD_PATH)
    assert len(compile_filter("reach == 10.0.0.0/8 && reach == 192.168.0.0/16").select(whole)) == 1
    assert len(compile_filter("reach[*] < 0.0.0.0/0").select(whole)) == 1


def test_without_the_kernel_it_is_the_same(monkeypatch):
    whole = made_up("rare")
    texts = ("prefix ~ 192.0.0.0/8", "aspath ~ 65001 && !med", "keepalive || tag[PEER_AS] == 65001")
    with_accel = [compile_filter(text).select(whole).index for text in texts]
    monkeypatch.setattr(filter_module, "_select", None)
    assert [compile_filter(text).select(whole).index for text in texts] == with_accel


def test_programs_that_are_not_ours_are_refused():
    select = accel.select.select
    whole = block(update())
    program = compile_filter("aspath ~ ,1, && med == 5").program
    select(whole.octets, whole.index, program, True)
    steps = HEADER.size + 2 * STEP.size
    for broken in (
        b"",
        program[: steps - 1],
        program[:-1],
        b"\xff\xff" + program[2:],
        program[:2] + b"\x02\0" + program[4:],
        program[: HEADER.size + 4] + b"\0\0" + program[HEADER.size + 6 :],
        program[: HEADER.size + 12] + b"\x81\0\0\0" + program[HEADER.size + 16 :],
        program[: HEADER.size + 16] + b"\xff\xff\xff\xff" + program[HEADER.size + 20 :],
        program[: HEADER.size + 20] + b"\x11\0\0\0" + program[HEADER.size + 24 :],
        program[:steps] + b"\xff" + program[steps + 1 :],
    ):
        with pytest.raises(ValueError, match="not a filter program"):
            select(whole.octets, whole.index, broken, True)
