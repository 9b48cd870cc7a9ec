"""Conditions on what every message has: type, direction, number, time, tags, and its body as JSON.

A binder turns a parsed condition into a bound one. fields.py has checked before that the field takes the operator and
the index. The binder parses the value, once, and raises ConditionError if it makes no sense. A closure does the rest
for each message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ..wire.address import format_address, parse_address
from ..wire.attrs import TABLE, parse_name
from ..wire.errors import TextError
from ..wire.flags import DIRECTION_FLAGS
from ..wire.message import TYPE_NAMES, UPDATE, Message, parse_type
from ..wire.peer import peer_tags
from ..wire.prefix import AFI_BITS, Prefix
from ..wire.state import BMP, STATE
from .conditions import BoundCondition, Look, Predicate, ProgramStep
from .errors import ConditionError, nearest
from .pattern import compile_pattern
from .predicates import COMPARE, any_matches, compares, matches, prefix_match, present
from .spelling import parse_asn
from .syntax import Condition
from .values import integer_of, number_of, parse_address_or_prefix, parse_time, parse_unsigned

Binder = Callable[[Condition], BoundCondition]

PEER_TAGS: Final = ("PEER_AS", "PEER_IP", "LOCAL_AS", "LOCAL_IP", "INTERFACE")
"""What block.peer_tags finds in a per-peer header."""
_PEER_TAGS: Final = {look.name: look for look in (Look.PEER_AS, Look.PEER_IP, Look.LOCAL_AS, Look.LOCAL_IP)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_decode_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_string: Final = msgspec.json.Decoder(str).decode


def bind_type(condition: Condition) -> BoundCondition:
    if (code := {"STATE": STATE, "BMP": BMP}.get(condition.value.upper())) is not None:
        return _type_condition(code)
    try:
        return _type_condition(parse_type(condition.value))
    except TextError:
        hint = nearest(condition.value.upper(), TYPE_NAMES.values())
        raise ConditionError("value", f"invalid BGP message type: {condition.value}{hint}") from None


def type_is(code: int) -> Binder:
    """The binder of a field that names one message type."""
    return lambda condition: _type_condition(code)


def _type_condition(code: int) -> BoundCondition:
    return BoundCondition(
        lambda message: message.type_code == code,
        updates_only=False,
        on_updates=code == UPDATE,
        step=ProgramStep(Look.TYPE, "==", code),
    )


def bind_direction(condition: Condition) -> BoundCondition:
    def get(message: Message) -> str | None:
        return message.direction if message.direction != "?" else None

    if not condition.operator:
        return BoundCondition(present(get), updates_only=False, step=ProgramStep(Look.DIRECTION))
    direction = {"L": "L", "R": "R", "LR": "LR", "RL": "LR"}.get(condition.value.upper())
    if direction is None:
        raise ConditionError("value", f"invalid direction: {condition.value} (expected L, R, or LR)")
    step = ProgramStep(Look.DIRECTION, "==", DIRECTION_FLAGS[direction])
    return BoundCondition(compares(get, "==", direction), updates_only=False, step=step)


def bind_seq(condition: Condition) -> BoundCondition:
    def get(message: Message) -> int | None:
        return message.seq or None

    if not condition.operator:
        return BoundCondition(present(get), updates_only=False, step=ProgramStep(Look.SEQ))
    number = parse_unsigned(condition.value, 63)
    step = ProgramStep(Look.SEQ, condition.operator, number)
    return BoundCondition(compares(get, condition.operator, number), updates_only=False, step=step)


def bind_time(condition: Condition) -> BoundCondition:
    def get(message: Message) -> int | None:
        return message.time or None

    if condition.operator == "~":
        return BoundCondition(matches(_time_text, compile_pattern(condition.value)), updates_only=False)
    if not condition.operator:
        return BoundCondition(present(get), updates_only=False, step=ProgramStep(Look.TIME))
    time = parse_time(condition.value)
    step = ProgramStep(Look.TIME, condition.operator, time)
    return BoundCondition(compares(get, condition.operator, time), updates_only=False, step=step)


def _time_text(message: Message) -> str | None:
    """A time as the JSON form writes it: with milliseconds, or with microseconds if they are not zero."""
    time = message.time
    if not time:
        return None
    digits = "microseconds" if time % 1000 else "milliseconds"
    try:
        return (_EPOCH + timedelta(microseconds=time)).isoformat(timespec=digits)[:-6]
    except OverflowError:
        return None


def bind_tag(condition: Condition) -> BoundCondition:
    """Binds `tag[KEY]`. An empty tag counts as absent. Without a key, any tag matches. The keys of a per-peer header
    (PEER_AS, ...) may be written in small letters."""
    condition = _peer_tag(condition)
    test: Callable[[str], bool]
    if condition.operator == "~":
        test = compile_pattern(condition.value)
    else:
        test = condition.value.__eq__ if condition.operator else bool
    key = condition.subscript
    predicate: Predicate
    if key is None:
        predicate = any_matches(lambda message: list(filter(None, _tags(message).values())), test)
    else:
        predicate = matches(lambda message: _tags(message).get(key) or None, test)
    step = _peer_step(condition) or _tag_step(condition, test)
    return BoundCondition(
        predicate if condition.operator else lambda message: bool(predicate(message)), updates_only=False, step=step
    )


def _tag_step(condition: Condition, test: Callable[[str], bool]) -> ProgramStep | None:
    """The step for a tag that only stages set."""
    key = condition.subscript
    if key is None or key in PEER_TAGS:
        return None
    if not condition.operator:
        return ProgramStep(Look.TAG, tag=(key, lambda value: value is not None))
    return ProgramStep(
        Look.TAG, condition.operator, tag=(key, lambda value: test(value) if value is not None else None)
    )


def _peer_tag(condition: Condition) -> Condition:
    """The condition with the key of a tag of the peer as it is written in messages, and an AS number without `AS`."""
    key = (condition.subscript or "").upper()
    if key not in PEER_TAGS:
        return condition  # other keys are as their stages write them
    value = condition.value
    if condition.operator == "==" and key.endswith("_AS") and value[:2].upper() == "AS" and value[2:].isdecimal():
        value = value[2:]
    return condition._replace(subscript=key, value=value)


def bind_peer_asn(condition: Condition) -> BoundCondition:
    """`peer_asn`: the number in the tag PEER_AS."""

    def get(message: Message) -> int | None:
        number = _tags(message).get("PEER_AS", "")
        return int(number) if number.isdecimal() and len(number) <= 10 else None

    sign = condition.operator
    if not sign:
        return BoundCondition(present(get), updates_only=False, step=ProgramStep(Look.PEER_AS))
    number = parse_asn(condition.value)
    return BoundCondition(compares(get, sign, number), updates_only=False, step=ProgramStep(Look.PEER_AS, sign, number))


def bind_peer_ip(condition: Condition) -> BoundCondition:
    """`peer_ip`: the address in the tag PEER_IP."""

    def get(message: Message) -> Prefix | None:
        address = _tags(message).get("PEER_IP", "")
        try:
            return parse_address_or_prefix(address) if address and "/" not in address else None
        except ConditionError:
            return None

    if not condition.operator:
        return BoundCondition(present(get), updates_only=False, step=ProgramStep(Look.PEER_IP))
    reference = parse_address_or_prefix(condition.value)
    if condition.operator == "==" and reference.length != AFI_BITS[reference.afi]:
        raise ConditionError("value", f"invalid value {condition.value}: peer_ip ~ PREFIX asks for a prefix")
    octets = reference.address.to_bytes(AFI_BITS[reference.afi] // 8, "big")
    step = ProgramStep(Look.PEER_IP, condition.operator, reference.afi, octets, reference.length)
    sign = "<=" if condition.operator == "~" else "=="
    return BoundCondition(matches(get, prefix_match(sign, reference)), updates_only=False, step=step)


def _peer_step(condition: Condition) -> ProgramStep | None:
    """The step for a tag that accel reads from the per-peer header of an archive's record."""
    look = _PEER_TAGS.get(condition.subscript or "")
    sign, value = condition.operator, condition.value
    if look is None or sign not in ("", "=="):
        return None
    if not sign:
        return ProgramStep(look)
    if look in (Look.PEER_AS, Look.LOCAL_AS):
        number = integer_of(value) or 0
        # tags are text, so 007 isn't 7
        return ProgramStep(look, sign, number) if str(number) == value and 0 <= number < 1 << 32 else None
    try:
        octets = parse_address(value)
    except TextError:
        return None
    return ProgramStep(look, sign, 1 if len(octets) == 4 else 2, octets) if format_address(octets) == value else None


def _tags(message: Message) -> Mapping[str, str]:
    """The tags of a message, read without marking them as perhaps changed (Message.asked_tags)."""
    peer = message.peer
    return message.tags if peer is None else peer_tags(peer)


def bind_json(condition: Condition) -> BoundCondition:
    return _json_condition(condition, (condition.subscript or "").split("."), updates_only=False)


def bind_attribute(condition: Condition) -> BoundCondition:
    """`attr[NAME.PATH]` is `json[attrs.NAME.value.PATH]`."""
    name, *path = (condition.subscript or "").split(".")
    try:
        code = parse_name(name)
    except TextError:
        hint = nearest(name.upper(), [row.name for row in TABLE if not row.name.startswith("ATTR_")])
        raise ConditionError("index", f"unknown attribute: {name}{hint}") from None
    return _json_condition(condition, ["attrs", TABLE[code].name, "value", *path], updates_only=True)


def _json_condition(condition: Condition, path: list[str], updates_only: bool) -> BoundCondition:
    sign, value = condition.operator, condition.value
    number = number_of(value)
    key = ".".join(path)
    match: Callable[[str], bool]
    if sign == "~":
        match = compile_pattern(value)
    elif sign == "==" or not sign:
        # 1.50 is 1.5 unless it is quoted
        exact = number is None or condition.quoted
        match = value.__eq__ if exact else lambda text: text == value or number_of(text) == number
    elif number is None:
        raise ConditionError("value", "invalid value: numeric operator requires numeric value")
    else:
        compare = COMPARE[sign]

        def match(text: str) -> bool:
            found = number_of(text)
            return found is not None and compare(found, number)

    def get(message: Message) -> str | None:
        return _find_in(message, key, path)

    return BoundCondition(matches(get, match) if sign else present(get), updates_only)


_last: tuple[Message | None, bytes, bytes, dict[str, str | None]] = (None, b"", b"", {})
"""A cache for one message, because a filter may have many conditions about it: the message, its body, the JSON of the
body, and the values that were found at paths in it."""


def _find_in(message: Message, path: str, steps: list[str]) -> str | None:
    """The value at a path in the JSON of a message's body. steps: the parts of the path."""
    global _last
    known, body, text, found = _last  # one object, so that another thread can't come between
    if known is not message or body is not message.body:
        body, text, found = message.body, message.format_json().encode(), {}
        _last = message, body, text, found
    if path not in found:
        found[path] = _find(text, steps)
    return found[path]


def _find(found: bytes, path: list[str]) -> str | None:
    """The value at a path in JSON, as JSON text; strings without quotes; None if there is none, and for null."""
    try:
        for step in path:
            found = bytes(_decode_list(found)[int(step)] if found[:1] == b"[" else _decode_object(found)[step])
        if found[:1] == b'"':
            return _decode_string(found)
    except (LookupError, ValueError):  # msgspec's errors are ValueErrors
        return None
    return None if found == b"null" else found.decode()
