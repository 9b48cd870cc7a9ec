"""Leaves out routes of families that were not agreed (RFC 4760 section 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .. import accel
from ..wire import treatment
from ..wire.errors import WireError
from ..wire.family import Family
from ..wire.item import Item
from ..wire.message import UPDATE, Message, with_body
from .facts import Facts


class FamilyFilter:
    """left_out: UPDATEs that were not sent, or not in full, by family."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.left_out: Counter[Family] = Counter()

    def select(self, item: Item) -> Iterator[Item]:
        """The parts of `item` that may be sent, in order; before both OPENs are known, all of it."""
        families = self.facts.families
        if self.facts.agreement is None:
            yield item
        elif isinstance(item, Message):
            if (kept := self._select(item)) is not None:
                yield kept
        else:
            found = accel.frame.families(item.octets, item.index) if accel.AVAILABLE else None
            if found is not None and all(Family(each >> 8, each & 255) in families for each in found):
                yield item
                return
            start = 0
            for position, message in enumerate(item):
                kept = self._select(message)
                if kept is message:
                    continue
                if position > start:
                    yield item.part(start, position)
                if kept is not None:
                    yield kept
                start = position + 1
            if start < len(item):
                yield item.part(start, len(item))

    def _select(self, message: Message) -> Message | None:
        """The message, another in its place, or None."""
        if message.type_code != UPDATE:
            return message
        try:
            body, left_out = treatment.keep_families(message.update, self.facts.families)
        except WireError:
            return message  # malformed UPDATEs were handled before
        self.left_out.update(left_out)
        if not left_out:
            return message
        return with_body(message, body) if body is not None else None
