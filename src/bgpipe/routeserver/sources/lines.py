"""In which line of a file a prefix of a list stands, for who asks where a route comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .base import MAX_CONTENT
from .content import ContentError, read_text, unpack

_NO_TEXT: Final = re.compile(r"\s*[{\[]|(?s:.*?)^route6?:[ \t]", re.MULTILINE)
"""The beginning of JSON, and RPSL: what stands there is no line for itself."""


def line_in_file(path: Path, prefix: str) -> int | None:
    """The number of the line, from 1; None where the file has no such lines, or another content meanwhile."""
    try:
        with path.open("rb") as file:
            text = unpack(file.read(MAX_CONTENT)).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ContentError):
        return None
    return None if _NO_TEXT.match(text) else line_of(text.split("\n"), prefix)


def line_of(lines: Sequence[str], prefix: str) -> int | None:
    """The first line that gives a prefix. Halves of the lines are read, then halves of these: twice all of them."""
    if not _gives(lines, prefix):
        return None
    first, last = 0, len(lines)
    while last - first > 1:
        middle = (first + last) // 2
        if _gives(lines[first:middle], prefix):
            last = middle
        else:
            first = middle
    return first + 1


def _gives(lines: Sequence[str], prefix: str) -> bool:
    return prefix in read_text("\n".join(lines)).prefixes
