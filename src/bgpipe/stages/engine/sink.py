"""Stages that write messages in a format: what `stdout` and `write` have in common."""

from __future__ import annotations

from typing import Final

from ... import formats
from ...formats.base import Encoder, Format
from ...net.errors import StreamError
from ...net.files import open_output
from ...pipeline.errors import ConfigError, StageError
from ...pipeline.options import LIST, TEXT, Option
from ...pipeline.stage import Consuming
from ...wire.block import Block
from ...wire.errors import TextError, WireError
from ...wire.message import Message
from .outlet import Listener, Outlet, Output
from .types import chosen_types

FORMAT_SWITCHES: Final = {"json": "json", "raw": "raw", "mrt": "mrt"}
"""Flags that once stood for --format."""
RAW: Final = b'"0x'
"""In JSON the sign of octets that have no other form: they may be malformed."""
LOUD: Final = 10
"""How many messages that can't be written are told of in full."""


class Sink(Consuming):
    """Copies the messages that come by to an output, which the subclass opens."""

    both = True

    format = Option(TEXT, "json", "format of the output", metavar="FORMAT", switches=FORMAT_SWITCHES)
    type = Option(LIST, (), "write only messages of these types", metavar="TYPES")
    skip = Option(LIST, (), "write no messages of these types", metavar="TYPES")

    outlet: Outlet | None = None
    refused = 0
    """messages that the format has no form for"""

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
        return Outlet(self.open(), self._encoder)

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

    def on_odd(self, message: Message, error: Exception | None) -> None:
        """A message is unusual in some way; `error` says why it could not be written."""
        if error is None:
            self.pipeline.look(message)
        else:
            self.refused += 1
            if self.refused <= LOUD:
                self.pipeline.log.warning(
                    "message not written", stage=str(self), dir=message.direction, seq=message.seq, error=str(error)
                )

    def _encoder(self, tell: Listener) -> Encoder:
        """An encoder that tells of messages that it can't write, instead of raising, and of those that look malformed.

        Of a block it is asked for those that the kernel has declined, and all that are malformed are among them.
        """
        assert self.output_format.Encoder is not None
        encoder = self.output_format.Encoder()
        encode = encoder.encode_message
        looks = self.output_format.name == "json"

        def encode_message(message: Message) -> bytes:
            try:
                octets = encode(message)
            except (WireError, TextError) as error:
                tell(message, error)
                return b""
            if RAW in octets and looks:
                tell(message, None)
            return octets

        encoder.encode_message = encode_message  # type: ignore[method-assign]
        return encoder


def find_format(name: str) -> Format:
    """Raises ConfigError."""
    try:
        return formats.find(name)
    except TextError as error:
        raise ConfigError(str(error)) from None


def explain_error(error: Exception) -> str:
    """What went wrong, without the number that the operating system has for it."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
