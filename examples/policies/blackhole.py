"""Take host routes with the BLACKHOLE community (RFC 7999): to a next hop that discards, and not told to others.

    bgpipe 192.0.2.1 -- py -R blackhole.py -- 198.51.100.1

Without the community, prefixes longer than /24 and /48 are withdrawn. On the router behind, route 192.0.2.1 and
100::1 to its null interface.
"""

from __future__ import annotations

from bgpipe import Message

BLACKHOLE = "65535:666"
NO_EXPORT = "65535:65281"
DISCARD = {1: "192.0.2.1", 2: "100::1"}
MAX_DELAY = {1: 24, 2: 48}


def update(m: Message) -> None:
    reach, communities = m.update.reach, m.update.communities
    if not reach:
        return
    if BLACKHOLE in communities:
        wanted = sorted({*communities, NO_EXPORT})
        m.update = m.update.replace(attrs={"COMMUNITY": wanted}, next_hop=DISCARD[reach[0].afi])
    elif long := [prefix for prefix in reach if prefix.length > MAX_DELAY[prefix.afi]]:
        m.update = m.update.withdraw(long)
