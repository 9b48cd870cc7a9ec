"""Messages and blocks through the lines: order, numbers, directions, conditions, limits."""

from __future__ import annotations

import math

import pytest

from bgpipe import accel
from bgpipe.pipeline.errors import ConfigError, StageError
from bgpipe.pipeline.lifecycle import EndAction
from bgpipe.pipeline.options import FLAG, Option
from bgpipe.pipeline.passage import inherit
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.stage import Consuming, Stage
from bgpipe.wire.block import Block
from bgpipe.wire.item import Item
from bgpipe.wire.message import Message
from playbook import Clock, Dropper, Feeder, Looker, begin, block, feed, keepalive, stage, update


def leaving(pipeline: Pipeline, direction: str) -> list[object]:
    left: list[object] = []
    pipeline.lines[direction].outputs.append(left.append)
    return left


def test_numbers_times_and_direction_are_given_where_there_are_none():
    source = stage(Feeder, "-R")
    left = leaving(begin(source), "R")
    feed(source.inlet, update(), update(seq=70, time=9), update(direction="L"))
    assert [(m.seq, m.time, m.direction) for m in left] == [(1, 5_000_000, "R"), (70, 9, "R"), (2, 5_000_000, "R")]


def test_blocks_are_given_the_same():
    source = stage(Feeder, "-R")
    left = leaving(begin(source), "R")
    feed(source.inlet, update(), block(update(), update(seq=70, time=9), update(direction="L")))
    assert [(m.seq, m.time, m.direction) for m in left[1]] == [(2, 5_000_000, "R"), (70, 9, "R"), (3, 5_000_000, "R")]


def test_a_source_in_both_directions_goes_by_what_messages_say():
    source = stage(Feeder, "-LR")
    pipeline = begin(source, stage(Looker, "-LR"))
    right, left = leaving(pipeline, "R"), leaving(pipeline, "L")
    feed(source.inlet, update(direction="L"), update(direction="R"), update(), keepalive(direction="LR"))
    assert [(m.seq, m.type) for m in left] == [(1, "UPDATE")]
    assert [(m.seq, m.type) for m in right] == [(1, "UPDATE"), (2, "UPDATE"), (3, "KEEPALIVE")]


def test_a_block_of_both_directions_is_split_into_runs():
    source, looker = stage(Feeder, "-LR"), stage(Looker, "-LR --blocks")
    pipeline = begin(source, looker)
    right, left = leaving(pipeline, "R"), leaving(pipeline, "L")
    directions = ("R", "R", "L", "?", "R", "L")
    feed(source.inlet, block(*(update(direction=direction) for direction in directions)))
    assert looker.seen == [2, 2]
    assert [[m.seq for m in part] for part in right] == [[1, 2], [3, 4]]
    assert [[m.seq for m in part] for part in left] == [[1], [2]]


@pytest.mark.parametrize(("words", "order"), [("-R", "abcz"), ("-L", "cbaz")])
def test_order_is_ascending_to_the_right_and_descending_to_the_left(words, order):
    met: list[str] = []

    class Named(Consuming):
        both = True

        def attach(self) -> None:
            self.watch(lambda message: met.append(self.name))

    source = stage(Feeder, f"{words} --new=first")
    begin(
        stage(Named, "-LR", "a"),
        source,
        stage(Named, "-LR", "b"),
        stage(Named, "-LR", "c"),
        hidden=[stage(Named, "-LR", "z")],
    )
    feed(source.inlet, update())
    assert "".join(met) == order


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ("-R", "cd"),
        ("-L", "a"),
        ("-R --new=here", "cd"),
        ("-R --new=first", "acd"),
        ("-L --new=first", "acd"),
        ("-R --new=last", ""),
        ("-L --new=last", ""),
        ("-R --new=3", "d"),
        ("-L --new=3", "a"),
        ("-R --new=d", ""),
        ("-R --inject=a", "cd"),
    ],
)
def test_where_new_messages_enter(words, seen):
    lookers = {name: stage(Looker, "-LR", name) for name in "acdz"}
    source = stage(Feeder, words)
    begin(lookers["a"], source, lookers["c"], lookers["d"], hidden=[lookers["z"]])
    feed(source.inlet, update())
    assert "".join(name for name in "acd" if lookers[name].seen) == seen
    assert lookers["z"].seen, "the hidden stage sees all that is left"


def test_a_wrong_target_says_so():
    with pytest.raises(ConfigError, match=r"invalid value '@dorp' for the --new option, did you mean @drop\?"):
        begin(stage(Feeder, "-R --new=@dorp"), stage(Looker, "", "@drop"))


def test_a_dropped_message_is_not_seen_again():
    source, looker = stage(Feeder), stage(Looker)
    left = leaving(begin(source, stage(Dropper), looker), "R")
    feed(source.inlet, update(), block(update(), update()))
    assert (looker.seen, left) == ([], [])


def test_actions_of_messages():
    source, looker, printer = stage(Feeder), stage(Looker), stage(Looker, "-LR")
    left = leaving(begin(source, looker, hidden=[printer]), "R")
    feed(source.inlet, update(action=2), update(action=4), update(action=1))
    assert looker.seen == [("UPDATE", 2, "R")]
    assert [seq for _, seq, _ in printer.seen] == [1, 2]
    assert [m.action for m in left] == [4, 1]


def test_callbacks_are_called_for_their_types_alone():
    class Keepalives(Looker):
        def attach(self) -> None:
            self.seen = []
            self.watch(self.on_message, types={4})

    source, looker = stage(Feeder), stage(Keepalives)
    left = leaving(begin(source, looker), "R")
    feed(source.inlet, update(), keepalive(), block(update(), keepalive()))
    assert looker.seen == [("KEEPALIVE", 2, "R"), ("KEEPALIVE", 4, "R")]
    assert len(left) == 4


def test_conditions_of_a_stage_let_other_messages_pass_it():
    source, dropper = stage(Feeder), stage(Dropper)
    dropper.if_ = ("keepalive", "seq > 2")
    left = leaving(begin(source, dropper), "R")
    feed(source.inlet, keepalive(), block(update(), keepalive(), update()), keepalive())
    assert [(m.type, m.seq) for m in left] == [("KEEPALIVE", 1), ("UPDATE", 2), ("UPDATE", 4)]


def test_a_stage_that_copies_sees_the_part_of_a_block_that_it_wants():
    class Copier(Looker):
        def attach(self) -> None:
            self.seen = []
            self.watch(self.on_message, on_block=self.on_block, types={2}, passive=True)

    source, copier = stage(Feeder), stage(Copier)
    copier.if_ = ("seq > 1",)
    left = leaving(begin(source, copier), "R")
    feed(source.inlet, block(update(), update(), keepalive(), update()), update(), keepalive())
    assert copier.seen == [2, ("UPDATE", 5, "R")]
    assert [len(item) if not isinstance(item, Message) else 1 for item in left] == [4, 1, 1]


def test_conditions_of_a_source_drop_its_own_messages():
    source = stage(Feeder)
    source.of = ("keepalive",)
    left = leaving(begin(source, stage(Looker)), "R")
    feed(source.inlet, update(), keepalive(), block(update(), keepalive(), update()))
    assert [m.type for m in left] == ["KEEPALIVE", "KEEPALIVE"]
    assert [m.seq for m in left] == [1, 2]


def test_a_limit_of_rate_makes_the_source_wait():
    clock = Clock()
    source, looker = stage(Feeder), stage(Looker, "--rate-limit 2")
    begin(source, looker, clock=clock)
    waits = source.inlet.feed([block(update(), update(), update()), update()])
    assert waits.step() == pytest.approx(0.5)
    assert len(looker.seen) == 2
    clock.now += 0.5
    assert waits.step() == pytest.approx(0.5)
    assert len(looker.seen) == 3
    clock.now += 0.5
    assert waits.step() is None
    assert [seq for _, seq, _ in looker.seen] == [1, 2, 3, 4]


def test_a_limit_of_rate_on_a_source():
    clock = Clock()
    source, looker = stage(Feeder, "--rate-limit 1"), stage(Looker, "--blocks")
    begin(source, looker, clock=clock)
    waits = source.inlet.feed([block(update(), update())])
    assert waits.step() == pytest.approx(1)
    assert len(looker.seen) == 1
    clock.now += 1
    assert waits.step() is None
    assert len(looker.seen) == 2


def test_sampling_lets_the_rest_pass_by():
    clock = Clock()
    source, looker = stage(Feeder), stage(Looker, "--rate-sample 1")
    left = leaving(begin(source, looker, clock=clock), "R")
    feed(source.inlet, update(), update(), update())
    assert (len(looker.seen), len(left)) == (1, 3)


def test_sampling_on_a_source_drops_the_rest():
    source = stage(Feeder, "--rate-sample 1")
    left = leaving(begin(source, stage(Looker), clock=Clock()), "R")
    feed(source.inlet, update(), block(update(), update()))
    assert len(left) == 1


def test_held_inputs_wait_until_all_have_released():
    source, looker = stage(Feeder), stage(Looker)
    pipeline = begin(source, looker)
    waits = source.inlet.feed([update(), update()])
    pipeline.hold()
    pipeline.hold()
    assert waits.step() == math.inf
    called: list[str] = []
    pipeline.when_released(lambda: called.append("released"))
    pipeline.release()
    assert waits.step() == math.inf
    assert called == []
    pipeline.release()
    assert called == ["released"]
    assert waits.step() is None
    assert len(looker.seen) == 2
    pipeline.when_released(lambda: called.append("at once"))
    assert called[-1] == "at once"


def test_a_shut_input_takes_nothing_it_is_fed_and_an_ended_one_nothing_at_all():
    source, looker = stage(Feeder), stage(Looker)
    begin(source, looker)
    source.inlet.shut()
    feed(source.inlet, update(), block(update()))
    assert looker.seen == []
    source.inlet.put(update())
    assert len(looker.seen) == 1, "a session is kept alive as long as anything is under way"
    source.inlet.end()
    source.inlet.put(update())
    assert len(looker.seen) == 1


def test_what_was_let_in_goes_on_when_the_input_is_shut():
    clock = Clock()
    source, looker = stage(Feeder), stage(Looker, "--rate-limit 1")
    begin(source, looker, clock=clock)
    waits = source.inlet.feed([block(*(update() for _ in range(3))), update()])
    assert waits.step() == pytest.approx(1)
    source.inlet.shut()
    for _ in range(2):
        assert source.inlet.busy
        clock.now += 1
        waits.step()
    assert not source.inlet.busy
    assert len(looker.seen) == 3, "all of the block, and nothing behind it"


def test_what_is_cut_off_is_counted():
    clock = Clock()
    source, looker = stage(Feeder), stage(Looker, "--rate-limit 1")
    pipeline = begin(source, looker, clock=clock)
    waits = source.inlet.feed([block(*(update() for _ in range(5))), update()])
    waits.step()
    assert pipeline.give_up() == 4
    assert waits.step() is None
    assert not source.inlet.busy
    assert len(looker.seen) == 1
    assert pipeline.lost_messages == 4


@pytest.mark.parametrize("words", ["", "--rate-limit 1"])
@pytest.mark.parametrize("blocks", [True, False])
def test_what_was_read_from_a_peer_is_let_in_as_a_whole(words, blocks):
    """A signal comes while it waits; nothing that begins after that is let in."""
    clock = Clock()
    source, looker = stage(Feeder, words), stage(Looker)
    pipeline = begin(source, looker, clock=clock)
    source.inlet.whole = True
    pipeline.hold()
    messages = [update() for _ in range(3)]
    waits = source.inlet.feed([block(*messages) if blocks else messages[0], update()])
    assert waits.step() == math.inf
    pipeline.stop()
    pipeline.release()
    while waits.step() is not None:
        clock.now += 1
    assert len(looker.seen) == (4 if blocks else 2)
    feed(source.inlet, update())
    assert len(looker.seen) == (4 if blocks else 2)


@pytest.mark.parametrize("words", ["", "--rate-limit 1"])
def test_what_was_read_from_a_peer_and_not_let_in_is_counted(words):
    source, looker = stage(Feeder, words), stage(Looker)
    pipeline = begin(source, looker, clock=Clock())
    source.inlet.whole = True
    if not words:
        pipeline.hold()
    waits = source.inlet.feed([block(*(update() for _ in range(5)))])
    waits.step()
    pipeline.stop()
    assert pipeline.give_up() == 5 - len(looker.seen)
    assert len(looker.seen) == (1 if words else 0)


def test_who_has_seen_enough_cuts_off_what_was_read_from_a_peer():
    source, gate, behind = stage(Feeder), stage(Gate), stage(Looker)
    begin(source, gate, behind)
    source.inlet.whole = True
    feed(source.inlet, update(), update())
    assert len(behind.seen) == 1
    assert gate.drops["dropped"] == 0


@pytest.mark.parametrize("words", ["", "--blocks"])
def test_what_is_behind_a_message_at_which_a_stage_failed_is_counted(words):
    class Fails(Consuming):
        seen = 0

        def attach(self) -> None:
            self.watch(self.on_message, on_block=self.on_message if words else None)

        def on_message(self, item: Item) -> None:
            self.seen += 1
            if self.seen == 2 or words:
                raise ValueError("no")

    source = stage(Feeder)
    begin(source, stage(Fails))
    feeding = source.inlet.feed([block(*(update() for _ in range(5)))])
    with pytest.raises(StageError, match="ValueError: no"):
        feeding.step()
    assert feeding.failed == (4 if words else 3)


@pytest.mark.parametrize("direction", ["R", "L"])
def test_what_is_cut_off_of_a_block_in_both_directions(direction):
    source, looker = stage(Feeder, "-LR"), stage(Looker, f"-LR --rate-limit 1 --if dir=={direction}")
    pipeline = begin(source, looker, clock=Clock())
    waits = source.inlet.feed([block(*(update(direction=each) for each in "RRLLRRL"))])
    waits.step()
    left = sum(line.left for line in pipeline.lines.values())
    assert pipeline.give_up() == 7 - left


def test_an_input_is_fed_by_one_at_a_time():
    source = stage(Feeder)
    pipeline = begin(source, stage(Looker))
    pipeline.hold()
    source.inlet.feed([update()]).step()
    with pytest.raises(AssertionError):
        source.inlet.feed([update()])


class Gate(Consuming):
    """Lets one message pass, and then ends the input."""

    ends_input = True
    observable = False

    def attach(self) -> None:
        self.watch(self.on_message, on_block=self.on_block, decodes=False)

    def on_message(self, message: Message) -> bool:
        self.shut()
        self.pipeline.end_input()
        return True

    def on_block(self, block: Block) -> Block:
        self.on_message(block.message(0))
        return block.part(0, 1)


class Counter(Looker):
    """What it does with blocks can be seen from outside."""

    observable = True


def test_before_a_stage_that_ends_the_input_others_see_single_messages():
    source, before, gate, behind = stage(Feeder), stage(Counter, "--blocks"), stage(Gate), stage(Counter, "--blocks")
    pipeline = begin(source, before, gate, behind)
    feed(source.inlet, block(*(update() for _ in range(3))), update())
    assert before.seen == [("UPDATE", 1, "R")]
    assert behind.seen == [("UPDATE", 1, "R")]
    assert pipeline.step() is EndAction.FINISH


@pytest.mark.skipif(not accel.AVAILABLE, reason="only accel can tell that nothing in a block is malformed")
def test_where_nothing_can_be_seen_of_it_a_block_stays_whole_before_such_a_stage():
    source, before, gate, behind = stage(Feeder), stage(Looker, "--blocks"), stage(Gate), stage(Counter, "--blocks")
    before.observable = False
    begin(source, before, gate, behind)
    feed(source.inlet, block(*(update() for _ in range(3))))
    assert (before.seen, behind.seen) == ([3], [1])


def test_what_reaches_a_shut_stage_is_dropped_whether_or_not_it_would_look_at_it():
    source, gate, behind = stage(Feeder), stage(Gate, "--if keepalive"), stage(Looker)
    begin(source, gate, behind)
    feed(source.inlet, block(update(), keepalive(), update(), keepalive()))
    assert [kind for kind, _, _ in behind.seen] == ["UPDATE", "KEEPALIVE"]
    assert gate.drops["dropped"] == 2


def test_putting_a_message_from_a_callback():
    class Echo(Feeder):
        def attach(self) -> None:
            super().attach()
            self.watch(lambda message: self.inlet.put(keepalive()))

    source, echo, looker = stage(Feeder), stage(Echo, "-R"), stage(Looker)
    begin(source, echo, looker)
    feed(source.inlet, update())
    assert looker.seen == [("KEEPALIVE", 2, "R"), ("UPDATE", 1, "R")]


def test_an_error_in_a_callback_names_its_stage():
    class Broken(Stage):
        def attach(self) -> None:
            self.watch(lambda message: message.no_such_thing, on_block=lambda block: 1 // 0)

    source = stage(Feeder)
    begin(source, stage(Broken, "", "broken"))
    with pytest.raises(StageError, match=r"\[2\] broken: AttributeError: .*no_such_thing"):
        source.inlet.feed([update()]).step()
    with pytest.raises(StageError, match=r"\[2\] broken: ZeroDivisionError"):
        source.inlet.feed([block(update())]).step()
    assert not source.inlet.busy


def test_counts_of_the_line():
    source = stage(Feeder)
    pipeline = begin(source, stage(Dropper, "--if keepalive"))
    feed(source.inlet, update(), keepalive(), block(update(), update()))
    assert (pipeline.lines["R"].entered, pipeline.lines["R"].left) == (4, 3)


class Doubler(Consuming):
    """Lets each message go on twice, the second time with another body and without saying where it is from."""

    blocks = Option(FLAG, False, "work on blocks")

    def attach(self) -> None:
        self.watch(self.on_message, on_block=self.on_block if self.blocks else None, decodes=False)

    def on_message(self, message: Message) -> list[Message]:
        return [message, Message(2, b"other")]

    def on_block(self, block: Block) -> list[Item]:
        return [block.part(0, 1), inherit(Message(2, b"other"), block.message(0)), block.part(1, len(block))]


def test_several_messages_in_the_place_of_one_meet_the_stages_behind():
    source, first, second, looker = stage(Feeder, "-R"), stage(Doubler), stage(Doubler), stage(Looker)
    left = leaving(begin(source, first, second, looker), "R")
    feed(source.inlet, update(), update(time=9))
    assert looker.seen == [("UPDATE", seq, "R") for seq in (1, 1, 1, 1, 2, 2, 2, 2)]
    assert [message.body == b"other" for message in left] == [False, True, True, True] * 2
    assert [message.time for message in left[4:]] == [9] * 4


def test_messages_and_blocks_in_the_place_of_a_block_keep_their_order():
    source, doubler, looker = stage(Feeder, "-R"), stage(Doubler, "--blocks"), stage(Looker, "--blocks")
    left = leaving(begin(source, doubler, looker), "R")
    feed(source.inlet, block(update(), update(), update()))
    assert looker.seen == [1, ("UPDATE", 1, "R"), 2]
    assert [1 if isinstance(item, Message) else len(item) for item in left] == [1, 1, 2]


def test_what_a_block_has_become_waits_where_a_stage_behind_wants_it():
    clock = Clock()
    source, doubler, looker = stage(Feeder, "-R"), stage(Doubler, "--blocks"), stage(Looker, "--rate-limit 1")
    begin(source, doubler, looker, clock=clock)
    waits = []
    feeding = source.inlet.feed([block(update(), update())])
    while (wait := feeding.step()) is not None:
        waits.append(wait)
        clock.now += wait
    assert waits == [1.0, 1.0]
    assert len(looker.seen) == 3
