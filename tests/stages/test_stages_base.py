"""Running pipelines under asyncio, and the threads that write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from bgpipe.formats.base import Encoder
from bgpipe.net import output_writer as module
from bgpipe.net.output_writer import MAX_OCTETS, OutputWriter
from bgpipe.pipeline import wiring
from bgpipe.pipeline.errors import StageError
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.stage import Producing, Stage
from bgpipe.runtime import runner as runner_module
from bgpipe.runtime.runner import Runner
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

    def encode_unchecked(self, block: Block) -> tuple[bytes, list[Message]]:
        return block.octets, [message(0)]

    def encode_message(self, message: Message) -> bytes:
        return b"%d " % message.seq


class Memory:
    """An output that fails when it has `room` no more, and waits for `gate`."""

    kept = ""

    def __init__(self, room: int = 1 << 30) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.octets = b""
        self.room = room
        self.failed = False
        self.closed = False
        self.rotated: list[bytes] = []
        self.flushed: list[bytes] = []
        self.finished = self.aborted = False
        self.loop = asyncio.get_running_loop()
        self.was_flushed: asyncio.Queue[None] = asyncio.Queue()

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

    def flush(self) -> None:
        self.flushed.append(self.octets)
        self.loop.call_soon_threadsafe(self.was_flushed.put_nowait, None)

    def finish(self) -> None:
        self.finished = True

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True


class Client:
    """Who writes to an writer, and what it hears."""

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

    def on_report(self, message: Message, error: Exception | None) -> None:
        self.heard.append(f"report {message.seq}")

    def on_error(self, error: Exception) -> None:
        self.heard.append(f"error {error}")
        self.has_error.set()

    def on_again(self) -> None:
        self.heard.append("again")
        self.has_begun_again.set()


def make(output: Memory, encoder: Callable[..., Encoder] = lambda tell: Numbers()) -> tuple[OutputWriter, Client]:
    writer, client = OutputWriter(output, encoder), Client()
    writer.join(client)
    return writer, client


@pytest.fixture(autouse=True)
def gate(monkeypatch):
    """All blocks are for threads, unless a test says something else."""
    Numbers.gate = threading.Event()
    Numbers.gate.set()
    monkeypatch.setattr(module, "SMALL_BLOCK", -1)


def message(seq: int) -> Message:
    return Message(KEEPALIVE, seq=seq)


def block(octets: bytes) -> Block:
    return Block(octets, bytearray())


async def test_order_is_kept_between_messages_and_blocks():
    output = Memory()
    writer, _ = make(output)
    for number in range(200):
        writer.put_message(message(number))
        writer.put_block(block(b"[%d] " % number))
    await writer.close()
    assert output.octets == b"".join(b"%d [%d] " % (number, number) for number in range(200))
    assert output.closed


@pytest.mark.parametrize("judged", [False, True])
async def test_small_blocks_go_to_the_thread_together_and_are_judged_at_once(monkeypatch, judged):
    monkeypatch.setattr(module, "SMALL_BLOCK", 64)
    output = Memory()
    writer, _ = make(output)
    found: list[Message] = []
    for number in range(200):
        writer.put_message(message(number))
        writer.put_block(block(b"[%d] " % number), found.append if judged else None)
    assert writer._count == 0, "the thread has nothing yet"
    assert len(found) == (200 if judged else 0)
    await writer.close()
    assert output.octets == b"".join(b"%d [%d] " % (number, number) for number in range(200))


async def test_finish_waits_for_all_that_was_put():
    output = Memory()
    writer, _ = make(output)
    for number in range(50):
        writer.put_message(message(number))
        writer.put_block(block(b"[%d] " % number))
    await writer.finish()
    assert output.octets.endswith(b"49 [49] ")
    assert (output.finished, output.closed) == (True, False)
    writer.complete = False
    await writer.close()
    assert (output.aborted, output.closed) == (True, False)


async def test_what_was_put_is_flushed_in_time_and_then_no_more():
    output = Memory()
    client = Client()
    writer = OutputWriter(output, lambda tell: Numbers(), flush_every=0.02)
    writer.join(client)
    for number in range(2):
        writer.put_message(message(number))
        writer.flush()
        for _ in range(3):
            await asyncio.wait_for(output.was_flushed.get(), 10)
    assert output.flushed == [b"0 "] * 3 + [b"0 1 "] * 3
    await writer.close()
    assert output.closed


async def test_a_thread_that_cannot_begin_ends_the_output():
    def encoder(tell: Callable[..., None]) -> Encoder:
        if threading.current_thread() is threading.main_thread():
            return Numbers()
        raise RuntimeError("no encoder")

    writer, client = make(Memory(), encoder)
    writer.put_block(block(b"x"))
    await asyncio.wait_for(client.has_error.wait(), 10)
    await asyncio.wait_for(writer.finish(), 10)
    await asyncio.wait_for(writer.close(), 10)
    assert client.heard == ["error no encoder"]


class Pusher(Client):
    """Who fills an writer whenever it has room, but for a while, as others do."""

    def __init__(self, writer: OutputWriter, pieces: int) -> None:
        super().__init__()
        self.writer = writer
        self.pieces = pieces
        self.waits = False

    def on_full(self) -> None:
        self.waits = True

    def on_room(self) -> None:
        self.waits = False
        while self.pieces and not self.waits:
            self.pieces -= 1
            self.writer.put_block(block(bytes(MAX_OCTETS // 3)))


async def test_a_full_outlet_lets_one_after_the_other_go_on():
    """Each time that there is room, one fills it; the others wait for their turn, and nobody for ever."""
    output = Memory()
    writer, _ = make(output)
    pushers = [Pusher(writer, number + 4) for number in range(5)]
    for each in pushers:
        writer.join(each)
    for _ in range(3):
        writer.put_block(block(bytes(MAX_OCTETS // 3 + 1)))
    assert all(each.waits for each in pushers)
    async with asyncio.timeout(10):
        while any(each.pieces for each in pushers):
            await asyncio.sleep(0)
            assert writer.waiting <= MAX_OCTETS * 4 // 3
    await writer.close()
    assert len(output.octets) == 3 * (MAX_OCTETS // 3 + 1) + sum(range(4, 9)) * (MAX_OCTETS // 3)


async def test_nothing_waits_behind_a_flush():
    output = Memory()
    writer, _ = make(output)
    writer.put_message(message(1))
    assert not writer._threads
    writer.flush()
    writer.rotate()
    writer.put_message(message(2))
    await writer.close()
    assert output.rotated == [b"1 "]
    assert output.octets == b"1 2 "


async def test_too_much_to_write_is_told_and_so_is_room(monkeypatch):
    monkeypatch.setattr(module, "MAX_OCTETS", 1000)
    output = Memory()
    output.gate.clear()
    writer, client = make(output)
    for _ in range(9):
        writer.put_block(block(bytes(100)))
    assert client.heard == []
    writer.put_block(block(bytes(100)))
    assert client.heard == ["full"]
    late = Client()
    writer.join(late)
    assert late.heard == ["full"]
    writer.leave(late)
    assert late.heard == ["full", "room"]
    output.gate.set()
    await client.has_room.wait()
    assert client.heard == ["full", "room"]
    await writer.close()
    assert len(output.octets) == 1000


async def test_an_output_that_fails_is_told_once_and_gets_no_more():
    output = Memory(room=250)
    writer, client = make(output)
    for _ in range(10):
        writer.put_block(block(bytes(100)))
    writer.put_block(block(b"small"))
    await writer.close()
    assert client.heard == ["error [Errno 28] no space left"]
    assert output.octets == bytes(200), "nothing follows behind a gap"
    assert output.closed


async def test_a_new_file_is_a_new_attempt():
    output = Memory(room=250)
    writer, client = make(output)
    for size in (200, 100, 10):
        writer.put_block(block(bytes(size)))
    writer.rotate()
    await client.has_begun_again.wait()
    writer.put_block(block(b"next"))
    await writer.close()
    assert client.heard == ["error [Errno 28] no space left", "again"]
    assert output.rotated == [bytes(200)]
    assert output.octets == b"next"


async def test_who_comes_late_hears_of_the_failure_and_nobody_misses_it():
    writer, client = make(Memory(room=0))
    writer.put_block(block(b"x"))
    await client.has_error.wait()
    late = Client()
    writer.join(late)
    assert late.heard == client.heard == ["error [Errno 28] no space left"]
    writer.leave(late)
    writer.leave(client)
    with pytest.raises(StageError, match="no space left"):
        await writer.close()


async def test_an_encoder_that_fails_is_an_error():
    class Broken(Numbers):
        def encode(self, item: Message | Block) -> bytes:
            raise RuntimeError("a bug")

    writer, client = make(Memory(), lambda tell: Broken())
    writer.put_block(block(b"x"))
    await writer.close()
    assert client.heard == ["error a bug"]


async def test_what_an_encoder_tells_is_heard_in_the_loop():
    class Telling(Numbers):
        def __init__(self, tell: Callable[[Message, Exception | None], None]) -> None:
            self.tell = tell

        def encode(self, item: Message | Block) -> bytes:
            self.tell(message(len(item.octets)), None)
            return b""

    writer, client = make(Memory(), Telling)
    writer.put_block(block(b"four"))
    writer.put_block(block(b"sixsix"))
    await writer.close()
    assert sorted(client.heard) == ["report 4", "report 6"]


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
    wiring.attach(pipeline)
    return Runner(pipeline), diary


async def test_a_run():
    runner, diary = attach(Actor("a"), Actor("b"))
    await runner.run()
    assert diary == ["b prepare", "a prepare", "b run", "a run", "b stop", "a stop"]


async def test_what_fails_to_prepare_ends_it_and_all_are_stopped():
    runner, diary = attach(Actor("a"), Actor("b", on_prepare=StageError("no such thing")))
    with pytest.raises(StageError, match="no such thing"):
        await runner.run()
    assert [diary[0], *sorted(diary[1:])] == ["b prepare", "a stop", "b stop"]


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
    assert [diary[0], *sorted(diary[1:])] == ["b prepare", "a stop", "b stop"]


async def test_an_interrupt_does_not_wait_for_long(monkeypatch):
    monkeypatch.setattr(runner_module, "STOP_TIMEOUT", 0.001)
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
