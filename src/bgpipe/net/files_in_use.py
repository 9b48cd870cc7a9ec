"""The files that a command line reads and writes. A stage that read its own output would never end."""

from __future__ import annotations

import os
import stat
from enum import Enum
from typing import Final

from .errors import StreamError

Identity = tuple[int, int]
"""Device and number of a file: the same for all its names, by links of both kinds."""


class Use(Enum):
    """READ: from its start to its end. WRITE: octets are written into the file itself. REPLACE: another file takes its
    name, and who has the old one open goes on with it."""

    READ = "read"
    WRITE = "write"
    REPLACE = "replace"


_CONFLICTS: Final = {
    frozenset((Use.READ, Use.WRITE)): "would read what it writes, without end: write to another file",
    frozenset((Use.WRITE,)): "is written twice: let each output have a file of its own",
    frozenset((Use.WRITE, Use.REPLACE)): "is written twice: let each output have a file of its own",
}


class FilesInUse:
    """The regular files that are open; others, such as /dev/null, can be used by many."""

    def __init__(self) -> None:
        self._uses: dict[Identity, set[Use]] = {}

    def add(self, name: str, identity: Identity | None, use: Use) -> None:
        """Raises StreamError if the file is in use in a way that forbids this one."""
        if identity is None:
            return
        uses = self._uses.setdefault(identity, set())
        for other in uses:
            if reason := _CONFLICTS.get(frozenset((use, other))):
                raise StreamError(name, reason)
        uses.add(use)


def file_identity(fd: int) -> Identity | None:
    """Of a regular file that is open; None for anything else, and for what is not open."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
