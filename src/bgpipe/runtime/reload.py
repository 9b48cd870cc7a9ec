"""SIGHUP: files are read again, and nothing ends.

Code that has read a file which may change registers a function with `on_reload`. The process has the signal handler
from its start to its end. Each function reloads its own file; if that fails, it keeps the old content, and logs the
error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

from ..pipeline.log import Log

_reloads: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Callable[[], None]]] = WeakKeyDictionary()


def on_reload(reload: Callable[[], None]) -> None:
    """Registers a function that is called in the event loop at each SIGHUP."""
    _reloads.setdefault(asyncio.get_running_loop(), []).append(reload)


def off_reload(reload: Callable[[], None]) -> None:
    """Stops calling `reload`."""
    reloads = _reloads.get(asyncio.get_running_loop(), [])
    if reload in reloads:
        reloads.remove(reload)


def reload_all(log: Log) -> None:
    """Called at SIGHUP."""
    reloads = _reloads.get(asyncio.get_running_loop(), []).copy()
    log.info("SIGHUP: reloading" if reloads else "SIGHUP: there is nothing to reload")
    for reload in reloads:
        try:
            reload()
        except Exception as error:
            log.error(f"not reloaded: {type(error).__name__}: {error}")
