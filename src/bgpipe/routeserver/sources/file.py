"""Lists in files. A path that is relative begins in the folder of the configuration."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path

from ...tasks import in_thread
from ..config import PrefixSource
from .base import MAX_CONTENT, Fetched, SourceError
from .fetch import Context


class FileSource:
    """A list in a file; its validator is the time of its last change, its size and its number."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def fetch(self, validator: str) -> Fetched | None:
        return await in_thread("read", partial(self._read, validator))  # it may be on a network

    def _read(self, validator: str) -> Fetched | None:
        try:
            found = self.path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise SourceError(f"{self.path}: not a file")
            current = f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"
            if current == validator:
                return None
            if found.st_size > MAX_CONTENT:
                raise SourceError(f"{self.path}: {found.st_size} octets, more than {MAX_CONTENT >> 20} MiB")
            return Fetched(self.path.read_bytes(), current)
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror or error}") from None


def make(settings: PrefixSource, context: Context) -> FileSource:
    return FileSource(context.folder / settings.path)
