"""An accept loop with limits, for any protocol in which the client speaks first.

A client that has not sent its first message costs a socket and a timer. The number of such clients is limited, for each
address and in all. If there are too many, the oldest one is closed, so that silent clients don't keep others out.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from ..pipeline.errors import Stopped
from ..pipeline.log import Log
from ..session.damping import Damping
from ..tasks import Tasks, Timer
from .connection import Connection, adopt
from .errors import explain_error, explain_failure
from .refusals import RefusalLog
from .tcp import (
    Network,
    TcpOptions,
    allowed,
    format_endpoint,
    listen,
    plain_address,
    remove_ao,
    set_ao,
    set_md5,
    split_ao,
    tune,
)

if TYPE_CHECKING:
    from ..pipeline.metrics import Metrics

MAX_PER_ADDRESS: Final = 16
"""The most silent clients from one address."""
MAX_WAITING: Final = 512
"""The most silent clients from all addresses together."""
QUEUE: Final = 1024
"""Connections that the kernel keeps until they are accepted. If many routers connect at once after an outage, and the
queue is full, the kernel resets some of them."""
AT_ONCE: Final = 8
"""Connections that are accepted before other tasks run."""
FAREWELL_TIMEOUT: Final = 1.0
"""A refused client gets this many seconds to read the reason."""
_NO_RESOURCES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first message of a client in a protocol, and the answers to clients that are refused.

    name: of the first message, for people. read: decodes it; returns None as long as it is not complete, and raises one
    of `errors`. explain: the answer to such an error. refused, late: the answers to a client that is not accepted, and
    to one that has sent nothing in time.
    """

    name: str
    read: Callable[[bytes], Any]
    errors: type[Exception]
    explain: Callable[[Any], bytes]
    refused: bytes = b""
    late: bytes = b""


class Arrival:
    """An accepted client. `first` is its decoded first message, `octets` all that it has sent, that message included.

    host: its address. If `first` is None, the code that takes the client calls `opened` when the first message comes.
    """

    def __init__(self, acceptor: Acceptor, host: str, endpoint: str, local: str) -> None:
        self.host = host
        self.endpoint = endpoint
        self.local = local
        """the local address to which it has connected"""
        self.octets = b""
        self.first: Any = None
        self.connection = Connection()
        self.timer: Timer | None = None
        self.task: asyncio.Task[None] | None = None
        self.socket: socket.socket | None = None
        self.rejected = self.taken = False
        self._acceptor = acceptor

    def opened(self) -> None:
        """Called when the first message has come. The client no longer counts as silent."""
        self._acceptor.leave(self)

    @property
    def silent(self) -> bool:
        """Whether its first message has not come yet."""
        return self in self._acceptor

    def refuse(self, reason: str, text: str, farewell: bytes | None = None) -> None:
        """Sends `farewell` to the client and closes. reason: one word, for counting. text: for the log."""
        self._acceptor.reject(self, reason, f"connection refused: {text}", farewell)

    def abort(self) -> None:
        """Closes at once, also while TLS is being agreed."""
        if self.task is not None:
            self.task.cancel()
        if self.socket is not None:
            self.socket.close()
        self.connection.abort()


class Acceptor:
    """Listens after `open`, and accepts clients after `start`.

    networks: the networks of clients that are accepted; without any, all are. timeout: seconds in which a client must
    send its first message, 0 or less for any time. speak_after: seconds after which a silent client is accepted,
    because it may wait for us to speak first; 0 for never.
    on_arrival: called with each accepted client. objection: the reason to refuse an address, "" to accept it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        options: TcpOptions,
        networks: Sequence[Network],
        log: Log,
        greeting: Greeting,
        *,
        timeout: float = 0.0,
        speak_after: float = 0.0,
    ) -> None:
        self.options = options
        self.networks = networks
        self.log = log
        self.damps = False
        self.refusals = RefusalLog(log)
        self.on_arrival: Callable[[Arrival], None] = lambda arrival: arrival.abort()
        self._expected: asyncio.Future[Arrival] | None = None
        """the client that is kept for `next`"""
        self.objection: Callable[[str], str] = lambda host: ""
        self._greeting = greeting
        self._timeout = timeout
        self._speak_after = speak_after
        self._waiting: dict[str, dict[Arrival, None]] = {}
        """clients without their first message, by address, the oldest first"""
        self._oldest: dict[Arrival, None] = {}
        """all of them, the oldest first"""
        self._damped: dict[str, tuple[Damping, float]] = {}
        """by address: the time until which it is refused"""
        self._place = host, port
        self._sockets: list[socket.socket] = []
        self._tasks: Tasks | None = None

    async def open(self, set_keys: Callable[[], object] = lambda: None) -> None:
        """set_keys: called before anybody can connect: a connection that is made before a key is set has none.

        Raises OSError, ValueError.
        """

        def on_bound(sockets: list[socket.socket]) -> None:
            self._sockets = sockets
            set_keys()

        try:
            self._sockets = await listen(*self._place, self.options, QUEUE, on_bound)
        except OSError as error:
            self._sockets = []
            hint = "; ports below 1024 need CAP_NET_BIND_SERVICE" if error.errno == errno.EACCES else ""
            raise OSError(error.errno, f"{format_endpoint(self._place)}: {explain_failure(error)}{hint}") from error
        for each in self._sockets:
            self.log.info(f"listening on {format_endpoint(each.getsockname())}")

    def start(self, parent: Tasks | None = None) -> None:
        """Begins to accept clients. parent: the scope that ends after this one."""
        self._tasks = parent.child(self._on_error) if parent is not None else Tasks(self._on_error)
        for each in self._sockets:
            self._tasks.spawn("accept", self._accept(each))

    def sign(self, network: Network, key: str) -> None:
        """Clients in this network sign their segments with a key (RFC 2385), from their next connection on; "" for no
        key any more. Where several networks hold an address, the longest counts. Raises OSError.

        The key that the acceptor was made with is for all addresses: it counts again when another one for these goes.
        """
        for each in self._of(network):
            set_md5(each, key or (self.options.md5 if not network.prefixlen else ""), network)

    def authenticate(self, network: Network, key: str, before: str = "") -> None:
        """The same by TCP-AO (RFC 5925). key: `ID:KEY`, several in a line each, "" for no key any more. before: those
        that are set. A key that is in both stays.

        Raises OSError: ENOPROTOOPT where the kernel has no TCP-AO.
        """
        old, new = split_ao(before), split_ao(key)
        for made in self._of(network):
            for each in old:
                if each not in new:
                    remove_ao(made, each, network)
            for each in new:
                if each not in old:
                    set_ao(made, each, network)

    def _of(self, network: Network) -> list[socket.socket]:
        """The sockets to which addresses of a network can come."""
        family = socket.AF_INET if network.version == 4 else socket.AF_INET6
        return [each for each in self._sockets if each.family == family]

    def expect(self) -> None:
        """From now on, the first client that sends its first message is kept for `next`. Later clients are refused."""
        arrived: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()

        def on_arrival(arrival: Arrival) -> None:
            if arrived.done():
                arrival.refuse("session", "a session is up already")
            else:
                arrived.set_result(arrival)

        self._expected, self.on_arrival = arrived, on_arrival

    async def next(self) -> Arrival:
        """Waits for the first client that has sent its first message; later clients are refused."""
        if self._expected is None:
            self.expect()
        if self._tasks is None:
            self.start()
        assert self._expected is not None
        arrival = await self._expected
        self._expected = None
        return arrival

    async def close(self) -> None:
        """Stops listening, and closes all connections that were not taken."""
        for each in self._sockets:
            each.close()
        for arrival in tuple(self._oldest):
            if not arrival.taken:
                arrival.abort()
        if self._expected is not None and self._expected.done() and not self._expected.cancelled():
            self._expected.result().abort()
        if self._tasks is not None:
            await self._tasks.close()

    def lost(self, host: str, established_for: float) -> None:
        """Called when a session with a peer at this address is lost. It was up for so many seconds."""
        if not self.damps:
            return
        now = asyncio.get_running_loop().time()
        self._damped = {each: (d, until) for each, (d, until) in self._damped.items() if now < until + d.stable}
        damping, _ = self._damped.get(host, (Damping(), 0.0))
        self._damped[host] = damping, now + damping.failed(established_for)

    def measure(self, metrics: Metrics) -> None:
        """Adds what it counts."""
        metrics.add("bgpipe_connections_waiting", len(self._oldest))
        for reason, number in self.refusals.counts.items():
            metrics.add("bgpipe_connections_refused_total", number, reason=reason)

    def __contains__(self, arrival: Arrival) -> bool:
        """Whether this client has not sent its first message yet."""
        return arrival in self._oldest

    # one client

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in count(1):
            try:
                connected, address = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _NO_RESOURCES:  # accepted clients go on
                    self.refusals.note("resources", "can't accept connections", "", error=explain_error(error))
                    for oldest in tuple(self._oldest)[:1]:
                        self._displace(oldest)
                    await asyncio.sleep(0.1)
                continue
            self._admit(connected, address)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # in a flood of connections, other tasks run too

    def _admit(self, connected: socket.socket, address: tuple[Any, ...]) -> None:
        host, endpoint = plain_address(address), format_endpoint(address)
        reason, text = self._objection(host)
        try:
            local = plain_address(connected.getsockname())
            tune(connected, self.options)
        except OSError:  # it is gone already
            reason, text, local = "silent", "closed by the client at once", ""
        if reason:
            self.refusals.note(reason, f"connection refused: {text}", host, endpoint)
            if self.options.tls is None:
                with suppress(OSError):
                    connected.send(self._greeting.refused)
            connected.close()
            return
        arrival = Arrival(self, host, endpoint, local)
        arrival.connection.remote = endpoint
        arrival.socket = connected
        self._enter(arrival)
        assert self._tasks is not None
        if self._timeout > 0:
            arrival.timer = self._tasks.call_later("first message", self._timeout, partial(self._too_late, arrival))
        arrival.task = self._tasks.spawn("begin", self._begin(arrival, connected))

    def _objection(self, host: str) -> tuple[str, str]:
        """The reason to refuse a client, as one word and as text; "" if it is accepted."""
        if not allowed(host, self.networks):
            return "not_allowed", "not in --allow"
        _, until = self._damped.get(host, (None, 0.0))
        if (wait := until - asyncio.get_running_loop().time()) > 0:
            return "damped", f"sessions with this address have failed, so it is refused for {wait:.0f} s"
        text = self.objection(host)
        return ("objection", text) if text else ("", "")

    def _enter(self, arrival: Arrival) -> None:
        """Adds a silent client; if there are too many, the oldest one is closed."""
        if arrival in self._oldest:
            return
        same = self._waiting.get(arrival.host, {})
        if len(same) >= MAX_PER_ADDRESS:
            self._displace(next(iter(same)))
        elif len(self._oldest) >= MAX_WAITING:
            self._displace(next(iter(self._oldest)))
        self._oldest[arrival] = None
        self._waiting.setdefault(arrival.host, {})[arrival] = None

    def _displace(self, oldest: Arrival) -> None:
        text = f"connection closed: too many connections without {self._greeting.name}, and this was the oldest"
        self.refusals.note("displaced", text, oldest.host, oldest.endpoint)
        self.leave(oldest)
        oldest.abort()

    async def _begin(self, arrival: Arrival, connected: socket.socket) -> None:
        """Does the TLS handshake, if there is one, and waits for the first message."""
        timeout = self._timeout if self._timeout > 0 else None
        try:
            await adopt(connected, self.options, server=True, timeout=timeout, connection=arrival.connection)
        except OSError as error:
            self.refusals.note("tls", f"connection refused: {explain_error(error)}", arrival.host, arrival.endpoint)
            self.leave(arrival)
            return
        arrival.socket = None
        connection = arrival.connection
        connection.on_octets = partial(self._on_octets, arrival)
        connection.on_closed = partial(self._on_closed, arrival)
        connection.on_error = partial(self._on_failure, arrival)
        if self._speak_after > 0 and self._tasks is not None:
            self._tasks.call_later("speak first", self._speak_after, partial(self._speak_first, arrival))
        connection.resume()

    def _speak_first(self, arrival: Arrival) -> None:
        """Accepts a client that has sent nothing: it may wait for our OPEN."""
        if arrival in self._oldest and not arrival.rejected and arrival.connection.is_open:
            arrival.connection.pause()
            if arrival.timer is not None:
                arrival.timer.cancel()  # from now on the code that takes the client has a timeout of its own
            arrival.taken = True
            self.on_arrival(arrival)

    def _on_octets(self, arrival: Arrival, octets: bytes) -> None:
        arrival.octets += octets
        try:
            arrival.first = self._greeting.read(arrival.octets)
        except self._greeting.errors as error:
            self.reject(arrival, "greeting", f"connection refused: {error}", self._greeting.explain(error))
            return
        if arrival.first is not None:
            arrival.connection.pause()
            self.leave(arrival)
            self.on_arrival(arrival)

    def _on_closed(self, arrival: Arrival, error: Exception | None) -> None:
        if arrival in self._oldest and not arrival.rejected:
            how = "reset" if error is not None else "closed"
            text = f"connection {how} by the client before its {self._greeting.name}"
            self.refusals.note("silent", text, arrival.host, arrival.endpoint)
        self.leave(arrival)

    def _too_late(self, arrival: Arrival) -> None:
        text = f"connection closed: no {self._greeting.name} within {self._timeout:g} s"
        self.reject(arrival, "timeout", text, self._greeting.late)

    # ends

    def leave(self, arrival: Arrival) -> None:
        """Removes the client from the silent ones."""
        if arrival.timer is not None:
            arrival.timer.cancel()
        self._oldest.pop(arrival, None)
        same = self._waiting.get(arrival.host, {})
        same.pop(arrival, None)
        if not same:
            self._waiting.pop(arrival.host, None)

    def reject(self, arrival: Arrival, reason: str, text: str, farewell: bytes | None = None) -> None:
        """Sends the client the reason of the refusal, and closes. Until then it counts as silent."""
        self.refusals.note(reason, text, arrival.host, arrival.endpoint)
        if arrival.timer is not None:
            arrival.timer.cancel()
        arrival.rejected = True
        connection = arrival.connection
        if not connection.is_open or self._tasks is None:
            arrival.abort()
            self.leave(arrival)
            return
        self._enter(arrival)
        connection.on_octets = lambda octets: None
        connection.on_closed = partial(self._on_closed, arrival)
        connection.write(self._greeting.refused if farewell is None else farewell)
        try:
            self._tasks.spawn("farewell", connection.close(FAREWELL_TIMEOUT))
        except Stopped:
            connection.abort()

    def _on_failure(self, arrival: Arrival, error: Exception) -> None:
        """Called when a callback of a client that was not taken has failed. Only this connection is closed."""
        self._on_error(error)
        self.leave(arrival)
        arrival.abort()

    def _on_error(self, error: Exception) -> None:
        self.log.error("unexpected error of a listener", error=f"{type(error).__name__}: {error}")
        self.log.debug("unexpected error", exc_info=error)
