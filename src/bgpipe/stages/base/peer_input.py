"""Takes octets from a connection into the lines, and waits for full lines and limits of rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final

from ...pipeline.errors import StageError
from ...pipeline.metrics import Histogram
from ...wire.item import Item
from ...wire.message import NOTIFICATION, Message

if TYPE_CHECKING:
    from ...net.connection import Connection
    from ...pipeline.input import Feed, Input
    from ...pipeline.stage import Stage
    from ...session.codec import SessionCodec
    from ...wire.errors import WireError

MAX_AHEAD: Final = 256 << 10
"""Octets that are read ahead while a limit of rate makes earlier messages wait."""
LAST_WORD_TIMEOUT: Final = 3.0
"""Seconds for which a limit of rate may delay a NOTIFICATION."""


class PeerInput:
    """Feeds the messages of a peer into the input of its stage.

    handle: gets the messages that were read, and returns those that may enter. refuse: ends the session because of an
    error in what was read.

    A line that is full makes the peer wait: nothing more is read. A limit of rate does so only after MAX_AHEAD octets,
    so that a NOTIFICATION behind many UPDATEs is seen. It takes the place of what waits after LAST_WORD_TIMEOUT, or
    when the peer closes the connection.
    """

    def __init__(
        self,
        stage: Stage,
        inlet: Input,
        codec: SessionCodec,
        handle: Callable[[Iterator[Item]], Iterator[Item]],
        refuse: Callable[[WireError], None],
    ) -> None:
        self._stage = stage
        self._inlet = inlet
        self._codec = codec
        self._handle = handle
        self._refuse = refuse
        self.connection: Connection | None = None
        """set as soon as it is there, before anything is read"""
        self.latency = Histogram()
        """seconds from when octets were read until their messages have left the line"""
        self._feed: Feed | None = None
        self._ahead = b""
        """octets that were read ahead while a limit of rate makes earlier messages wait"""
        self._limited = self._hurried = False
        self._next: Item | None = None
        """the item that enters next"""
        self._read_at = 0.0
        self._unhandled = 0
        """messages of the last framed block that were not fed yet"""
        self.ignored = 0
        """octets that came when the input was closed"""

    def on_octets(self, octets: bytes) -> None:
        if not self._inlet.open:
            self.ignored += len(octets)
        elif self._limited:
            self._read_ahead(octets)
        else:
            self._begin(octets)
            self._advance()

    @property
    def holds_back(self) -> bool:
        """Whether the peer is not read at the moment. Then its silence does not mean that it is dead."""
        connection = self.connection
        return self._limited or (connection is not None and connection.paused)

    def _begin(self, octets: bytes) -> None:
        self._read_at = monotonic()
        self._feed = self._inlet.feed(self._items(octets))

    def _items(self, octets: bytes) -> Iterator[Item]:
        """The items of octets that were read, and of those that are read ahead meanwhile."""
        while octets and self._codec.fault is None:
            for item in self._handle(self._framed(octets)):
                self._unhandled -= 1 if isinstance(item, Message) else len(item)
                self._next = item
                yield item
            self._next = None
            octets, self._ahead = self._ahead, b""

    def _framed(self, octets: bytes) -> Iterator[Item]:
        for item in self._codec.feed(octets, self._stage.pipeline.now()):
            self._unhandled = 1 if isinstance(item, Message) else len(item)
            yield item
        self._unhandled = 0

    def _advance(self) -> None:
        """Feeds what was read, as far as the lines take it."""
        stage = self._stage
        assert self.connection is not None
        self._limited = False
        if self._feed is not None:
            try:
                seconds = self._feed.step()
            except StageError:
                self._drop(self._feed.failed + self.abort(), "messages behind one that a stage failed at were dropped")
                raise
            stage.pipeline.flush()
            if seconds is not None:
                self._wait(seconds)
                return
            self._feed = None
            self.latency.observe(monotonic() - self._read_at)
        if self._codec.fault is not None and self._inlet.open:
            self._refuse(self._codec.fault)
        else:
            self.connection.resume()

    def abort(self) -> int:
        """Cuts off what was read. Returns how many messages of it the input has not been fed yet."""
        self._feed, self._next = None, None
        ahead, self._ahead = self._ahead, b""
        unhandled, self._unhandled = max(0, self._unhandled), 0
        return unhandled + self._codec.skip(ahead)

    def _drop(self, messages: int, why: str) -> None:
        if messages:
            self._stage.pipeline.log.warning(why, stage=str(self._stage), messages=messages)
            self._stage.drops["waiting"] += messages

    def _wait(self, seconds: float) -> None:
        """The lines take no more for so many seconds, or until they are released."""
        assert self.connection is not None
        if seconds == math.inf:
            self.connection.pause()
            self._stage.pipeline.when_released(self._advance, self._stage)
        else:
            self._limited = True
            self._stage.call_later(seconds, self._advance)
            self._read_ahead(b"")

    def _read_ahead(self, octets: bytes) -> None:
        """Keeps octets that come while a limit of rate makes earlier messages wait, and searches them for a
        NOTIFICATION."""
        assert self.connection is not None
        self._ahead += octets
        if len(self._ahead) >= MAX_AHEAD:
            self.connection.pause()
        if not self._hurried and self._codec.has_notification(self._ahead):
            self._hurried = True
            self._stage.call_later(LAST_WORD_TIMEOUT, self.hurry)

    def hurry(self) -> None:
        """If a NOTIFICATION waits behind other messages, drops these and lets the NOTIFICATION enter."""
        stage = self._stage
        if self._inlet.ended:
            return
        if isinstance(self._next, Message) and self._next.type_code == NOTIFICATION:
            found, left_out = self._next, 0  # it waits for a line that is held
            self._inlet.cut()
        else:
            message, left_out = self._codec.take_notification(self._ahead, stage.pipeline.now())
            if message is None:
                return
            found = message
            left_out += self._inlet.cut() + max(0, self._unhandled)
        self._feed, self._next, self._ahead, self._unhandled = None, None, b"", 0
        self._drop(left_out, "messages that waited before a NOTIFICATION were dropped")
        self._inlet.put(found)
        stage.pipeline.flush()
