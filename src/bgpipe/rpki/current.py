"""What the RPKI says now, for all sessions of a process: the snapshot that counts, and who hears of the next one.

Every pipeline has it as `pipeline.shared.rpki`. The sources (`net.rpki`) put snapshots in, after the local exceptions
of --rpki-slurm were applied; stages ask and listen:

>>> rpki = Rpki()
>>> heard = []
>>> rpki.on_change(lambda old, new: heard.append((len(old), len(new))))
>>> rpki.replace(Snapshot.of([Vrp(parse_prefix("192.0.2.0/24"), 24, 64500)]))
>>> rpki.ready, len(rpki.snapshot), heard
(True, 1, [(0, 1)])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .snapshot import EMPTY, Snapshot

OnChange = Callable[[Snapshot, Snapshot], object]
"""Called with the old and the new snapshot."""


class SourceState(NamedTuple):
    """A source of --rpki, for people.

    name: as the option says it, without secrets. kind: rtr, url or file. state: in one or two words. active: whether
    the snapshot that counts is of this source. vrps, aspas: numbers that it has. age: seconds since it was last heard
    to be up to date, None if it never was. version, session, serial: of RTR, None if there is none. errors: how often
    it has failed. error: what was wrong the last time, "" if nothing is.
    """

    name: str
    kind: str
    state: str
    active: bool = False
    vrps: int = 0
    aspas: int = 0
    age: float | None = None
    version: int | None = None
    session: int | None = None
    serial: int | None = None
    errors: int = 0
    error: str = ""


class Rpki:
    """snapshot: empty until there is one. ready: whether there was ever one, or will be none (`--rpki-stale drop`
    after the data have expired leaves an empty one). error: why there can be none, "" as long as there may be.
    sources: gives their states."""

    def __init__(self) -> None:
        self.snapshot: Snapshot = EMPTY
        self.ready = False
        self.error = ""
        self.sources: Callable[[], list[SourceState]] = list
        self._handlers: list[OnChange] = []
        self._waiting: list[Callable[[], object]] = []

    def on_change(self, handler: OnChange) -> None:
        """`handler` is called in the event loop with each new snapshot, directly after it has become the one that
        counts. It should only take note, or do little: there may be many sessions."""
        self._handlers.append(handler)

    def off_change(self, handler: OnChange) -> None:
        """Calls the handler no more; does nothing if it is not there."""
        if handler in self._handlers:
            self._handlers.remove(handler)

    def when_ready(self, call: Callable[[], object]) -> None:
        """Calls the function once, when there is a snapshot, or an error says that there will be none; at once if there
        is one already."""
        if self.ready or self.error:
            call()
        else:
            self._waiting.append(call)

    def replace(self, snapshot: Snapshot) -> None:
        """Makes a snapshot the one that counts."""
        old, self.snapshot = self.snapshot, snapshot
        self.ready, self.error = True, ""
        for handler in tuple(self._handlers):
            handler(old, snapshot)
        self._release()

    def fail(self, error: str) -> None:
        """Says that there will be no first snapshot."""
        self.error = error
        self._release()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()
