"""What tests of pipelines share: small stages, and a pipeline that starts without an event loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bgpipe.pipeline.input import Input
from bgpipe.pipeline.options import FLAG, Option
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.stage import Consuming, Producing, Stage
from bgpipe.pipeline.wiring import attach
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.flags import FLAG_AS4
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message

EOR = bytes(4)
"""The body of an UPDATE that says nothing: End-of-RIB for IPv4 unicast."""


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Feeder(Producing):
    """Makes the messages that the test puts into it."""

    both = True
    inlet: Input

    def attach(self) -> None:
        self.inlet = self.feed_into()


class Looker(Consuming):
    """Remembers what comes by: (type, seq, direction) of messages, the number of messages of blocks."""

    both = True
    blocks = Option(FLAG, False, "look at blocks")

    def attach(self) -> None:
        self.seen: list[Any] = []
        self.watch(self.on_message, on_block=self.on_block if self.blocks else None)

    def on_message(self, message: Message) -> bool:
        self.seen.append((message.type, message.seq, message.direction))
        return True

    def on_block(self, block: Block) -> Block:
        self.seen.append(len(block))
        return block


class Dropper(Consuming):
    """Drops every message."""

    both = True

    def attach(self) -> None:
        self.watch(lambda message: False)


def stage(kind: type[Stage], words: str = "", name: str = "") -> Any:
    made = kind(name or kind.__name__.lower())
    assert made.scan(words.split()) == []
    return made


def build(*stages: Stage, hidden: Iterable[Stage] = (), **settings: Any) -> Pipeline:
    """An attached pipeline of stages with the numbers 1, 2, ..."""
    pipeline = Pipeline(now=lambda: 5_000_000, **settings)
    for index, each in enumerate(stages, 1):
        pipeline.add(each, index=index)
    for each in hidden:
        pipeline.add(each, index=0, hidden=True)
    attach(pipeline)
    return pipeline


def settle(pipeline: Pipeline) -> None:
    """Starts and stops all stages that are due, as a runner does when nothing takes time."""
    while True:
        if batch := pipeline.take_due():
            for each in batch:
                pipeline.preparing(each)
                pipeline.ready(each)
            pipeline.started(batch)
        elif ended := pipeline.take_ended():
            pipeline.stopped(ended)
        else:
            return


def begin(*stages: Stage, **settings: Any) -> Pipeline:
    pipeline = build(*stages, **settings)
    pipeline.start()
    settle(pipeline)
    return pipeline


def feed(inlet: Input, *items: Message | Block) -> None:
    """Feeds what nothing makes wait."""
    assert inlet.feed(items).step() is None


def update(**settings: Any) -> Message:
    return Message(UPDATE, EOR, **settings)


def keepalive(**settings: Any) -> Message:
    return Message(KEEPALIVE, **settings)


def block(*messages: Message) -> Block:
    """The messages as one block."""
    flags = {"?": 0, "R": 8, "L": 16}
    octets, index = b"", bytearray()
    for message in messages:
        entry = (message.seq, message.time, len(octets), NO_PEER, len(message.octets))
        index += ENTRY.pack(*entry, FLAG_AS4 | flags[message.direction], 0)
        octets += message.octets
    return Block(octets, index)
