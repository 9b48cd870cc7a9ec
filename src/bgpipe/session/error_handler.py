"""Treats malformed UPDATEs of a live session, before any stage gets them (RFC 7606)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .. import accel
from ..wire import treatment
from ..wire.errors import Reaction, WireError
from ..wire.flags import FLAG_CHECKED, FLAG_TOLD
from ..wire.item import Item
from ..wire.message import UPDATE, Message, with_body
from ..wire.validation import strongest, validate
from .facts import Facts

POLICIES: Final = ("auto", "forward", "withdraw", "drop", "kill")
"""auto: as RFC 7606 says. forward: let the message pass. withdraw: treat-as-withdraw. drop: drop the message. kill: end
the session."""


@dataclass(slots=True)
class Verdict:
    """item: what goes on in place of what came, None if nothing does. message, errors: what was malformed, and how.

    fault: why the session has to end.
    """

    item: Item | None
    message: Message | None = None
    errors: list[WireError] = field(default_factory=list)
    fault: WireError | None = None


class ErrorHandler:
    """policy: one of POLICIES. facts: those of the session, which say whether the peer is external."""

    def __init__(self, policy: str, facts: Facts) -> None:
        self.policy = policy
        self.facts = facts

    def handle(self, item: Item) -> Iterator[Verdict]:
        """Verdicts for all messages of `item`, in order.

        A message that came before both OPENs are known is not validated, because its context is only assumed.
        """
        if isinstance(item, Message):
            yield from self._handle(item)
            return
        start = 0
        for position in accel.frame.check(item.octets, item.index):
            if position > start:
                yield Verdict(item.part(start, position))
            yield from self._handle(item.message(position))
            start = position + 1
        if start == 0:
            yield Verdict(item)
        elif start < len(item):
            yield Verdict(item.part(start, len(item)))

    def _handle(self, message: Message) -> Iterator[Verdict]:
        # an attribute that an external peer should not send is left to the receiver, unless it is malformed too
        if message.type_code != UPDATE or message.context.assumed:
            yield Verdict(message)
            return
        if not validate(message.update):
            message.verdict |= FLAG_CHECKED
            yield Verdict(message)
            return
        peer = self.facts.peer_kind
        errors = validate(message.update, peer)
        try:
            items = self._treat(message, errors, external=peer == "ebgp")
        except WireError as fault:
            yield Verdict(None, message, errors, fault)
            return
        yield Verdict(items[0] if items else None, message, errors)
        for each in items[1:]:
            yield Verdict(each)

    def _treat(self, message: Message, errors: list[WireError], external: bool) -> list[Message]:
        """The item that goes on. Raises WireError if the session must end."""
        reaction = strongest(errors)
        fatal = next((error for error in errors if error.reaction is Reaction.SESSION_RESET), None)
        if self.policy == "forward":
            return [message]
        if self.policy == "drop":
            return []
        if self.policy == "kill":
            raise fatal or errors[0]
        if self.policy == "withdraw":
            reaction = Reaction.TREAT_AS_WITHDRAW
        if fatal is not None and self.policy == "auto":
            raise fatal
        if reaction is Reaction.TREAT_AS_WITHDRAW:
            return [_treated(message, body) for body in treatment.withdraw(message.update)]
        return [_treated(message, treatment.discard(message.update, external))]


def _treated(message: Message, body: bytes) -> Message:
    """The message that goes on instead of a malformed one. It is marked as well-formed, and as reported."""
    return with_body(message, body, FLAG_CHECKED | FLAG_TOLD)
