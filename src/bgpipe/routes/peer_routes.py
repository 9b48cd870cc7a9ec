"""The routes of one peer, as its speaker takes them: all of them, and then what changes.

    >>> routes = PeerRoutes(tables.of(subscription), form)
    >>> for block in routes.replay(IPV4_UNICAST): ...          # when the session is up, and for each ROUTE-REFRESH
    >>> for block in routes.change(after.of(subscription)): ...  # when lists or the subscription have changed

There is no table for each peer: `routes.table` refers to parts that all peers share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ..wire.block import Block
from ..wire.family import Family
from . import packing
from .attributes import FAMILIES, EncodedAttributes, UpdateGroup, head, why_not
from .difference import RouteChanges, difference, differing
from .packing import Packed
from .partition import Encodings, Part, packed_in_steps
from .prefixes import merged, without
from .table import Table

SMALL: Final = 900
"""Prefixes of a part below which it has no messages of its own: small parts are packed together for each peer."""
PER_MESSAGE: Final = 1000
"""Prefixes of a message, about."""
_Rest = list[tuple[EncodedAttributes, Sequence[int]]]
"""Prefixes that are packed for one peer alone, in any order."""
_AFIS: Final = {family: afi for afi, family in FAMILIES.items()}


class Survey(NamedTuple):
    """Of the routes of a table, how many a peer is told, and how many not, by the reason."""

    told: int
    left_out: dict[str, int]


def survey(table: Table, form: UpdateGroup, afis: Sequence[int]) -> Survey:
    """afis: of the families that are agreed."""
    counts: Counter[str] = Counter()
    for (afi, attributes), count in table.counts.items():
        counts[why_not(attributes, form, afi) if afi in afis else _NOT_AGREED[afi]] += count
    told = counts.pop("", 0)
    return Survey(told, dict(counts))


_NOT_AGREED: Final = {1: "the peer takes no IPv4 routes", 2: "the peer takes no IPv6 routes"}


class PeerRoutes:
    """The routes of one peer, in blocks that it shares with others.

    table: what the peer has been told, or is being told. form: how it is told. encodings: shared by all peers.
    """

    def __init__(self, table: Table, form: UpdateGroup, encodings: Encodings | None = None) -> None:
        self.table = table
        self.form = form
        self.encodings = Encodings() if encodings is None else encodings
        self._replays: list[_Replay] = []

    def __bool__(self) -> bool:
        """Whether there may be any routes."""
        return bool(self.table.count)

    def replay(self, family: Family) -> Iterator[Block | None]:
        """UPDATEs that announce all routes of a family, in blocks that are shared with other peers; None after a step
        of some milliseconds that has made none.

        What `change` says meanwhile is not said again as it was before.
        """
        if family not in _AFIS:
            return
        replay = _Replay(self.table, self.form, _AFIS[family], self.encodings)
        self._replays.append(replay)
        try:
            yield from replay.run()
        finally:
            self._replays.remove(replay)

    def change(self, table: Table, afis: Sequence[int] = (1, 2)) -> Iterator[Block | None]:
        """Takes another table, and gives UPDATEs that tell of what differs: announcements, then withdrawals; None after
        a step of some milliseconds that has made none. Peers with the same tables share the work.

        afis: of the families that are agreed. It has taken it even if nobody takes the UPDATEs: they are to be sent.
        """
        before, self.table = self.table, table
        afis = tuple(afis)
        if self._replays:
            found = difference(before, table, self.form)
            for replay in self._replays:
                replay.leave_out(found)
            return found.messages(self.form, afis)
        key = before, table, self.form, afis
        return self.encodings.change(key, lambda: _changes(before, table, self.form, afis))


def _changes(before: Table, after: Table, form: UpdateGroup, afis: Sequence[int]) -> Iterator[Block | None]:
    found = yield from differing(before, after, form)
    yield from found.messages(form, afis)


class _Replay:
    """All routes of a family of one table, but for those of which something newer has been said."""

    def __init__(self, table: Table, form: UpdateGroup, afi: int, encodings: Encodings) -> None:
        self.table = table
        self.form = form
        self.afi = afi
        self.encodings = encodings
        self._newer: set[int] = set()

    def leave_out(self, found: RouteChanges) -> None:
        """Something newer has been said of these prefixes."""
        self._newer.update(found.numbers(self.afi))

    def run(self) -> Iterator[Block | None]:
        rest: _Rest = []
        small: dict[EncodedAttributes, list[Part]] = {}
        large: list[tuple[Part, EncodedAttributes, Sequence[int]]] = []
        heads: dict[int, EncodedAttributes | None] = {}
        for key, part, attributes in self.table.parts(self.afi):
            ours = key[1] & self.table.mask
            if ours not in heads:
                heads[ours] = head(attributes, self.form, self.afi)
            how = heads[ours]
            if how is None:
                continue
            omitted = self.table.omitted.get(key, ())
            if len(omitted) * PER_MESSAGE > len(part):  # most messages would be without one
                small.setdefault(how, []).append(left := part.without(omitted))
                if len(left) > SMALL and left.nlri:
                    yield None
            elif len(part) < SMALL:
                small.setdefault(how, []).append(part)
            else:
                large.append((part, how, omitted))
        yield from self._join(small, rest)  # first, while nothing waits: nobody else has these octets in memory
        for part, how, omitted in large:
            packed = yield from self.encodings.of(part, how)
            yield from self._pass(part, packed, how, omitted, rest)
        for attributes, prefixes in self.table.private.items():
            how = head(attributes, self.form, self.afi)
            if how is not None:
                rest.append((how, prefixes.numbers(self.afi)))
        yield from self._pack(rest)

    def _join(self, small: Mapping[EncodedAttributes, Sequence[Part]], rest: _Rest) -> Iterator[Block]:
        """Small parts, packed together out of the octets that all peers share. If something newer is said of prefixes
        meanwhile, `rest` says all of them again without those."""
        blocks = packing.joined((how, [part.nlri for part in parts]) for how, parts in small.items())
        while (block := next(blocks, None)) is not None:
            if self._newer:
                rest += ((how, part.order) for how, parts in small.items() for part in parts)
                return
            yield block

    def _pack(self, rest: _Rest) -> Iterator[Block | None]:
        """Prefixes that are packed for this peer alone."""
        while rest:
            together: dict[EncodedAttributes, list[Sequence[int]]] = {}
            for how, numbers in rest:
                together.setdefault(how, []).append(numbers)
            rest = []
            for how, runs in together.items():
                part = Part(without(merged(runs), sorted(self._newer)), self.afi)
                yield None
                packed = yield from packed_in_steps(part, how)
                yield from self._pass(part, packed, how, (), rest)

    def _pass(
        self, part: Part, packed: Packed, how: EncodedAttributes, omitted: Sequence[int], rest: _Rest
    ) -> Iterator[Block]:
        """The blocks without the messages that say something wrong; what else these say is added to `rest`."""
        places = sorted(map(part.place, omitted))
        known = 0
        start = 0
        for block in packed.blocks:
            if len(self._newer) != known:
                known = len(self._newer)
                newer = (place for place in map(part.place, self._newer) if place >= 0)
                places = sorted({*places, *newer})
            stop = start + len(block)
            first, last = packed.firsts[start], packed.firsts[stop]
            wrong = [place for place in places if first <= place < last] if places else []
            if wrong:
                block, kept = packed.cut(block, start, wrong)
                rest.append((how, sorted(part.order[place] for place in kept)))
            start = stop
            if len(block):
                yield block
