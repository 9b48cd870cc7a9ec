"""Running pipelines under asyncio, and the threads that write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from bgpipe.formats.base import Encoder
from bgpipe.pipeline.errors import StageError
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.stage import Producing, Stage
from bgpipe.stages.engine import outlet as module
from bgpipe.stages.engine import runner as runner_module
from bgpipe.stages.engine.outlet import MAX_OCTETS, Outlet
from bgpipe.stages.engine.runner import Runner
from bgpipe.wire.block import Block
from bgpipe.wire.message import KEEPALIVE, Message


class Numbers(Encoder):
    """Messages as their numbers; blocks as their octets, when `gate` is open."""

    gate = threading.Event()

    def encode(self, item: Message | Block) -> bytes:
        if isinstance(item, Block):
            assert self.gate.wait(10)
            return item.octets
        return self.encode_message(item)

    def encode_message(self, message: Message) -> bytes:
        return b"%d " % message.seq


class Memory:
    """An output that fails when it has `room` no more, and waits for `gate`."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.octets = b""
        self.room = room
        self.failed = False
        self.closed = False
        self.rotated: list[bytes] = []

    def write(self, octets: bytes) -> None:
        assert self.gate.wait(10)
        if self.failed or len(self.octets) + len(octets) > self.room:
            self.failed = True
            raise OSError(28, "no space left")
        self.octets += octets

    def rotate(self) -> None:
        self.rotated.append(self.octets)
        if self.failed:
            self.octets, self.failed = b"", False

    def close(self) -> None:
        self.closed = True


class Writer:
    """Who writes to an outlet, and what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.has_room = asyncio.Event()
        self.has_error = asyncio.Event()
        self.has_begun_again = asyncio.Event()

    def on_full(self) -> None:
        self.heard.append("full")

    def on_room(self) -> None:
        self.heard.append("room")
        self.has_room.set()

    def on_odd(self, message: Message, error: Exception | None) -> None:
        self.heard.append(f"odd {message.seq}")

    def on_error(self, error: Exception) -> None:
        self.heard.append(f"error {error}")
        self.has_error.set()

    def on_again(self) -> None:
        self.heard.append("again")
        self.has_begun_again.set()


def make(output: Memory, encoder: Callable[..., Encoder] = lambda tell: Numbers()) -> tuple[Outlet, Writer]:
    outlet, writer = Outlet(output, encoder), Writer()
    outlet.join(writer)
    return outlet, writer


@pytest.fixture(autouse=True)
def gate():
    Numbers.gate = threading.Event()
    Numbers.gate.set()


def message(seq: int) -> Message:
    return Message(KEEPALIVE, seq=seq)


def block(octets: bytes) -> Block:
    return Block(octets, bytearray())


async def test_order_is_kept_between_messages_and_blocks():
    output = Memory()
    outlet, _ = make(output)
    for number in range(200):
        outlet.put_message(message(number))
        outlet.put_block(block(b"[%d] " % number))
    await outlet.close()
    assert output.octets == b"".join(b"%d [%d] " % (number, number) for number in range(200))
    assert output.closed


class Pusher(Writer):
    """Who fills an outlet whenever it has room, but for a while, as others do."""

    def __init__(self, outlet: Outlet, pieces: int) -> None:
        super().__init__()
        self.outlet = outlet
        self.pieces = pieces
        self.waits = False

    def on_full(self) -> None:
        self.waits = True

    def on_room(self) -> None:
        self.waits = False
        while self.pieces and not self.waits:
            self.pieces -= 1
            self.outlet.put_block(block(bytes(MAX_OCTETS // 3)))


async def test_a_full_outlet_lets_one_after_the_other_go_on():
    """Each time that there is room, one fills it; the others wait for their turn, and nobody for ever."""
    output = Memory()
    outlet, _ = make(output)
    pushers = [Pusher(outlet, number + 4) for number in range(5)]
    for each in pushers:
        outlet.join(each)
    for _ in range(3):
        outlet.put_block(block(bytes(MAX_OCTETS // 3 + 1)))
    assert all(each.waits for each in pushers)
    async with asyncio.timeout(10):
        while any(each.pieces for each in pushers):
            await asyncio.sleep(0)
            assert outlet.waiting <= MAX_OCTETS * 4 // 3
    await outlet.close()
    assert len(output.octets) == 3 * (MAX_OCTETS // 3 + 1) + sum(range(4, 9)) * (MAX_OCTETS // 3)


async def test_nothing_waits_behind_a_flush():
    output = Memory()
    outlet, _ = make(output)
    outlet.put_message(message(1))
    assert not outlet._threads
    outlet.flush()
    outlet.rotate()
    outlet.put_message(message(2))
    await outlet.close()
    assert output.rotated == [b"1 "]
    assert output.octets == b"1 2 "


async def test_too_much_to_write_is_told_and_so_is_room(monkeypatch):
    monkeypatch.setattr(module, "MAX_OCTETS", 1000)
    output = Memory()
    output.gate.clear()
    outlet, writer = make(output)
    for _ in range(9):
        outlet.put_block(block(bytes(100)))
    assert writer.heard == []
    outlet.put_block(block(bytes(100)))
    assert writer.heard == ["full"]
    late = Writer()
    outlet.join(late)
    assert late.heard == ["full"]
    outlet.leave(late)
    assert late.heard == ["full", "room"]
    output.gate.set()
    await writer.has_room.wait()
    assert writer.heard == ["full", "room"]
    await outlet.close()
    assert len(output.octets) == 1000


async def test_an_output_that_fails_is_told_once_and_gets_no_more():
    output = Memory(room=250)
    outlet, writer = make(output)
    for _ in range(10):
        outlet.put_block(block(bytes(100)))
    outlet.put_block(block(b"small"))
    await outlet.close()
    assert writer.heard == ["error [Errno 28] no space left"]
    assert output.octets == bytes(200), "nothing follows behind a gap"
    assert output.closed


async def test_a_new_file_is_a_new_attempt():
    output = Memory(room=250)
    outlet, writer = make(output)
    for size in (200, 100, 10):
        outlet.put_block(block(bytes(size)))
    outlet.rotate()
    await writer.has_begun_again.wait()
    outlet.put_block(block(b"next"))
    await outlet.close()
    assert writer.heard == ["error [Errno 28] no space left", "again"]
    assert output.rotated == [bytes(200)]
    assert output.octets == b"next"


async def test_who_comes_late_hears_of_the_failure_and_nobody_misses_it():
    outlet, writer = make(Memory(room=0))
    outlet.put_block(block(b"x"))
    await writer.has_error.wait()
    late = Writer()
    outlet.join(late)
    assert late.heard == writer.heard == ["error [Errno 28] no space left"]
    outlet.leave(late)
    outlet.leave(writer)
    with pytest.raises(StageError, match="no space left"):
        await outlet.close()


async def test_an_encoder_that_fails_is_an_error():
    class Broken(Numbers):
        def encode(self, item: Message | Block) -> bytes:
            raise RuntimeError("a bug")

    outlet, writer = make(Memory(), lambda tell: Broken())
    outlet.put_block(block(b"x"))
    await outlet.close()
    assert writer.heard == ["error a bug"]


async def test_what_an_encoder_tells_is_heard_in_the_loop():
    class Telling(Numbers):
        def __init__(self, tell: Callable[[Message, Exception | None], None]) -> None:
            self.tell = tell

        def encode(self, item: Message | Block) -> bytes:
            self.tell(message(len(item.octets)), None)
            return b""

    outlet, writer = make(Memory(), Telling)
    outlet.put_block(block(b"four"))
    outlet.put_block(block(b"sixsix"))
    await outlet.close()
    assert sorted(writer.heard) == ["odd 4", "odd 6"]


# The runner


class Actor(Producing):
    """A stage that does what the test wants, and says so."""

    diary: list[str]

    def __init__(self, name: str = "", *, on_prepare: object = None, on_run: object = None, on_stop: object = None):
        super().__init__(name)
        self._acts = {"prepare": on_prepare, "run": on_run, "stop": on_stop}
        self.busy = asyncio.Event()

    def attach(self) -> None:
        self.inlet = self.feed_into()

    async def _act(self, what: str) -> None:
        self.diary.append(f"{self.name} {what}")
        act = self._acts[what]
        if isinstance(act, Exception):
            raise act
        if isinstance(act, asyncio.Event):
            self.busy.set()
            await act.wait()

    async def prepare(self) -> None:
        await self._act("prepare")

    async def run(self) -> None:
        await self._act("run")

    async def stop(self) -> None:
        await self._act("stop")


def attach(*stages: Stage) -> tuple[Runner, list[str]]:
    diary: list[str] = []
    pipeline = Pipeline()
    for index, stage in enumerate(stages, 1):
        stage.diary = diary
        pipeline.add(stage, index=index)
    pipeline.attach()
    return Runner(pipeline), diary


async def test_a_run():
    runner, diary = attach(Actor("a"), Actor("b"))
    await runner.run()
    assert diary == ["b prepare", "a prepare", "b run", "a run", "b stop", "a stop"]


async def test_what_fails_to_prepare_ends_it_and_all_are_stopped():
    runner, diary = attach(Actor("a"), Actor("b", on_prepare=StageError("no such thing")))
    with pytest.raises(StageError, match="no such thing"):
        await runner.run()
    assert diary == ["b prepare", "a stop", "b stop"]


async def test_what_fails_to_run_ends_the_others():
    never = asyncio.Event()
    runner, diary = attach(Actor("a", on_run=never), Actor("b", on_run=ValueError("a bug")))
    with pytest.raises(StageError, match=r"\[2\] b: ValueError: a bug"):
        await runner.run()
    assert sorted(diary[-2:]) == ["a stop", "b stop"]  # side by side


async def test_what_fails_to_stop_is_told():
    runner, diary = attach(Actor("a", on_stop=StageError("not written")), Actor("b"))
    with pytest.raises(StageError, match="not written"):
        await runner.run()
    assert "b stop" in diary


async def test_an_interrupt_while_a_stage_prepares():
    never = asyncio.Event()
    actor = Actor("b", on_prepare=never)
    runner, diary = attach(Actor("a"), actor)
    running = asyncio.create_task(runner.run())
    await actor.busy.wait()
    runner.interrupt()
    await running
    assert diary == ["b prepare", "a stop", "b stop"]


async def test_an_interrupt_does_not_wait_for_long(monkeypatch):
    monkeypatch.setattr(runner_module, "GRACE", 0.001)
    never = asyncio.Event()
    actor = Actor("a", on_run=never, on_stop=never)
    runner, diary = attach(actor, Actor("b"))
    running = asyncio.create_task(runner.run())
    await actor.busy.wait()
    runner.interrupt()
    await running
    assert diary[-1] == "a stop"


async def test_cancelling_a_run_leaves_no_tasks():
    never = asyncio.Event()
    actor = Actor("a", on_run=never)
    runner, _ = attach(actor)
    running = asyncio.create_task(runner.run())
    await actor.busy.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
