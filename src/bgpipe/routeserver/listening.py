"""Where peers come in: listening sockets, opened and closed as the configuration says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgspec

from ..net.acceptor import Acceptor, Arrival
from ..net.secret import read_secret
from ..net.tcp import TcpOptions
from ..pipeline.log import Log
from ..stages.listen import GREETING
from ..tasks import Tasks
from .config import Bgp, Listener
from .keys import Keys


class Place(NamedTuple):
    """One of them. listener: with its keys themselves. timeout: seconds in which a peer must send its OPEN."""

    listener: Listener
    options: TcpOptions
    timeout: float


def places(bgp: Bgp) -> list[Place]:
    """All that the configuration names. Raises ValueError where a key can't be read."""
    listeners = [Listener(address=address, port=bgp.port) for address in bgp.listen]
    listeners += map(with_keys, bgp.listeners)
    found = []
    for each in listeners or [Listener(port=bgp.port)]:
        options = TcpOptions(md5=each.md5_key, ao=each.ao_key, min_ttl=bgp.min_ttl, ttl=255 if bgp.min_ttl else 0)
        found.append(Place(each, options, float(bgp.open_timeout_seconds)))
    return list(dict.fromkeys(found))


def with_keys(listener: Listener) -> Listener:
    """A listener with its keys themselves. Raises ValueError where one can't be read."""
    md5, ao = (read_secret(each)[0] if each else "" for each in (listener.md5_key, listener.ao_key))
    return msgspec.structs.replace(listener, md5_key=md5, ao_key=ao)


class Listening:
    """objection: why an address may not come in now, "" if it may. on_arrival: called with who has sent an OPEN."""

    def __init__(
        self, log: Log, objection: Callable[[str], str], on_arrival: Callable[[Listener, Arrival], None]
    ) -> None:
        self.acceptors: list[Acceptor] = []
        self.keys = Keys(self.acceptors, log)
        self._log = log
        self._objection = objection
        self._on_arrival = on_arrival
        self._open: dict[Place, Acceptor] = {}
        self._tasks: Tasks | None = None
        self._turn = asyncio.Lock()

    async def open(self, bgp: Bgp) -> None:
        """Opens the sockets. Raises OSError, ValueError."""
        for place in places(bgp):
            await self._add(place)

    def start(self, tasks: Tasks) -> None:
        """Lets peers in."""
        self._tasks = tasks
        for acceptor in self.acceptors:
            acceptor.start(tasks)

    async def close(self) -> None:
        """Stops listening."""
        for acceptor in self.acceptors:
            await acceptor.close()

    async def change(self, bgp: Bgp) -> None:
        """Listens where the configuration says now; whoever has come in stays. Where that can't be, all is as before.

        Raises OSError, ValueError.
        """
        async with self._turn:
            wanted, before = places(bgp), list(self._open)
            for place in before:
                if place not in wanted:
                    await self._remove(place)
            try:
                for place in wanted:
                    await self._add(place)
            except (OSError, ValueError):
                for place in self._open.keys() - before:
                    await self._remove(place)
                for place in before:
                    with suppress(OSError):  # another program may have taken it
                        await self._add(place)
                raise

    async def _add(self, place: Place) -> None:
        """Raises OSError, ValueError."""
        if place in self._open:
            return
        listener = place.listener
        acceptor = Acceptor(
            listener.address, listener.port, place.options, (), self._log, GREETING, timeout=place.timeout
        )
        acceptor.objection = self._objection
        acceptor.on_arrival = partial(self._on_arrival, listener)
        await acceptor.open(partial(self.keys.set_at, acceptor))
        self._open[place] = acceptor
        self.acceptors.append(acceptor)
        if self._tasks is not None:
            acceptor.start(self._tasks)

    async def _remove(self, place: Place) -> None:
        acceptor = self._open.pop(place)
        self.acceptors.remove(acceptor)
        await acceptor.close()
