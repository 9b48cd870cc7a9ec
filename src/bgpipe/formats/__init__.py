"""Formats: each a module of this package, or of another one by an entry point `bgpipe.formats`.

base.Format says what such a module has. Ours are found by name; others' are loaded when none of ours will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Final, cast

from ..wire.errors import TextError
from .base import Format

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUILTIN: Final = ("json", "raw", "mrt")
ENTRY_POINTS: Final = "bgpipe.formats"
COMPRESSIONS: Final = (".gz", ".bz2", ".zst", ".zstd")
"""What detect_by_name takes off before it looks at a suffix."""
_ARCHIVES: Final = ("updates.2", "rib.2", "bview.2")
_LATEST: Final = ("latest-update", "latest-bview")
"""How RIPE RIS and RouteViews name their MRT archives, which have no suffix."""


def builtin(name: str) -> Format:
    """One of ours, of which there must be one."""
    return cast(Format, import_module(f"{__name__}.{name}"))


def find(name: str) -> Format:
    """The format of this name, in any case. Raises TextError."""
    lower = name.strip().lower()
    if lower in BUILTIN:
        return builtin(lower)
    entry = _entry_points().get(lower)
    if entry is None:
        raise TextError(f"unknown format {name!r}: {', '.join((*BUILTIN, *_entry_points()))} are known")
    try:
        return cast(Format, entry.load())
    except Exception as error:
        raise TextError(f"format {entry.name!r}, from {entry.value}, can't be loaded: {error}") from error


def detect_by_name(path: str) -> Format | None:
    """The format that a file name or URL tells by its suffix, or by being called as MRT archives are."""
    if "://" in path:
        path = path.partition("?")[0].partition("#")[0]
    base = path.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    for compression in COMPRESSIONS:
        base = base.removesuffix(compression)
    for each in map(builtin, BUILTIN):
        if base.endswith(each.suffixes):
            return each
    if base.startswith(_ARCHIVES) or base in _LATEST:
        return builtin("mrt")
    return next((each for each in _others() if base.endswith(each.suffixes)), None)


def sniff(octets: bytes) -> Format | None:
    """The format of a stream that starts with these octets; a few thousand of them are enough."""
    return next((each for each in chain(map(builtin, BUILTIN), _others()) if each.sniff(octets)), None)


def _others() -> Iterator[Format]:
    """Formats that other packages bring. One that can't be loaded is only missed by who asks for it by name."""
    for name in _entry_points():
        with suppress(TextError):
            yield find(name)


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # slow, and hardly ever needed

    return {entry.name.lower(): entry for entry in entry_points(group=ENTRY_POINTS)}
