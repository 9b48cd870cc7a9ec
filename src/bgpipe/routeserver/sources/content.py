"""What a list says: prefixes out of text, CSV, RPSL or JSON, plain or packed.

A line of text may have an address with a length, with a netmask or bare, a range of addresses, comments anywhere, and
`expires=` with a time until which it counts; in JSON and CSV `expires` stands beside the prefix.
Host bits are cleared. What can't be read is counted, and the first such lines are kept with their numbers (in JSON: the
number of the item).
"""

from __future__ import annotations

import csv
import ipaddress
import math
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from ...net.compression import by_content, decompress
from ...routes.prefixes import EMPTY, LENGTH_BITS, PrefixSet, parse_lines
from ..lifetimes import NO_ENDS, Lifetimes
from ..times import parse_time

MAX_UNPACKED: Final = 256 << 20
"""Octets of a list when it is unpacked."""
MAX_PREFIXES: Final = 5_000_000
"""Prefixes of a list."""
MAX_SAMPLES: Final = 10
"""Lines that can't be read and are kept to be shown."""
MAX_SAMPLE: Final = 100
"""Characters of such a line."""
_HTML: Final = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_JSON: Final = re.compile(r'\s*(?:\{|\[\s*(?:["{\[\]]|\Z))')
_RPSL: Final = re.compile(r"^route6?:[ \t]", re.MULTILINE)
_ATTRIBUTE: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9_-]*):(?:\s|\Z)|[ \t+]|%)")
"""The beginning of a line of RPSL (RFC 2622 section 2): an attribute, what goes on with one, or a remark."""
_DELIMITERS: Final = ",;\t|"
_COMMENT: Final = re.compile(r"(?:#|;|//|<!--).*")
_EXPIRES: Final = re.compile(r"\bexpires=([^\s,;|#\"']*)", re.IGNORECASE)
_RANGE: Final = re.compile(r"([0-9a-fA-F.:]+)\s*(?:-|\s)\s*([0-9a-fA-F.:]+)\Z")
_SPAN: Final = re.compile(r"(?<![\w.:/])([0-9a-fA-F.:]{2,45})\s*-\s*([0-9a-fA-F.:]{2,45})(?![\w.:/])")
"""A range of addresses anywhere in a line."""
_MASK: Final = re.compile(r"(?:net)?mask|wildcard", re.IGNORECASE)
"""What may stand between an address and its netmask."""
_WORDS: Final = re.compile(r"[\s,;|\"'=\[\](){}]+")
_SURE_KEYS: Final = ("ip_prefix", "ipv6_prefix", "ipv4Prefix", "ipv6Prefix")
"""Names under which JSON of clouds has a prefix and nothing else."""
_BRACES: Final = re.compile(r"\{([^{}]*)\}\s*\Z")
"""A set at the end of a line, as nftables and BIRD have it."""
_KEYS: Final = (*_SURE_KEYS, "prefix", "cidr", "route", "route6", "network", "subnet")
"""Names under which JSON may have a prefix."""


class Form(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the prefixes are in a list.

    json: where in JSON, such as `data.*.cidr`, or several such places with commas between them; `*` is every key. ""
    finds them. column: of CSV, its name in the first line, or its number from 1. whole: whether the place in JSON must
    be there in each of several answers, and may say that there is nothing: then there are no prefixes.
    """

    json: str = ""
    column: str = ""
    whole: bool = False


ANYWHERE: Final = Form()


class ContentError(Exception):
    """This is no list of prefixes; the text says why."""


@dataclass(slots=True)
class Content:
    """What a list says. lines: those with something in them. bad: those that can't be read, or are a default route.
    samples: the first of these, (number, text). lifetimes: of those prefixes that have an end, be it over already."""

    prefixes: PrefixSet = EMPTY
    lines: int = 0
    bad: int = 0
    samples: list[tuple[int, str]] = field(default_factory=list)
    lifetimes: Lifetimes = NO_ENDS

    def fault(self, number: int, text: str) -> None:
        self.bad += 1
        if len(self.samples) < MAX_SAMPLES:
            clean = "".join(each if each.isprintable() else "?" for each in text[:MAX_SAMPLE])
            self.samples.append((number, clean))


class Item(NamedTuple):
    """A line, or what takes its place. number: from 1. expires: when it is over as it is written; None for never."""

    number: int
    text: str
    expires: object = None


def read(octets: bytes, form: Form = ANYWHERE) -> Content:
    """The prefixes of a list. Raises ContentError."""
    octets = unpack(octets)
    if not octets.strip():
        raise ContentError("it is empty")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContentError(f"it is not UTF-8, from octet {error.start} on") from None
    content = _read(octets, text, form)
    if not content.prefixes and not (form.whole and not content.lines):
        raise ContentError(f"it has no prefix in {content.lines} lines" if content.lines else "it has no prefix")
    if len(content.prefixes) > MAX_PREFIXES:
        raise ContentError(f"it has more than {MAX_PREFIXES} prefixes")
    if content.bad > content.lines / 2:
        raise ContentError(f"{content.bad} of {content.lines} lines can't be read, such as {content.samples[0][1]!r}")
    return content


def read_lines(lines: Iterable[str]) -> Content:
    """The same for lines of text in which there is nothing else, and not many of them."""
    items = [Item(number, line) for number, line in enumerate(lines, 1)]
    return _read_items(Content(lines=len(items)), items)


def _read(octets: bytes, text: str, form: Form) -> Content:
    """Each form of list in its own way. Raises ContentError."""
    if form.column:
        return _read_csv(text, form.column)
    if form.json or _is_json(text):
        return _read_json(octets, form)
    if _HTML.match(text):
        raise ContentError("it is a page of HTML, not a list")
    if _RPSL.search(text):
        return _read_rpsl(text)
    return read_text(text)


def unpack(octets: bytes) -> bytes:
    """What gzip, bzip2 or zstd have packed; anything else as it is. Raises ContentError."""
    name = by_content(octets)
    if name in (None, "none"):
        return octets
    damages: list[str] = []
    parts, size = [], 0
    for part in decompress(str(name), (octets,), damages.append):
        size += len(part)
        if size > MAX_UNPACKED:
            raise ContentError(f"it is larger than {MAX_UNPACKED >> 20} MiB when it is unpacked")
        parts.append(part)
    if damages:
        raise ContentError(f"it can't be unpacked: {damages[0]}")
    return b"".join(parts)


# text


def read_text(text: str) -> Content:
    """The prefixes of lines of text. Nearly all lines of nearly all lists are plain prefixes; the others are looked at
    one by one."""
    plain = parse_lines(text)
    others = [item for number, other in plain.others if (item := _item(number, other)).text]
    lines = text.count("\n") + (not text.endswith("\n"))
    content = Content(plain.prefixes, lines - (len(plain.others) - len(others)))
    return _read_items(content, others)


def _item(number: int, line: str) -> Item:
    """A line without comments; its text is empty if there is nothing else."""
    found = _EXPIRES.search(line)
    text = _COMMENT.sub("", _EXPIRES.sub("", line)).strip()
    return Item(number, text, found.group(1) if found else None)


def _read_rpsl(text: str) -> Content:
    """Objects `route` and `route6`: their other attributes don't count, nor do the remarks of a whois server."""
    content = Content()
    items: list[Item] = []
    for place, line in enumerate(text.splitlines(), 1):
        found = _ATTRIBUTE.match(line)
        name = (found.group(1) or "").lower() if found else ""
        value = line.partition(":")[2] if name else line
        if (name in ("route", "route6") or not found) and (value := _COMMENT.sub("", value).strip()):
            items.append(Item(place, value))
    content.lines = len(items)
    return _read_items(content, items)


def _read_csv(text: str, column: str) -> Content:
    """One column of CSV. Raises ContentError."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if _says_something(line)]
    head = lines[0][1] if lines else ""
    reader = csv.reader((line for _, line in lines), delimiter=max(_DELIMITERS, key=head.count), skipinitialspace=True)
    try:
        rows = [(lines[reader.line_num - 1][0], row) for row in reader]
    except csv.Error as error:
        raise ContentError(f"it is no CSV: {error}") from None
    names = [name.strip().lower() for name in rows[0][1]] if rows else []
    if column.isdecimal():
        place = int(column) - 1
        first = int(place < len(names) and not _is_prefix(names[place]))  # else it has no line with names
    elif column.lower() in names:
        place, first = names.index(column.lower()), 1
    else:
        raise ContentError(f"there is no column {column!r} in its first line: {head[:MAX_SAMPLE]!r}")
    end = names.index(_END) if first and _END in names else len(names)
    items = [Item(number, _cell(row, place), _cell(row, end) or None) for number, row in rows[first:]]
    return _read_items(Content(lines=len(items)), items)


def _cell(row: list[str], place: int) -> str:
    return row[place] if 0 <= place < len(row) else ""


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _is_prefix(text: str) -> bool:
    try:
        return bool(list(networks(text)))
    except ValueError:
        return False


def _read_items(content: Content, items: Iterable[Item]) -> Content:
    """Adds what lines name. A prefix that comes twice counts until the later end, or for ever."""
    numbers: dict[int, list[int]] = {4: [], 6: []}
    ends: dict[int, dict[int, float]] = {4: {}, 6: {}}
    for item in items:
        try:
            end = _end(item.expires)
            for network in networks(item.text):
                number = int(network.network_address) << LENGTH_BITS | network.prefixlen
                if end is None:
                    numbers[network.version].append(number)
                else:
                    ends[network.version][number] = max(end, ends[network.version].get(number, end))
        except ValueError:
            content.fault(item.number, item.text if item.expires is None else f"{item.text} {_END}={item.expires}")
    content.prefixes |= PrefixSet.of(numbers[4], numbers[6])
    ending = PrefixSet.of(ends[4], ends[6]) - content.prefixes
    content.prefixes |= ending
    content = _without_unroutable(content)
    content.lifetimes = Lifetimes.of(ending & content.prefixes, ends[4], ends[6])
    return content


def _end(said: object) -> float | None:
    """Seconds since 1970 of what says when something is over; None for never. Raises ValueError."""
    if said is None:
        return None
    if isinstance(said, str):
        return parse_time(said)
    if isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said):
        return float(said)
    raise ValueError("no time")


def _without_unroutable(content: Content) -> Content:
    """No list may announce a default route, nor an IPv4 address inside an IPv6 address (RFC 4291 section 2.5.5.2)."""
    found = content.prefixes
    gone = PrefixSet(found.ipv4[:1] if found.ipv4[:1] == _DEFAULT else (), filter(_is_unroutable, found.ipv6))
    for prefix in gone:
        content.fault(0, f"{prefix} is never announced")
    if gone:
        content.prefixes = found - gone
    return content


def _is_unroutable(number: int) -> bool:
    return not number or (number >> 32 + LENGTH_BITS == 0xFFFF and number & 0xFF >= 96)


def networks(line: str) -> Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """What one line names: a range; all of its words, if each is a prefix, or each an address; else the first word that
    is one of these. Raises ValueError."""
    if (found := _RANGE.match(line) or _SPAN.search(line)) and (ends := _addresses(*found.groups())):
        return ipaddress.summarize_address_range(*ends)
    inner = _BRACES.search(line)
    words = [word for word in _WORDS.split(inner[1] if inner else line) if word]
    if all_of_them := _several(words):
        return all_of_them
    for position, word in enumerate(words):
        if not (word[0].isdigit() or ":" in word):
            continue
        try:
            network = ipaddress.ip_network(word, strict=False)
        except ValueError:
            continue
        behind = [each for each in words[position + 1 : position + 3] if not _MASK.fullmatch(each)]
        if network.version == 4 and "/" not in word and behind and _is_mask(behind[0]):
            return (ipaddress.ip_network(f"{word}/{behind[0]}", strict=False),)
        return (network,)
    raise ValueError("no prefix")


def _several(words: list[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The prefixes of a line that has nothing but prefixes, or nothing but addresses; none for any other line."""
    if len(words) < 2 or len({"/" in word for word in words}) > 1 or _is_mask(words[1]):
        return []
    try:
        return [ipaddress.ip_network(word, strict=False) for word in words]
    except ValueError:
        return []


def _addresses(first: str, last: str) -> tuple[Any, Any] | None:
    """The ends of a range, if both are addresses of one kind, and the second is no netmask. Raises ValueError for a
    range that ends before it begins."""
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        return None
    if low.version != high.version or _is_mask(last):
        return None
    if int(low) > int(high):
        raise ValueError("a range that ends before it begins")
    return low, high


def _is_mask(text: str) -> bool:
    """Whether it is a netmask, or the wildcard bits of access lists: nobody's address looks like that."""
    try:
        return text.count(".") == 3 and ipaddress.ip_network(f"0.0.0.0/{text}").prefixlen > 0 and text[0] in "02"
    except ValueError:
        return False


# JSON


_END: Final = "expires"
_DEFAULT: Final = array("Q", (0,))


def _is_json(text: str) -> bool:
    """Also of what is torn: else the lines of half an array would be a list."""
    return bool(_JSON.match(text))


def _read_json(octets: bytes, form: Form) -> Content:
    try:
        value = msgspec.json.decode(octets.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ContentError(f"it is no JSON: {error}") from None
    path = form.json
    paths = path.split(",") if path else []
    found = [said for each in paths for said in _at(value, each.split("."))] if paths else list(_prefixes(value))
    missing = form.whole and not all(_leads(each, path.split(".")[1:]) for each in value)
    if missing or (path and not found and not form.whole):
        raise ContentError(f"there is nothing at {path}")
    return _read_items(
        Content(lines=len(found)), (Item(place, text, end or None) for place, (text, end) in enumerate(found, 1))
    )


def _at(value: Any, path: list[str], expires: object = None) -> Iterator[tuple[str, object]]:
    """The texts at a path, and what says beside them when they are over; `*` is every item, and lists on the way are
    gone through."""
    if isinstance(value, list):
        for each in value:
            yield from _at(each, path[1:] if path and path[0] == "*" else path)
    elif not path:
        if isinstance(value, str):
            yield value, expires
    elif isinstance(value, dict):
        names = [name for name in value if name != _END or path[1:]] if path[0] == "*" else [path[0]]
        for name in names:
            yield from _at(value.get(name), path[1:], value.get(_END))


def _leads(value: Any, path: list[str]) -> bool:
    """Whether a path leads somewhere, be it to a list with nothing in it."""
    if not path:
        return isinstance(value, str | list)
    if path[0] != "*":
        return isinstance(value, dict) and path[0] in value and _leads(value[path[0]], path[1:])
    if not isinstance(value, dict | list):
        return False
    items = list(value.values() if isinstance(value, dict) else value)
    return not items or any(_leads(each, path[1:]) for each in items)


def _prefixes(value: Any, key: str = "", expires: object = None) -> Iterator[tuple[str, object]]:
    """The texts that are prefixes wherever they stand, and addresses in lists and under the names that clouds use; and
    what says beside them when they are over."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _prefixes(each, name, value.get(_END))
    elif isinstance(value, list):
        for each in value:
            yield from _prefixes(each, "[]" if isinstance(each, str) else key)
    elif isinstance(value, str) and ("/" in value or key == "[]" or key in _KEYS):
        try:
            ipaddress.ip_network(value.strip(), strict=False)
        except ValueError:
            if key not in _SURE_KEYS:
                return
        yield value, expires
