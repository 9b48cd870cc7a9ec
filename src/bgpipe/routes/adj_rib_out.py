"""The routes that a speaker has announced to its peer, to announce them again (ROUTE-REFRESH, RFC 2918).

UPDATEs are kept as they passed, and looked into when somebody asks, or when they are many: most peers never ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ..wire import attrs
from ..wire.attrs.attribute import Attribute, encode_header
from ..wire.attrs.mp_reach import encode_family
from ..wire.block import Block
from ..wire.context import HEADER, MAX_MESSAGE, WireContext
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, Family
from ..wire.item import weigh
from ..wire.message import UPDATE, Message
from ..wire.nlri.identity import split_identified
from ..wire.prefix import split_prefixes
from ..wire.update import Update
from ..wire.update_body import join, split_attributes

MAX_PASSED: Final = 32 << 20
"""Octets of memory for UPDATEs that are kept as they passed; then they are looked into."""
DIGEST_UPDATES: Final = 500
"""UPDATEs that are looked into at once: some milliseconds."""


class Route(NamedTuple):
    """The path attributes and the next hop of a prefix.

    attributes: the octets of all path attributes but MP_REACH_NLRI. hop: length and octets of the next hop there, and
    the reserved octet; None where the prefix was in the NLRI field. context: how all of it is to be read.
    """

    attributes: bytes
    hop: bytes | None
    context: WireContext

    def message(self, family: Family, prefixes: Iterable[bytes]) -> Message:
        """An UPDATE that announces these prefixes."""
        nlri = b"".join(prefixes)
        if self.hop is None:
            return Message(UPDATE, join(b"", self.attributes, nlri), context=self.context)
        value = encode_family(family) + self.hop + nlri
        mp_reach = encode_header(attrs.OPTIONAL, attrs.MP_REACH, len(value)) + value
        return Message(UPDATE, join(b"", mp_reach + self.attributes, b""), context=self.context)

    @property
    def weight(self) -> int:
        """Octets of an UPDATE without its prefixes."""
        return HEADER + 4 + len(self.attributes) + (7 + len(self.hop) if self.hop is not None else 0)


class AdjRibOut:
    """The routes of each family: octets of the prefix, with its path identifier if it has one, to Route."""

    def __init__(self) -> None:
        self.routes: dict[Family, dict[bytes, Route]] = {}
        self._announced: dict[tuple[Family, bytes], bytes] = {}
        """the octets of the NLRI that are there, by what tells them from others, where that is something else"""
        self.unreadable = 0
        """UPDATEs that could not be read, so that they are no routes"""
        self.last_error: Exception | None = None
        self._passed: deque[Iterator[Message]] = deque()
        self.held = 0
        """octets of memory for UPDATEs that are kept as they passed"""

    def __bool__(self) -> bool:
        """Whether anything was announced."""
        return bool(self._passed) or any(self.routes.values())

    def add(self, item: Message | Block) -> None:
        """Adds an UPDATE that was sent to the peer."""
        if isinstance(item, Block):
            item = item.compact()
            self.held += item.weight
            self._passed.append(iter(item))
        elif item.type_code == UPDATE:
            self.held += weigh(item)
            self._passed.append(iter((item,)))

    @property
    def full(self) -> bool:
        """Whether enough UPDATEs wait to be digested."""
        return self.held > MAX_PASSED

    def digest(self, count: int = DIGEST_UPDATES) -> bool:
        """Digests at most so many UPDATEs. Returns whether more are waiting."""
        while self._passed:
            for message in self._passed[0]:
                self._take(message)
                count -= 1
                if not count:
                    return True
            self._passed.popleft()
        self.held = 0
        return False

    def replay(self, family: Family) -> Iterator[Message | None]:
        """UPDATEs that announce all routes of a family again, prefixes with the same attributes together.

        What changes meanwhile is not announced as it was before. See routes.provider.
        """
        while self.digest():
            yield None
        table = self.routes.get(family, {})
        groups: dict[Route, list[bytes]] = {}
        for prefix, route in table.items():
            groups.setdefault(route, []).append(prefix)
        for route, prefixes in groups.items():
            for piece in _pieces(prefixes, MAX_MESSAGE - route.weight):
                while self.digest():
                    yield None
                current = [prefix for prefix in piece if table.get(prefix) == route]
                if current:
                    yield route.message(family, current)

    def _take(self, message: Message) -> None:
        if message.type_code != UPDATE:
            return
        try:
            withdrawn, announced = changes(message.update)
        except WireError as error:
            self.unreadable += 1  # whatever the peer makes of it: it is no route
            self.last_error = error
            return
        for family, identities, prefixes in withdrawn:
            table = self.routes.setdefault(family, {})
            for identity, prefix in zip(identities, prefixes, strict=True):
                table.pop(self._announced.pop((family, identity), prefix), None)
        for family, identities, prefixes, route in announced:
            table = self.routes.setdefault(family, {})
            if identities is not prefixes:
                for identity, prefix in zip(identities, prefixes, strict=True):
                    table.pop(self._announced.get((family, identity), b""), None)
                    self._announced[family, identity] = prefix
            table.update(dict.fromkeys(prefixes, route))


_Withdrawn = list[tuple[Family, list[bytes], list[bytes]]]
_Announced = list[tuple[Family, list[bytes], list[bytes], Route]]


def changes(update: Update) -> tuple[_Withdrawn, _Announced]:
    """The NLRI that an UPDATE withdraws, and those that it announces: the family, what tells each from others, and
    their octets. Raises WireError."""
    context = update.context
    withdrawn_routes, section, nlri = update.parts()
    withdrawn: _Withdrawn = []
    announced: _Announced = []
    if withdrawn_routes:
        withdrawn.append((IPV4_UNICAST, *_split(IPV4_UNICAST, withdrawn_routes, context)))
    reach, others = None, []
    for flags, code, octets in split_attributes(section, 0, len(section)):
        if code == attrs.MP_REACH:
            reach = octets
        elif code == attrs.MP_UNREACH:
            family = _family(octets, 3)
            withdrawn.append((family, *_split(family, octets[3:], context)))
        else:
            others.append(Attribute(flags, code, octets, context).encode())
    attributes = b"".join(others)
    if reach is not None:
        family = _family(reach, 5)
        start = 5 + reach[3]
        if start > len(reach):
            raise WireError(f"MP_REACH_NLRI of {len(reach)} octets, its next hop ends at {start - 1}", subcode=9)
        announced.append((family, *_split(family, reach[start:], context), Route(attributes, reach[3:start], context)))
    if nlri:
        route = Route(attributes, None, context)
        announced.append((IPV4_UNICAST, *_split(IPV4_UNICAST, nlri, context), route))
    return withdrawn, announced


def _family(value: bytes, least: int) -> Family:
    """The family of an MP_REACH_NLRI or MP_UNREACH_NLRI value. Raises WireError if it has fewer octets than `least`."""
    if len(value) < least:
        raise WireError(f"a multiprotocol attribute of {len(value)} octets, at least {least} expected", subcode=9)
    return Family(int.from_bytes(value[:2], "big"), value[2])


def _split(family: Family, nlri: bytes, context: WireContext) -> tuple[list[bytes], list[bytes]]:
    """What tells each NLRI from others, and their octets; the same list where that is the same. Raises WireError."""
    add_path = family in context.add_path
    if not family.address_bits:
        both = list(split_identified(family, nlri, add_path))
        return [identity for identity, _ in both], [octets for _, octets in both]
    found = split_prefixes(nlri, family.afi, add_path)
    prefixes = [prefix if path_id is None else path_id.to_bytes(4, "big") + prefix for path_id, prefix in found]
    return prefixes, prefixes


def _pieces(prefixes: list[bytes], room: int) -> Iterator[list[bytes]]:
    """Runs of prefixes of at most `room` octets together; one prefix at least."""
    piece: list[bytes] = []
    left = room
    for prefix in prefixes:
        if piece and len(prefix) > left:
            yield piece
            piece, left = [], room
        piece.append(prefix)
        left -= len(prefix)
    if piece:
        yield piece
