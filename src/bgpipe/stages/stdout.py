"""Write messages to standard output."""

from __future__ import annotations

from .engine.sink import Sink


class Stdout(Sink):
    """Write messages to standard output."""

    uses = "stdout"
