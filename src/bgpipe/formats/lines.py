"""What formats of lines of text have in common: each line stands alone, and a bad one costs itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ..wire.context import AS4, WireContext
from ..wire.errors import TextError, WireError
from ..wire.item import Item
from ..wire.message import Message
from . import base
from .base import Damage, ignore_damage

MAX_LINE: Final = 16 << 20
"""Octets of the longest line that is read. The JSON of the longest message has less than 2 MiB."""
MAX_ERROR: Final = 200
"""Letters of an error text: it may quote the line."""


class LineDecoder(base.Decoder):
    """Decodes lines to messages. A line that can't be decoded is one damage, and only that line is lost. Empty lines
    and lines that start with # are skipped.

    A subclass has `decode_line`, and may have `read_lines` for what it does faster. max_line: octets of the longest
    line that is read.
    """

    def __init__(
        self,
        *,
        on_damage: Callable[[Damage], None] = ignore_damage,
        context: WireContext = AS4,
        max_line: int = MAX_LINE,
    ) -> None:
        super().__init__(on_damage=on_damage, context=context)
        self.line = 0
        """number of the line that is read, from 1"""
        self._max_line = max_line
        self._held: list[bytes] = []
        """The beginning of a line whose end has not come yet."""
        self._held_size = 0
        self._too_long = False
        """Octets up to the next newline belong to a line that was too long."""

    def decode_line(self, text: bytes) -> Message | None:
        """The message of a line without blanks around it, None if it says none. Raises TextError, WireError."""
        raise NotImplementedError

    def feed(self, octets: bytes) -> Iterator[Item]:
        if self._too_long:
            end = octets.find(b"\n") + 1
            if not end:
                return
            self._too_long = False
            octets = octets[end:]
        end = octets.rfind(b"\n") + 1
        if end:
            lines = octets[:end] if end < len(octets) else octets
            if self._held:
                lines = b"".join((*self._held, lines))
            self._held = []
            self._held_size = 0
            yield from self.read_lines(lines)
        if end < len(octets):
            self._held.append(octets[end:])
            self._held_size += len(octets) - end
            if self._held_size > self._max_line:
                self._held = []
                self._held_size = 0
                self._too_long = True
                self.line += 1
                self._refuse_length()

    def end(self) -> Iterator[Item]:
        line = b"".join(self._held)
        self._held = []
        self._held_size = 0
        if line:
            yield from self.read_lines(line)

    def read_lines(self, lines: bytes) -> Iterator[Item]:
        """The items of complete lines; the last one of the stream may lack its newline."""
        for line in lines.removesuffix(b"\n").split(b"\n"):
            message = self.read_line(line)
            if message is not None:
                yield message

    def read_line(self, line: bytes) -> Message | None:
        """The message of one line; None if it says none, or nothing that can be understood."""
        self.line += 1
        if self.line == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.strip()
        if not line or line[0] == 0x23:
            return None
        self.counts.records += 1
        if len(line) > self._max_line:
            self._refuse_length()
            return None
        try:
            message = self.decode_line(line)
        except (TextError, WireError) as error:
            why = str(error)
        except RecursionError:
            why = "nested too deeply"
        else:
            self.counts.messages += message is not None
            return message
        if len(why) > MAX_ERROR:
            why = why[:MAX_ERROR] + "..."
        self.damage(f"{why}; the line is left out", line=self.line)
        return None

    def _refuse_length(self) -> None:
        self.damage(f"longer than {self._max_line} octets; the line is left out", line=self.line)
