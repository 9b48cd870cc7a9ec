"""One router that reports to a BMP station: its connection, and what it has said so far."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...formats.base import Damage
from ...formats.bmp import BmpDecoder, Router
from ...routes.counted_routes import CountedRoutes
from ...wire.block import runs
from ...wire.bmp import PEER_DOWN, PEER_UP, STATISTICS, TYPE_NAMES, BmpMessage, peer_from_tags
from ...wire.context import WireContext
from ...wire.item import Item
from ...wire.message import Message

if TYPE_CHECKING:
    from ...net.connection import Connection

READ_SIZE: Final = 64 << 10
"""Octets that are read of one router at once, so that the others have their turn."""
Peer = tuple[str, str, str]
"""PEER_IP, PEER_AS and PEER_RD."""


class ReportingRouter:
    """A connection to a router. host: its address. endpoint: the same with its port."""

    def __init__(
        self,
        connection: Connection,
        host: str,
        endpoint: str,
        *,
        context: WireContext,
        on_damage: Callable[[ReportingRouter, Damage], None],
    ) -> None:
        self.connection = connection
        self.host = host
        self.endpoint = endpoint
        self.router = Router({"ROUTER": host})
        self.decoder = BmpDecoder(
            on_damage=self._on_damage, context=context, states=True, router=self.router, searches=False
        )
        self._tell_damage = on_damage
        self.messages: Counter[str] = Counter()
        """BMP messages that hold no UPDATE, by type"""
        self.statistics: dict[Peer, dict[str, int]] = {}
        """the last report about each peer"""
        self.told_peers: dict[Peer, int] = {}
        """peers that are up, and the time of their Peer Up in microseconds since 1970 (UTC)"""
        self.end = ""
        """why the connection is to be closed, or was; "" as long as it is open"""
        self.reason = ""
        """the same in one word, for counting"""
        self.over = asyncio.Event()
        """whether the connection has ended, and all that the router has sent is taken in"""
        self.refused = False
        """whether nothing more of it is taken, because we have ended the connection"""
        self._pieces: list[bytes] = []
        self._missing = 0
        self.routes = 0
        """routes of all peers, as `count_routes` has counted them"""
        self._tables: dict[tuple[bytes, str, str], CountedRoutes] = {}

    @property
    def name(self) -> str:
        """The sysName of Initiation, or the address."""
        return self.router.tags["ROUTER"]

    def complete(self, octets: bytes) -> bytes:
        """What is to be decoded now: b"" as long as a long message is not complete, so that it is copied once."""
        if len(octets) < self._missing:
            self._pieces.append(octets)
            self._missing -= len(octets)
            return b""
        if self._pieces:
            octets = b"".join((*self._pieces, octets))
            self._pieces.clear()
        self._missing = 0
        return octets

    def decoded(self) -> None:
        """Called when what `complete` gave is decoded."""
        self._missing = self.decoder.missing

    def _on_damage(self, damage: Damage) -> None:
        self._tell_damage(self, damage)
        if self.decoder.lost and self.connection.is_open:  # TCP loses nothing: it is no router
            self.refuse("damaged", "what it sends is not BMP")

    def cut_short(self) -> None:
        """Reports the start of a message that was not complete when the connection ended."""
        for _ in (*self.decoder.feed(b"".join(self._pieces)), *self.decoder.end()):
            pass

    def refuse(self, reason: str, text: str) -> None:
        """Ends the connection, and takes nothing more. The first reason counts."""
        if not self.end:
            self.reason, self.end = reason, text
        self.refused = True
        self.connection.abort()

    def note(self, message: BmpMessage) -> None:
        """Takes what a BMP message without an UPDATE says about a peer."""
        self.messages[TYPE_NAMES.get(message.bmp_type, str(message.bmp_type)).lower()] += 1
        peer = peer_of(message)
        if message.bmp_type == PEER_UP:
            self.told_peers[peer] = message.time
        elif message.bmp_type == PEER_DOWN:
            self.told_peers.pop(peer, None)
            self.statistics.pop(peer, None)
            for key in [key for key in self._tables if key[:2] == peer_key(message)]:
                self.routes -= len(self._tables.pop(key))
        elif message.bmp_type == STATISTICS and peer in self.told_peers:
            told = {name: value for name, value in message.content().items() if isinstance(value, int)}
            self.statistics[peer] = told

    @property
    def tables(self) -> int:
        """Peers, and RIBs of them, whose routes are counted."""
        return len(self._tables)

    def count_routes(self, item: Item) -> None:
        """Takes UPDATEs into the tables of their peers."""
        for part in [item] if isinstance(item, Message) else runs(item):
            first = part if isinstance(part, Message) else part.message(0)
            peer = peer_from_tags(first.tags)
            key = peer.address, first.tags.get("PEER_RD", ""), first.tags.get("RIB", "")
            table = self._tables.get(key)
            if table is None:
                table = self._tables[key] = CountedRoutes()
            before = len(table)
            table.take(part, self.router.families.get((peer.type, peer.rd, peer.address)))
            self.routes += len(table) - before

    def status(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "remote": self.endpoint,
            "peers": len(self.told_peers),
            "received_bytes": self.connection.octets_read,
            "updates": self.decoder.counts.messages,
            "damaged": self.decoder.counts.damaged,
            "messages": dict(self.messages),
        }


def peer_of(message: Message) -> Peer:
    tags = message.tags
    return tags.get("PEER_IP", ""), tags.get("PEER_AS", ""), tags.get("PEER_RD", "")


def peer_key(message: Message) -> tuple[bytes, str]:
    """Address and route distinguisher of the peer of a message."""
    return peer_from_tags(message.tags).address, message.tags.get("PEER_RD", "")
