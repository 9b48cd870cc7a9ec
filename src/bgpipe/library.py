"""Reading and writing for scripts: `bgpipe.read`, `bgpipe.read_async` and `bgpipe.write`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from typing import BinaryIO, Final
from weakref import WeakSet, finalize

from . import formats
from .filters import Filter, compile_filter
from .formats.base import Counts, Damage, Decoder, DecoderOptions, Encoder, EncoderOptions, Format, ignore_damage
from .net.collected_output import collected
from .net.files import InputStream, StreamError, open_input, open_output
from .net.files_in_use import Identity, file_identity
from .wire.block import Block
from .wire.context import AS4, WireContext
from .wire.errors import TextError, WireError
from .wire.item import Item
from .wire.message import Message

Path = str | os.PathLike[str]
PIECE: Final = 1 << 18
"""Octets that are read from a file object at once, and octets of messages that are written at once."""


class Reader:
    """The messages of an input; `read` makes it. Iterate over it with `for`. It is a context manager: use `with` if you
    don't read to the end.

    Damaged records and damaged compressed data are counted and skipped. If the rest can't be read, iteration gives all
    messages before that, and then raises OSError.
    """

    def __init__(self, source: Path | BinaryIO, opening: _Opening) -> None:
        self._decoder = opening.decoder()
        self._input = opening.open(source, self._decoder)
        _readers.add(self)
        self._items = _read(self._input, self._decoder)
        self._messages = _messages(self._items)
        # A generator that was never started has no `finally`: whoever drops this reader half read ends its thread.
        finalize(self._items, self._input.close).atexit = False

    def __iter__(self) -> Iterator[Message]:
        return self._messages

    def __next__(self) -> Message:
        return next(self._messages)

    def items(self) -> Iterator[Item]:
        """Messages and blocks of messages, without opening the blocks. `write` and encoders take both."""
        return self._items

    def _serve(self, found: Format) -> list[list[bytes]]:
        """As FilteredDecoder.serve."""
        return self._decoder.serve(found)

    @property
    def identity(self) -> Identity | None:
        """Device and inode number of the file that is read; None for anything else."""
        return self._input.source.identity

    @property
    def counts(self) -> Counts:
        """Records and messages read so far, before the filter."""
        return self._decoder.counts

    def close(self) -> None:
        """Closes the input; iteration ends."""
        self._messages.close()
        self._items.close()
        self._input.close()
        self._input.source.identity = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncReader:
    """The messages of an input; `read_async` makes it. Iterate over it with `async for`. It is an async context
    manager, and raises what Reader raises."""

    def __init__(self, source: Path | BinaryIO, opening: _Opening) -> None:
        self._decoder = opening.decoder()
        self._input = opening.open(source, self._decoder)
        self._messages = self._read()
        finalize(self, self._input.close).atexit = False

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._messages

    async def __anext__(self) -> Message:
        return await anext(self._messages)

    @property
    def counts(self) -> Counts:
        """Records and messages read so far, before the filter."""
        return self._decoder.counts

    async def aclose(self) -> None:
        """Closes the input."""
        self._input.close()

    async def __aenter__(self) -> AsyncReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _read(self) -> AsyncIterator[Message]:
        from asyncio import sleep

        failure: OSError | None = None
        try:
            async for octets in self._input:
                for message in _messages(self._decoder.feed(octets)):
                    yield message
                await sleep(0)  # others have their turn, however fast the input is
        except StreamError as error:
            failure = error
        for message in _messages(self._decoder.end()):
            yield message
        if failure is not None:
            raise failure


class _Opening:
    """The arguments of `read`, checked before the input is opened."""

    def __init__(
        self,
        filter: str | Filter | None,
        narrow: bool,
        format: str,
        decompress: str,
        states: bool,
        caps: Mapping[str, object] | None,
        on_damage: Callable[[Damage], None] | None,
    ) -> None:
        if narrow and filter is None:
            raise ValueError("narrow=True needs a filter")
        self._filter = compile_filter(filter) if isinstance(filter, str) else filter
        self._narrow = narrow
        self._format = formats.find(format) if format != "auto" else None
        self._decompress = decompress
        self._options = DecoderOptions(on_damage or ignore_damage, _context(caps), states)

    def decoder(self) -> FilteredDecoder:
        return FilteredDecoder(self._filter, self._narrow, self._format, self._options)

    def open(self, source: Path | BinaryIO, decoder: FilteredDecoder) -> InputStream:
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            decoder.take_name(path)
            return open_input(path, self._decompress, decoder.on_damage)
        return InputStream(_FileObject(source), self._decompress, on_damage=decoder.on_damage)


class FilteredDecoder:
    """Octets to the items that the filter lets through."""

    def __init__(
        self,
        filter: Filter | None,
        narrow: bool,
        format: Format | None,
        options: DecoderOptions,
    ) -> None:
        self._filter = filter
        self._narrow = narrow
        self._format = format
        self._named: Format | None = None
        self._options = options
        self._decoder: Decoder | None = None
        self._start = b""
        self.counts = Counts()

    def take_name(self, path: str) -> None:
        """Takes the name of the input, which decides about the format if the content does not."""
        self._named = formats.detect_by_name(path)

    def serve(self, found: Format) -> list[list[bytes]]:
        """Reads as a format wants it that all is written in, unless reading has begun. Returns the tables that are read
        (see Format.collect), to which more is added."""
        records: list[bytes] = []
        on_table = records.append if found.collect is not None else None
        self._options = self._options._replace(entries=found.entries, on_table=on_table)
        return [records]

    def on_damage(self, error: Exception) -> None:
        """Reports damage of the compressed data, before decoding."""
        self.counts.damaged += 1
        self._options.on_damage(Damage(str(error)))

    def feed(self, octets: bytes) -> Iterator[Item]:
        if self._decoder is None:
            octets = self._start = self._start + octets
            if not self._choose(last=False):
                return iter(())
        assert self._decoder is not None
        return self._select(self._decoder.feed(octets))

    def end(self) -> Iterator[Item]:
        if self._decoder is not None:
            yield from self._select(self._decoder.end())
        elif self._start:
            self._choose(last=True)
            assert self._decoder is not None
            yield from self._select(self._decoder.feed(self._start))
            yield from self._select(self._decoder.end())

    def _choose(self, *, last: bool) -> bool:
        """Makes the decoder, once it is known which. Raises TextError."""
        try:
            found = self._format or formats.detect(self._start, self._named, last=last)
        except TextError as error:
            raise TextError(f"{error}: give format=") from None
        if found is None:
            return False
        self._decoder = found.open_decoder(self._options)
        self._decoder.counts.damaged += self.counts.damaged
        self.counts = self._decoder.counts
        return True

    def _select(self, items: Iterator[Item]) -> Iterator[Item]:
        filter = self._filter
        if filter is None:
            return items
        return _narrowed(filter, items) if self._narrow else _selected(filter, items)


def _narrowed(filter: Filter, items: Iterator[Item]) -> Iterator[Item]:
    """The items with only the routes that match."""
    from .wire.update import Update

    for item in items:
        if isinstance(item, Block):
            block = filter.narrow(item)
            if block.index:
                yield block
            continue
        body = filter.narrow_message(item)
        if body is None:
            continue
        if body is not item.body:
            item.update = Update(body, item.context)
        yield item


def _selected(filter: Filter, items: Iterator[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Block):
            block = filter.select(item)
            if block.index:
                yield block
        elif filter(item):
            yield item


def _read(input: InputStream, decoder: FilteredDecoder) -> Generator[Item]:
    failure: OSError | None = None
    try:
        try:
            for octets in input:
                yield from decoder.feed(octets)
        except StreamError as error:
            failure = error
        yield from decoder.end()
        if failure is not None:
            raise failure
    finally:
        input.close()
        input.source.identity = None  # it is not read any more


def _messages(items: Iterator[Item]) -> Generator[Message]:
    for item in items:
        if isinstance(item, Block):
            yield from item
        else:
            yield item


_readers: WeakSet[Reader] = WeakSet()
"""Readers that may not have ended."""


class _FileObject:
    """A file object as a source of octets."""

    total: int | None = None

    def __init__(self, stream: BinaryIO) -> None:
        self.name = str(getattr(stream, "name", "input"))
        self.position = 0
        self._stream = stream
        self._closed = False
        try:
            self.identity = file_identity(stream.fileno())
        except (AttributeError, OSError, ValueError):
            self.identity = None

    def __iter__(self) -> Iterator[bytes]:
        while not self._closed and (octets := self._stream.read(PIECE)):
            self.position += len(octets)
            yield octets

    def close(self) -> None:
        self._closed = True

    def release(self) -> None:
        """Does nothing: the caller who opened the file object closes it."""


def read(
    source: Path | BinaryIO,
    *,
    filter: str | Filter | None = None,
    narrow: bool = False,
    format: str = "auto",
    decompress: str = "auto",
    states: bool = False,
    caps: Mapping[str, object] | None = None,
    on_damage: Callable[[Damage], None] | None = None,
) -> Reader:
    """Reads the messages of an archive or a stream, while you iterate.

    source: a path, an http(s) URL, "-" for standard input, or a binary file object.
    filter: only messages that match; the language of the `grep` stage. Much faster than an `if`.
    narrow: remove the routes that don't match from UPDATEs in which others do (docs/filters.md).
    format: json, mrt, raw, or one of another package. auto: the content decides, and the name if the content does not.
    decompress: gz, bzip2, zstd or none. auto: the content decides, then the name.
    states: give the state changes of MRT archives too, as StateChange.
    caps: decode messages as if these capabilities were agreed; written as in the JSON of an OPEN: {"ADDPATH": [...]}.
    on_damage: called for each record that can't be read; reading goes on after it.

    If the input does not say direction and number of a message, they are "?" and 0.
    Raises FilterError, TextError (an unknown format, wrong capabilities), ValueError (an unknown compression; narrow
    without a filter), OSError (the input can't be opened or read).
    """
    return Reader(source, _Opening(filter, narrow, format, decompress, states, caps, on_damage))


def read_async(
    source: Path | BinaryIO,
    *,
    filter: str | Filter | None = None,
    narrow: bool = False,
    format: str = "auto",
    decompress: str = "auto",
    states: bool = False,
    caps: Mapping[str, object] | None = None,
    on_damage: Callable[[Damage], None] | None = None,
) -> AsyncReader:
    """As `read`, for `async for`. A thread reads and decompresses, and other tasks of the event loop run meanwhile."""
    return AsyncReader(source, _Opening(filter, narrow, format, decompress, states, caps, on_damage))


def write(
    path: Path,
    messages: Iterable[Item],
    *,
    format: str = "auto",
    compress: str = "auto",
    compat: str = "",
    append: bool = False,
) -> int:
    """Writes messages to a file, or with "-" to standard output. Returns the number of messages.

    messages: an iterable of messages. Those of `read` are written block by block, without opening the blocks.
    format, compress: auto: the name decides; standard output gets JSON.
    compat: the dialect of another program, as for --compat: "go" is JSON that the Go bgpipe reads.
    append: append to an existing file. Without it, the new file replaces an existing one when it is complete; after an
    error the existing one stays.
    Raises TextError (an unknown format or dialect), ValueError (an unknown compression), OSError (the file can't be
    written, or it is read and appended to at the same time).
    """
    name = os.fspath(path)
    found = _format(name, format)
    encoder = found.open_encoder(EncoderOptions(compat=compat))
    tables = None
    if isinstance(messages, Reader):
        tables = messages._serve(found)
        messages = messages.items()
    output = collected(open_output(name, compress, append=append), found, tables)
    if append and output.identity and any(reader.identity == output.identity for reader in list(_readers)):
        output.abort()
        raise StreamError(name, "is being read; the same file can't be appended to")
    count = 0
    try:
        for octets, number in _pieces(encoder, messages):
            output.write(octets)
            count += number
    except BaseException:
        output.abort()
        raise
    output.close()
    return count


def _format(path: str, format: str) -> Format:
    if format == "auto":
        found = formats.find("json") if path == "-" else formats.detect_by_name(path)
        if found is None:
            raise TextError(f"can't tell the format from the name {path!r}: give format=")
    else:
        found = formats.find(format)
    return found


def _context(capabilities: Mapping[str, object] | None) -> WireContext:
    """Raises TextError."""
    if not capabilities:
        return AS4
    from .wire import caps, negotiation

    try:
        return WireContext(add_path=negotiation.contexts(caps.from_json(capabilities)).right.add_path)
    except WireError as error:
        raise TextError(f"caps: {error}") from None


def _pieces(encoder: Encoder, items: Iterable[Item]) -> Iterator[tuple[bytes, int]]:
    """Octets to write, those of single messages joined, and the number of their messages."""
    waiting: list[bytes] = []
    size = 0
    for item in items:
        octets = encoder.encode(item)
        if isinstance(item, Block):
            yield b"".join((*waiting, octets)), len(waiting) + len(item)
            waiting, size = [], 0
        elif octets:
            waiting.append(octets)
            size += len(octets)
            if size >= PIECE:
                yield b"".join(waiting), len(waiting)
                waiting, size = [], 0
    yield b"".join(waiting), len(waiting)
