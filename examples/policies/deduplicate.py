"""Drop what a peer says for the second time: announcements with the same attributes, withdrawals of what is not there.

bgpipe updates.20260101.0000.bz2 -- py deduplicate.py -- write less.mrt.gz
"""

from __future__ import annotations

from bgpipe import Message, Prefix

MP_REACH, MP_UNREACH = 14, 15
routes: dict[tuple[str, Prefix], int] = {}
"""By peer and prefix: a hash of the attributes."""


def update(m: Message) -> bool:
    u = m.update
    if u.errors or u.is_eor:
        return True
    attributes = hash(
        (u.next_hop, *(each for code, each in u.attrs.items() if code not in (MP_REACH, MP_UNREACH))),
    )
    peer = m.tags.get("PEER_IP", m.direction)
    is_news = False
    for prefix in u.withdrawn:
        is_news |= routes.pop((peer, prefix), None) is not None
    for prefix in u.reach:
        is_news |= routes.get((peer, prefix)) != attributes
        routes[peer, prefix] = attributes
    return is_news
