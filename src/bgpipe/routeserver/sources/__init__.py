"""Where lists of prefixes come from: one module for each kind of source, found by the name of the kind."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Source
    from .fetch import Context

KINDS = ("file", "http", "asn", "country")


def make_source(kind: str, settings: Any, context: Context) -> Source:
    """A source of one of our kinds, or of one of another package (entry point `bgpipe.sources`).

    Such a package's `make(settings, context)` gives an object with the members of `base.Source`. Raises ValueError.
    """
    if kind in KINDS:
        made: Source = import_module(f"{__name__}.{kind}").make(settings, context)
        return made
    for found in entry_points(group="bgpipe.sources", name=kind):
        other: Source = found.load()(settings, context)
        return other
    raise ValueError(f"there is no kind of source {kind!r}; there are {', '.join(KINDS)}")
