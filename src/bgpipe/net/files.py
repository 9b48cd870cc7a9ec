"""Opens streams of octets: open_input and open_output."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from .compression import by_suffix, parse_compression
from .errors import DamagedError, StreamError
from .input_stream import InputStream as InputStream
from .octet_source import FileOctets, OctetSource, StandardInput

if TYPE_CHECKING:
    from .output_file import OutputFile
    from .standard_output import StandardOutput

__all__ = ["DamagedError", "InputStream", "StreamError", "is_url", "open_input", "open_output"]


def is_url(path: str) -> bool:
    return path.lower().startswith(("http://", "https://"))


def open_input(
    path: str, decompress: str = "auto", on_damage: Callable[[DamagedError], None] | None = None
) -> InputStream:
    """The octets of a file, of an http(s) URL, or with "-" of standard input; see InputStream.

    decompress: auto (by the content, else by the name), gz, bzip2, zstd or none, in any spelling.
    on_damage: called for each part that can't be decompressed; without it, that is an error.
    Raises StreamError, and ValueError for an unknown compression.
    """
    compression = parse_compression(decompress)
    source: OctetSource
    if path == "-":
        return InputStream(StandardInput(), compression, "none", on_damage)
    if "://" in path and not os.path.exists(path):
        from urllib.parse import urlsplit

        from .url import UrlOctets

        source = UrlOctets(path)
        if not is_url(path):
            raise StreamError(source.name, "of URLs, only those of http and https can be read")
        try:
            suffix = by_suffix(urlsplit(path).path)
        except ValueError as error:
            raise StreamError(source.name, "not a URL") from error
        return InputStream(source, compression, suffix, on_damage)
    return InputStream(FileOctets(path), compression, by_suffix(path), on_damage)


def open_output(
    path: str,
    compress: str = "auto",
    *,
    append: bool = False,
    create: bool = False,
    every: float = 0,
    time_format: str = "20060102.1504",
) -> OutputFile | StandardOutput:
    """Octets to a file, or with "-" to standard output; see Output.

    compress: auto (by the name), gz, bzip2, zstd or none, in any spelling.
    append: append to an existing file. create: the file must not exist.
    every: seconds after which the next file begins, 0 for one file only. $TIME in the path is the time in
    `time_format`, and ${LAYOUT} the time in that layout (see layout): that of the opening, or with `every` the start of
    the interval, in UTC.
    Raises StreamError, and ValueError for an unknown compression.
    """
    compression = parse_compression(compress)
    if compression == "auto":
        compression = by_suffix(path)
    if path == "-":
        from .standard_output import StandardOutput

        return StandardOutput(compression)
    from .output_file import OutputFile

    return OutputFile(path, compression, append=append, create=create, every=every, time_format=time_format)
