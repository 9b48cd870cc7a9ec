"""Stages that write messages in a format: what `stdout` and `write` have in common."""

from __future__ import annotations

from typing import Any

from ...formats.base import Format
from ...net.errors import StreamError, explain_error
from ...net.files import open_output
from ...pipeline import events
from ...pipeline.errors import ConfigError, StageError
from ...pipeline.options import DURATION, LIST, TEXT, Option
from ...wire.block import Block
from ...wire.message import Message
from .coding import FORMAT_SWITCHES, Writing, find_format
from .outlet import Outlet, Output
from .types import chosen_types
from .vigil import Vigil


class Sink(Writing):
    """Copies the messages that come by to an output, which the subclass opens.

    A full output lets all wait who send to it. Only two routers can't wait for ever: when one of them would have to
    hear something, or the output has taken nothing for --stall-timeout, it misses messages until it takes more.
    """

    both = True

    format = Option(TEXT, "json", "format of the output", metavar="FORMAT", switches=FORMAT_SWITCHES)
    type = Option(LIST, (), "write only messages of these types", metavar="TYPES")
    skip = Option(LIST, (), "write no messages of these types", metavar="TYPES")
    stall_timeout = Option(
        DURATION,
        10.0,
        "between two routers, an output that takes nothing for so long misses messages; 0 lets them wait",
    )

    outlet: Outlet | None = None
    vigil: Vigil | None = None
    holding = False
    """whether others have to wait for the output"""
    held = False
    """whether the output has to wait for us, which it never has"""
    _failure: StageError | None = None
    """why the output can't be written"""
    _live = False
    """whether there is a session that may have to wait"""
    _missed = 0
    """messages that the output should have had"""

    def attach(self) -> None:
        if self.stall_timeout < 0:
            raise ConfigError("--stall-timeout can't be negative")
        self.output_format = self.choose_format()
        if self.output_format.Encoder is None:
            raise ConfigError(f"the format {self.output_format.name} can't be written")
        self.watch(
            self.on_message,
            on_block=self.on_block,
            types=chosen_types(self.type, self.skip),
            copies=True,
            looks=False,  # where JSON shows octets instead of values, the encoder tells
        )

    def choose_format(self) -> Format:
        """Raises ConfigError."""
        return find_format(self.format)

    def open(self) -> Output:
        """Where the octets go. Raises StreamError."""
        return open_output("-")

    async def prepare(self) -> None:
        try:
            self.outlet = self.pipeline.shared.take(self._key, self._make_outlet, Outlet.close)
        except StreamError as error:
            raise StageError(f"{self}: {error}") from None
        self._live = any(inlet.session for stage in self.pipeline.stages for inlet in stage.inputs)
        if self._live and self.stall_timeout and not self.pipeline.speaks:  # a speaker goes on speaking meanwhile
            self.vigil = Vigil(self, self.stall_timeout)
        self.outlet.join(self)

    @property
    def _key(self) -> tuple[str, str]:
        """What makes it the same output for all sessions of a command line."""
        return "output", str(self)

    def _make_outlet(self) -> Outlet:
        return Outlet(self.open(), lambda tell: self.make_encoder(self.output_format, tell))

    def status(self) -> dict[str, Any]:
        waiting = self.outlet.waiting if self.outlet else 0
        return {"format": self.output_format.name, "queue_bytes": waiting, "missed": self._missed}

    def on_message(self, message: Message) -> None:
        assert self.outlet is not None
        if self.trouble:
            self._missed += 1
        else:
            self.outlet.put_message(message)

    def on_block(self, block: Block) -> Block:
        assert self.outlet is not None
        if self.trouble:
            self._missed += len(block)
        else:
            self.outlet.put_block(block)
        return block

    def flush(self) -> None:
        if self.outlet is not None:
            self.outlet.flush()

    async def stop(self) -> None:
        if self.vigil is not None:
            self.vigil.close()
        if self.outlet is not None:
            self.outlet.flush()
            await self.pipeline.shared.give_back(self._key)
            self.outlet.leave(self)
        self._catch_up()
        if self._failure is not None:
            raise self._failure

    def on_full(self) -> None:
        if self.holding:
            return
        self.holding = True
        self.pipeline.hold(self.directions)
        if self._live:
            self.pipeline.emit(events.SLOW, stage=str(self))
        if self.vigil is not None:
            self.vigil.begin()

    def on_room(self) -> None:
        if self._failure is None:
            self._catch_up()
        self._release()

    def on_again(self) -> None:
        self._failure = None
        self._catch_up()

    def _catch_up(self) -> None:
        if self.trouble:
            self.trouble = ""
            self.pipeline.log.warning("the output has missed messages", stage=str(self), missed=self._missed)
            self._missed = 0

    def _release(self) -> None:
        if self.holding:
            self.holding = False
            self.pipeline.release(self.directions)

    # what the vigil asks, and says

    @property
    def waiting(self) -> int:
        return self.outlet.written + 1 if self.outlet is not None and self.outlet.waiting else 0

    def on_stall(self) -> None:
        self._miss()

    def on_silence(self, direction: str) -> None:
        self._miss()

    def _miss(self) -> None:
        if self.holding:
            self.trouble = "the output is stalled, and misses messages"
            self.pipeline.log.warning(self.trouble, stage=str(self))
            self._release()

    def on_error(self, error: Exception) -> None:
        """The output takes no more. A live session goes on without it: its routers need no archive."""
        failure = StageError(f"{self}: {explain_error(error)}")
        if self._live and not isinstance(error, BrokenPipeError):
            self._failure = failure
            self.trouble = "the output has failed, and misses messages"
            self.pipeline.log.error(self.trouble, stage=str(self), error=explain_error(error))
            return
        self.pipeline.end(self)
        if isinstance(error, BrokenPipeError):
            self.pipeline.stop()  # who reads has seen enough, as `head` does: that is no failure
        else:
            self.pipeline.fail(failure)
