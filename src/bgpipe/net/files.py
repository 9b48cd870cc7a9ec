"""The front door to streams of octets: open_input and open_output."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from .compression import by_suffix, parse_compression
from .errors import DamagedError, StreamError
from .input import Input
from .source import FileSource, Source, StandardInput

__all__ = ["DamagedError", "Input", "StreamError", "is_url", "open_input"]


def is_url(path: str) -> bool:
    return path.lower().startswith(("http://", "https://"))


def open_input(path: str, decompress: str = "auto", on_damage: Callable[[DamagedError], None] | None = None) -> Input:
    """The octets of a file, of an http(s) URL, or with "-" of standard input; see Input.

    decompress: auto (what the content says, or else the name), gz, bzip2, zstd or none, in any spelling.
    on_damage: called for what can't be decompressed; without it, that is an error.
    Raises StreamError, and ValueError for an unknown compression.
    """
    compression = parse_compression(decompress)
    source: Source
    if path == "-":
        return Input(StandardInput(), compression, "none", on_damage)
    if is_url(path):
        from .url import UrlSource

        source = UrlSource(path)
        return Input(source, compression, by_suffix(urlsplit(path).path), on_damage)
    return Input(FileSource(path), compression, by_suffix(path), on_damage)
