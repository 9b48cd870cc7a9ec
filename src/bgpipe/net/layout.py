"""Times and tags in file names.

Times go by the layouts of Go: a layout is how the reference time, 2006-01-02 15:04:05, would look.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_PARTS: Final[dict[str, Callable[[datetime], str]]] = {
    "January": lambda time: _MONTHS[time.month - 1],
    "Jan": lambda time: _MONTHS[time.month - 1][:3],
    "Monday": lambda time: _DAYS[time.weekday()],
    "Mon": lambda time: _DAYS[time.weekday()][:3],
    "MST": lambda time: "UTC",
    "2006": lambda time: f"{time.year:04}",
    "-07:00:00": lambda time: "+00:00:00",
    "-07:00": lambda time: "+00:00",
    "-070000": lambda time: "+000000",
    "-0700": lambda time: "+0000",
    "-07": lambda time: "+00",
    "Z07:00:00": lambda time: "Z",
    "Z07:00": lambda time: "Z",
    "Z070000": lambda time: "Z",
    "Z0700": lambda time: "Z",
    "Z07": lambda time: "Z",
    "002": lambda time: f"{time.timetuple().tm_yday:03}",
    "__2": lambda time: f"{time.timetuple().tm_yday:3}",
    "01": lambda time: f"{time.month:02}",
    "02": lambda time: f"{time.day:02}",
    "03": lambda time: f"{(time.hour - 1) % 12 + 1:02}",
    "04": lambda time: f"{time.minute:02}",
    "05": lambda time: f"{time.second:02}",
    "06": lambda time: f"{time.year % 100:02}",
    "15": lambda time: f"{time.hour:02}",
    "_2": lambda time: f"{time.day:2}",
    "PM": lambda time: "AM" if time.hour < 12 else "PM",
    "pm": lambda time: "am" if time.hour < 12 else "pm",
    "1": lambda time: str(time.month),
    "2": lambda time: str(time.day),
    "3": lambda time: str((time.hour - 1) % 12 + 1),
    "4": lambda time: str(time.minute),
    "5": lambda time: str(time.second),
}
_FRACTION: Final = r"[.,](?:0+|9+)(?![0-9])"
_PATTERN: Final = re.compile(f"_(?=2006)|{'|'.join(map(re.escape, _PARTS))}|{_FRACTION}")
TAGS: Final = (
    *("ROUTER", "COLLECTOR", "RIB"),
    *("PEER_IP", "PEER_AS", "PEER_ID", "PEER_RD", "LOCAL_IP", "LOCAL_AS"),
)
"""Tags that may be in a path, as ${NAME}."""
MAX_NAME: Final = 100
"""Octets of the value of a tag in a path; a longer one is cut, and told apart by a hash."""
_TAG: Final = re.compile(rf"\$\{{({'|'.join(TAGS)})\}}")
_PLACEHOLDER: Final = re.compile(rf"\$\{{(?!(?:{'|'.join(TAGS)})\}})([^}}]+)\}}|\$TIME")
_UNSAFE: Final = re.compile(r"^\.|[^A-Za-z0-9._:@+=-]")


def format_time(layout: str, seconds: float) -> str:
    """The time, in seconds since 1970, in UTC."""
    time = datetime.fromtimestamp(seconds, UTC)

    def part(match: re.Match[str]) -> str:
        text = match[0]
        if text == "_":
            return text
        if text[0] in ".,":
            digits = f"{time.microsecond:06}000"[: len(text) - 1]
            digits = digits if text[1] == "0" else digits.rstrip("0")
            return text[0] + digits if digits else ""
        return _PARTS[text](time)

    return _PATTERN.sub(part, layout)


def has_time(path: str) -> bool:
    """Whether $TIME or ${LAYOUT} is in a path."""
    return _PLACEHOLDER.search(path) is not None


def fill_path(path: str, time_format: str, seconds: float) -> str:
    """The path with $TIME and every ${LAYOUT} replaced by the time."""
    return _PLACEHOLDER.sub(lambda match: format_time(match[1] or time_format, seconds), path)


def has_tags(path: str) -> bool:
    """Whether a tag, as ${ROUTER}, is in a path."""
    return _TAG.search(path) is not None


def fill_tags(path: str, tags: Mapping[str, str]) -> str:
    """The path with every tag replaced by its value, as a name that is safe whoever has chosen it."""
    return _TAG.sub(lambda match: file_name(tags.get(match[1], "")), path)


def file_name(value: str) -> str:
    """A value as a part of one file name: octets other than ASCII letters, digits and `._:@+=-`, and a dot at its
    start, are written as %XX. No value is "none"."""
    if not value:
        return "none"
    octets = value.encode("utf-8", "surrogateescape")
    text = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", octets.decode("latin-1"))
    if len(text) > MAX_NAME:
        text = f"{text[: MAX_NAME - 9].rpartition('%')[0] or text[: MAX_NAME - 9]}-{zlib.crc32(octets):08x}"
    return text
