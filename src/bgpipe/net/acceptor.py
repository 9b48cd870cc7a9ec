"""Where peers come in: listening sockets, and who may pass them."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ..pipeline.pipeline import Log
from ..session.damping import Damping
from .tcp import Network, TcpOptions, allowed, explain_failure, format_endpoint, listen, tune

MAX_WITHOUT_OPEN: Final = 16
"""Connections from one address that may be without an OPEN at the same time."""


class Acceptor:
    """Lets in connections, one by one.

    networks: whom it lets in, everybody if there are none. most: how many may be inside at the same time, 0 for any
    number. damps: whether those whose sessions fail have to stay away for a while. unknown: for each address, how many
    are inside and have not sent an OPEN yet.
    """

    def __init__(self, host: str, port: int, options: TcpOptions, networks: Sequence[Network], log: Log) -> None:
        self.options = options
        self.networks = networks
        self.log = log
        self.most = 0
        self.damps = False
        self.inside = 0
        self.refused = 0
        self.unknown: Counter[str] = Counter()
        self._damped: dict[str, tuple[Damping, float]] = {}
        """by address; until when it is refused"""
        try:
            self._sockets = listen(host, port, options)
        except OSError as error:
            hint = "; ports below 1024 need CAP_NET_BIND_SERVICE" if error.errno == errno.EACCES else ""
            raise OSError(error.errno, f"{format_endpoint((host, port))}: {explain_failure(error)}{hint}") from error
        for each in self._sockets:
            log.info(f"listening on {format_endpoint(each.getsockname())}")
        self._accepting: dict[asyncio.Task[tuple[socket.socket, tuple[str, int]]], socket.socket] = {}

    async def next(self) -> tuple[socket.socket, str]:
        """The next connection that may pass, and its address. Raises OSError."""
        loop = asyncio.get_running_loop()
        for each in set(self._sockets).difference(self._accepting.values()):
            self._accepting[asyncio.create_task(loop.sock_accept(each))] = each
        while True:
            done, _ = await asyncio.wait(self._accepting, return_when=asyncio.FIRST_COMPLETED)
            task = next(iter(done))
            listening = self._accepting.pop(task)
            self._accepting[asyncio.create_task(loop.sock_accept(listening))] = listening
            try:
                connected, address = task.result()
            except OSError as error:  # such as too many open files: those who are inside go on
                self.log.warning("no connection can be taken", error=str(error))
                await asyncio.sleep(1)
                continue
            if why := self._objection(address[0]):
                connected.close()
                self.refused += 1
                if self.refused & (self.refused - 1) == 0:  # a flood is told of in the log, but does not flood it
                    self.log.warning(
                        f"connection refused: {why}", remote=format_endpoint(address), refused=self.refused
                    )
                continue
            tune(connected, self.options)
            return connected, address[0]

    def lost(self, address: str, established_for: float) -> None:
        """A session with somebody there is lost, which was up for so many seconds."""
        if not self.damps:
            return
        now = asyncio.get_running_loop().time()
        self._damped = {each: (d, until) for each, (d, until) in self._damped.items() if now < until + d.stable}
        damping, _ = self._damped.get(address, (Damping(), 0.0))
        self._damped[address] = damping, now + damping.failed(established_for)

    def _objection(self, address: str) -> str:
        """Why a peer may not pass, "" if it may."""
        if not allowed(address, self.networks):
            return "not in --allow"
        if self.most and self.inside >= self.most:
            return f"{self.inside} sessions are up already"
        _, until = self._damped.get(address, (None, 0.0))
        if (wait := until - asyncio.get_running_loop().time()) > 0:
            return f"sessions from there have failed, none for {wait:.0f} s"
        if self.unknown[address] >= MAX_WITHOUT_OPEN:
            return f"{MAX_WITHOUT_OPEN} connections from there have sent no OPEN yet"
        return ""

    def close(self) -> None:
        for task in self._accepting:
            task.cancel()
        for each in self._sockets:
            each.close()
