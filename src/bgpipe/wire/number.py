"""Numbers in JSON."""

from __future__ import annotations

from .errors import TextError


def parse_number(value: object, bits: int) -> int:
    """A JSON integer, or a string with a decimal or 0x number, of at most `bits` bits. Raises TextError."""
    number = value
    if isinstance(value, str) and value.isascii() and len(value) < 25:
        try:
            number = int(value, 16 if value[:2] in ("0x", "0X") else 10)
        except ValueError:
            number = None
    if type(number) is not int or number < 0 or number >> bits:
        raise TextError(f"not a number from 0 to {(1 << bits) - 1}: {value!r}")
    return number
