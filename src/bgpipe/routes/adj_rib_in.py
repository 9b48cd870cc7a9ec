"""The routes that have come in, as they came (Adj-RIB-In, RFC 4271 section 3.2): a stage that judges routes by
something that changes keeps them, to judge them again.

There is one table for each stage and direction, with the unicast routes of IPv4 and IPv6 that have reached the stage.
Of each route it knows whether the stage has let it through (OUT), whether it should (WANTED), and the stage's verdict.
When these differ, because `judge` says so, the table makes the UPDATEs that put it right: first what is to be
withdrawn, then what is to be announced. What comes in meanwhile settles a route, so these UPDATEs are made at the
moment when they can leave.

    table = AdjRibIn()
    table.take(item, states)                # each message or block, with what became of its announced prefixes
    scan = table.scan(changed)              # the routes in the prefixes that have changed
    while (routes := scan.step()) is not None:
        for prefix, number, state in routes:
            table.judge(prefix, wanted, verdict)
    for message in table.take_withdrawals(4096, 100): ...
    for message, verdict in table.take_announcements(4096, 100): ...

The table itself is accel's (bgpipe.accel.adj_rib_in), or that of plain_rib.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from .. import accel
from ..wire import attrs
from ..wire.attrs.as_path import AS_SEQUENCE, AS_SET, AsPath
from ..wire.attrs.attribute import encode_header
from ..wire.block import FLAGS, Block
from ..wire.context import AS4, HEADER, WireContext
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.flags import CONTEXT_FLAGS, CONTEXTS, FLAG_ADD_PATH, FLAG_AS4, context_flags
from ..wire.message import ROUTE_REFRESH, UPDATE, Message
from ..wire.prefix import Prefix
from ..wire.refresh import BORR, EORR
from ..wire.update import Update
from ..wire.update_body import split_attributes
from .plain_rib import BLACKHOLE as BLACKHOLE
from .plain_rib import NO_ORIGIN as NO_ORIGIN
from .plain_rib import OF_SENDER as OF_SENDER
from .plain_rib import ORIGIN_AS as ORIGIN_AS
from .plain_rib import OUT as OUT
from .plain_rib import UNCHANGED as UNCHANGED
from .plain_rib import VERDICT_SHIFT as VERDICT_SHIFT
from .plain_rib import WANTED as WANTED
from .plain_rib import Attributes as Attributes
from .plain_rib import PlainRanges, PlainRib
from .plain_rib import Route as Route

SLOTS: Final = 1 << 16
"""Places that a scan looks at in one step: about a millisecond."""
BLACKHOLE_COMMUNITY: Final = 0xFFFF029A
"""RFC 7999."""
_FAMILIES: Final = {1: IPV4_UNICAST, 2: IPV6_UNICAST}


class AdjRibIn:
    """The table of a stage for one direction, as accel or Python has it, and what its routes came with.

    sticky: see PlainRib. header: the per-peer header of the last message, for those that are made here.
    """

    def __init__(self, sticky: bool = False) -> None:
        self.rib: Any = accel.adj_rib_in.Rib(sticky) if accel.AVAILABLE else PlainRib(sticky)
        self._contexts: dict[tuple[bool, bool], WireContext] = {}
        """by whether AS numbers have four octets, and whether path identifiers are there"""
        self.header: bytes | None = None

    def __len__(self) -> int:
        return int(self.rib.count)

    @property
    def pending(self) -> int:
        """Routes of which something has to be told, at most."""
        return int(self.rib.pending)

    def clear(self) -> None:
        """Removes all routes: the session is over."""
        self.rib.clear()

    # what comes in

    def take_judged(self, block: Block, judge: Any, states: Callable[[Message], bytes | None]) -> None:
        """Takes a block with accel. judge: its Judge. states: gives those of a message that Python has to read."""
        self._note_block(block)
        position = 0
        while True:
            position, _ = self.rib.apply(block.octets, block.index, position, judge=judge)
            if position == len(block):
                return
            message = block.message(position)
            self._take_message(message, states(message), 0)
            position += 1

    def take(self, item: Message | Block, states: bytes | None = None) -> None:
        """Takes a message or a block.

        states: of each announced unicast prefix in its order, the NLRI field before MP_REACH_NLRI: OUT, WANTED, and the
        verdict, as the stage has decided. Without them, all routes were let through. UPDATEs whose prefixes can't be
        read are no routes, and have no states.
        """
        if isinstance(item, Block):
            self._take_block(item, states)
        else:
            self._take_message(item, states, 0)

    def _take_block(self, block: Block, states: bytes | None) -> None:
        if not len(block):
            return
        self._note_block(block)
        if not accel.AVAILABLE:
            place = 0
            for message in block:
                place = self._take_message(message, states, place)
            return
        position = place = 0
        while True:
            position, place = self.rib.apply(block.octets, block.index, position, states, place)
            if position == len(block):
                return
            place = self._take_message(block.message(position), states, place)
            position += 1

    def _note_block(self, block: Block) -> None:
        context = CONTEXTS.get(FLAGS.of(block.index)[0] & CONTEXT_FLAGS)
        if context is not None:
            self._note_context(context)
        self.header = block.message(0).header

    def _take_message(self, message: Message, states: bytes | None, place: int) -> int:
        """Takes one message, whose states begin at a place; returns the place behind them."""
        if message.type_code == ROUTE_REFRESH:
            self._take_refresh(message)
        if message.type_code != UPDATE:
            return place
        self._note_context(message.context)
        self.header = message.header
        if accel.AVAILABLE and not place:
            flags = context_flags(message.context)
            if flags is not None and not message.context.guess_as and self.rib.apply_body(message.body, flags, states):
                return place
        try:
            withdrawn, announced = read_routes(message.update)
        except WireError:
            return place
        for prefix in withdrawn:
            self.rib.withdraw(prefix)
        for attributes, prefixes in announced:
            for prefix in prefixes:
                self.rib.announce(prefix, *attributes, states[place] if states is not None else OUT | WANTED)
                place += states is not None
        return place

    def _take_refresh(self, message: Message) -> None:
        """BoRR and EoRR (RFC 7313 section 4.2)."""
        try:
            refresh = message.refresh
        except WireError:
            return
        if refresh.subtype in (BORR, EORR) and refresh.family in _FAMILIES.values():
            self.rib.refresh(refresh.family.afi, refresh.subtype == BORR)

    def _note_context(self, context: WireContext) -> None:
        for family in _FAMILIES.values():
            self._contexts[context.as4, family in context.add_path] = context

    # judging again

    def scan(self, prefixes: Sequence[Prefix] | None = None) -> Scan:
        """The routes in prefixes, which are ascending in each AFI, none inside another; None for all routes."""
        return Scan(self, prefixes)

    def judge(self, prefix: Prefix, wanted: bool, verdict: int = 0, again: bool = False) -> None:
        """Sets what is thought of a route: see PlainRib."""
        self.rib.judge(prefix, wanted, verdict, again)

    def attributes(self, number: int) -> Attributes | None:
        """The attributes with a number; None if no route has them any more."""
        found = self.rib.attributes(number)
        return found and Attributes(*found)

    # what has to be told

    def take_withdrawals(self, size: int, most: int) -> list[Message]:
        """At most so many UPDATEs, messages of at most `size` octets, for what was let through and is not wanted."""
        return [
            self._message(body, self._context(None, bool(flag)))
            for flag, body in self.rib.take_withdrawals(size - HEADER, most)
        ]

    def take_announcements(self, size: int, most: int) -> list[tuple[Message | None, int]]:
        """The same for what is wanted and was not let through, or has to be announced again, each with the verdict.
        None for a route whose attributes leave no room for a prefix in so many octets."""
        return [
            (self._message(body, self._context(bool(flags & FLAG_AS4), bool(flags & FLAG_ADD_PATH))), verdict)
            if body is not None
            else (None, verdict)
            for flags, verdict, body in self.rib.take_announcements(size - HEADER, most)
        ]

    def _message(self, body: bytes, context: WireContext) -> Message:
        return Message(UPDATE, body, context=context, peer=self.header)

    def _context(self, as4: bool | None, add_path: bool) -> WireContext:
        for (width, path_ids), context in self._contexts.items():
            if path_ids == add_path and as4 in (None, width):
                return context
        return AS4


class Scan:
    """Goes through a table in steps. Routes that come in meanwhile are for their stage to judge; they may be seen
    here."""

    def __init__(self, table: AdjRibIn, prefixes: Sequence[Prefix] | None) -> None:
        self.rib = table.rib
        self.ranges: Any = None
        if prefixes is not None:
            self.ranges = accel.adj_rib_in.Ranges(prefixes) if accel.AVAILABLE else PlainRanges(prefixes)
        self._generation = self.rib.generation
        self._cursor = 0

    @property
    def cursor(self) -> int:
        """Where the next step begins, for the functions of the table that take one; -1 at the end."""
        if self._generation != self.rib.generation and self._cursor != -1:
            self._generation, self._cursor = self.rib.generation, 0
        return self._cursor

    @cursor.setter
    def cursor(self, cursor: int) -> None:
        self._cursor = cursor

    def step(self, slots: int = SLOTS) -> list[Route] | None:
        """The routes in the next so many places of the table; None behind the last one."""
        if (cursor := self.cursor) == -1:
            return None
        self.cursor, routes = self.rib.find(self.ranges, cursor, slots)
        return [Route(Prefix(*prefix), number, state) for prefix, number, state in routes]


def read_routes(update: Update) -> tuple[list[Prefix], list[tuple[Attributes, list[Prefix]]]]:
    """What an UPDATE withdraws of IPv4 and IPv6 unicast, and what it announces, by attributes. Raises WireError."""
    context = update.context
    withdrawn = update.withdrawn_routes
    unreach, reach = update.attrs.get(attrs.MP_UNREACH), update.attrs.get(attrs.MP_REACH)
    if unreach is not None and unreach.value.family in _FAMILIES.values():
        withdrawn = withdrawn + unreach.value.prefixes
    _, octets, _ = update.parts()
    section = b"".join(
        encode_header(flags, code, len(value)) + value
        for flags, code, value in split_attributes(octets, 0, len(octets))
        if code not in (attrs.MP_REACH, attrs.MP_UNREACH)
    )
    origin = origin_of(update)
    blackhole = BLACKHOLE_COMMUNITY in (update.value(attrs.COMMUNITY) or ())
    announced = []
    if nlri := update.nlri:
        flags = _flags(update, context, IPV4_UNICAST)
        announced.append((Attributes(section, 0, flags, *origin, BLACKHOLE if blackhole else 0), nlri))
    if reach is not None and reach.value.family in _FAMILIES.values() and (prefixes := reach.value.prefixes):
        head = reach.octets[: len(reach.octets) - len(reach.value.nlri)]
        flags = _flags(update, context, reach.value.family)
        found = Attributes(head + section, len(head), flags, *origin, BLACKHOLE if blackhole else 0)
        announced.append((found, prefixes))
    return withdrawn, announced


def _flags(update: Update, context: WireContext, family: Family) -> int:
    return (FLAG_AS4 if update.as4 else 0) | (FLAG_ADD_PATH if family in context.add_path else 0)


def origin_of(update: Update) -> tuple[int, int]:
    """The kind of a path's origin, and the AS number of ORIGIN_AS (RFC 6811 section 2). Confederation segments are
    passed over: they are inside the sender's AS."""
    path: AsPath | None = update.as_path
    for kind, ases in reversed(path or ()):
        if kind == AS_SEQUENCE:
            return ORIGIN_AS, ases[-1]
        if kind == AS_SET:
            return NO_ORIGIN, 0
    return OF_SENDER, 0
