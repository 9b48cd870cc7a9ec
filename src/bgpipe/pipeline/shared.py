"""What the pipelines of one process share: outputs, totals, caches.

A command line may run many sessions at the same time, each in a pipeline of its own. A shared object is made once, for
the first stage that takes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Hashable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ..rpki.current import Rpki

T = TypeVar("T")


class Shared:
    """keep: objects stay until the end of the process; otherwise an object is closed when its last user gives it
    back."""

    def __init__(self, *, keep: bool = False) -> None:
        self.keep = keep
        self._things: dict[Hashable, Any] = {}
        self._closers: dict[Hashable, Callable[[], Awaitable[None]]] = {}
        self._users: dict[Hashable, int] = {}

    @cached_property
    def rpki(self) -> Rpki:
        """VRPs and ASPAs, where a stage needs them."""
        from ..rpki.current import Rpki  # only then, for a quick start

        return Rpki()

    def setdefault(self, key: Hashable, make: Callable[[], T]) -> T:
        """The object for this key, made if there is none yet. It needs no closing."""
        if key not in self._things:
            self._things[key] = make()
        thing: T = self._things[key]
        return thing

    def take(self, key: Hashable, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> T:
        """As setdefault, for an object that must be closed. Each user must give it back once."""
        thing = self.setdefault(key, make)
        self._closers.setdefault(key, lambda: close(thing))
        self._users[key] = self._users.get(key, 0) + 1
        return thing

    async def give_back(self, key: Hashable) -> None:
        self._users[key] -= 1
        if not self._users[key] and not self.keep:
            await self._close(key)

    def take_closers(self) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        """The functions that close all objects that are still open, each with a name for people. They have no users any
        more."""
        return [
            (" ".join(map(str, key)) if isinstance(key, tuple) else str(key), partial(self._close, key))
            for key in self._closers
        ]

    async def _close(self, key: Hashable) -> None:
        close = self._closers.pop(key)
        self._things.pop(key)
        self._users.pop(key, None)
        await close()
