"""Writes a file so that under its name there is only a complete file.

The file is written as PATH.tmp beside PATH, and renamed when it is complete and on the disk. If it can't be completed,
it is kept as PATH.partial; so is a PATH.tmp that a crash has left. A file with `append`, a device and a named pipe are
written directly.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import Final, NoReturn

from .compression import Compressor, compressor
from .files_in_use import Identity, file_identity

_MODE: Final = 0o644
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Links are not followed, and opening a named pipe does not wait for a reader."""
_SLICE: Final = 1 << 16
"""Octets that are compressed at once by slow compressors."""


class AtomicFile:
    """A file to write. It is opened at once, so that errors show early; a device or named pipe is opened by the first
    write, because that may take long. Methods raise OSError.

    identity: of the file that is written or replaced; None if there is none, or for a device. octets: written so far,
    before compression.
    """

    def __init__(self, path: str, compression: str, *, append: bool, create: bool) -> None:
        exists = os.path.exists(path)
        self._device = exists and not os.path.isfile(path)
        self._path = path if self._device or not os.path.islink(path) else os.path.realpath(path)
        self._create = create
        self._append = append
        self._compression = compression
        self._compressor: Compressor | None = None
        self._make_folders()
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if create and exists:
            raise FileExistsError(errno.EEXIST, "exists already, and --create needs a new file")
        self.identity = _identity(self._path) if exists and not self._device else None
        self.in_place = append or self._device
        self._target = self._path if self.in_place else self._path + ".tmp"
        self._fresh = not (self.in_place and exists)
        self._fd = -1 if self._device else self._claim()
        if append:
            self.identity = file_identity(self._fd)
        self._start = self._end = os.fstat(self._fd).st_size if append and not self._device else 0
        if self._start:
            os.lseek(self._fd, 0, os.SEEK_END)
        if self.identity and not self.in_place:
            os.fchmod(self._fd, stat.S_IMODE(os.stat(self._path).st_mode))
        self.octets = 0
        self.hurried = False
        """set by another thread: a long write then ends early, perhaps within a record"""
        self._finished = False
        self._whole = True
        """Whether the last write was completed."""

    @property
    def empty(self) -> bool:
        """Whether it is a new file, and nothing was written to it."""
        return self._fresh and not self.octets

    def write(self, octets: bytes) -> bool:
        """Writes octets. Returns whether some reached the file; the compressor may hold back all of them."""
        if not octets:
            return False
        self.octets += len(octets)
        if self._compression == "none":
            return self._put(octets)
        if self._compressor is None:
            self._compressor = compressor(self._compression)
        reached, size = False, _SLICE if self._compression == "bzip2" else len(octets)
        for start in range(0, len(octets), size):
            if start and self.hurried:
                break
            reached |= self._put(self._compressor.compress(octets[start : start + size]))
        return reached

    def flush(self) -> None:
        """Writes out what the compressor holds back, so that it is in the file even if this process is killed."""
        if self._compressor is not None:
            self._put(self._compressor.sync())

    def finish(self) -> None:
        """Writes everything to the disk. A file without octets is a valid empty stream of its compression."""
        if self._finished:
            return
        if self.empty and self._compression != "none":
            self._compressor = compressor(self._compression)
        self._end_member()
        if self._device:
            self._open_device()
        else:
            os.fsync(self._fd)
        self._finished = True

    def publish(self) -> None:
        """Completes the file and gives it its name."""
        self.finish()
        if not self.in_place:
            self._rename()
        if not self._device:
            _sync_folder(self._path)
        os.close(self._fd)

    def discard(self) -> None:
        """Removes a file to which nothing was written."""
        if self._fresh:
            os.unlink(self._target)
        if self._fd >= 0:
            os.close(self._fd)

    def abort(self) -> str:
        """Gives up the file, without an incomplete file under its name. Returns the path of what is kept, "" for
        nothing."""
        kept = ""
        with contextlib.suppress(OSError):
            if not self.octets:
                self.discard()
                return ""
            if self._whole:
                with contextlib.suppress(OSError):
                    self._end_member()
            if not self._whole and not self._device:
                self._cut()
            if self._end == self._start:
                self.discard()
                return ""
            kept = self._target
            if not self.in_place:
                os.replace(self._target, self._path + ".partial")
                kept = self._path + ".partial"
        with contextlib.suppress(OSError):
            os.close(self._fd)
        return kept

    def keep(self) -> str:
        """Called in another thread while a method is at work that takes too long. Keeps what has reached the file as
        PATH.partial, which may end within a record. Returns its path, "" if there is nothing."""
        if self.in_place:
            return self._target
        kept = self._path + ".partial" if self._end else ""
        with contextlib.suppress(OSError):
            if kept:
                os.replace(self._target, kept)
            else:
                os.unlink(self._target)
        return kept

    def _cut(self) -> None:
        """Cuts off a write that was not completed."""
        if self._compression == "none":
            os.ftruncate(self._fd, self._end)
        elif self.in_place:
            # after a member that is cut short, appended data could not be read
            os.ftruncate(self._fd, self._start)
            self._end = self._start

    def _end_member(self) -> None:
        """Ends the current member of the compressed stream."""
        if self._compressor is not None:
            packing, self._compressor = self._compressor, None
            self._put(packing.flush())

    def _make_folders(self) -> None:
        try:
            os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None

    def _claim(self) -> int:
        """Opens and locks the file to write. A file that a crash has left there becomes PATH.partial."""
        while True:
            fd = self._open()
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    self._in_the_way("is not a regular file")
                if not self.in_place and status.st_nlink > 1:
                    self._in_the_way("has another name too (a hard link)")
                _lock(fd)
                if _identity(self._target) == (status.st_dev, status.st_ino):  # not published by another process
                    if self.in_place or not status.st_size:
                        return fd
                    os.replace(self._target, self._path + ".partial")
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _open(self) -> int:
        try:
            return os.open(self._target, _FLAGS, _MODE)
        except OSError as error:
            if self.in_place or error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise
            self._in_the_way(
                {errno.ELOOP: "is a symbolic link", errno.ENXIO: "is a named pipe"}.get(error.errno, "is a folder")
            )

    def _in_the_way(self, why: str) -> NoReturn:
        raise FileExistsError(errno.EEXIST, f"{self._target}, which is written first, {why}: remove it")

    def _open_device(self) -> None:
        """Waits for the reader of a named pipe."""
        if self._fd < 0:
            self._fd = os.open(self._target, os.O_WRONLY | os.O_CLOEXEC)

    def _rename(self) -> None:
        if self._create:
            try:
                os.link(self._target, self._path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                if os.path.lexists(self._path):
                    raise FileExistsError(errno.EEXIST, "was created by somebody else meanwhile") from None
                os.replace(self._target, self._path)
            else:
                os.unlink(self._target)
        else:
            os.replace(self._target, self._path)

    def _put(self, octets: bytes) -> bool:
        if self._device:
            self._open_device()
        view = memoryview(octets)
        self._whole = False
        while view:
            view = view[os.write(self._fd, view) :]
        self._whole = True
        self._end += len(octets)
        return bool(octets)


def _identity(path: str) -> Identity | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _lock(fd: int) -> None:
    """Locks the file against other processes that write it, if the file system has locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(errno.EBUSY, "another stage or process is writing it") from error
    except OSError:
        pass


def _sync_folder(path: str) -> None:
    """Syncs the folder: only then the name of the file is on the disk."""
    with contextlib.suppress(OSError):
        fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
