"""Stages that write messages in a format: what `stdout` and `write` have in common."""

from __future__ import annotations

from typing import Any

from ...formats.base import Format
from ...net.errors import StreamError
from ...net.files import open_output
from ...pipeline.errors import ConfigError, StageError
from ...pipeline.options import LIST, TEXT, Option
from ...wire.block import Block
from ...wire.message import Message
from .coding import FORMAT_SWITCHES, Writing, find_format
from .outlet import Outlet, Output
from .types import chosen_types


class Sink(Writing):
    """Copies the messages that come by to an output, which the subclass opens."""

    both = True

    format = Option(TEXT, "json", "format of the output", metavar="FORMAT", switches=FORMAT_SWITCHES)
    type = Option(LIST, (), "write only messages of these types", metavar="TYPES")
    skip = Option(LIST, (), "write no messages of these types", metavar="TYPES")

    outlet: Outlet | None = None

    def attach(self) -> None:
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
        self.outlet.join(self)

    @property
    def _key(self) -> tuple[str, str]:
        """What makes it the same output for all sessions of a command line."""
        return "output", str(self)

    def _make_outlet(self) -> Outlet:
        return Outlet(self.open(), lambda tell: self.make_encoder(self.output_format, tell))

    def status(self) -> dict[str, Any]:
        return {"format": self.output_format.name, "queue_bytes": self.outlet.waiting if self.outlet else 0}

    def on_message(self, message: Message) -> None:
        assert self.outlet is not None
        self.outlet.put_message(message)

    def on_block(self, block: Block) -> Block:
        assert self.outlet is not None
        self.outlet.put_block(block)
        return block

    def flush(self) -> None:
        if self.outlet is not None:
            self.outlet.flush()

    async def stop(self) -> None:
        if self.outlet is not None:
            self.outlet.flush()
            await self.pipeline.shared.give_back(self._key)
            self.outlet.leave(self)

    def on_full(self) -> None:
        self.pipeline.hold(self.directions)

    def on_room(self) -> None:
        self.pipeline.release(self.directions)

    def on_error(self, error: Exception) -> None:
        """The output takes no more."""
        self.pipeline.end(self)
        if isinstance(error, BrokenPipeError):
            self.pipeline.stop()  # who reads has seen enough, as `head` does: that is no failure
        else:
            self.pipeline.fail(StageError(f"{self}: {explain_error(error)}"))


def explain_error(error: Exception) -> str:
    """What went wrong, without the number that the operating system has for it."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
