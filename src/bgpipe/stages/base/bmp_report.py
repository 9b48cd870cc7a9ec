"""What is reported by BMP about the peers of a session, to any number of stations."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ... import accel
from ...routes.reported_routes import ReportedRoutes
from ...version import __version__
from ...wire.address import parse_address
from ...wire.block import Block
from ...wire.bmp import (
    ADJ_RIB_IN,
    ADJ_RIB_IN_FAMILY,
    ADJ_RIB_OUT_POST,
    ADJ_RIB_OUT_POST_FAMILY,
    FLAG_AS2,
    FLAG_IPV6,
    FLAG_OUT,
    FLAG_POST_POLICY,
    GLOBAL,
    PEER_DOWN,
    TREATED_AS_WITHDRAW,
    PeerHeader,
    encode_bmp,
    encode_peer_up,
    encode_statistics,
    monitor,
)
from ...wire.context import WireContext
from ...wire.flags import context_flags
from ...wire.item import Item
from ...wire.message import HEADER, NOTIFICATION, OPEN, UPDATE, Message, split_messages
from ...wire.update_body import encode_end_of_rib
from .bmp_collector import Collector

if TYPE_CHECKING:
    from ...net.tcp import TcpOptions
    from ...pipeline.log import Log
    from ...session.facts import Facts
    from .peer import PeerStage

LOCAL_NOTIFIED, LOCAL_CLOSED, REMOTE_NOTIFIED, REMOTE_CLOSED = 1, 2, 3, 4
"""Reasons of Peer Down (RFC 7854 section 4.9)."""
MAX_LENGTH: Final = 0xFFFF


class ReportedPeer:
    """A peer, and what it has sent and got: `received` and `sent` take it.

    incoming, outgoing: whether what it sends, and what it gets, is reported. write: gets the BMP messages.
    """

    def __init__(
        self,
        stage: PeerStage,
        *,
        incoming: bool,
        outgoing: bool,
        now: Callable[[], int],
        write: Callable[[bytes], None],
    ) -> None:
        self.stage = stage
        self.facts: Facts = stage.facts
        self._incoming = incoming
        self._outgoing = outgoing
        self._now = now
        self._write = write
        self._opens: dict[str, bytes] = {}
        """the OPENs as they crossed the connection: `received` and `sent`"""
        self._in: ReportedRoutes | None = None
        self._out: ReportedRoutes | None = None
        self._base: PeerHeader | None = None
        """the per-peer header of what it sends; None as long as it is not up"""
        self.peer_up = b""
        """the BMP message about it"""

    @property
    def up(self) -> bool:
        return self._base is not None

    # what crosses the connection

    def received(self, item: Item) -> None:
        """Takes a message or a block from the peer, before any policy."""
        if isinstance(item, Message) and item.type_code != UPDATE:
            self._note("received", item)
            return
        if not self.up or not self._incoming:
            return
        assert self._in is not None
        self._in.take(item)
        if isinstance(item, Block) and accel.AVAILABLE:
            octets = accel.raw_out.encode(item.octets, item.index, 0)[0]
        else:
            octets = b"".join(each.octets for each in ([item] if isinstance(item, Message) else item))
        self._write(monitor(octets, self._header()))

    def sent(self, item: Item, octets: bytes) -> None:
        """Takes what is written for the peer, and what it was made of."""
        if isinstance(item, Message) and item.type_code != UPDATE:
            self._note("sent", item)
            return
        if not self.up or not self._outgoing:
            return
        assert self._out is not None
        for each in read_back(octets, self.facts.sending, self._now()):
            self._out.take(each)
        self._write(monitor(octets, self._header(out=True)))

    def _note(self, whose: str, message: Message) -> None:
        if message.type_code == OPEN and not self.up:
            self._opens[whose] = message.octets
        elif not self.up and self.facts.established and len(self._opens) == 2:
            self._begin()

    def _begin(self) -> None:
        peer, connection = self.facts.peer_open, self.stage.connection
        if peer is None or connection is None:
            return
        remote, port = _endpoint(connection.remote)
        self._base = PeerHeader(
            GLOBAL,
            FLAG_IPV6 if len(remote) == 16 else 0,
            bytes(8),
            remote,
            peer.asn,
            parse_address(peer.bgp_id),
        )
        self._in = ReportedRoutes(self.facts.families)
        self._out = ReportedRoutes(self.facts.families)
        local = _endpoint(connection.local)
        header = self._base._replace(time=self._now())
        self.peer_up = encode_peer_up(header, local, port, self._opens["sent"], self._opens["received"])
        self._write(self.peer_up)

    def end(self) -> None:
        """The connection has ended."""
        if not self.up:
            return
        self._write(encode_bmp(PEER_DOWN, self._reason(), self._header(plain=True)))
        self._base = self._in = self._out = None
        self._opens.clear()

    def _reason(self) -> bytes:
        told, ending = self.facts.first_notification, self.facts.end
        if told is not None:
            reason = REMOTE_NOTIFIED if told.side == "peer" else LOCAL_NOTIFIED
            return bytes((reason,)) + Message(NOTIFICATION, told.notification.encode()).octets
        if ending is not None and ending.side == "peer":
            return bytes((REMOTE_CLOSED,))
        return bytes((LOCAL_CLOSED, 0, 0))

    def _header(self, *, out: bool = False, plain: bool = False) -> PeerHeader:
        """The per-peer header now. plain: of a message about the peer itself."""
        assert self._base is not None
        flags = self._base.flags | (FLAG_OUT | FLAG_POST_POLICY if out else 0)
        context = self.facts.sending if out else self.facts.receiving
        if not plain and not context.as4:
            flags |= FLAG_AS2
        return self._base._replace(flags=flags, time=self._now())

    # all of it again

    def replay(self) -> Iterator[bytes]:
        """The octets that tell a station all routes of this peer, some at each step, and then that these are all (RFC
        7854 section 3.3)."""
        base = self._base
        if base is None or self._in is None or self._out is None:
            return
        ends = [Message(UPDATE, encode_end_of_rib(family)) for family in sorted(self.facts.families)]
        tables = [(self._in, False)] if self._incoming else []
        tables += [(self._out, True)] if self._outgoing else []
        for table, out in tables:
            for messages in chain(table.replay(), (ends,)):
                if self._base is not base:
                    return  # it has ended meanwhile, which the station has heard
                yield monitor(b"".join(each.octets for each in messages), self._header(out=out))

    def digest(self) -> bool:
        """Prepares `statistics`, for some milliseconds. Returns whether there is more to do."""
        return any(table is not None and table.digest() for table in (self._in, self._out))

    def statistics(self) -> bytes:
        if self._in is None or self._out is None:
            return b""
        numbers, by_family = {TREATED_AS_WITHDRAW: self.stage.malformed_updates}, {}
        if self._incoming:
            by_family[ADJ_RIB_IN_FAMILY] = counts = self._in.counts()
            numbers[ADJ_RIB_IN] = sum(counts.values())
        if self._outgoing:
            by_family[ADJ_RIB_OUT_POST_FAMILY] = counts = self._out.counts()
            numbers[ADJ_RIB_OUT_POST] = sum(counts.values())
        return encode_statistics(self._header(plain=True), numbers, by_family)

    def status(self) -> dict[str, Any]:
        routes = {"in": len(self._in or ()), "out": len(self._out or ())}
        return {"side": self.stage.side, "up": self.up, "routes": routes}


def read_back(octets: bytes, context: WireContext, time: int) -> Iterable[Item]:
    """The messages in octets that are written for a peer."""
    flags = context_flags(context) if accel.AVAILABLE else None
    if flags is not None and not context.assumed:
        index, stop = accel.frame.frame(octets, 0, len(octets), flags, time, MAX_LENGTH, False)
        if stop == len(octets):
            return [Block(octets, index)] if index else []
    return [
        Message(type_code, octets[pos + HEADER : pos + length], context=context, time=time)
        for pos, length, type_code in split_messages(octets)
    ]


def _endpoint(address: str) -> tuple[bytes, int]:
    """The octets of the address and the port of `host:port`."""
    host, _, port = address.rpartition(":")
    return parse_address(host.strip("[]").partition("%")[0]), int(port)


class Report:
    """All peers that one command line reports, and the stations that it reports to; sessions share it."""

    def __init__(
        self,
        places: list[tuple[str, int]],
        options: TcpOptions,
        *,
        name: str,
        timeout: float,
        stall_timeout: float,
        log: Log,
    ) -> None:
        self.peers: dict[ReportedPeer, None] = {}
        self.on_change: list[Callable[[Collector], object]] = []
        """called with a station when a connection to it has begun or ended"""
        said = name or socket.gethostname(), f"bgpipe {__version__}"
        self.collectors = [
            Collector(
                place,
                options,
                timeout=timeout,
                stall_timeout=stall_timeout,
                initiation=said,
                replay=self._replay,
                log=log,
                on_change=self._tell_change,
            )
            for place in places
        ]

    def write(self, octets: bytes) -> None:
        if octets:
            for collector in self.collectors:
                collector.write(octets)

    def _tell_change(self, collector: Collector) -> None:
        for tell in tuple(self.on_change):
            tell(collector)

    def _replay(self) -> Iterator[bytes]:
        """First that peers are up, so that what crosses their connections meanwhile can be told at once."""
        yield b"".join(peer.peer_up for peer in self.peers if peer.up)
        for peer in tuple(self.peers):
            yield from peer.replay()

    def tell_statistics(self, peers: Iterable[ReportedPeer]) -> None:
        self.write(b"".join(peer.statistics() for peer in peers))

    async def close(self) -> None:
        for collector in self.collectors:
            await collector.close()
