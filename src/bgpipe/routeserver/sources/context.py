"""What sources of prefixes have to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import Irr
    from .base import Member
    from .fetch import Fetcher
    from .ripestat import RipeStatClient


@dataclass(frozen=True, slots=True)
class Context:
    """What sources have to work with.

    folder: where relative paths begin. state: a folder in which the source of one list may keep what it wants to
    remember. fetcher: for URLs of lists. ripe_stat, irr: whom to ask about AS numbers and countries. member: the list
    with a name, None if there is none.
    """

    folder: Path
    fetcher: Fetcher
    ripe_stat: RipeStatClient
    irr: Irr
    state: Path = Path()
    member: Callable[[str], Member | None] = lambda name: None
