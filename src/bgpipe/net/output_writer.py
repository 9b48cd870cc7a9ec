"""The way out: items in, octets of a format out, in order.

Blocks are encoded in threads: accel lets go of the interpreter while it works, so that two of them and the loop
use two cores. The threads write too, each in its turn, so that nobody waits for a slow disk or a full pipe but them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from enum import Enum
from queue import SimpleQueue
from typing import Final, Protocol

from .. import tasks
from ..formats.base import Encoder, OnReport
from ..pipeline.errors import StageError
from ..wire.block import Block
from ..wire.message import Message
from .files_in_use import Identity

THREADS: Final = 2
MAX_JOBS: Final = 100
"""Pieces that wait to be written before the input must wait."""
MAX_OCTETS: Final = 4 << 20
"""Octets that they may hold, as they were before they were encoded."""
PIECE: Final = 1 << 18
"""Octets of single messages that are written together."""
CLOSE_TIMEOUT: Final = 0.5
"""Seconds that an output gets to be closed when there is no time to write all."""


class OutputStream(Protocol):
    """Where octets go: see bgpipe.net.output_file. It is used by one thread at a time."""

    @property
    def path(self) -> str:
        """Its name, for messages."""

    @property
    def identity(self) -> Identity | None:
        """Of the file that is written, or whose place is taken; None if there is none."""

    @property
    def in_place(self) -> bool:
        """Whether the file itself is written, and not another one that takes its place."""

    @property
    def failed(self) -> bool: ...
    @property
    def kept(self) -> str:
        """Where what was written is, if it was aborted; "" where that is of no use."""

    def write(self, octets: bytes, /) -> object: ...
    def rotate(self) -> object: ...
    def flush(self) -> object: ...
    def finish(self) -> object: ...
    def close(self) -> object: ...
    def abort(self) -> object: ...
    def hurry(self) -> object: ...
    def keep(self) -> object: ...


class OutputRequest(Enum):
    """A job that is no octets: what the output is asked for."""

    FLUSH = "flush"
    FINISH = "finish"
    ROTATE = "rotate"
    CLOSE = "close"
    ABORT = "abort"


Item = Block | bytes | OutputRequest


class User(Protocol):
    """Who writes here."""

    def on_full(self) -> None:
        """There is too much to be written; said again and again, until there is room."""

    def on_room(self) -> None:
        """There is room again."""

    def on_report(self, message: Message, error: Exception) -> None:
        """A message could not be written."""

    def on_error(self, error: Exception) -> None:
        """The output refuses octets; from now on they are lost."""

    def on_again(self) -> None:
        """The output has begun anew after an error."""


class OutputWriter:
    """An encoder for the loop, one for each thread, and the order of what they make.

    Who writes here joins, and is called in the loop: see User.
    """

    def __init__(
        self,
        output: OutputStream,
        make_encoder: Callable[[OnReport], Encoder],
        flush_every: float = 0,
    ) -> None:
        """flush_every: seconds that octets may wait in a compressor at most; 0 for as long as it likes."""
        self.failed = False
        self.error: Exception | None = None
        """why the output failed, None if it didn't or has begun anew"""
        self.complete = True
        """whether all that there is was put: else a file keeps what was written, and does not get its name"""
        self._output = output
        self._make_encoder = make_encoder
        self._users: list[User] = []
        self._encoder = make_encoder(self._on_report)
        self._tasks = tasks.Tasks(self._fail)
        self._flush_every = flush_every
        self._timer: tasks.Timer | None = None
        self._quiet_ticks = 0
        self._piece: list[bytes] = []
        self._piece_size = 0
        self._queue: SimpleQueue[tuple[int, Item] | None] = SimpleQueue()
        self._count = 0
        self._messages: dict[int, int] = {}
        """how many are in a piece that waits, by its number"""
        self._given_up = -1
        """the first piece that is not written any more, -1 for none"""
        self._waiting = 0
        self._waiting_octets = 0
        self._full = False
        self.written = 0
        """pieces that the output has taken, or refused"""
        self._turn = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._broken = False
        """whether a thread has ended that should not have"""
        self._closed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def output(self) -> OutputStream:
        return self._output

    @property
    def waiting(self) -> int:
        """Octets that wait to be encoded and written, about."""
        return self._waiting_octets + self._piece_size

    def join(self, user: User) -> None:
        self._users.append(user)
        if self.error is not None:
            user.on_error(self.error)
        if self._full:
            user.on_full()

    def leave(self, user: User) -> None:
        self._users.remove(user)
        if self._full:
            user.on_room()

    def put_message(self, message: Message) -> bool:
        """A message is encoded now: stages further on may change it. Whether anything came of it."""
        octets = self._encoder.encode_message(message)
        if octets:
            self._piece.append(octets)
            self._piece_size += len(octets)
            if self._piece_size >= PIECE:
                self.flush()
        return bool(octets)

    def put_block(self, block: Block) -> None:
        """A block is encoded when a thread has time. Nobody changes it any more."""
        self.flush()
        self._put(block, block.weight, len(block))

    def flush(self) -> None:
        """Nothing stays behind to wait for more messages."""
        if self._piece:
            octets, messages = b"".join(self._piece), len(self._piece)
            self._piece.clear()
            self._piece_size = 0
            self._put(octets, len(octets), messages)

    def rotate(self) -> None:
        """Lets the output begin its next file, if it is time, behind what has been put."""
        self._put(OutputRequest.ROTATE, 0)

    async def finish(self) -> None:
        """Waits until the output has all that was put, and everything but its name."""
        self.flush()
        self._put(OutputRequest.FINISH, 0)
        await self._empty.wait()

    def give_up(self) -> int:
        """There is no more time: what waits is not written, nor the rest of what is being written. Returns how many
        messages that are."""
        self.flush()
        self.complete = False
        with self._turn:
            self._given_up = self.written
            self._output.hurry()
            return sum(messages for number, messages in self._messages.items() if number >= self._given_up)

    async def close(self) -> None:
        """Closes the output when all is written; aborts it if that is not `complete`. Raises StageError if it has
        failed, and nobody is here to be told. Cancelled, it gives up what waits, and raises StageError."""
        self.flush()
        self._put(OutputRequest.CLOSE if self.complete else OutputRequest.ABORT, 0)
        for _ in self._threads:
            self._queue.put(None)
        try:
            await self._tasks.close()
            await self._closed.wait()
        except asyncio.CancelledError:
            lost = self.give_up()
            await self._leave()
            text = f"{self._output.path} is not complete: {lost} messages were lost at the end"
            kept = f"; what was written is in {self._output.kept}" if self._output.kept else ""
            raise StageError(text + kept) from None
        if self.error is not None and not self._users and not isinstance(self.error, BrokenPipeError):
            raise StageError(str(self.error)) from self.error

    async def _leave(self) -> None:
        """Waits a moment for a thread to close what was given up; what it can't close is kept as it is."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._closed.wait()
        except (TimeoutError, asyncio.CancelledError):
            self._output.keep()

    def _put(self, item: Item, size: int, messages: int = 0) -> None:
        if self._broken:
            return
        if not isinstance(item, OutputRequest):
            if self.failed:
                return
            self._begin_ticking()
        if len(self._threads) < THREADS and self._waiting == len(self._threads):
            name = f"writer-{len(self._threads)}"
            self._running += 1
            self._threads.append(tasks.thread(name, self._work, self._on_thread_error))
        self._empty.clear()
        if messages:
            self._messages[self._count] = messages
        self._queue.put((self._count, item))
        self._count += 1
        self._waiting += 1
        self._waiting_octets += size
        if not self._full and (self._waiting >= MAX_JOBS or self._waiting_octets >= MAX_OCTETS):
            self._full = True
            for user in tuple(self._users):
                user.on_full()

    def _begin_ticking(self) -> None:
        self._quiet_ticks = 0
        if self._flush_every and self._timer is None:
            self._timer = self._tasks.call_later("flush", self._flush_every / 2, self._tick)

    def _tick(self) -> None:
        """Two ticks behind the last octets they are out, unless the compressor has let them go by itself."""
        self._timer = None
        self._put(OutputRequest.FLUSH, 0)
        quiet = self._quiet_ticks + 1
        if quiet < 3:
            self._begin_ticking()
            self._quiet_ticks = quiet

    # in the threads

    def _work(self) -> None:
        unwritten: list[tuple[Message, Exception]] = []

        def listen(message: Message, error: Exception) -> None:
            unwritten.append((message, error))

        encoder = self._make_encoder(listen)
        while job := self._queue.get():
            number, item = job
            error: Exception | None = None
            octets = b""
            try:
                if not isinstance(item, OutputRequest) and self._given_up < 0:
                    octets = encoder.encode(item) if isinstance(item, Block) else item
            except Exception as failure:
                error = failure
            with self._turn:
                while self.written != number:
                    self._turn.wait()
                given_up = 0 <= self._given_up <= number
            failed, again = self._output.failed, False
            try:
                if isinstance(item, OutputRequest):
                    action = OutputRequest.ABORT if item is OutputRequest.CLOSE and given_up else item
                    getattr(self._output, action.value)()
                    again = failed and not self._output.failed
                elif octets and not self.failed and not given_up:
                    self._output.write(octets)
            except Exception as failure:
                error = failure
            if error is not None or again:
                self.failed = not again  # before the next piece has its turn: it must not follow behind a gap
            with self._turn:
                self.written += 1
                self._turn.notify_all()
            size = item.weight if isinstance(item, Block) else 0 if isinstance(item, OutputRequest) else len(item)
            self._tell(self._on_written, number, size, error, again, tuple(unwritten))
            unwritten.clear()
        self._tell(self._on_exit)

    def _on_thread_error(self, error: Exception) -> None:
        """What `_work` did not expect. The turn may be taken for ever: nothing more is written."""
        self.failed = True
        self._tell(self._on_broken, error)

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        if not self._tasks.call_threadsafe(call, *args):
            self.failed = True  # the loop has ended without waiting for us

    # back in the loop

    def _on_written(
        self,
        number: int,
        size: int,
        error: Exception | None,
        again: bool,
        unwritten: tuple[tuple[Message, Exception], ...],
    ) -> None:
        self._messages.pop(number, None)
        self._waiting -= 1
        self._waiting_octets -= size
        for message, reason in unwritten:
            self._on_report(message, reason)
        if not self._waiting:
            self._empty.set()
        if error is not None:
            self._fail(error)
        elif again:
            self.error = None
            for user in tuple(self._users):
                user.on_again()
        if self._full and self._waiting <= MAX_JOBS // 2 and self._waiting_octets <= MAX_OCTETS // 2:
            self._full = False
            users = tuple(self._users)
            self._users = [*users[1:], *users[:1]]  # the first may fill it again at once: next time it is another one
            for user in users:
                if self._full:
                    break
                user.on_room()

    def _fail(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
            for user in tuple(self._users):
                user.on_error(error)

    def _on_broken(self, error: Exception) -> None:
        self._broken = True
        self._empty.set()
        self._closed.set()
        self._fail(error)

    def _on_report(self, message: Message, error: Exception) -> None:
        for user in self._users[:1]:
            user.on_report(message, error)

    def _on_exit(self) -> None:
        self._running -= 1
        if not self._running:
            self._closed.set()
