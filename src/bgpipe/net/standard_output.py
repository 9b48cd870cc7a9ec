"""Octets to standard output."""

from __future__ import annotations

import os
import select

from .compression import Compressor, compressor
from .errors import StreamError, explain
from .files_in_use import Identity, file_identity


class StandardOutput:
    """Standard output, with the methods of OutputFile. Raises BrokenPipeError once nobody reads it any more."""

    path = "standard output"
    in_place = True
    failed = False
    kept = ""

    def __init__(self, compression: str = "none") -> None:
        self._compressor: Compressor | None = compressor(compression) if compression != "none" else None
        self.octets = 0

    @property
    def identity(self) -> Identity | None:
        """Of the file behind it, if there is one."""
        return file_identity(1)

    def write(self, octets: bytes) -> None:
        self.octets += len(octets)
        self._put(self._compressor.compress(octets) if self._compressor else octets)

    def begin(self) -> None:
        """It is open."""

    is_over = False
    deadline: float | None = None

    def add(self, octets: bytes) -> None:
        self.write(octets)

    def rotate(self) -> None:
        """Nothing to do."""

    def flush(self) -> None:
        """What was written reaches the reader, also if it is compressed."""
        if self._compressor:
            self._put(self._compressor.sync())

    def finish(self) -> None:
        if self._compressor:
            self._put(self._compressor.flush())
            self._compressor = None

    def close(self) -> None:
        self.finish()

    def abort(self) -> None:
        """What is there can be decompressed."""
        self.finish()

    def hurry(self) -> None:
        """Nothing takes long but its reader."""

    def keep(self) -> None:
        """What was written has been read, or will be."""

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
