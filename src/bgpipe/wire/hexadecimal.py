"""Octets as text: `0x` and two lower-case digits each."""

from __future__ import annotations

from .errors import TextError


def format_hex(octets: bytes) -> str:
    return "0x" + octets.hex()


def parse_hex(text: str) -> bytes:
    """`0x` (which may be missing) and pairs of digits, nothing else. Raises TextError."""
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        octets = b""
    if len(octets) * 2 != len(digits):  # fromhex allows spaces
        shown = text if len(text) <= 40 else text[:40] + "..."
        raise TextError(f"not octets in hexadecimal: {shown!r}; 0x and pairs of digits are expected")
    return octets
