"""Lines of the text API of ExaBGP: `announce route 192.0.2.0/24 next-hop 198.51.100.1 ...`, `withdraw route ...`.

One line is one prefix. Prefixes of IPv4 and IPv6 unicast have such lines; path attributes for which ExaBGP has no word
are written as `attribute [ code flags value ]`, in hexadecimal. A line that starts with [ or { is read as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from ..wire import attrs as table
from ..wire.address import parse_address
from ..wire.attrs.as_path import AS_CONFED_SEQUENCE, AS_CONFED_SET, AS_SEQUENCE, AS_SET, AsPath
from ..wire.attrs.attribute import Attribute
from ..wire.attrs.community import format_community, parse_community
from ..wire.attrs.origin import NAMES as ORIGINS
from ..wire.context import ALL_FAMILIES, AS4, WireContext
from ..wire.errors import TextError, WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.message import ROUTE_REFRESH, UPDATE, Message
from ..wire.prefix import Prefix, parse_prefix
from ..wire.refresh import RouteRefresh
from ..wire.update import Update
from . import base
from .base import DecoderOptions, Format
from .json import JsonDecoder
from .lines import LineDecoder

_START: Final = re.compile(rb"\s*(?:neighbor\s+\S[^\n]*\s)?(?:announce|withdraw)\s")
_TOKEN: Final = re.compile(r"[\[\](){},]|[^\s\[\](){},]+")
_PATH_FORMS: Final = {
    AS_SEQUENCE: "[ %s ]",
    AS_SET: "( %s )",
    AS_CONFED_SEQUENCE: "[ { %s } ]",
    AS_CONFED_SET: "( { %s } )",
}
_COMMUNITIES: Final = {
    0xFFFFFF01: "no-export",
    0xFFFFFF02: "no-advertise",
    0xFFFFFF03: "no-export-subconfed",
    0xFFFFFF04: "no-peer",
    0xFFFF029A: "blackhole",
}
_NUMBERS: Final = {name.replace("-", ""): number for number, name in _COMMUNITIES.items()}
_FAMILIES: Final = {IPV4_UNICAST: "ipv4 unicast", IPV6_UNICAST: "ipv6 unicast"}
_WITHOUT_WORDS: Final = frozenset(
    (table.NEXT_HOP, table.MP_REACH, table.MP_UNREACH, table.AS4_PATH, table.AS4_AGGREGATOR)
)
"""What is said by other means: the next hop beside the prefix, and AS numbers by four octets."""


def sniff(octets: bytes) -> bool:
    line = octets
    while line.lstrip()[:1] == b"#":
        line = line.partition(b"\n")[2]
    return _START.match(line) is not None


# ---------------------------------------------------------------------------------------------------------------------
# Messages to lines


class ExaEncoder(base.Encoder):
    """UPDATEs and ROUTE-REFRESH messages to lines; other messages have none."""

    def encode_one(self, message: Message) -> bytes:
        """Raises WireError if the UPDATE can't be decoded, TextError if it has prefixes of other families."""
        if message.type_code == ROUTE_REFRESH:
            refresh = message.refresh
            return f"announce route-refresh {_family(refresh.family)}\n".encode() if not refresh.subtype else b""
        if message.type_code != UPDATE:
            return b""
        update = message.update
        if not update.as4:  # the words have one width of AS numbers
            context = update.context._replace(as4=True)
            update = Update(update.encode(context), context)
        return "".join(f"{line}\n" for line in _lines(update)).encode()


def _lines(update: Update) -> Iterator[str]:
    ended = update.end_of_rib
    if ended is not None:
        yield f"announce eor {_family(ended)}"
        return
    for code in (table.MP_UNREACH, table.MP_REACH):
        if code in update.attrs:
            _family(update.attrs[code].value.family)
    for prefix in update.withdrawn:
        yield f"withdraw route {_prefix(prefix)}"
    nlri, reach = update.nlri, update.reach
    if reach:
        words = _attribute_words(update)
        for prefixes, next_hop in ((nlri, update.value(table.NEXT_HOP)), (reach[len(nlri) :], update.next_hop)):
            for prefix in prefixes:
                yield f"announce route {_prefix(prefix)}{f' next-hop {next_hop}' if next_hop else ''}{words}"


def _family(family: Family) -> str:
    """Raises TextError."""
    if family not in _FAMILIES:
        raise TextError(f"the format exa has no lines for {family}")
    return _FAMILIES[family]


def _prefix(prefix: Prefix) -> str:
    if prefix.path_id is None:
        return str(prefix)
    return f"{prefix._replace(path_id=None)} path-information {prefix.path_id}"


def _attribute_words(update: Update) -> str:
    """All attributes, in the order of the words below."""
    known = {}
    for code, write in _WRITERS.items():
        if code in update.attrs and (text := _words(update.attrs[code], write)) is not None:
            known[code] = text
    others = [
        f" attribute [ {code:#04x} {attribute.flags & ~table.EXTENDED_LENGTH:#04x} 0x{attribute.octets.hex()} ]"
        for code, attribute in update.attrs.items()
        if code not in known and code not in _WITHOUT_WORDS
    ]
    return "".join(known.values()) + "".join(others)


def _words(attribute: Attribute, write: Callable[[Any], str]) -> str | None:
    """The words of an attribute; None if they can't say it: a value that can't be read, or other flags."""
    code = attribute.code
    if attribute.flags & ~table.EXTENDED_LENGTH != table.TABLE[code].default:
        return None
    try:
        return write(attribute.value)
    except (WireError, IndexError):
        return None


def _write_path(path: AsPath) -> str:
    return " as-path " + (" ".join(_PATH_FORMS[kind] % " ".join(map(str, ases)) for kind, ases in path) or "[ ]")


def _write_list(word: str, texts: list[str]) -> str:
    return f" {word} [ {' '.join(texts)} ]"


_WRITERS: Final[dict[int, Callable[[Any], str]]] = {
    table.ORIGIN: lambda origin: f" origin {ORIGINS[origin]}",
    table.AS_PATH: _write_path,
    table.MED: lambda med: f" med {med}",
    table.LOCAL_PREF: lambda preference: f" local-preference {preference}",
    table.COMMUNITY: lambda all_: _write_list("community", [_COMMUNITIES.get(c) or format_community(c) for c in all_]),
    table.LARGE_COMMUNITY: lambda all_: _write_list("large-community", [":".join(map(str, c)) for c in all_]),
    table.EXT_COMMUNITY: lambda all_: _write_list("extended-community", [f"0x{c:016x}" for c in all_]),
    table.ATOMIC_AGGREGATE: lambda _: " atomic-aggregate",
    table.AGGREGATOR: lambda aggregator: f" aggregator ( {aggregator.asn}:{aggregator.address} )",
    table.ORIGINATOR_ID: lambda address: f" originator-id {address}",
    table.CLUSTER_LIST: lambda addresses: _write_list("cluster-list", list(addresses)),
}


# ---------------------------------------------------------------------------------------------------------------------
# Lines to messages


class ExaDecoder(LineDecoder):
    """Lines to messages. on_note: called once, if a line has an unknown word, which is left out with its value.

    What a line does not say, the message does not have: ORIGIN, AS_PATH, and with `next-hop self` NEXT_HOP.
    """

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__(on_damage=options.on_damage, context=options.context)
        self._json: JsonDecoder | None = None
        self._on_note = options.on_note
        self._told = False

    def decode_line(self, text: bytes) -> Message | None:
        if text[:1] in (b"[", b"{"):
            if self._json is None:
                self._json = JsonDecoder(on_damage=self.on_damage, on_note=self._on_note, context=self.context)
            return self._json.decode_line(text)
        try:
            words = _Words(text.decode())
        except UnicodeDecodeError as error:
            raise TextError(f"not UTF-8: {error}") from None
        message = _read_line(words, self.context)
        if words.unknown and not self._told:
            self._told = True
            self._on_note(
                f"line {self.line}: the word {words.unknown!r} is left out; further such words are not reported"
            )
        return message


class _Words:
    """The words and brackets of a line, one after the other; "" at its end."""

    def __init__(self, text: str) -> None:
        self._words = _TOKEN.findall(text)
        self._next = 0
        self.unknown = ""
        """the first word that was left out"""

    @property
    def ahead(self) -> str:
        return self._words[self._next] if self._next < len(self._words) else ""

    def take(self, what: str = "") -> str:
        """The next word. Raises TextError if there is none, and `what` is expected."""
        word = self.ahead
        if what and not word:
            raise TextError(f"the line ends where {what} is expected")
        self._next += 1
        return word

    def take_if(self, *words: str) -> bool:
        """Passes over the next word if it is one of these."""
        found = self.ahead in words and self.ahead != ""
        self._next += found
        return found

    def take_list(self, what: str) -> list[str]:
        """`[ a b ]`, or a single word."""
        if not self.take_if("["):
            return [self.take(what)]
        found = []
        while not self.take_if("]"):
            if not self.take_if(","):
                found.append(self.take(f"{what} or ]"))
        return found

    def leave_out(self) -> None:
        """Passes over an unknown word and its value."""
        self.unknown = self.unknown or self.ahead
        self.take()
        while self.ahead and self.ahead not in _READERS and self.ahead not in _STRUCTURE:
            self.take()


def _read_line(words: _Words, context: WireContext) -> Message:
    """Raises TextError, WireError."""
    if words.take_if("neighbor"):  # the peers that ExaBGP sends it to
        while words.ahead and words.ahead not in ("announce", "withdraw"):
            words.take()
    announced = words.take_if("announce")
    if not announced and not words.take_if("withdraw"):
        raise TextError(f"it starts with {words.ahead[:20]!r}: announce or withdraw is expected")
    kind = words.take("route")
    if kind in ("eor", "route-refresh") and announced:
        family = _read_family(words, words.take("ipv4 or ipv6"))
        if kind == "route-refresh":
            return Message(ROUTE_REFRESH, RouteRefresh(family).encode(), context=context)
        ended = b"" if family == IPV4_UNICAST else family.afi.to_bytes(2, "big") + bytes((family.safi,))
        return Message(UPDATE, _end_of_rib(ended), context=context)
    prefixes = []
    if kind in ("ipv4", "ipv6"):
        _read_family(words, kind)
    if kind in ("route", "ipv4", "ipv6"):
        prefixes.append(_read_prefix(words))
    elif kind != "attributes":
        raise TextError(f"{kind[:20]!r} is not read: route, attributes, ipv4, ipv6, eor or route-refresh is expected")
    attrs: dict[str | int, Any] = {}
    path_id = next_hop = None
    while words.ahead:
        if words.take_if("nlri"):
            while words.ahead and words.ahead != "path-information":
                prefixes.append(_read_prefix(words))
        elif words.take_if("path-information"):
            path_id = _read_path_id(words.take("a path identifier"))
        elif words.take_if("next-hop"):
            said = words.take("an address or self")
            next_hop = None if said == "self" else said
        elif words.ahead in _READERS:
            code, read = _READERS[words.take()]
            if code:
                attrs[code] = read(words)
            else:
                attribute = read(words)
                attrs[attribute.code] = attribute
        elif words.ahead in ("rd", "route-distinguisher", "label"):
            raise TextError(f"{words.ahead!r}: only routes of IPv4 and IPv6 unicast are read")
        else:
            words.leave_out()
    if not prefixes:
        raise TextError("no prefix: nlri is expected")
    if path_id is not None:
        context = context._replace(add_path=ALL_FAMILIES)
        prefixes = [prefix._replace(path_id=path_id) for prefix in prefixes]
    if not announced:
        return Message(UPDATE, Update.make(withdrawn=prefixes, context=context).body, context=context)
    if next_hop is not None and "." in next_hop and all(prefix.afi == 1 for prefix in prefixes):
        attrs[table.NEXT_HOP], next_hop = next_hop, None
    in_order = dict(sorted(attrs.items(), key=lambda each: int(each[0])))  # RFC 4271 section 5
    body = Update.make(reach=prefixes, attrs=in_order, next_hop=next_hop, context=context).body
    return Message(UPDATE, body, context=context)


def _end_of_rib(family: bytes) -> bytes:
    """RFC 4724 section 2. family: AFI and SAFI, nothing for IPv4 unicast."""
    attribute = bytes((table.OPTIONAL, table.MP_UNREACH, len(family))) + family if family else b""
    return bytes(2) + len(attribute).to_bytes(2, "big") + attribute


def _read_family(words: _Words, afi: str) -> Family:
    name = f"{afi} {words.take('unicast')}"
    for family, known in _FAMILIES.items():
        if name == known:
            return family
    raise TextError(f"{name[:40]!r} is not read: {' or '.join(_FAMILIES.values())} is expected")


def _read_prefix(words: _Words) -> Prefix:
    text = words.take("a prefix")
    if "/" not in text:
        text += "/128" if ":" in text else "/32"
    return parse_prefix(text)


@lru_cache(maxsize=1024)
def _read_path_id(text: str) -> int:
    """A number, or the same as an IPv4 address."""
    if text.count(".") == 3:
        return int.from_bytes(parse_address(text), "big")
    return _number(text, 0xFFFFFFFF)


def _number(text: str, top: int) -> int:
    base_ = 16 if text[:2].lower() == "0x" else 10
    try:
        number = int(text, base_)
    except ValueError:
        number = -1
    if not 0 <= number <= top or not text.isascii():
        raise TextError(f"not a number up to {top}: {text[:40]!r}")
    return number


def _read_number(words: _Words) -> int:
    return _number(words.take("a number"), 0xFFFFFFFF)


def _read_path(words: _Words) -> list[Any]:
    """`[ 1 2 ]`, `[ 1 ( 2 3 ) ]`, `[ 1 ] ( 2 3 )`, or one AS number; braces inside mean a confederation."""
    if words.ahead not in ("[", "("):
        return [_read_number(words)]
    path: list[Any] = []
    while words.ahead in ("[", "("):
        path += _read_segment(words)
    return path


def _read_segment(words: _Words) -> list[Any]:
    is_set = words.take() == "("
    confederation = words.take_if("{")
    close = ")" if is_set else "]"
    ases: list[Any] = []
    while not words.take_if(close):
        if words.ahead in ("(", "["):
            ases += _read_segment(words)
        elif not words.take_if(",", "}"):
            ases.append(_read_number(words))
    if confederation:
        return [{"confed_set" if is_set else "confed_sequence": ases}]
    return [ases] if is_set else ases


def _read_communities(words: _Words) -> list[str]:
    found = []
    for text in words.take_list("a community"):
        number = _NUMBERS.get(text.lower().replace("-", "").replace("_", ""))
        if number is None:
            number = parse_community(text) if ":" in text else _number(text, 0xFFFFFFFF)
        found.append(format_community(number))
    return found


_EXT_KINDS: Final = {"target": "TARGET", "origin": "ORIGIN", "target4": "AS4_TARGET", "origin4": "AS4_ORIGIN"}


def _read_ext_community(text: str) -> dict[str, str]:
    """0x and 16 digits, or target:A:B and origin:A:B, A being an AS number or an IPv4 address."""
    if text[:2].lower() == "0x":
        number = _number(text, (1 << 64) - 1)
        return {"type": f"{number >> 48:#x}", "value": f"{number & 0xFFFFFFFFFFFF:#x}"}
    name, _, value = text.partition(":")
    kind = _EXT_KINDS.get(name.lower())
    left, colon, _ = value.partition(":")
    if kind is None or not colon:
        raise TextError(f"not an extended community: {text[:40]!r}; 0x and 16 digits, target:A:B or origin:A:B is read")
    if "." in left:
        kind = f"IP4_{kind}"
    elif left.isdecimal() and int(left) > 0xFFFF and kind[:3] != "AS4":
        kind = f"AS4_{kind}"
    return {"type": kind, "value": value}


def _read_aggregator(words: _Words) -> dict[str, Any]:
    inside = words.take_if("(")
    asn, colon, address = words.take("AS:ADDRESS").partition(":")
    if not colon or (inside and not words.take_if(")")):
        raise TextError("aggregator: ( AS:ADDRESS ) is expected")
    return {"asn": _number(asn, 0xFFFFFFFF), "addr": address}


def _read_attribute(words: _Words) -> Attribute:
    """`[ code flags value ]`, in hexadecimal."""
    said = words.take_list("0xCODE 0xFLAGS 0xVALUE")
    if len(said) == 2:
        said.append("0x")
    if len(said) != 3 or any(each[:2].lower() != "0x" for each in said):
        raise TextError("attribute: [ 0xCODE 0xFLAGS 0xVALUE ] is expected")
    try:
        value = bytes.fromhex(said[2][2:])
    except ValueError:
        raise TextError(f"attribute: not octets in hexadecimal: {said[2][:40]!r}") from None
    return Attribute(_number(said[1], 255), _number(said[0], 255), value, AS4)


_Reader = Callable[[_Words], Any]
_READERS: Final[dict[str, tuple[int, _Reader]]] = {
    "origin": (table.ORIGIN, lambda words: words.take("igp, egp or incomplete").upper()),
    "as-path": (table.AS_PATH, _read_path),
    "med": (table.MED, _read_number),
    "local-preference": (table.LOCAL_PREF, _read_number),
    "community": (table.COMMUNITY, _read_communities),
    "large-community": (table.LARGE_COMMUNITY, lambda words: words.take_list("a large community")),
    "extended-community": (
        table.EXT_COMMUNITY,
        lambda words: [_read_ext_community(text) for text in words.take_list("an extended community")],
    ),
    "atomic-aggregate": (table.ATOMIC_AGGREGATE, lambda words: True),
    "aggregator": (table.AGGREGATOR, _read_aggregator),
    "originator-id": (table.ORIGINATOR_ID, lambda words: words.take("an IPv4 address")),
    "cluster-list": (table.CLUSTER_LIST, lambda words: words.take_list("an IPv4 address")),
    "attribute": (0, _read_attribute),
}
"""By the word: the type code, 0 if the value says it; and what reads the value."""
_STRUCTURE: Final = frozenset(("next-hop", "path-information", "nlri", "rd", "route-distinguisher", "label"))

FORMAT: Final = Format(
    name="exa",
    suffixes=(".exa",),
    sniff=sniff,
    decoder=ExaDecoder,
    encoder=lambda options: ExaEncoder(on_report=options.on_report),
    text=True,
    routes_only=True,
)
