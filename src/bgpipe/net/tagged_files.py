"""Writes octets to many files: the tags of a message, as ${ROUTER} in the path, say to which."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from .collected_output import CollectedOutput
from .errors import StreamError
from .files_in_use import Identity
from .output_file import OutputFile
from .standard_output import StandardOutput

MAX_OPEN: Final = 512
"""Files that are open at the same time. Above that, the one that was not written for the longest time is published, and
what comes for it later is appended."""


File = OutputFile | StandardOutput | CollectedOutput


class TaggedFiles:
    """As OutputFile, for files that are made when something is written to them.

    path: as the user says it. make: opens a file; its arguments are the path with all tags filled in, and whether to
    append.
    """

    def __init__(self, path: str, make: Callable[[str, bool], File]) -> None:
        self.path = path
        self._make = make
        self._files: OrderedDict[str, File] = OrderedDict()
        self._published: set[str] = set()
        """files that were closed because too many were open"""

    identity: Identity | None = None
    in_place = False

    @property
    def failed(self) -> bool:
        return any(file.failed for file in self._all())

    @property
    def kept(self) -> str:
        return ", ".join(file.kept for file in self._all() if file.kept)

    def _all(self) -> list[File]:
        return list(self._files.values())

    def write(self, octets: bytes) -> None:
        raise StreamError(self.path, "needs the name of a file")

    def write_to(self, path: str, octets: bytes) -> None:
        """Writes whole records to one of the files. Raises StreamError."""
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = self._open(path)
        self._files.move_to_end(path)
        file.write(octets)

    def _open(self, path: str) -> File:
        while len(self._files) >= MAX_OPEN:
            name, oldest = next(iter(self._files.items()))
            if isinstance(oldest, CollectedOutput):
                raise StreamError(path, f"{MAX_OPEN} tables are written already")
            self._published.add(name)
            oldest.close()
            del self._files[name]
        return self._make(path, path in self._published)

    def rotate(self) -> None:
        """Publishes files whose interval has passed."""
        for path, file in tuple(self._files.items()):
            file.rotate()
            if file.deadline is None and not file.failed:
                del self._files[path]

    def flush(self) -> None:
        self._each(lambda file: file.flush())

    def finish(self) -> None:
        self._each(lambda file: file.finish())

    def close(self) -> None:
        self._each(lambda file: file.close())

    def abort(self) -> None:
        self._each(lambda file: file.abort())

    def hurry(self) -> None:
        self._each(lambda file: file.hurry())

    def keep(self) -> None:
        self._each(lambda file: file.keep())

    def _each(self, action: Callable[[File], None]) -> None:
        """Does it with all files, also if it fails with one. Raises the first StreamError."""
        errors = []
        for file in self._all():
            try:
                action(file)
            except StreamError as error:
                errors.append(error)
        if errors:
            raise errors[0]
