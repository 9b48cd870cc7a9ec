"""Drop the messages that match a filter, and keep the others."""

from __future__ import annotations

from ..pipeline.options import FLAG, Option
from .grep import Grep


class Drop(Grep):
    """Drop the messages that match a filter, and keep the others."""

    keeps_matches = False

    narrow = Option(FLAG, False, "remove only the routes that match, not all of their UPDATE")
