"""CSV of validators: a VRP in each line, its columns named by a header or known by where the prefix stands.

Lines that are written as usual are read by the compiled part, the others here.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from .. import accel
from ..wire.errors import TextError
from .entries import Entries, make_vrp

MAX_LINE: Final = 1 << 16
"""Octets of the longest line."""

_NAMES: Final = {
    "asn": "asn",
    "prefix": "prefix",
    "ip prefix": "prefix",
    "max length": "max_length",
    "maxlength": "max_length",
    "max_length": "max_length",
    "expires": "expires",
    "not after": "expires",
    "trust anchor": "",
    "ta": "",
    "uri": "",
    "not before": "",
}
"""What the columns of a header are; others are passed over."""
_BY_PREFIX: Final = {
    0: ("prefix", "max_length", "asn"),
    1: ("asn", "prefix", "max_length", "", "expires"),
    2: ("", "asn", "prefix", "max_length", "", "expires"),
}
"""Columns of a file without a header, by the place of the prefix: of bgpipe in Go, Routinator, RIPE."""


class CsvFile:
    """A file in CSV, with blank lines and comments that begin with #. lines: those that were passed over before."""

    def __init__(self, entries: Entries, lines: int = 0) -> None:
        self._entries = entries
        self._scanner: Any = accel.rpki_json.Scanner(entries.now) if accel.AVAILABLE else None
        self._rest = b""
        self._line = lines
        self._columns: Mapping[str, int] = {}
        self._least = 0  # fields that a line must have: the last line of a file that is cut short has fewer

    def feed(self, octets: bytes) -> None:
        rest, place = self._rest + octets, 0
        while True:
            place = self._scan(rest, place)
            end = rest.find(b"\n", place)
            if end < 0:
                break
            self._read(rest[place:end])
            place = end + 1
        self._rest = rest[place:]
        self._check(self._rest, self._line + 1)

    def _check(self, line: bytes, number: int) -> None:
        if len(line) > MAX_LINE:
            raise TextError(f"no VRPs in CSV: line {number} is too long")

    def _scan(self, octets: bytes, place: int) -> int:
        """Reads as many lines as the compiled part can. Returns where the next one begins."""
        if self._scanner is None or not self._columns:
            return place
        columns = (self._columns.get(name, -1) for name in ("asn", "prefix", "max_length", "expires"))
        end, count = self._scanner.scan_lines(octets, place, *columns, self._least)
        self._line += count
        self._entries.limit(self._line)
        return int(end)

    def finish(self) -> None:
        if self._rest:
            self._read(self._rest)
        if not self._columns:
            raise TextError("no VRPs in CSV: there is no line of them")
        if self._scanner is not None:
            self._entries.take(self._scanner)

    def _read(self, octets: bytes) -> None:
        self._line += 1
        self._entries.limit(self._line)
        self._check(octets, self._line)
        line = octets.strip()
        if not line or line.startswith(b"#"):
            return
        fields = self._split(line)
        if not self._columns:
            self._columns, is_header = _columns(fields)
            if not self._columns:
                raise TextError(f"no VRPs in CSV: line {self._line} is neither a header nor a VRP: {_shown(line)}")
            if is_header:
                self._least = len(fields)
                return
        self._enter(fields)

    def _split(self, line: bytes) -> list[str]:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise TextError(f"no VRPs in CSV: line {self._line} is no text") from None
        fields = next(csv.reader([text.replace("\r", " ")])) if '"' in text else text.split(",")
        return [field.strip() for field in fields]

    def _enter(self, fields: list[str]) -> None:
        def of(name: str) -> str:
            place = self._columns.get(name, len(fields))
            return fields[place] if place < len(fields) else ""

        try:
            if len(fields) < self._least:
                raise TextError(f"{self._least} fields are expected, as in the header: {len(fields)}")
            vrp = make_vrp(of("prefix"), _number(of("max_length")), of("asn"))
            expires = _time(of("expires"))
        except TextError as error:
            self._entries.tell(f"line {self._line}", str(error))
            return
        if not self._entries.is_over(expires):
            self._entries.add_vrp(vrp)


def _columns(fields: list[str]) -> tuple[Mapping[str, int], bool]:
    """The places of the columns, and whether this line is a header; no places if it is neither that nor a VRP."""
    named = {name: place for place, text in enumerate(fields) if (name := _NAMES.get(text.strip('"').lower()))}
    if "asn" in named and "prefix" in named:
        return named, True
    for place, names in _BY_PREFIX.items():
        if place < len(fields) and "/" in fields[place] and "://" not in fields[place]:
            return {name: at for at, name in enumerate(names) if name}, False
    return {}, False


def _number(text: str) -> int | None:
    """None for a field that is empty. Raises TextError."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 3):
        raise TextError(f"not a length: {text!r}")
    return int(text)


def _time(text: str) -> float | None:
    """Seconds since 1970, or a date and time in UTC, as seconds since 1970. Raises TextError."""
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        return float(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise TextError(f"not a time: {text[:40]!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace"))
