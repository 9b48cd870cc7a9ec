"""Octets as hexadecimal digits: the form of everything that has no better one."""

from __future__ import annotations

from ..errors import TextError


def format_hex(octets: bytes) -> str:
    """As JSON text."""
    return f'"0x{octets.hex()}"'


def parse_hex(text: object) -> bytes:
    """`0x` and an even number of digits; an empty string is no octets. Raises TextError."""
    if text == "":
        return b""
    if isinstance(text, str) and text[:2] in ("0x", "0X"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    raise TextError(f"not 0x and an even number of hexadecimal digits: {text!r}")
