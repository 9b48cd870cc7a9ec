"""Files with lists of prefixes or AS numbers: read anew when they change, and never empty by accident."""

from __future__ import annotations

import os
from collections.abc import Callable, Sized
from typing import Any, Generic, TypeVar

from ...routes.prefix_lists import is_accident
from ...wire.errors import TextError

T = TypeVar("T", bound=Sized)
MAX_OCTETS = 256 << 20
"""Octets of a file that are read at most."""


class ListFile(Generic[T]):
    """A file that all sessions of a process share.

    current: the list. error: why the file as it is now was not taken, "" if it was.
    """

    def __init__(self, path: str, parse: Callable[[str], T]) -> None:
        """Reads the file. Raises OSError; TextError for what is no list, or has nothing in it."""
        self.path = path
        self._parse = parse
        self._stamp: tuple[Any, ...] = ()
        self.error = ""
        self.version = 1
        self.current = self._read()
        if not len(self.current):
            raise TextError("there is nothing in the list")

    def _read(self) -> T:
        with open(self.path, encoding="utf-8", errors="strict") as file:
            status = os.fstat(file.fileno())
            self._stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if status.st_size > MAX_OCTETS:
                raise TextError(f"more than {MAX_OCTETS} octets")
            try:
                return self._parse(file.read())
            except UnicodeDecodeError as error:
                raise TextError(f"no text in UTF-8: {error.reason}") from None

    def look(self, *, again: bool = False) -> bool:
        """Reads the file if it has changed; whether that was tried. The old list stays if the file can't be read, or if
        the new one has less than half of its entries. again: read it even if it seems the same."""
        try:
            status = os.stat(self.path)
            if not again and self._stamp == (status.st_mtime_ns, status.st_size, status.st_ino):
                return False
            new = self._read()
        except (OSError, TextError) as error:
            changed = self.error != str(error)
            self.error = str(error)
            return changed
        if is_accident(len(self.current), len(new)):
            self.error = f"it has {len(new)} entries instead of {len(self.current)}"
            return True
        self.error = ""
        self.current = new
        self.version += 1
        return True
