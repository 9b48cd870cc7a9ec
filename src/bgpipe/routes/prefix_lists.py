"""Lists of prefixes and of AS numbers as bgpq4 and people write them, to look routes up in.

Prefixes: JSON, BIRD (`NN = [ 192.0.2.0/24{24,28} ];`), OpenBGPD (`prefix-set NN { 192.0.2.0/24 prefixlen 24 - 28 }`),
Cisco IOS (`ip prefix-list NN permit 192.0.2.0/24 le 28`), Junos (`route-filter 192.0.2.0/24 upto /28`), RPSL
(`192.0.2.0/24^24-28`), and lines `192.0.2.0/24 ge 25 le 28`. AS numbers: JSON, BIRD, OpenBGPD, AS path access lists of
Cisco IOS as bgpq4 writes them, and lines of numbers.

Whatever else is in a file is an error, so that a page of HTML or half a file is no list.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

import msgspec

from .. import accel
from ..wire.asn_ranges import AsnRanges, parse_ranges
from ..wire.errors import TextError
from ..wire.prefix import AFI_BITS, Prefix, parse_prefix

MAX_SHRINK: Final = 0.5
"""A new list with fewer entries than this part of the old one is taken for an accident."""

_COMMENT: Final = re.compile(r"/\*.*?\*/|(?:(?<=\s)|^)(?:#|!|//|--).*?$", re.DOTALL | re.MULTILINE)
_ENTRY: Final = re.compile(
    r"(?P<prefix>[0-9A-Fa-f:.]+/[0-9]{1,3})"
    r"(?:\s*\{\s*(?P<from>[0-9]{1,3})\s*,\s*(?P<to>[0-9]{1,3})\s*\}"
    r"|(?P<bird>[+-])(?![\w.])"
    r"|\^(?P<rpsl>[+-]|[0-9]{1,3}(?:-[0-9]{1,3})?)"
    r"|\s+prefix-length-range\s+/(?P<range>[0-9]{1,3}-/[0-9]{1,3})"
    r"|\s+prefixlen\s*(?P<prefixlen>>=\s*[0-9]{1,3}|<=\s*[0-9]{1,3}|=?\s*[0-9]{1,3}(?:\s*-\s*[0-9]{1,3})?)"
    r"|\s+(?:upto\s+/|maxlen\s+)(?P<upto>[0-9]{1,3})"
    r"|\s+(?P<word>exact|orlonger|or-longer|longer)\b"
    r"|(?:[ \t]+ge[ \t]+(?P<ge>[0-9]{1,3}))?(?:[ \t]+le[ \t]+(?P<le>[0-9]{1,3}))?)"
)
_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LINE: Final = re.compile(
    rf"^[ \t]*{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}/(3[0-2]|[12]?[0-9])"
    r"(?:[ \t]*\{([0-9]{1,2}),([0-9]{1,2})\}|(?:[ \t]+ge[ \t]+([0-9]{1,2}))?(?:[ \t]+le[ \t]+([0-9]{1,2}))?)"
    r"[ \t]*,?[ \t]*$",
    re.MULTILINE | re.ASCII,
)
"""A line with nothing but an IPv4 prefix, and the lengths of routes as lines and BIRD have them."""
_GAP: Final = re.compile(r"(?>[\s{}\[\](),;=]|seq\s+[0-9]+|[A-Za-z_][\w.:-]*)*+")
"""What may stand between prefixes: names, words of routers, brackets."""
_DENIED: Final = re.compile(r"\bdeny\s*\Z")
_REMOVED: Final = re.compile(r"^\s*no (?:ip|ipv6) [^\n]*$", re.MULTILINE)
_ACCESS_LIST: Final = re.compile(r"^\s*ip as-path access-list \S+ (permit|deny) (\S+)\s*$", re.MULTILINE)
_OF_ITSELF: Final = re.compile(r"\^([0-9]+)(?:\(_\1\)\*)?\$")
_OF_OTHERS: Final = re.compile(r"\^[0-9]+\(_\[0-9\]\+\)\*_\(?([0-9|]+)\)?\$")
_AS_GAP: Final = re.compile(r"[\s{}\[\](),;=]*")
_AS_WORD: Final = re.compile(r"(?i:as)?[0-9]+(?:\.[0-9]+)?(?:-(?i:as)?[0-9]+)?")


class PrefixRange(NamedTuple):
    """A prefix, and the lengths of routes inside it that are meant, both ends included."""

    prefix: Prefix
    shortest: int
    longest: int


class PrefixList:
    """A list of prefixes, which never changes. `len` is the number of its entries.

    ipv4, ipv6: the entries as sorted numbers: address, length, shortest and longest length of routes, the last three in
    an octet each.
    """

    def __init__(self, entries: Iterable[PrefixRange] = ()) -> None:
        numbers: dict[int, set[int]] = {1: set(), 2: set()}
        for prefix, shortest, longest in entries:
            numbers[prefix.afi].add(prefix.address << 24 | prefix.length << 16 | shortest << 8 | longest)
        self._set(array("Q", sorted(numbers[1])), tuple(sorted(numbers[2])))

    @classmethod
    def of(cls, ipv4: array[int], ipv6: tuple[int, ...]) -> Self:
        """The list of these numbers, which are sorted."""
        made = cls.__new__(cls)
        made._set(ipv4, ipv6)
        return made

    def _set(self, ipv4: array[int], ipv6: tuple[int, ...]) -> None:
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.table: Any = accel.guard.PrefixTable(self.ipv4, self.ipv6) if accel.AVAILABLE else None
        """accel's table of it"""
        self._by_prefix: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
        self._lengths: dict[int, tuple[int, ...]] = {1: (), 2: ()}
        if self.table is None:
            self._index()

    def _index(self) -> None:
        for afi, numbers in ((1, self.ipv4), (2, self.ipv6)):
            for number in numbers:
                key = afi, number >> 24, number >> 16 & 0xFF
                self._by_prefix.setdefault(key, []).append((number >> 8 & 0xFF, number & 0xFF))
            self._lengths[afi] = tuple(sorted({number >> 16 & 0xFF for number in numbers}))

    def __len__(self) -> int:
        return len(self.ipv4) + len(self.ipv6)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrefixList) and self.ipv4 == other.ipv4 and self.ipv6 == other.ipv6

    def __hash__(self) -> int:
        return hash((len(self.ipv4), self.ipv6))

    def matches(self, prefix: Prefix) -> bool:
        """Whether an entry means this route."""
        if self.table is not None:
            return bool(self.table.matches(prefix.afi, prefix.address, prefix.length))
        ranges = (each for found in self._covering(prefix) for each in found)
        return any(shortest <= prefix.length <= longest for shortest, longest in ranges)

    def covers(self, prefix: Prefix) -> bool:
        """Whether the route is inside the prefix of an entry, whatever its length."""
        if self.table is not None:
            return bool(self.table.covers(prefix.afi, prefix.address, prefix.length))
        return any(True for _ in self._covering(prefix))

    def _covering(self, prefix: Prefix) -> Iterator[list[tuple[int, int]]]:
        afi, address, route_length = prefix[:3]
        bits = AFI_BITS[afi]
        for length in self._lengths[afi]:
            if length > route_length:
                return
            shift = bits - length
            found = self._by_prefix.get((afi, address >> shift << shift, length))
            if found is not None:
                yield found


def entry_of(text: str, shortest: int | None = None, longest: int | None = None) -> PrefixRange:
    """An entry for a prefix and the lengths of routes; None for its own length. Raises TextError."""
    prefix = parse_prefix(text)
    bits = AFI_BITS[prefix.afi]
    low = prefix.length if shortest is None else shortest
    high = low if longest is None else longest
    if not prefix.length <= low <= high <= bits:
        raise TextError(f"lengths {low} to {high} are not possible for {text}")
    return PrefixRange(prefix, low, high)


def parse_prefix_list(text: str) -> PrefixList:
    """The prefixes of a file. Raises TextError, which names the line."""
    if text.lstrip()[:1] in ("{", "[") and '"' in text[:1000]:
        quick, others = _quick_items(list(_json(_JSON, text)))
        return _list_of(quick, _json_entries(others))
    text = _COMMENT.sub(_blank, text)
    text = _REMOVED.sub(_blank, text)
    quick, text = _quick_lines(text) if "deny" not in text else ([], text)
    return _list_of(quick, _text_entries(text))


def _list_of(quick: Iterable[int], entries: Iterable[PrefixRange]) -> PrefixList:
    """quick: numbers of IPv4 entries, as PrefixList has them."""
    others = PrefixList(entries)
    return PrefixList.of(array("Q", sorted({*quick, *others.ipv4})), others.ipv6)


def _quick_lines(text: str) -> tuple[list[int], str]:
    """The numbers of the lines that hold one IPv4 prefix and its lengths, and the text without them; it has as many
    lines. This takes much less time than other lines do."""
    numbers: list[int] = []
    for a, b, c, d, length, low, high, ge, le in _LINE.findall(text):
        size = int(length)
        shortest = int(ge or low or size)
        longest = int(le or high or (32 if ge else size))
        if not size <= shortest <= longest <= 32:
            return [], text  # it is an error, which others tell
        address = int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)
        numbers.append((address >> 32 - size << 32 - size) << 24 | size << 16 | shortest << 8 | longest)
    return numbers, _LINE.sub("", text) if numbers else text


def _quick_items(items: list[_JsonEntry | str]) -> tuple[list[int], list[_JsonEntry | str]]:
    """The same for the items of JSON: the numbers of those of IPv4, and the others."""
    four: list[str] = []
    others: list[_JsonEntry | str] = []
    for each in items:
        text = each if isinstance(each, str) else each.prefix
        if ":" in text:
            others.append(each)
        elif isinstance(each, str) or each.exact or each.less is each.greater is None:
            four.append(text)
        else:
            ge, le = each.greater, each.less
            four.append(f"{text}{'' if ge is None else f' ge {ge}'}{'' if le is None else f' le {le}'}")
    numbers, rest = _quick_lines("\n".join(four))
    return (numbers, others) if not rest.strip() else ([], items)


def _text_entries(text: str) -> Iterator[PrefixRange]:
    end = 0
    known = {""}
    for found in _ENTRY.finditer(text):
        gap = text[end : found.start()]
        if gap not in known:
            _check_gap(gap, text, end)
            if _DENIED.search(gap):
                if found[0] in ("0.0.0.0/0", "::/0"):  # bgpq4 writes it where there is nothing
                    end = found.end()
                    continue
                raise TextError(f"line {_line(text, found.start())}: a list with deny can't be read")
            known.add(gap)
        end = found.end()
        try:
            yield _entry(found)
        except TextError as error:
            raise TextError(f"line {_line(text, found.start())}: {error}") from None
    _check_gap(text[end:], text, end)


def _blank(found: re.Match[str]) -> str:
    """As many lines of nothing."""
    return "\n" * found[0].count("\n") + " "


def _check_gap(gap: str, text: str, start: int) -> None:
    matched = _GAP.match(gap)
    stop = matched.end() if matched else 0
    if stop < len(gap):
        line = _line(text, start + stop)
        word = gap[stop:].split()[0][:40]
        raise TextError(f"line {line}: {word!r} is neither a prefix nor a word of a list")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _entry(found: re.Match[str]) -> PrefixRange:
    """Raises TextError."""
    text = found["prefix"]
    ge, le = found["ge"], found["le"]
    if found.end() == found.end("prefix"):
        return entry_of(text)
    if ge or le:
        length = int(text.rpartition("/")[2])
        most = 128 if ":" in text else 32
        return entry_of(text, int(ge) if ge else length, int(le) if le else most)
    return _ranged(found, text)


def _ranged(found: re.Match[str], text: str) -> PrefixRange:
    length = int(text.rpartition("/")[2])
    most = 128 if ":" in text else 32
    if found["from"]:
        return entry_of(text, int(found["from"]), int(found["to"]))
    if found["upto"]:
        return entry_of(text, length, int(found["upto"]))
    if found["range"]:
        low, high = found["range"].split("-/")
        return entry_of(text, int(low), int(high))
    if found["prefixlen"]:
        return _prefixlen(text, found["prefixlen"].replace(" ", ""), length, most)
    word = found["word"] or found["bird"] or found["rpsl"]
    if word == "exact":
        return entry_of(text)
    if word in ("orlonger", "or-longer", "+"):
        return entry_of(text, length, most)
    if word in ("longer", "-") and not found["bird"]:
        return entry_of(text, length + 1, most)
    if word == "-":
        raise TextError(f"{text}-: shorter prefixes can't be meant by a list")
    low, dash, high = word.partition("-")
    return entry_of(text, int(low), int(high) if dash else int(low))


def _prefixlen(text: str, said: str, length: int, most: int) -> PrefixRange:
    """What OpenBGPD says of lengths."""
    if said.startswith(">="):
        return entry_of(text, int(said[2:]), most)
    if said.startswith("<="):
        return entry_of(text, length, int(said[2:]))
    low, dash, high = said.lstrip("=").partition("-")
    return entry_of(text, int(low), int(high) if dash else int(low))


class _JsonEntry(msgspec.Struct, rename={"less": "less-equal", "greater": "greater-equal"}):
    """An entry as bgpq4 writes it."""

    prefix: str
    exact: bool = False
    less: int | None = None
    greater: int | None = None


_JSON: Final = msgspec.json.Decoder(dict[str, list[_JsonEntry | str]] | list[_JsonEntry | str])


def _json_entries(items: Iterable[_JsonEntry | str]) -> Iterator[PrefixRange]:
    for each in items:
        if isinstance(each, str):
            yield entry_of(each)
            continue
        length = int(each.prefix.rpartition("/")[2] or 0) if each.prefix[-1:].isdigit() else 0
        if each.exact or (each.less is None and each.greater is None):
            yield entry_of(each.prefix)
        else:
            most = 128 if ":" in each.prefix else 32
            yield entry_of(each.prefix, each.greater or length, most if each.less is None else each.less)


def _json(decoder: Any, text: str) -> Iterator[Any]:
    """All items of all lists. Raises TextError."""
    try:
        found = decoder.decode(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise TextError(f"not the JSON of a list: {error}") from None
    for items in found.values() if isinstance(found, dict) else [found]:
        yield from items


_NUMBERS: Final = msgspec.json.Decoder(dict[str, list[int | str]] | list[int | str])


class AsList(AsnRanges):
    """A list of AS numbers, which never changes."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsList) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(len(self))

    @cached_property
    def table(self) -> Any:
        """accel's table of it"""
        return accel.guard.AsnTable(self.ranges)


def parse_as_list(text: str) -> AsList:
    """The AS numbers of a file. Raises TextError, which names the line."""
    if text.lstrip()[:1] in ("{", "[") and ('"' in text[:1000] or ":" in text[:1000]):
        return AsList(parse_ranges(map(str, _json(_NUMBERS, text))))
    text = _REMOVED.sub(_blank, _COMMENT.sub(_blank, text))
    if "access-list" in text:
        return AsList(parse_ranges(_from_access_list(text)))
    return AsList(parse_ranges(_as_words(text)))


def _as_words(text: str) -> Iterator[str]:
    """The numbers of lines, and between the brackets of BIRD and OpenBGPD."""
    opening = re.match(r"\s*(?:define\s+|as-set\s+|replace:\s*)?([A-Za-z_][\w.:-]*)?\s*=?\s*[\[{]", text)
    end = opening.end() if opening else 0
    for found in _AS_WORD.finditer(text, end):
        if not _AS_GAP.fullmatch(text, end, found.start()):
            break
        end = found.end()
        yield found[0]
    if not _AS_GAP.fullmatch(text, end):
        word = text[end:].strip(" \t\n{}[](),;=").split()[0][:40]
        raise TextError(f"line {_line(text, text.index(word, end))}: {word!r} is no AS number")


def _from_access_list(text: str) -> Iterator[str]:
    """The last AS numbers of the paths that bgpq4 writes."""
    end = 0
    for found in _ACCESS_LIST.finditer(text):
        if text[end : found.start()].strip():
            break
        end = found.end()
        if found[1] == "deny" and found[2] == ".*":
            continue
        itself, others = _OF_ITSELF.fullmatch(found[2]), _OF_OTHERS.fullmatch(found[2])
        if found[1] == "deny" or not (itself or others):
            raise TextError(f"line {_line(text, found.start())}: {found[2]!r} is no path as bgpq4 writes it")
        yield from itself.groups() if itself else others[1].split("|") if others else ()
    if text[end:].strip():
        line = _line(text, end + len(text[end:]) - len(text[end:].lstrip()))
        raise TextError(f"line {line}: not a line of an AS path access list")


def is_accident(old: int, new: int) -> bool:
    """Whether a list with so many entries can't be meant to take the place of one with so many."""
    return new < old * MAX_SHRINK or not new
