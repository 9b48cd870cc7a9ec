"""Connect to a peer over TCP."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from contextlib import suppress
from ssl import SSLContext
from typing import Final

from ..net.connection import Connection, adopt
from ..net.errors import explain_error
from ..net.tcp import BGP_PORT, dial, format_endpoint, needs_zone, parse_bind, parse_endpoint
from ..net.tls import client_context
from ..pipeline import events
from ..pipeline.errors import ArgumentError, ConfigError, StageError
from ..pipeline.options import DURATION, FLAG, INTEGER, TEXT, Option
from .base.peer import PeerStage

MAX_RETRY_DELAY: Final = 60.0
"""Seconds between two attempts, at most."""


class Connect(PeerStage):
    """Connect to a peer over TCP.

    ADDR is a name or an IP address, with `:PORT` if the port is not 179; IPv6 addresses with a port go into brackets.
    With --transparent, an empty ADDR means the address that the other side's peer called, and without --bind the
    connection comes from that peer's address.
    """

    argument = "ADDR"

    bind = Option(TEXT, "", "connect from this address", metavar="IP[:PORT]")
    timeout = Option(DURATION, 15.0, "wait this long for the peer to answer; 0 waits for ever")
    retry = Option(FLAG, False, "try again when the peer refuses or does not answer, and after the session is lost")
    retry_max = Option(INTEGER, 0, "with --retry, give up after N attempts; 0 never gives up", metavar="N")
    insecure = Option(FLAG, False, "with --tls, accept any certificate")
    no_ipv6 = Option(FLAG, False, "don't use IPv6 addresses of a host name")

    @property
    def accepts_many(self) -> bool:
        return self.retry

    @property
    def reconnects(self) -> bool:
        return self.retry

    def attach(self) -> None:
        super().attach()
        try:
            self.host, self.port = parse_endpoint(self.arguments[0])
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        if "/" in self.host:
            raise ArgumentError(f"{self.host} is a network; ADDR must be one address or a host name")
        if needs_zone(self.host):
            raise ArgumentError(f"{self.host} is a link-local address: say the interface too, as in {self.host}%eth0")
        try:
            if self.bind and needs_zone(parse_bind(self.bind)[0]):
                raise ValueError(f"{self.bind} is a link-local address: say the interface too, as in fe80::1%eth0")
        except ValueError as error:
            raise ConfigError(f"--bind: {error}") from None
        if self.retry_max < 0 or (self.retry_max and not self.retry):
            raise ConfigError("--retry-max needs --retry, and can't be negative")
        self.anywhere = self.host in ("", "0.0.0.0", "::")
        if self.anywhere and not self.transparent:
            raise ConfigError("an address to connect to is needed; only --transparent takes it from the other side")
        if self.pipeline.exchanged and not self.anywhere:  # the router at ADDR has called us
            left_router = next(filter(None, (stage.left_router for stage in self.pipeline.stages)))
            self.host, self.port = parse_endpoint(left_router, BGP_PORT)
        with suppress(ValueError):  # "" or a name, whose address is known when it is called
            if not self.transparent:
                self.called_addresses().add(ipaddress.ip_address(self.host.partition("%")[0]))
        if self.transparent and not self.wait_for:
            self.pipeline.log.warning(
                "--transparent without --wait listen: the other side may not be there", stage=str(self)
            )

    def tls_context(self) -> SSLContext:
        return client_context(cert=self.cert, key=self.key, ca=self.ca, insecure=self.insecure)

    async def open(self) -> Connection:
        from dataclasses import replace

        options = self.tcp_options()
        host, port, bind = self.host, self.port, self.bind
        if self.transparent:
            other = "L" if self.side == "R" else "R"
            if self.anywhere:
                host, port = parse_endpoint(self._known(f"{other}_LOCAL"), BGP_PORT)
            bind = bind or self._known(f"{other}_REMOTE_ADDR")
        options = replace(options, bind=bind, ipv6=not self.no_ipv6)
        timeout = self.timeout if self.timeout > 0 else None
        await self.take_addresses()  # a peer may call back as soon as it sees our connection
        attempt = 0
        while True:
            attempt += 1
            self.pipeline.log.info(f"dialing {format_endpoint((host, port))}", stage=str(self))
            try:
                connected = await dial(host, port, options, timeout)
                self._note_called(connected)
                return await adopt(connected, options, server=False, host=host, timeout=timeout)
            except OSError as error:
                reason = f"{format_endpoint((host, port))}: {explain_error(error)}"
                if not self.retry or (self.retry_max and attempt >= self.retry_max):
                    raise StageError(f"{self}: {reason}") from error
                wait = min(MAX_RETRY_DELAY, attempt**2) * random.uniform(0.5, 1.0)
                self.pipeline.log.warning(f"{reason}, next attempt in {wait:.0f} s", stage=str(self))
                self.pipeline.emit(events.RECONNECT, stage=str(self), error=error, values=(attempt,))
                await asyncio.sleep(wait)

    def _note_called(self, connected: socket.socket) -> None:
        if self.transparent:
            return
        with suppress(OSError, ValueError):
            self.called_addresses().add(ipaddress.ip_address(connected.getpeername()[0].partition("%")[0]))

    def _known(self, name: str) -> str:
        """A value that the stage at the other side has published. Raises StageError."""
        value = self.pipeline.values.get(name)
        if value is None:
            raise StageError(f"{self}: --transparent needs the addresses of the other side's connection: --wait for it")
        return value
