"""The one definition of a malformed UPDATE (RFC 4271 section 6.3, RFC 7606 sections 3 to 5).

`validate` finds every error, with the reaction that RFC 7606 asks for. `malformed` leaves out missing attributes: it
finds the errors of the event PARSE and of the count `malformed=`. The rules for a single attribute are in
attrs/attribute.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .. import accel
from . import attrs as table
from .attribute_json import are_sound
from .attrs.mp_reach import MpReach
from .errors import Reaction, WireError
from .family import IPV4_UNICAST
from .flags import context_flags
from .prefix import are_prefixes, split_prefixes
from .update_body import UpdateBody

_INVALID_NEXT_HOP: Final = 8
"""Subcode of a NEXT_HOP that is not the address of a host. Without an NLRI field it is ignored (RFC 4760 section 3)."""
MISSING_ATTRIBUTE: Final = 3
"""Subcode of an UPDATE error: a mandatory attribute is missing (RFC 4271 section 6.3)."""


INTERNAL: Final = frozenset(code for code, row in table.KNOWN.items() if row.internal)
"""Attributes that an external peer must not send (RFC 7606 sections 7.5, 7.9, 7.10)."""


def validate(update: UpdateBody, peer: str | None = None) -> list[WireError]:
    """All errors of an UPDATE in the order found, each with its reaction (RFC 7606); empty if it is well-formed.

    peer: None asks only what holds for every peer. "ebgp" adds what an external peer must not send: LOCAL_PREF and the
    attributes of route reflection. "ibgp" adds that an internal peer must send LOCAL_PREF.
    """
    try:
        start, end = update.sections()
    except WireError as error:
        return [error]
    attributes = update.attrs  # this also fills update.list_errors
    errors = [*update.list_errors, *_attribute_errors(update, end, peer), *_prefix_errors(update, start, end)]
    errors += [_missing(code) for code in _mandatory(update, end, peer) if code not in attributes]
    if strongest(errors) == Reaction.TREAT_AS_WITHDRAW and not announces(update, end):
        errors.append(_nothing_to_withdraw())
    return errors


def is_well_formed(update: UpdateBody, peer: str | None = None) -> bool:
    """Whether `validate` finds no error, in less time. False says nothing."""
    flags = context_flags(update.context) if accel.AVAILABLE else None
    if not (_is_sound(update) if flags is None else accel.frame.is_sound(update.body, flags)):
        return False
    attributes = update.attrs
    if peer == "ebgp" and not INTERNAL.isdisjoint(attributes):
        return False
    return all(code in attributes for code in _mandatory(update, update.sections()[1], peer))


def malformed(update: UpdateBody) -> list[WireError]:
    """The errors of `validate` that no peer may send, but for missing attributes: they make an UPDATE malformed.

    The event PARSE and the count `malformed=` are about these. An UPDATE in which only a mandatory attribute is missing
    can be decoded in full, so whoever uses its routes decides about it.
    """
    if update.sound:
        return []
    flags = context_flags(update.context) if accel.AVAILABLE else None
    if _is_sound(update) if flags is None else accel.frame.is_sound(update.body, flags):
        return []
    return [error for error in validate(update) if error.subcode != MISSING_ATTRIBUTE]


def _is_sound(update: UpdateBody) -> bool:
    """Whether `malformed` finds no error, in less time. False says nothing."""
    try:
        start, end = update.sections()
    except WireError:
        return False
    body, context = update.body, update.context
    if start + 2 < end and not are_sound(body[start + 2 : end], update.attribute_octets, update.attribute, context):
        return False
    if start > 2 or end < len(body):
        add_path = IPV4_UNICAST in context.add_path
        if not (are_prefixes(body, 1, add_path, 2, start) and are_prefixes(body, 1, add_path, end, len(body))):
            return False
    update.sound = True
    return True


def _attribute_errors(update: UpdateBody, end: int, peer: str | None) -> list[WireError]:
    """Errors of single attributes. end: where the NLRI field starts."""
    errors = [attribute.error(external=peer == "ebgp") for attribute in update.attrs.values()]
    has_nlri = end < len(update.body)
    return [error for error in errors if error is not None and (error.subcode != _INVALID_NEXT_HOP or has_nlri)]


def _prefix_errors(update: UpdateBody, start: int, end: int) -> list[WireError]:
    """Errors of Withdrawn Routes, which end at `start`, and of the NLRI field, which starts at `end`."""
    add_path = IPV4_UNICAST in update.context.add_path
    errors = []
    for first, last in ((2, start), (end, len(update.body))):
        try:
            split_prefixes(update.body, 1, add_path, first, last)
        except WireError as error:
            errors.append(error)
    return errors


def _mandatory(update: UpdateBody, end: int, peer: str | None) -> list[int]:
    """Type codes of the attributes that the UPDATE must have (RFC 4271 section 5, RFC 4760 section 3)."""
    if not announces(update, end):
        return []
    codes = [table.ORIGIN]
    if table.BGPSEC_PATH not in update.attrs:  # BGPsec_PATH replaces AS_PATH (RFC 8205 section 3)
        codes.append(table.AS_PATH)
    if end < len(update.body):
        codes.append(table.NEXT_HOP)
    if peer == "ibgp":
        codes.append(table.LOCAL_PREF)
    return codes


def announces(update: UpdateBody, end: int) -> bool:
    """Whether there are reachable NLRI, in their own field or in MP_REACH_NLRI."""
    mp_reach: MpReach | None = update.value(table.MP_REACH)
    return end < len(update.body) or (mp_reach is not None and mp_reach.nlri != b"")


def strongest(errors: Iterable[WireError]) -> Reaction | None:
    """The reaction to several errors (RFC 7606 section 3(h))."""
    return max((error.reaction for error in errors), default=None)


def _nothing_to_withdraw() -> WireError:
    """No reachable NLRI was found, so treat-as-withdraw is not possible: the error may hide the attribute that has them
    (RFC 7606 section 5.2)."""
    return WireError("an error in an attribute, and no reachable NLRI", subcode=1)


def _missing(code: int) -> WireError:
    """A mandatory attribute is missing (RFC 7606 section 3(d))."""
    text = f"{table.TABLE[code].name} is missing"
    return WireError(text, subcode=3, data=bytes((code,)), reaction=Reaction.TREAT_AS_WITHDRAW)
