"""Withdraw route leaks, and mark routes with ONLY_TO_CUSTOMER, by the roles of two peers."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .. import accel
from ..pipeline.errors import StageError
from ..pipeline.options import FLAG, TEXT, Option, choice
from ..pipeline.stage import Consuming
from ..session.facts import decode_open
from ..wire import attrs, caps
from ..wire.attribute_edits import AttributeEditor, Edits, edit_quickly
from ..wire.block import Block
from ..wire.caps import Capability
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST
from ..wire.flags import FLAG_DIRECTIONS, FLAG_LEFT, FLAG_RIGHT
from ..wire.item import Item
from ..wire.message import OPEN, UPDATE, Message
from ..wire.notification import OPEN_ERROR, ROLE_MISMATCH, Notification
from ..wire.roles import ADDS, COUNTERPARTS, PEER, ROLES, Verdict, judge, role_of
from ..wire.routes_apart import RoutesApart
from ..wire.tags import TagTable
from ..wire.treatment import withdraw
from ..wire.update import Update
from .base.editing import InOrder, change_tags, handle_each, matching, part_of
from .base.session_facts import facts_of, header_asn

if TYPE_CHECKING:
    from ..filters import Filter
    from ..wire.open import Open

SENDERS: Final = {"R": "L", "L": "R"}
"""The side of the peer that sends the messages of a direction."""
SIDES: Final = {"L": "left", "R": "right"}
PEER_AS: Final = "PEER_AS"
WAYS: Final = FLAG_LEFT | FLAG_RIGHT
NOTHING, DECLINED, MISSING, OWN, OTHER = range(5)
"""What accel.otc finds in a message."""
ONLY_MISSING: Final = bytes(kind == MISSING for kind in range(256))
NOTHING_TOLD: Final = InOrder((), lambda number: None)
MAX_EDITORS: Final = 1024
"""As many AS numbers of senders have an editor of their own."""


class Link(NamedTuple):
    """Who sends the messages of a direction. role: what the sender is to the receiver. asn: the AS number of the
    sender; 0: as each message says."""

    role: str
    asn: int


class Otc(Consuming):
    """Withdraw route leaks, and mark routes with ONLY_TO_CUSTOMER, by the roles of two peers.

    For routes of IPv4 and IPv6 unicast, this does what RFC 9234 asks of both peers: a route from a customer or a client
    of a route server that has ONLY_TO_CUSTOMER is a leak, and so is one from a lateral peer that has it with another AS
    number than the peer's. A route from a provider, a lateral peer or a route server gets it where it is missing, with
    the AS number of its sender. The roles are those of both OPENs, or of --role. Where both routers say a role in their
    OPEN, they do this themselves, and all messages pass.
    """

    both = True

    role = Option(
        choice("auto", *ROLES),
        "auto",
        "what the neighbor is to us: the peer on the left, with -L alone the one on the right; auto: as the OPENs say",
    )
    strict = Option(FLAG, False, "refuse a neighbor that says no role in its OPEN")
    add_role = Option(FLAG, False, "add its role to the OPEN of a router that says none")
    force = Option(FLAG, False, "do it also where both routers say a role")
    invalid = Option(
        choice("withdraw", "drop", "keep"),
        "withdraw",
        "what becomes of route leaks: withdraw them, drop the message, or keep them",
    )
    peer_tag = Option(
        TEXT, PEER_AS, "without a session, the AS number of the sender of a message is in this tag", metavar="TAG"
    )
    tag = Option(FLAG, True, "tag messages with the verdict; --tag=false does not")
    event_name = Option(TEXT, "", "emit this event for each message with a route leak", name="event", metavar="NAME")

    def attach(self) -> None:
        self.own_events = ("role", self.event_name) if self.event_name else ("role",)
        self.counts = {"messages": 0, "valid": 0, "added": 0, "invalid": 0}
        self._links: dict[str, tuple[object, object, Link | None]] = {}
        self._editors: dict[int, AttributeEditor] = {}
        self._quick: dict[int, Any] = {}
        """accel's editors, as `_editors` has Python's"""
        self._told: set[str] = set()
        self._filters: list[Filter] = []
        self.watch(self.on_message, on_block=self.on_block, types=[OPEN, UPDATE], selects=True)

    def conditions(self) -> list[Filter]:
        """None for the pipeline: --if says which UPDATEs are judged, and OPENs are always looked at."""
        self._filters = super().conditions()
        return []

    def status(self) -> dict[str, Any]:
        """peers: what the peer on a side is to the other, where routes are judged. metrics: messages."""
        links = {SIDES[SENDERS[way]]: link for way, (_, _, link) in sorted(self._links.items()) if link is not None}
        peers = {side: {"role": link.role, "asn": link.asn} for side, link in links.items()}
        return {"peers": peers, "metrics": dict(self.counts)}

    async def stop(self) -> None:
        if self.counts["invalid"]:
            self.pipeline.log.info("messages with route leaks", stage=str(self), **self.counts)

    # roles

    @property
    def _neighbour(self) -> str:
        """The side of the peer that --role is about."""
        return "R" if self.watched == "L" else "L"

    def _configured(self, direction: str) -> str | None:
        """What the sender of a direction is to the receiver, as --role says."""
        if self.role == "auto":
            return None
        return COUNTERPARTS[self.role] if SENDERS.get(direction, self._neighbour) != self._neighbour else self.role

    def _open(self, side: str) -> Open | None:
        """The OPEN of the peer at a side, or the one that the other peer got if there is no connection."""
        facts = facts_of(self.pipeline, side)
        if facts is not None:
            return facts.peer_open
        other = facts_of(self.pipeline, "L" if side == "R" else "R")
        return other.sent_open if other is not None else None

    def _link(self, direction: str) -> Link | None:
        """Who sends the messages of a direction; None if they are not judged."""
        side = SENDERS.get(direction)
        if not self.pipeline.has_session or side is None:
            role = self._configured(direction)
            if role is None:
                self._warn("routes pass as they are: nobody says what the neighbor is (--role)")
            return Link(role, 0) if role is not None else None
        sender, receiver = self._open(side), self._open("L" if side == "R" else "R")
        known = self._links.get(direction)
        if known is None or known[0] is not sender or known[1] is not receiver:
            link = self._find_link(direction, sender, receiver) if sender is not None and receiver is not None else None
            known = self._links[direction] = sender, receiver, link
        return known[2]

    def _find_link(self, direction: str, sender: Open, receiver: Open) -> Link | None:
        configured = self._configured(direction)
        theirs, ours = role_of(sender.values(caps.ROLE)), role_of(receiver.values(caps.ROLE))
        role = configured or theirs or COUNTERPARTS.get(ours or "")
        if sender.asn == receiver.asn:
            self._leave("roles are for external sessions, and this one is internal (RFC 9234 section 5)")
            return None
        if role is None:
            self._warn("routes pass as they are: nobody says what the neighbor is (--role)")
            return None
        for side, expected, found in (
            (SENDERS[direction], configured, theirs),
            (direction, COUNTERPARTS.get(configured or ""), ours),
        ):
            if expected and found and found != expected:
                self._refuse(side, expected, found)
                return None
        if theirs and ours and not self.force:
            self._leave("both routers say their role, and check routes themselves")
            return None
        text = f"routes from the {SIDES[SENDERS[direction]]} are judged by the role of their sender"
        self.pipeline.log.info(text, stage=str(self), role=role, asn=sender.asn)
        return Link(role, sender.asn)

    def _leave(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            self.pipeline.log.info(f"routes pass as they are: {reason}", stage=str(self))

    def _on_open(self, message: Message) -> bool:
        """Refuses a peer whose role does not fit (section 4.2). Returns whether the OPEN may go on."""
        side = SENDERS.get(message.direction, "")
        found = decode_open(message.body)
        if not side or found is None or not self.pipeline.has_session:
            return True
        expected = self._configured(message.direction)
        values = found.values(caps.ROLE)
        if not values:
            if self.strict and (expected is None or side == self._neighbour):
                return self._refuse(side, expected or "any", "none")
            self._add_role(message, found, expected or self._role_beside(side))
            return True
        if expected is None and self.force:
            expected = self._role_beside(side)
        role = role_of(values)
        if expected is None or role == expected:
            return True
        return self._refuse(side, expected, role or "unknown")

    def _role_beside(self, side: str) -> str | None:
        """The role of the peer at a side, as the OPEN of the other one says."""
        other = self._open("L" if side == "R" else "R")
        return COUNTERPARTS.get(role_of(other.values(caps.ROLE)) or "") if other is not None else None

    def _add_role(self, message: Message, found: Open, role: str | None) -> None:
        """Lets a router say a role that it does not know of: `otc` does for it what goes with it."""
        if self.add_role and role is not None:
            added = Capability(caps.ROLE, bytes((ROLES.index(role),)))
            message.body = found.with_capabilities([*found.capabilities, added]).encode()

    def _refuse(self, side: str, expected: str, found: str) -> bool:
        text = f"role mismatch: the peer on the {SIDES[side]} has the role {found} in its OPEN, {expected} expected"
        error = StageError(f"{self}: {text} (RFC 9234)", reason="role", side=side)
        self.event("role", None, found, expected)
        self.pipeline.end_session(side, Notification(OPEN_ERROR, ROLE_MISMATCH), error)
        return False

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.pipeline.log.warning(text, stage=str(self))

    # messages

    def on_message(self, message: Message) -> bool | list[Message]:
        if message.type_code == OPEN:
            return self._on_open(message)
        if self._filters and not all(condition(message) for condition in self._filters):
            return True
        return self._handle(message)

    def on_block(self, block: Block) -> Block | list[Item]:
        positions = matching(block, self._filters)
        if not accel.AVAILABLE or not len(block):
            return handle_each(block, positions, self._handle) if len(positions) else block
        block, positions, gone, told = self._handle_quickly(block, positions)
        if len(positions):
            return handle_each(block, positions, self._handle, gone, told.before)
        told.before(len(block))
        return block.without(gone) if gone else block

    def _handle_quickly(
        self, block: Block, positions: Sequence[int]
    ) -> tuple[Block, Sequence[int], Sequence[int], InOrder]:
        """Handles what accel can tell. Returns the block, the positions of the messages that are left and of those that
        go, and what is to be told of others."""
        every, some, _ = accel.frame.survey(block.octets, block.index)
        mixed = every & WAYS != some & WAYS
        link = self._link(FLAG_DIRECTIONS[some & WAYS])
        if link is None and not mixed:
            return block, (), (), NOTHING_TOLD
        if link is None or mixed or self.peer_tag != PEER_AS:
            return block, positions, (), NOTHING_TOLD
        block = block.compact()
        found, values = accel.otc.find(block.octets, block.index, link.asn, link.role in ADDS)
        if len(positions) != len(block):
            chosen = set(positions)
            found = bytes(kind if position in chosen else NOTHING for position, kind in enumerate(found))
        verdicts = {MISSING: judge(link.role, None, 1), OWN: judge(link.role, 1, 1), OTHER: judge(link.role, 2, 1)}
        passing = {kind: verdict for kind, verdict in verdicts.items() if verdict is not Verdict.INVALID}
        leaking = [kind for kind in verdicts if kind not in passing] if self.counts["invalid"] else []
        table, entries = TagTable(block.tags), dict[int, tuple[int, bool]]()
        if self.tag:
            found = self._enter_tags(block, found, passing, table, entries)
            found = self._enter_leaks(block, found, leaking, array("I", bytes(values)), table, entries)
        if passing[MISSING] is Verdict.ADDED and MISSING in found:
            quick = self._quick.get(link.asn)
            if quick is None:
                quick = self._quick[link.asn] = accel.edit.Editor(otc=link.asn)
            block, declined, _ = edit_quickly(quick, block, found.translate(ONLY_MISSING))
            found = without(found, declined)
            for position in declined:
                entries.pop(position, None)
        for kind, verdict in passing.items():
            self.counts["messages"] += found.count(kind)
            self.counts[verdict.name.lower()] += found.count(kind)
        block = block.tagged(entries, table) if entries else block
        leaks = [place for place, kind in enumerate(found) if kind in leaking] if leaking else []
        told, cut, declined = block, block, list[int]()
        if leaks and self.invalid == "withdraw":
            octets, index, _, declined = accel.cut.cut_routes(block.octets, block.index, leaks, None, True)
            cut = Block(octets, index, block.tags)
            found = without(found, declined)
            leaks = [place for place in leaks if found[place] != DECLINED]
        self.counts["messages"] += len(leaks)
        self.counts["invalid"] += len(leaks)
        rest = found.translate(None, bytes((NOTHING, *passing, *leaking)))
        left = (
            [place for place, kind in enumerate(found) if kind and kind not in passing and kind not in leaking]
            if rest
            else []
        )
        return cut, left, leaks if self.invalid == "drop" else (), self._tell_leaks(told, leaks)

    def _tell_leaks(self, block: Block, places: list[int]) -> InOrder:
        """Emits the events of leaks that are not handled one by one. Those that nobody hears are only counted."""
        name = f"{self.name}/{self.event_name}"
        if not self.event_name or not places:
            return NOTHING_TOLD
        if not self.pipeline.bus.wanted(name):
            self.pipeline.events[name] += len(places)
            return NOTHING_TOLD
        return InOrder(places, lambda number: self.event(self.event_name, block.message(places[number])))

    def _enter_tags(
        self,
        block: Block,
        found: bytes,
        passing: Mapping[int, Verdict],
        table: TagTable,
        entries: dict[int, tuple[int, bool]],
    ) -> bytes:
        """Enters the tags of messages that pass. Returns `found` without those whose tags a block can't hold."""
        for kind, verdict in passing.items():
            if kind in found:
                places = [position for position, each in enumerate(found) if each == kind]
                tagged, unfit = change_tags(block, places, table, partial(tags_of, verdict=verdict))
                entries.update(tagged)
                found = without(found, unfit)
        return found

    def _enter_leaks(
        self,
        block: Block,
        found: bytes,
        leaking: Sequence[int],
        values: Sequence[int],
        table: TagTable,
        entries: dict[int, tuple[int, bool]],
    ) -> bytes:
        """The same for leaks. values: of ONLY_TO_CUSTOMER, by position."""
        places: dict[int, list[int]] = {}
        for position, kind in enumerate(found) if leaking else ():
            if kind in leaking:
                places.setdefault(values[position], []).append(position)
        for value, positions in places.items():
            tagged, unfit = change_tags(block, positions, table, partial(leak_tags, otc=value))
            entries.update(tagged)
            found = without(found, unfit)
        return found

    def _handle(self, message: Message) -> bool | list[Message]:
        """What goes on of an UPDATE: False for nothing, True for the message, which may have changed."""
        if message.type_code != UPDATE or message.context.assumed:
            return True
        link = self._link(message.direction)
        try:
            if link is None or not _announces_unicast(message.update):
                return True
            return self._judge(message, message.update, link)
        except WireError:
            return True  # nobody knows which routes it is about

    def _judge(self, message: Message, update: Update, link: Link) -> bool | list[Message]:
        """Raises WireError."""
        asn = link.asn or self._sender_of(message)
        attribute = update.attrs.get(attrs.OTC)
        malformed = attribute.error() if attribute is not None else None
        otc = attribute.value if attribute is not None and malformed is None else None
        verdict = Verdict.INVALID if malformed is not None else judge(link.role, otc, asn)
        if not asn and (verdict is Verdict.ADDED or (otc is not None and link.role == PEER)):
            self._warn("routes pass as they are where nobody knows the AS of their sender (--peer-tag)")
            return True
        self.counts["messages"] += 1
        self.counts[verdict.name.lower()] += 1
        if self.tag:
            self._set_tags(message, verdict, "malformed" if malformed is not None else otc)
        if verdict is Verdict.INVALID:
            return self._leak(message, update, link, str(malformed or otc))
        return self._add(message, update, asn) if verdict is Verdict.ADDED else True

    def _sender_of(self, message: Message) -> int:
        """The AS number of the sender as a tag of the message says it, 0 if none does."""
        if self.peer_tag == PEER_AS:
            return header_asn(message)
        text = message.tags.get(self.peer_tag, "")
        return int(text) if text.isascii() and text.isdecimal() and 0 < int(text[:11]) <= 0xFFFFFFFF else 0

    def _set_tags(self, message: Message, verdict: Verdict, otc: object) -> None:
        message.tags = leak_tags(message.tags, otc) if verdict is Verdict.INVALID else tags_of(message.tags, verdict)

    # what becomes of a judged message

    def _leak(self, message: Message, update: Update, link: Link, otc: str) -> bool | list[Message]:
        if self.counts["invalid"] == 1:
            path = str(update.as_path or "")
            text = f"route leak from a {link.role}"
            self.pipeline.log.warning(text, stage=str(self), only_to_customer=otc, path=path, action=self.invalid)
        if self.event_name:
            self.event(self.event_name, message)
        if self.invalid == "keep":
            return True
        if self.invalid == "drop":
            return False
        apart = RoutesApart(update)
        return self._left(message, apart.announce((), range(len(apart.prefixes))))

    def _add(self, message: Message, update: Update, asn: int) -> bool | list[Message]:
        """Adds ONLY_TO_CUSTOMER. Routes of other families go on in a message of their own, without it."""
        editor = self.editor(asn)
        apart = RoutesApart(update)
        try:
            if apart.has_others:
                alone = apart.announce_alone(range(len(apart.prefixes)))
                return self._left(message, [*apart.announce(()), *editor.edit_split(alone, message.context)])
            return self._left(message, editor.edit_split(message.body, message.context))
        except WireError:  # no place for the attribute beside the others
            self._warn("routes are withdrawn: with ONLY_TO_CUSTOMER they fit into no message")
            return self._left(message, withdraw(update))

    def editor(self, asn: int) -> AttributeEditor:
        found = self._editors.get(asn)
        if found is None:
            if len(self._editors) >= MAX_EDITORS:
                self._editors.clear()
            found = self._editors[asn] = AttributeEditor(Edits(add=((attrs.OTC, asn),)))
        return found

    @staticmethod
    def _left(message: Message, bodies: Sequence[bytes]) -> bool | list[Message]:
        if len(bodies) == 1:
            message.update = Update(bodies[0], message.context)
            return True
        return [part_of(message, body) for body in bodies] if bodies else False


def without(found: bytes, positions: Sequence[int]) -> bytes:
    """What accel has found, with some messages that it has declined after all."""
    if not positions:
        return found
    left = bytearray(found)
    for position in positions:
        left[position] = DECLINED
    return bytes(left)


def tags_of(tags: Mapping[str, str], verdict: Verdict) -> dict[str, str]:
    """The tags of a message with those of a verdict in place of older ones."""
    return {key: value for key, value in tags.items() if not key.startswith("otc/")} | {"otc/status": verdict.name}


def leak_tags(tags: Mapping[str, str], otc: object) -> dict[str, str]:
    """The same for a leak. otc: the AS number of the attribute, or why there is none."""
    return tags_of(tags, Verdict.INVALID) | {"otc/invalid-as": str(otc)}


def _announces_unicast(update: Update) -> bool:
    """Whether it announces a route of IPv4 or IPv6 unicast. Raises WireError."""
    if update.sections()[1] < len(update.body):
        return True
    reach = update.attrs.get(attrs.MP_REACH)
    return reach is not None and reach.value.family in (IPV4_UNICAST, IPV6_UNICAST) and bool(reach.value.nlri)
