"""Counts routes: tables of announced routes, and the announcements that are over a limit.

Of a prefix there is something to say where it is shorter or longer than wanted, where it would be one too many, or
where a limit comes near by it. What is said is a sum of SHORT ... TOTAL below; in the octet to the left of these are
the limits that have come near, which is no reason to remove anything.

Accel has the same tables (bgpipe.accel.limit), which take whole blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from .. import accel
from ..wire import attrs as table
from ..wire.attrs.attribute import Attribute
from ..wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_MULTICAST, IPV6_UNICAST, Family
from ..wire.prefix import AFI_BITS, Prefix, split_prefixes
from ..wire.update import Update
from ..wire.update_body import join

SHORT: Final = 1
LONG: Final = 2
ORIGIN: Final = 4
BLOCK: Final = 8
SESSION: Final = 16
TOTAL: Final = 32
REMOVED: Final = 63
"""What may be said of a prefix, one bit each: it is too short or too long, or one more than its origin AS, its block of
addresses, its session or all sessions together may have. A prefix with a bit of REMOVED is taken out."""
NEAR: Final = 8
"""Bits to the left of a limit that has come near."""
NAMES: Final = {SHORT: "short", LONG: "long", ORIGIN: "origin", BLOCK: "block", SESSION: "session", TOTAL: "total"}

WITHDRAWN: Final = 0
MP_WITHDRAWN: Final = 1
NLRI: Final = 2
MP_NLRI: Final = 3
"""The fields of an UPDATE, in the order in which they are looked at."""

_FAMILY_BITS: Final = {IPV4_UNICAST: 1, IPV6_UNICAST: 2, IPV4_MULTICAST: 4, IPV6_MULTICAST: 8}


@dataclass(frozen=True, slots=True)
class LimitRules:
    """What is counted, and how much of it may be. A limit of 0 is none; lengths and limits are numbers of bits and of
    prefixes.

    block_bits: by AFI, how long the prefixes are that `block` limits the routes in. permanent: what has been announced
    counts for ever. near: tell when three quarters of a limit are reached.
    """

    families: frozenset[Family] = frozenset((IPV4_UNICAST,))
    minimum: int = 0
    maximum: int = 0
    session: int = 0
    origin: int = 0
    block: int = 0
    total: int = 0
    block_bits: dict[int, int] = field(default_factory=lambda: {1: 16, 2: 32})
    permanent: bool = False
    near: bool = True

    @property
    def counts(self) -> bool:
        """Whether anything has to be remembered."""
        return bool(self.session or self.origin or self.block or self.total)

    def block_of(self, prefix: Prefix) -> int:
        """The first bits of its address, as a number."""
        return prefix.address >> (AFI_BITS[prefix.afi] - self.block_bits[prefix.afi])


class Violation(NamedTuple):
    """Something to say of a prefix. field: WITHDRAWN to MP_NLRI. place: its number in this field, from 0. what: bits as
    of RouteTable.announce."""

    field: int
    place: int
    what: int


class RouteTable(Protocol):
    """The routes of one session, as they come and go at its two sides (0 right-going, 1 left-going).

    A route is a prefix, its path identifier and its family; it is there as long as a side announces it, with the
    origin AS that the side gave it last. With `permanent` it is there for ever, with all origins that it ever had.
    """

    @property
    def count(self) -> int:
        """Routes in the table."""

    def announce(self, prefix: Prefix, safi: int, origin: int, side: int) -> int:
        """What is to be said of the prefix: ORIGIN, BLOCK, SESSION or TOTAL for a limit that it is over, and these bits
        shifted by NEAR for limits that have come near; 0 for nothing. It is counted, unless it is over a limit.

        origin: AS number, 0 for none.
        """

    def withdraw(self, prefix: Prefix, safi: int, side: int) -> None:
        """One side does not announce the route any more. Unknown routes are ignored."""

    def clear(self) -> None:
        """All routes are gone."""


class Total:
    """The number of routes in all tables that share this total."""

    count = 0


class PlainTable:
    """A RouteTable without accel."""

    def __init__(self, rules: LimitRules, total: Total) -> None:
        self.rules = rules
        self.total = total
        self._routes: dict[tuple[Prefix, int], list[int | None]] = {}
        """for each route its origin by side"""
        self._pairs: set[tuple[tuple[Prefix, int], int]] = set()
        """routes and origins, where they count for ever"""
        self._origins: dict[int, int] = {}
        self._blocks: dict[tuple[int, int], int] = {}

    @property
    def count(self) -> int:
        return len(self._routes)

    def announce(self, prefix: Prefix, safi: int, origin: int, side: int) -> int:
        rules = self.rules
        key = prefix if prefix.path_id is not None else prefix._replace(path_id=0), safi
        route = self._routes.get(key)
        if rules.permanent:
            new_origin = (key, origin) not in self._pairs
        else:
            new_origin = route is None or origin not in route
        if rules.origin and new_origin and self._origins.get(origin, 0) >= rules.origin:
            return ORIGIN
        near = 0
        if route is None:
            block = prefix.afi, rules.block_of(prefix)
            if rules.block and self._blocks.get(block, 0) >= rules.block:
                return BLOCK
            if rules.session and len(self._routes) >= rules.session:
                return SESSION
            if rules.total and self.total.count >= rules.total:
                return TOTAL
            route = self._routes[key] = [None, None]
            self.total.count += 1
            near |= BLOCK * is_near(_add(self._blocks, block), rules.block)
            near |= SESSION * is_near(len(self._routes), rules.session)
            near |= TOTAL * is_near(self.total.count, rules.total)
        old, route[side] = route[side], origin
        if new_origin:
            near |= ORIGIN * is_near(_add(self._origins, origin), rules.origin)
        if rules.permanent:
            self._pairs.add((key, origin))
        elif old is not None and old not in route:
            _subtract(self._origins, old)
        return near << NEAR if rules.near else 0

    def withdraw(self, prefix: Prefix, safi: int, side: int) -> None:
        key = prefix if prefix.path_id is not None else prefix._replace(path_id=0), safi
        route = self._routes.get(key)
        if route is None or route[side] is None:
            return
        old, route[side] = route[side], None
        if old is not None and old not in route:
            _subtract(self._origins, old)
        if route == [None, None]:
            del self._routes[key]
            self.total.count -= 1
            _subtract(self._blocks, (prefix.afi, self.rules.block_of(prefix)))

    def clear(self) -> None:
        self.total.count -= len(self._routes)
        for counts in (self._routes, self._pairs, self._origins, self._blocks):
            counts.clear()


def _add(counts: dict[Any, int], key: object) -> int:
    counts[key] = count = counts.get(key, 0) + 1
    return count


def _subtract(counts: dict[Any, int], key: object) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def is_near(count: int, limit: int) -> bool:
    """Whether three quarters of a limit are reached by this one more. Below that it may happen again."""
    return limit > 0 and count == limit - limit // 4


def make_total() -> Any:
    """A Total for tables of make_table."""
    return accel.limit.Total() if accel.AVAILABLE else Total()


def make_table(rules: LimitRules, total: Any) -> Any:
    """Accel's table, or a PlainTable."""
    if not accel.AVAILABLE:
        return PlainTable(rules, total)
    return accel.limit.Table(
        families=sum(_FAMILY_BITS[family] for family in rules.families),
        minimum=rules.minimum,
        maximum=rules.maximum,
        session=rules.session,
        origin=rules.origin,
        block=rules.block,
        total_limit=rules.total,
        block_bits_4=rules.block_bits[1],
        block_bits_6=rules.block_bits[2],
        permanent=rules.permanent,
        near=rules.near,
        total=total,
    )


def examine(update: Update, rules: LimitRules, routes: RouteTable, side: int) -> list[Violation]:
    """Takes an UPDATE into the table; all there is to say of its prefixes. What it withdraws is gone before what it
    announces comes. Raises WireError where its prefixes can't be told, and then counts nothing."""
    origin = update.origin_as or 0  # also for a path that ends in an AS_SET
    violations = []
    for number, family, prefixes in list(_fields(update)):
        if family not in rules.families or (rules.permanent and number < NLRI):
            continue
        for place, prefix in enumerate(prefixes):
            what = 0
            if prefix.length < rules.minimum:
                what = SHORT
            elif rules.maximum and prefix.length > rules.maximum:
                what = LONG
            elif not rules.counts:
                continue
            elif number >= NLRI:
                what = routes.announce(prefix, family.safi, origin, side)
            else:
                routes.withdraw(prefix, family.safi, side)
            if what:
                violations.append(Violation(number, place, what))
    return violations


def _fields(update: Update) -> Iterator[tuple[int, Family, list[Prefix]]]:
    """(field, family, prefixes) of all fields with prefixes. Raises WireError."""
    yield WITHDRAWN, IPV4_UNICAST, update.withdrawn_routes
    if table.MP_UNREACH in update.attrs:
        value = update.attrs[table.MP_UNREACH].value
        yield MP_WITHDRAWN, value.family, value.prefixes
    yield NLRI, IPV4_UNICAST, update.nlri
    if table.MP_REACH in update.attrs:
        value = update.attrs[table.MP_REACH].value
        yield MP_NLRI, value.family, value.prefixes


def prefixes_of(update: Update) -> dict[int, list[Prefix]]:
    """The prefixes by field."""
    return {number: prefixes for number, _, prefixes in _fields(update)}


def strip(update: Update, violations: Sequence[Violation]) -> bytes | None:
    """The body without the prefixes that are to be removed; None if then nothing is left.

    An MP_REACH_NLRI or MP_UNREACH_NLRI that gets empty goes (empty it would be an End-of-RIB marker), and path
    attributes go where nothing is announced any more.
    """
    gone: dict[int, set[int]] = {}
    for number, place, what in violations:
        if what & REMOVED:
            gone.setdefault(number, set()).add(place)
    if not gone:
        return update.body
    withdrawn, _, nlri = update.parts()
    add_path = IPV4_UNICAST in update.context.add_path
    withdrawn = _without(withdrawn, 1, add_path, gone.get(WITHDRAWN))
    nlri = _without(nlri, 1, add_path, gone.get(NLRI))
    attributes = dict(update.attrs)
    for number, code in ((MP_WITHDRAWN, table.MP_UNREACH), (MP_NLRI, table.MP_REACH)):
        if number not in gone:
            continue
        old = attributes.pop(code)
        left = _without(old.value.nlri, old.value.family.afi, bool(old.value.add_path), gone[number])
        if left:
            octets = old.octets[: len(old.octets) - len(old.value.nlri)] + left
            attributes[code] = Attribute(old.flags, code, octets, update.context)
    if not nlri and table.MP_REACH not in attributes:
        attributes = {code: each for code, each in attributes.items() if code == table.MP_UNREACH}
        if not withdrawn and not attributes:
            return None
    order = [attributes[code] for code in update.attrs if code in attributes]
    return join(withdrawn, b"".join(attribute.encode() for attribute in order), nlri)


def _without(octets: bytes, afi: int, add_path: bool, places: set[int] | None) -> bytes:
    """NLRI without the prefixes at these places; those that stay do so octet by octet."""
    if not places:
        return octets
    kept = []
    for place, (path_id, nlri) in enumerate(split_prefixes(octets, afi, add_path)):
        if place not in places:
            kept.append(nlri if path_id is None else path_id.to_bytes(4, "big") + nlri)
    return b"".join(kept)
