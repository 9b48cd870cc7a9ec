"""VRPs and ASPAs in a file, which is looked at again and again."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, Final, Generic, NamedTuple, TypeVar

from ...rpki.entries import Parsed
from ...rpki.files import PIECE, FileReader
from ...tasks import in_thread
from ...wire.errors import TextError
from .polled import PolledSource

T = TypeVar("T")

INTERVAL: Final = 10.0
"""Seconds between two looks at a file."""
QUIET: Final = 0.3
"""Seconds for which a file must not have changed: half of it must not be taken for the whole."""
PATIENCE: Final = 10
"""So many times a file that is being written is looked at again."""


class Content(NamedTuple, Generic[T]):
    """value: what the file says. identity: changes when the file does."""

    value: T
    identity: str


def read_file(path: str, read: Callable[[BinaryIO], T], known: str = "") -> Content[T] | None:
    """What `read` makes of a whole file; None if it is the one that has this identity. Raises OSError, TextError."""
    current = _identity(os.stat(path))
    for _ in range(PATIENCE):
        if current == known:
            return None
        with _open(path) as file:
            found = _try(read, file)
            size, after = file.tell(), os.fstat(file.fileno())
        if 0 <= time.time() - after.st_mtime < QUIET:
            time.sleep(QUIET)
        before, current = _identity(after), _identity(os.stat(path))
        if before != current:
            continue
        if isinstance(found, TextError):
            raise found
        if size == after.st_size:
            return Content(found, current)
    raise TextError("it is being written all the time")


def _try(read: Callable[[BinaryIO], T], file: BinaryIO) -> T | TextError:
    """What a file says, or why it can't be read: if it is being written meanwhile, that does not count."""
    try:
        return read(file)
    except TextError as error:
        return error


def read_data(file: BinaryIO) -> Parsed:
    """The VRPs and ASPAs in a file. Raises TextError."""
    reader = FileReader(time.time())
    for piece in iter(partial(file.read, PIECE), b""):
        reader.feed(piece)
    return reader.finish()


def _open(path: str) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not stop us
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise TextError("not a regular file")
    return os.fdopen(descriptor, "rb")


def _identity(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


class FileSource(PolledSource):
    """A file with VRPs and ASPAs, in one of the forms that docs/rpki.md names."""

    kind = "file"
    interval = INTERVAL
    _identity = ""

    async def read(self) -> Parsed | None:
        content = await in_thread("vrps", partial(read_file, self.spec.place, read_data, self._identity))
        if content is None:
            return None
        self._identity = content.identity
        return content.value

    def forget_version(self) -> None:
        self._identity = ""
