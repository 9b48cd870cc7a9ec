"""Conditions on tags, for blocks. Messages of a block with equal tags share their text, so each text is tested once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..wire.block import TAGS, Block
from ..wire.tags import parse_tags, read_fragment

TagTest = Callable[[str | None], bool | None]
"""A condition on the value of a tag; the value is None if there is no such tag. Returns None if the condition does not
apply, because what it compares is absent."""

_ANSWERS: Final = {False: 0, True: 1, None: 2}
"""As accel/program.pxd has them."""


def answer_tags(block: Block, tests: Sequence[tuple[str, TagTest]]) -> bytes:
    """For each test, one octet for each message of the block; empty where all tags are those of per-peer headers.

    tests: the keys of tags, and what is asked about their values.
    """
    if not tests or not block.tags:
        return b""
    places = TAGS.of(block.index).tolist()
    tags = {place: parse_tags(read_fragment(block.tags, place - 1)) if place else {} for place in set(places)}
    columns = []
    for key, test in tests:
        answers = {place: _ANSWERS[test(found.get(key) or None)] for place, found in tags.items()}
        columns.append(bytes(map(answers.__getitem__, places)))
    return b"".join(columns)
