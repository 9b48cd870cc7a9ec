"""The log: lines on standard error, for people or for programs.

For people: `YYYY-MM-DD HH:MM:SS INF text key=value`, in UTC. For programs: one JSON object a line, with the keys of
zerolog's, as the Go bgpipe has them: time, level, message, and the fields beside them.

structlog has all this too, but importing it takes longer than reading a small file.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import sys
import termios
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ..pipeline.log import Log
from .options import LEVELS

_GET_PIPE_SIZE: Final = getattr(fcntl, "F_GETPIPE_SZ", 1032)
_RANKS: Final = {level: rank for rank, level in enumerate(LEVELS)}
_TAGS: Final = {"debug": "DBG", "info": "INF", "warn": "WRN", "error": "ERR"}
_COLOURS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warn": "\x1b[33m", "error": "\x1b[31m"}


class BindableLog(Log, Protocol):
    """A log that can be bound to fields, such as the number of a session."""

    def bind(self, **fields: Any) -> BindableLog: ...


class StderrLog:
    """Writes lines of `level` and above, as "text" or "json".

    A reader of standard error that is slow or gone must neither delay nor end a session: lines that standard error does
    not take are dropped, and counted.
    """

    def __init__(
        self, level: str = "info", *, now: Callable[[], float] = time.time, bound: Mapping[str, Any] | None = None
    ) -> None:
        self.level = level
        self.format = "text"
        self.dropped = 0
        self._now = now
        self._bound = dict(bound or {})
        self._colours = sys.stderr.isatty()

    def debug(self, text: str, /, **fields: Any) -> None:
        self._write("debug", text, fields)

    def info(self, text: str, /, **fields: Any) -> None:
        self._write("info", text, fields)

    def warning(self, text: str, /, **fields: Any) -> None:
        self._write("warn", text, fields)

    def error(self, text: str, /, **fields: Any) -> None:
        self._write("error", text, fields)

    def bind(self, **fields: Any) -> StderrLog:
        """A log with these fields on every line."""
        bound = StderrLog(self.level, now=self._now, bound=self._bound | fields)
        bound.format = self.format
        return bound

    def shows(self, level: str) -> bool:
        return _RANKS[level] >= _RANKS[self.level]

    def _write(self, level: str, text: str, fields: dict[str, Any]) -> None:
        if not self.shows(level):
            return
        error = fields.pop("exc_info", None)
        fields = self._bound | fields
        if self.dropped:
            fields["dropped"] = self.dropped
        make = self._json_line if self.format == "json" else self._text_line
        line = make(level, text, fields, _traceback(error))
        if not _has_room(len(line)):  # it is ASCII, or little more
            self.dropped += 1
            return
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
            self.dropped = 0
        except OSError:
            self.dropped += 1  # there is no reader

    def _text_line(self, level: str, text: str, fields: Mapping[str, Any], traceback: str) -> str:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._now()))
        tag = _TAGS[level]
        if self._colours:
            tag = f"{_COLOURS[level]}{tag}\x1b[0m"
        told = "".join(f" {key}={format_field(value)}" for key, value in fields.items())
        return f"{stamp} {tag} {printable(text)}{told}\n{traceback}"

    def _json_line(self, level: str, text: str, fields: Mapping[str, Any], traceback: str) -> str:
        import json

        now = self._now()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        line = {"time": f"{stamp}.{int(now % 1 * 1000):03d}Z", "level": level, "message": text}
        line |= {key: value for key, value in fields.items() if key not in line}
        if traceback:
            line["traceback"] = traceback
        return json.dumps(line, default=str, separators=(",", ":")) + "\n"


def _has_room(size: int) -> bool:
    """Whether standard error can take so many octets now without blocking."""
    try:
        poll = select.poll()
        poll.register(sys.stderr, select.POLLOUT)
        if not poll.poll(0):
            return False
        if size <= select.PIPE_BUF or not stat.S_ISFIFO(os.fstat(sys.stderr.fileno()).st_mode):
            return True
        queued = fcntl.ioctl(sys.stderr, termios.FIONREAD, bytes(4))  # a longer line could block the event loop
        return not any(queued) and size <= fcntl.fcntl(sys.stderr, _GET_PIPE_SIZE)
    except (OSError, TypeError, ValueError):  # a stream that can't be full, as in tests
        return True


def _traceback(error: BaseException | None) -> str:
    if error is None:
        return ""
    import traceback

    return "".join(traceback.format_exception(error))


def format_field(value: object) -> str:
    """The text of a field: a single word as it is, other text in quotation marks, an object as JSON."""
    if isinstance(value, dict):
        import json

        return json.dumps(value, default=str, separators=(",", ":"))
    text = printable(str(value))
    if text and not set(text) & set(' "='):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def printable(text: str) -> str:
    """Escapes control characters, so that text of peers and files can't move the cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
