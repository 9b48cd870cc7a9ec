"""VRPs and ASPAs in a file, which is looked at again and again."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, Final, Generic, NamedTuple, TypeVar

from ...pipeline.log import Log
from ...rpki.entries import Parsed
from ...rpki.files import PIECE, FileReader
from ...tasks import in_thread
from ...wire.errors import TextError
from ..errors import explain
from .reading import take_parsed
from .settings import RpkiSettings, SourceSpec
from .source import Source

T = TypeVar("T")

INTERVAL: Final = 10.0
"""Seconds between two looks at a file."""
MAX_SIZE: Final = 512 << 20
"""Octets of the largest file that is read."""
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
        if file.tell() > MAX_SIZE:
            raise TextError(f"more than {MAX_SIZE >> 20} MiB")
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


class FileSource(Source):
    """A file with VRPs and ASPAs, in one of the forms that docs/rpki.md names."""

    kind = "file"

    def __init__(self, spec: SourceSpec, settings: RpkiSettings, log: Log) -> None:
        super().__init__(spec, settings, log)
        self._identity = ""
        self._until: float | None = None
        self._wake = asyncio.Event()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            await self._read()
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def look(self) -> None:
        self._wake.set()

    def forget(self) -> None:
        super().forget()
        self._identity = ""

    async def _read(self) -> None:
        if self._until is not None and time.time() >= self._until:
            self._identity = ""  # an entry of it has expired
        try:
            content = await in_thread("vrps", partial(read_file, self.spec.place, read_data, self._identity))
            if content is None:
                self.confirm()
                return
            self.take(take_parsed(content.value, str(self), self.log))
            self._identity, self._until = content.identity, content.value.until
        except OSError as error:
            self.fail(f"{self}: {explain(error)}")
        except TextError as error:
            self.fail(f"{self}: {error}")
