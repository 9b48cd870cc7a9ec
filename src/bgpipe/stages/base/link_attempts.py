"""Opens the link to the partner of a stage, and another one when it is lost."""

from __future__ import annotations

import asyncio

from ...net.backoff import backoff
from ...net.errors import explain_error
from ...net.pipes import Link
from ...net.send_queue import SendQueue
from ...pipeline import events
from ...pipeline.errors import StageError
from .external_options import ExternalOptions


class LinkAttempts(ExternalOptions):
    """Tries to open a link, as long as messages wait for the partner or may come."""

    link: Link | None = None
    _queue: SendQueue
    _wake: asyncio.Event
    _draining: bool

    async def connect(self) -> Link:
        """Opens the link. Raises OSError, or StageError if another attempt can't succeed."""
        raise NotImplementedError

    @property
    def retries(self) -> bool:
        """Whether to try again if the partner is gone, or not there yet."""
        return self.on_exit == "restart"

    @property
    def most_attempts(self) -> int:
        """The most failed attempts in a row; 0 for no limit."""
        return 0

    def delay(self, attempt: int) -> float:
        """Seconds before the next attempt, after so many failed attempts or lost links."""
        return backoff(attempt)

    async def _connect(self, attempt: int) -> bool:
        """Waits for a link; whether there is one, or will never be."""
        while self.retries:
            if await self._drained_within(self.delay(attempt)):
                return False
            begin = self.pipeline.tasks.begin
            connecting, drained = (
                begin(f"{self} connects", self.connect()),
                begin(f"{self} is drained", self._drained()),
            )
            try:
                await asyncio.wait((connecting, drained), return_when=asyncio.FIRST_COMPLETED)
                if not connecting.done():
                    return False
                self.link = connecting.result()
            except OSError as error:
                attempt += 1
                self._tell_attempt(error, attempt)
            else:
                return True
            finally:
                connecting.cancel()
                drained.cancel()
        await self._drained()
        return False

    async def _drained_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._drained()
        except TimeoutError:
            return False
        return True

    async def _drained(self) -> None:
        """Waits until no message waits for a partner, and none will come any more."""
        while not self._draining or self._queue:
            self._wake.clear()
            await self._wake.wait()

    def _tell_attempt(self, error: OSError, attempt: int) -> None:
        """Reports a failed attempt. Raises StageError if it was the last one."""
        if self.most_attempts and attempt >= self.most_attempts:
            raise StageError(f"{self}: {explain_error(error)}")
        self.pipeline.log.warning(explain_error(error), stage=str(self), attempt=attempt)
        self.pipeline.emit(events.RECONNECT, stage=str(self), error=error, values=(attempt,))
