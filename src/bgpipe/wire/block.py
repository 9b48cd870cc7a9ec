"""A run of BGP messages that travels as one: their octets in one buffer, and an index of those still selected.

Accel makes blocks and works on them. Python opens a block into messages where it must.

The index is an array of ENTRY structs in native byte order:

    seq       int64   number of the message in its direction, 0 for none yet
    time      int64   microseconds since 1970 (UTC), 0 for none
    offset    uint32  where the message's marker starts in `octets`
    peer      uint32  where its per-peer header starts in `octets`, NO_PEER if it has none
    length    uint16  octets of the message, header included
    flags     uint16  the sum of flags of wire/flags.py
    tags      uint32  place of the message's tags in `tags` (see wire.tags) + 1; 0: as its per-peer header says

For the per-peer header see wire.peer; its AS numbers have 4 octets each with PEER_AS4, else 2.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from struct import Struct, calcsize
from typing import Any, Final, Literal, NamedTuple

from . import attrs as attrs  # accel gets the table of attributes before it works on a block
from .context import HEADER
from .flags import (
    CONTEXT_FLAGS,
    CONTEXTS,
    DIRECTION_FLAGS,
    FLAG_CHECKED,
    FLAG_DIRECTIONS,
    FLAG_GUESS_AS,
    FLAG_LEFT,
    FLAG_MALFORMED,
    FLAG_OWN_PEER,
    FLAG_PEER_AS4,
    FLAG_RIGHT,
    VERDICT_FLAGS,
)
from .message import Message
from .peer import peer_size, read_peer
from .tags import TagTable, fragment_size, read_fragment

ENTRY: Final = Struct("=qqIIHHI")
NO_PEER: Final = 0xFFFFFFFF


class Column(NamedTuple):
    """A field of ENTRY. code: its type as `array` has it. place: its number among fields of its size."""

    code: Literal["q", "I", "H"]
    place: int

    def of(self, index: bytearray) -> memoryview:
        """The field of every entry of an index, to read and write. While the view lives, the index can't be resized."""
        size = calcsize(self.code)
        return memoryview(index).cast(self.code)[self.place :: ENTRY.size // size]

    def fill(self, index: bytearray, value: int) -> None:
        """Gives every entry of an index the same value."""
        column = self.of(index)
        column[:] = memoryview(array(self.code, [value]) * len(column))


SEQ: Final = Column("q", 0)
TIME: Final = Column("q", 1)
OFFSET: Final = Column("I", 4)
PEER: Final = Column("I", 5)
LENGTH: Final = Column("H", 12)
FLAGS: Final = Column("H", 13)
TAGS: Final = Column("I", 7)

SPARSE: Final = 16
"""Octets that a block may hold for each octet of its index. Above that, `compact` checks whether its messages need
them."""
OPENED_TOGETHER: Final = 256
"""Messages that accel makes at once."""


class Block:
    """A number of messages in one buffer, with an index. `len(block)` is the number; iteration gives each as a
    Message.

    Octets and tags never change. An index does not change once a stage has seen it: others may have the same block.
    """

    __slots__ = ("index", "octets", "tags")

    def __init__(self, octets: bytes, index: bytearray, tags: bytes = b"") -> None:
        self.octets = octets
        self.index = index
        self.tags = tags

    @property
    def weight(self) -> int:
        """Octets of memory that the block takes."""
        return len(self.octets) + len(self.tags) + len(self.index)

    def __len__(self) -> int:
        return len(self.index) // ENTRY.size

    def __iter__(self) -> Iterator[Message]:
        return self._open(bytes(self.index))

    @property
    def time(self) -> int:
        """When the first message came, in microseconds since 1970 (UTC)."""
        time: int = ENTRY.unpack_from(self.index)[1]
        return time

    def message(self, position: int) -> Message:
        """The message at one position of the index."""
        return next(self._open(self.index[position * ENTRY.size : (position + 1) * ENTRY.size]))

    def _open(self, entries: bytes | bytearray) -> Iterator[Message]:
        octets = self.octets
        opener = _opener()
        if opener is not None:
            index = bytes(entries)
            for start in range(0, len(index) // ENTRY.size, OPENED_TOGETHER):
                yield from opener.open(octets, index, start, start + OPENED_TOGETHER, self.tags)
            return
        for seq, time, offset, peer, length, flags, tags in ENTRY.iter_unpack(entries):
            yield Message(
                octets[offset + 18],
                octets[offset + HEADER : offset + length],
                direction=FLAG_DIRECTIONS[flags & (FLAG_LEFT | FLAG_RIGHT)],
                seq=seq,
                time=time,
                context=CONTEXTS[flags & CONTEXT_FLAGS],
                verdict=flags & VERDICT_FLAGS,
                peer=read_peer(octets, peer, bool(flags & FLAG_PEER_AS4)) if peer != NO_PEER else None,
                fragment=read_fragment(self.tags, tags - 1) if tags else None,
            )

    def with_index(self, index: bytearray) -> Block:
        """A block of the same octets; `index` has a selection of the entries of this block's index."""
        return Block(self.octets, index, self.tags)

    def guess_as(self) -> None:
        """Sets WireContext.guess_as for every message. Only the decoder that has made the block may call it."""
        flags = FLAGS.of(self.index)
        # one operation on two large integers is 40 times as fast as a loop
        wanted = memoryview(array("H", [FLAG_GUESS_AS]) * len(flags)).cast("B")
        together = int.from_bytes(flags.tobytes(), "little") | int.from_bytes(wanted, "little")
        flags[:] = memoryview(together.to_bytes(len(wanted), "little")).cast("H")

    def stamp(self, direction: str, seq: int, time: int = 0) -> int:
        """Sets the direction of every message. A message without a number gets one, from `seq` on; one without a time
        gets `time`.

        Returns the first number not used.
        """
        flags = DIRECTION_FLAGS[direction]
        if (stamp := _stamp()) is not None:
            return int(stamp(self.index, flags, seq, time))
        for position in range(0, len(self.index), ENTRY.size):
            entry = list(ENTRY.unpack_from(self.index, position))
            if not entry[0]:
                entry[0] = seq
                seq += 1
            entry[1] = entry[1] or time
            entry[5] = entry[5] & ~(FLAG_LEFT | FLAG_RIGHT) | flags
            ENTRY.pack_into(self.index, position, *entry)
        return seq

    def part(self, start: int, stop: int) -> Block:
        """The messages from position `start` to before `stop`, on the same octets."""
        return self.with_index(self.index[start * ENTRY.size : stop * ENTRY.size])

    def picked(self, positions: Iterable[int]) -> Block:
        """The messages at these positions, in this order, on the same octets."""
        size = ENTRY.size
        return self.with_index(bytearray().join(self.index[at * size : at * size + size] for at in positions))

    def without(self, positions: Iterable[int]) -> Block:
        """A block of the same octets without the messages at these positions, in ascending order."""
        index = bytearray()
        start = 0
        for position in positions:
            index += self.index[start * ENTRY.size : position * ENTRY.size]
            start = position + 1
        return self.with_index(index + self.index[start * ENTRY.size :])

    def positions(self, selected: Block) -> list[int]:
        """The positions of the messages of `selected`, a block with some of the entries of this one, in its order."""
        found: list[int] = []
        size, at, end = ENTRY.size, 0, len(selected.index)
        for position in range(len(self)):
            if at < end and self.index[position * size : (position + 1) * size] == selected.index[at : at + size]:
                found.append(position)
                at += size
        return found

    def compact(self) -> Block:
        """A block to keep for a while. If the messages are a small part of the octets of this block, it is a new block
        with only their octets; otherwise it is this block."""
        if len(self.octets) + len(self.tags) <= SPARSE * len(self.index):
            return self
        index = bytearray(self.index)
        pieces, end = _move(index, OFFSET, self.octets, LENGTH.of(index).tolist(), 0)
        flags = FLAGS.of(index).tolist()
        headers = [
            peer_size(self.octets, peer, bool(flag & FLAG_PEER_AS4)) if peer != NO_PEER else 0
            for peer, flag in zip(PEER.of(index).tolist(), flags, strict=True)
        ]
        peers, end = _move(index, PEER, self.octets, headers, end)
        sizes = [fragment_size(self.tags, tags - 1) if tags else 0 for tags in TAGS.of(index).tolist()]
        fragments, tags_end = _move(index, TAGS, self.tags, sizes, 0, first=1)
        if 2 * (end + tags_end) > len(self.octets) + len(self.tags):
            return self
        return Block(b"".join(pieces + peers), index, b"".join(fragments))

    def edited(self, bodies: Mapping[int, bytes | None]) -> Block:
        """A block with other bodies for the messages at these positions, in ascending order; a body None leaves the
        message out."""
        pieces = [self.octets]
        end = len(self.octets)
        index = bytearray(self.index)
        offsets, lengths, flags = OFFSET.of(index), LENGTH.of(index), FLAGS.of(index)
        gone = []
        for position, body in bodies.items():
            if body is None:
                gone.append(position)
                continue
            offset, length = offsets[position], HEADER + len(body)
            marker, type_code = self.octets[offset : offset + 16], self.octets[offset + 18 : offset + HEADER]
            pieces += marker, length.to_bytes(2, "big"), type_code, body
            offsets[position], lengths[position] = end, length
            flags[position] &= ~(FLAG_CHECKED | FLAG_MALFORMED)
            end += length
        block = Block(b"".join(pieces) if len(pieces) > 1 else self.octets, index, self.tags)
        return block.without(gone) if gone else block

    def tagged(self, entries: Mapping[int, tuple[int, bool]], table: TagTable) -> Block:
        """A block with other tags for the messages at these positions; `table` has the tags."""
        index = bytearray(self.index)
        tags, flags = TAGS.of(index), FLAGS.of(index)
        for position, (place, own_peer) in entries.items():
            tags[position] = place
            if own_peer != bool(flags[position] & FLAG_OWN_PEER):
                flags[position] ^= FLAG_OWN_PEER
        return Block(self.octets, index, table.octets)


def runs(block: Block) -> list[Block]:
    """The runs of messages of a block that have the same tags."""
    tags, peers = TAGS.of(block.index).tolist(), PEER.of(block.index).tolist()
    if not len(block) or (tags.count(tags[0]) == len(tags) and peers.count(NO_PEER) == len(peers)):
        return [block]
    said: list[object] = [
        place or (read_peer(block.octets, peer, bool(flags & FLAG_PEER_AS4)) if peer != NO_PEER else 0)
        for place, peer, flags in zip(tags, peers, FLAGS.of(block.index).tolist(), strict=True)
    ]
    starts = [at for at in range(len(said)) if not at or said[at] != said[at - 1]]
    return [block.part(start, stop) for start, stop in zip(starts, [*starts[1:], len(said)], strict=True)]


def _move(
    index: bytearray, column: Column, octets: bytes, sizes: list[int], end: int, first: int = 0
) -> tuple[list[bytes], int]:
    """The parts of `octets` that a column points to, each once, and the place where the last one ends.

    The column is changed to their new places, which begin at `end`. sizes: octets of the part of each entry, 0 for
    none.
    first: the value in the column that stands for place 0.
    """
    places = column.of(index)
    pieces: list[bytes] = []
    known: dict[int, int] = {}
    for position, (place, size) in enumerate(zip(places.tolist(), sizes, strict=True)):
        if not size:
            continue
        if place not in known:
            known[place] = end + first
            pieces.append(octets[place - first : place - first + size])
            end += size
        places[position] = known[place]
    return pieces, end


@lru_cache(maxsize=1)
def _opener() -> Any:
    """Accel's opener of blocks; None if there is no accel."""
    from .. import accel

    directions = [FLAG_DIRECTIONS[flags * FLAG_RIGHT] for flags in range(4)]
    return accel.look.Opener(Message, CONTEXTS, directions) if accel.AVAILABLE else None


@lru_cache(maxsize=1)
def _stamp() -> Any:
    """Accel's `stamp`; None if there is no accel."""
    from .. import accel

    return accel.index.stamp if accel.AVAILABLE else None
