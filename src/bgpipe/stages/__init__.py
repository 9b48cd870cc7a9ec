"""Stages: one module each, and the module's name is the command. Stages of other packages are found by the entry point
group `bgpipe.stages`. `base/` has the base classes.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ..pipeline.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from ..pipeline.stage import Stage

ENTRY_POINTS: Final = "bgpipe.stages"


@lru_cache(maxsize=1)
def builtin() -> tuple[str, ...]:
    """The names of our own stages; nothing is imported."""
    folder = os.path.dirname(__file__)
    names = {name.partition(".")[0] for name in os.listdir(folder) if name.endswith((".py", ".pyc"))}
    return tuple(sorted(name.replace("_", "-") for name in names if not name.startswith("_")))


def known() -> tuple[str, ...]:
    """The names of all stages, our own first."""
    return (*builtin(), *(name for name in sorted(_entry_points()) if name not in builtin()))


def find(name: str) -> type[Stage] | None:
    """The class of a stage. Raises ConfigError if it can't be loaded, or is written for another version of the API."""
    if name in builtin():
        return _stage_of(import_module(f"{__name__}.{name.replace('-', '_')}"), name)
    entry = _entry_points().get(name)
    if entry is None:
        return None
    try:
        stage = entry.load()
    except Exception as error:
        raise ConfigError(f"stage {name}, from {entry.value}, can't be loaded: {error}") from error
    from ..pipeline.stage import API, Stage

    if not (isinstance(stage, type) and issubclass(stage, Stage)):
        raise ConfigError(f"stage {name}, from {entry.value}, is no subclass of bgpipe.stage.Stage")
    if stage.api != API:
        older = "bgpipe" if stage.api > API else "the stage's package"
        text = f"needs version {stage.api} of bgpipe.stage, and this bgpipe has version {API}: install a newer {older}"
        raise ConfigError(f"stage {name}, from {entry.value}, {text}")
    return stage


def summary(name: str) -> str:
    """What a stage does, in one line. Of our own stages it is the first line of the module, which is not imported."""
    if name not in builtin():
        try:
            return (getattr(find(name), "__doc__", None) or "").strip().partition("\n")[0]
        except ConfigError as error:
            return str(error)
    try:
        with open(os.path.join(os.path.dirname(__file__), f"{name.replace('-', '_')}.py"), encoding="utf-8") as file:
            return file.readline().strip().strip('"')
    except OSError:  # an installation without sources
        return (import_module(f"{__name__}.{name}").__doc__ or "").partition("\n")[0]


def _stage_of(module: object, name: str) -> type[Stage]:
    """The one class of a module that is a stage and was made there."""
    from ..pipeline.stage import Stage

    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Stage) and value.__module__ == module.__name__:  # type: ignore[attr-defined]
            return value
    raise LookupError(f"the module of the stage {name} has none")


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, EntryPoint]:
    if not _others_have_stages():
        return {}
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _others_have_stages() -> bool:
    """Whether any installed package names our entry point group. To import importlib.metadata takes longer than this,
    and longer than all else that `bgpipe -h` does."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                try:
                    with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:
                        if ENTRY_POINTS in file.read():
                            return True
                except OSError:
                    continue
    return False
