"""The interface for stages of other packages. These names stay the same as long as `API` does.

    from bgpipe.stage import INTEGER, UPDATE, Consuming, Message, Option

    class Prepend(Consuming):
        '''Prepend an AS number to the AS path of announcements.'''

        api = 1
        both = True
        asn = Option(INTEGER, 0, "AS number to prepend", metavar="ASN")

        def attach(self) -> None:
            self.watch(self.on_message, types=[UPDATE])

        def on_message(self, message: Message) -> None:
            ...

bgpipe finds the class by the entry point group `bgpipe.stages`. docs/writing-a-stage.md explains each step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .pipeline.errors import ConfigError, StageError
from .pipeline.events import Event
from .pipeline.input import Input
from .pipeline.metrics import Metrics
from .pipeline.options import DURATION, FLAG, INTEGER, LIST, NUMBER, TEXT, TEXTS, Option, OptionKind, choice
from .pipeline.stage import API, Consuming, Producing, Progress, Stage, compile_filters
from .runtime import runner
from .wire.block import Block
from .wire.errors import TextError, WireError
from .wire.item import Item
from .wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from .wire.notification import Notification
from .wire.open import Open
from .wire.prefix import Prefix, parse_prefix
from .wire.update import Update

__all__ = [
    "API",
    "DURATION",
    "FLAG",
    "INTEGER",
    "KEEPALIVE",
    "LIST",
    "NOTIFICATION",
    "NUMBER",
    "OPEN",
    "ROUTE_REFRESH",
    "TEXT",
    "TEXTS",
    "UPDATE",
    "Block",
    "ConfigError",
    "Consuming",
    "Event",
    "Input",
    "Message",
    "Metrics",
    "Notification",
    "Open",
    "Option",
    "OptionKind",
    "Prefix",
    "Producing",
    "Progress",
    "Stage",
    "StageError",
    "TextError",
    "Update",
    "WireError",
    "choice",
    "compile_filters",
    "feed",
    "parse_prefix",
    "session_up",
]


async def feed(stage: Stage, way_in: Input, items: Iterable[Item]) -> None:
    """Feeds messages and blocks into the line, and returns when all have entered it.

    It waits while the line is held, and for --rate-limit. way_in: the result of `stage.feed_into()`.
    """
    await runner.feed(stage.pipeline, way_in, items)
    stage.pipeline.flush()
    await asyncio.sleep(0)  # others have their turn, however fast the items come


async def session_up(stage: Stage) -> None:
    """Waits until UPDATEs can be sent. It returns at once unless the pipeline has a `speaker` whose session is not up
    yet."""
    await runner.session_up(stage.pipeline)
