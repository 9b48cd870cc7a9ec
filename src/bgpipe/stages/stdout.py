"""Write messages to standard output."""

from __future__ import annotations

import os
from typing import Final

from .engine.outlet import Output
from .engine.sink import Sink

STDOUT: Final = 1


class Descriptor:
    """An open file descriptor to write to, which stays open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, octets: bytes) -> None:
        rest = memoryview(octets)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class Stdout(Sink):
    """Write messages to standard output."""

    uses = "stdout"

    def open(self) -> Output:
        return Descriptor(STDOUT)

    def on_error(self, error: Exception) -> None:
        if isinstance(error, BrokenPipeError):
            # who reads has seen enough, as `head` does: no failure, but there is nothing left to do
            self.pipeline.end(self)
            self.pipeline.stop()
        else:
            super().on_error(error)
