"""Drop the messages that match a filter, and keep the others."""

from __future__ import annotations

from .grep import Grep


class Drop(Grep):
    """Drop the messages that match a filter, and keep the others."""

    keeps_matches = False
