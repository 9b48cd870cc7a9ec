"""VRPs and ASPAs in a file, which is looked at again and again."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from ...pipeline.log import Log
from ...tasks import in_thread
from ...wire.errors import TextError
from ..errors import explain
from .reading import read_octets
from .settings import RpkiSettings, SourceSpec
from .source import Source

INTERVAL: Final = 10.0
"""Seconds between two looks at a file."""
MAX_SIZE: Final = 512 << 20
"""Octets of the largest file that is read."""
QUIET: Final = 0.3
"""Seconds for which a file must not have changed: half of it must not be taken for the whole."""
PATIENCE: Final = 10
"""So many times a file that is being written is looked at again."""


class Content(NamedTuple):
    """identity: changes when the file does."""

    octets: bytes
    identity: str


def read_file(path: str, known: str = "") -> Content | None:
    """A whole file; None if it is the one that has this identity. Raises OSError, TextError."""
    current = _identity(os.stat(path))
    for _ in range(PATIENCE):
        if current == known:
            return None
        with _open(path) as file:
            octets = file.read(MAX_SIZE + 1)
            after = os.fstat(file.fileno())
        if len(octets) > MAX_SIZE:
            raise TextError(f"more than {MAX_SIZE >> 20} MiB")
        if 0 <= time.time() - after.st_mtime < QUIET:
            time.sleep(QUIET)
        before, current = _identity(after), _identity(os.stat(path))
        if before == current and len(octets) == after.st_size:
            return Content(octets, current)
    raise TextError("it is being written all the time")


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
        try:
            content = await in_thread("vrps", partial(read_file, self.spec.place, self._identity))
            if content is None:
                self.confirm()
                return
            self.take(await read_octets(content.octets, str(self), self.log))
            self._identity = content.identity
        except OSError as error:
            self.fail(f"{self}: {explain(error)}")
        except TextError as error:
            self.fail(f"{self}: {error}")
