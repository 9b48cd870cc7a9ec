"""One TCP connection of a BGP session, with callbacks for octets, for a full buffer and for its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from .. import accel
from .tcp import Network, TcpOptions, ao_id_of, format_endpoint, set_ao, set_min_ttl
from .tls import AlertTap, explain_tls

if TYPE_CHECKING:
    import ssl

HIGH_WATER: Final = 4 << 20
"""Octets that may wait until the peer reads them. Above that, the senders have to wait."""
SLOW_READ: Final = 16 << 10
"""Octets that are read at once without accel, so that other sessions are served in time."""
LEAST_TAKEN: Final = 4096
"""Octets that a peer must take within the timeout of `close`, so that the timeout starts again."""


class Connection(asyncio.Protocol):
    """An open connection. It reads nothing before the first `resume`.

    on_octets is called with octets from the peer; on_closed once when the connection has ended, with the error if there
    was one; on_full when too many octets wait for the peer, and on_room when they have become fewer. An exception in
    one
    of these is given to on_error: asyncio would close the connection, without a reason for the peer.
    """

    def __init__(self) -> None:
        self.on_octets: Callable[[bytes], None] = lambda octets: None
        self.on_closed: Callable[[Exception | None], None] = lambda error: None
        self.on_full: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.on_error: Callable[[Exception], object] = _raise
        self.octets_read = 0
        self.octets_written = 0
        self.unsent = 0
        """octets that were to be sent when the connection was aborted"""
        self.full = False
        self.closed = asyncio.Event()
        self.resumed_at = 0.0
        """when reading was resumed after a pause, in seconds of the loop's clock"""
        self.local = self.remote = ""
        """addresses with ports"""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._call(lambda: self._begin(transport))

    def _begin(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        if not accel.AVAILABLE and hasattr(transport, "max_size"):
            transport.max_size = SLOW_READ
        # octets may come with the end of the TLS handshake, before the first `resume`
        self._transport.pause_reading()
        for side, name in (("local", "sockname"), ("remote", "peername")):
            if address := transport.get_extra_info(name):  # it fails if the peer has reset the connection already
                setattr(self, side, format_endpoint(address))

    def data_received(self, data: bytes) -> None:
        self.octets_read += len(data)
        try:  # inline, because a call of `_call` costs time with each read
            self.on_octets(data)
        except Exception as error:
            self.on_error(error)

    def eof_received(self) -> bool:
        return False  # a BGP speaker that closes its side has ended the session: asyncio closes the transport

    def pause_writing(self) -> None:
        self.full = True
        self._call(self.on_full)

    def resume_writing(self) -> None:
        self.full = False
        self._call(self.on_room)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.closed.set()
        if self.full:
            self.resume_writing()
        self._call(lambda: self.on_closed(exc))

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception as error:
            self.on_error(error)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def waiting(self) -> int:
        """Octets that the peer has not received yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def write(self, octets: bytes) -> None:
        """Sends octets. It does nothing if the connection has ended."""
        if octets and self._transport is not None and not self._transport.is_closing():
            self.octets_written += len(octets)
            self._transport.write(octets)

    def limit_waiting(self, octets: int) -> None:
        """Sets how many octets may wait for the peer before on_full is called, in place of HIGH_WATER."""
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=octets)

    def limit_reading(self, octets: int) -> None:
        """Sets how many octets are read at once at most, so that others have their turn."""
        if self._transport is not None and hasattr(self._transport, "max_size"):
            self._transport.max_size = min(octets, self._transport.max_size)

    def require_ttl(self, least: int) -> None:
        """From now on takes only packets with at least this TTL (RFC 5082). Raises OSError."""
        if self._transport is not None and (made := self._transport.get_extra_info("socket")) is not None:
            set_min_ttl(made, least)

    def add_ao(self, keys: Iterable[str], network: Network) -> None:
        """Takes more keys of TCP-AO, each as `ID:KEY`, from the peer, which is in this network. Raises OSError."""
        if self._transport is not None and (made := self._transport.get_extra_info("socket")) is not None:
            for each in keys:
                set_ao(made, each, network)

    @property
    def ao_id(self) -> int | None:
        """The id of the key of TCP-AO by which the peer authenticates its segments; None for no key."""
        made = self._transport.get_extra_info("socket") if self._transport is not None else None
        return ao_id_of(made) if made is not None else None

    def pause(self) -> None:
        """Stops reading until `resume`."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()
            self.resumed_at = asyncio.get_running_loop().time()

    @property
    def paused(self) -> bool:
        """Whether reading is paused by us."""
        return self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading()

    async def close(self, timeout: float) -> None:
        """Sends the octets that wait, shuts down the sending side, and closes when the peer has closed too.

        If the peer takes nearly nothing for `timeout` seconds, or does not close, the connection is aborted. Octets
        from
        the peer are read and dropped: the kernel would reset a connection with unread octets, and our last octets would
        be lost.
        """
        if self._transport is None:
            return
        self.on_octets = lambda octets: None
        self.resume()
        if self._transport.can_write_eof():
            with suppress(OSError):  # the peer has reset the connection already
                self._transport.write_eof()
        else:
            self._transport.close()
        taken = LEAST_TAKEN
        try:
            while taken >= LEAST_TAKEN:
                waiting = self.waiting
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        await self.closed.wait()
                        return
                taken = waiting - self.waiting
        finally:
            self.abort()  # also if the caller was cancelled
        await self.closed.wait()

    def abort(self) -> None:
        """Closes at once. Octets that were not sent are lost."""
        if self._transport is not None:
            self.unsent = self._transport.get_write_buffer_size()
            self._transport.abort()


def _raise(error: Exception) -> None:
    raise error


async def adopt(
    connected: socket.socket,
    options: TcpOptions,
    *,
    server: bool,
    host: str = "",
    timeout: float | None = None,
    connection: Connection | None = None,
) -> Connection:
    """A connection on a connected socket, after the TLS handshake if the options have TLS. Raises OSError.

    server: whether we are the server of the handshake. host: the name that the certificate must have. timeout: seconds
    for the handshake. connection: an unused connection to take in place of a new one.
    """
    made = connection or Connection()
    loop = asyncio.get_running_loop()
    tap = AlertTap(options.tls) if options.tls is not None else None
    tls = cast("ssl.SSLContext | None", tap)
    timeout = timeout if timeout and timeout > 0 and tls is not None else None
    spare = connected.dup() if tap is not None else None
    try:
        if server:
            await loop.connect_accepted_socket(lambda: made, connected, ssl=tls, ssl_handshake_timeout=timeout)
        else:
            await loop.create_connection(
                lambda: made,
                sock=connected,
                ssl=tls,
                server_hostname=host if tls is not None else None,
                ssl_handshake_timeout=timeout,
            )
    except OSError as error:
        connected.close()
        if tap is not None and spare is not None:
            tap.send_alert(spare)
            error.strerror = explain_tls(error)
        raise
    except BaseException:
        connected.close()
        raise
    finally:
        if spare is not None:
            spare.close()
    return made
