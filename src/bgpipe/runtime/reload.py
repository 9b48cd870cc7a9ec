"""SIGHUP: who wants to read something anew."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakKeyDictionary

_calls: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Callable[[], None]]] = WeakKeyDictionary()
_IMPOSSIBLE = (NotImplementedError, RuntimeError, ValueError)
"""What an event loop says that can't have signals: on this system, or in this thread."""


def on_hangup(call: Callable[[], None]) -> None:
    """Calls at each SIGHUP, in the event loop, from now on. Where that is impossible nothing is ever called."""
    loop = asyncio.get_running_loop()
    calls = _calls.setdefault(loop, [])
    if not calls:
        with suppress(*_IMPOSSIBLE):
            loop.add_signal_handler(signal.SIGHUP, _tell, loop)
    calls.append(call)


def off_hangup(call: Callable[[], None]) -> None:
    """Calls no more."""
    loop = asyncio.get_running_loop()
    calls = _calls.get(loop, [])
    if call in calls:
        calls.remove(call)
        if not calls:
            with suppress(*_IMPOSSIBLE):
                loop.remove_signal_handler(signal.SIGHUP)


def _tell(loop: asyncio.AbstractEventLoop) -> None:
    for call in _calls[loop].copy():
        call()
