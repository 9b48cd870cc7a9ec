"""Add and drop tags of messages."""

from __future__ import annotations

from collections.abc import Sequence

from ..pipeline.errors import ConfigError
from ..pipeline.options import FLAG, LIST, TEXTS, Option
from ..pipeline.stage import Consuming
from ..wire.block import Block
from ..wire.item import Item
from ..wire.message import Message
from ..wire.tags import NO_TAGS, TagTable
from .base.editing import change_tags, matching, replace_messages

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
        entries, unfit = change_tags(block, self._matching(block), table, self._edited)
        others: dict[int, list[Message]] = {}
        for position in unfit:
            message = block.message(position)
            self.on_message(message)
            others[position] = [message]
        return replace_messages(block.tagged(entries, table) if entries else block, {}, others)

    def _matching(self, block: Block) -> Sequence[int]:
        return matching(block, self.callbacks[-1].conditions)


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
