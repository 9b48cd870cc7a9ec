"""IP addresses between octets and text, in the form of RFC 5952."""

from __future__ import annotations

from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from .errors import TextError


@lru_cache(maxsize=65536)
def format_address(octets: bytes) -> str:
    """4 or 16 octets as text."""
    if len(octets) == 4:
        return "%d.%d.%d.%d" % (octets[0], octets[1], octets[2], octets[3])
    text = inet_ntop(AF_INET6, octets)
    if "." in text and not text.startswith("::ffff:"):  # the C library writes ::1:0 as ::0.1.0.0
        return "::%x:%x" % (int.from_bytes(octets[12:14], "big"), int.from_bytes(octets[14:], "big"))
    return text


@lru_cache(maxsize=65536)
def parse_address(text: str) -> bytes:
    """Text as 4 or 16 octets. Raises TextError."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        raise TextError(f"not an IP address: {text!r}") from None
