"""The sixth element of a JSON line: tags, and the keys ACTION and WIRE, which are no tags.

WIRE says what is needed to encode an UPDATE and can't be seen in the line: `AS2` or `AS4` for the octets of an AS
number, `ADDPATH` if prefixes have path identifiers, or `ADDPATH:IPV4/UNICAST,...` for these families; and `RIB`, that
it is made of entries of a RIB dump. They are joined by `|`. Without WIRE a message has AS numbers of 4 octets. Only an
UPDATE with AS4PATH or AS4AGGREGATOR, whose other AS numbers fit in 2 octets, is taken for one with 2: nobody else sends
these attributes (RFC 6793 section 4.1).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import lru_cache
from typing import Any, Final

from ..wire.context import ALL_FAMILIES, NO_FAMILIES, WireContext
from ..wire.errors import TextError
from ..wire.family import IPV4_UNICAST, Family, parse_family
from ..wire.message import UPDATE, Message
from ..wire.peer import peer_tags
from ..wire.tags import format_tags

BORROW, DROP, ACCEPT = 1, 2, 4
ACTIONS: Final = {"BORROW": BORROW, "DROP": DROP, "ACCEPT": ACCEPT}
OCTETS: Final = '"0x'
"""The start of octets in JSON that have no other form, because they may be malformed."""
_AS4_ONLY: Final = ('"AS4PATH":', '"AS4AGGREGATOR":')


def format_meta(message: Message, body: str, *, rib: bool = True) -> str:
    """body: the JSON text of the message's body. rib: say what is made of entries of a RIB dump."""
    context = message.context
    wire = ""
    if message.type_code == UPDATE:
        if context.guess_as:  # the width was found by decoding, so it is no guess any more
            context = context._replace(as4=message.update.as4)
        if not (context.as4 and not context.add_path and "AS4" not in body):
            wire = format_wire(context, body)
        if message.from_rib and rib:
            wire += "|RIB" if wire else "RIB"
    peer = message.peer
    if peer is not None and not message.action:
        return _format_peer(peer, wire)
    text = format_tags(message.tags)
    if wire:
        text += f'{"," if text else ""}"WIRE":"{wire}"'
    if message.action:
        names = "|".join(name for name, bit in ACTIONS.items() if message.action & bit)
        text += f'{"," if text else ""}"ACTION":"{names}"'
    return "{" + text + "}"


def format_wire(context: WireContext, body: str) -> str:
    """The value of WIRE for an UPDATE, "" for none."""
    as4 = "AS2" if not context.as4 else "AS4" if any(name in body for name in _AS4_ONLY) else ""
    families = context.add_path
    if not families or OCTETS not in body:
        return as4
    paths = "ADDPATH" if families is ALL_FAMILIES else "ADDPATH:" + ",".join(map(str, _sorted(families)))
    return f"{as4}|{paths}" if as4 else paths


def _sorted(families: Container[Family]) -> list[Family]:
    return sorted(families) if isinstance(families, frozenset | set) else []


@lru_cache(maxsize=8192)
def _format_peer(peer: bytes, wire: str) -> str:
    text = format_tags(peer_tags(peer))
    if wire:
        text += f'{"," if text else ""}"WIRE":"{wire}"'
    return "{" + text + "}"


def parse_action(text: str) -> int:
    """Names separated by |, or a number. Raises TextError."""
    if text.isascii() and text.isdigit() and len(text) < 3:
        return int(text) & (BORROW | DROP | ACCEPT)
    action = 0
    for each in filter(None, text.split("|")):
        bit = ACTIONS.get(each.strip().upper())
        if bit is None:
            raise TextError(f"unknown ACTION {each!r}; {', '.join(ACTIONS)} are possible, separated by |")
        action |= bit
    return action


@lru_cache(maxsize=256)
def parse_wire(text: str, context: WireContext) -> WireContext:
    """`context` with what WIRE says. Raises TextError."""
    for word in text.upper().split("|"):
        name, _, families = word.strip().partition(":")
        if name in ("AS2", "AS4") and not families:
            context = context._replace(as4=name == "AS4")
        elif name == "ADDPATH":
            found = frozenset(map(parse_family, families.split(","))) if families else ALL_FAMILIES
            context = context._replace(add_path=found)
        elif name != "RIB" or families:
            known = "AS2, AS4, ADDPATH, ADDPATH:FAMILIES and RIB"
            raise TextError(f"unknown WIRE {text!r}; {known} are possible, joined by |")
    return context


@lru_cache(maxsize=256)
def says_width(wire: str) -> bool:
    """Whether WIRE says how many octets an AS number has."""
    return not _words(wire).isdisjoint(("AS2", "AS4"))


@lru_cache(maxsize=256)
def says_rib(wire: str) -> bool:
    """Whether WIRE says that the message is made of entries of a RIB dump."""
    return "RIB" in _words(wire)


def _words(wire: str) -> set[str]:
    return {word.strip() for word in wire.upper().split("|")}


def context_of(body: Mapping[str, Any], context: WireContext, *, said: bool, path_ids: bool) -> WireContext:
    """The context in which to encode an UPDATE from JSON, so that all its values can be expressed.

    context: that of WIRE or the pipeline. said: whether WIRE says the width of AS numbers. path_ids: prefixes may have
    path identifiers.
    """
    attributes = body.get("attrs")
    if isinstance(attributes, dict):
        context = context._replace(as4=_needs_as4(attributes, context.as4, said=said))
    if path_ids or context.add_path:
        context = _with_add_path(context, *_families(body, attributes))
    return context


def _needs_as4(attributes: Mapping[str, Any], as4: bool, *, said: bool) -> bool:
    """Whether the AS numbers of a message are to have 4 octets."""
    as4_only = not said and ("AS4PATH" in attributes or "AS4AGGREGATOR" in attributes)
    if as4 and not as4_only:
        return True
    path, aggregator = (_value(attributes.get(name)) for name in ("ASPATH", "AGGREGATOR"))
    asn = aggregator.get("asn") if isinstance(aggregator, dict) else None
    return _largest(path) > 0xFFFF or _largest(asn) > 0xFFFF


def _value(attribute: object) -> object:
    return attribute.get("value") if isinstance(attribute, dict) and "flags" in attribute else attribute


def _largest(ases: object) -> int:
    """The largest AS number in the JSON of a path; 0 if there is none."""
    if isinstance(ases, list):
        return max(map(_largest, ases), default=0)
    if isinstance(ases, dict):
        return max(map(_largest, ases.values()), default=0)
    if isinstance(ases, str) and ases.isascii() and ases.isdigit() and len(ases) <= 10:
        return int(ases)
    return ases if type(ases) is int else 0


def _families(body: Mapping[str, Any], attributes: object) -> tuple[frozenset[Family], frozenset[Family]]:
    """The families of an UPDATE's JSON whose prefixes have path identifiers, and those whose have none.

    Malformed JSON is ignored here; the encoder reports it.
    """
    lists = [(IPV4_UNICAST, body.get("reach")), (IPV4_UNICAST, body.get("unreach"))]
    for key, attribute in attributes.items() if isinstance(attributes, dict) else ():
        if key.upper() in ("MP_REACH", "MP_UNREACH"):
            value = _value(attribute)
            if isinstance(value, dict) and isinstance(value.get("af"), str):
                lists += [(parse_family(value["af"]), value.get(key)) for key in ("prefixes", "routes", "rules")]
    having = frozenset(family for family, prefixes in lists if _any_path_id(prefixes))
    lacking = frozenset(family for family, prefixes in lists if prefixes and isinstance(prefixes, list)) - having
    return having, lacking


def _any_path_id(prefixes: object) -> bool:
    """Whether one of the prefixes, which may be objects, has a path identifier."""
    return isinstance(prefixes, list) and any(
        text[:1] == "#" if isinstance(text, str) else isinstance(text, dict) and "id" in text for text in prefixes
    )


@lru_cache(maxsize=256)
def _with_add_path(context: WireContext, having: frozenset[Family], lacking: frozenset[Family]) -> WireContext:
    """What prefixes show counts; WIRE counts for families of which only octets are shown."""
    families = context.add_path
    if families is ALL_FAMILIES:
        families = ALL_FAMILIES if not lacking else having
    else:
        families = having | {family for family in _sorted(families) if family not in lacking}
    return context._replace(add_path=families or NO_FAMILIES)
