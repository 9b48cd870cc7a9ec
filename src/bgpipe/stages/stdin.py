"""Read messages from standard input."""

from __future__ import annotations

from .base.source import ReadStage


class Stdin(ReadStage):
    """Read messages from standard input."""

    uses = "stdin"
