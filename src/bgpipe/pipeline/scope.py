"""The interface by which a pipeline creates tasks and timers of its session."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

OnError = Callable[[Exception], object]


class ScheduledCall(Protocol):
    """A scheduled call."""

    def cancel(self) -> None: ...


class Scope(Protocol):
    """What creates the tasks and timers of one session (bgpipe.tasks.Tasks)."""

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, Any], on_error: OnError | None = None) -> Any: ...
    def begin(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> Any: ...
    def child(self, on_error: OnError | None = None) -> Any: ...
    def call_soon(
        self, name: str, function: Callable[[], object], on_error: OnError | None = None
    ) -> ScheduledCall: ...
    def call_later(
        self, name: str, delay: float, function: Callable[[], object], on_error: OnError | None = None
    ) -> ScheduledCall: ...
