"""Conditions on UPDATEs: family, prefixes, next hop, AS path, and the attributes that are numbers or communities.

Binders as in of_message.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, Final

import msgspec

from ..wire import attrs
from ..wire.address import parse_address
from ..wire.attrs.as_path import AsPath, Hop
from ..wire.communities import WELL_KNOWN_COMMUNITIES
from ..wire.context import AS4
from ..wire.errors import TextError
from ..wire.ext_community import parse_ext_community
from ..wire.family import Family, parse_afi, parse_family, parse_safi
from ..wire.message import Message
from ..wire.prefix import AFI_BITS, Prefix
from .conditions import BoundCondition, Look, ProgramStep
from .errors import ConditionError
from .of_message import Binder
from .pattern import compile_pattern
from .predicates import COMPARE, any_matches, compares, matches, of_update, prefix_match, present
from .spelling import (
    community_glob,
    community_pattern,
    is_asn,
    parse_asn,
    path_pattern,
    path_text,
)
from .syntax import Condition
from .values import integer_of, parse_address_or_prefix, parse_unsigned

_get_path = attrgetter("update.as_path")
_get_next_hop = attrgetter("update.next_hop")
_PREFIXES: Final[dict[Look, Callable[[Message], list[Prefix]]]] = {
    Look.PREFIX: lambda message: message.update.reach_prefixes + message.update.withdrawn_prefixes,
    Look.REACH: attrgetter("update.reach_prefixes"),
    Look.UNREACH: attrgetter("update.withdrawn_prefixes"),
}
_CODES: Final = {
    Look.MED: attrs.MED,
    Look.LOCAL_PREF: attrs.LOCAL_PREF,
    Look.OTC: attrs.OTC,
    Look.COMMUNITY: attrs.COMMUNITY,
    Look.EXT_COMMUNITY: attrs.EXT_COMMUNITY,
    Look.LARGE_COMMUNITY: attrs.LARGE_COMMUNITY,
}
_TEXTS: Final = {
    Look.COMMUNITY: Look.COMMUNITY_TEXT,
    Look.LARGE_COMMUNITY: Look.LARGE_COMMUNITY_TEXT,
}
_ORIGINS: Final = {"IGP": 0, "I": 0, "0": 0, "EGP": 1, "E": 1, "1": 1, "INCOMPLETE": 2, "?": 2, "2": 2}


def bind_family(condition: Condition) -> BoundCondition:
    return _family_condition(_parse_family(condition.value))


def family_is(family: Family) -> Binder:
    """The binder of a field that names one family."""
    return lambda condition: _family_condition(family)


def _family_condition(wanted: Family) -> BoundCondition:
    """A condition on the family. AFI or SAFI 0 is any."""

    def match(family: Family) -> bool:
        return wanted.afi in (0, family.afi) and wanted.safi in (0, family.safi)

    step = ProgramStep(Look.FAMILY, "==", wanted.afi << 8 | wanted.safi)
    return BoundCondition(of_update(matches(attrgetter("update.family"), match)), step=step)


def _parse_family(text: str) -> Family:
    readings: tuple[Callable[[str], Family], ...] = (
        parse_family,
        lambda text: Family(parse_afi(text), 0),
        lambda text: Family(0, parse_safi(text)),
    )
    for reading in readings:
        try:
            return reading(text)
        except TextError:
            continue
    raise ConditionError(
        "value", f"invalid AFI/SAFI value: {text} (expected AFI/SAFI, AFI or SAFI, as in IPV4/UNICAST)"
    )


def prefixes(look: Look) -> Binder:
    """The binder of a field that is a list of prefixes, of all families whose NLRI have some."""
    get = _PREFIXES[look]

    def bind(condition: Condition) -> BoundCondition:
        if not condition.operator:
            return BoundCondition(of_update(lambda message: bool(get(message))), step=ProgramStep(look))
        reference = parse_address_or_prefix(condition.value)
        every = condition.subscript == "*"
        predicate = any_matches(get, prefix_match(condition.operator, reference), every)
        return BoundCondition(of_update(predicate), step=_prefix_step(look, condition.operator, reference, every))

    return bind


def bind_prefix_length(condition: Condition) -> BoundCondition:
    """`prefix_len`: bits of the length of a prefix, announced or withdrawn."""
    reference, compare = parse_unsigned(condition.value, 8), COMPARE[condition.operator]
    every = condition.subscript == "*"
    get = _PREFIXES[Look.PREFIX]
    return BoundCondition(of_update(any_matches(get, lambda prefix: compare(prefix.length, reference), every)))


def _prefix_step(look: Look, operator: str, reference: Prefix, every: bool = False) -> ProgramStep:
    address = reference.address.to_bytes(AFI_BITS[reference.afi] // 8, "big")
    return ProgramStep(look, operator, reference.afi, address, reference.length, every=every)


def bind_next_hop(condition: Condition) -> BoundCondition:
    if not condition.operator:
        return BoundCondition(of_update(present(_get_next_hop)), step=ProgramStep(Look.NEXT_HOP))
    reference = parse_address_or_prefix(condition.value)
    afi, address, length, _ = reference
    bits = AFI_BITS[afi]
    if condition.operator == "~":
        shift, compare = bits - length, COMPARE["=="]
    elif length == bits:
        shift, compare = 0, COMPARE[condition.operator]
    else:
        raise ConditionError(
            "value", f"invalid value {condition.value}: a single IP address is needed for this operator"
        )

    def match(next_hop: str) -> bool:
        octets = parse_address(next_hop)
        return len(octets) * 8 == bits and compare(int.from_bytes(octets, "big") >> shift, address >> shift)

    step = _prefix_step(Look.NEXT_HOP, condition.operator, reference)
    return BoundCondition(of_update(matches(_get_next_hop, match)), step=step)


def bind_path(condition: Condition) -> BoundCondition:
    """`aspath`: with a number any hop, or the one that the index names; with text or a pattern all of the path."""
    index = integer_of(condition.subscript or "*")
    sign, value = condition.operator, condition.value
    if sign and sign != "~" and is_asn(value):
        return _hop_condition(sign, parse_asn(value), index)
    if index is not None:
        raise ConditionError("index", f"invalid index: [{index}] needs one of == < <= > >= and an AS number")
    if not sign:
        return BoundCondition(of_update(lambda message: bool(_get_path(message))), step=ProgramStep(Look.PATH))
    from .dfa import text_table  # here, because few filters need it

    text = path_text(value)
    if sign == "~":
        match, table = _compile(value, path_pattern)
    elif sign == "==" and re.fullmatch(r"[0-9,\[\]()]+", text):
        match, table = text.__eq__, text_table(text)
    else:
        wanted = "an AS number, or a path such as 1,2,[3,4]" if sign == "==" else "integer"
        raise ConditionError("value", f"invalid value: {value} (expected {wanted})")

    def predicate(message: Message) -> bool | None:
        path = _get_path(message)
        return match(str(path)) if path else None

    return BoundCondition(of_update(predicate), step=ProgramStep(Look.PATH_TEXT, sign, table=table) if table else None)


def hop_at(index: int) -> Binder:
    """The binder of a field that is one hop of the path."""
    return lambda condition: _hop_condition(condition.operator, parse_asn(condition.value), index)


def _compile(pattern: str, translate: Callable[[str], str]) -> tuple[Callable[[str], bool], bytes]:
    """A match of a pattern in users' spelling, and its table for accel. Raises ConditionError."""
    from .dfa import pattern_table  # here, because few filters need it

    compile_pattern(pattern)  # first the text as written, so that the place of an error is right
    translated = translate(pattern)
    return compile_pattern(translated), pattern_table(translated)


def _hop_condition(sign: str, number: int, index: int | None) -> BoundCondition:
    """A condition on one hop or on any. An AS_SET matches if one of its members does. A missing hop does not match."""
    compare = COMPARE[sign]

    def match(hop: Hop) -> bool:
        return compare(hop, number) if isinstance(hop, int) else any(compare(asn, number) for asn in hop)

    def predicate(message: Message) -> bool | None:
        path = _get_path(message)
        if not path:
            return None
        hops = path.hops
        if index is None:
            return any(map(match, hops))
        return -len(hops) <= index < len(hops) and match(hops[index])

    return BoundCondition(
        of_update(predicate), step=ProgramStep(Look.HOP, sign, number, hop=index or 0, every=index is None)
    )


def bind_path_length(condition: Condition) -> BoundCondition:
    return _length_condition(condition, Look.PATH_LEN, lambda path: len(path.hops))


def bind_path_hops(condition: Condition) -> BoundCondition:
    return _length_condition(condition, Look.PATH_HOPS, _count_hops)


def _length_condition(condition: Condition, look: Look, count: Callable[[AsPath], int]) -> BoundCondition:
    """An empty path has no length: it is absent."""
    if not condition.operator:
        return BoundCondition(of_update(lambda message: bool(_get_path(message))), step=ProgramStep(look))
    number = integer_of(condition.value)
    if number is None or not 0 <= number < 1 << 32:
        raise ConditionError("value", f"invalid value: {condition.value} (expected non-negative integer)")

    def get(message: Message) -> int | None:
        path = _get_path(message)
        return count(path) if path else None

    return BoundCondition(
        of_update(compares(get, condition.operator, number)), step=ProgramStep(look, condition.operator, number)
    )


def _count_hops(path: AsPath) -> int:
    """Counts hops without prepending: a hop that repeats the one before it does not count. A set of one AS is that
    AS."""
    count, before = 0, None
    for hop in path.hops:
        asn = hop if isinstance(hop, int) else hop[0] if len(hop) == 1 else None
        count += asn is None or asn != before
        before = asn
    return count


def bind_origin(condition: Condition) -> BoundCondition:
    get = _value(attrs.ORIGIN)
    if not condition.operator:
        return BoundCondition(of_update(present(get)), step=ProgramStep(Look.ORIGIN))
    code = _ORIGINS.get(condition.value.upper())
    if code is None:
        hint = "; as_origin is the AS" if is_asn(condition.value) else ""
        raise ConditionError("value", f"invalid origin value: {condition.value} (use igp/egp/incomplete{hint})")
    return BoundCondition(of_update(compares(get, "==", code)), step=ProgramStep(Look.ORIGIN, "==", code))


def number(look: Look) -> Binder:
    """The binder of an attribute that is one number of 32 bits."""
    get = _value(_CODES[look])

    def bind(condition: Condition) -> BoundCondition:
        if not condition.operator:
            return BoundCondition(of_update(present(get)), step=ProgramStep(look))
        reference = (parse_asn if look is Look.OTC else partial(parse_unsigned, bits=32))(condition.value)
        predicate = compares(get, condition.operator, reference)
        return BoundCondition(of_update(predicate), step=ProgramStep(look, condition.operator, reference))

    return bind


def communities(look: Look, parse: Callable[[str], Any]) -> Binder:
    """The binder of an attribute that is a list of communities. == finds one; ~ matches the JSON text of all of
    them."""
    code = _CODES[look]
    get = _value(code)
    codec = attrs.TABLE[code].codec

    def bind(condition: Condition) -> BoundCondition:
        if not condition.operator:
            return BoundCondition(of_update(lambda message: bool(get(message))), step=ProgramStep(look))
        glob = community_glob(condition.value) if look in _TEXTS else None
        if condition.operator == "~" or glob:
            translate = community_pattern if look in _TEXTS else str
            search, table = _compile(glob or condition.value, (lambda text: text) if glob else translate)

            def predicate(message: Message) -> bool | None:
                value = get(message)
                return search((codec.format_json(value) or "")[1:-1]) if value else None

            step = ProgramStep(_TEXTS[look], "~", table=table) if look in _TEXTS and table else None
            return BoundCondition(of_update(predicate), step=step)
        try:
            known = WELL_KNOWN_COMMUNITIES.get(condition.value.lower()) if look is Look.COMMUNITY else None
            wanted = parse(known or condition.value)
        except (TextError, ValueError) as error:
            raise ConditionError("value", f"invalid value: {error}") from None
        step = ProgramStep(look, "==", address=codec.encode((wanted,), AS4))
        return BoundCondition(of_update(any_matches(get, wanted.__eq__)), step=step)

    return bind


def parse_ext_community_text(text: str) -> int:
    """One extended community from the text of its JSON object. Raises TextError or ValueError."""
    return parse_ext_community(msgspec.json.decode(text))


def _value(code: int) -> Callable[[Message], Any]:
    """The value of the attribute with this type code; None if it is absent or can't be decoded."""
    return lambda message: message.update.value(code)
