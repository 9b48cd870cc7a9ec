"""Files written so that what stands under their name is whole.

A file is written as PATH.tmp beside PATH, and gets its name when it is complete and on the disk. If it can't be
completed, what was written is kept as PATH.partial; so is the PATH.tmp that a crash has left. Only --append writes into
the file itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import time
from collections.abc import Callable
from typing import Final

from .compression import Compressor, compressor
from .errors import StreamError, explain
from .layout import fill_path, has_time

MIN_EVERY: Final = 60.0
"""Seconds that a file of a rotation covers at least."""
_MODE: Final = 0o644


class OutputFile:
    """Octets to a file, or to one after the other. Its methods block, and are for one thread at a time.

    write: octets that belong together, such as whole records: a file ends behind such.
    rotate: publishes the file if its interval has passed; `write` does so too, but a quiet stream writes nothing.
    close: publishes the file. abort: keeps it as PATH.partial. A file that nothing was written to is removed.
    All raise StreamError; after that the file is aborted, and `write` raises the same error until the next interval:
    so long it has `failed`.
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
        if append and create:
            raise StreamError(path, "--append and --create exclude each other")
        if every and every < MIN_EVERY:
            raise StreamError(path, f"--every must be at least {MIN_EVERY:.0f}s")
        if every and not has_time(path):
            raise StreamError(path, "with --every, $TIME or ${LAYOUT} must be in the path, or all files had one name")
        self._path = path
        self._compression = compression
        self._append = append
        self._create = create
        self._every = every
        self._time_format = time_format
        self._clock = clock
        self._slot = 0.0
        self._file: _File | None = None
        self._error: StreamError | None = None
        self._open()

    @property
    def path(self) -> str:
        """The file's name, or the present file's."""
        return fill_path(self._path, self._time_format, self._slot) if has_time(self._path) else self._path

    @property
    def deadline(self) -> float | None:
        """When to call `rotate`, in seconds since 1970; None if there is nothing to do."""
        return self._slot + self._every if self._every and self._file else None

    @property
    def failed(self) -> bool:
        return self._error is not None

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
        self._guard(lambda file: file.write(octets))

    def rotate(self) -> None:
        if self._every and self._clock() >= self._slot + self._every:
            self._error = None
            self.close()

    def close(self) -> None:
        self._guard(lambda file: file.publish())
        self._file = None

    def abort(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.abort()

    def _open(self) -> None:
        now = self._clock()
        self._slot = now - now % self._every if self._every else now
        path = self.path
        # What an earlier run wrote in this interval is not to be lost to this one.
        append = self._append or (self._every > 0 and not self._create and os.path.exists(path))
        try:
            self._file = _File(path, self._compression, append=append, create=self._create)
        except OSError as error:
            self._error = StreamError(path, explain(error))
            raise self._error from error

    def _guard(self, action: Callable[[_File], None]) -> None:
        if self._file is None:
            return
        try:
            action(self._file)
        except OSError as error:
            kept = self._file.abort()
            self._file = None
            self._error = StreamError(self.path, explain(error) + (f"; what was written is in {kept}" if kept else ""))
            raise self._error from error


class _File:
    """One file, opened at once so that what forbids it shows early. Raises OSError.

    A device or a pipe is written as it is, since there is nothing to publish.
    """

    def __init__(self, path: str, compression: str, *, append: bool, create: bool) -> None:
        self._path = path = os.path.realpath(path) if os.path.islink(path) else path
        self._create = create
        self._packed = compression != "none"
        self._compressor: Compressor | None = compressor(compression) if self._packed else None
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        exists = os.path.exists(path)
        if create and exists:
            raise FileExistsError(errno.EEXIST, "exists already, and --create wants a new file")
        self._device = exists and not os.path.isfile(path)
        self._in_place = append or self._device
        self._target = path if self._in_place else path + ".tmp"
        self._fresh = not (self._in_place and exists)
        self._fd = self._claim()
        self._start = self._end = os.fstat(self._fd).st_size if append and not self._device else 0
        if self._start:
            os.lseek(self._fd, 0, os.SEEK_END)
        self._written = 0
        """Octets, before compression."""
        self._whole = True
        """Whether the last write was written to its end."""

    def write(self, octets: bytes) -> None:
        self._written += len(octets)
        self._put(self._compressor.compress(octets) if self._compressor else octets)

    def publish(self) -> None:
        if not self._written:
            self._discard()
            return
        self._finish()
        if not self._device:
            os.fsync(self._fd)
        if not self._in_place:
            self._rename()
            _sync_folder(self._path)
        os.close(self._fd)

    def abort(self) -> str:
        """Leaves nothing under the file's name that isn't whole; where what was written is kept, if it is."""
        kept = ""
        with contextlib.suppress(OSError):
            if not self._written:
                self._discard()
                return ""
            if self._whole:
                with contextlib.suppress(OSError):
                    self._finish()
            if not self._whole and not self._device:
                if not self._packed:
                    os.ftruncate(self._fd, self._end)
                elif self._in_place:
                    # A member that is cut short would spoil what is appended behind it.
                    os.ftruncate(self._fd, self._start)
                    self._end = self._start
            if self._end == self._start:
                self._discard()
                return ""
            kept = self._target
            if not self._in_place:
                kept = self._path + ".partial"
                os.replace(self._target, kept)
        os.close(self._fd)
        return kept

    def _finish(self) -> None:
        """Ends the compressed member."""
        if self._compressor is not None:
            packing, self._compressor = self._compressor, None
            self._put(packing.flush())

    def _claim(self) -> int:
        """The target, open and locked. What a crash has left there becomes PATH.partial."""
        flags = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
        if self._device:
            return os.open(self._target, flags)
        fd = _locked(self._target, flags | os.O_CREAT)
        if not self._in_place and os.fstat(fd).st_size:
            os.replace(self._target, self._path + ".partial")
            os.close(fd)
            fd = _locked(self._target, flags | os.O_CREAT)
        return fd

    def _rename(self) -> None:
        if self._create:
            try:
                os.link(self._target, self._path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                if os.path.lexists(self._path):
                    raise FileExistsError(errno.EEXIST, "has come to exist meanwhile") from None
                os.replace(self._target, self._path)
            else:
                os.unlink(self._target)
        else:
            os.replace(self._target, self._path)

    def _put(self, octets: bytes) -> None:
        view = memoryview(octets)
        self._whole = False
        while view:
            view = view[os.write(self._fd, view) :]
        self._whole = True
        self._end += len(octets)

    def _discard(self) -> None:
        """A file that nothing was written to."""
        if self._fresh:
            os.unlink(self._target)
        os.close(self._fd)


class StandardOutput:
    """Standard output, with the methods of Output. Raises BrokenPipeError once nobody reads it any more."""

    path = "standard output"
    deadline = None
    failed = False

    def __init__(self, compression: str = "none") -> None:
        self._compressor: Compressor | None = compressor(compression) if compression != "none" else None

    def write(self, octets: bytes) -> None:
        self._put(self._compressor.compress(octets) if self._compressor else octets)

    def rotate(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        if self._compressor:
            self._put(self._compressor.flush())
            self._compressor = None

    def abort(self) -> None:
        """Nothing to do."""

    def _put(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            try:
                view = view[os.write(1, view) :]
            except BlockingIOError:
                select.select([], [1], [])
            except OSError as error:
                self.failed = True
                if isinstance(error, BrokenPipeError):
                    raise
                raise StreamError(self.path, explain(error)) from error


def _locked(path: str, flags: int) -> int:
    """Opens a file that no other process may write meanwhile; where the file system has no locks, nobody can tell."""
    fd = os.open(path, flags, _MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise OSError(errno.EBUSY, "another process is writing it") from error
    except OSError:
        pass
    return fd


def _sync_folder(path: str) -> None:
    """A file's name is on the disk when its folder is."""
    with contextlib.suppress(OSError):
        fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
