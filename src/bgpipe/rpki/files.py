"""Files of validators: VRPs and ASPAs in JSON or CSV, read piece by piece.

    reader = FileReader(time.time())
    for octets in pieces:
        reader.feed(octets)                 # raises TextError: this is no such file
    parsed = reader.finish()                # raises TextError: cut short, or nothing can be read

JSON is that of Routinator (json, jsonext), rpki-client, StayRTR and rtrtr; CSV that of Routinator, rpki-client and
RIPE's validator. An entry that can't be read costs itself, and is counted. A million VRPs take less than a second: feed
them in a thread, where the compiled part does not hold the GIL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..wire.errors import TextError
from .csv_file import CsvFile
from .entries import Entries, Format, Parsed
from .json_file import JsonFile

PIECE: Final = 1 << 20
"""Octets that are fed at once."""
_MARK: Final = b"\xef\xbb\xbf"


class FileReader:
    """Octets of a file to VRPs and ASPAs. now: seconds since 1970, for entries that expire."""

    def __init__(self, now: float) -> None:
        self.entries = Entries(now)
        self._format: Format | None = None
        self._start = b""

    def feed(self, octets: bytes) -> None:
        """The next octets of the file. Raises TextError."""
        if self._format is None:
            self._start = (self._start + octets).removeprefix(_MARK).lstrip()
            if _MARK.startswith(self._start):
                return
            self._format, octets = self._choose(self._start), self._start
        self._format.feed(octets)

    def _choose(self, start: bytes) -> Format:
        return JsonFile(self.entries) if start[:1] in (b"{", b"[") else CsvFile(self.entries)

    def finish(self) -> Parsed:
        """What the file says. Raises TextError."""
        if self._format is None:
            raise TextError("no VRPs: the file is empty" if not self._start else "no VRPs: the file is no text")
        self._format.finish()
        return self.entries.finish()


def parse(octets: bytes, now: float) -> Parsed:
    """What the octets of a whole file say. Raises TextError."""
    reader = FileReader(now)
    for piece in pieces(octets):
        reader.feed(piece)
    return reader.finish()


def pieces(octets: bytes) -> Iterator[bytes]:
    return (octets[start : start + PIECE] for start in range(0, len(octets), PIECE))
