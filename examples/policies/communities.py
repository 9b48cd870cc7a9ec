"""Rewrite the next hop, mark routes with a community of ours, and remove what others have set in our name.

    bgpipe 192.0.2.1 -- py -R -A communities.py 65001 198.51.100.254 2001:db8::fe -- 198.51.100.1

The words are our AS number and the next hops for IPv4 and IPv6. Routes get AS:100, or AS:200 if their origin is the
peer itself.
"""

from __future__ import annotations

from bgpipe import Message
from bgpipe.stage import Stage

ours = 0
hops = {1: "", 2: ""}


def start(stage: Stage) -> None:
    global ours
    ours, hops[1], hops[2] = int(stage.arguments[1]), stage.arguments[2], stage.arguments[3]


def update(m: Message) -> None:
    u = m.update
    if not u.reach:
        return
    foreign = [community for community in u.communities if not community.startswith(f"{ours}:")]
    mark = 200 if u.as_path is not None and len(set(u.as_path.ases)) == 1 else 100
    m.update = u.replace(attrs={"COMMUNITY": [*foreign, f"{ours}:{mark}"]}, next_hop=hops[u.reach[0].afi])
