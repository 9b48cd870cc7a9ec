"""Texts for errors of files, URLs and connections."""

from __future__ import annotations

import errno

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
