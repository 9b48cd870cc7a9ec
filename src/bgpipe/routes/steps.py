"""Work that is done in steps of some milliseconds, so that an event loop has its turn in between."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that lets others have their turn at each yield, and returns what it has made."""


def finish(steps: Steps[T]) -> T:
    """Does all of it now."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


class SharedSteps(Generic[T]):
    """What a generator yields, for several who want it: whoever is furthest does the next step, for all of them.

    The generator yields None after a step that has made nothing yet. What it has raised, it raises for everybody.
    """

    def __init__(self, source: Iterator[T | None]) -> None:
        self._source = source
        self._made: list[T] = []
        self._error: Exception | None = None
        self._done = False

    def __iter__(self) -> Iterator[T | None]:
        place = 0
        while True:
            if place < len(self._made):
                yield self._made[place]
                place += 1
            elif self._error is not None:
                raise self._error
            elif self._done:
                return
            else:
                self._step()
                yield None

    def _step(self) -> None:
        try:
            made = next(self._source)
        except StopIteration:
            self._done = True
        except Exception as error:
            self._error = error
        else:
            if made is not None:
                self._made.append(made)
