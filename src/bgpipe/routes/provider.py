"""Where a speaker takes the routes from that it announces: a recorded table today, a computed one in a route server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ..wire.family import Family
from ..wire.message import Message


class Routes(Protocol):
    """The routes for one peer."""

    def __bool__(self) -> bool:
        """Whether there may be any."""

    def replay(self, family: Family) -> Iterator[Message | None]:
        """UPDATEs that announce all routes of a family as they are when each is made.

        None between them: the caller should give others their turn before it goes on.
        """
