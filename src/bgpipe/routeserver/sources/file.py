"""Lists in files. A path that is relative begins in the folder of the configuration."""

from __future__ import annotations

import os
import stat
import time
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from ...tasks import in_thread
from ..config import PrefixSource
from .base import MAX_CONTENT, Fetched, SourceError
from .content import Form
from .context import Context

QUIET: Final = 0.3
"""Seconds for which a file must not have changed: half of a list must not be taken for the whole of it."""
PATIENCE: Final = 10
"""So many times a file that is being written is looked at again."""


class FileSource:
    """A list in a file; its validator is the time of its last change, its size and its number."""

    def __init__(self, path: Path, form: Form) -> None:
        self.path = path
        self._form = form

    async def fetch(self, validator: str) -> Fetched | None:
        return await in_thread("read", partial(self._read, validator))  # it may be on a network

    def _read(self, validator: str) -> Fetched | None:
        try:
            current = _identity(os.stat(self.path))
            for _ in range(PATIENCE):
                if current == validator:
                    return None
                with _open(self.path) as file:
                    octets = file.read(MAX_CONTENT + 1)
                    after = os.fstat(file.fileno())
                if len(octets) > MAX_CONTENT:
                    raise SourceError(f"{self.path}: more than {MAX_CONTENT >> 20} MiB")
                if 0 <= time.time() - after.st_mtime < QUIET:
                    time.sleep(QUIET)
                before, current = _identity(after), _identity(os.stat(self.path))
                if before == current and len(octets) == after.st_size:
                    return Fetched(octets, current, self._form)
            raise SourceError(f"{self.path}: it is being written all the time", temporary=True)
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror or error}") from None


def _open(path: Path) -> BinaryIO:
    """Raises SourceError, OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not stop us
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"{path}: not a file")
    return os.fdopen(descriptor, "rb")


def _identity(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


def make(settings: PrefixSource, context: Context) -> FileSource:
    return FileSource(context.folder / settings.path, Form(json=settings.json, column=settings.column))
