"""RIB entries to UPDATE messages, several prefixes in one (RFC 6396 sections 4.2 and 4.3, RFC 8050).

An entry is one peer's route to one prefix. Its attributes are kept octet for octet, but for MP_REACH_NLRI, which
RIBs cut down to the next hop: it comes back whole, in its place. So these are the rules, in Python here and again in
accel/rib.pyx:

- IPv4 unicast goes into the NLRI field, unless its MP_REACH_NLRI has a next hop that NEXT_HOP can't hold (RFC 8950).
- Where a family needs MP_REACH_NLRI and an entry has none (BIRD writes such), it comes in the place of NEXT_HOP for
  IPv4, and else last, without a next hop: nobody knows one.
- For each peer one UPDATE is pending. An entry joins it if time, family, attributes and next hop are the same and the
  estimate of its length stays within 3800 octets; otherwise the pending one goes out and the entry starts another.
- `flush` sends out what is pending, in the order of the peers' numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ..wire.context import MAX_EXTENDED_MESSAGE, WireContext
from ..wire.cursor import Cursor
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, Family
from ..wire.flags import FLAG_RIB
from ..wire.message import HEADER, UPDATE, Message

ESTIMATE: Final = 3800
"""Octets that a bundle may have by its estimate: header, fixed fields, attributes, 64 for MP_REACH_NLRI, prefixes."""
MAX_PEERS: Final = 65536
NEXT_HOP: Final = 3
MP_REACH: Final = 14


class RouteAttributes(NamedTuple):
    """What entries of one bundle have in common.

    next_hop is None where the prefixes go into the NLRI field: then all attributes are in `head`. Otherwise
    MP_REACH_NLRI comes between `head` and `tail`.
    """

    family: Family
    head: bytes
    next_hop: bytes | None
    tail: bytes
    context: WireContext

    @property
    def estimate(self) -> int:
        return HEADER + 4 + len(self.head) + len(self.tail) + 64


def read_route(octets: bytes, family: Family, context: WireContext) -> RouteAttributes:
    """The path attributes of an entry. Raises WireError if they are cut short, or MP_REACH_NLRI is."""
    walked = list(attributes_of(octets))
    codes = [code for code, _, _ in walked]
    if MP_REACH in codes:
        at = codes.index(MP_REACH)
        next_hop = _next_hop(walked[at][2])
        if family == IPV4_UNICAST and len(next_hop) == 4:
            walked[at] = (MP_REACH, b"\x40\x03\x04" + next_hop, next_hop)
            return RouteAttributes(
                family, b"".join(whole for code, whole, _ in walked if code != NEXT_HOP), None, b"", context
            )
    elif family == IPV4_UNICAST:
        return RouteAttributes(family, octets, None, b"", context)
    elif family.afi == 1 and NEXT_HOP in codes:
        at = codes.index(NEXT_HOP)
        next_hop = walked[at][2]
    else:
        at = len(walked)
        next_hop = b""
    head = b"".join(whole for _, whole, _ in walked[:at])
    tail = b"".join(whole for _, whole, _ in walked[at + 1 :])
    return RouteAttributes(family, head, next_hop, tail, context)


def attributes_of(octets: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Code, octets and value of each path attribute. Raises WireError if they are cut short."""
    cursor = Cursor(octets)
    while cursor.left:
        start = cursor.pos
        flags, code = cursor.u8(), cursor.u8()
        value = cursor.take(cursor.u16() if flags & 0x10 else cursor.u8())
        yield code, octets[start : cursor.pos], value


def _next_hop(mp: bytes) -> bytes:
    """The next hop of MP_REACH_NLRI, cut down as RFC 6396 section 4.3.4 wants it, or whole as some write it."""
    cursor = Cursor(mp)
    if mp[:1] == b"\0":
        cursor.take(3)
    next_hop = cursor.take(cursor.u8())
    if not next_hop or (cursor.left and mp[0]):
        raise WireError("MP_REACH_NLRI of a RIB entry is neither a next hop alone nor a complete attribute")
    return next_hop


class _Bundle(NamedTuple):
    """A pending UPDATE."""

    route: RouteAttributes
    time: int
    nlri: bytearray

    def message(self, peer: bytes) -> Message:
        head, next_hop, tail = self.route[1:4]
        nlri = bytes(self.nlri)
        attributes = head
        if next_hop is not None:
            family = self.route.family
            value = b"%b%c%c%b\0%b" % (family.afi.to_bytes(2, "big"), family.safi, len(next_hop), next_hop, nlri)
            size = len(value)
            attributes += (b"\x90\x0e" + size.to_bytes(2, "big") if size > 255 else b"\x80\x0e%c" % size) + value + tail
            nlri = b""
        body = b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + nlri
        return Message(UPDATE, body, time=self.time, context=self.route.context, peer=peer, verdict=FLAG_RIB)


class Bundler:
    """Entries in, by `add`; messages out, by `take`. entries: each entry is a message of its own."""

    def __init__(self, entries: bool = False) -> None:
        self._entries = entries
        self._numbers: dict[bytes, int] = {}
        self._peers: list[bytes] = []
        self._bundles: dict[int, _Bundle] = {}
        self._ready: list[Message] = []

    def set_peers(self, peers: list[bytes]) -> None:
        """Sends out what is pending; from now on entries come from these peers (per-peer headers, see wire.peer)."""
        self.flush()
        self._peers = list(peers)
        self._numbers = {peer: number for number, peer in reversed(list(enumerate(peers)))}

    def number(self, peer: bytes) -> int:
        """The number of a peer that no table has introduced (TABLE_DUMP). Beyond 65536 all start anew."""
        number = self._numbers.get(peer)
        if number is None:
            if len(self._peers) >= MAX_PEERS:
                self.set_peers([])
            number = self._numbers[peer] = len(self._peers)
            self._peers.append(peer)
        return number

    def add(self, number: int, time: int, route: RouteAttributes, nlri: bytes) -> None:
        """One entry: its peer's number, microseconds since 1970, and its prefix as NLRI. Raises WireError."""
        if number >= len(self._peers):
            raise WireError(f"the PEER_INDEX_TABLE has no peer with index {number}")
        estimate = route.estimate + len(nlri)
        if estimate + len(route.next_hop or b"") > MAX_EXTENDED_MESSAGE:
            raise WireError("the route does not fit in one message")
        bundle = self._bundles.get(number)
        joins = bundle is not None and bundle.time == time and bundle.route == route
        if bundle is not None and joins and estimate + len(bundle.nlri) <= ESTIMATE:
            bundle.nlri.extend(nlri)
            return
        if bundle is not None:
            self._send(number)
        self._bundles[number] = _Bundle(route, time, bytearray(nlri))
        if self._entries:
            self._send(number)

    def flush(self) -> None:
        """Makes messages of all that is pending."""
        for number in sorted(self._bundles):
            self._send(number)

    def take(self) -> list[Message]:
        """The messages made since the last time."""
        ready, self._ready = self._ready, []
        return ready

    def _send(self, number: int) -> None:
        self._ready.append(self._bundles.pop(number).message(self._peers[number]))
