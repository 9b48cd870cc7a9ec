"""Speak BGP: answer the peer's OPEN, keep the session alive."""

from __future__ import annotations

import asyncio
from typing import Final

from ..pipeline.errors import ConfigError, StageError
from ..pipeline.options import DURATION, FLAG, INTEGER, TEXT, Option
from ..pipeline.stage import Producing
from ..session.session import LEAST_HOLD_TIME, Down, Send, Session, Settings
from ..wire import caps
from ..wire.address import parse_address
from ..wire.block import Block
from ..wire.caps import Capability, mp
from ..wire.errors import TextError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.message import KEEPALIVE, UPDATE, Message

FLOWSPEC: Final = 133
FAMILIES: Final = (IPV4_UNICAST, Family(1, FLOWSPEC), IPV6_UNICAST, Family(2, FLOWSPEC))
"""What we say that we speak, unless --caps says it."""


class Speaker(Producing):
    """Speak BGP: answer the peer's OPEN, keep the session alive.

    Messages of the speaker travel in its own direction; the peer is at the end of that line. Without --active it
    waits for the peer's OPEN, and takes the AS number and an identifier from there unless told which.
    """

    active = Option(FLAG, False, "send our OPEN first")
    asn = Option(INTEGER, -1, "our AS number; -1 takes the peer's, or 0 with --active", metavar="ASN")
    id = Option(
        TEXT, "", "our BGP identifier; the default is the peer's less one, or 0.0.0.1 with --active", metavar="IP"
    )
    hold = Option(INTEGER, 90, "our hold time, in seconds", metavar="N")
    remote_asn = Option(INTEGER, -1, "take only a peer with this AS number; -1 any", metavar="ASN")
    remote_hold = Option(INTEGER, 0, "take only a peer with at least this hold time, in seconds", metavar="N")
    text = Option(TEXT, "", "what to say when we shut down (RFC 9003)", metavar="TEXT")
    open_wait = Option(DURATION, 240.0, "wait so long for the peer's OPEN")
    send_hold = Option(DURATION, 0.0, "give up a peer that takes nothing for so long; 0: 8 minutes or more (RFC 9687)")

    linger = Option(FLAG, False, "keep the session up when all input is through")

    @property
    def lasting(self) -> bool:
        return not self.linger

    def attach(self) -> None:
        if self.asn > 0xFFFFFFFF or self.remote_asn > 0xFFFFFFFF:
            raise ConfigError("an AS number has at most 32 bits")
        if not 0 <= self.hold <= 0xFFFF:
            raise ConfigError("--hold: seconds from 0 to 65535")
        try:
            if self.id and (len(parse_address(self.id)) != 4 or self.id == "0.0.0.0"):
                raise TextError(f"not a BGP identifier: {self.id!r}")
        except TextError as error:
            raise ConfigError(f"--id: {error}") from None
        self.inlet = self.feed_into(session=True)
        self.session = Session(
            Settings(
                asn=self.asn if self.asn >= 0 or not self.active else 0,
                bgp_id=self.id or ("0.0.0.1" if self.active else ""),
                hold_time=max(self.hold, LEAST_HOLD_TIME) if self.hold else 0,
                capabilities=self.capabilities(),
                remote_asn=self.remote_asn,
                remote_hold=self.remote_hold,
                passive=not self.active,
                open_wait=self.open_wait,
                send_hold=self.send_hold,
                text=self.text,
            )
        )
        self._changed = asyncio.Event()
        self._down: Down | None = None
        opposite = "L" if self.directions == "R" else "R"
        self.pipeline.lines[opposite].outputs.append(self._on_item)
        self.pipeline.lines[self.directions].outputs.append(self._on_sent)

    def capabilities(self) -> tuple[Capability, ...]:
        """What --caps says, and what it doesn't mention of what we can do."""
        given = self.pipeline.capabilities
        codes = {capability.code for capability in given}
        ours = [Capability(caps.MP, mp.encode(family)) for family in FAMILIES]
        ours += [Capability(caps.ROUTE_REFRESH), Capability(caps.EXTENDED_MESSAGE)]
        if self.pipeline.context.as4:
            ours.append(Capability(caps.AS4, bytes(4)))
        return tuple(sorted([*given, *(each for each in ours if each.code not in codes)], key=lambda each: each.code))

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.session.start(loop.time(), passive=True)
        self.session.connected(loop.time())
        self._act()
        while self._down is None:
            self._changed.clear()
            deadline = self.session.deadline
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                self.session.tick(loop.time())
                self._act()
        if not self.pipeline.stopping:
            raise StageError(f"{self}: session is down: {self._down.reason}")

    def farewell(self) -> None:
        if self._down is None and not self.pipeline.lost:
            self.session.stop(asyncio.get_running_loop().time())
            self._act()

    def _on_item(self, item: Message | Block) -> None:
        """Something came from the peer."""
        if self._down is not None:
            return
        now = asyncio.get_running_loop().time()
        if isinstance(item, Message):
            self.session.received(item, now)
        else:
            self.session.received(item.message(0), now)  # all of them are UPDATEs
        self._act()

    def _on_sent(self, item: Message | Block) -> None:
        """Something, of whomever, is on its way to the peer."""
        if isinstance(item, Block) or item.type_code in (UPDATE, KEEPALIVE):
            self.session.sent(asyncio.get_running_loop().time())

    def _act(self) -> None:
        """Does what the session wants."""
        for output in self.session.outputs():
            if isinstance(output, Send):
                output.message.direction = self.directions
                self.inlet.put(output.message)
            elif isinstance(output, Down):
                self._down = output
        self._changed.set()
