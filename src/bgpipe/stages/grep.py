"""Keep the messages that match a filter, and drop the others."""

from __future__ import annotations

from typing import Any

from ..pipeline.errors import ConfigError
from ..pipeline.options import FLAG, TEXT, Option
from ..pipeline.stage import Consuming, compile_filters
from ..wire.block import Block
from ..wire.message import Message


class Grep(Consuming):
    """Keep the messages that match a filter, and drop the others."""

    argument = "FILTER"
    both = True
    keeps_matches = True

    keep = Option(FLAG, False, "drop nothing: only the events count")
    event_match = Option(TEXT, "", "emit this event for each message that matches", metavar="NAME")
    event_fail = Option(TEXT, "", "emit this event for each message that doesn't match", metavar="NAME")
    kill_match = Option(FLAG, False, "end the process at once if a message matches")
    kill_fail = Option(FLAG, False, "end the process at once if a message doesn't match")

    def attach(self) -> None:
        if self.keep and not (self.event_match or self.event_fail):
            raise ConfigError("--keep needs --event-match or --event-fail")
        self.own_events = (self.event_match, self.event_fail)
        (self.filter,) = compile_filters(self.arguments)
        silent = not (self.event_match or self.event_fail or self.kill_match or self.kill_fail)
        self.watch(self.on_message, on_block=self.on_block if silent else None)

    def status(self) -> dict[str, Any]:
        return {"filter": self.arguments[0], "dropped": self.drops["dropped"]}

    def on_message(self, message: Message) -> bool:
        matches = self.filter(message)
        event = self.event_match if matches else self.event_fail
        if event:
            self.event(event, message)
        if self.kill_match if matches else self.kill_fail:
            self.pipeline.kill(f"{self.name}/{'match' if matches else 'fail'}")
        return self.keep or matches is self.keeps_matches

    def on_block(self, block: Block) -> Block:
        return self.filter.select(block, self.keeps_matches)
