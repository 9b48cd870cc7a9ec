"""SIGHUP: who wants to read something anew."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

_calls: list[Callable[[], None]] = []


def on_hangup(call: Callable[[], None]) -> None:
    """Calls at each SIGHUP, in the event loop, from now on. Where the loop can't have signals, there are none."""
    _calls.append(call)
    if len(_calls) == 1:
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not on this system, not in this thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _tell)


def off_hangup(call: Callable[[], None]) -> None:
    """Calls no more."""
    if call in _calls:
        _calls.remove(call)
        if not _calls:
            with suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


def _tell() -> None:
    for call in _calls.copy():
        call()
