"""The lines of `bgpdump -m`: one for each prefix that is announced or withdrawn, or state change.

    BGP4MP|time|A|peer|AS|prefix|AS path|origin|next hop|local pref|MED|communities|AG or NAG|aggregator|
    BGP4MP|time|W|peer|AS|prefix
    BGP4MP|time|STATE|peer|AS|old|new

BGP4MP_ET has microseconds, TABLE_DUMP2 and TABLE_DUMP are entries (B) of RIB dumps, and with `_AP` a path identifier
stands behind the prefix. Lines have no place for other attributes, nor for messages other than UPDATEs. BGP, for what
comes from the old MRT type BGP, is read, where the field of communities is missing, and written as BGP4MP.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from .. import accel
from ..wire.address import format_address, parse_address
from ..wire.attrs import MP_REACH, MP_UNREACH
from ..wire.attrs.mp_reach import MpReach
from ..wire.attrs.mp_unreach import MpUnreach
from ..wire.block import Block
from ..wire.context import AS2, AS4, AS4_ADD_PATH
from ..wire.errors import TextError
from ..wire.family import Family
from ..wire.flags import FLAG_RIB
from ..wire.item import Item
from ..wire.message import UPDATE, Message
from ..wire.prefix import parse_prefix
from ..wire.state import StateChange
from ..wire.update import Update
from . import base
from .base import DecoderOptions, Format, encode_block
from .lines import LineDecoder

KINDS: Final = ("BGP4MP", "BGP4MP_ET", "BGP", "TABLE_DUMP", "TABLE_DUMP2")
_START: Final = re.compile(rb"(?:BGP4MP|BGP4MP_ET|BGP|TABLE_DUMP|TABLE_DUMP2)(?:_AP)?\|[0-9.]+\|(?:[ABW]|STATE)\|")
_TIME: Final = re.compile(r"(\d{1,10})(?:\.(\d{1,6}))?", re.ASCII)
_PATH: Final = re.compile(r"\{[\d,]*\}|\([\d ]*\)|\[[\d,]*\]|\d+", re.ASCII)
_NO_NEXT_HOP: Final = "255.255.255.255"
_COMMUNITIES: Final = {
    "no-export": "65535:65281",
    "no-advertise": "65535:65282",
    "local-AS": "65535:65283",
}
_bgpdump_out: Any = getattr(accel, "bgpdump_out", None)


def sniff(octets: bytes) -> bool:
    return _START.match(octets) is not None


class BgpdumpEncoder(base.Encoder):
    """Messages to lines. A message without plain IP prefixes has none, such as one of VPNs or EVPN."""

    def encode(self, item: Item) -> bytes:
        if isinstance(item, Block) and _bgpdump_out is not None:
            return encode_block(item, _bgpdump_out.encode, self.encode_message)
        return super().encode(item)

    def encode_one(self, message: Message) -> bytes:
        """Raises WireError if the prefixes of an UPDATE can't be decoded, TextError if it has routes that have no lines
        and nobody is told of them."""
        if message.type_code == UPDATE and not isinstance(message, StateChange):
            _ = message.update.withdrawn, message.update.reach  # elems() has none where these raise
            if family := _family_without_lines(message.update):
                error = TextError(f"bgpdump has no line for routes of {family}")
                if self.on_report is None:
                    raise error
                self.on_report(message, error)
        return "".join(f"{elem}\n" for elem in message.elems() if elem.route is None).encode()


def _family_without_lines(update: Update) -> Family | None:
    """The family of routes that are not IP prefixes alone; None if there are none."""
    for code in (MP_REACH, MP_UNREACH):
        value = update.value(code)
        if isinstance(value, MpReach | MpUnreach) and value.nlri and not value.family.address_bits:
            return value.family
    return None


class BgpdumpDecoder(LineDecoder):
    """Lines to messages, one each. A number that stands for an absent attribute (0 for MED) is read as absent."""

    def __init__(self, options: DecoderOptions) -> None:
        super().__init__(on_damage=options.on_damage, context=options.context)
        self._states = options.states

    def decode_line(self, text: bytes) -> Message | None:
        kind, *fields = text.decode("ascii", "replace").split("|")
        kind, path_id = kind.removesuffix("_AP"), kind.endswith("_AP")
        if kind not in KINDS:
            raise TextError(f"not a line of bgpdump -m: it starts with {kind[:20]!r}, and not with {', '.join(KINDS)}")
        letter = fields[1] if len(fields) > 1 else ""
        if kind == "BGP" and letter == "A":
            fields.insert(10, "")  # no communities
        wanted = _FIELDS.get(letter)
        if wanted is None:
            raise TextError(f"{letter[:20]!r} in the third field: A, B, W or STATE is expected")
        if len(fields) < wanted + path_id:
            raise TextError(f"{len(fields) + 1} fields; a line {letter} has {wanted + path_id + 1}")
        time, tags = _parse_time(fields[0]), _peer(fields[2], fields[3])
        if letter == "STATE":
            self.counts.states += 1
            change = StateChange(_number(fields[4], 65535), _number(fields[5], 65535), time=time, tags=tags)
            return change if self._states else None
        context = AS4_ADD_PATH if path_id else AS2 if kind in ("TABLE_DUMP", "BGP") else AS4
        prefix = parse_prefix(fields[4])
        if path_id:
            prefix = prefix._replace(path_id=_number(fields[5], 0xFFFFFFFF))
        if letter == "W":
            body = Update.make(withdrawn=[prefix], context=context).body
        else:
            attrs, next_hop = _attributes(tuple(fields[5 + path_id :][:8]))
            if next_hop is None and prefix.afi != 1:
                if letter == "A":
                    raise TextError(f"no next hop for {fields[4]}")
                family = {"af": "IPV6/UNICAST", "prefixes": [str(prefix)]}
                body = Update.make(attrs=attrs | {"MP_REACH": family}, context=context).body
            else:
                body = Update.make(reach=[prefix], attrs=attrs, next_hop=next_hop, context=context).body
        verdict = FLAG_RIB if letter == "B" else 0
        return Message(UPDATE, body, time=time, tags=tags, context=context, verdict=verdict)


_FIELDS: Final = {"A": 13, "B": 13, "W": 5, "STATE": 6}
"""Fields behind the first, without a path identifier."""


def _parse_time(text: str) -> int:
    """Seconds since 1970, with or without a fraction, as microseconds. Raises TextError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise TextError(f"not a time: {text[:40]!r}; seconds since 1970 are expected (bgpdump -m)")
    return int(found[1]) * 1_000_000 + int((found[2] or "").ljust(6, "0"))


@lru_cache(maxsize=1024)
def _peer_tags(address: str, asn: str) -> tuple[tuple[str, str], ...]:
    parsed = format_address(parse_address(address))
    number = _number(asn, 0xFFFFFFFF)
    tags = [("PEER_AS", str(number))] if number else []
    return tuple(tags if parsed in ("0.0.0.0", "::") else [*tags, ("PEER_IP", parsed)])


def _peer(address: str, asn: str) -> dict[str, str]:
    return dict(_peer_tags(address, asn))


@lru_cache(maxsize=4096)
def _attributes(fields: tuple[str, ...]) -> tuple[dict[str | int, Any], str | None]:
    """The attributes as JSON has them, and the next hop. Raises TextError."""
    path, origin, next_hop, local_pref, med, communities, atomic, aggregator = fields
    attrs: dict[str | int, Any] = {"ORIGIN": origin, "ASPATH": parse_path(path)}
    if number := _number(med, 0xFFFFFFFF):
        attrs["MED"] = number
    if number := _number(local_pref, 0xFFFFFFFF):
        attrs["LOCALPREF"] = number
    if atomic not in ("AG", "NAG"):
        raise TextError(f"neither AG nor NAG: {atomic[:20]!r}")
    if atomic == "AG":
        attrs["AGGREGATE"] = True
    if aggregator:
        asn, _, address = aggregator.partition(" ")
        attrs["AGGREGATOR"] = {"asn": _number(asn, 0xFFFFFFFF), "addr": address}
    if communities:
        attrs["COMMUNITY"] = [_COMMUNITIES.get(each, each) for each in communities.split()]
    return attrs, None if next_hop in ("", _NO_NEXT_HOP) else next_hop


def parse_path(text: str) -> list[Any]:
    """`65001 {65002,65003} (65004) [65005]` as JSON has it. Raises TextError."""
    if _PATH.sub("", text).strip():
        raise TextError(f"not an AS path: {text[:80]!r}")
    path: list[Any] = []
    for each in _PATH.findall(text):
        ases = [_number(asn, 0xFFFFFFFF) for asn in re.findall(r"\d+", each)]
        if each[0] == "{":
            path.append(ases)
        elif each[0] == "(":
            path.append({"confed_sequence": ases})
        elif each[0] == "[":
            path.append({"confed_set": ases})
        else:
            path += ases
    return path


def _number(text: str, top: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > top:
        raise TextError(f"not a number up to {top}: {text[:40]!r}")
    return int(text)


FORMAT: Final = Format(
    name="bgpdump",
    suffixes=(".bgpdump",),
    sniff=sniff,
    decoder=BgpdumpDecoder,
    encoder=lambda options: BgpdumpEncoder(on_report=options.on_report),
    text=True,
    states=True,
    routes_only=True,
    entries=True,
)
