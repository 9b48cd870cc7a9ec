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
    return inet_ntop(AF_INET6, octets)


@lru_cache(maxsize=65536)
def parse_address(text: str) -> bytes:
    """Text as 4 or 16 octets. Raises TextError."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        raise TextError(f"not an IP address: {text!r}") from None
