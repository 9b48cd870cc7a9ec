"""Encodes items and writes them to an output, in order, in threads.

Blocks are encoded in threads: accel releases the GIL, so that two threads and the event loop use two cores. The threads
also write, each in its turn, so that only they wait for a slow disk or a full pipe.
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
from .tagged_files import TaggedFiles

THREADS: Final = 2
MAX_JOBS: Final = 100
"""Pieces that may wait to be written. Above that, the input has to wait."""
MAX_OCTETS: Final = 4 << 20
"""Octets of these pieces before they are encoded. Above that, the input has to wait."""
PIECE: Final = 1 << 18
"""Octets of single messages and small blocks that are written together."""
SMALL_BLOCK: Final = 64
"""Messages of a block that is encoded at once: that takes less time than to hand it to a thread."""
CLOSE_TIMEOUT: Final = 0.5
"""Seconds to close an output when there is no time to write the rest."""


class OutputStream(Protocol):
    """Where octets go: see bgpipe.net.output_file. It is used by one thread at a time."""

    @property
    def path(self) -> str:
        """Its name, for messages."""

    @property
    def identity(self) -> Identity | None:
        """The identity of the file that is written or replaced; None if there is none."""

    @property
    def in_place(self) -> bool:
        """Whether the file itself is written, and not a new one that replaces it."""

    @property
    def failed(self) -> bool: ...
    @property
    def kept(self) -> str:
        """The path of what was written, after `abort`; "" if nothing was kept."""

    def write(self, octets: bytes, /) -> object: ...
    def rotate(self) -> object: ...
    def flush(self) -> object: ...
    def finish(self) -> object: ...
    def close(self) -> object: ...
    def abort(self) -> object: ...
    def hurry(self) -> object: ...
    def keep(self) -> object: ...


class OutputRequest(Enum):
    """A job without octets: a request to the output."""

    FLUSH = "flush"
    FINISH = "finish"
    ROTATE = "rotate"
    CLOSE = "close"
    ABORT = "abort"


Item = Block | bytes | OutputRequest
Judge = Callable[[Message], object]
"""Called with each message that has no verdict and may be malformed."""


class User(Protocol):
    """A stage that writes to this output."""

    def on_full(self) -> None:
        """Called when too much waits to be written, and again with each further item."""

    def on_room(self) -> None:
        """Called when there is room again."""

    def on_report(self, message: Message, error: Exception) -> None:
        """Called with a message that could not be encoded."""

    def on_error(self, error: Exception) -> None:
        """Called when writing has failed. From now on, octets are lost."""

    def on_again(self) -> None:
        """Called when the output can be written again after an error."""


class OutputWriter:
    """Has an encoder for the event loop and one for each thread, and keeps the order of their octets.

    A stage that writes to it joins first, and is called in the event loop: see User.
    """

    def __init__(
        self,
        output: OutputStream,
        make_encoder: Callable[[OnReport], Encoder],
        flush_every: float = 0,
        *,
        in_order: bool = False,
    ) -> None:
        """flush_every: seconds that octets may wait in a compressor at most; 0 for any time. in_order: one encoder gets
        all messages of a file, in the event loop, because it goes by what it has encoded before."""
        self._in_order = in_order
        self._encoders: dict[str, Encoder] = {}
        """with in_order: by the path of the file. A new file gets a new encoder"""
        self.failed = False
        self.error: Exception | None = None
        """the error of the output; None if there is none, or the output can be written again"""
        self.complete = True
        """whether everything was put. If not, a file does not get its name when it is closed"""
        self._output = output
        self._make_encoder = make_encoder
        self._users: list[User] = []
        self._encoder = make_encoder(self._on_report)
        self._tasks = tasks.Tasks(self._fail)
        self._flush_every = flush_every
        self._timer: tasks.Timer | None = None
        self._quiet_ticks = 0
        self._piece: list[bytes] = []
        self._piece_size = self._piece_messages = 0
        self._path = ""
        """the file of the messages in the piece, where there are many"""
        self._queue: SimpleQueue[tuple[int, Item, Judge | None, str] | None] = SimpleQueue()
        self._count = 0
        self._messages: dict[int, int] = {}
        """the number of messages of each piece that waits, by the number of the piece"""
        self._given_up = -1
        """the number of the first piece that is not written any more, -1 for none"""
        self._waiting = 0
        self._waiting_octets = 0
        self._full = False
        self.written = 0
        """pieces that were written, or could not be"""
        self._turn = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._broken = False
        """whether a thread has ended by an unexpected error"""
        self._closed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def output(self) -> OutputStream:
        return self._output

    @property
    def waiting(self) -> int:
        """About so many octets wait to be encoded and written."""
        return self._waiting_octets + self._piece_size

    @property
    def holds_messages(self) -> bool:
        """Whether messages wait for `flush`."""
        return bool(self._piece)

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

    def put_message(self, message: Message, path: str = "") -> bool:
        """Encodes a message at once, because stages further on may change it. Returns whether it gave octets.

        path: that of its file, where there are many.
        """
        octets = self._encoder_for(path).encode_message(message)
        if octets:
            self._add(octets, 1, path)
        return bool(octets)

    def _encoder_for(self, path: str) -> Encoder:
        if not self._in_order:
            return self._encoder
        if path not in self._encoders:
            self._encoders[path] = self._make_encoder(self._on_report)
        return self._encoders[path]

    def put_block(self, block: Block, judge: Judge | None = None, path: str = "") -> None:
        """Encodes a small block at once, and gives a large one to a thread, except with `in_order`. It must not change
        any more.

        judge: for a block that was not validated; it needs a format that `checks`. path: as for put_message.
        """
        if len(block) > SMALL_BLOCK and not self._in_order:
            self.flush()
            self._put(block, block.weight, len(block), judge, path)
            return
        unchecked: list[Message] = []
        if judge is None:
            octets = self._encoder_for(path).encode(block)
        else:
            octets, unchecked = self._encoder.encode_unchecked(block)
        if octets:
            self._add(octets, len(block), path)
        if judge is not None and unchecked:
            self._judge(judge, unchecked)

    def _add(self, octets: bytes, messages: int, path: str) -> None:
        if path != self._path:
            self.flush()
            self._path = path
        self._piece.append(octets)
        self._piece_size += len(octets)
        self._piece_messages += messages
        if self._piece_size >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Passes on all single messages that were put so far."""
        if self._piece:
            octets, messages = b"".join(self._piece), self._piece_messages
            self._piece.clear()
            self._piece_size = self._piece_messages = 0
            self._put(octets, len(octets), messages, path=self._path)

    def rotate(self) -> None:
        """Makes the output begin its next file, if its time has come, after all that was put."""
        self._encoders.clear()
        self._put(OutputRequest.ROTATE, 0)

    async def finish(self) -> None:
        """Waits until all that was put is on the disk. The file does not get its name yet."""
        self.flush()
        self._put(OutputRequest.FINISH, 0)
        await self._empty.wait()

    def give_up(self) -> int:
        """Drops what waits, and the rest of what is being written, because there is no more time. Returns the number of
        messages dropped."""
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
        """Waits for CLOSE_TIMEOUT until a thread has closed the output. After that, the file is kept as it is."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._closed.wait()
        except (TimeoutError, asyncio.CancelledError):
            self._output.keep()

    def _put(self, item: Item, size: int, messages: int = 0, judge: Judge | None = None, path: str = "") -> None:
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
        self._queue.put((self._count, item, judge, path))
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
        """Called each tick. Flushes the compressor two ticks after the last octets, unless it has given them itself."""
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
            number, item, judge, path = job
            error: Exception | None = None
            octets, unchecked = b"", list[Message]()
            try:
                if isinstance(item, Block) and judge is not None and self._given_up < 0:
                    octets, unchecked = encoder.encode_unchecked(item)
                elif not isinstance(item, OutputRequest) and self._given_up < 0:
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
                    if isinstance(self._output, TaggedFiles):
                        self._output.write_to(path, octets)
                    else:
                        self._output.write(octets)
            except Exception as failure:
                error = failure
            if error is not None or again:
                self.failed = not again  # before the next piece is written: it must not follow a gap
            with self._turn:
                self.written += 1
                self._turn.notify_all()
            size = item.weight if isinstance(item, Block) else 0 if isinstance(item, OutputRequest) else len(item)
            if judge is not None and unchecked:
                self._tell(self._judge, judge, unchecked)
            self._tell(self._on_written, number, size, error, again, tuple(unwritten))
            unwritten.clear()
        self._tell(self._on_exit)

    def _on_thread_error(self, error: Exception) -> None:
        """Called when `_work` has failed unexpectedly. Nothing more is written, because the next turn may never
        come."""
        self.failed = True
        self._tell(self._on_broken, error)

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        if not self._tasks.call_threadsafe(call, *args):
            self.failed = True  # the loop has ended without waiting for us

    # back in the loop

    def _judge(self, judge: Judge, unchecked: list[Message]) -> None:
        for message in unchecked:
            judge(message)

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
            self._encoders.clear()  # what they have told since then was not written
            for user in tuple(self._users):
                user.on_again()
        if self._full and self._waiting <= MAX_JOBS // 2 and self._waiting_octets <= MAX_OCTETS // 2:
            self._full = False
            users = tuple(self._users)
            # the first user may fill the queue again at once, so another one is first next time
            self._users = [*users[1:], *users[:1]]
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
