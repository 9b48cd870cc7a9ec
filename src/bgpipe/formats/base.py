"""What all formats have in common: the record, a decoder, an encoder, counts, and reports of damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ..wire.block import Block
from ..wire.context import AS4, WireContext
from ..wire.errors import TextError, WireError
from ..wire.flags import FLAG_CHECKED
from ..wire.item import Item
from ..wire.message import Message


class Damage(NamedTuple):
    """A piece of input that could not be read; reading has gone on after it.

    text: what was wrong. offset: octets from the start of the stream. line: number of the line, from 1 (text formats).
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


class Counts:
    """How many records and messages a decoder has read.

    states: BGP4MP state changes. skipped: records of a kind that holds no BGP message, or that we do not read.
    damaged: records that could not be read. kinds: what was skipped, by name.
    """

    __slots__ = ("damaged", "kinds", "messages", "records", "skipped", "states")

    def __init__(
        self,
        records: int = 0,
        messages: int = 0,
        states: int = 0,
        skipped: int = 0,
        damaged: int = 0,
        kinds: dict[str, int] | None = None,
    ) -> None:
        self.records = records
        self.messages = messages
        self.states = states
        self.skipped = skipped
        self.damaged = damaged
        self.kinds = kinds if kinds is not None else {}

    def __repr__(self) -> str:
        fields = ("records", "messages", "states", "skipped", "damaged", "kinds")
        return f"Counts({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if isinstance(other, Counts) else NotImplemented

    def skip(self, kind: str) -> None:
        self.skipped += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def ignore_damage(damage: Damage) -> None:
    """The default listener."""


def ignore_note(text: str) -> None:
    """The default listener."""


class Decoder:
    """Octets of a stream in pieces of any size, to items in their order.

    Messages come with direction and seq as the stream says, "?" and 0 where it doesn't.
    `on_damage` is called once for each bad record; decoding goes on after it.
    `context` is how messages are to be read that don't say it themselves; it may be changed between two pieces.
    """

    def __init__(self, *, on_damage: Callable[[Damage], None] = ignore_damage, context: WireContext = AS4) -> None:
        self.counts = Counts()
        self.on_damage = on_damage
        self.context = context

    def feed(self, octets: bytes) -> Iterator[Item]:
        """The items that are complete with these octets."""
        raise NotImplementedError

    def end(self) -> Iterator[Item]:
        """The items that were waiting when the stream ended. A record that is cut short by the end is damage."""
        raise NotImplementedError

    def damage(self, text: str, *, offset: int | None = None, line: int | None = None) -> None:
        self.counts.damaged += 1
        self.on_damage(Damage(text, offset, line))


OnReport = Callable[[Message, Exception], None]
"""Called with a message that can't be encoded, and the error."""


class Encoder:
    """Items to the octets of a stream. A subclass has `encode_one`, and may have `encode` for what it does faster.

    on_report: called with each message that can't be encoded, which is left out. Without it, such a message raises
    TextError or WireError.
    """

    def __init__(self, *, on_report: OnReport | None = None) -> None:
        self.on_report = on_report

    def encode(self, item: Item) -> bytes:
        """Encodes a message or block; b"" if the format can't express it."""
        if isinstance(item, Message):
            return self.encode_message(item)
        return b"".join(map(self.encode_message, item))

    def encode_unchecked(self, block: Block) -> tuple[bytes, list[Message]]:
        """Encodes a block that was not validated. Returns also its messages without a verdict that may be malformed.

        Only encoders of a format that `checks` have it.
        """
        raise NotImplementedError

    def encode_message(self, message: Message) -> bytes:
        """Encodes one message; b"" if the format can't express it. A message that can't be encoded is given to
        `on_report`."""
        try:
            return self.encode_one(message)
        except (TextError, WireError) as error:
            if self.on_report is None:
                raise
            self.on_report(message, error)
            return b""

    def encode_one(self, message: Message) -> bytes:
        """Encodes one message. Raises TextError, WireError."""
        raise NotImplementedError


class DecoderOptions(NamedTuple):
    """Arguments for a new decoder.

    on_damage: called once for each bad record. on_note: called with a text about something unusual that is no damage.
    context: for messages whose context the input does not say.
    states: give the state changes of the input too, as wire.state.StateChange.
    entries: give each entry of a RIB as an UPDATE of its own, in their order, and not several prefixes in one.
    on_table: called with the records of a table of routes (TABLE_DUMP_V2) as they came, before their messages are
    given: the PEER_INDEX_TABLE alone, and pieces of whole records.
    """

    on_damage: Callable[[Damage], None] = ignore_damage
    context: WireContext = AS4
    states: bool = False
    on_note: Callable[[str], None] = ignore_note
    entries: bool = False
    on_table: Callable[[bytes], None] | None = None


class EncoderOptions(NamedTuple):
    """Arguments for a new encoder.

    on_report: see Encoder. compat: the dialect to write, "" for our own.
    """

    on_report: OnReport | None = None
    compat: str = ""


class Collecting(Protocol):
    """Collects messages for something that is written as a whole, such as a table."""

    def __bool__(self) -> bool:
        """Whether there is something to write."""

    @property
    def missing(self) -> str:
        """What was fed and is not in it, as text; "" for nothing."""

    def feed(self, octets: bytes, /) -> None:
        """Takes octets of the encoder: whole messages, in their order."""

    def dump(self) -> Iterator[bytes]:
        """What there is now, in pieces. Raises TextError."""


def sniff_nothing(octets: bytes) -> bool:
    """For a format that can't be identified by its content."""
    return False


class Format(NamedTuple):
    """A format and its abilities.

    name: as for --format. suffixes: of file names, without that of a compression.
    sniff: whether a stream that starts with these octets (16 to 4096, fewer at its end) is of this format.
    decoder, encoder: make one; None if the format can't be read, or written.
    text: the format consists of independent lines of text.
    states: it has a form for state changes, or for BMP messages without a BGP message, which its readers expect: an
    input gives them too.
    routes_only: messages without a route have no place in it, and are left out without a word.
    says_direction: the format keeps the direction of a message.
    checks: its encoder has `encode_unchecked`, which costs less than to validate blocks before they are encoded.
    says_context: the format keeps the width of AS numbers and ADD-PATH of a message.
    compat: dialects that the encoder can write.
    collect: makes what is fed with the octets of the encoder, and gives out what is written when all is there; None if
    the octets of the encoder are written as they come. It is called with the tables that were read, of
    each input what DecoderOptions.on_table got, to which more may be added.
    entries: it is written entry by entry, so that an input gives each entry of a RIB by itself.
    in_order: what the encoder writes depends on what it has written before, so that one has to get all messages.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    sniff: Callable[[bytes], bool] = sniff_nothing
    decoder: Callable[[DecoderOptions], Decoder] | None = None
    encoder: Callable[[EncoderOptions], Encoder] | None = None
    text: bool = False
    states: bool = False
    routes_only: bool = False
    says_direction: bool = False
    says_context: bool = False
    checks: bool = False
    compat: tuple[str, ...] = ()
    collect: Callable[[Sequence[Sequence[bytes]]], Collecting] | None = None
    in_order: bool = False
    entries: bool = False

    def open_decoder(self, options: DecoderOptions | None = None) -> Decoder:
        """Raises TextError if the format can't be read."""
        if self.decoder is None:
            raise TextError(f"the format {self.name} can't be read")
        return self.decoder(options or DecoderOptions())

    def open_encoder(self, options: EncoderOptions | None = None) -> Encoder:
        """Raises TextError if the format can't be written, or not in the dialect of `options`."""
        options = options or EncoderOptions()
        self.check_encoder(options.compat)
        assert self.encoder is not None
        return self.encoder(options)

    def check_encoder(self, compat: str = "") -> None:
        """Raises TextError as open_encoder does."""
        if self.encoder is None:
            raise TextError(f"the format {self.name} can't be written")
        if compat and compat not in self.compat:
            known = f"{', '.join(self.compat)} is possible" if self.compat else "it has no others"
            raise TextError(f"the format {self.name} has no dialect {compat!r}: {known}")


def encode_block(
    block: Block,
    accel_encode: Callable[[bytes, bytearray, int], tuple[bytes, int]],
    encode_message: Callable[[Message], bytes],
    unchecked: list[Message] | None = None,
) -> bytes:
    """Encodes a block with accel, and with the Python codec the messages that accel declines, in order.

    unchecked: gets the declined messages that have no verdict.
    """
    parts = []
    position, count = 0, len(block)
    while position < count:
        octets, position = accel_encode(block.octets, block.index, position)
        parts.append(octets)
        if position < count:
            message = block.message(position)
            parts.append(encode_message(message))
            if unchecked is not None and not message.verdict & FLAG_CHECKED:
                unchecked.append(message)
            position += 1
    return parts[0] if len(parts) == 1 else b"".join(parts)
