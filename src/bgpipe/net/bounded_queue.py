"""Octets from a thread that reads to a consumer that computes or to one that awaits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

from ..tasks import ThreadEvent

Item = TypeVar("Item")


class Closed(Exception):
    """The other end has closed the queue."""


class BoundedQueue(Generic[Item]):
    """A queue of at most `size` items between one thread that puts and one consumer that gets, in code or coroutine."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[Item] = deque()
        self._change = Condition()
        self._closed = False
        self._wake: Callable[[], bool] | None = None

    def resize(self, size: int) -> None:
        """Changes the size."""
        self._size = size

    def put(self, item: Item) -> None:
        """Waits for room. Raises Closed once the consumer has closed."""
        with self._change:
            while len(self._items) >= self._size and not self._closed:
                self._change.wait()
            if self._closed:
                raise Closed
            self._items.append(item)
            self._notify()

    def get(self) -> Item:
        """Waits for an item. Raises Closed when the queue is empty and no more will come."""
        with self._change:
            while not self._items:
                if self._closed:
                    raise Closed
                self._change.wait()
            return self._take()

    async def get_async(self) -> Item:
        """As `get`, for a coroutine."""
        while True:
            with self._change:
                if self._items:
                    return self._take()
                if self._closed:
                    raise Closed
                woken = ThreadEvent()
                self._wake = woken.set
            await woken.wait()

    def finish(self) -> None:
        """Called by the thread that puts, when no more will come."""
        with self._change:
            self._closed = True
            self._notify()

    def close(self) -> None:
        """Called by the consumer when it wants no more."""
        with self._change:
            self._closed = True
            self._items.clear()
            self._notify()

    def _take(self) -> Item:
        item = self._items.popleft()
        self._change.notify_all()
        return item

    def _notify(self) -> None:
        self._change.notify_all()
        wake, self._wake = self._wake, None
        if wake is not None and not wake():
            self._closed = True  # the consumer's event loop is closed
