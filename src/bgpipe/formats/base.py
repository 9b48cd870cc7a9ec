"""What every format has in common: a decoder, an encoder, counts, and how damage is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from ..wire.block import Block
from ..wire.item import Item
from ..wire.message import Message


@dataclass(slots=True)
class Damage:
    """One piece of bad input, which cost itself and nothing else.

    text: what was wrong, for a person. offset: octets from the start of the stream; line: from 1 (text formats).
    """

    text: str
    offset: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = (
            f"line {self.line}: "
            if self.line is not None
            else f"octet {self.offset}: "
            if self.offset is not None
            else ""
        )
        return where + self.text


@dataclass(slots=True)
class Counts:
    """What a decoder has met so far."""

    records: int = 0
    messages: int = 0
    states: int = 0
    """BGP4MP state changes"""
    skipped: int = 0
    """records of a kind that holds no BGP message, or that we do not read"""
    damaged: int = 0
    """records that could not be read"""
    kinds: dict[str, int] = field(default_factory=dict)
    """what was skipped, by name"""

    def skip(self, kind: str) -> None:
        self.skipped += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def ignore_damage(damage: Damage) -> None:
    """The default listener."""


class Decoder:
    """Octets of a stream in pieces of any size, to items in their order.

    Messages come with direction and seq as the stream says, "?" and 0 where it doesn't.
    `on_damage` is called once for each bad record; decoding goes on after it.
    """

    def __init__(self, *, on_damage: Callable[[Damage], None] = ignore_damage) -> None:
        self.counts = Counts()
        self.on_damage = on_damage

    def feed(self, octets: bytes) -> Iterator[Item]:
        """What `octets` complete."""
        raise NotImplementedError

    def end(self) -> Iterator[Item]:
        """What was waiting when the stream ended. A record cut short by the end is damage."""
        raise NotImplementedError

    def damage(self, text: str, *, offset: int | None = None, line: int | None = None) -> None:
        self.counts.damaged += 1
        self.on_damage(Damage(text, offset, line))


class Encoder:
    """Items to the octets of a stream."""

    def encode(self, item: Item) -> bytes:
        """A message or block in this format; b"" if the format has no form for it."""
        if isinstance(item, Message):
            return self.encode_message(item)
        return b"".join(map(self.encode_message, item))

    def encode_message(self, message: Message) -> bytes:
        raise NotImplementedError


class Format(Protocol):
    """A module of this package, or an entry point `bgpipe.formats` of another one.

    name: as --format says it. suffixes: file name endings, compression's taken off. sniff: whether a stream that
    starts with these octets (up to 4096) is of this format. Encoder and Decoder are classes; either may be None.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    Decoder: ClassVar[type[Decoder] | None]
    Encoder: ClassVar[type[Encoder] | None]

    @staticmethod
    def sniff(octets: bytes) -> bool: ...


def encode_block(
    block: Block,
    accel_encode: Callable[[bytes, bytearray, int], tuple[bytes, int]],
    encode_message: Callable[[Message], bytes],
) -> bytes:
    """A block by accel, and by the Python codec where accel declines, in order."""
    parts = []
    position, count = 0, len(block)
    while position < count:
        octets, position = accel_encode(block.octets, block.index, position)
        parts.append(octets)
        if position < count:
            parts.append(encode_message(block.message(position)))
            position += 1
    return parts[0] if len(parts) == 1 else b"".join(parts)
