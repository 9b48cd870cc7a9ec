"""The RTR cache of `rtr_cache.py` behind a socket, in the event loop of the test."""

from __future__ import annotations

import asyncio
import socket
import ssl

from bgpipe.net.tcp import TcpOptions, listen
from bgpipe.rpki.snapshot import Snapshot
from rtr_cache import Cache, CacheConnection


class CacheServer:
    """Listens at a port of loopback, the same one again after `stop`. swallows: it takes what comes, and is silent."""

    def __init__(self, cache: Cache, *, tls: ssl.SSLContext | None = None, md5: str = "", port: int = 0) -> None:
        self.cache = cache
        self.port = port
        self.swallows = False
        self.connections: list[CacheConnection] = []
        """all so far"""
        self._tls = tls
        self._options = TcpOptions(md5=md5)
        self._open: dict[asyncio.StreamWriter, CacheConnection] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> CacheServer:
        await self.start()
        return self

    async def __aexit__(self, *about: object) -> None:
        await self.stop()

    @property
    def place(self) -> str:
        return f"{'tls://localhost' if self._tls else '127.0.0.1'}:{self.port}"

    async def start(self) -> None:
        if self.port:
            (listening,) = await listen("127.0.0.1", self.port, self._options)
        else:
            listening = await _any_port(self._options)
        self.port = listening.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listening, ssl=self._tls)

    async def stop(self) -> None:
        """As a process that is killed: its connections are reset."""
        if self._server is None:
            return
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        self._server = None
        await asyncio.sleep(0)

    def replace(self, data: Snapshot) -> None:
        self.cache.replace(data)
        for writer, connection in self._open.items():
            writer.write(connection.notify())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = CacheConnection(self.cache)
        self._open[writer] = connection
        self.connections.append(connection)
        try:
            while not connection.closes and (octets := await reader.read(65536)):
                if not self.swallows:
                    writer.write(connection.receive(octets))
                    await writer.drain()
        except OSError:
            pass
        finally:
            del self._open[writer]
            writer.close()


async def _any_port(options: TcpOptions) -> socket.socket:
    """A listening socket at a port that nobody has."""
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        try:
            return (await listen("127.0.0.1", port, options))[0]
        except OSError:  # somebody else was faster
            continue
    raise OSError("no port is free")
