"""Streams of octets, decompressed in the background, for loops and coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Final

from .. import tasks
from .bounded_queue import BoundedQueue, Closed
from .compression import by_content, decompress
from .errors import DamagedError, StreamError
from .octet_source import OctetSource

QUEUE_CHUNKS: Final = 8
"""Chunks that may wait for the consumer, each of at most about 1 MB."""


class InputStream:
    """A stream of octets. Iterate over it with `for` or `async for`.

    A thread reads and decompresses, from `begin` or from the first iteration on, in parallel with the consumer.
    Iteration raises StreamError. For a part of a compressed stream that can't be read, it calls `on_damage` and goes
    on; without `on_damage` it raises DamagedError, and a new loop goes on behind the part.

    source: gives the octets; its `position` and `total` show the progress, in octets before decompression.
    """

    def __init__(
        self,
        source: OctetSource,
        compression: str = "auto",
        promise: str = "none",
        on_damage: Callable[[DamagedError], None] | None = None,
    ) -> None:
        """compression: auto, none, gz, bzip2 or zstd. promise: the compression for the name of the stream, if the
        content shows none."""
        self.source = source
        self._compression = compression
        self._promise = promise
        self._on_damage = on_damage
        self._queue: BoundedQueue[bytes | Exception] = BoundedQueue(QUEUE_CHUNKS)
        self._error: StreamError | None = None
        self._begun = False
        self._abreast = 1

    def begin(self, abreast: int = 1) -> None:
        """Begins to read. abreast: how many streams are read at the same time. With more, each keeps less in memory."""
        if not self._begun:
            self._begun = True
            self._abreast = abreast
            self._queue.resize(max(1, QUEUE_CHUNKS // abreast))
            tasks.thread(f"read {self.source.name}", self._produce, self._put_error)

    @property
    def name(self) -> str:
        """For messages."""
        return self.source.name

    @property
    def position(self) -> int:
        """Octets read so far, before decompression."""
        return self.source.position

    @property
    def total(self) -> int | None:
        """Octets of the whole stream, before decompression; None if that is not known."""
        return self.source.total

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.begin()
        while True:
            try:
                item = self._queue.get()
            except Closed:
                raise StopIteration from None
            if octets := self._judge(item):
                return octets

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.begin()
        while True:
            try:
                item = await self._queue.get_async()
            except Closed:
                raise StopAsyncIteration from None
            if octets := self._judge(item):
                return octets

    def __enter__(self) -> InputStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the input."""
        self.source.close()
        self._queue.close()
        if not self._begun:
            self._begun = True
            self.source.release()

    def _judge(self, item: bytes | Exception) -> bytes | None:
        if isinstance(item, bytes):
            return item
        if isinstance(item, DamagedError) and self._on_damage is not None:
            self._on_damage(item)
            return None
        raise item

    def _produce(self) -> None:
        """Reads and decompresses, in a thread of its own."""
        try:
            for octets in self._decompressed():
                if octets:
                    self._queue.put(octets)
            if self._error is not None:
                self._queue.put(self._error)
        except Closed:
            pass
        except Exception as error:  # the consumer gets the error
            self._put_error(error)
        finally:
            self._queue.finish()

    def _put_error(self, error: Exception) -> None:
        with suppress(Closed):
            self._queue.put(error)

    def _decompressed(self) -> Iterator[bytes]:
        raw = self._raw()
        compression, start = self._compression, b""
        if compression == "auto":
            found: str | None = None
            for octets in raw:
                start += octets
                found = by_content(start)
                if found is not None:
                    break
            compression = found or "none"
            if compression == "none" and not getattr(self.source, "encoded", False):
                from ..formats import sniff  # where the octets already are of a format, the name is wrong

                compression = self._promise if start and sniff(start) is None else "none"
        return decompress(compression, _chain(start, raw), self._damage, self._abreast)

    def _raw(self) -> Iterator[bytes]:
        """The octets of the source. After an error, all octets before it are still decompressed; then the error is
        raised."""
        try:
            yield from self.source
        except StreamError as error:
            self._error = error

    def _damage(self, text: str) -> None:
        self._queue.put(DamagedError(self.name, text))


def _chain(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    yield from rest
