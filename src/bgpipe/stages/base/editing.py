"""What stages that edit messages have in common: they take messages one by one or in blocks, with the same result.

A block stays whole as long as each of its messages stays one message that a block can hold.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from ...filters import Filter
from ...pipeline.passage import inherit
from ...pipeline.stage import Consuming
from ...wire.block import FLAGS, NO_PEER, PEER, TAGS, Block
from ...wire.flags import FLAG_PEER_AS4, FLAG_RIB
from ...wire.item import Item, Replacement
from ...wire.message import HEADER, UPDATE, Message
from ...wire.peer import read_peer
from ...wire.tags import TagTable, read_fragment
from ...wire.update import Update

MAX_BODY = 0xFFFF - HEADER
"""Octets of the longest body that a message in a block can have."""

Edit = bytes | list[Message] | None
"""What goes on in place of an UPDATE: its body, edited or not; other messages; or nothing."""


class EditingStage(Consuming):
    """A stage that edits UPDATEs: `edit` decides about each."""

    both = True

    def watch_updates(self) -> None:
        """Registers the callbacks. To be called in `attach`."""
        self.watch(self.on_message, on_block=self.on_block, types=[UPDATE], selects=True)

    def edit(self, message: Message) -> Edit:
        """What goes on in place of an UPDATE. The same body object says that nothing changes."""
        raise NotImplementedError

    def edit_block(self, block: Block, positions: Sequence[int]) -> dict[int, Edit]:
        """What goes on in place of the messages at these positions, in ascending order; without those that stay."""
        edits: dict[int, Edit] = {}
        for position in positions:
            message = block.message(position)
            if message.type_code == UPDATE and (left := self.edit(message)) is not message.body:
                edits[position] = left
        return edits

    def on_message(self, message: Message) -> bool | list[Message]:
        return replace(message, self.edit(message))

    def on_block(self, block: Block) -> Block | list[Item]:
        edits = self.edit_block(block, matching(block, self.callbacks[-1].conditions))
        return assemble(block, edits) if edits else block


def replace(message: Message, left: Edit) -> bool | list[Message]:
    """What a callback returns for an UPDATE in whose place `left` goes on, which is the body itself if nothing has
    changed."""
    if left is None:
        return False
    if isinstance(left, list):
        return left
    if left is not message.body:
        message.update = Update(left, message.context)
    return True


def matching(block: Block, conditions: Collection[Filter]) -> Sequence[int]:
    """The positions of the messages that match all filters."""
    if not conditions:
        return range(len(block))
    selected = block
    for condition in conditions:
        selected = condition.select(selected)
    return range(len(block)) if len(selected) == len(block) else block.positions(selected)


def assemble(block: Block, edits: dict[int, Edit]) -> Block | list[Item]:
    """The block with new bodies, and with messages in place of some of its messages. All edits are made in one step,
    because each step copies the octets. edits: by position, in ascending order."""
    bodies: dict[int, bytes | None] = {}
    others: dict[int, list[Message]] = {}
    for position, left in edits.items():
        if isinstance(left, list) or (left is not None and len(left) > MAX_BODY):
            old = block.message(position)
            made = left if isinstance(left, list) else [Message(UPDATE, left, context=old.context, tags=old.tags)]
            others[position] = [inherit(each, old) for each in made]
        else:
            bodies[position] = left
    return replace_messages(block, bodies, others)


def part_of(message: Message, body: bytes) -> Message:
    """An UPDATE with a part of what a message says."""
    return Message(
        UPDATE,
        body,
        direction=message.direction,
        time=message.time,
        context=message.context,
        tags=dict(message.tags),
        verdict=message.verdict & FLAG_RIB,
    )


def handle_each(
    block: Block,
    positions: Iterable[int],
    handle: Callable[[Message], bool | list[Message]],
    gone: Collection[int] = (),
    before: Callable[[int], object] | None = None,
) -> Block | list[Item]:
    """What is left of a block when the messages at these positions, in ascending order, were handled one by one. A
    message that stays one message stays in the block.

    handle: returns False for nothing, True for the message, which it may have changed, or others in its place. gone:
    positions of other messages, which are left out. before: called with each position before its message is handled,
    and with the one behind all messages when the last one was.
    """
    bodies: dict[int, bytes | None] = dict.fromkeys(gone)
    entries: dict[int, tuple[int, bool]] = {}
    others: dict[int, list[Message]] = {}
    table = TagTable(block.tags)
    for position in positions:
        message = block.message(position)
        body = message.body
        if before is not None:
            before(position)
        left = handle(message)
        if left is False:
            bodies[position] = None
            continue
        if isinstance(left, list):
            others[position] = [inherit(each, message) for each in left]
            continue
        asked = message.asked_tags
        entry = table.enter(asked, message.header) if asked is not None else None
        if (asked is not None and entry is None) or len(message.body) > MAX_BODY:
            others[position] = [message]
            continue
        if entry is not None:
            entries[position] = entry
        if message.body is not body:
            bodies[position] = message.body
    if before is not None:
        before(len(block))
    if gone:
        bodies = dict(sorted(bodies.items()))
    return replace_messages(block.tagged(entries, table) if entries else block, bodies, others)


class InOrder:
    """Does something about the messages at some positions of a block, which ascend, while others are handled one by
    one: `before(position)` does it for all up to there. act: gets the number of the position, from 0."""

    def __init__(self, positions: Sequence[int], act: Callable[[int], object]) -> None:
        self._positions = positions
        self._act = act
        self._next = 0

    def before(self, position: int) -> None:
        while self._next < len(self._positions) and self._positions[self._next] <= position:
            self._next += 1
            self._act(self._next - 1)


def change_tags(
    block: Block,
    positions: Sequence[int],
    table: TagTable,
    change: Callable[[dict[str, str]], Mapping[str, str]],
) -> tuple[dict[int, tuple[int, bool]], list[int]]:
    """What `Block.tagged` needs to give the messages at these positions other tags, and the positions of those whose
    new tags a block can't hold. table: has the tags of the block. change: gives new tags for old ones."""
    entries: dict[int, tuple[int, bool]] = {}
    unfit: list[int] = []
    known: dict[tuple[bytes | None, int], tuple[int, bool] | None] = {}
    headers: dict[int, bytes | None] = {NO_PEER: None}
    places, peers = TAGS.of(block.index).tolist(), PEER.of(block.index).tolist()
    flags = FLAGS.of(block.index).tolist()

    def find(position: int) -> tuple[int, bool] | None:
        peer, place = peers[position], places[position]
        if peer not in headers:
            headers[peer] = read_peer(block.octets, peer, bool(flags[position] & FLAG_PEER_AS4))
        key = headers[peer], place
        if key not in known:
            known[key] = table.enter(change(_tags_of(block, *key)), headers[peer])
        return known[key]

    if positions and len(set(peers)) == 1 and len(set(places)) == 1:  # as in a session, where one peer sends them all
        entry = find(positions[0])
        return (dict.fromkeys(positions, entry), []) if entry is not None else ({}, list(positions))
    for position in positions:
        entry = find(position)
        if entry is None:
            unfit.append(position)
        else:
            entries[position] = entry
    return entries, unfit


def _tags_of(block: Block, header: bytes | None, place: int) -> dict[str, str]:
    fragment = read_fragment(block.tags, place - 1) if place else None
    return dict(Message(0, peer=header, fragment=fragment).tags)


def replace_messages(
    block: Block, bodies: dict[int, bytes | None], others: dict[int, list[Message]]
) -> Block | list[Item]:
    """The block with these bodies, None for messages that are left out, and with messages in place of others."""
    if not others:
        return block.edited(bodies) if bodies else block
    block = block.edited({position: body for position, body in bodies.items() if body is not None})
    gone = [position for position, body in bodies.items() if body is None]
    items: list[Item] = []
    start = 0
    for position, messages in [*others.items(), (len(block), [])]:
        first, last = bisect_left(gone, start), bisect_left(gone, position)
        part = block.part(start, position)
        items.append(part.without([each - start for each in gone[first:last]]) if first < last else part)
        items += messages
        start = position + 1
    return Replacement(items, len(gone) + sum(not messages for messages in others.values()))
