"""AS_PATH and AS4_PATH (RFC 4271 section 5.1.2, RFC 5065, RFC 6793).

In JSON a path is a list: the AS numbers of a sequence stand in it as they are, an AS_SET is a list inside it, and
the segments of a confederation are {"confed_sequence":[...]} and {"confed_set":[...]}. Where a path is cut into
sequences elsewhere than at each 255th AS number, `"segments":[1,2]` beside the list says how many AS numbers each
segment has, so that its octets come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from struct import pack, unpack_from
from typing import Final, NamedTuple

from ..context import WireContext
from ..errors import Reaction, TextError, WireError
from ..number import parse_number
from .codec import Codec

AS_SET: Final = 1
AS_SEQUENCE: Final = 2
AS_CONFED_SEQUENCE: Final = 3
AS_CONFED_SET: Final = 4
AS_TRANS: Final = 23456
"""Stands for an AS number that has no place in two octets (RFC 6793 section 9)."""
MAX_SEGMENT: Final = 255
"""AS numbers in one segment."""

Hop = int | tuple[int, ...]


class Segment(NamedTuple):
    """type: AS_SET, AS_SEQUENCE, AS_CONFED_SEQUENCE or AS_CONFED_SET. ases: AS numbers, 1 to 255 of them."""

    type: int
    ases: tuple[int, ...]


class AsPath(tuple[Segment, ...]):
    """The segments of an AS_PATH, a tuple (RFC 4271 section 4.3, RFC 5065). As text: `1,2,[3,4]`; segments of a
    confederation are `(5,6)` and `([7,8])`."""

    __slots__ = ()

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The path without confederation segments: an AS number for each place of an AS_SEQUENCE, a tuple for each
        AS_SET."""
        hops: list[Hop] = []
        for kind, ases in self:
            if kind == AS_SEQUENCE:
                hops += ases
            elif kind == AS_SET:
                hops.append(ases)
        return tuple(hops)

    @property
    def origin(self) -> int | None:
        """The origin AS: the last AS number. None if the path is empty or ends in an AS_SET."""
        for kind, ases in reversed(self):
            if kind == AS_SEQUENCE:
                return ases[-1]
            if kind == AS_SET:
                return None
        return None

    @property
    def length(self) -> int:
        """The length for route selection: an AS_SET counts 1, a confederation segment 0 (RFC 4271 section 9.1.2.2, RFC
        5065 section 5.3)."""
        return sum(len(ases) if kind == AS_SEQUENCE else kind == AS_SET for kind, ases in self)

    @property
    def ases(self) -> tuple[int, ...]:
        """All AS numbers of all segments, in their order."""
        return tuple(asn for _, ases in self for asn in ases)

    def __str__(self) -> str:
        return ",".join(_TEXT_FORMS[kind] % ",".join(map(str, ases)) for kind, ases in self)

    def __repr__(self) -> str:
        return f"AsPath({super().__repr__()})"


_TEXT_FORMS: Final = {AS_SET: "[%s]", AS_SEQUENCE: "%s", AS_CONFED_SEQUENCE: "(%s)", AS_CONFED_SET: "([%s])"}
_JSON_FORMS: Final = {
    AS_SET: "[%s]",
    AS_SEQUENCE: "%s",
    AS_CONFED_SEQUENCE: '{"confed_sequence":[%s]}',
    AS_CONFED_SET: '{"confed_set":[%s]}',
}


def make_path(*hops: Hop) -> AsPath:
    """A path of AS numbers and, for AS_SETs, tuples of them: `make_path(65001, 65002, (65003, 65004))`."""
    return from_json([list(hop) if isinstance(hop, tuple) else hop for hop in hops])


def decode(octets: bytes, context: WireContext) -> AsPath:
    as4 = guess_as4(octets, context.as4) if context.guess_as else context.as4
    return decode_segments(octets, 4 if as4 else 2)


def guess_as4(octets: bytes, as4: bool) -> bool:
    """Whether AS numbers in a path have 4 octets, if they have where `as4` says so and it can be read like that."""
    for width in (as4, not as4):
        try:
            decode_segments(octets, 4 if width else 2)
        except WireError:
            continue
        return width
    return as4


def decode_as4(octets: bytes, context: WireContext) -> AsPath:
    """AS4_PATH has four octets for an AS number whatever the session has, and is not empty (RFC 6793 section 6).

    A segment of an undefined type costs the route, as in every implementation: RFC 6793 would discard the attribute,
    but then the path is not the one that was sent.
    """
    if not octets:
        raise WireError("length is 0", subcode=5)
    return decode_segments(octets, 4, Reaction.TREAT_AS_WITHDRAW)


def decode_segments(octets: bytes, width: int, undefined: Reaction = Reaction.SESSION_RESET) -> AsPath:
    """A path whose AS numbers have `width` octets. Raises WireError 3/11 (RFC 7606 section 7.2).

    undefined: the reaction to a segment of an undefined type.
    """
    segments = []
    pos, end = 0, len(octets)
    while pos < end:
        if pos + 2 > end:
            raise WireError("one octet is left behind the last segment", subcode=11, offset=pos)
        kind, count = octets[pos], octets[pos + 1]
        if kind not in _TEXT_FORMS:
            raise WireError(f"segment type {kind} is undefined", subcode=11, offset=pos, reaction=undefined)
        if not count:
            raise WireError("segment without an AS number", subcode=11, offset=pos)
        stop = pos + 2 + count * width
        if stop > end:
            raise WireError(f"segment of {count} AS numbers is cut short", subcode=11, offset=pos)
        ases = unpack_from(f">{count}I" if width == 4 else f">{count}H", octets, pos + 2)
        segments.append(Segment(kind, ases))
        pos = stop
    return AsPath(segments)


def check(value: AsPath, context: WireContext) -> WireError | None:
    """AS 0 is no AS (RFC 7607 section 2)."""
    for _, ases in value:
        if 0 in ases:
            return WireError("AS 0", subcode=11)
    return None


def encode(value: AsPath, context: WireContext) -> bytes:
    """With two octets for an AS number, AS_TRANS stands for one that doesn't fit (RFC 6793 section 4.2.2)."""
    if context.as4:
        return encode_as4(value, context)
    return b"".join(
        pack(f">BB{len(ases)}H", kind, len(ases), *[asn if asn <= 0xFFFF else AS_TRANS for asn in ases])
        for kind, ases in value
    )


def encode_as4(value: AsPath, context: WireContext) -> bytes:
    return b"".join(pack(f">BB{len(ases)}I", kind, len(ases), *ases) for kind, ases in value)


def format_json(value: AsPath) -> str:
    return "[" + ",".join(_JSON_FORMS[kind] % ",".join(map(str, ases)) for kind, ases in value) + "]"


def format_segments(value: AsPath) -> str:
    """`"segments":[...]` where the list alone would not give the same segments back, else nothing."""
    for first, second in pairwise(value):
        if first.type == second.type == AS_SEQUENCE and len(first.ases) != MAX_SEGMENT:
            return '"segments":[' + ",".join(str(len(ases)) for _, ases in value) + "]"
    return ""


def apply_segments(value: AsPath, item: Mapping[str, object]) -> AsPath:
    """The path cut into segments as `segments` says. Where these don't fit, as after an edit of the list, the list
    counts alone."""
    counts = item.get("segments")
    if not isinstance(counts, list) or not all(type(count) is int and 0 < count <= MAX_SEGMENT for count in counts):
        return value
    segments: list[Segment] = []
    left = list(reversed(value))
    for count in counts:
        if not left:
            return value
        kind, ases = left.pop()
        while kind == AS_SEQUENCE and len(ases) < count and left and left[-1].type == AS_SEQUENCE:
            ases += left.pop().ases  # it was cut after 255
        if len(ases) < count or (len(ases) > count and kind != AS_SEQUENCE):
            return value
        segments.append(Segment(kind, ases[:count]))
        if len(ases) > count:
            left.append(Segment(kind, ases[count:]))
    return value if left else AsPath(segments)


def from_json(value: object) -> AsPath:
    """Raises TextError."""
    if not isinstance(value, list):
        raise TextError(f"not a list: {value!r}")
    segments: list[Segment] = []
    sequence: list[int] = []
    for item in value:
        if isinstance(item, list):
            segments += [*_sequences(sequence), _segment(AS_SET, item)]
            sequence = []
        elif isinstance(item, dict):
            segments += [*_sequences(sequence), _confederation(item)]
            sequence = []
        else:
            sequence.append(parse_number(item, 32))
    return AsPath(segments + _sequences(sequence))


def _sequences(ases: list[int]) -> list[Segment]:
    """AS numbers in as few AS_SEQUENCE segments as hold them."""
    return [
        Segment(AS_SEQUENCE, tuple(ases[start : start + MAX_SEGMENT])) for start in range(0, len(ases), MAX_SEGMENT)
    ]


def _segment(kind: int, ases: object) -> Segment:
    if not isinstance(ases, list) or not 1 <= len(ases) <= MAX_SEGMENT:
        raise TextError(f"not a list of 1 to {MAX_SEGMENT} AS numbers: {ases!r}")
    return Segment(kind, tuple(parse_number(asn, 32) for asn in ases))


def _confederation(item: dict[str, object]) -> Segment:
    if item.keys() == {"confed_sequence"}:
        return _segment(AS_CONFED_SEQUENCE, item["confed_sequence"])
    if item.keys() == {"confed_set"}:
        return _segment(AS_CONFED_SET, item["confed_set"])
    raise TextError(f'not {{"confed_sequence":[...]}} or {{"confed_set":[...]}}: {item!r}')


def merge_as4_path(path: AsPath, as4_path: AsPath) -> AsPath:
    """The path that a speaker with two-octet AS numbers would have told with four (RFC 6793 section 4.2.3).

    As many leading hops of AS_PATH as AS4_PATH is short of them, and then AS4_PATH. AS4_PATH is ignored if it is the
    longer one, and confederation segments in it are.
    """
    tail = [segment for segment in as4_path if segment.type in (AS_SET, AS_SEQUENCE)]
    missing = path.length - AsPath(tail).length
    if not tail or missing < 0:
        return path
    head: list[Segment] = []
    for kind, ases in path:
        if kind in (AS_SET, AS_SEQUENCE):
            if not missing:
                break
            ases = ases[:missing] if kind == AS_SEQUENCE else ases
            missing -= len(ases) if kind == AS_SEQUENCE else 1
        head.append(Segment(kind, ases))
    if head and head[-1].type == tail[0].type == AS_SEQUENCE:
        joined = [*head.pop().ases, *tail.pop(0).ases]
        head += _sequences(joined)
    return AsPath(head + tail)


CODEC = Codec(decode, encode, format_json, from_json, check, format_segments, apply_segments)
AS4_CODEC = Codec(decode_as4, encode_as4, format_json, from_json, check, format_segments, apply_segments)
