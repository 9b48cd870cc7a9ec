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

    keep = Option(FLAG, False, "drop nothing; only emit the events")
    narrow = Option(FLAG, False, "keep only the routes that match, not all of their UPDATE")
    event_match = Option(TEXT, "", "emit this event for each message that matches", metavar="NAME")
    event_fail = Option(TEXT, "", "emit this event for each message that doesn't match", metavar="NAME")
    kill_match = Option(FLAG, False, "end the process at once if a message matches")
    kill_fail = Option(FLAG, False, "end the process at once if a message doesn't match")

    def attach(self) -> None:
        if self.keep and not (self.event_match or self.event_fail):
            raise ConfigError("--keep needs --event-match or --event-fail")
        if self.keep and self.narrow:
            raise ConfigError("--keep and --narrow exclude each other: --keep changes nothing")
        self.own_events = (self.event_match, self.event_fail)
        (self.filter,) = compile_filters(self.arguments)
        self.observable = bool(self.event_match or self.event_fail or self.kill_match or self.kill_fail)
        self.watch(self.on_message, on_block=self.on_block)
        if not (self.keep or self.narrow or self.observable):
            self.callbacks[-1].on_unchecked = self.on_unchecked

    def status(self) -> dict[str, Any]:
        return {"filter": self.arguments[0], "dropped": self.drops["dropped"]}

    def on_message(self, message: Message) -> bool:
        if self.narrow:
            stays, matches = self._narrowed(message)
        else:
            matches = self.filter(message)
            stays = self.keep or matches is self.keeps_matches
        event = self.event_match if matches else self.event_fail
        if event:
            self.event(event, message)
        if self.kill_match if matches else self.kill_fail:
            self.pipeline.kill(f"{self.name}/{'match' if matches else 'fail'}")
        return stays

    def _narrowed(self, message: Message) -> tuple[bool, bool]:
        """Removes routes from a message. Returns whether any are left, and whether any matched."""
        body = self.filter.narrow_message(message, self.keeps_matches)
        stays = body is not None
        matches = stays if self.keeps_matches else body is not message.body
        if body is not None and body is not message.body:
            from ..wire.update import Update

            message.update = Update(body, message.context)
        return stays, matches

    def opens(self, block: Block) -> bool:
        """Whether messages must come one by one: a handler gets the events, or one of the messages ends the process."""
        names = [f"{self.name}/{name}" for name in (self.event_match, self.event_fail) if name]
        return (
            any(map(self.pipeline.bus.wanted, names))
            or (self.kill_match and len(self.filter.select(block, True)) > 0)
            or (self.kill_fail and len(self.filter.select(block, False)) > 0)
        )

    def on_unchecked(self, block: Block) -> Block | None:
        return self.filter.select_checked(block, self.keeps_matches)

    def on_block(self, block: Block) -> Block:
        """What is left of a block. The events of its messages are only counted, because nothing handles them."""
        choose = self.filter.narrow if self.narrow else self.filter.select
        left = choose(block, self.keeps_matches) if not self.keep else block
        if self.event_match or self.event_fail:
            matches = len(left if self.keeps_matches and not self.keep else choose(block, True))
            for name, count in ((self.event_match, matches), (self.event_fail, len(block) - matches)):
                if name and count:
                    self.pipeline.events[f"{self.name}/{name}"] += count
        return left
