"""Wait for a peer to connect over TCP."""

from __future__ import annotations

import asyncio
import ipaddress
from ssl import SSLContext

from ..net.connection import Connection, adopt
from ..net.tcp import Network, allowed, format_endpoint, listen, parse_endpoint, tune
from ..net.tls import server_context
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.options import DURATION, LIST, Option
from .engine.end import End


class Listen(End):
    """Wait for a peer to connect over TCP.

    ADDR is `:PORT`, an IP address, or both.
    """

    argument = "ADDR"

    timeout = Option(DURATION, 0.0, "wait so long for a peer; 0 for ever")
    allow = Option(LIST, (), "take only peers with these addresses", metavar="CIDR")

    def attach(self) -> None:
        super().attach()
        try:
            self.host, self.port = parse_endpoint(self.arguments[0])
            self.networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in self.allow]
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def tls_context(self) -> SSLContext:
        return server_context(cert=self.cert, key=self.key, ca=self.ca)

    async def open(self) -> Connection:
        options = self.tcp_options()
        loop = asyncio.get_running_loop()
        sockets = listen(self.host, self.port, options)
        for each in sockets:
            self.pipeline.log.info(f"listening on {format_endpoint(each.getsockname())}", stage=str(self))
        accepting = {asyncio.create_task(loop.sock_accept(each)): each for each in sockets}
        try:
            async with asyncio.timeout(self.timeout or None):
                while True:
                    done, _ = await asyncio.wait(accepting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        each = accepting.pop(task)
                        connected, address = task.result()
                        if allowed(address[0], self.networks):
                            tune(connected, options)
                            return await adopt(connected, options, server=True)
                        connected.close()
                        self.pipeline.log.warning(
                            "connection refused: not in --allow", stage=str(self), remote=format_endpoint(address)
                        )
                        accepting[asyncio.create_task(loop.sock_accept(each))] = each
        except TimeoutError:
            raise StageError(f"{self}: no peer has connected within {self.timeout:g} s") from None
        finally:
            for task in accepting:
                task.cancel()
            for each in sockets:
                each.close()
