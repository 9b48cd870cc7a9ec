"""Where lists of prefixes come from: one module for each kind of source, found by the name of the kind.

Packages with a kind of their own need the names in `__all__`; docs/writing-a-source.md explains each step.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .base import Fetched, Source, SourceError
from .content import Form
from .context import Context

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["Context", "Fetched", "Form", "Source", "SourceError"]
KINDS: Final = ("file", "http", "asn", "country", "domain", "set")
ENTRY_POINTS: Final = "bgpipe.sources"
"""The group in which other packages name their kinds."""


def kinds() -> list[str]:
    """The names of all kinds that there are, ours first."""
    return [*KINDS, *sorted({found.name for found in of_others()} - {*KINDS})]


def is_kind(name: str) -> bool:
    return name in KINDS or bool(of_others(name))


def of_others(name: str = "") -> EntryPoints:
    """The kinds of other packages, or those with one name."""
    from importlib.metadata import entry_points  # it takes longer to import than all of ours

    return entry_points(group=ENTRY_POINTS, name=name) if name else entry_points(group=ENTRY_POINTS)


def make_source(kind: str, settings: Any, context: Context) -> Source:
    """A source of one of our kinds, or of one of another package.

    Such a package's `make(settings, context)` gives an object with the members of `base.Source`. Raises ValueError.
    """
    if kind in KINDS:
        made: Source = import_module(f"{__name__}.{kind}").make(settings, context)
        return made
    for found in of_others(kind):
        try:
            other: Source = found.load()(settings, context)
        except Exception as error:
            raise ValueError(f"the kind of source {kind!r} ({found.value}) can't be used: {error}") from error
        return other
    raise ValueError(f"there is no kind of source {kind!r}; there are {', '.join(kinds())}")
