"""Events by name, and their handlers.

A name is `<source>/<WHAT>`: `bgpfix/pipe.` and PARSE, OPEN, EOR, ... for the pipeline itself, the stage's name and
START, STOP, ... for a stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..wire.message import Message
    from ..wire.notification import Notification

START: Final = "bgpfix/pipe.START"
STOP: Final = "bgpfix/pipe.STOP"
PARSE: Final = "bgpfix/pipe.PARSE"
"""A message that can't be decoded, as some stage found."""
OPEN: Final = "bgpfix/pipe.OPEN"
ALIVE: Final = "bgpfix/pipe.ALIVE"
UPDATE: Final = "bgpfix/pipe.UPDATE"
ESTABLISHED: Final = "bgpfix/pipe.ESTABLISHED"
EOR_AF: Final = "bgpfix/pipe.EOR_AF"
EOR: Final = "bgpfix/pipe.EOR"
MALFORMED: Final = "bgpfix/pipe.MALFORMED"
"""A malformed UPDATE of a live session, which was treated before any stage saw it."""
RECONNECT: Final = "bgpfix/pipe.RECONNECT"
"""A connection is lost or was refused, and will be tried again."""
SLOW: Final = "bgpfix/pipe.SLOW"
"""A partner takes octets more slowly than they come, and the others have to wait."""

RPKI_UPDATE: Final = "rpki/UPDATE"
"""Other VRPs or ASPAs count."""
RPKI_SOURCE: Final = "rpki/SOURCE"
"""Another source of --rpki counts."""
RPKI_SHRINK: Final = "rpki/SHRINK"
"""A source says much less than before, and has to say so again."""
RPKI_STALE: Final = "rpki/STALE"
"""No source of --rpki has data that are not too old."""

SESSION_EVENTS: Final = frozenset((OPEN, ALIVE, UPDATE, ESTABLISHED, EOR_AF, EOR))
"""Those that come of looking at the messages of a session."""
RPKI_EVENTS: Final = frozenset((RPKI_UPDATE, RPKI_SOURCE, RPKI_SHRINK, RPKI_STALE))
PIPE_EVENTS: Final = SESSION_EVENTS | RPKI_EVENTS | {START, STOP, PARSE, MALFORMED, RECONNECT, SLOW}
STAGE_EVENTS: Final = ("START", "STOP", "READY", "PREPARE")
ANY: Final = "*"


class Event:
    """An event.

    seq: number of the event, from 1. time: microseconds since 1970 (UTC). direction: of the line, "" for none. stage:
    the stage that emitted it, as `[IDX] NAME`. values: depend on the event; docs/events.md lists them. notification:
    what the peer is told that sent the message, if somebody ends the session because of this.
    """

    __slots__ = ("direction", "error", "message", "name", "notification", "seq", "stage", "time", "values")

    def __init__(
        self,
        name: str,
        seq: int = 0,
        time: int = 0,
        direction: str = "",
        message: Message | None = None,
        error: Exception | None = None,
        stage: str = "",
        values: tuple[Any, ...] = (),
        notification: Notification | None = None,
    ) -> None:
        self.name = name
        self.seq = seq
        self.time = time
        self.direction = direction
        self.message = message
        self.error = error
        self.stage = stage
        self.values = values
        self.notification = notification

    def __repr__(self) -> str:
        return f"Event({self.name!r}, seq={self.seq}, stage={self.stage!r}, values={self.values!r})"


Handler = Callable[[Event], object]
"""Returns False to hear no more."""


class Bus:
    """Calls the handlers of events at once, in the order of subscription.

    on_error: called with the owner of a handler that raises, and the exception; the other handlers still hear.
    """

    def __init__(self, on_error: Callable[[object, Exception], object]) -> None:
        self._handlers: dict[str, list[tuple[Handler, object]]] = {}
        self._count = 0
        self.late = True
        """whether events after START may be emitted later than what they tell of: their handlers only log"""
        self._on_error = on_error

    def on(self, names: Iterable[str], handler: Handler, owner: object = None, *, late: bool = False) -> None:
        """`handler` hears of events with these full names; ANY stands for all. owner: the stage it belongs to. late: it
        only logs, so that it may be called later than the event happens."""
        for name in names:
            self.late &= late or name == START
            self._handlers.setdefault(name, []).append((handler, owner))

    def wanted(self, name: str) -> bool:
        """Whether there is a handler for this event."""
        return bool(self._handlers.get(name) or self._handlers.get(ANY))

    def emit(self, event: Event) -> None:
        self._count += 1
        event.seq = self._count
        for name in (event.name, ANY):
            for subscription in tuple(self._handlers.get(name, ())):
                handler, owner = subscription
                try:
                    if handler(event) is False:
                        self._handlers[name].remove(subscription)
                except Exception as error:
                    self._on_error(owner, error)


def expand(word: str, stage_events: Iterable[str]) -> list[str]:
    """The full names that one word of a list of events means; `stage_events` are those that a stage's name means.

    all, *           every event            a/b        itself
    name, @name      the stage's events     a/b.c      a/b.C
    WORD             bgpfix/pipe.WORD       b.c        bgpfix/b.C
    """
    if word in ("all", ANY):
        return [ANY]
    source, slash, what = word.rpartition("/")
    if "." in what:
        kind, _, name = what.rpartition(".")
        return [f"{source if slash else 'bgpfix'}/{kind}.{name.upper()}"]
    if slash:
        return [word]
    if word.startswith("@") or word == word.lower():
        return [f"{word}/{event}" for event in stage_events]
    return [f"bgpfix/pipe.{word.upper()}"]


def expand_all(words: Iterable[str], stage_events: Iterable[str]) -> list[str]:
    """The full names that a list of words means."""
    stage_events = tuple(stage_events)
    return [name for word in words for name in expand(word, stage_events)]
