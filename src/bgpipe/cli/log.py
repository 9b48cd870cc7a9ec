"""The log: lines on standard error, `YYYY-MM-DD HH:MM:SS INF text key=value`, in UTC.

structlog would do, but to import it takes longer than reading a small file, and this is all that is wanted of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from .options import LEVELS

_RANKS: Final = {level: rank for rank, level in enumerate(LEVELS)}
_TAGS: Final = {"debug": "DBG", "info": "INF", "warn": "WRN", "error": "ERR"}
_COLOURS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warn": "\x1b[33m", "error": "\x1b[31m"}


class StderrLog:
    """Writes what is of `level` and above."""

    def __init__(
        self, level: str = "info", *, now: Callable[[], float] = time.time, bound: Mapping[str, Any] | None = None
    ) -> None:
        self.level = level
        self._now = now
        self._bound = dict(bound or {})
        self._colours = sys.stderr.isatty()

    def debug(self, text: str, **fields: Any) -> None:
        self._write("debug", text, fields)

    def info(self, text: str, **fields: Any) -> None:
        self._write("info", text, fields)

    def warning(self, text: str, **fields: Any) -> None:
        self._write("warn", text, fields)

    def error(self, text: str, **fields: Any) -> None:
        self._write("error", text, fields)

    def bind(self, **fields: Any) -> StderrLog:
        """A log that says these fields on every line."""
        return StderrLog(self.level, now=self._now, bound=self._bound | fields)

    def shows(self, level: str) -> bool:
        return _RANKS[level] >= _RANKS[self.level]

    def _write(self, level: str, text: str, fields: dict[str, Any]) -> None:
        if not self.shows(level):
            return
        error = fields.pop("exc_info", None)
        fields = self._bound | fields
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._now()))
        tag = _TAGS[level]
        if self._colours:
            tag = f"{_COLOURS[level]}{tag}\x1b[0m"
        told = "".join(f" {key}={format_field(value)}" for key, value in fields.items())
        lines = f"{stamp} {tag} {printable(text)}{told}\n"
        if error is not None:
            import traceback

            lines += "".join(traceback.format_exception(error))
        try:
            sys.stderr.write(lines)
            sys.stderr.flush()
        except OSError:
            pass  # nobody listens; that must not end a session


def format_field(value: object) -> str:
    """A value as it is where that is one word, else in quotation marks."""
    text = printable(str(value))
    if text and not set(text) & set(' "='):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def printable(text: str) -> str:
    """Control characters escaped: what peers and files say must not move the cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
