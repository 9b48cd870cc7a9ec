"""Read messages from standard input."""

from __future__ import annotations

from .base.source import Source


class Stdin(Source):
    """Read messages from standard input."""

    uses = "stdin"
