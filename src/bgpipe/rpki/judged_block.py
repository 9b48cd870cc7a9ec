"""A block whose messages are judged one by one: what `origin` and `aspa` have in common where the compiled part has
declined, or is not there."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .. import accel
from ..wire.block import Block
from ..wire.message import Message
from ..wire.tags import TagTable

JudgeMessage = Callable[[Message], tuple[bool, Mapping[str, str]] | None]
"""Whether a message is invalid, and its new tags; None if it is not judged. It counts its verdicts itself."""


def renew_tags(old: Mapping[str, str], own: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a message with those of a stage in place of older ones. own: what their names begin with."""
    return {key: value for key, value in old.items() if not key.startswith(own)} | dict(tags)


@dataclass
class JudgedBlock:
    """What is known of a block. invalid: positions of messages that are. unfit: those whose tags don't fit into a
    block.

    cuttable: positions of invalid messages that the compiled part can do without their invalid routes. gone: of each of
    these, an octet for each route: 0 valid, 1 not found, 2 invalid; None if all routes are invalid.
    """

    block: Block
    invalid: list[int] = field(default_factory=list)
    unfit: list[int] = field(default_factory=list)
    cuttable: list[int] = field(default_factory=list)
    gone: list[bytes] | None = None

    def cut(self, withdraw: bool) -> tuple[list[int], list[int]]:
        """Takes the invalid routes out of the messages that the compiled part can edit. withdraw: they are withdrawn.
        Returns the positions of those with nothing left, which stay as they were, and of those that it has declined."""
        block = self.block
        octets, index, empty, declined = accel.cut.cut_routes(
            block.octets, block.index, self.cuttable, self.gone, withdraw
        )
        self.block = Block(octets, index, block.tags)
        return empty, declined

    def judge_each(self, positions: Sequence[int], judge: JudgeMessage, tag: bool) -> None:
        """Judges the messages at some positions. tag: whether the block gets their tags."""
        if not positions:
            return
        block = self.block
        table = TagTable(block.tags)
        entries: dict[int, tuple[int, bool]] = {}
        for position in positions:
            message = block.message(position)
            found = judge(message)
            if found is None:
                continue
            if found[0]:
                insort(self.invalid, position)
            if tag:
                entry = table.enter(found[1], message.header)
                if entry is None:
                    self.unfit.append(position)
                else:
                    entries[position] = entry
        if entries:
            self.block = block.tagged(entries, table)
