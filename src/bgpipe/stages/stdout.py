"""Write messages to standard output."""

from __future__ import annotations

from .base.sink import Sink


class Stdout(Sink):
    """Write messages to standard output."""

    uses = "stdout"
