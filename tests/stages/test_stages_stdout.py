"""In a session, what is only written down comes after what is sent: the writer's thread takes time."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from bgpipe.stages.stdout import Stdout
from bgpipe.wire.block import Block
from bgpipe.wire.message import UPDATE, Message
from playbook import Feeder, begin, block, stage


class SlowThread:
    """An OutputWriter that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[object] = []

    @property
    def holds_messages(self) -> bool:
        return any(isinstance(each, Message) for each in self.given)

    def put_message(self, message: Message, path: str) -> None:
        self.given.append(message)

    def put_block(self, block: Block, judge: object, path: str) -> None:
        self.given.append(block)

    def flush(self) -> None:
        self.given.append("flush")


@pytest.mark.parametrize("hidden", [True, False])
def test_the_writer_of_a_session_is_given_messages_when_the_peer_has_them(hidden: bool) -> None:
    sink = stage(Stdout)
    source = stage(Feeder)
    order = [source] if hidden else [sink, source]
    pipeline = begin(*order, hidden=[sink] if hidden else [])
    sink.writer = writer = SlowThread()
    sink._live = True
    source.flush = lambda: writer.given.append("sent")
    later: list[Callable[[], object]] = []
    sink.call_later = lambda seconds, function: later.append(function) or Mock()
    one, two = Message(UPDATE, bytes(4), time=1), block(Message(UPDATE, bytes(4), time=1))
    sink.on_block(two)
    sink.on_message(one)
    if hidden:
        assert writer.given == []
    pipeline.flush()
    pipeline.flush()
    assert writer.given == (["sent", "sent"] if hidden else [two, one, "sent", "sent"])
    (put,) = later
    put()
    assert writer.given == (["sent", "sent", two, one, "flush"] if hidden else [two, one, "sent", "sent", "flush"])


def test_nothing_is_put_later_where_nothing_waits() -> None:
    sink = stage(Stdout)
    pipeline = begin(stage(Feeder), hidden=[sink])
    sink.writer = writer = SlowThread()
    sink._live = True
    sink.call_later = Mock(side_effect=AssertionError)
    pipeline.flush()
    assert writer.given == []


def test_what_waits_for_a_flush_is_bounded() -> None:
    sink = stage(Stdout)
    begin(stage(Feeder), hidden=[sink])
    sink.writer = writer = SlowThread()
    sink._live = True
    large = block(*(Message(UPDATE, bytes(4000), time=1) for _ in range(100)))
    sink.on_block(large)
    assert writer.given == [large]
