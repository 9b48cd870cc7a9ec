"""Communities as people write them: single ones, and patterns such as `65000:*`, of all three kinds.

Standard: `65000:1` (RFC 1997), or a name such as no-export. Large: `65000:1:2` (RFC 8092). Extended: `rt:65000:1`,
`soo:192.0.2.1:7` (RFC 4360), all 64 bits as `0x...`, or the JSON object that ext_community.py has for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from . import attrs
from .address import parse_address
from .attrs.community import parse_community
from .attrs.large_community import parse_large_community
from .errors import TextError
from .ext_community import NONTRANSITIVE, TYPE_SHIFT, ext_community_members, parse_ext_community

STANDARD: Final = "standard"
EXTENDED: Final = "extended"
LARGE: Final = "large"
CODES: Final = {STANDARD: attrs.COMMUNITY, EXTENDED: attrs.EXT_COMMUNITY, LARGE: attrs.LARGE_COMMUNITY}
"""The attribute that has the communities of a kind."""

WELL_KNOWN_COMMUNITIES: Final = {
    "graceful-shutdown": "65535:0",
    "gshut": "65535:0",
    "accept-own": "65535:1",
    "llgr-stale": "65535:6",
    "no-llgr": "65535:7",
    "blackhole": "65535:666",
    "no-export": "65535:65281",
    "no-advertise": "65535:65282",
    "local-as": "65535:65283",
    "no-export-subconfed": "65535:65283",
    "no-peer": "65535:65284",
    "nopeer": "65535:65284",
}
"""Names of routers and bgpdump for communities (RFC 1997, 3765, 7611, 7999, 8326, 9494)."""
GRACEFUL_SHUTDOWN: Final = 0xFFFF0000
BLACKHOLE: Final = 0xFFFF029A
NO_EXPORT: Final = 0xFFFFFF01

_EXTENDED: Final = {"rt": "TARGET", "target": "TARGET", "soo": "ORIGIN", "origin": "ORIGIN"}
"""Types of extended communities as routers write them, by the names that ours has for them."""
_SUBTYPES: Final = {"TARGET": 2, "ORIGIN": 3}
_AS2, _IP4, _AS4 = range(3)
"""The high octet of the types whose value begins with an AS number or an address, without its high bits."""
_MOST: Final = {_AS2: (16, 32), _IP4: (32, 16), _AS4: (32, 16)}


def parse_any_community(text: str) -> tuple[str, Any]:
    """("standard", "large" or "extended", the number or triple) of a community. Raises TextError."""
    text = WELL_KNOWN_COMMUNITIES.get(text.lower(), text)
    first, _, rest = text.partition(":")
    if first.lower() in _EXTENDED:
        return EXTENDED, _extended(_EXTENDED[first.lower()], rest)
    if first[:2].lower() == "0x":
        return EXTENDED, _hexadecimal(text)
    if text.count(":") == 2:
        return LARGE, parse_large_community(text)
    return STANDARD, parse_community(text)


def write_ext_community(community: int) -> str:
    """An extended community as parse_any_community reads it, such as rt:65000:9; in hexadecimal if it has no name."""
    name = {2: "rt", 3: "soo"}.get(community >> TYPE_SHIFT & 0xFF)
    text = f"{name}:{ext_community_members(community)['value']}"
    try:
        if name is not None and parse_any_community(text) == (EXTENDED, community):
            return text
    except TextError:  # its type has no such form
        pass
    return f"{community:#018x}"


def parse_communities(text: str, kind: str) -> tuple[Any, ...]:
    """The values of one or more communities of a kind: with commas between them, or a JSON array. Raises TextError."""
    found: list[Any] = []
    for each in _split(text):
        if kind == EXTENDED and isinstance(each, dict):
            found.append(parse_ext_community(each))
            continue
        if not isinstance(each, str):
            raise TextError(f"not a community: {each!r}")
        actual, value = parse_any_community(each)
        if actual != kind:
            raise TextError(f"{each!r} is a community of another kind ({actual}, not {kind})")
        found.append(value)
    return tuple(dict.fromkeys(found))


def _split(text: str) -> list[Any]:
    if text[:1] in ("[", "{"):
        from json import loads  # importing it takes long, and few need it

        try:
            found = loads(text)
        except ValueError as error:
            raise TextError(f"not JSON: {text!r} ({error})") from None
        return found if isinstance(found, list) else [found]
    return [part.strip() for part in text.split(",") if part.strip()]


def _extended(name: str, value: str) -> int:
    admin = value.rpartition(":")[0]
    form = "IP4_" if "." in admin else "AS4_" if admin.isdecimal() and int(admin) > 0xFFFF else ""
    return parse_ext_community({"type": form + name, "value": value})


def _hexadecimal(text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if len(text) != 18 or number < 0:
        raise TextError(f"not 16 hexadecimal digits: {text!r}")
    return number


class CommunityPattern(NamedTuple):
    """Communities of one kind whose parts lie in these ranges, both ends included.

    Standard and large communities have 2 and 3 parts. Extended ones have, with the bit for nontransitive cleared: the
    high octet of the type, its subtype, and the two parts of the value where the type begins with an AS number or an
    IPv4 address; all others have no such parts. Without ranges it is any community, or with `exact` that one.
    """

    kind: str
    ranges: tuple[tuple[int, int], ...]
    exact: int | None = None

    def matches(self, value: Any) -> bool:
        """Whether a community, as its attribute's value has it, is one of these."""
        if not self.ranges:
            return self.exact is None or value == self.exact
        parts = _PARTS[self.kind](value)
        return bool(parts) and all(low <= part <= high for part, (low, high) in zip(parts, self.ranges, strict=True))


def parse_pattern(text: str, kind: str) -> tuple[CommunityPattern, ...]:
    """Patterns for communities of a kind. Several where one text has several meanings: the AS number of an extended
    community has two or four octets.

    Each part is a number, a range `100-199`, or `*`; `*` alone is every community, and `65000:*` is every extended and
    large community of that AS too. Raises TextError.
    """
    text = WELL_KNOWN_COMMUNITIES.get(text.lower(), text)
    if text == "*":
        return (CommunityPattern(kind, ()),)
    parts = text.split(":")
    if kind == EXTENDED:
        return _extended_patterns(text, parts)
    bits, count = (16, 2) if kind == STANDARD else (32, 3)
    if kind == LARGE and len(parts) == 2 and parts[1] == "*":
        parts.append("*")
    if len(parts) != count:
        raise TextError(f"not a pattern for {kind} communities: {text!r} ({_SHAPES[kind]} is expected)")
    return (CommunityPattern(kind, tuple(_range(part, bits, text) for part in parts)),)


def parse_patterns(text: str, kind: str) -> tuple[CommunityPattern, ...]:
    """Patterns with commas between them. Raises TextError."""
    return tuple(pattern for each in _split(text) for pattern in parse_pattern(str(each), kind))


def _extended_patterns(text: str, parts: list[str]) -> tuple[CommunityPattern, ...]:
    if text[:2].lower() == "0x":
        return (CommunityPattern(EXTENDED, (), _hexadecimal(text)),)
    subtype = 0, 255
    if parts[0].lower() in _EXTENDED:
        number = _SUBTYPES[_EXTENDED[parts.pop(0).lower()]]
        subtype = number, number
    if len(parts) != 2:
        raise TextError(f"not a pattern for extended communities: {text!r} ({_SHAPES[EXTENDED]} is expected)")
    forms = [_IP4] if "." in parts[0] else [_AS2, _AS4] if parts[0] != "*" else [_AS2, _IP4, _AS4]
    found: list[CommunityPattern] = []
    for form in forms:
        bits = _MOST[form]
        try:
            admin = _range(parts[0], bits[0], text)
            number_range = _range(parts[1], bits[1], text)
        except TextError:
            if form == forms[-1] and not found:
                raise
            continue  # a number that has no place in this form
        found.append(CommunityPattern(EXTENDED, ((form, form), subtype, admin, number_range)))
    return tuple(found)


def _range(text: str, bits: int, whole: str) -> tuple[int, int]:
    """The range of one part."""
    most = (1 << bits) - 1
    if text == "*":
        return 0, most
    if text.count(".") == 3:
        number = int.from_bytes(parse_address(text), "big")
        return number, number
    low, dash, high = text.partition("-")
    numbers = [low, high if dash else low]
    if all(number.isascii() and number.isdigit() and len(number) <= 10 for number in numbers):
        first, last = map(int, numbers)
        if first <= last <= most:
            return first, last
    raise TextError(f"not a number to {most}, a range of them or *: {text!r} in {whole!r}")


def _standard_parts(value: int) -> tuple[int, ...]:
    return value >> 16, value & 0xFFFF


def _extended_parts(value: int) -> tuple[int, ...]:
    kind = value >> TYPE_SHIFT & ~NONTRANSITIVE
    form, subtype = kind >> 8, kind & 0xFF
    if form not in _MOST:
        return ()
    low = _MOST[form][1]
    bits = value & ((1 << TYPE_SHIFT) - 1)
    return form, subtype, bits >> low, bits & ((1 << low) - 1)


_PARTS: Final[dict[str, Callable[[Any], tuple[int, ...]]]] = {
    STANDARD: _standard_parts,
    EXTENDED: _extended_parts,
    LARGE: tuple,
}
_SHAPES: Final = {STANDARD: "65000:*", EXTENDED: "rt:65000:*", LARGE: "65000:*:*"}
