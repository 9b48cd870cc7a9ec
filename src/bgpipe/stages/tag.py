"""Add and drop tags of messages."""

from __future__ import annotations

from collections.abc import Sequence

from ..pipeline.errors import ConfigError
from ..pipeline.options import FLAG, LIST, TEXTS, Option
from ..pipeline.stage import Consuming
from ..wire.block import FLAGS, NO_PEER, PEER, TAGS, Block
from ..wire.flags import FLAG_PEER_AS4
from ..wire.item import Item
from ..wire.message import Message
from ..wire.peer import read_peer
from ..wire.tags import NO_TAGS, TagTable, read_fragment
from .base.editing import matching, replace_messages

SOURCE = "SRC"


class Tag(Consuming):
    """Add and drop tags of messages.

    Tags are dropped first, then SRC is set, then tags are added.
    """

    both = True
    observable = False

    add = Option(TEXTS, (), "add a tag; may be repeated, or have commas between tags", metavar="KEY=VALUE")
    drop = Option(LIST, (), "drop tags; * drops all", metavar="KEY")
    src = Option(FLAG, False, f"set the tag {SOURCE} to the name of the stage that the message came from")

    def attach(self) -> None:
        self.added = dict(map(_parse_tag, _split(self.add)))
        self.dropped = frozenset(self.drop)
        if not (self.added or self.dropped or self.src):
            raise ConfigError("needs --add, --drop or --src")
        self.watch(self.on_message, on_block=self.on_block, decodes=False, selects=True)

    def on_message(self, message: Message) -> bool:
        message.tags = self._edited(message.tags)
        return True

    def _edited(self, tags: dict[str, str]) -> dict[str, str]:
        """The tags after the edit. SRC and the added tags keep the place of an equal key, as a dict does."""
        kept = {} if "*" in self.dropped else {key: tags[key] for key in tags if key not in self.dropped}
        if self.src and (source := self.pipeline.source) is not None:
            kept[SOURCE] = source.name
        return kept | self.added

    def on_block(self, block: Block) -> Block | list[Item]:
        table = TagTable(block.tags)
        entries: dict[int, tuple[int, bool]] = {}
        others: dict[int, list[Message]] = {}
        known: dict[tuple[bytes | None, int], tuple[int, bool] | None] = {}
        places, peers = TAGS.of(block.index).tolist(), PEER.of(block.index).tolist()
        flags = FLAGS.of(block.index).tolist()
        for position in self._matching(block):
            peer = peers[position]
            header = read_peer(block.octets, peer, bool(flags[position] & FLAG_PEER_AS4)) if peer != NO_PEER else None
            key = header, places[position]
            if key not in known:
                known[key] = table.enter(self._edited(_tags_of(block, *key)), header)
            entry = known[key]
            if entry is not None:
                entries[position] = entry
                continue
            message = block.message(position)  # tags that a block can't hold
            self.on_message(message)
            others[position] = [message]
        return replace_messages(block.tagged(entries, table) if entries else block, {}, others)

    def _matching(self, block: Block) -> Sequence[int]:
        return matching(block, self.callbacks[-1].conditions)


def _tags_of(block: Block, header: bytes | None, place: int) -> dict[str, str]:
    fragment = read_fragment(block.tags, place - 1) if place else None
    return dict(Message(0, peer=header, fragment=fragment).tags)


def _split(texts: Sequence[str]) -> list[str]:
    """`a=1,b=2` is two tags; a comma in a value that no `=` follows belongs to the value."""
    found: list[str] = []
    for text in texts:
        parts: list[str] = []
        for part in text.split(","):
            if "=" in part or not parts:
                parts.append(part)
            else:
                parts[-1] += f",{part}"
        found += parts
    return found


def _parse_tag(text: str) -> tuple[str, str]:
    """Raises ConfigError."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--add: KEY=VALUE is expected, not {text!r}")
    if key in NO_TAGS:
        raise ConfigError(f"--add: {key} is no tag: it has a meaning of its own in a line of JSON")
    if not value:
        raise ConfigError(f"--add: a tag without a value is none: {text!r} (--drop {key} drops it)")
    return key, value
