"""Networks that are nobody's on the Internet (RFC 6890)."""

from __future__ import annotations

from typing import Final

from ..routes.prefixes import PrefixSet

BOGONS: Final = PrefixSet.parse(
    (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/3", "::/3", "2001:db8::/32", "3fff::/20", "4000::/2", "8000::/1"),
    )
)
"""They are left out of lists that are fetched, not of those in files."""
