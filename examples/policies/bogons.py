"""Withdraw prefixes that nobody should announce (RFC 6890, RFC 5156), and routes with AS numbers that nobody has.

    bgpipe 192.0.2.1 -- py -R bogons.py -- 198.51.100.1

For your own networks that are among these, take them out of the lists.
"""

from __future__ import annotations

from bgpipe import Message, Prefix, parse_prefix

BOGONS = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.168.0.0/16
    198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3
    ::/8 100::/64 2001:2::/48 2001:10::/28 2001:db8::/32 3ffe::/16 fc00::/7 fe80::/10 ff00::/8
"""
PREFIXES = [parse_prefix(text) for text in BOGONS.split()]
AS_NUMBERS = (
    range(1),  # RFC 7607
    range(23456, 23457),  # AS_TRANS
    range(64496, 131072),  # documentation and private use (RFC 5398, RFC 6996), reserved
    range(4_200_000_000, 1 << 32),
)


def is_bogon(prefix: Prefix) -> bool:
    """Whether a prefix is inside one of the list, or a default route."""
    bits = 32 if prefix.afi == 1 else 128
    if not prefix.length:
        return True
    return any(
        bogon.afi == prefix.afi
        and bogon.length <= prefix.length
        and bogon.address >> (bits - bogon.length) == prefix.address >> (bits - bogon.length)
        for bogon in PREFIXES
    )


def update(m: Message) -> None:
    path = m.update.as_path
    if path and any(asn in numbers for asn in path.ases for numbers in AS_NUMBERS):
        bogons = m.update.reach
    else:
        bogons = [prefix for prefix in m.update.reach if is_bogon(prefix)]
    if bogons:
        m.update = m.update.withdraw(bogons)  # not only dropped: an older route to it must go too
