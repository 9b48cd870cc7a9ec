"""Edits of the path attributes of UPDATEs that announce routes.

The octets of attributes that no edit is about stay as they are, and so does their order; new attributes come last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .. import accel
from . import attrs as table
from .asn_ranges import AsnRanges
from .attrs.as_path import AS_SEQUENCE, AS_SET, MAX_SEGMENT, AsPath, Segment, encode, encode_as4
from .attrs.attribute import Attribute
from .attrs.mp_reach import NEXT_HOP_LENGTHS
from .block import Block
from .communities import CODES, EXTENDED, LARGE, STANDARD, CommunityPattern
from .compose import split
from .context import AS2, AS4, HEADER, MAX_EXTENDED_MESSAGE, MAX_MESSAGE, WireContext
from .errors import TextError, WireError
from .update_body import UpdateBody, join

REMEMBERED: Final = 16384
"""As many attributes are remembered with what has come of them."""
MAX_REMEMBERED: Final = 512
"""Octets of all path attributes of an UPDATE, at most, for them to be remembered."""
_DISTINGUISHER: Final = 8
"""Octets of the route distinguisher before a next hop of a VPN (RFC 4364 section 4.3.2)."""


class CommunityEdit(NamedTuple):
    """What happens to the communities of one kind. They are set first, then some are dropped, then some are added.

    set: the communities that take the place of all others; None leaves them. drop: patterns of those that are dropped.
    none: all are dropped, the added ones too.
    """

    set: tuple[Any, ...] | None = None
    drop: tuple[CommunityPattern, ...] = ()
    add: tuple[Any, ...] = ()
    none: bool = False

    def apply(self, communities: Sequence[Any]) -> tuple[Any, ...]:
        if self.none:
            return ()
        found = self.set if self.set is not None else communities
        kept = [each for each in found if not any(pattern.matches(each) for pattern in self.drop)]
        return (*kept, *(each for each in self.add if each not in kept))


class Prepend(NamedTuple):
    """asn: an AS number, "self" or "last". times: how often it is prepended."""

    asn: int | str
    times: int


@dataclass(frozen=True, slots=True)
class Edits:
    """Edits in the order in which they are made.

    strip_as: AS numbers that are removed from the AS path. prepend: what then is prepended, the last one outermost.
    numbers: values for ORIGIN, MED and LOCAL_PREF by type code; None removes the attribute. communities: by kind.
    next_hop_4, next_hop_6: octets for routes of AFI 1 and AFI 2; none leaves the next hop. strip_unknown: whether
    attributes that bgpipe does not know are removed. add: type codes and values of attributes that an UPDATE without
    them gets. remove: type codes of attributes that are removed. own_as: what "self" means in `prepend`.
    """

    strip_as: AsnRanges = field(default_factory=AsnRanges)
    prepend: tuple[Prepend, ...] = ()
    numbers: tuple[tuple[int, int | None], ...] = ()
    communities: tuple[tuple[str, CommunityEdit], ...] = ()
    next_hop_4: bytes = b""
    next_hop_6: bytes = b""
    strip_unknown: bool = False
    add: tuple[tuple[int, Any], ...] = ()
    remove: frozenset[int] = frozenset()
    own_as: int = 0

    @property
    def edits_path(self) -> bool:
        return bool(self.strip_as or self.prepend)

    def edit_path(self, path: AsPath) -> AsPath:
        if self.strip_as:
            left = ((kind, tuple(asn for asn in ases if asn not in self.strip_as)) for kind, ases in path)
            path = AsPath(Segment(kind, ases) for kind, ases in left if ases)
        for asn, times in self.prepend:
            number = self.own_as if asn == "self" else _last_as(path) if asn == "last" else asn
            if number and isinstance(number, int):
                path = prepend(path, number, times)
        return path


def _last_as(path: AsPath) -> int:
    """The AS that was prepended last; 0 if the path is empty or begins with a set."""
    return path[0].ases[0] if path and path[0].type == AS_SEQUENCE else 0


def prepend(path: AsPath, asn: int, times: int) -> AsPath:
    """The path with an AS number in front of it; a new segment begins where the first one is full (RFC 4271 section
    5.1.2)."""
    segments = list(path)
    while times:
        first = segments[0] if segments and segments[0].type == AS_SEQUENCE else None
        room = MAX_SEGMENT - len(first.ases) if first else 0
        if first is None or not room:
            segments.insert(0, Segment(AS_SEQUENCE, (asn,) * min(times, MAX_SEGMENT)))
            times -= min(times, MAX_SEGMENT)
            continue
        count = min(times, room)
        segments[0] = Segment(AS_SEQUENCE, (asn,) * count + first.ases)
        times -= count
    return AsPath(segments)


class AttributeEditor:
    """Makes edits. It remembers what has come of single attributes: archives and routers repeat them."""

    def __init__(self, edits: Edits) -> None:
        self.edits = edits
        self._numbers = dict(edits.numbers)
        self._communities = {CODES[kind]: edit for kind, edit in edits.communities}
        self._edited = frozenset(
            (
                *self._numbers,
                *self._communities,
                *edits.remove,
                *((table.AS_PATH,) if edits.edits_path else ()),
                *((table.NEXT_HOP,) if edits.next_hop_4 else ()),
                *((table.MP_REACH,) if edits.next_hop_4 or edits.next_hop_6 else ()),
            )
        )
        """type codes of attributes that may change"""
        self._additions = self._find_additions()
        self._quick: Any = None
        self._known: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
        """edited octets by octets of attributes, headers included; with AS numbers of two octets and of four"""

        self._sections: dict[tuple[bytes, bool, bool], bytes | None] = {}
        """what has come of all path attributes of an UPDATE, by these, as4, and whether it has NLRI"""

    def _find_additions(self) -> list[tuple[int, bytes]]:
        """Type code and octets of the attributes that an UPDATE gets if it has none of that type."""
        values: dict[int, bytes] = {}
        for code, number in self.edits.numbers:
            if number is not None:
                values[code] = table.TABLE[code].codec.encode(number, AS4)
        for code, edit in self._communities.items():
            if left := edit.apply(()):
                values[code] = table.TABLE[code].codec.encode(left, AS4)
        for code, value in self.edits.add:
            values[code] = table.TABLE[code].codec.encode(value, AS4)
        return [
            (code, Attribute(table.TABLE[code].default, code, octets, AS4).encode()) for code, octets in values.items()
        ]

    def edit(self, body: bytes, context: WireContext) -> bytes:
        """The body of an UPDATE with edited attributes; the same object if nothing changes, as in one that announces
        nothing. An UPDATE whose attributes can't be decoded stays as it is.

        Raises TextError if the result does not fit into the longest message (RFC 8654).
        """
        found = self._find(body, context)
        if found is None:
            return body
        start, end, section = found
        return join(body[2:start], section, body[end:])

    def _find(self, body: bytes, context: WireContext) -> tuple[int, int, bytes] | None:
        """Where Total Path Attribute Length and NLRI start, and the edited path attributes; None if nothing changes."""
        if context.assumed or len(body) < 4:
            return None
        start = 2 + (body[0] << 8 | body[1])
        if start + 2 > len(body):
            return None
        end = start + 2 + (body[start] << 8 | body[start + 1])
        if end > len(body):
            return None
        as4, others = context.as4, _NOTHING
        key = body[start + 2 : end], as4, end < len(body)
        if (known := self._sections.get(key, _UNKNOWN)) is not _UNKNOWN:
            return (start, end, known) if known is not None else None
        try:
            if context.guess_as or (not as4 and self.edits.edits_path):
                update = UpdateBody(body, context)
                as4 = update.as4
                if not as4 and self.edits.edits_path:
                    others = self._paths(update)
            section = self._edit_section(body, start + 2, end, as4, others)
        except WireError:
            return None
        if others is _NOTHING and not context.guess_as and len(key[0]) <= MAX_REMEMBERED:
            if len(self._sections) >= REMEMBERED:
                self._sections.clear()
            self._sections[key] = section
        return (start, end, section) if section is not None else None

    def _edit_section(self, body: bytes, pos: int, end: int, as4: bool, others: Mapping[int, bytes]) -> bytes | None:
        """The edited path attributes; None if nothing changes. pos, end: where they are. others: octets of attributes
        that are known already. Raises WireError."""
        edited, known, strips = self._edited, self._known[as4], self.edits.strip_unknown
        first, parts, seen, changed = pos, [], 0, False
        announces = end < len(body)
        while pos < end:
            if pos + 3 > end:
                return None
            flags, code = body[pos], body[pos + 1]
            if flags & table.EXTENDED_LENGTH:
                stop = pos + 4 + (body[pos + 2] << 8 | body[pos + 3]) if pos + 4 <= end else end + 1
            else:
                stop = pos + 3 + body[pos + 2]
            bit = 1 << code
            if stop > end or seen & bit:
                return None
            seen |= bit
            octets = body[pos:stop]
            pos = stop
            if code == table.MP_REACH:
                announces = announces or _announces(octets)
            if code in others:
                new = others[code]
            elif code in edited:
                found = known.get(octets)
                new = found if found is not None else self._edit_attribute(octets, code, AS4 if as4 else AS2)
            elif strips and code not in table.KNOWN:
                new = b""
            else:
                new = octets
            changed = changed or new != octets
            parts.append(new)
        if not announces or first == end:
            return None
        added = [octets for code, octets in self._additions if not seen >> code & 1]
        added += [octets for code, octets in others.items() if octets and not seen >> code & 1]
        if self.edits.next_hop_4 and end < len(body) and not seen >> table.NEXT_HOP & 1:
            added.append(Attribute(table.TRANSITIVE, table.NEXT_HOP, self.edits.next_hop_4, AS4).encode())
        return b"".join((*parts, *added)) if changed or added else None

    def _edit_attribute(self, octets: bytes, code: int, context: WireContext) -> bytes:
        """The octets of an edited attribute, none if it is removed. Raises WireError."""
        attribute = Attribute(octets[0], code, octets[4:] if octets[0] & table.EXTENDED_LENGTH else octets[3:], context)
        if code == table.MP_REACH:
            return self._edit_reach(attribute, octets)
        new = self._new_value(attribute, context)
        made = _encode(attribute, new) if new != attribute.octets else octets
        known = self._known[context.as4]
        if len(known) >= REMEMBERED:
            known.clear()
        known[octets] = made
        return made

    def _new_value(self, attribute: Attribute, context: WireContext) -> bytes | None:
        """The octets of the new value, None to remove the attribute. Raises WireError."""
        code = attribute.code
        if code in self.edits.remove:
            return None
        if code == table.AS_PATH:
            return encode(self.edits.edit_path(attribute.value), context)
        if code == table.NEXT_HOP:
            return self.edits.next_hop_4
        codec = table.TABLE[code].codec
        if code in self._numbers:
            number = self._numbers[code]
            return codec.encode(number, context) if number is not None else None
        left = self._communities[code].apply(attribute.value)
        return codec.encode(left, context) if left else None

    def _paths(self, update: UpdateBody) -> dict[int, bytes]:
        """The octets of AS_PATH, and of AS4_PATH if AS_PATH can't say all AS numbers (RFC 6793 section 4.2.2). Raises
        WireError."""
        attribute = update.attrs.get(table.AS_PATH)
        if attribute is None or update.list_errors:
            return {}
        attribute.value  # noqa: B018 a malformed one raises
        old = update.as_path
        assert old is not None
        path = self.edits.edit_path(old)
        if path == old:
            return {}
        wide = max(path.ases, default=0) > 0xFFFF
        sequences = AsPath(segment for segment in path if segment.type in (AS_SET, AS_SEQUENCE))
        merged = update.attrs.get(table.AS4_PATH) or Attribute(table.TABLE[table.AS4_PATH].default, 17, b"", AS2)
        return {
            table.AS_PATH: _encode(attribute, encode(path, AS2)),
            table.AS4_PATH: _encode(merged, encode_as4(sequences, AS2) if wide else None),
        }

    def _edit_reach(self, attribute: Attribute, octets: bytes) -> bytes:
        """MP_REACH_NLRI with the next hop of its AFI."""
        value = attribute.octets
        size = value[3] if len(value) > 3 else 0
        hop = {1: self.edits.next_hop_4, 2: self.edits.next_hop_6}.get(int.from_bytes(value[:2], "big"), b"")
        old = value[4 : 4 + size]
        if not hop or len(old) < size or size not in NEXT_HOP_LENGTHS:
            return octets
        before = old[:_DISTINGUISHER] if size in (12, 24, 48) else b""
        behind = old[len(before) + 16 :] if len(hop) == 16 and size in (32, 48) else b""
        new = before + hop + behind
        return _encode(attribute, b"".join((value[:3], bytes((len(new),)), new, value[4 + size :])))

    def edit_split(self, body: bytes, context: WireContext) -> list[bytes]:
        """As `edit`, split into several bodies if one would be too long for a message of the context, or for an
        extended message if the UPDATE is one itself. Raises WireError if not even one prefix has a place."""
        if len(body) + HEADER > MAX_MESSAGE:
            context = context._replace(extended_message=True)
        room = context.max_message - HEADER
        try:
            edited = self.edit(body, context)
            size = len(edited)
        except TextError:
            edited, size = b"", MAX_EXTENDED_MESSAGE
        if size <= room or edited is body:
            return [edited]
        found = self._find(body, context)
        assert found is not None
        start, end, section = found
        growth = max(0, len(section) - (end - start - 2))  # the pieces have the same attributes: all grow by as much
        return [self.edit(piece, context) for piece in split(UpdateBody(body, context), room - growth)]

    def edit_block(self, block: Block, positions: Sequence[int]) -> tuple[Block, Sequence[int], int]:
        """As `edit` for the messages of a block at these positions, as far as accel can: the block; the positions of
        the messages that are left as they are, for `edit_split`; and how many were edited."""
        if not accel.AVAILABLE or not len(block):
            return block, positions, 0
        if self._quick is None:
            self._quick = _compile(self.edits, self._additions)
        wanted = None
        if len(positions) != len(block):
            marks = bytearray(len(block))
            for position in positions:
                marks[position] = 1
            wanted = bytes(marks)
        return edit_quickly(self._quick, block.compact(), wanted)


def edit_quickly(quick: Any, block: Block, wanted: bytes | None) -> tuple[Block, Sequence[int], int]:
    """As `edit_block` of an AttributeEditor. quick: an Editor of accel.edit. wanted: an octet for each message, 0 for
    one that stays as it is; None for all. The octets of the block are copied: it should be compact."""
    octets, index, left, edited = quick.edit(block.octets, block.index, wanted)
    return Block(octets, index, block.tags) if edited else block, left, edited


_WIDTHS: Final = {STANDARD: 4, EXTENDED: 8, LARGE: 12}
_NOTHING: Final[Mapping[int, bytes]] = {}
_UNKNOWN: Final = b"?"


def _compile(edits: Edits, additions: Sequence[tuple[int, bytes]]) -> Any:
    """Accel's editor for the same edits. additions: as of AttributeEditor."""
    numbers = [
        (code, table.TABLE[code].codec.encode(number, AS4)) for code, number in edits.numbers if number is not None
    ]
    steps = [(edits.own_as if asn == "self" else 0 if asn == "last" else asn, times) for asn, times in edits.prepend]
    removed = {code for code, number in edits.numbers if number is None} | (edits.remove - {table.MP_REACH})
    if edits.strip_unknown:
        removed |= set(range(256)) - set(table.KNOWN)
    hop = edits.next_hop_4
    added_hop = Attribute(table.TRANSITIVE, table.NEXT_HOP, hop, AS4).encode() if hop else b""
    return accel.edit.Editor(
        strip=edits.strip_as.ranges,
        prepend=[step for step, (asn, _) in zip(steps, edits.prepend, strict=True) if step[0] or asn == "last"],
        constants=numbers,
        removed=removed,
        selections=[_selection(kind, edit) for kind, edit in edits.communities],
        hop4=hop,
        hop6=edits.next_hop_6,
        added_hop=added_hop,
        additions=additions,
    )


def _selection(kind: str, edit: CommunityEdit) -> tuple[int, int, bool, list[Any], bytes]:
    """(type code, octets of a community, whether all others go, patterns, communities to add), as accel has them."""
    code, width = CODES[kind], _WIDTHS[kind]
    encode_all = table.TABLE[code].codec.encode
    if edit.none or edit.set is not None:
        return code, width, True, [], encode_all(edit.apply(()), AS4)
    most = (1 << 8 * width) - 1 if width <= 8 else 0xFFFFFFFF
    patterns: list[Any] = []
    for each in edit.drop:
        if each.ranges:
            patterns.append((len(each.ranges), list(each.ranges)))
        else:
            exact = each.exact
            patterns.append((0, [(0, most) if exact is None else (exact, exact)]))
    return code, width, False, patterns, encode_all(edit.add, AS4)


def _announces(reach: bytes) -> bool:
    """Whether the octets of an MP_REACH_NLRI have NLRI."""
    start = 4 if reach[0] & table.EXTENDED_LENGTH else 3
    return len(reach) > start + 4 and len(reach) > start + 4 + reach[start + 3] + 1


def _encode(attribute: Attribute, value: bytes | None) -> bytes:
    """The attribute with these octets as its value; nothing for None."""
    return Attribute(attribute.flags, attribute.code, value, AS4).encode() if value is not None else b""
