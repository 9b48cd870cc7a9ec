"""Writes octets to a file, or to one file after the other (rotation). Each is published when complete: see
atomic_file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from .atomic_file import AtomicFile
from .errors import StreamError, explain
from .files_in_use import Identity

MIN_EVERY: Final = 60.0
"""The shortest interval of a rotation, in seconds."""


def objection(path: str, *, append: bool, create: bool, every: float) -> str:
    """Why a file can't be written in this way, "" if it can: see `files.open_output`. It opens nothing."""
    if append and create:
        return "--append and --create exclude each other"
    if every and every < MIN_EVERY:
        return f"--every must be at least {MIN_EVERY:.0f}s"
    if every and not _has_time(path):
        return "with --every, $TIME or ${LAYOUT} must be in the path: each file needs its own name"
    return ""


def _has_time(path: str) -> bool:
    if "$" not in path:
        return False
    from .layout import has_time  # only then, for a quick start

    return has_time(path)


class OutputFile:
    """Octets to a file, or to one after the other. Its methods block, and are for one thread at a time.

    write: takes whole records; a file ends only between two calls.
    flush: writes out what the compressor holds back, so that all can be read from the file even if this process is
    killed.
    rotate: publishes the file if its interval has passed; `write` does so too, but a quiet stream writes nothing.
    finish: completes the file on the disk, without giving it its name. close: publishes it; an interval in which
    nothing was written has no file. abort: keeps it as PATH.partial.
    All raise StreamError; then the file is aborted, and until the next interval `failed` is true, and `write` raises
    the same error. `kept` is the path of what was written to an aborted file.
    """

    def __init__(
        self,
        path: str,
        compression: str = "none",
        *,
        append: bool = False,
        create: bool = False,
        every: float = 0,
        time_format: str = "20060102.1504",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """compression: none, gz, bzip2 or zstd. clock: seconds since 1970."""
        if why := objection(path, append=append, create=create, every=every):
            raise StreamError(path, why)
        self._path = path
        self._compression = compression
        self._append = append
        self._create = create
        self._every = every
        self._time_format = time_format
        self._clock = clock
        self._slot = 0.0
        self._file: AtomicFile | None = None
        self._error: StreamError | None = None
        self._held = self._flowed = False
        """whether the compressor may hold octets back, and whether it has given some since the last `flush`"""
        self.octets = 0
        """octets written, before compression"""
        self.kept = ""
        self.empty = False
        """whether a file was published to which nothing was written"""
        self._open()

    @property
    def path(self) -> str:
        """The name of the file, in a rotation of the current one."""
        if not _has_time(self._path):
            return self._path
        from .layout import fill_path

        return fill_path(self._path, self._time_format, self._slot)

    @property
    def deadline(self) -> float | None:
        """When to call `rotate`, in seconds since 1970; None if there is nothing to do."""
        return self._slot + self._every if self._every and self._file else None

    @property
    def failed(self) -> bool:
        return self._error is not None

    @property
    def in_place(self) -> bool:
        """Whether the file itself is written, and not a new one that replaces it."""
        return self._file is not None and self._file.in_place

    @property
    def identity(self) -> Identity | None:
        """The identity of the file that is written or replaced; None if there is none."""
        return self._file.identity if self._file is not None else None

    def write(self, octets: bytes) -> None:
        if not octets:
            return
        self.rotate()
        if self._error is not None:
            raise self._error
        if self._file is None:
            if not self._every:
                raise StreamError(self.path, "is closed")
            self._open()
        self.octets += len(octets)
        self._guard(lambda file: self._write(file, octets))

    def begin(self) -> None:
        """Opens the file of this interval, if it is not open."""
        if self._file is None and self._error is None:
            self._open()

    @property
    def is_over(self) -> bool:
        """Whether the interval of the file that is open has passed."""
        return self._file is not None and self._every > 0 and self._clock() >= self._slot + self._every

    def add(self, octets: bytes) -> None:
        """As `write`, into the file that is open, also if its interval has passed."""
        if self._error is not None:
            raise self._error
        self.octets += len(octets)
        self._guard(lambda file: self._write(file, octets))

    def _write(self, file: AtomicFile, octets: bytes) -> None:
        self._flowed |= file.write(octets)
        self._held = self._compression != "none"

    def flush(self) -> None:
        """Flushes the compressor, but only if it has given nothing since the last call: a fast stream needs no flush,
        and is compressed better without one."""
        if self._held and not self._flowed:
            self._held = False
            self._guard(AtomicFile.flush)
        self._flowed = False

    def rotate(self) -> None:
        if self._every and self._clock() >= self._slot + self._every:
            self._error = None
            self.close()

    def finish(self) -> None:
        """Does all but the renaming, so that `close` takes little time and rarely fails."""
        self._guard(AtomicFile.finish)

    def close(self) -> None:
        self._guard(self._publish)
        self._file = None

    def _publish(self, file: AtomicFile) -> None:
        if self._every and not file.octets:
            file.discard()
        else:
            file.publish()
            self.empty = file.empty

    def abort(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self.kept = file.abort()

    def hurry(self) -> None:
        """Called in another thread, to end a `write` that takes too long. The file may then end within a record."""
        if self._file is not None:
            self._file.hurried = True

    def keep(self) -> None:
        """As `abort`, called in another thread while a method is at work that takes too long."""
        file = self._file
        if file is not None:
            self.kept = file.keep()

    def _open(self) -> None:
        now = self._clock()
        self._slot = now - now % self._every if self._every else now
        path = self.path
        # a file that an earlier run wrote in this interval must not be replaced
        append = self._append or (self._every > 0 and not self._create and os.path.exists(path))
        try:
            self._file = AtomicFile(path, self._compression, append=append, create=self._create)
        except OSError as error:
            self._error = StreamError(path, explain(error))
            raise self._error from error

    def _guard(self, action: Callable[[AtomicFile], None]) -> None:
        if self._file is None:
            return
        try:
            action(self._file)
        except OSError as error:
            self.abort()
            kept = f"; what was written is in {self.kept}" if self.kept else ""
            self._error = StreamError(self.path, explain(error) + kept)
            raise self._error from error
