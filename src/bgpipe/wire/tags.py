"""Tags as text: in the last element of a line of JSON, and in a block.

The tags of a block's messages are fragments in one buffer, each its length (4 octets, network byte order) and the
members: `"PEER_AS":"65001","KEY":"VALUE"`. Messages with equal tags share a fragment. A message without one has the
tags that its per-peer header says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .peer import peer_tags

try:
    from _json import encode_basestring_ascii as quote  # the function alone: importing json takes long
except ImportError:
    from json.encoder import encode_basestring_ascii as quote

NO_TAGS: Final = frozenset(("ACTION", "WIRE"))
"""Keys that are no tags in a line of JSON, but have a meaning of their own (bgpipe.formats.json_meta)."""
MAX_FRAGMENT: Final = 0xFFFF
"""Octets of the longest text of tags that a block holds."""
_PEER_KEYS: Final = ("PEER_AS", "PEER_IP", "LOCAL_AS", "LOCAL_IP", "INTERFACE")


def format_tags(tags: Mapping[str, str]) -> str:
    """The members of a JSON object. An empty tag is none, and ACTION and WIRE are no tags there."""
    return ",".join(f"{quote(key)}:{quote(value)}" for key, value in tags.items() if value and key not in NO_TAGS)


def value_start(key: str) -> str:
    """The text before the value of a tag: `"KEY":"`."""
    return f'{quote(key)}:"'


def parse_tags(fragment: bytes) -> dict[str, str]:
    """The tags that a fragment says, which `TagTable` has made."""
    from json import loads

    tags: dict[str, str] = loads(b"{%b}" % fragment)
    return tags


def fragment_size(octets: bytes, place: int) -> int:
    """Octets of the fragment at a place of a block's tags, its length included."""
    return 4 + int.from_bytes(octets[place : place + 4], "big")


def read_fragment(octets: bytes, place: int) -> bytes:
    """The fragment at a place of a block's tags."""
    return octets[place + 4 : place + fragment_size(octets, place)]


class TagTable:
    """The tags of a new block: those of the block that it is made of, and others behind them."""

    def __init__(self, octets: bytes = b"") -> None:
        self._pieces = [octets]
        self._end = len(octets)
        self._entries: dict[tuple[object, ...], tuple[int, bool] | None] = {}

    @property
    def octets(self) -> bytes:
        return b"".join(self._pieces)

    def enter(self, tags: Mapping[str, str], peer: bytes | None) -> tuple[int, bool] | None:
        """The value of the column `tags` for a message with these tags, and whether they name another peer than its
        per-peer header (FLAG_OWN_PEER).

        None if a block can't hold them: a value that is no text or is empty, a key of NO_TAGS, or text that is too
        long.
        """
        key = (peer, *tags.items())
        try:
            return self._entries[key]
        except KeyError:
            entry = self._entries[key] = self._add(tags, peer)
            return entry
        except TypeError:  # something that is no text
            return None

    def _add(self, tags: Mapping[str, str], peer: bytes | None) -> tuple[int, bool] | None:
        said: Mapping[str, str] = peer_tags(peer) if peer is not None else {}
        if tags == said and [*tags] == [*said]:  # a line of JSON has them in this order
            return 0, False
        if (
            not all(type(key) is str and type(value) is str and value for key, value in tags.items())
            or "ACTION" in tags
        ):
            return None
        fragment = format_tags(tags).encode()
        place = self._end
        if len(fragment) > MAX_FRAGMENT or place + 4 + len(fragment) > 0xFFFFFFFE:
            return None
        self._pieces.append(len(fragment).to_bytes(4, "big") + fragment)
        self._end += 4 + len(fragment)
        return place + 1, {key: tags[key] for key in _PEER_KEYS if key in tags} != said


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
