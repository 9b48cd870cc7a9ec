"""Stages that judge routes by the RPKI: rov, aspa."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from ...pipeline.errors import StageError
from ...pipeline.options import FLAG, Option
from ...pipeline.stage import Consuming
from ...rpki.current import Rpki
from ...rpki.snapshot import Snapshot


class Validating(Consuming):
    """A stage that needs VRPs or ASPAs. Messages wait until there are some, unless `--no-wait` is given.

    `self.rpki.snapshot` is what counts at the moment. `on_snapshot` is called with each one that follows it.
    """

    both = True
    uses_rpki: ClassVar[bool] = True

    no_wait = Option(FLAG, False, "do not wait for RPKI data: without any, no prefix is found in it")

    @property
    def rpki(self) -> Rpki:
        return self.pipeline.shared.rpki

    @property
    def awaits_rpki(self) -> bool:
        return not self.no_wait

    async def prepare(self) -> None:
        self.rpki.on_change(self._on_change)
        if not self.no_wait:
            await self._wait()

    async def _wait(self) -> None:
        """Raises StageError if there will be no RPKI data."""
        there = asyncio.Event()
        self.rpki.when_ready(there.set)
        await there.wait()
        if self.rpki.error and not self.rpki.ready:
            raise StageError(self.rpki.error)

    async def stop(self) -> None:
        self.rpki.off_change(self._on_change)

    def _on_change(self, old: Snapshot, new: Snapshot) -> None:
        try:
            self.on_snapshot(old, new)
        except Exception as error:
            self.on_failure(error)

    def on_snapshot(self, old: Snapshot, new: Snapshot) -> None:
        """Called when another snapshot counts. It should only take note, or do little: there may be many sessions.
        `new.difference(old)` takes its time for a large change."""
