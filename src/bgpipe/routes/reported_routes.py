"""The routes of one peer in one direction (Adj-RIB-In or Adj-RIB-Out), to report all of them again.

A table of IPv4 and IPv6 unicast alone is that of adj_rib_in.py, and takes whole blocks. If the peers have agreed on
other families too, it is that of adj_rib_out.py, which keeps UPDATEs as they came until somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..wire.block import Block
from ..wire.context import HEADER, MAX_MESSAGE
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.flags import CONTEXT_FLAGS, CONTEXTS, FLAG_ADD_PATH
from ..wire.message import UPDATE, Message
from ..wire.prefix import Prefix, encode_prefix
from .adj_rib_in import AdjRibIn
from .adj_rib_out import AdjRibOut
from .plain_rib import announcement, pieces

PLACES: Final = 4096
"""Places of the table that are looked at in one step: some milliseconds."""


class ReportedRoutes:
    """families: those that the peers have agreed on."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.families = families = sorted(set(families))
        self._unicast = AdjRibIn() if {*families} <= {IPV4_UNICAST, IPV6_UNICAST} else None
        self._all = AdjRibOut()

    def __len__(self) -> int:
        if self._unicast is not None:
            return len(self._unicast)
        return sum(map(len, self._all.routes.values()))

    def counts(self) -> dict[Family, int]:
        """The number of routes of each family that the peers have agreed on, after `digest`."""
        if self._unicast is None:
            found = {family: len(self._all.routes.get(family, ())) for family in self.families}
        else:
            ipv6 = int(self._unicast.rib.count_ipv6)
            both = {IPV4_UNICAST: len(self._unicast) - ipv6, IPV6_UNICAST: ipv6}
            found = {family: both[family] for family in self.families}
        return found

    def take(self, item: Message | Block) -> None:
        """Takes UPDATEs, with the context of this peer."""
        if self._unicast is not None:
            self._unicast.take(item)
            return
        self._all.add(item)
        while self._all.full and self._all.digest():
            pass

    def digest(self) -> bool:
        """Looks into some of the UPDATEs that are kept, for some milliseconds. Returns whether more are waiting."""
        return self._unicast is None and self._all.digest()

    def replay(self) -> Iterator[list[Message]]:
        """UPDATEs that announce all routes that are there, some at each step. What comes in between two steps is taken
        into account: a route is as it is when it is announced here."""
        if self._unicast is not None:
            yield from self._replay_unicast(self._unicast)
            return
        while self._all.digest():
            yield []
        for family in tuple(self._all.routes):
            for message in self._all.replay(family):
                yield [message] if message is not None else []

    def _replay_unicast(self, table: AdjRibIn) -> Iterator[list[Message]]:
        scan = table.scan()
        while (routes := scan.step(PLACES)) is not None:
            groups: dict[int, list[Prefix]] = {}
            for prefix, number, _ in routes:
                groups.setdefault(number, []).append(prefix)
            yield [message for number, prefixes in groups.items() for message in _announce(table, number, prefixes)]


def _announce(table: AdjRibIn, number: int, prefixes: list[Prefix]) -> Iterator[Message]:
    attributes = table.attributes(number)
    if attributes is None:
        return
    context = CONTEXTS[attributes.flags & CONTEXT_FLAGS]
    add_path = bool(attributes.flags & FLAG_ADD_PATH)
    room = MAX_MESSAGE - HEADER - len(attributes.octets) - (8 if attributes.head else 4)
    for piece in pieces(prefixes, add_path, room):
        nlri = b"".join(encode_prefix(prefix, add_path) for prefix in piece)
        yield Message(UPDATE, announcement(attributes, nlri), context=context)
