"""What all sources of VRPs and ASPAs have in common: their data, how old these are, and what went wrong."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from ...pipeline.log import Log
from ...rpki.current import SourceState
from ...rpki.snapshot import Snapshot
from .settings import EXPIRE, RETRY, RpkiSettings, SourceSpec


class Source(ABC):
    """A source that is read again and again. All times are seconds of the clock of the event loop.

    snapshot: its data, None if there are none. heard: when they were last known to be up to date. fetches: how often
    that was. expire: seconds after `heard` until the data are too old. retry: seconds after which data that seem wrong
    are looked at again. tried: whether the first attempt is over. errors, error: how often it has failed, and why the
    last time; "" if it has not failed since it was heard. on_change: called when any of these has changed.
    """

    kind: ClassVar[str]

    def __init__(self, spec: SourceSpec, settings: RpkiSettings, log: Log) -> None:
        self.spec = spec
        self.settings = settings
        self.log = log
        self.snapshot: Snapshot | None = None
        self.heard: float | None = None
        self.fetches = 0
        self.expire = settings.expire or EXPIRE
        self.retry = settings.retry or RETRY
        self.tried = False
        self.errors = 0
        self.error = ""
        self.on_change: Callable[[], object] = lambda: None

    def __str__(self) -> str:
        return self.spec.name

    @abstractmethod
    async def run(self) -> None:
        """Reads for ever. It is cancelled when the source is not needed any more."""

    @abstractmethod
    def look(self) -> None:
        """Looks for new data soon: after SIGHUP, or because there is doubt about the last ones."""

    def forget(self) -> None:
        """Drops the data of a source that is not needed any more."""
        self.snapshot = self.heard = None
        self.tried = False

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def expires(self) -> float | None:
        """When the data are too old; None if there are none."""
        return self.heard + self.expire if self.heard is not None and self.snapshot is not None else None

    @property
    def usable(self) -> bool:
        """Whether there are data that are not too old."""
        return self.expires is not None and self.now < self.expires

    @property
    def weak(self) -> bool:
        """Whether the source fails, and half of the time until its data are too old has passed: another source should
        be at hand."""
        return bool(self.error) and self.heard is not None and self.now > self.heard + self.expire / 2

    def take(self, snapshot: Snapshot) -> None:
        """New data, complete."""
        self.snapshot = snapshot
        self.confirm()

    def confirm(self) -> None:
        """The data are still up to date."""
        if self.error:
            self.log.info("RPKI source works again", source=str(self))
        self.heard, self.error, self.tried = self.now, "", True
        self.fetches += 1
        self.on_change()

    def fail(self, text: str) -> None:
        """An attempt has failed. The log tells an error once, until another one follows."""
        self.errors += 1
        if text != self.error:
            self.log.warning(f"RPKI source fails: {text}", source=str(self))
        self.error, self.tried = text, True
        self.on_change()

    def state(self, active: bool) -> SourceState:
        """For people, and for the metrics."""
        word = "fails" if self.error else "up" if self.usable else "starting" if not self.tried else "no data"
        if self.error and self.expires is not None:
            word = "stale" if self.usable else "expired"
        return SourceState(
            name=str(self),
            kind=self.kind,
            state=word,
            active=active,
            vrps=len(self.snapshot) if self.snapshot is not None else 0,
            aspas=len(self.snapshot.aspas) if self.snapshot is not None else 0,
            age=round(self.now - self.heard, 1) if self.heard is not None else None,
            errors=self.errors,
            error=self.error,
            **self.details(),
        )

    def details(self) -> dict[str, Any]:
        """What only this kind of source has, as fields of SourceState."""
        return {}
