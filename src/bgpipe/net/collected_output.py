"""Writes what a format gives out when all messages are there: see formats.base.Collecting."""

from __future__ import annotations

from collections.abc import Sequence

from ..formats.base import Collecting, Format
from ..wire.errors import TextError
from .errors import StreamError
from .files_in_use import Identity
from .output_file import OutputFile
from .standard_output import StandardOutput


class CollectedOutput:
    """As the output that it writes to (see net.output_file), to which it gives all at the end of each interval."""

    def __init__(self, output: OutputFile | StandardOutput, collected: Collecting) -> None:
        self._output = output
        self._collected = collected
        self._begun = False
        """whether messages have come since the last time that all was written"""

    @property
    def path(self) -> str:
        return self._output.path

    @property
    def identity(self) -> Identity | None:
        return self._output.identity

    @property
    def in_place(self) -> bool:
        return self._output.in_place

    @property
    def failed(self) -> bool:
        return self._output.failed

    @property
    def kept(self) -> str:
        return self._output.kept

    @property
    def deadline(self) -> float:
        """It is never done with: what it has collected counts in the next interval too."""
        return 0.0

    def write(self, octets: bytes) -> None:
        """Raises StreamError, as all that follow."""
        self.rotate()
        if octets and not self._begun:
            self._begun = True
            self._output.begin()
        self._collected.feed(octets)

    def rotate(self) -> None:
        if self._output.is_over:
            self._dump()
        self._output.rotate()

    def flush(self) -> None:
        """A part of the whole is of no use to a reader."""

    def finish(self) -> None:
        self._dump()
        self._output.finish()

    def close(self) -> None:
        self._dump()
        self._output.close()
        if text := self._collected.missing:
            raise StreamError(self.path, text)

    def abort(self) -> None:
        self._dump()
        self._output.abort()

    def hurry(self) -> None:
        self._output.hurry()

    def keep(self) -> None:
        self._output.keep()

    def _dump(self) -> None:
        if not self._begun:
            return
        self._begun = False
        try:
            for octets in self._collected.dump():
                self._output.add(octets)
        except TextError as error:
            raise StreamError(self.path, str(error)) from error


def collected(
    output: OutputFile | StandardOutput, format: Format, tables: Sequence[Sequence[bytes]] | None = None
) -> OutputFile | StandardOutput | CollectedOutput:
    """The output for octets of a format's encoder. tables: those that were read, see Format.collect."""
    return (
        CollectedOutput(output, format.collect(() if tables is None else tables))
        if format.collect is not None
        else output
    )
