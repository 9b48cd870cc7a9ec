"""Change the path attributes of UPDATEs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ..pipeline.errors import ConfigError
from ..pipeline.options import FLAG, LIST, TEXT, TEXTS, Option, OptionKind, choice
from ..wire import attrs
from ..wire.address import parse_address
from ..wire.asn_ranges import AsnRanges, parse_as, parse_ranges
from ..wire.attribute_edits import AttributeEditor, CommunityEdit, Edits, Prepend
from ..wire.attrs.origin import NAMES as ORIGINS
from ..wire.block import FLAGS, LENGTH, OFFSET, Block
from ..wire.communities import EXTENDED, LARGE, STANDARD, parse_communities, parse_patterns
from ..wire.context import WireContext
from ..wire.errors import TextError, WireError
from ..wire.flags import CONTEXT_FLAGS, CONTEXTS, FLAG_DIRECTIONS, FLAG_LEFT, FLAG_RIGHT
from ..wire.item import Item
from ..wire.message import HEADER, UPDATE, Message
from ..wire.treatment import withdraw
from .base.editing import Edit, EditingStage, assemble, matching
from .base.session_facts import header_asn, receiver_facts

MAX_PREPENDS: Final = 255
MOST: Final = (1 << 32) - 1
MAX_EDITORS: Final = 64
"""As many combinations of own addresses and AS numbers have an editor of their own."""


def parse_prepend(text: str) -> tuple[Prepend, ...]:
    """`AS*N`, `self*N` or `last*N`; without `*N` it is once. Several with commas between them."""
    found = []
    for each in text.split(","):
        who, star, times = each.strip().partition("*")
        count = int(times) if star and times.isascii() and times.isdigit() and len(times) < 4 else 0 if star else 1
        if not 1 <= count <= MAX_PREPENDS:
            raise ValueError(f"AS*N with N from 1 to {MAX_PREPENDS} is expected")
        try:
            asn: int | str = who.lower() if who.lower() in ("self", "last") else parse_as(who)
        except TextError:
            raise ValueError("an AS number, self or last is expected before *") from None
        if asn == 0:
            raise ValueError("AS 0 is no AS (RFC 7607)")
        found.append(Prepend(asn, count))
    return tuple(found)


def parse_optional_number(text: str) -> tuple[int | None]:
    """A number of 32 bits, or `none` to remove the attribute."""
    if text.lower() == "none":
        return (None,)
    if not (text.isascii() and text.isdigit()) or int(text[:11]) > MOST:
        raise ValueError(f"a number from 0 to {MOST}, or none, is expected")
    return (int(text),)


def _parse_drop(text: str) -> tuple[str, ...]:
    return ("*",) if text.lower() == "true" else () if text.lower() == "false" else (text,)


def _is_pattern(kind: str, word: str) -> bool:
    """Whether a word is meant as a pattern of communities."""
    try:
        parse_patterns(word, kind)
    except TextError:
        return ":" in word and "/" not in word
    return bool(word)


def _dropping(kind: str) -> OptionKind[tuple[str, ...]]:
    return OptionKind("PATTERN", _parse_drop, adds=True, fits=partial(_is_pattern, kind))


PREPENDS: Final = OptionKind("AS*N", parse_prepend, adds=True)
OPTIONAL_NUMBER: Final[OptionKind[tuple[int | None, ...]]] = OptionKind("N|none", parse_optional_number)
_ALL: Final = ("*",)


class Update(EditingStage):
    """Change the path attributes of UPDATEs.

    UPDATEs that announce routes are changed, all others pass. First AS numbers are stripped from the path, then others
    are prepended. Communities are set, then dropped, then added. An UPDATE that gets too long is split.
    """

    nexthop4 = Option(TEXT, "", "set the next hop of IPv4 routes", metavar="ADDR")
    nexthop6 = Option(TEXT, "", "set the next hop of IPv6 routes", metavar="ADDR")
    nexthop_self = Option(FLAG, False, "set the next hop to our address on the connection to the receiver")
    strip_as = Option(
        LIST, (), "remove these AS numbers from the path: numbers, ranges, or private (RFC 6996)", metavar="AS"
    )
    prepend = Option(PREPENDS, (), "prepend an AS number N times; it may be self or last")
    origin = Option(choice("igp", "egp", "incomplete"), "", "set ORIGIN")
    med = Option(OPTIONAL_NUMBER, (), "set MULTI_EXIT_DISC, or remove it")
    local_pref = Option(OPTIONAL_NUMBER, (), "set LOCAL_PREF, or remove it")
    set_com = Option(TEXTS, (), "replace all communities with these", metavar="COM")
    add_com = Option(TEXTS, (), "add communities", metavar="COM")
    drop_com = Option(
        _dropping(STANDARD), (), "drop communities that match a pattern; all without a pattern", bare=_ALL
    )
    set_com_ext = Option(TEXTS, (), "replace all extended communities with these", metavar="COM")
    add_com_ext = Option(TEXTS, (), "add extended communities: rt:AS:N, soo:AS:N, 0x..., or JSON", metavar="COM")
    drop_com_ext = Option(_dropping(EXTENDED), (), "the same as --drop-com for extended communities", bare=_ALL)
    set_com_large = Option(TEXTS, (), "replace all large communities with these", metavar="COM")
    add_com_large = Option(TEXTS, (), "add large communities", metavar="COM")
    drop_com_large = Option(_dropping(LARGE), (), "the same as --drop-com for large communities", bare=_ALL)
    unknown_attrs = Option(choice("keep", "strip"), "keep", "keep or remove path attributes that bgpipe does not know")

    def attach(self) -> None:
        try:
            self.edits = self._edits()
        except TextError as error:
            raise ConfigError(str(error)) from None
        self.needs_own_as = any(asn == "self" for asn, _ in self.prepend)
        self.changed = 0
        """UPDATEs that were changed so far"""
        self.withdrawn = 0
        """UPDATEs whose routes were withdrawn, because their attributes have no place in a message"""
        self._editors: dict[tuple[bytes, bytes, int], AttributeEditor] = {}
        self._told: set[str] = set()
        self.watch_updates()

    def _edits(self) -> Edits:
        """Raises TextError."""
        numbers: list[tuple[int, int | None]] = []
        if self.origin:
            numbers.append((attrs.ORIGIN, ORIGINS.index(self.origin.upper())))
        for code, value in ((attrs.MED, self.med), (attrs.LOCAL_PREF, self.local_pref)):
            numbers += [(code, number) for number in value]
        communities = []
        for kind, name in ((STANDARD, "com"), (EXTENDED, "com-ext"), (LARGE, "com-large")):
            edit = self._community_edit(kind, name)
            if edit != CommunityEdit():
                communities.append((kind, edit))
        return Edits(
            strip_as=AsnRanges(_named("strip-as", parse_ranges, self.strip_as)),
            prepend=self.prepend,
            numbers=tuple(numbers),
            communities=tuple(communities),
            next_hop_4=self._address("nexthop4", self.nexthop4, 4),
            next_hop_6=self._address("nexthop6", self.nexthop6, 16),
            strip_unknown=self.unknown_attrs == "strip",
        )

    def _community_edit(self, kind: str, name: str) -> CommunityEdit:
        drop = self.values.get(f"drop-{name}", ())
        patterns = [
            pattern
            for text in drop
            for pattern in _named(f"drop-{name}", lambda each: parse_patterns(each, kind), text)
        ]
        found = {
            what: tuple(
                dict.fromkeys(
                    value
                    for text in self.values.get(f"{what}-{name}", ())
                    for value in _named(f"{what}-{name}", lambda each: parse_communities(each, kind), text)
                )
            )
            for what in ("set", "add")
        }
        return CommunityEdit(
            set=found["set"] if f"set-{name}" in self.values else None,
            drop=tuple(patterns),
            add=found["add"],
            none="*" in drop,
        )

    @staticmethod
    def _address(name: str, text: str, size: int) -> bytes:
        octets = _named(name, parse_address, text) if text else b""
        if octets and len(octets) != size:
            raise TextError(f"--{name}: not an IPv{4 if size == 4 else 6} address: {text!r}")
        return octets

    def status(self) -> dict[str, Any]:
        return {"metrics": {"changed": self.changed, "withdrawn": self.withdrawn}}

    async def stop(self) -> None:
        if self.withdrawn:
            text = "routes were withdrawn: with the new path attributes they fit into no message"
            self.pipeline.log.warning(text, stage=str(self), updates=self.withdrawn)

    # what "self" means

    def _editor(self, direction: str, message: Callable[[], Message]) -> AttributeEditor:
        """The editor for UPDATEs of a direction. message: gives the UPDATE, where the direction does not tell all."""
        key = b"", b"", 0
        if self.nexthop_self or self.needs_own_as:
            key = (*self._own_addresses(direction), self._own_as(direction, message) if self.needs_own_as else 0)
        editor = self._editors.get(key)
        if editor is None:
            if len(self._editors) >= MAX_EDITORS:
                self._editors.clear()
            hop_4, hop_6, own_as = key
            edits = replace(
                self.edits,
                next_hop_4=self.edits.next_hop_4 or hop_4,
                next_hop_6=self.edits.next_hop_6 or hop_6,
                own_as=own_as,
            )
            editor = self._editors[key] = AttributeEditor(edits)
        return editor

    def _own_addresses(self, direction: str) -> tuple[bytes, bytes]:
        """Our address on the connection to the receiver: one of IPv4 and IPv6."""
        if not self.nexthop_self:
            return b"", b""
        text = self.pipeline.values.get(f"{direction}_LOCAL_ADDR", "").partition("%")[0]
        if not text:
            self._warn("next hops stay as they are: there is no connection to a receiver (--nexthop-self)")
            return b"", b""
        octets = parse_address(text)
        return (octets, b"") if len(octets) == 4 else (b"", octets)

    def _own_as(self, direction: str, message: Callable[[], Message]) -> int:
        """The AS number that the receiver has in the OPEN it got; without a session, that of the peer that sent the
        message."""
        facts = receiver_facts(self.pipeline, direction)
        if facts is not None and facts.sent_open is not None:
            return facts.sent_open.asn
        own_as = header_asn(message())
        if not own_as:
            self._warn("nothing is prepended where it is not known which AS self is (--prepend self)")
        return own_as

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.pipeline.log.warning(text, stage=str(self))

    # the work

    def edit(self, message: Message) -> Edit:
        left = self._edit(message, self._editor(message.direction, lambda: message))
        self.changed += left is not message.body
        return left

    def _edit(self, message: Message, editor: AttributeEditor) -> Edit:
        try:
            bodies = editor.edit_split(message.body, message.context)
        except WireError as error:
            return self._withdraw(message, error)
        if len(bodies) == 1:
            return bodies[0]
        return [self._made(message, body) for body in bodies]

    def _withdraw(self, message: Message, error: WireError) -> Edit:
        """The routes of an UPDATE can't be announced any more, so the receiver must not keep older ones."""
        if not self.withdrawn:
            text = "routes are withdrawn: with the new path attributes they fit into no message"
            self.pipeline.log.warning(text, stage=str(self), seq=message.seq, error=str(error))
        self.withdrawn += 1
        try:
            return [self._made(message, body) for body in withdraw(message.update)]
        except WireError:
            return None

    @staticmethod
    def _made(message: Message, body: bytes) -> Message:
        return Message(UPDATE, body, context=message.context, time=message.time, tags=dict(message.tags))

    def on_block(self, block: Block) -> Block | list[Item]:
        positions = matching(block, self.callbacks[-1].conditions)
        editor = self._editor_of(block)
        if editor is not None:
            block, positions, edited = editor.edit_block(block, positions)
            self.changed += edited
        edits = self.edit_block(block, positions) if len(positions) else {}
        return assemble(block, edits) if edits else block

    def _editor_of(self, block: Block) -> AttributeEditor | None:
        """The editor for all messages of a block; None if they may need different ones."""
        direction = ""
        if self.nexthop_self or self.needs_own_as:
            found = {flags & (FLAG_LEFT | FLAG_RIGHT) for flags in FLAGS.of(block.index).tolist()}
            direction = FLAG_DIRECTIONS[found.pop()]
            facts = receiver_facts(self.pipeline, direction)
            if found or (self.needs_own_as and (facts is None or facts.sent_open is None)):
                return None
        return self._editor(direction, partial(block.message, 0))

    def edit_block(self, block: Block, positions: Sequence[int]) -> dict[int, Edit]:
        octets = block.octets
        offsets, lengths = OFFSET.of(block.index).tolist(), LENGTH.of(block.index).tolist()
        flags = FLAGS.of(block.index).tolist()
        edits: dict[int, Edit] = {}
        editor: AttributeEditor | None = None
        for position in positions:
            offset = offsets[position]
            if octets[offset + HEADER - 1] != UPDATE:
                continue
            if editor is None or self.needs_own_as:
                direction = FLAG_DIRECTIONS[flags[position] & (FLAG_LEFT | FLAG_RIGHT)]
                editor = self._editor(direction, partial(block.message, position))
            body = octets[offset + HEADER : offset + lengths[position]]
            left = self._edit_quickly(body, CONTEXTS[flags[position] & CONTEXT_FLAGS], editor)
            if left is None:
                message = block.message(position)
                body, left = message.body, self._edit(message, editor)
            if left is not body:
                edits[position] = left
        self.changed += len(edits)
        return edits

    @staticmethod
    def _edit_quickly(body: bytes, context: WireContext, editor: AttributeEditor) -> Edit:
        """The edited body; None if it may have to be split."""
        if len(body) > MAX_QUICK:
            return None
        try:
            edited = editor.edit(body, context)
        except TextError:
            return None
        return edited if len(edited) <= MAX_QUICK else None


MAX_QUICK: Final = 4096 - HEADER
"""A longer body may have to be split."""


def _named(name: str, parse: Callable[[Any], Any], text: Any) -> Any:
    """What `parse` makes of a value of an option. Raises TextError that names the option."""
    try:
        return parse(text)
    except TextError as error:
        raise TextError(f"--{name}: {error}") from None
