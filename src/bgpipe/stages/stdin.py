"""Read messages from standard input."""

from __future__ import annotations

from .engine.source import Source


class Stdin(Source):
    """Read messages from standard input."""

    uses = "stdin"
