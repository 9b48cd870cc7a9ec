"""Edits of blocks: accel makes the same messages as Python, or leaves them; and what is made is well-formed."""

from __future__ import annotations

from functools import cache
from random import Random
from struct import pack

import pytest
from accel_records import attribute, block, join, update
from differential import make_stage, pass_stage
from mutants import make_stream, rare_records, sample_records

from bgpipe import accel
from bgpipe.formats import mrt
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.wiring import attach
from bgpipe.stages import find
from bgpipe.stages.update import Update as UpdateStage
from bgpipe.wire.attribute_edits import AttributeEditor
from bgpipe.wire.block import Block
from bgpipe.wire.errors import TextError
from bgpipe.wire.flags import FLAG_AS4
from bgpipe.wire.message import HEADER, UPDATE, Message
from bgpipe.wire.validation import validate
from cases import all_cases
from random_words import update_words

pytestmark = pytest.mark.skipif(not accel.AVAILABLE, reason=accel.WHY_NOT)


def make_editor(words: list[str]) -> AttributeEditor:
    stage = UpdateStage("update")
    assert stage.scan(words) == []
    pipeline = Pipeline()
    pipeline.add(stage, index=1)
    attach(pipeline)
    return AttributeEditor(stage.edits)


def edited(editor: AttributeEditor, message: Message) -> bytes | None:
    """The body as Python edits it; None if it fits into no message."""
    try:
        return editor.edit(message.body, message.context) if message.type_code == UPDATE else message.body
    except TextError:
        return None


def compare(words: list[str], pieces: list[Block]) -> int:
    """How many messages accel has edited. What it leaves must be what it was."""
    editor, total = make_editor(words), 0
    for piece in pieces:
        messages = list(piece)
        made, left, count = editor.edit_block(piece, range(len(piece)))
        total += count
        passed = set(left)
        assert [message.direction for message in made] == [message.direction for message in messages]
        for position, (old, new) in enumerate(zip(messages, made, strict=True)):
            if position in passed:
                assert new.octets == old.octets
            else:
                assert new.body.hex() == (edited(editor, old) or b"").hex(), (words, old.body.hex())
    return total


@cache
def blocks(kind: str) -> list[Block]:
    octets = {
        "sample": lambda: b"".join(sample_records()),
        "rare": lambda: b"".join(rare_records()),
        "mutants": lambda: make_stream(sample_records(), Random(3), 800) + make_stream(rare_records(), Random(4), 800),
    }[kind]()
    decoder = mrt.MrtDecoder()
    items = [item for part in (decoder.feed(octets), decoder.end()) for item in part]
    return [item for item in items if isinstance(item, Block)]


@all_cases("kind", ["sample", "rare", "mutants"])
def test_accel_edits_as_python_does(kind):
    edits = [update_words(Random(seed))[1:] for seed in range(16)]
    assert sum(compare(words, blocks(kind)) for words in edits) > 1000


def test_archives_are_nearly_all_edited_by_accel():
    words = "--prepend 65000*3 --med 50 --add-com 65000:666 --drop-com 65535:* --add-com-large 1:2:3 --strip-as private"
    editor = make_editor(words.split())
    messages = [message for piece in blocks("sample") for message in piece]
    announcing = sum(message.type_code == UPDATE and bool(message.update.reach) for message in messages)
    assert sum(editor.edit_block(piece, range(len(piece)))[2] for piece in blocks("sample")) > announcing * 0.95


def test_some_positions():
    editor = make_editor(["--med", "7"])
    (piece, *_) = blocks("sample")
    positions = [*range(0, len(piece), 3)]
    made, left, _ = editor.edit_block(piece, positions)
    assert set(left) <= set(positions)
    for position, (old, new) in enumerate(zip(piece, made, strict=True)):
        assert new.body == (edited(editor, old) if position % 3 == 0 and position not in left else old.body)


@all_cases("seed", range(8))
def test_mutants_never_become_worse(seed):
    """A message without an error has none when it is edited, and no message makes an exception."""
    editor = make_editor(update_words(Random(1000 + seed))[1:])
    for piece in blocks("mutants"):
        for message in piece:
            if message.type_code != UPDATE:
                continue
            try:
                bodies = editor.edit_split(message.body, message.context)
            except ValueError:  # no place for one prefix
                continue
            if bodies != [message.body] and not validate(message.update):
                for body in bodies:
                    assert not validate(Message(UPDATE, body, context=message.context).update), message.body.hex()


ORIGIN, HOP = attribute(0x40, 1, "00"), attribute(0x40, 3, "c0000201")
REACH = bytes((8, 10))


def path(*segments: tuple[int, int]) -> bytes:
    """AS_PATH of segments: (type, AS numbers in it)."""
    value = b"".join(pack(">BB", kind, count) + pack(f">{count}I", *range(1, count + 1)) for kind, count in segments)
    return attribute(0x50, 2, value)


@all_cases(
    "message",
    [
        update(ORIGIN, path((2, 255)), HOP, reach=REACH),
        update(ORIGIN, path((2, 253)), HOP, reach=REACH),
        update(ORIGIN, path((2, 100), (2, 100), (1, 3)), HOP, reach=REACH),
        update(ORIGIN, path((1, 3)), HOP, reach=REACH),
        update(ORIGIN, path((3, 3), (2, 1)), HOP, reach=REACH),
        update(ORIGIN, attribute(0x40, 2, ""), HOP, reach=REACH),
        update(ORIGIN, attribute(0x40, 2, "0200"), HOP, reach=REACH),
        update(ORIGIN, attribute(0x40, 2, "020100000001"), reach=REACH),
        update(reach=REACH),
        update(ORIGIN, attribute(0x40, 2, "020100000001"), HOP),
        update(ORIGIN, attribute(0x40, 2, "020100000001"), HOP, HOP, reach=REACH),
        update(ORIGIN, attribute(0x40, 2, "0201000000"), HOP, reach=REACH),
        update(attribute(0xC0, 8, ""), attribute(0xD0, 8 + 8, "0002fde900000001"), HOP, reach=REACH),
        update(attribute(0xC0, 8, "fde80001fde80002ffff0000"), attribute(0xE0, 32, "00" * 12), reach=REACH),
        update(attribute(0xC0, 8, "fde800"), HOP, reach=REACH),
        update(attribute(0x80, 14, "0001800c0000000000000000c000020100"), ORIGIN),
        update(attribute(0x80, 14, "000201102001" + "00" * 14 + "00" + "2020010db8"), ORIGIN),
        update(attribute(0x80, 14, "000201202001" + "00" * 30 + "00" + "2020010db8"), ORIGIN),
        update(attribute(0x80, 14, "000101102001" + "00" * 14 + "00" + "080a"), ORIGIN),
        update(attribute(0x80, 14, "00020104c000020100" + "2020010db8"), ORIGIN),
        update(attribute(0x80, 14, "000201102001" + "00" * 14 + "00"), ORIGIN),
        update(attribute(0x80, 14, "0002"), ORIGIN, reach=REACH),
        update(ORIGIN, attribute(0x40, 2, ""), HOP, attribute(0xD0, 99, bytes(4000)), reach=REACH),
        update(ORIGIN, attribute(0x40, 2, ""), HOP, attribute(0xD0, 99, bytes(4046)), reach=REACH),
    ],
)
def test_what_is_at_the_edge(message):
    piece = join(*(block(message, flags) for flags in (FLAG_AS4, 0)))
    for seed in range(60):
        compare(update_words(Random(seed))[1:], [piece])


def test_what_gets_longer_than_a_message_is_left():
    long = update(ORIGIN, attribute(0x40, 2, ""), HOP, attribute(0xD0, 99, bytes(4096 - HEADER - 24)), reach=REACH)
    assert len(long) == 4096
    piece = block(long, FLAG_AS4)
    assert make_editor(["--med", "1"]).edit_block(piece, [0]) == (piece, [0], 0)


@all_cases("role", ["provider", "peer", "customer"])
def test_only_to_customer_makes_nothing_malformed(role):
    """What had no error has none behind the stage otc, and each announced prefix is announced or withdrawn."""
    stage = make_stage(find("otc")("otc"), ["--role", role])
    for piece in blocks("mutants"):
        for position, message in enumerate(piece):
            if message.type_code != UPDATE or validate(message.update):
                continue
            left = [
                each for item in pass_stage(stage, piece.part(position, position + 1)) for each in messages_of(item)
            ]
            assert not any(validate(each.update) for each in left), message.body.hex()
            seen = {prefix for each in left for prefix in (*each.update.reach, *each.update.withdrawn)}
            assert seen == {*message.update.reach, *message.update.withdrawn}


def messages_of(item: Block | Message) -> list[Message]:
    return [item] if isinstance(item, Message) else list(item)
