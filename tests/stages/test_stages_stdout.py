"""In a session, what is only written down comes after what is sent: the writer's thread takes time."""

from __future__ import annotations

import pytest

from bgpipe.stages.stdout import Stdout
from bgpipe.wire.block import Block
from bgpipe.wire.message import UPDATE, Message
from playbook import Feeder, begin, block, stage


class SlowThread:
    """An OutputWriter that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[object] = []

    def put_message(self, message: Message) -> None:
        self.given.append(message)

    def put_block(self, block: Block) -> None:
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
    one, two = Message(UPDATE, bytes(4), time=1), block(Message(UPDATE, bytes(4), time=1))
    sink.on_block(two)
    sink.on_message(one)
    if hidden:
        assert writer.given == []
    pipeline.flush()
    assert writer.given == (["sent", two, one, "flush"] if hidden else [two, one, "sent", "flush"])


def test_what_waits_for_a_flush_is_bounded() -> None:
    sink = stage(Stdout)
    begin(stage(Feeder), hidden=[sink])
    sink.writer = writer = SlowThread()
    sink._live = True
    large = block(*(Message(UPDATE, bytes(4000), time=1) for _ in range(100)))
    sink.on_block(large)
    assert writer.given == [large]
