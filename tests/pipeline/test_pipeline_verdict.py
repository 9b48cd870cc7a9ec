"""Malformed messages are told once, of blocks and of single messages alike, before the first stage that decodes."""

from __future__ import annotations

from typing import Any

import pytest

from bgpipe.pipeline.lifecycle import StageKind
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.stage import Consuming
from bgpipe.stages.grep import Grep
from bgpipe.wire.block import FLAGS, Block
from bgpipe.wire.flags import FLAG_CHECKED, FLAG_MALFORMED, FLAG_TOLD
from bgpipe.wire.message import OPEN, UPDATE, Message
from bgpipe.wire.update import Update
from playbook import Feeder, Looker, begin, block, feed, keepalive, stage

GOOD = bytes.fromhex("0000 0014 40010100 4002060201 0000fde9 400304c0000201 18cb0071".replace(" ", ""))
LOOPBACK = bytes.fromhex("0000 0014 40010100 4002060201 0000fde9 4003047f000001 18cb0071".replace(" ", ""))
NO_NEXT_HOP = bytes.fromhex("0000 000d 40010100 4002060201 0000fde9 18cb0071".replace(" ", ""))
CUT = bytes.fromhex("0000000440010105")
BODIES = (GOOD, LOOPBACK, GOOD, NO_NEXT_HOP, CUT, GOOD)
"""the second and the fifth are malformed; that an attribute is missing is not for a pipeline to judge"""


class Copier(Consuming):
    """Copies octets, decodes nothing; and keeps what it has seen."""

    both = True

    def attach(self) -> None:
        self.seen: list[Any] = []
        self.watch(self.seen.append, on_block=self.on_block, passive=True, decodes=False)

    def on_block(self, block: Block) -> Block:
        self.seen.append(block)
        return block


class Editor(Consuming):
    """Gives every UPDATE the body that the test has chosen."""

    body = GOOD

    def attach(self) -> None:
        self.watch(self.on_message, on_block=self.on_block)

    def on_message(self, message: Message) -> None:
        message.update = Update(self.body, message.context)

    def on_block(self, block: Block) -> Block:
        return block.edited(dict.fromkeys(range(len(block)), self.body))


class Returner(Feeder):
    """Has messages before it gives them back."""

    kind = StageKind.TRANSFORMER  # type: ignore[assignment]


class Opener(Consuming):
    """Is called for OPENs only."""

    def attach(self) -> None:
        self.watch(lambda message: True, types=[OPEN])


def grep(text: str) -> Grep:
    return Grep("grep", [text])


def items(together: bool, bodies: tuple[bytes, ...] = BODIES) -> list[Message | Block]:
    messages = [Message(UPDATE, body, time=1) for body in bodies]
    return [block(*messages)] if together else list(messages)


def told(pipeline: Pipeline) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    pipeline.bus.on(["bgpfix/pipe.PARSE"], lambda event: found.append((event.direction, event.message.seq)) and False)
    return found


def together_or_not(test: Any) -> Any:
    return pytest.mark.parametrize("together", [True, False], ids=["block", "messages"])(test)


@together_or_not
@pytest.mark.parametrize(
    "words",
    ["", "--if ipv6", "--rate-sample 1", "--blocks", "--blocks --if ipv6"],
)
def test_all_that_reaches_the_first_stage_that_decodes(together, words):
    source, looker = stage(Feeder), stage(Looker, words)
    pipeline = begin(source, stage(Copier), looker)
    found = told(pipeline)
    feed(source.inlet, *items(together))
    assert found == [("R", 2), ("R", 5)]
    assert pipeline.malformed_messages == 2


@together_or_not
@pytest.mark.parametrize("make", [lambda: grep("ipv6"), lambda: stage(Opener)], ids=["grep", "types"])
def test_told_before_a_stage_chooses(together, make):
    source = stage(Feeder)
    pipeline = begin(source, make())
    found = told(pipeline)
    feed(source.inlet, *items(together))
    assert found == [("R", 2), ("R", 5)]


@together_or_not
def test_where_nobody_decodes_nothing_is_told(together):
    source = stage(Feeder)
    pipeline = begin(source, stage(Copier))
    feed(source.inlet, *items(together))
    assert pipeline.malformed_messages == 0


@together_or_not
@pytest.mark.parametrize(("body", "count"), [(GOOD, 2), (CUT, 6)])
def test_what_a_stage_has_edited_is_judged_again_and_told_once(together, body, count):
    source, editor = stage(Feeder), stage(Editor)
    editor.body = body
    pipeline = begin(source, editor, stage(Looker), stage(Looker, "--blocks", "second"))
    feed(source.inlet, *items(together))
    assert pipeline.malformed_messages == count


@together_or_not
def test_numbers_that_come_twice_are_of_two_messages(together):
    source = stage(Feeder)
    pipeline = begin(source, stage(Looker))
    for _ in range(2):
        messages = [Message(UPDATE, CUT, seq=7, time=1), Message(UPDATE, GOOD, seq=8, time=1)]
        feed(source.inlet, *([block(*messages)] if together else messages))
    assert pipeline.malformed_messages == 2


@together_or_not
def test_what_a_program_gives_back_is_not_told_again(together):
    source, program = stage(Feeder), stage(Returner)
    pipeline = begin(source, stage(Looker, "--blocks"), program, stage(Looker, "", "second"))
    messages = [Message(UPDATE, body, direction="R", seq=seq, time=1) for seq, body in enumerate(BODIES, 1)]
    feed(source.inlet, *items(together))
    feed(program.inlet, *([block(*messages)] if together else messages))
    new = Message(UPDATE, CUT, direction="R", seq=99, time=1)
    feed(program.inlet, block(new) if together else new)
    assert pipeline.malformed_messages == 3


def test_an_index_that_a_stage_has_seen_stays_as_it_was():
    source, copier, looker = stage(Feeder), stage(Copier), stage(Looker, "--blocks")
    begin(source, copier, looker)
    feed(source.inlet, *items(True))
    assert [flags & (FLAG_CHECKED | FLAG_MALFORMED | FLAG_TOLD) for flags in FLAGS.of(copier.seen[0].index)] == [0] * 6


def test_a_message_out_of_a_block_has_its_verdict():
    source, copier = stage(Feeder), stage(Copier)
    begin(source, stage(Looker, "--blocks"), copier)
    feed(source.inlet, *items(True), block(keepalive(time=1)))
    malformed = FLAG_CHECKED | FLAG_MALFORMED | FLAG_TOLD
    verdicts = [message.verdict for each in copier.seen for message in each]
    assert verdicts == [FLAG_CHECKED, malformed, FLAG_CHECKED, FLAG_CHECKED, malformed, FLAG_CHECKED, FLAG_CHECKED]


def test_an_edit_takes_the_verdict_away_but_not_that_it_was_told():
    message = Message(UPDATE, CUT, verdict=FLAG_CHECKED | FLAG_MALFORMED | FLAG_TOLD)
    message.update = Update(GOOD, message.context)
    assert message.verdict == FLAG_TOLD
