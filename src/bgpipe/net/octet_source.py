"""Where octets come from: a file, a pipe, standard input. Each is an iterator of octets as they come, to be read by one
thread, and knows how far it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final, Protocol

from .errors import StreamError, explain
from .files_in_use import Identity, file_identity

READ: Final = 1 << 19
"""Octets read at once: so many that calls cost little, and so few that the first ones come soon."""


class OctetSource(Protocol):
    """name: for messages. position: octets so far. total: octets in all, None if nobody knows. identity: of the file
    that is read, None if it is no regular file."""

    name: str
    position: int
    total: int | None
    identity: Identity | None

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Ends reading. It may be called in any thread. A read that waits for a pipe goes on waiting."""

    def release(self) -> None:
        """Closes the source if reading never begins."""


class FileOctets:
    """A file, a pipe, or a device. Raises StreamError; where a named pipe is concerned, when reading begins."""

    def __init__(self, path: str) -> None:
        self.name = path
        self.position = 0
        self.total: int | None = None
        self.identity: Identity | None = None
        self._closed = False
        self._fd = -1
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise StreamError(path, explain(error)) from error
        except ValueError as error:
            raise StreamError(repr(path), str(error)) from error
        if stat.S_ISDIR(mode):
            raise StreamError(path, "is a directory")
        if not stat.S_ISFIFO(mode):  # to open one waits for who writes it
            self._open()

    def _open(self) -> None:
        try:
            self._fd = self._descriptor()
            status = os.fstat(self._fd)
        except OSError as error:
            raise StreamError(self.name, explain(error)) from error
        self.identity = file_identity(self._fd)
        if self.identity:
            self.total = status.st_size

    def _descriptor(self) -> int:
        return os.open(self.name, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __iter__(self) -> Iterator[bytes]:
        if self._fd < 0:
            self._open()
        try:
            while not self._closed:
                octets = os.read(self._fd, READ)
                if not octets:
                    break
                self.position += len(octets)
                yield octets
        except OSError as error:
            raise StreamError(self.name, explain(error)) from error
        finally:
            os.close(self._fd)

    def close(self) -> None:
        self._closed = True

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


class StandardInput(FileOctets):
    """Standard input: gives octets as soon as they come, however few."""

    def __init__(self) -> None:
        self.name = "standard input"
        self.position = 0
        self.total = None
        self.identity = None
        self._closed = False
        self._open()

    def _descriptor(self) -> int:
        return os.dup(0)
