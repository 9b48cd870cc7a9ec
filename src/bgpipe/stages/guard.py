"""Withdraw what nobody wants from a neighbor."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from .. import accel
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.options import FLAG, INTEGER, LIST, TEXT, Option, choice
from ..routes.guard_checks import CHECKS, LENGTHS, NAMES, Check, Rules, Sender, bogon_list, hops_of, is_blackhole
from ..routes.prefix_lists import parse_as_list, parse_prefix_list
from ..runtime.reload import off_reload, on_reload
from ..tasks import in_thread
from ..wire import attrs, caps
from ..wire.address import parse_address
from ..wire.asn_ranges import BOGON, PRIVATE, AsnRanges
from ..wire.attribute_edits import AttributeEditor, CommunityEdit, Edits
from ..wire.attrs.as_path import AsPath
from ..wire.block import Block
from ..wire.communities import EXTENDED, GRACEFUL_SHUTDOWN, LARGE, NO_EXPORT, STANDARD, parse_pattern
from ..wire.errors import Reaction, TextError, WireError
from ..wire.message import UPDATE, Message
from ..wire.notification import ADMINISTRATIVE_SHUTDOWN, CEASE, Notification
from ..wire.routes_apart import RoutesApart
from ..wire.treatment import discard, withdraw
from ..wire.update import Update
from ..wire.validation import strongest, validate
from .base.editing import Edit, EditingStage
from .base.list_file import ListFile
from .base.session_facts import header_asn, receiver_facts, sender_facts

LOOK_EVERY: Final = 10.0
"""Seconds after which files are looked at again."""
ACTIONS: Final = ("withdraw", "discard", "drop", "keep", "kill")
NEEDED: Final = frozenset((attrs.ORIGIN, attrs.AS_PATH, attrs.NEXT_HOP, attrs.MP_REACH, attrs.MP_UNREACH))
ROUTE_SERVER: Final = 1
MOST: Final = (1 << 32) - 1


class Guard(EditingStage):
    """Withdraw what nobody wants from a neighbor.

    Each check has a name. What it finds is withdrawn, unless --on says otherwise; of an UPDATE with good and bad
    prefixes the good ones stay. Each finding is an event guard/CHECK, and counted.
    """

    own_events = NAMES

    bogons = Option(TEXT, "", "prefixes that nobody has, in place of the built-in list", metavar="FILE")
    prefixes = Option(TEXT, "", "let only the prefixes of this list pass", metavar="FILE")
    origins = Option(TEXT, "", "let only routes of these origin AS numbers pass", metavar="FILE")
    default = Option(choice("accept", "deny"), "accept", "what happens to routes where no list is given (RFC 8212)")
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
    role = Option(
        choice("auto", "provider", "customer", "peer", "rs", "rs-client"), "auto", "what the neighbor is to us"
    )
    on = Option(LIST, (), f"what a check does: {'|'.join(ACTIONS)}", metavar="CHECK=ACTION")

    def attach(self) -> None:
        try:
            self._attach()
        except TextError as error:
            raise ConfigError(str(error)) from None
        self.found: Counter[str] = Counter()
        """routes, or UPDATEs where a check is about all of it, by check"""
        self.watch_updates()

    def _attach(self) -> None:
        """Raises TextError, ConfigError."""
        if self.blackhole and not self.prefixes:
            raise ConfigError("--blackhole needs --prefixes")
        self.actions = dict.fromkeys(NAMES, "withdraw") | dict(map(_parse_action, self.on))
        self._files: dict[str, ListFile[Any]] = {}
        self._listed: dict[str, Any] = {}
        self._list("bogons", self.bogons, parse_prefix_list)
        self._list("prefixes", self.prefixes, parse_prefix_list)
        self._list("origins", self.origins, parse_as_list)
        self._inline("own", self.own, parse_prefix_list)
        self._inline("peerlock", self.peerlock, parse_as_list)
        networks = [each for each in self.next_hop if each not in ("any", "peer")]
        self._hop_networks = parse_prefix_list("\n".join(networks)) if networks else None
        self._withdrawn = _codes("attr-withdraw", self.attr_withdraw)
        edits = Edits(
            strip_as=AsnRanges(PRIVATE if self.strip_private else ()),
            communities=tuple(self._scrubbing()),
            remove=_codes("attr-discard", self.attr_discard),
            strip_unknown="unknown" in self.attr_discard,
        )
        self._editor = AttributeEditor(edits) if edits != Edits() else None
        self._gshut = AttributeEditor(Edits(numbers=((attrs.LOCAL_PREF, 0),))) if self.gshut == "mark" else None
        self._no_export = AttributeEditor(Edits(communities=((STANDARD, CommunityEdit(add=(NO_EXPORT,))),)))
        self._filters: dict[str, Any] = {}
        self._versions: tuple[int, ...] = ()
        self.rules = self._rules()

    def _scrubbing(self) -> list[tuple[str, CommunityEdit]]:
        found: dict[str, list[Any]] = {STANDARD: [], EXTENDED: [], LARGE: []}
        for text in self.scrub:
            errors = []
            for kind, patterns in found.items():
                try:
                    patterns += parse_pattern(text, kind)
                except TextError as error:
                    errors.append(error)
            if len(errors) == len(found):
                raise TextError(f"--scrub: {errors[0]}")
        return [(kind, CommunityEdit(drop=tuple(patterns))) for kind, patterns in found.items() if patterns]

    # lists

    def _list(self, name: str, path: str, parse: Callable[[str], Any]) -> None:
        if not path:
            return

        def read() -> ListFile[Any]:
            try:
                return ListFile(path, parse)
            except OSError as error:
                raise TextError(f"--{name}: {path}: {error.strerror or error}") from None
            except TextError as error:
                raise TextError(f"--{name}: {path}: {error}") from None

        self._files[name] = self.pipeline.shared.setdefault(("list", path, parse), read)

    def _inline(self, name: str, words: Sequence[str], parse: Callable[[str], Any]) -> None:
        """A list on the command line, or the name of a file."""
        if not words:
            return
        try:
            self._listed[name] = parse("\n".join(words))
            if not len(self._listed[name]):
                raise TextError(f"--{name}: nothing is in it: {','.join(words)!r}")
        except TextError:
            if len(words) > 1:
                raise
            self._listed.pop(name, None)
            self._list(name, words[0], parse)

    def _current(self, name: str) -> Any:
        file = self._files.get(name)
        return file.current if file is not None else self._listed.get(name)

    def _rules(self) -> Rules:
        self._versions = tuple(file.version for file in self._files.values())
        self._filters.clear()
        return Rules(
            bogons=self._current("bogons") or self.pipeline.shared.setdefault("bogons", bogon_list),
            prefixes=self._current("prefixes"),
            origins=self._current("origins"),
            own=self._current("own"),
            locked=self._current("peerlock") or AsnRanges(),
            denies=self.default == "deny",
            no_private=self.no_private,
            max_path=self.max_path,
            max_communities=self.max_communities,
            withdrawn_attributes=self._withdrawn,
            blackhole=self.blackhole,
            gshut=self.gshut,
            peer_hop="peer" in self.next_hop,
            hop_networks=self._hop_networks,
        )

    async def prepare(self) -> None:
        if self._files:
            on_reload(self.reload)
            self.spawn("lists", self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for file in tuple(self._files.values()):
                self._tell(file, await in_thread("list", file.look))
            self._take_lists()

    def reload(self) -> None:
        for file in self._files.values():
            self._tell(file, file.look(again=True))
        self._take_lists()

    def _tell(self, file: ListFile[Any], tried: bool) -> None:
        if tried and file.error:
            text = "list not taken, the old one stays"
            self.pipeline.log.error(text, stage=str(self), file=file.path, error=file.error)
            self.event("list", None, file.path, file.error)
        elif tried:
            self.pipeline.log.info("list taken", stage=str(self), file=file.path, entries=len(file.current))

    def _take_lists(self) -> None:
        """Takes the lists as they are now; another session may have read them."""
        if self._versions != tuple(file.version for file in self._files.values()):
            self.rules = self._rules()

    async def stop(self) -> None:
        off_reload(self.reload)
        if self.found:
            self.pipeline.log.info("the guard found", stage=str(self), **dict(self.found))

    def status(self) -> dict[str, Any]:
        """found: by check. lists: entries, and why a newer file was not taken."""
        lists = {name: {"entries": len(file.current), "error": file.error} for name, file in self._files.items()}
        return {"lists": lists, "metrics": {"found": {name: self.found[name] for name in NAMES}}}

    # who sends

    def _sender(self, message: Message) -> Sender:
        facts = sender_facts(self.pipeline, message.direction)
        if facts is None or facts.peer_open is None:
            asn = header_asn(message)
            return Sender(asn, frozenset((asn,)), self.role != "rs")
        receiver = receiver_facts(self.pipeline, message.direction)
        ases = {facts.peer_open.asn}
        if receiver is not None and receiver.peer_open is not None:
            ases.add(receiver.peer_open.asn)
        values = facts.peer_open.values(caps.ROLE)
        route_server = self.role == "rs" or (self.role == "auto" and values[-1:] == [bytes((ROUTE_SERVER,))])
        side = "R" if message.direction == "L" else "L"
        ours = [f"{message.direction}_REMOTE_ADDR", "L_LOCAL_ADDR", "R_LOCAL_ADDR"]
        external = facts.peer_kind != "ibgp"
        return Sender(
            facts.peer_open.asn,
            frozenset(ases),
            external and not route_server,
            self._address(f"{side}_REMOTE_ADDR"),
            frozenset(filter(None, map(self._address, ours))) if external else frozenset(),
        )

    def _address(self, name: str) -> bytes:
        text = self.pipeline.values.get(name, "").partition("%")[0]
        return parse_address(text) if text else b""

    # the work

    def edit_block(self, block: Block, positions: Sequence[int]) -> dict[int, Edit]:
        if not accel.AVAILABLE or not len(block):
            return super().edit_block(block, positions)
        quick = self._filter(block.message(0))
        undecided = quick.undecided(block.octets, block.index)
        if len(positions) != len(block):
            chosen = set(positions)
            undecided = [position for position in undecided if position in chosen]
        edits = super().edit_block(block, undecided)
        for position in undecided:
            if position not in edits:
                self._learn(quick, block.message(position))
        return edits

    def _learn(self, quick: Any, message: Message) -> None:
        """Next hops of an UPDATE that has passed pass again."""
        if message.type_code == UPDATE and self.actions["next-hop"] != "keep":
            for hop in hops_of(message.update):
                quick.learn(hop)

    def _filter(self, message: Message) -> Any:
        """Accel's filter for the sender of a message."""
        sender = self._sender(message)
        live = sender_facts(self.pipeline, message.direction) is not None
        key = repr(sender) if live else ""
        found = self._filters.get(key)
        if found is None:
            found = self._filters[key] = self._make_filter(sender)
            found.exempt_from_bogons(sorted(sender.exempt) if live else [])
            found.sender = sender.asn if live else -1
        return found

    def _make_filter(self, sender: Sender) -> Any:
        made, rules = accel.guard, self.rules
        scrubs = [made.AsnTable([(0, MOST)]) if self.scrub else None] * 3
        codes = set(attrs.KNOWN) - rules.withdrawn_attributes
        if self._editor is not None:
            codes -= self._editor.edits.remove
        bogon = [*BOGON, *(PRIVATE if self.no_private or self.strip_private else ())]
        return made.Filter(
            bogons=rules.bogons.table,
            own=rules.own.table if rules.own is not None else None,
            prefixes=rules.prefixes.table if rules.prefixes is not None else None,
            origins=made.AsnTable(rules.origins.ranges) if rules.origins is not None else None,
            bogon_as=made.AsnTable(AsnRanges(bogon).ranges),
            locked=made.AsnTable(rules.locked.ranges) if rules.locked else None,
            scrubbed=scrubs,
            lengths=(*LENGTHS[1], *LENGTHS[2]),
            max_path=max(0, rules.max_path),
            max_communities=rules.max_communities or MOST,
            no_default=True,
            first_as=sender.first_as,
            sets=False,
            hops=True,
            shutdown=bool(self.gshut),
            blackhole=self.blackhole,
            nothing=(rules.denies and rules.prefixes is None and rules.origins is None)
            or ((self.no_private or self.strip_private) and any(map(AsnRanges(PRIVATE).__contains__, sender.exempt))),
            attributes=sum(1 << code for code in codes if code < 64),
        )

    def edit(self, message: Message) -> Edit:
        if message.context.assumed:
            return message.body
        errors = validate(message.update)
        if errors:
            return self._malformed(message, errors)
        return self._judge(message, message.update, message.body)

    def _malformed(self, message: Message, errors: list[WireError]) -> Edit:
        """Treats an UPDATE as RFC 7606 says; where that would end the session, only --on malformed=kill does."""
        action = self._found(CHECKS[0], message, str(errors[0]), 1)
        if action == "keep":
            return message.body
        if action in ("drop", "kill"):
            return None
        if strongest(errors) is Reaction.ATTRIBUTE_DISCARD or action == "discard":
            try:
                left = Update(discard(message.update), message.context)
            except WireError:
                return None
            if not validate(left):
                return self._judge(message, left, left.body)
        return self._withdrawn_all(message, message.update)

    def _judge(self, message: Message, update: Update, body: bytes) -> Edit:
        """What goes on of a well-formed UPDATE."""
        sections = update.sections()
        if sections[1] == len(body) and attrs.MP_REACH not in update.attrs:
            return body
        sender = self._sender(message)
        first = [check for check in CHECKS if check.name in ("attributes", "first-as")]
        if (left := self._look(first, message, update, sender)) is not None:
            return left[0]
        update = self._edited(update)
        others = [check for check in CHECKS if check.look is not None and check not in first]
        if (left := self._look(others, message, update, sender)) is not None:
            return left[0]
        return self._judge_routes(message, update, update.body if update.body != body else body)

    def _edited(self, update: Update) -> Update:
        context, body = update.context, update.body
        editors = [self._editor]
        if is_blackhole(update, self.rules):
            editors.append(self._no_export)
        if self._gshut is not None and GRACEFUL_SHUTDOWN in (update.value(attrs.COMMUNITY) or ()):
            editors.append(self._gshut)
        for editor in editors:
            if editor is not None:
                body = editor.edit(body, context)
        return update if body is update.body else Update(body, context)

    def _look(self, checks: Sequence[Check], message: Message, update: Update, sender: Sender) -> tuple[Edit] | None:
        """What goes on after the checks of a whole UPDATE; None if that is for the others to say."""
        path: AsPath = update.as_path or AsPath()
        for check in checks:
            assert check.look is not None
            text = check.look(update, path, self.rules, sender)
            if not text:
                continue
            action = self._found(check, message, text, 1)
            if action == "withdraw":
                return (self._withdrawn_all(message, update),)
            if action == "discard":
                return (self._left(message, RoutesApart(update).announce(())),)
            if action in ("drop", "kill"):
                return (None,)
        return None

    def _judge_routes(self, message: Message, update: Update, body: bytes) -> Edit:
        apart = RoutesApart(update)
        blackhole = is_blackhole(update, self.rules)
        covered = self.rules.prefixes
        bad: dict[int, str] = {}
        found: Counter[str] = Counter()
        for place, prefix in enumerate(apart.prefixes):
            lifted = blackhole and covered is not None and covered.covers(prefix)
            for check in CHECKS:
                if check.route is not None and check.route(prefix, self.rules, lifted):
                    found[check.name] += 1
                    if self.actions[check.name] != "keep":
                        bad.setdefault(place, self.actions[check.name])
        for check in CHECKS:
            if found[check.name]:
                self._found(check, message, str(apart.prefixes[0]), found[check.name])
        if not bad:
            return body
        if {"drop", "kill"} & set(bad.values()):
            return None
        gone = [place for place, action in bad.items() if action == "withdraw"]
        return self._left(message, apart.announce(range(len(apart.prefixes)) - bad.keys(), gone))

    def _withdrawn_all(self, message: Message, update: Update) -> Edit:
        try:
            bodies = [body for body in withdraw(update) if not validate(Update(body, update.context))]
        except WireError:
            return None
        return self._left(message, bodies) if bodies else None  # which routes they are can't be told

    @staticmethod
    def _left(message: Message, bodies: Sequence[bytes]) -> Edit:
        if len(bodies) == 1:
            return bodies[0]
        return [
            Message(UPDATE, body, context=message.context, time=message.time, tags=dict(message.tags))
            for body in bodies
        ]

    def _found(self, check: Check, message: Message, text: str, count: int) -> str:
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


def _parse_action(text: str) -> tuple[str, str]:
    """Raises ConfigError."""
    name, _, action = text.partition("=")
    if name not in NAMES or action not in ACTIONS:
        raise ConfigError(f"--on {text}: CHECK=ACTION is expected, of {', '.join(NAMES)} and {', '.join(ACTIONS)}")
    return name, action


def _codes(option: str, words: Sequence[str]) -> frozenset[int]:
    """The type codes of attributes. Raises TextError."""
    found: set[int] = set()
    for word in words:
        if word == "unknown":
            found |= set(range(256)) - set(attrs.KNOWN)
        elif word.isascii() and word.isdigit() and int(word[:4]) < 256:
            found.add(int(word))
        else:
            found.add(attrs.parse_name(word))
    if wrong := found & NEEDED:
        raise TextError(f"--{option}: {attrs.TABLE[min(wrong)].name} is needed by every route")
    return frozenset(found)
