"""Wait for a peer to connect over TCP."""

from __future__ import annotations

import asyncio
import ipaddress
from ssl import SSLContext
from typing import Final

from ..net.acceptor import Acceptor, Arrival, Greeting
from ..net.connection import Connection
from ..net.tcp import Network, parse_bind, parse_endpoint, parse_networks
from ..net.tls import server_context
from ..pipeline.errors import ArgumentError, ConfigError, StageError
from ..pipeline.options import DURATION, FLAG, LIST, TEXT, Option, OptionKind
from ..pipeline.stage import ListenSpec
from ..session.greeting import explain, read_open, say
from ..wire.errors import WireError
from ..wire.notification import CEASE, CONNECTION_REJECTED, HOLD_TIMER_EXPIRED, Notification
from .base.peer import PeerStage

SHARED_ADDRESSES: Final = frozenset(map(ipaddress.ip_address, ("127.0.0.1", "::1")))
"""Addresses at which there may be several speakers."""
SPEAK_AFTER: Final = 0.05
"""Seconds after which an active speaker sends its OPEN to a peer that has sent none. Routers send theirs at once, and a
port scanner has closed the connection by then."""

GREETING: Final = Greeting(
    name="OPEN",
    read=read_open,
    errors=WireError,
    explain=explain,
    refused=say(Notification(CEASE, CONNECTION_REJECTED)),
    late=say(Notification(HOLD_TIMER_EXPIRED)),
)


def parse_many(text: str) -> int:
    """A number of sessions; 0 for any number."""
    if text.lower() == "true":
        return 0
    if text.lower() == "false":
        return -1
    if not text.isdecimal():
        raise ValueError("a number of sessions is expected")
    return int(text)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone."""
    return ipaddress.ip_address(host.partition("%")[0])


class Listen(PeerStage):
    """Wait for a peer to connect over TCP.

    ADDR is `:PORT`, an IP address, or both. With --many, every peer that connects gets a session of its own: the
    rest of the command line is run for it, side by side with all others, and outputs are shared.
    """

    argument = "ADDR"
    server = True

    timeout = Option(DURATION, 0.0, "wait this long for a peer; 0 waits for ever")
    open_timeout = Option(DURATION, 10.0, "close a connection if no OPEN comes within this time; 0 never does")
    allow = Option(LIST, (), "accept only peers with these addresses", metavar="CIDR")
    many = Option(
        OptionKind("N", parse_many, flag=True),
        -1,
        "accept many peers; with =N, at most N at the same time",
        metavar="N",
    )
    again = Option(FLAG, False, "accept the next peer when the session has ended")
    left_is = Option(
        TEXT,
        "",
        "the router with this address is at the left, whichever router calls; PORT if it does not listen on 179",
        metavar="IP[:PORT]",
    )
    damp = Option(
        FLAG,
        False,
        "after a failed session, refuse the peer for 5 s, then each time for twice as long, up to 4 minutes",
    )

    arrival: Arrival | None = None
    """a peer that the acceptor of the process has accepted for this stage"""
    acceptor: Acceptor | None = None

    @property
    def accepts_many(self) -> bool:
        return self.again or self.most >= 0

    @property
    def most(self) -> int:
        """The most peers with sessions at the same time: 0 for any number, -1 if the stage waits for one peer only."""
        return 0 if self.many is True else self.many

    def listens(self) -> ListenSpec | None:
        if not self.accepts_many:
            return None
        return ListenSpec(max(0, self.most), self.again, self.damp, self._listen, self._exchanges)

    def adopt(self, accepted: Arrival) -> None:
        self.arrival = accepted

    @property
    def left_router(self) -> str:
        return self.left_is

    def _exchanges(self, host: str) -> bool:
        """Whether the router of the right end has called. Then `connect` calls the one of the left end."""
        return bool(self.left_is) and _address(host) != _address(parse_bind(self.left_is)[0])

    async def _listen(self) -> Acceptor:
        """Raises OSError, ValueError."""
        acceptor = Acceptor(
            self.host,
            self.port,
            self.tcp_options(),
            self.networks,
            self.pipeline.log,
            GREETING,
            timeout=self.open_timeout,
            speak_after=SPEAK_AFTER if any(stage.speaks_first for stage in self.pipeline.stages) else 0.0,
        )
        acceptor.objection = self._objection
        await acceptor.open()
        return acceptor

    def _objection(self, host: str) -> str:
        """The reason to refuse a router that this command line calls itself: it would be connected with itself."""
        if self.left_is:
            return ""  # then we call the other one
        address = _address(host)
        if address in self.called_addresses() and address not in SHARED_ADDRESSES:
            return "connect calls this router, so it must be passive towards us (or --allow only the other one)"
        return ""

    def attach(self) -> None:
        if self.again and self.most >= 0:
            raise ConfigError("--many and --again exclude each other")
        if self.damp and not self.accepts_many:
            raise ConfigError("--damp needs --many or --again")
        if self.left_is:
            self._check_left_is()
        try:
            self.host, self.port = parse_endpoint(self.arguments[0])
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        if "/" in self.host:
            raise ArgumentError(f"{self.host} is a network, not an address; --allow {self.host} says who may connect")
        if self.host.isdecimal():
            hint = f"write :{self.host} for a port, or --many={self.host} for a number of sessions"
            raise ArgumentError(f"not an address: {self.host!r}; {hint}")
        try:
            self.networks: list[Network] = parse_networks(self.allow)
        except ValueError as error:
            raise ConfigError(f"--allow: {error}") from None
        super().attach()

    def _check_left_is(self) -> None:
        """Raises ConfigError."""
        row = [stage for stage in self.pipeline.stages if not stage.hidden]
        if not self.accepts_many:
            raise ConfigError("--left-is needs --many or --again")
        if self is not row[-1 if self.pipeline.exchanged else 0]:
            raise ConfigError("--left-is: listen must be the first stage")
        if not any(isinstance(stage, PeerStage) and not stage.server for stage in row):
            raise ConfigError("--left-is needs a connect at the other end, which calls the router that has not called")
        try:
            parse_bind(self.left_is)
        except ValueError as error:
            raise ConfigError(f"--left-is: {error}") from None

    def tls_context(self) -> SSLContext:
        return server_context(cert=self.cert, key=self.key, ca=self.ca)

    async def take_address(self) -> None:
        if self.acceptor is None and self.arrival is None and not self.accepts_many:
            self.acceptor = await self._listen()
            self.acceptor.expect()
            self.acceptor.start(self.tasks)

    async def open(self) -> Connection:
        if self.arrival is None:
            self.arrival = await self._wait()
        self.early = self.arrival.octets
        if self.arrival.first is None:
            self.on_open = self.arrival.opened
        return self.arrival.connection

    async def _wait(self) -> Arrival:
        """Waits for the first peer that sends an OPEN. Other connections, such as port scans and failed TLS handshakes,
        are ignored."""
        await self.take_addresses()
        acceptor = self.acceptor
        if acceptor is None:
            acceptor = await self._listen()
            acceptor.start(self.tasks)
        try:
            async with asyncio.timeout(self.timeout if self.timeout > 0 else None):
                return await acceptor.next()
        except TimeoutError:
            raise StageError(f"{self}: no peer has connected within {self.timeout:g} s") from None
        finally:
            await acceptor.close()
            self.acceptor = None

    async def stop(self) -> None:
        if self.acceptor is not None:
            await self.acceptor.close()
        await super().stop()
