"""Files with lists of prefixes or AS numbers: read anew when they change, and never empty by accident.

The files that sessions share are read once for all of them. A large one is read by a process of its own
(list_reader.py), so that the event loop is not late.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import BinaryIO, Final, Generic, Protocol, TypeVar, cast

from ...net.errors import explain
from ...routes.list_changes import changed_asns, changed_prefixes
from ...routes.prefix_lists import AsList, PrefixList, is_accident, parse_as_list, parse_prefix_list
from ...tasks import in_thread
from ...wire.asn_ranges import AsnRanges
from ...wire.errors import TextError
from ...wire.prefix import Prefix
from .list_reader import LARGE, parse_apart


class Sized(Hashable, Protocol):
    """What a list is: its length is the number of its entries, and it equals another one with the same."""

    def __len__(self) -> int: ...


T = TypeVar("T", bound=Sized)
MAX_OCTETS: Final = 256 << 20
"""Octets of a file that are read at most."""
QUIET: Final = 0.3
"""Seconds for which a file must not have changed: half of it must not be taken for the whole."""
PATIENCE: Final = 10
"""So many times a file that is being written is looked at again."""
LOOK_EVERY: Final = 10.0
"""Seconds after which files are looked at again."""
CONFIRMED: Final = 5.0
"""Seconds after which a file that has shrunk by more than half, and is still the same, is taken at its word."""
Stamp = tuple[int, ...]
Entries = Sequence[Prefix] | AsnRanges | None
"""The entries of a list that have changed: AS numbers, or prefixes, ascending, none inside another; None if these are
too many."""
OnChange = Callable[[Entries], None]
"""Called when another list counts."""
KINDS: Final[dict[str, Callable[[str], Sized]]] = {"prefixes": parse_prefix_list, "asns": parse_as_list}


class ListFile(Generic[T]):
    """A file that all sessions of a process share.

    version: grows with each other list. error: why the file as it is now was not taken, "" if it was.
    """

    def __init__(self, path: str, kind: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads the file, unless it is large: then `load` does. kind: one of KINDS. Raises OSError; TextError for what
        is no list, or has nothing in it."""
        self.path = path
        self.kind = kind
        self.error = ""
        self.version = 1
        self._clock = clock
        self._users: list[OnChange] = []
        self._looking = self._again = False
        self._looked_at = clock()
        self._refused: tuple[Stamp, float] | None = None
        self._loading = asyncio.Lock()
        self._current: T | None = None
        self._stamp: Stamp = ()
        with open_list(path) as file:
            if os.fstat(file.fileno()).st_size < LARGE:
                text, self._stamp = read_text(file)
                self._current = self._checked(KINDS[kind](text))

    @staticmethod
    def _checked(found: object) -> T:
        made = cast("T", found)
        if not len(made):
            raise TextError("there is nothing in the list")
        return made

    async def load(self) -> None:
        """Reads a large file the first time. Raises OSError, TextError."""
        async with self._loading:  # sessions that begin meanwhile wait
            if self._current is None:
                found = await in_thread("list", lambda: read_settled(self.path, None))
                assert found is not None
                current = self._checked(await self._parse(found[0]))
                self._current, self._stamp = current, found[1]

    @property
    def is_loaded(self) -> bool:
        return self._current is not None

    @property
    def current(self) -> T:
        """The list, which was loaded."""
        assert self._current is not None
        return self._current

    def on_change(self, function: OnChange) -> None:
        """Calls the function with each other list that counts."""
        self._users.append(function)

    def off_change(self, function: OnChange) -> None:
        if function in self._users:
            self._users.remove(function)

    async def look(self, *, again: bool = False) -> bool:
        """Reads the file if it has changed. Whether there is something to tell: another list counts, or `error` says
        why none does. again: read it even if it seems the same.

        The old list stays if the file can't be read, or has nothing in it. If it has less than half of its entries, it
        must be the same some seconds later.
        """
        if self._looking or not (again or self._clock() - self._looked_at >= LOOK_EVERY / 2):
            self._again = self._again or again
            return False
        self._looking, tell = True, False
        try:
            while True:
                self._again = False
                tell = await self._look(again) or tell
                if not self._again:
                    return tell
                again = True
        finally:
            self._looking, self._looked_at = False, self._clock()

    async def _look(self, again: bool) -> bool:
        refused = self._refused is not None and self._clock() - self._refused[1] >= CONFIRMED
        try:
            known = None if again or refused else self._stamp
            found = await in_thread("list", lambda: read_settled(self.path, known))
            if found is None:
                return False
            text, self._stamp = found
            new = self._checked(await self._parse(text))
        except (OSError, TextError) as error:
            if isinstance(error, OSError):
                self._stamp = ()  # the same file may come back
            reason = explain(error) if isinstance(error, OSError) else str(error)
            changed, self.error = self.error != reason, reason
            return changed
        return self._take(new, await in_thread("list", partial(_changes, self.current, new)))

    async def _parse(self, text: str) -> object:
        if len(text) >= LARGE:
            return await parse_apart(self.kind, text)
        return await in_thread("list", lambda: KINDS[self.kind](text))

    def _take(self, new: T, changes: Entries = None) -> bool:
        if is_accident(len(self.current), len(new)) and not self._is_confirmed():
            reason = f"it has {len(new)} entries instead of {len(self.current)}; it counts if it stays so"
            changed, self.error = self.error != reason, reason
            return changed
        had_error, self.error, self._refused = bool(self.error), "", None
        if new == self.current:
            return had_error
        self._current = new
        self.version += 1
        for function in tuple(self._users):
            function(changes)
        return True

    def _is_confirmed(self) -> bool:
        """Whether the file said the same some seconds ago."""
        now = self._clock()
        if self._refused is None or self._refused[0] != self._stamp:
            self._refused = self._stamp, now
        return now - self._refused[1] >= CONFIRMED


def _changes(old: object, new: object) -> Entries:
    if isinstance(old, PrefixList) and isinstance(new, PrefixList):
        return changed_prefixes(old, new)
    return changed_asns(old, new) if isinstance(old, AsList) and isinstance(new, AsList) else None


def read_settled(path: str, known: Stamp | None) -> tuple[str, Stamp] | None:
    """The text of a file that is not being written, and its stamp; None if that is `known`. Raises OSError,
    TextError."""
    for _ in range(PATIENCE):
        before = _stamp(os.stat(path))
        if before == known:
            return None
        failure, text = None, ""
        with open_list(path) as file:
            try:
                text, before = read_text(file)
            except TextError as error:
                failure = error
        if 0 <= time.time() - before[0] / 1e9 < QUIET:
            time.sleep(QUIET)
        if _stamp(os.stat(path)) != before:
            continue
        if failure is not None:
            raise failure
        return text, before
    raise TextError("it is being written all the time")


def open_list(path: str) -> BinaryIO:
    """Raises OSError; TextError for what is no regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not stop us
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise TextError("not a regular file")
    return os.fdopen(descriptor, "rb")


def read_text(file: BinaryIO) -> tuple[str, Stamp]:
    """The text of a file, and what changes when the file does. Raises TextError."""
    stamp = _stamp(os.fstat(file.fileno()))
    octets = file.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise TextError(f"more than {MAX_OCTETS >> 20} MiB")
    try:
        return octets.decode("utf-8-sig"), stamp
    except UnicodeDecodeError as error:
        raise TextError(f"no text in UTF-8: {error.reason} at octet {error.start}") from None


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino
