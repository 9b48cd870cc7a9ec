"""Withdraw what nobody wants from a neighbor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .. import accel
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.options import FLAG, INTEGER, LIST, TEXT, Option, choice
from ..routes.guard_again import Change, judge_again
from ..routes.guard_checks import (
    ACTIONS,
    CHECKS,
    NAMES,
    PREFIX_FAMILIES,
    ROLES,
    WITHDRAW,
    Check,
    Rules,
    Sender,
    bogon_list,
    hops_of,
    is_blackhole,
    next_hop_error,
)
from ..routes.guard_filter import make_filter
from ..routes.guard_judge import (
    HELD,
    OUTSIDE,
    PASS,
    GuardJudge,
    parse_action,
    parse_codes,
    parse_hops,
    parse_scrubbing,
    without_routes,
)
from ..wire import attrs
from ..wire.asn_ranges import PRIVATE, AsnRanges
from ..wire.attribute_edits import Edits
from ..wire.block import Block
from ..wire.errors import Reaction, TextError, WireError
from ..wire.item import Item
from ..wire.message import UPDATE, Message
from ..wire.notification import ADMINISTRATIVE_SHUTDOWN, CEASE, Notification
from ..wire.prefix import Prefix
from ..wire.routes_apart import RoutesApart
from ..wire.treatment import discard, withdraw
from ..wire.update import Update
from ..wire.validation import is_well_formed, strongest, validate
from .base.editing import Edit, EditingStage, assemble, matching, replace
from .base.list_file import Entries
from .base.lists import Lists
from .base.revalidation import KeepsRoutes, Revalidation
from .base.senders import Senders
from .base.session_facts import sender_facts


class Guard(KeepsRoutes, EditingStage):
    """Withdraw what nobody wants from a neighbor.

    Each check has a name. What it finds is withdrawn, unless --on says otherwise; of an UPDATE with good and bad
    prefixes the good ones stay. Each finding is an event guard/CHECK, and counted. In a session, routes are judged
    again when a list changes: what may not pass any more is withdrawn, what may is announced.
    """

    own_events = (*NAMES, "list")

    bogons = Option(TEXT, "", "prefixes that nobody has, in place of the built-in list", metavar="FILE")
    prefixes = Option(TEXT, "", "let only the prefixes of this list pass", metavar="FILE")
    origins = Option(TEXT, "", "let only routes of these origin AS numbers pass", metavar="FILE")
    default = Option(
        choice("auto", "accept", "deny"),
        "auto",
        "what happens to routes where no list is given (RFC 8212); auto: deny for --role customer and rs-client",
    )
    own = Option(LIST, (), "our prefixes, which nobody else may announce: prefixes or a FILE", metavar="PREFIX")
    peerlock = Option(LIST, (), "AS numbers that may only be the neighbor itself: numbers or a FILE", metavar="AS")
    no_private = Option(FLAG, False, "withdraw routes with private AS numbers in the path (RFC 6996)")
    strip_private = Option(FLAG, False, "remove private AS numbers from paths")
    next_hop = Option(LIST, (), "next hops that may be: any, peer (only its address), or networks", metavar="WHAT")
    attr_discard = Option(LIST, (), "remove these attributes: numbers, names, unknown", metavar="ATTR")
    attr_withdraw = Option(LIST, (), "withdraw routes with these attributes", metavar="ATTR")
    scrub = Option(LIST, (), "remove communities that match, of all three kinds: AS:*", metavar="PATTERN")
    max_communities = Option(INTEGER, 0, "withdraw routes with more communities; 0 sets no limit", metavar="N")
    max_path = Option(INTEGER, 100, "withdraw routes with more AS numbers in the path", metavar="N")
    blackhole = Option(FLAG, False, "let long prefixes with the community BLACKHOLE pass inside --prefixes (RFC 7999)")
    gshut = Option(choice("mark", "withdraw"), "", "with graceful shutdown: LOCAL_PREF 0, or withdraw (RFC 8326)")
    role = Option(choice("auto", *ROLES), "auto", "what the neighbor is to us; auto: as its OPEN says (RFC 9234)")
    on = Option(LIST, (), f"what a check does: {'|'.join(ACTIONS)}", metavar="CHECK=ACTION")
    revalidate = Option(
        FLAG,
        True,
        "in sessions, keep the routes and judge them again when a list changes; --revalidate=false does not",
    )

    def attach(self) -> None:
        super().attach()
        self.found: Counter[str] = Counter()
        """routes, or UPDATEs where a check is about all of it, by check"""
        self.senders = Senders(self, "" if self.role == "auto" else self.role)
        self._filters: dict[Sender | None, Any] = {}
        self.lists = Lists(self, self._on_list)
        try:
            self._attach()
        except TextError as error:
            raise ConfigError(str(error)) from None
        self.watch(self.on_message, on_block=self.on_block, selects=True)

    def _attach(self) -> None:
        """Raises TextError, ConfigError."""
        if self.blackhole and not self.prefixes:
            raise ConfigError("--blackhole needs --prefixes")
        if self.role != "auto" and len(self.directions) > 1:
            raise ConfigError("--role is that of one neighbor: say -L or -R, not both")
        for name in ("max-path", "max-communities"):
            if getattr(self, name.replace("-", "_")) < 0:
                raise ConfigError(f"--{name}: 0 or more is expected")
        self.actions = {check.name: check.action for check in CHECKS} | dict(map(parse_action, self.on))
        self._sticky = bool({"discard", "drop"} & set(self.actions.values()))
        self.lists.add_file("bogons", self.bogons, "prefixes")
        self.lists.add_file("prefixes", self.prefixes, "prefixes")
        self.lists.add_file("origins", self.origins, "asns")
        self.lists.add("own", self.own, "prefixes")
        self.lists.add("peerlock", self.peerlock, "asns")
        self._peer_hop, self._hop_networks = parse_hops(self.next_hop)
        self._withdrawn = parse_codes("attr-withdraw", self.attr_withdraw)
        edits = Edits(
            strip_as=AsnRanges(PRIVATE if self.strip_private else ()),
            communities=tuple(parse_scrubbing(self.scrub)),
            remove=parse_codes("attr-discard", self.attr_discard),
            strip_unknown="unknown" in self.attr_discard,
        )
        self.judge = GuardJudge(self._rules(), self.actions, edits)
        if self.judge.rules.denies and "prefixes" not in self.lists and "origins" not in self.lists:
            text = "nothing passes: neither --prefixes nor --origins says what may (or: --default accept)"
            self.pipeline.log.warning(text, stage=str(self))

    def _rules(self) -> Rules:
        lists = self.lists
        denies = self.default == "deny" or (self.default == "auto" and self.role in ("customer", "rs-client"))
        return Rules(
            bogons=lists["bogons"] or self.pipeline.shared.setdefault("bogons", bogon_list),
            prefixes=lists["prefixes"],
            origins=lists["origins"],
            own=lists["own"],
            locked=lists["peerlock"] or AsnRanges(),
            denies=denies,
            no_private=self.no_private,
            max_path=self.max_path,
            max_communities=self.max_communities,
            withdrawn_attributes=self._withdrawn,
            blackhole=self.blackhole,
            gshut=self.gshut,
            peer_hop=self._peer_hop,
            hop_networks=self._hop_networks,
        )

    # sessions

    @property
    def may_change(self) -> bool:
        return bool(self.lists.files)

    @property
    def is_sticky(self) -> bool:
        return self._sticky

    async def prepare(self) -> None:
        self.keep_routes()
        await self.lists.start()
        self.judge.rules = self._rules()

    async def stop(self) -> None:
        self.lists.stop()
        self.forget_routes()
        if self.found:
            self.pipeline.log.info("the guard found", stage=str(self), **dict(self.found))

    def status(self) -> dict[str, Any]:
        """found: by check. lists: entries, and why a newer file was not taken. routes: those that are kept."""
        found = {name: self.found[name] for name in NAMES}
        return {"lists": self.lists.status(), "metrics": {"found": found}} | self.status_of_routes()

    def _on_list(self, name: str, entries: Entries) -> None:
        """Another list counts, for what comes, and for what has come."""
        self.judge.rules = self._rules()
        self._filters.clear()
        self.note_change(Change(name, entries))

    def judge_routes(self, direction: str, changes: list[Any]) -> Iterator[object]:
        sender = self.senders.of_direction(direction) or Sender(0)
        return judge_again(self.revalidations[direction].table, self.judge, changes, sender)

    def finish(self, message: Message, verdict: int) -> Iterable[Message]:
        try:
            update = self.judge.edited(message.update)
        except TextError:
            return [self._made(message, body) for body in withdraw(message.update)]
        if update.body != message.body:
            message.update = update
        return (message,)

    # the work

    def on_message(self, message: Message) -> bool | list[Message]:
        revalidation = self.revalidations.get(message.direction)
        if revalidation is not None:
            revalidation.before_item()
        if message.type_code != UPDATE:
            if revalidation is not None:
                revalidation.take(message)
            return True
        return replace(message, self._handle(message, revalidation))

    def on_block(self, block: Block) -> Block | list[Item]:
        if not len(block):
            return block
        chosen = matching(block, self.callbacks[-1].conditions)
        revalidation = self.revalidations.get(block.message(0).direction) if self.revalidations else None
        if revalidation is None:
            edits = self.edit_block(block, chosen)
        else:
            revalidation.before_item()
            edits = self._take_block(block, revalidation)
        return assemble(block, edits) if edits else block

    def edit_block(self, block: Block, positions: Sequence[int]) -> dict[int, Edit]:
        undecided: Sequence[int] = positions
        quick = self._filter(block.message(0))
        if quick is not None:
            undecided = quick.undecided(block.octets, block.index)
            if len(positions) != len(block):
                chosen = set(positions)
                undecided = [position for position in undecided if position in chosen]
        edits = super().edit_block(block, undecided)
        if quick is not None:
            for position in undecided:
                if position not in edits:
                    self._learn(quick, block.message(position))
        return edits

    def _take_block(self, block: Block, revalidation: Revalidation) -> dict[int, Edit]:
        """The edits of a block of a session, whose routes are kept."""
        quick = self._filter(block.message(0))
        special = set(range(len(block)))
        if quick is not None:
            special = set(quick.undecided(block.octets, block.index))
            if self.kept_conditions:
                special |= set(range(len(block))) - set(matching(block, self.kept_conditions))
        edits: dict[int, Edit] = {}
        start = 0
        for position in sorted(special):
            if start < position:
                revalidation.take(block.part(start, position))
            start = position + 1
            message = block.message(position)
            body = message.body
            if message.type_code != UPDATE:
                revalidation.take(message)
            elif (left := self._handle(message, revalidation)) is not body:
                edits[position] = left
            elif quick is not None:
                self._learn(quick, message)
        if start < len(block):
            revalidation.take(block.part(start, len(block)) if start else block)
        return edits

    def _learn(self, quick: Any, message: Message) -> None:
        """Next hops that are all right pass again."""
        if message.type_code != UPDATE:
            return
        try:
            wrong = next_hop_error(message.update, self.judge.rules, self.senders.of_message(message))
            for hop in hops_of(message.update) if not wrong else ():
                quick.learn(hop)
        except WireError:
            return  # it is malformed, and passes because of --on malformed=keep

    def _filter(self, message: Message) -> Any:
        """Accel's filter for the sender of a message; None without accel."""
        if not accel.AVAILABLE:
            return None
        live = sender_facts(self.pipeline, message.direction) is not None
        sender = self.senders.of_message(message)
        key = sender if live else None
        found = self._filters.get(key)
        if found is None:
            found = self._filters[key] = make_filter(self.judge.rules, sender, self.judge.edits, live)
        return found

    def edit(self, message: Message) -> Edit:
        return self._handle(message, None)

    def _handle(self, message: Message, revalidation: Revalidation | None) -> Edit:
        """What goes on in place of an UPDATE. The table of the session takes it too."""
        if message.context.assumed:
            return message.body
        if not self.is_asked(message):
            if revalidation is not None:
                revalidation.forget(message)
            return message.body
        sender, update = self.senders.of_message(message), message.update
        if not is_well_formed(update, sender.kind) and (errors := validate(update, sender.kind)):
            action = self._found(message, CHECKS[0], str(errors[0]), 1)
            if action in ("drop", "kill"):
                return None
            if action == "keep":
                return self._judge_malformed(message, sender, revalidation)
            treated = self._treated(update, errors, action, sender)
            if treated is None:
                return self._withdrawn_all(message, update, revalidation)
            update = treated
        return self._judge(message, update, sender, revalidation)

    def _judge_malformed(self, message: Message, sender: Sender, revalidation: Revalidation | None) -> Edit:
        """What the other checks leave of a malformed UPDATE, as far as they can read it."""
        try:
            return self._judge(message, message.update, sender, revalidation)
        except WireError:
            return message.body

    @staticmethod
    def _treated(update: Update, errors: Sequence[WireError], action: str, sender: Sender) -> Update | None:
        """A malformed UPDATE without the attributes that RFC 7606 discards; None if that is not enough."""
        if strongest(errors) is not Reaction.ATTRIBUTE_DISCARD and action != "discard":
            return None
        try:
            left = Update(discard(update, sender.kind == "ebgp"), update.context)
        except WireError:
            return None
        return left if not validate(left, sender.kind) else None

    def _judge(self, message: Message, update: Update, sender: Sender, revalidation: Revalidation | None) -> Edit:
        """What goes on of a well-formed UPDATE."""
        body = update.body if update is not message.update else message.body
        if update.sections()[1] == len(body) and attrs.MP_REACH not in update.attrs:
            self._take(message, update, revalidation)
            return body
        tell = partial(self._found, message)
        try:
            action, edited = self.judge.examine(update, sender, tell)
        except TextError as error:
            action, edited = tell(CHECKS[0], str(error), 1), update
            action = WITHDRAW if action == "keep" else action
        if not action:
            left = edited.body if edited.body != body else body
            return self._judge_routes(message, update, edited, left, revalidation)
        if revalidation is not None:
            held = RoutesApart(update).prefixes
            self._take(message, update, revalidation, bytes((HELD,)) * len(held), held if action == WITHDRAW else ())
        if action == WITHDRAW:
            return self._withdrawn_all(message, update, None)
        return self._left(message, without_routes(update)) if action == "discard" else None

    def _judge_routes(
        self, message: Message, update: Update, edited: Update, body: bytes, revalidation: Revalidation | None
    ) -> Edit:
        apart = RoutesApart(edited, PREFIX_FAMILIES)
        blackhole = is_blackhole(update, self.judge.rules)
        bad = self.judge.bad_places(apart.prefixes, blackhole, partial(self._found, message))
        if not bad:
            self._take(message, update, revalidation)
            return body
        places = range(len(apart.prefixes))
        dropped = not {"drop", "kill"}.isdisjoint(bad.values())
        gone = [place for place, action in bad.items() if action == WITHDRAW and not dropped]
        if revalidation is not None:
            states = bytes(OUTSIDE if dropped or place in bad else PASS for place in places[: apart.unicast])
            withdrawn = [apart.prefixes[place] for place in gone if place < apart.unicast]
            self._take(message, update, revalidation, states, withdrawn)
        return self._left(message, apart.announce(places - bad.keys(), gone)) if not dropped else None

    def _withdrawn_all(self, message: Message, update: Update, revalidation: Revalidation | None) -> Edit:
        try:
            bodies = [body for body in withdraw(update) if _is_right(Update(body, update.context))]
        except WireError:
            return None
        for body in bodies if revalidation is not None else ():
            assert revalidation is not None
            revalidation.take(self._made(message, body))
        return self._left(message, bodies) if bodies else None  # which routes they are can't be told

    def _take(
        self,
        message: Message,
        update: Update,
        revalidation: Revalidation | None,
        states: bytes | None = None,
        gone: Iterable[Prefix] = (),
    ) -> None:
        """The table of the session takes an UPDATE, and what became of its routes. gone: those that were withdrawn."""
        if revalidation is None:
            return
        if self.is_sticky:
            for prefix in gone:
                revalidation.table.rib.withdraw(prefix)
        taken = message if update is message.update else self._made(message, update.body)
        revalidation.take(taken, states)

    def _left(self, message: Message, bodies: Sequence[bytes]) -> Edit:
        if len(bodies) == 1:
            return bodies[0]
        return [self._made(message, body) for body in bodies] if bodies else None

    @staticmethod
    def _made(message: Message, body: bytes) -> Message:
        made = Message(UPDATE, body, context=message.context, time=message.time, tags=dict(message.tags))
        made.direction = message.direction
        return made

    def _found(self, message: Message, check: Check, text: str, count: int) -> str:
        """Counts and reports what a check has found. Returns what is to be done."""
        name, action = check.name, self.actions[check.name]
        if not self.found[name]:
            self.pipeline.log.warning(f"guard: {name}: {text}", stage=str(self), action=action, seq=message.seq)
        self.found[name] += count
        self.event(name, message, text, count)
        if action == "kill":
            side = "R" if message.direction == "L" else "L"
            error = StageError(f"{self}: {name}: {text}", reason="guard", side=side)
            self.pipeline.end_session(side, Notification(CEASE, ADMINISTRATIVE_SHUTDOWN), error)
        return action


def _is_right(update: Update) -> bool:
    return is_well_formed(update) or not validate(update)
