"""Files of validators: VRPs and ASPAs in JSON or CSV, read piece by piece.

    reader = FileReader(time.time())
    for octets in pieces:
        reader.feed(octets)                 # raises TextError: this is no such file
    parsed = reader.finish()                # raises TextError: cut short, or nothing can be read

JSON is that of Routinator (json, jsonext), rpki-client, StayRTR and rtrtr; CSV that of Routinator, rpki-client and
RIPE's validator; either may be compressed by gzip. An entry that can't be read costs itself, and is counted. A million
VRPs take less than a second: feed them in a thread, where the compiled part does not hold the GIL.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from ..wire.errors import TextError
from .csv_file import CsvFile
from .entries import Entries, Format, Parsed
from .json_file import JsonFile

PIECE: Final = 1 << 20
"""Octets that are fed at once."""
MAX_SIZE: Final = 512 << 20
"""Octets of the largest file that is read, after decompression."""
_MARK: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"


class FileReader:
    """Octets of a file to VRPs and ASPAs. now: seconds since 1970, for entries that expire."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._inner: GzipReader | TextReader | None = None
        self._start = b""

    def feed(self, octets: bytes) -> None:
        """The next octets of the file. Raises TextError."""
        if self._inner is None:
            octets = self._start + octets
            if len(octets) < len(_GZIP):
                self._start = octets
                return
            text = TextReader(Entries(self._now))
            self._inner = GzipReader(text) if octets.startswith(_GZIP) else text
        self._inner.feed(octets)

    def finish(self) -> Parsed:
        """What the file says. Raises TextError."""
        if self._inner is None:
            self._inner = TextReader(Entries(self._now))
            self._inner.feed(self._start)
        return self._inner.finish()


class TextReader:
    """Octets of JSON or CSV."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._format: Format | None = None
        self._start = b""
        self._size = 0
        self._lines = 0  # blank ones, before the format is known

    def feed(self, octets: bytes) -> None:
        self._size += len(octets)
        if self._size > MAX_SIZE:
            raise TextError(f"more than {MAX_SIZE >> 20} MiB")
        if self._format is None:
            octets = self._start + octets
            text = octets.removeprefix(_MARK).lstrip()
            if _MARK.startswith(text):
                self._start = text
                self._lines += octets.count(b"\n")
                return
            self._lines += octets.count(b"\n", 0, len(octets) - len(text))
            self._format, octets = self._choose(text), text
        self._format.feed(octets)

    def _choose(self, text: bytes) -> Format:
        if text[:1] in (b"{", b"["):
            return JsonFile(self._entries, self._size - len(text))
        return CsvFile(self._entries, self._lines)

    def finish(self) -> Parsed:
        if self._format is None:
            raise TextError("no VRPs: the file is empty" if not self._start else "no VRPs: the file is no text")
        self._format.finish()
        return self._entries.finish()


class GzipReader:
    """Octets that are compressed by gzip, in one member or several (RFC 1952)."""

    def __init__(self, inner: TextReader) -> None:
        self._inner = inner
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def feed(self, octets: bytes) -> None:
        plain = b""
        while octets or (len(plain) == PIECE and not self._member.eof):  # of so much, more may be at hand
            if self._member.eof:
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                plain = self._member.decompress(octets, PIECE)
            except zlib.error as error:
                raise TextError(f"gzip: {error}") from None
            octets = self._member.unconsumed_tail or self._member.unused_data
            self._inner.feed(plain)

    def finish(self) -> Parsed:
        if not self._member.eof:
            raise TextError("gzip: the file is cut short")
        return self._inner.finish()


def parse(octets: bytes, now: float) -> Parsed:
    """What the octets of a whole file say. Raises TextError."""
    reader = FileReader(now)
    for piece in pieces(octets):
        reader.feed(piece)
    return reader.finish()


def pieces(octets: bytes) -> Iterator[bytes]:
    return (octets[start : start + PIECE] for start in range(0, len(octets), PIECE))
