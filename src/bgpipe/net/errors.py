"""Texts for errors of files, URLs and connections."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import ClientResponse

MAX_SHOWN: Final = 200
"""Characters of what a server says that are shown."""

ADVICE = {
    errno.ENOSPC: "no space left on the device: free some, or write elsewhere",
    errno.EDQUOT: "disk quota exceeded: free some space, or write elsewhere",
    errno.EFBIG: "file too large: the limit (ulimit -f) or the file system allows no more",
    errno.EBADF: "is closed",
    errno.EACCES: "permission denied",
    errno.ENOENT: "no such file or directory",
    errno.EISDIR: "is a directory",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EROFS: "the file system is read-only",
}


class StreamError(OSError):
    """A stream that can't be opened, read on or written; its text names the stream."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


class DamagedError(StreamError):
    """A part of a stream that can't be read. What was read before it is good, and reading can go on after it."""


def explain(error: OSError) -> str:
    """The text of an OSError, and what to do about it."""
    return ADVICE.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__


def explain_error(error: Exception) -> str:
    """The text of an error, without the number of the operating system."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def explain_http(error: Exception) -> str:
    """What is wrong with an exchange over HTTP, where aiohttp has raised this error; in our words where its own say how
    it works inside."""
    from aiohttp import ClientPayloadError, InvalidURL

    if isinstance(error, InvalidURL):
        return "not a URL"
    if isinstance(error, ClientPayloadError):
        return "the answer ends too early"
    cause = getattr(error, "os_error", None)
    if cause is not None:  # no connection
        return f"{getattr(error, 'host', '')}:{getattr(error, 'port', '')}: {explain_failure(cause)}"
    return str(error)[:MAX_SHOWN] or type(error).__name__


def explain_failure(error: OSError) -> str:
    """The reason of a failed connection; the text of asyncio has none."""
    text = error.strerror or str(error) or "the connection was closed"
    return os.strerror(error.errno or 0) if text.startswith("Connect call failed") else text


def explain_status(response: ClientResponse) -> str:
    """What is wrong with an answer whose status is not the one that was hoped for."""
    return f"the server answered {response.status} {response.reason or ''}"[:MAX_SHOWN].rstrip()
