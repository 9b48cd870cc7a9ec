"""Values in filters: text to numbers, times, prefixes. Every function raises ConditionError."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from ..wire.errors import TextError
from ..wire.prefix import Prefix, parse_prefix
from .errors import ConditionError

_INTEGER: Final = re.compile(r"[+-]?(0|[1-9][0-9]*|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+)", re.ASCII)
_FLOAT: Final = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UNIX_TIME: Final = r"[0-9]{9,10}(\.[0-9]{1,6})?|[0-9]{13}|[0-9]{16}"
_PARTIAL_DATE: Final = r"[0-9]{4}(-[0-9]{2})?"
_COMPACT_TIME: Final = r"([0-9]{8})[.-]?([0-9]{4}|[0-9]{6})"


def integer_of(text: str) -> int | None:
    """A number in decimal, 0x, 0o or 0b; None if it isn't one. (010 isn't: some would read it as 8.)"""
    return int(text, 0) if len(text) < 70 and _INTEGER.fullmatch(text) else None


def number_of(text: str) -> float | None:
    """An integer as above, or a decimal number."""
    integer = integer_of(text)
    if integer is not None:
        return integer
    return float(text) if len(text) < 400 and re.fullmatch(_FLOAT, text) else None


def parse_unsigned(text: str, bits: int) -> int:
    """An integer from 0 to what `bits` bits hold."""
    value = integer_of(text)
    if value is None:
        raise ConditionError("value", f"invalid value: {text} (expected integer)")
    if not 0 <= value < 1 << bits:
        raise ConditionError("value", f"value out of range: {text} (0 to {(1 << bits) - 1})")
    return value


def parse_address_or_prefix(text: str) -> Prefix:
    """A prefix, or an address as the longest one; bits behind the mask are cleared."""
    try:
        prefix = parse_prefix(text if "/" in text else f"{text}/{128 if ':' in text else 32}")
    except TextError:
        raise ConditionError("value", f"invalid value {text}: not an IP prefix or address") from None
    if prefix.path_id is not None:
        raise ConditionError("value", f"invalid value {text}: path identifiers can't be compared")
    return prefix


def parse_time(text: str) -> int:
    """A time, in microseconds since 1970.

    ISO 8601 in all forms that Python knows (UTC if it names no zone), also YYYY, YYYY-MM, YYYY/MM/DD,
    YYYYMMDD.HHMM as in the names of archives, Unix times, and the dates of e-mails (RFC 5322).
    """
    stripped = text.strip()
    if re.fullmatch(_UNIX_TIME, stripped):
        seconds, _, fraction = stripped.partition(".")
        return int(seconds) * {13: 1000, 16: 1}.get(len(seconds), 1_000_000) + int(fraction.ljust(6, "0"))
    try:
        time = _parse_date(stripped)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError, TypeError, IndexError):
        raise ConditionError("value", f"invalid time: {text} (expected a time such as 2023-03-01T12:30:45)") from None


def _parse_date(text: str) -> datetime:
    if re.fullmatch(_PARTIAL_DATE, text):
        return datetime(int(text[:4]), int(text[5:] or 1), 1)
    if compact := re.fullmatch(_COMPACT_TIME, text):
        return datetime.fromisoformat(f"{compact[1]}T{compact[2]}")
    try:
        return datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        from email.utils import parsedate_to_datetime

        return parsedate_to_datetime(text)
