"""The table of bgpipe.routes.adj_rib_in without accel, and what routes and attributes are there."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ..wire import attrs
from ..wire.attrs.attribute import encode_header
from ..wire.attrs.mp_reach import encode_family
from ..wire.family import IPV6_UNICAST
from ..wire.flags import CONTEXT_FLAGS, CONTEXTS, FLAG_ADD_PATH
from ..wire.prefix import AFI_BITS, Prefix, encode_prefix
from ..wire.update import Update
from ..wire.update_body import join

OUT: Final = 1
"""The route was let through, and not withdrawn since."""
WANTED: Final = 2
"""The route should be let through."""
VERDICT_SHIFT: Final = 2
"""The bits of a state above this are the stage's verdict, 0 to 63."""
NO_ORIGIN: Final = 0
ORIGIN_AS: Final = 1
OF_SENDER: Final = 2
"""The origin of a path (RFC 6811 section 2): none behind an AS_SET, an AS number, or the AS that has sent it."""
BLACKHOLE: Final = 1
"""A mark of attributes: the community BLACKHOLE is among them (RFC 7999)."""
UNCHANGED: Final = 0xFF
"""In the place of a verdict: the route keeps the one that it has."""


class Route(NamedTuple):
    """attributes: their number, see `AdjRibIn.attributes`. state: OUT, WANTED, and the verdict."""

    prefix: Prefix
    attributes: int
    state: int


class Attributes(NamedTuple):
    """What is said of routes of one family.

    octets: the first `head` octets are MP_REACH_NLRI up to its NLRI, none where prefixes are in the NLRI field; then
    come all other path attributes as they came. flags: FLAG_AS4, FLAG_ADD_PATH. origin_kind, origin: of the path.
    marks: BLACKHOLE.
    """

    octets: bytes
    head: int
    flags: int
    origin_kind: int
    origin: int
    marks: int

    @property
    def section(self) -> bytes:
        """All path attributes but MP_REACH_NLRI."""
        return self.octets[self.head :]

    def update(self) -> Update:
        """An UPDATE without a prefix, to read the attributes."""
        section = self.section
        if self.head:
            section = encode_header(attrs.OPTIONAL, attrs.MP_REACH, self.head) + self.octets[: self.head] + section
        return Update(join(b"", section, b""), CONTEXTS[self.flags & CONTEXT_FLAGS])


class PlainRanges:
    """Ranges of addresses: those of prefixes. Of an IPv6 address, the first 64 bits count, so that a range may be
    larger than its prefix: a route too many is judged again."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        """prefixes: ascending in each AFI, none inside another."""
        self._first: dict[int, list[int]] = {1: [], 2: []}
        self._last: dict[int, list[int]] = {1: [], 2: []}
        for afi, address, length, *_ in prefixes:
            shift = 0 if afi == 1 else 64
            self._first[afi].append(address >> shift)
            self._last[afi].append((address | (1 << AFI_BITS[afi] - length) - 1) >> shift)

    def has(self, prefix: Prefix) -> bool:
        """Whether the address of a route is in a range."""
        address = prefix.address if prefix.afi == 1 else prefix.address >> 64
        place = bisect_left(self._last[prefix.afi], address)
        return place < len(self._last[prefix.afi]) and self._first[prefix.afi][place] <= address


class PlainRib:
    """The table without accel.

    sticky: what the stage does not let through is not withdrawn from those behind it, so an older route stays OUT.
    generation: changes when the places of `find` do.
    """

    def __init__(self, sticky: bool = False) -> None:
        self.sticky = sticky
        self.generation = 0
        self.clear()

    def clear(self) -> None:
        """Removes all routes."""
        self.generation += 1
        self._routes: dict[Prefix, _Route] = {}
        self._numbers: dict[Attributes, int] = {}
        self._attributes: dict[int, Attributes] = {}
        self._references: dict[int, int] = {}
        self._waiting: dict[Prefix, None] = {}
        self._order: list[Prefix] = []
        self.attribute_limit = 1

    @property
    def count(self) -> int:
        """Routes in the table."""
        return len(self._routes)

    @property
    def count_ipv6(self) -> int:
        """Those of IPv6."""
        return sum(prefix.afi == 2 for prefix in self._routes)

    @property
    def attribute_count(self) -> int:
        """Different attributes of them."""
        return len(self._attributes)

    @property
    def pending(self) -> int:
        """Routes of which something has to be told, at most."""
        return len(self._waiting)

    @property
    def slot_count(self) -> int:
        """Places for `find`."""
        return max(1, len(self._routes))

    def announce(
        self,
        prefix: Prefix,
        octets: bytes,
        head: int,
        flags: int,
        kind: int,
        origin: int,
        marks: int,
        state: int,
    ) -> None:
        """Takes one route. octets ... marks: as Attributes has them. state: what became of it."""
        prefix = _key(prefix)
        number = self._number(Attributes(octets, head, flags, kind, origin, marks))
        self._references[number] += 1
        route = self._routes.get(prefix)
        if route is None:
            self._routes[prefix] = _Route(number, state)
            return
        old, route.attributes = route.attributes, number
        route.state = state | (route.state & OUT if self.sticky else 0)
        route.stale = route.again = False
        self._let_go(old)

    def withdraw(self, prefix: Prefix) -> None:
        """Takes a route away."""
        route = self._routes.pop(_key(prefix), None)
        if route is not None:
            self._let_go(route.attributes)

    def refresh(self, afi: int, begins: bool) -> None:
        """A refresh of all routes of an AFI begins, or ends: then those that were not announced again go (RFC 7313)."""
        for prefix, route in list(self._routes.items()):
            if prefix.afi != afi:
                continue
            if begins:
                route.stale = True
            elif route.stale:
                self.withdraw(prefix)

    def find(self, ranges: PlainRanges | None, cursor: int, slots: int) -> tuple[int, list[Route]]:
        """The cursor behind so many places from `cursor` on, -1 behind the last one, and the routes there that are in
        the ranges, or all of them. The cursor is of no use once `generation` has changed."""
        if not cursor:
            self._order = list(self._routes)
        end = cursor + slots
        found = []
        for prefix in self._order[cursor:end]:
            route = self._routes.get(prefix)
            if route is not None and (ranges is None or ranges.has(prefix)):
                found.append(Route(prefix, route.attributes, route.state))
        return (end if end < len(self._order) else -1), found

    def judge(self, prefix: Prefix, wanted: bool, verdict: int = 0, again: bool = False) -> None:
        """Sets what is thought of a route; what follows from it waits to be told. again: whether a route that is OUT is
        announced again when its verdict has changed."""
        prefix = _key(prefix)
        route = self._routes.get(prefix)
        if route is None:
            return
        route.again |= again and route.state >> VERDICT_SHIFT != verdict
        route.state = route.state & OUT | (WANTED if wanted else 0) | verdict << VERDICT_SHIFT
        if route.differs:
            self._waiting[prefix] = None

    def judge_attributes(
        self, verdicts: bytes | bytearray, cursor: int, slots: int, unwanted: int, again: bool = False
    ) -> int:
        """As `judge` for all routes in so many places, by their attributes; returns the cursor as `find` does.

        verdicts: a verdict below 32 for each number of attributes, UNCHANGED for those that stay as they are. unwanted:
        bit n: routes with the verdict n are not wanted.
        """
        cursor, routes = self.find(None, cursor, slots)
        for prefix, number, _ in routes:
            verdict = verdicts[number] if number < len(verdicts) else UNCHANGED
            if verdict != UNCHANGED:
                self.judge(prefix, not unwanted >> verdict & 1, verdict, again)
        return cursor

    def attributes(self, number: int) -> Attributes | None:
        """The attributes with a number; None if no route has them."""
        return self._attributes.get(number)

    def take_withdrawals(self, size: int, most: int) -> list[tuple[int, bytes]]:
        """(FLAG_ADD_PATH or 0, body) of at most so many UPDATEs, each of at most `size` octets, which withdraw what was
        let through and is not wanted any more."""
        bodies: list[tuple[int, bytes]] = []
        for afi in (1, 2):
            for flag in (0, FLAG_ADD_PATH):
                due = [
                    prefix
                    for prefix in self._waiting
                    if prefix.afi == afi
                    and (route := self._routes.get(prefix)) is not None
                    and route.state & (OUT | WANTED) == OUT
                    and self._attributes[route.attributes].flags & FLAG_ADD_PATH == flag
                ]
                room = size - (2 if afi == 1 else 11)
                for piece in pieces(due, bool(flag), room):
                    if len(bodies) == most:
                        break
                    for prefix in piece:
                        self._routes[prefix].state &= ~OUT
                    nlri = b"".join(encode_prefix(prefix, bool(flag)) for prefix in piece)
                    bodies.append((flag, _withdrawal(afi, nlri)))
        self._forget_told()
        return bodies

    def take_announcements(self, size: int, most: int) -> list[tuple[int, int, bytes | None]]:
        """(flags, verdict, body) of at most so many UPDATEs, each of at most `size` octets, which announce what is
        wanted and was not let through, or has to be announced again. Routes with the same attributes and verdict are in
        the same UPDATE. The body is None for attributes that leave no room for a prefix."""
        groups: dict[tuple[int, int], list[Prefix]] = {}
        for prefix in self._waiting:
            route = self._routes.get(prefix)
            if route is not None and route.due:
                groups.setdefault((route.attributes, route.state >> VERDICT_SHIFT), []).append(prefix)
        bodies: list[tuple[int, int, bytes | None]] = []
        for (number, verdict), prefixes in sorted(groups.items()):
            found = self._attributes[number]
            add_path = bool(found.flags & FLAG_ADD_PATH)
            room = size - len(found.octets) - (8 if found.head else 4)
            for piece in pieces(prefixes, add_path, room) if room >= _LONGEST else [[each] for each in prefixes]:
                if len(bodies) == most:
                    break
                for prefix in piece:
                    route = self._routes[prefix]
                    route.state |= OUT
                    route.again = False
                nlri = b"".join(encode_prefix(prefix, add_path) for prefix in piece)
                bodies.append((found.flags, verdict, announcement(found, nlri) if room >= _LONGEST else None))
        self._forget_told()
        return bodies

    def _forget_told(self) -> None:
        for prefix in list(self._waiting):
            route = self._routes.get(prefix)
            if route is None or not route.differs:
                del self._waiting[prefix]
                if route is not None:
                    route.again = False

    def _number(self, attributes: Attributes) -> int:
        number = self._numbers.get(attributes)
        if number is None:
            number = self._numbers[attributes] = self.attribute_limit
            self.attribute_limit += 1
            self._attributes[number] = attributes
            self._references[number] = 0
        return number

    def _let_go(self, number: int) -> None:
        self._references[number] -= 1
        if not self._references[number]:
            del self._numbers[self._attributes.pop(number)], self._references[number]


class _Route:
    """A route of a PlainRib. stale: not announced again since a refresh began. again: to be announced again."""

    __slots__ = ("again", "attributes", "stale", "state")

    def __init__(self, attributes: int, state: int) -> None:
        self.attributes = attributes
        self.state = state
        self.stale = self.again = False

    @property
    def differs(self) -> bool:
        """Whether something has to be told."""
        return self.state & (OUT | WANTED) in (OUT, WANTED) or (self.again and self.state & WANTED > 0)

    @property
    def due(self) -> bool:
        """Whether it has to be announced now. A stale route may be gone at the end of the refresh."""
        return bool(self.state & WANTED) and not self.stale and (not self.state & OUT or self.again)


_LONGEST: Final = 21
"""Octets of the longest prefix with its path identifier."""


def _key(prefix: Prefix) -> Prefix:
    afi, address, length, path_id = prefix
    return Prefix(afi, address, length, path_id or 0)


def pieces(prefixes: list[Prefix], add_path: bool, room: int) -> Iterator[list[Prefix]]:
    """Runs of prefixes of at most `room` octets; the next one might be the longest possible."""
    piece: list[Prefix] = []
    left = room
    for prefix in prefixes:
        if left < _LONGEST and piece:
            yield piece
            piece, left = [], room
        piece.append(prefix)
        left -= len(encode_prefix(prefix, add_path))
    if piece:
        yield piece


def _withdrawal(afi: int, nlri: bytes) -> bytes:
    if afi == 1:
        return join(nlri, b"", b"")
    value = encode_family(IPV6_UNICAST) + nlri
    return join(b"", _multiprotocol(attrs.MP_UNREACH, value), b"")


def announcement(attributes: Attributes, nlri: bytes) -> bytes:
    """The body of an UPDATE that announces these prefixes."""
    if not attributes.head:
        return join(b"", attributes.octets, nlri)
    value = attributes.octets[: attributes.head] + nlri
    return join(b"", _multiprotocol(attrs.MP_REACH, value) + attributes.section, b"")


def _multiprotocol(code: int, value: bytes) -> bytes:
    """MP_REACH_NLRI or MP_UNREACH_NLRI, with a length of two octets."""
    return bytes((attrs.OPTIONAL | attrs.EXTENDED_LENGTH, code)) + len(value).to_bytes(2, "big") + value
