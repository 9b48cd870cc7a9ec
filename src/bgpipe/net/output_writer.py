"""The way out: items in, octets of a format out, in order.

Blocks are encoded in threads: accel lets go of the interpreter while it works, so that two of them and the loop
use two cores. The threads write too, each in its turn, so that nobody waits for a slow disk or a full pipe but them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Protocol

from ..formats.base import Encoder, OnReport
from ..pipeline.errors import StageError
from ..wire.block import Block
from ..wire.message import Message

THREADS: Final = 2
MAX_JOBS: Final = 100
"""Pieces that wait to be written before the input must wait."""
MAX_OCTETS: Final = 4 << 20
"""Octets that they may hold, as they were before they were encoded."""
CLOSE: Final = None
"""The last job."""
PIECE: Final = 1 << 18
"""Octets of single messages that are written together."""


class OutputStream(Protocol):
    """Where octets go: see bgpipe.net.output_file. It is used by one thread at a time."""

    @property
    def failed(self) -> bool: ...
    def write(self, octets: bytes, /) -> object: ...
    def rotate(self) -> object: ...
    def close(self) -> object: ...


class User(Protocol):
    """Who writes here."""

    def on_full(self) -> None:
        """There is too much to be written; said again and again, until there is room."""

    def on_room(self) -> None:
        """There is room again."""

    def on_report(self, message: Message, error: Exception | None) -> None:
        """An encoder tells of a message."""

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
    ) -> None:
        self.failed = False
        self.error: Exception | None = None
        """why the output failed, None if it didn't or has begun anew"""
        self._output = output
        self._make_encoder = make_encoder
        self._users: list[User] = []
        self._encoder = make_encoder(self._on_report)
        self._loop = asyncio.get_running_loop()
        self._piece: list[bytes] = []
        self._piece_size = 0
        self._queue: SimpleQueue[tuple[int, Block | bytes | None] | None] = SimpleQueue()
        self._count = 0
        self._waiting = 0
        self._waiting_octets = 0
        self._full = False
        self.written = 0
        """pieces that the output has taken, or refused"""
        self._turn = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._closed = asyncio.Event()

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

    def put_message(self, message: Message) -> None:
        """A message is encoded now: stages further on may change it."""
        octets = self._encoder.encode_message(message)
        if octets:
            self._piece.append(octets)
            self._piece_size += len(octets)
            if self._piece_size >= PIECE:
                self.flush()

    def put_block(self, block: Block) -> None:
        """A block is encoded when a thread has time. Nobody changes it any more."""
        self.flush()
        self._put(block, len(block.octets))

    def flush(self) -> None:
        """Nothing stays behind to wait for more messages."""
        if self._piece:
            octets = b"".join(self._piece)
            self._piece.clear()
            self._piece_size = 0
            self._put(octets, len(octets))

    def rotate(self) -> None:
        """Lets the output begin its next file, if it is time, behind what has been put."""
        self._put(b"", 0)

    async def close(self) -> None:
        """Closes the output when all is written. Raises StageError if it has failed, and nobody is here to be told."""
        self.flush()
        self._put(CLOSE, 0)
        for _ in self._threads:
            self._queue.put(None)
        await self._closed.wait()
        if self.error is not None and not self._users:
            raise StageError(str(self.error)) from self.error

    def _put(self, item: Block | bytes | None, size: int) -> None:
        if self.failed and item:
            return
        if len(self._threads) < THREADS and self._waiting == len(self._threads):
            thread = threading.Thread(target=self._work, name=f"writer-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            self._running += 1
            thread.start()
        self._queue.put((self._count, item))
        self._count += 1
        self._waiting += 1
        self._waiting_octets += size
        if not self._full and (self._waiting >= MAX_JOBS or self._waiting_octets >= MAX_OCTETS):
            self._full = True
            for user in tuple(self._users):
                user.on_full()

    # in the threads

    def _work(self) -> None:
        needs_check: list[tuple[Message, Exception | None]] = []

        def listen(message: Message, error: Exception | None) -> None:
            needs_check.append((message, error))

        encoder = self._make_encoder(listen)
        while job := self._queue.get():
            number, item = job
            error: Exception | None = None
            octets = b""
            try:
                octets = encoder.encode(item) if isinstance(item, Block) else item or b""
            except Exception as failure:
                error = failure
            with self._turn:
                while self.written != number:
                    self._turn.wait()
            failed, again = self._output.failed, False
            if not self.failed or not octets:
                try:
                    if octets:
                        self._output.write(octets)
                    else:
                        (self._output.close if item is CLOSE else self._output.rotate)()
                        again = failed and not self._output.failed
                except Exception as failure:
                    error = failure
            if error is not None or again:
                self.failed = not again  # before the next piece has its turn: it must not follow behind a gap
            with self._turn:
                self.written += 1
                self._turn.notify_all()
            size = len(item.octets) if isinstance(item, Block) else len(item or b"")
            self._tell(self._on_written, size, error, again, tuple(needs_check))
            needs_check.clear()
        self._tell(self._on_exit)

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            self.failed = True  # the loop has ended without waiting for us

    # back in the loop

    def _on_written(
        self, size: int, error: Exception | None, again: bool, needs_check: tuple[tuple[Message, Exception | None], ...]
    ) -> None:
        self._waiting -= 1
        self._waiting_octets -= size
        for message, reason in needs_check:
            self._on_report(message, reason)
        if error is not None and self.error is None:
            self.error = error
            for user in tuple(self._users):
                user.on_error(error)
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

    def _on_report(self, message: Message, error: Exception | None) -> None:
        for user in self._users[:1]:
            user.on_report(message, error)

    def _on_exit(self) -> None:
        self._running -= 1
        if not self._running:
            self._closed.set()
