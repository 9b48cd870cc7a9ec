"""What is wrong with an UPDATE as a whole (RFC 7606 sections 3 to 5); with one attribute: attrs.attribute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from . import attrs as table
from .attrs.mp_reach import MpReach
from .errors import Reaction, WireError
from .family import IPV4_UNICAST
from .prefix import split_prefixes

if TYPE_CHECKING:
    from .update import Update

_MULTIPROTOCOL: Final = (table.MP_REACH, table.MP_UNREACH)
_INVALID_NEXT_HOP: Final = 8
"""Subcode of a NEXT_HOP that is no host's address; without an NLRI field NEXT_HOP is ignored (RFC 4760 section 3)."""


def find(update: Update, start: int, end: int, peer: str | None) -> list[WireError]:
    """Errors in the attributes that can be told apart, in the fields of prefixes, and in what is not there.

    start, end: where Total Path Attribute Length and NLRI are in the body. peer: as Update.check has it.
    """
    attributes = update.attrs
    body = update.body
    errors = []
    for attribute in attributes.values():
        wrong = attribute.error(external=peer == "ebgp")
        if wrong is not None and (wrong.subcode != _INVALID_NEXT_HOP or end < len(body)):
            errors.append(wrong)
    add_path = IPV4_UNICAST in update.context.add_path
    for first, last in ((2, start), (end, len(body))):
        try:
            split_prefixes(body, 1, add_path, first, last)
        except WireError as error:
            errors.append(error)
    if announces(update, end):
        wanted = [table.ORIGIN]
        if table.BGPSEC_PATH not in attributes:  # which stands for AS_PATH (RFC 8205 section 3)
            wanted.append(table.AS_PATH)
        if end < len(body):
            wanted.append(table.NEXT_HOP)
        if peer == "ibgp":
            wanted.append(table.LOCAL_PREF)
        errors += [_missing(code) for code in wanted if code not in attributes]
    return errors


def announces(update: Update, end: int) -> bool:
    """Whether there are reachable NLRI, in their own field or in MP_REACH_NLRI."""
    mp_reach: MpReach | None = update.value(table.MP_REACH)
    return end < len(update.body) or (mp_reach is not None and mp_reach.nlri != b"")


def strongest(errors: Iterable[WireError]) -> Reaction | None:
    """The reaction to several errors (RFC 7606 section 3(h))."""
    return max((error.reaction for error in errors), default=None)


def hidden() -> WireError:
    """There is nothing to withdraw: an error may hide the very attribute that says what (RFC 7606 section 5.2)."""
    return WireError("an error in an attribute, and no reachable NLRI", subcode=1)


def misfit(text: str, code: int | None, pos: int) -> WireError:
    """RFC 7606 section 4; without all of MP_REACH_NLRI and MP_UNREACH_NLRI nobody knows what to withdraw (3(j)).

    code: the attribute's type, None if that is not there. pos: where it starts.
    """
    reaction = Reaction.SESSION_RESET if code in _MULTIPROTOCOL else Reaction.TREAT_AS_WITHDRAW
    return WireError(text, subcode=1, reaction=reaction, offset=pos)


def repeated(code: int) -> WireError:
    """RFC 7606 section 3(g)."""
    reaction = Reaction.SESSION_RESET if code in _MULTIPROTOCOL else Reaction.ATTRIBUTE_DISCARD
    return WireError(f"{table.TABLE[code].name} comes twice", subcode=1, reaction=reaction)


def _missing(code: int) -> WireError:
    """RFC 7606 section 3(d)."""
    text = f"{table.TABLE[code].name} is missing"
    return WireError(text, subcode=3, data=bytes((code,)), reaction=Reaction.TREAT_AS_WITHDRAW)
