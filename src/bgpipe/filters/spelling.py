"""Translates the notations of bgpdump, bgpstream, bgpkit and routers into the notation of our texts.

A path is `174,3356,[64512,64513]` here; bgpdump writes `174 3356 {64512,64513}`, and in a pattern of Cisco or bgpstream
`_` stands for a place between two AS numbers. Communities are `"65000:1","65000:2"` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from ..wire.communities import WELL_KNOWN_COMMUNITIES
from .errors import ConditionError
from .values import integer_of

HINTS: Final = {
    "and": "&& joins conditions",
    "or": "|| joins conditions",
    "not": "! negates a condition",
    "as": "aspath == N is any AS of the path, as_origin == N its last",
    "asn": "aspath == N is any AS of the path, as_origin == N its last",
    "neighbor": "peer_asn or peer_ip",
    "neighbour": "peer_asn or peer_ip",
    "peer": "peer_asn or peer_ip",
    "ipversion": "ipv4 or ipv6",
    "elem_type": "reach for announcements, unreach for withdrawals",
    "elemtype": "reach for announcements, unreach for withdrawals",
    "announce": "reach",
    "announcement": "reach",
    "announced": "reach",
    "withdraw": "unreach",
    "withdrawal": "unreach",
    "withdrawn": "unreach",
    "ts_start": "time >= TIME",
    "ts_end": "time <= TIME",
    "prefix_sub": "prefix <= PREFIX",
    "prefix_super": "prefix >= PREFIX",
    "prefix_super_sub": "prefix ~ PREFIX",
    "prefix_exact": "prefix == PREFIX",
    "prefix_more": "prefix <= PREFIX",
    "prefix_less": "prefix >= PREFIX",
    "prefix_any": "prefix ~ PREFIX",
}
"""Names from other tools and languages, and the fields to use here."""

_ASN: Final = re.compile(r"(?i:as)?(\d+)(?:\.(\d+))?", re.ASCII)
_PATTERN_PART: Final = re.compile(
    r"\\[pP]\{[^}]*\}|\\.|\(\?[A-Za-z<>:=!-]*|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|(?i:as)\d+|.", re.DOTALL
)
"""An escape, the start of a group, a class, an AS number or a character of a regular expression."""
_AROUND_HOPS: Final = r"(?:^|$|[,()\[\]])"
_AROUND_COMMUNITIES: Final = r'(?:^|$|[",])'
_PATH_ESCAPES: Final = {r"\{": r"\[", r"\}": r"\]", r"\s": ",", r"\S": "[^,]", r"\ ": ",", r"\_": _AROUND_HOPS}
_PATH_CHARACTERS: Final = {"_": _AROUND_HOPS, " ": ","}
_COMMUNITY_CHARACTERS: Final = {"_": _AROUND_COMMUNITIES, " ": '","'}
_GLOB: Final = re.compile(r"(\d+|\*)(:(\d+|\*)){1,2}", re.ASCII)


def parse_asn(text: str) -> int:
    """An AS number: `15169`, `AS15169`, or `1.10` (RFC 5396). Raises ConditionError."""
    number = integer_of(text)
    if number is None and (found := _ASN.fullmatch(text)) and not (found[1] != "0" and found[1].startswith("0")):
        number = int(found[1][:11])
        if found[2] is not None:
            high, low = number, int(found[2][:6])
            number = high << 16 | low if high < 1 << 16 and low < 1 << 16 else -1
    if number is None:
        raise ConditionError("value", f"invalid value: {text} (expected integer)")
    if not 0 <= number < 1 << 32:
        raise ConditionError("value", f"value out of range: {text} (0 to {(1 << 32) - 1})")
    return number


def is_asn(text: str) -> bool:
    """Whether the text is meant as one AS number."""
    return integer_of(text) is not None or _ASN.fullmatch(text) is not None


def path_text(text: str) -> str:
    """A whole path, as `174 3356 {64512,64513}`, in our spelling."""
    words = re.sub(r"[\s,]+", ",", text.strip()).replace("{", "[").replace("}", "]")
    return re.sub(r"(?i)(?<![A-Za-z0-9])as(?=\d)", "", words)


def path_pattern(pattern: str) -> str:
    """A regular expression over paths in our spelling. Raises ConditionError where a letter can never match."""
    pattern = re.sub(r" *, *| +", lambda found: "," if "," in found[0] else " ", pattern)
    return _translate(pattern, _PATH_ESCAPES, _PATH_CHARACTERS, _path_part)


def _path_part(part: str, at: int) -> str:
    if len(part) > 2 and part[:2].lower() == "as":
        return rf"\b{part[2:]}\b"
    if part[0] == "[":
        return part[0] + part[1:-1].replace("_", r",()\[\]").replace(" ", ",") + part[-1]
    if len(part) == 1 and part.isalpha():
        raise ConditionError(
            "value", f"invalid pattern: {part} matches no AS path, which has digits, commas and brackets", at
        )
    return part


def community_pattern(pattern: str) -> str:
    """A regular expression over communities in our spelling: `65000:*` is any of AS 65000, and ^ and $ are the ends of
    one community unless a quote is beside them. Raises ConditionError where a letter can never match."""
    if (glob := community_glob(pattern)) is not None:
        return glob
    if pattern.lower() in WELL_KNOWN_COMMUNITIES:
        return f'"{WELL_KNOWN_COMMUNITIES[pattern.lower()]}"'

    def other(part: str, at: int) -> str:
        if part in "^$":
            beside = pattern[at + 1 : at + 2] if part == "^" else pattern[max(at - 1, 0) : at]
            return part if beside in ('"', "_", "") else '"'
        if len(part) == 1 and part.isalpha():
            reason = f"invalid pattern: {part} matches no community, which has digits and colons"
            raise ConditionError("value", f"{reason} (a name such as no-export must stand alone)", at)
        return part

    return _translate(pattern, {}, _COMMUNITY_CHARACTERS, other)


def community_glob(text: str) -> str | None:
    """The pattern of `65000:*`, whose stars are any number; None if it is not of this form."""
    if "*" not in text or not _GLOB.fullmatch(text):
        return None
    return '"' + text.replace("*", "[0-9]+") + '"'


def _translate(
    pattern: str, escapes: Mapping[str, str], characters: Mapping[str, str], other: Callable[[str, int], str]
) -> str:
    """A pattern in our spelling. other: for parts that are in neither table, and where they start."""
    parts = []
    for found in _PATTERN_PART.finditer(pattern):
        part = found[0]
        if part[0] == "\\":
            parts.append(escapes.get(part, part))
        elif part in characters:
            parts.append(characters[part])
        else:
            parts.append(part if part.startswith("(?") else other(part, found.start()))
    return "".join(parts)
