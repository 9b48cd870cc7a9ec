"""Wait for a peer to connect over TCP."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from ssl import SSLContext

from ..net.acceptor import Acceptor
from ..net.connection import Connection, adopt
from ..net.errors import explain_error
from ..net.tcp import Network, TcpOptions, parse_endpoint
from ..net.tls import server_context
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.options import DURATION, FLAG, LIST, Kind, Option
from ..pipeline.stage import ListenSpec
from .base.peer import PeerStage


def parse_many(text: str) -> int:
    """A number of sessions; 0 for any number."""
    if text.lower() == "true":
        return 0
    if text.lower() == "false":
        return -1
    if not text.isdecimal():
        raise ValueError("want a number of sessions")
    return int(text)


class Listen(PeerStage):
    """Wait for a peer to connect over TCP.

    ADDR is `:PORT`, an IP address, or both. With --many, every peer that connects gets a session of its own: the
    rest of the command line is run for it, side by side with all others, and outputs are shared.
    """

    argument = "ADDR"
    server = True

    timeout = Option(DURATION, 0.0, "wait so long for a peer; 0 for ever")
    open_timeout = Option(DURATION, 10.0, "close a connection on which no OPEN has come for so long; 0 never")
    allow = Option(LIST, (), "take only peers with these addresses", metavar="CIDR")
    many = Option(
        Kind("N", parse_many, flag=True), -1, "take many peers, with =N so many at the same time", metavar="N"
    )
    again = Option(FLAG, False, "take the next peer when the session ends")
    damp = Option(FLAG, False, "refuse a peer whose sessions fail for 5 s, then each time for twice as long")

    accepted: socket.socket | None = None
    """a connection that somebody else has let in"""

    @property
    def accepts_many(self) -> bool:
        return self.again or self.most >= 0

    @property
    def most(self) -> int:
        """How many peers may have sessions at the same time: 0 any number, -1 if it is just one that is waited for."""
        return 0 if self.many is True else self.many

    def listens(self) -> ListenSpec | None:
        if not self.accepts_many:
            return None
        return ListenSpec(max(0, self.most), self.again, self.damp, self._acceptor)

    def adopt(self, accepted: tuple[socket.socket, Callable[[], None]]) -> None:
        self.accepted, self.on_open = accepted

    def _acceptor(self) -> Acceptor:
        return Acceptor(self.host, self.port, self.tcp_options(), self.networks, self.pipeline.log)

    def attach(self) -> None:
        if self.again and self.most >= 0:
            raise ConfigError("--many and --again exclude each other")
        if self.damp and not self.accepts_many:
            raise ConfigError("--damp needs --many or --again: it is about those who come again")
        try:
            self.host, self.port = parse_endpoint(self.arguments[0])
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if self.host.isdecimal():
            hint = f"a port is :{self.host}, a number of sessions --many={self.host}"
            raise ConfigError(f"not an address: {self.host!r}; {hint}")
        try:
            self.networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in self.allow]
        except ValueError as error:
            raise ConfigError(f"--allow: {error}") from None
        super().attach()

    def tls_context(self) -> SSLContext:
        return server_context(cert=self.cert, key=self.key, ca=self.ca)

    async def open(self) -> Connection:
        options = self.tcp_options()
        if self.accepted is not None:
            return await adopt(self.accepted, options, server=True, timeout=self.open_timeout)
        acceptor = self._acceptor()
        try:
            async with asyncio.timeout(self.timeout if self.timeout > 0 else None):
                return await self._admit(acceptor, options)
        except TimeoutError:
            raise StageError(f"{self}: no peer has connected within {self.timeout:g} s") from None
        finally:
            acceptor.close()

    async def _admit(self, acceptor: Acceptor, options: TcpOptions) -> Connection:
        """The first connection that can be used: who fails to agree on TLS does not keep out the others."""
        while True:
            connected, address = await acceptor.next()
            try:
                return await adopt(connected, options, server=True, timeout=self.open_timeout)
            except OSError as error:
                reason = explain_error(error)
                self.pipeline.log.warning(f"connection from {address} refused: {reason}", stage=str(self))
