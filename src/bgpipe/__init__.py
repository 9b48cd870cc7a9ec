"""BGP messages from archives and streams: read, filter, look, write; and pipelines that run in a program.

    import bgpipe

    for message in bgpipe.read("updates.20260101.0000.bz2", filter="as_origin == 65001"):
        print(message.update.as_path, message.update.reach)

Everything here is loaded when it is first used, so that importing costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app.run import Control, Result, run, run_async
    from .filters import Filter, FilterError, compile_filter
    from .formats.base import Counts, Damage
    from .library import AsyncReader, Reader, read, read_async, write
    from .pipeline.errors import ConfigError, StageError, UsageError
    from .pipeline.events import Event
    from .version import __version__
    from .wire.attrs.as_path import AsPath, make_path
    from .wire.attrs.attribute import Attribute
    from .wire.block import Block
    from .wire.context import WireContext
    from .wire.elem import Elem
    from .wire.errors import Reaction, TextError, WireError
    from .wire.family import Family, parse_family
    from .wire.message import Message
    from .wire.notification import Notification
    from .wire.open import Open
    from .wire.prefix import Prefix, parse_prefix
    from .wire.refresh import RouteRefresh
    from .wire.state import StateChange
    from .wire.update import Update

_HOMES = {
    "app.run": ("Control", "Result", "run", "run_async"),
    "library": ("AsyncReader", "Reader", "read", "read_async", "write"),
    "filters": ("Filter", "FilterError", "compile_filter"),
    "formats.base": ("Counts", "Damage"),
    "pipeline.errors": ("ConfigError", "StageError", "UsageError"),
    "pipeline.events": ("Event",),
    "version": ("__version__",),
    "wire.attrs.as_path": ("AsPath", "make_path"),
    "wire.attrs.attribute": ("Attribute",),
    "wire.block": ("Block",),
    "wire.context": ("WireContext",),
    "wire.elem": ("Elem",),
    "wire.errors": ("Reaction", "TextError", "WireError"),
    "wire.family": ("Family", "parse_family"),
    "wire.message": ("Message",),
    "wire.notification": ("Notification",),
    "wire.open": ("Open",),
    "wire.prefix": ("Prefix", "parse_prefix"),
    "wire.refresh": ("RouteRefresh",),
    "wire.state": ("StateChange",),
    "wire.update": ("Update",),
}
"""Where each name lives."""
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AsPath",
    "AsyncReader",
    "Attribute",
    "Block",
    "ConfigError",
    "Control",
    "Counts",
    "Damage",
    "Elem",
    "Event",
    "Family",
    "Filter",
    "FilterError",
    "Message",
    "Notification",
    "Open",
    "Prefix",
    "Reaction",
    "Reader",
    "Result",
    "RouteRefresh",
    "StageError",
    "StateChange",
    "TextError",
    "Update",
    "UsageError",
    "WireContext",
    "WireError",
    "__version__",
    "compile_filter",
    "make_path",
    "parse_family",
    "parse_prefix",
    "read",
    "read_async",
    "run",
    "run_async",
    "write",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
