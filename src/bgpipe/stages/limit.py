"""Limit the number and the lengths of prefixes."""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Any, NamedTuple

from .. import accel
from ..pipeline.errors import ConfigError, SessionLost, StageError
from ..pipeline.measure import metric_prefix, slug_of
from ..pipeline.metrics import Metrics
from ..pipeline.options import FLAG, INTEGER, Option, OptionKind, format_duration, parse_duration
from ..pipeline.stage import Consuming
from ..routes.prefix_limits import (
    BLOCK,
    LONG,
    MP_NLRI,
    NAMES,
    NEAR,
    NLRI,
    ORIGIN,
    REMOVED,
    SESSION,
    SHORT,
    TOTAL,
    LimitRules,
    Violation,
    examine,
    make_table,
    make_total,
    prefixes_of,
    strip,
)
from ..wire.attrs import MP_REACH
from ..wire.block import Block
from ..wire.errors import WireError
from ..wire.family import IPV4_MULTICAST, IPV4_UNICAST, IPV6_MULTICAST, IPV6_UNICAST, Family
from ..wire.message import UPDATE, Message
from ..wire.notification import CEASE, MAX_PREFIXES, Notification
from ..wire.prefix import Prefix
from ..wire.update import Update

DEFAULT_BLOCK_BITS = {1: 16, 2: 32}
LONGEST_BLOCK = {1: 32, 2: 64}
ANNOUNCED = (NLRI, MP_NLRI)
COUNTED = ORIGIN | BLOCK | SESSION | TOTAL
SIDES = {"L": "left", "R": "right"}
MOST = (1 << 32) - 1


class OnLimit(NamedTuple):
    """What happens at a limit: remove, kill, or restart, which refuses the peer for so many seconds."""

    action: str = "remove"
    seconds: float = 0.0


def parse_on_limit(text: str) -> OnLimit:
    """`remove`, `kill` or `restart=DURATION`."""
    action, equals, duration = text.lower().partition("=")
    if action == "restart" and equals:
        seconds = parse_duration(duration)
        if seconds > 0:
            return OnLimit(action, seconds)
    elif text.lower() in ("remove", "kill"):
        return OnLimit(action)
    raise ValueError("remove, kill or restart=DURATION (such as restart=15m) is expected")


class Limit(Consuming):
    """Limit the number and the lengths of prefixes.

    Announced prefixes that are over a limit, or too short or too long, are removed from their message, with an event:
    limit/short, limit/long, limit/origin, limit/block, limit/session, limit/total. What stays of the message goes on.
    An event limit/near tells when three quarters of a limit are reached. --on-limit ends the session at the limits of
    --session and --total.
    """

    both = True
    own_events = ("near", *NAMES.values())

    ipv4 = Option(FLAG, False, "limit IPv4 prefixes; the default if neither -4 nor -6 is given", short="4")
    ipv6 = Option(FLAG, False, "limit IPv6 prefixes", short="6")
    multicast = Option(FLAG, False, "limit multicast prefixes too")
    permanent = Option(FLAG, False, "count prefixes for ever, also after they are withdrawn")
    min_length = Option(INTEGER, 0, "remove prefixes that are shorter; 0 removes none", short="m", metavar="BITS")
    max_length = Option(INTEGER, 0, "remove prefixes that are longer; 0 removes none", short="M", metavar="BITS")
    session = Option(INTEGER, 0, "allow N announced prefixes; 0 sets no limit", short="s", metavar="N")
    origin = Option(
        INTEGER, 0, "allow N announced prefixes for each origin AS; 0 sets no limit", short="o", metavar="N"
    )
    block = Option(
        INTEGER, 0, "allow N announced prefixes in each block of addresses; 0 sets no limit", short="b", metavar="N"
    )
    block_length = Option(
        INTEGER,
        0,
        "prefix length of a block, at most 64; 0 means 16 for IPv4 and 32 for IPv6",
        short="B",
        metavar="BITS",
    )
    total = Option(
        INTEGER, 0, "allow N announced prefixes in all sessions of this process together; 0 sets no limit", metavar="N"
    )
    on_limit = Option(
        OptionKind("remove|kill|restart=DURATION", parse_on_limit),
        OnLimit(),
        "with --session or --total: remove further prefixes, end the session (Cease/1), or end it and refuse the peer "
        "for so long",
    )

    def attach(self) -> None:
        self.rules = self._rules()
        if self.on_limit.action != "remove" and not (self.session or self.total):
            raise ConfigError("--on-limit needs --session or --total")
        self._limits = {
            SHORT: self.min_length,
            LONG: self.max_length,
            ORIGIN: self.origin,
            BLOCK: self.block,
            SESSION: self.session,
            TOTAL: self.total,
        }
        self.removed = dict.fromkeys(NAMES, 0)
        """how many prefixes so far, by reason"""
        self.watch(self.on_message, on_block=self.on_block if accel.AVAILABLE else None)

    @cached_property
    def routes(self) -> Any:
        """The session's table. All sessions of this stage of the command line have one total."""
        return make_table(self.rules, self._total)

    @property
    def _total(self) -> Any:
        return self.pipeline.shared.setdefault(("limit", self.index), make_total)

    def _rules(self) -> LimitRules:
        for name in ("session", "origin", "block", "total"):
            if not 0 <= self.values.get(name, 0) <= MOST:
                raise ConfigError(f"--{name}: a number of prefixes from 1 to {MOST}, or 0, is expected")
        if not 0 <= self.min_length <= 127 or not 0 <= self.max_length <= 127:
            raise ConfigError("--min-length, --max-length: 0 to 127 bits are expected")
        if 0 < self.max_length < self.min_length:
            raise ConfigError("--min-length is more than --max-length")
        if not 0 <= self.block_length <= 64:
            raise ConfigError("--block-length: 0 to 64 bits are expected")
        families = {IPV6_UNICAST, IPV6_MULTICAST} if self.ipv6 else set()
        if self.ipv4 or not self.ipv6:
            families |= {IPV4_UNICAST, IPV4_MULTICAST}
        if not self.multicast:
            families -= {IPV4_MULTICAST, IPV6_MULTICAST}
        return LimitRules(
            families=frozenset(families),
            minimum=self.min_length,
            maximum=self.max_length,
            session=self.session,
            origin=self.origin,
            block=self.block,
            total=self.total,
            block_bits={
                afi: min(self.block_length or DEFAULT_BLOCK_BITS[afi], longest)
                for afi, longest in LONGEST_BLOCK.items()
            },
            permanent=self.permanent,
        )

    async def stop(self) -> None:
        """Ends the counting of this session: its routes leave the total."""
        self.routes.clear()
        if removed := {NAMES[what]: count for what, count in self.removed.items() if count}:
            self.pipeline.log.info("prefixes were removed", stage=str(self), **removed)

    def status(self) -> dict[str, Any]:
        """prefixes: announced now, in this session. total: in all sessions. removed: so far, by reason."""
        removed = {NAMES[what]: count for what, count in self.removed.items()}
        status: dict[str, Any] = {"removed": removed}
        if self.rules.counts:
            status = {"prefixes": self.routes.count, "total": self._total.count} | status
        return status | {"metrics": {"removed": removed}}

    def measure(self, metrics: Metrics) -> None:
        if self.rules.counts:
            prefix, labels = metric_prefix(self), {"stage": slug_of(self)}
            metrics.add(f"{prefix}prefixes", self.routes.count, **labels)
            if peer := self._counted_peer():
                metrics.add(f"{prefix}peer_prefixes", self.routes.count, **labels, **peer)

    def _counted_peer(self) -> dict[str, str]:
        """The peer whose prefixes are counted, if that is one: side, address and AS number."""
        side = {"R": "L", "L": "R"}.get(self.directions, "")
        for stage in self.pipeline.stages:
            if stage.side and stage.side == side and (peer := stage.status().get("peer")):
                address = self.pipeline.values.get(f"{side}_REMOTE_ADDR", "")
                return {"side": SIDES[side], "peer": address, "asn": str(peer["asn"])}
        return {}

    def on_message(self, message: Message) -> bool:
        if message.type_code != UPDATE:
            return True
        body = self._limited(message, None)
        if body is None:
            return False
        if body is not message.body:
            message.update = Update(body, message.context)
        return True

    def on_block(self, block: Block) -> Block:
        """What is left of a block. Accel counts the routes of messages without a violation, and removes prefixes whose
        violation was reported before."""
        bodies: dict[int, bytes | None] = {}
        position, count = 0, len(block)
        while True:
            position, violations = self.routes.run(block.octets, block.index, position, self._quiet(), bodies)
            for what, removed in self.routes.take_removed().items():
                self.removed[what] += removed
            if position == count:
                return block.edited(bodies) if bodies else block
            message = block.message(position)
            body = self._limited(message, violations)
            if body is not message.body:
                bodies[position] = body
            position += 1

    def _quiet(self) -> int:
        """The sum of the violations that were logged before and whose events have no handler."""
        return sum(what for what, removed in self.removed.items() if removed and not self._wanted(what))

    def _wanted(self, what: int) -> bool:
        return not self.pipeline.killed and self.pipeline.bus.wanted(f"{self.name}/{NAMES[what]}")

    def _limited(self, message: Message, violations: list[Violation] | None) -> bytes | None:
        """What is left of an UPDATE, None for nothing. said: the violations that accel has found, None if it has not
        looked."""
        update = message.update
        if violations is None:
            try:
                violations = examine(update, self.rules, self.routes, 1 if message.direction == "L" else 0)
            except WireError:
                return message.body  # its prefixes can't be decoded
        if not violations:
            return message.body
        self._tell(message, violations)
        return strip(update, violations)

    def _tell(self, message: Message, violations: list[Violation]) -> None:
        quiet = self._quiet()
        prefixes: dict[int, list[Prefix]] = {}
        for field, place, what in violations:
            if what & REMOVED and (field not in ANNOUNCED or what & quiet):
                self.removed[what] += field in ANNOUNCED
                continue
            prefixes = prefixes or prefixes_of(message.update)
            prefix = prefixes[field][place]
            if what & REMOVED:
                self._tell_removed(message, what, prefix, field)
                quiet = self._quiet()
                continue
            for limit in self._limits:
                if what >> NEAR & limit:
                    self._tell_near(message, limit, prefix)

    def _tell_removed(self, message: Message, what: int, prefix: Prefix, field: int) -> None:
        most, origin = self._limits[what], message.update.origin_as or 0
        if not self.removed[what]:
            self.pipeline.log.warning(
                f"prefixes are removed: {NAMES[what]}",
                stage=str(self),
                **self._whose(message),
                family=str(_family(message.update, field)),
                limit=most,
                first=str(prefix),
                origin=origin,
            )
        self.removed[what] += 1
        if what & (SESSION | TOTAL) and self.on_limit.action != "remove":
            self._end_session(message, what, _family(message.update, field))
        if self._wanted(what):  # in a flood the text of each costs most
            limits = [most] if what & COUNTED else []
            notification = _cease(_family(message.update, field), most) if limits else None
            self.event(NAMES[what], message, str(prefix), origin, *limits, notification=notification)

    def _end_session(self, message: Message, what: int, family: Family) -> None:
        """Ends the session of the peer that has announced too much."""
        side = "R" if message.direction == "L" else "L"
        most, seconds = self._limits[what], self.on_limit.seconds
        text = f"{self}: more than {most} prefixes ({NAMES[what]})"
        error: StageError = StageError(text, reason="limit", side=side)
        if self.on_limit.action == "restart":
            text += f"; the peer is refused for {format_duration(seconds)}"
            error = SessionLost(text, reason="limit", side=side, refuse_for=seconds)
        self.pipeline.end_session(side, _cease(family, most), error)

    def _tell_near(self, message: Message, limit: int, prefix: Prefix) -> None:
        """Reports that a limit is nearly reached: of the session, of all sessions, of an origin AS or of a block."""
        most = self._limits[limit]
        count = most - most // 4
        if limit in (SESSION, TOTAL):
            self.pipeline.log.warning(
                f"{count} of {most} prefixes are reached",
                stage=str(self),
                **self._whose(message),
                limit=NAMES[limit],
            )
        self.event("near", message, NAMES[limit], str(prefix), message.update.origin_as or 0, count, most)

    def _whose(self, message: Message) -> dict[str, str]:
        """The side from which a message comes, and the peer there, if this is a session."""
        side = "R" if message.direction == "L" else "L"
        peer = self.pipeline.values.get(f"{side}_REMOTE_ADDR")
        return {"side": SIDES[side]} | ({"peer": peer} if peer else {})


def _cease(family: Family, most: int) -> Notification:
    """Maximum Number of Prefixes Reached, with the family and the limit (RFC 4486 section 4)."""
    return Notification(CEASE, MAX_PREFIXES, struct.pack("!HBI", family.afi, family.safi, most))


def _family(update: Update, field: int) -> Family:
    return update.attrs[MP_REACH].value.family if field == MP_NLRI else IPV4_UNICAST
