"""Prepend an AS number to the paths of some prefixes, so that traffic to them comes another way.

    bgpipe 192.0.2.1 -- py -R -A prepend.py 65001 3 203.0.113.0/24 2001:db8::/32 -- 198.51.100.1

The words are the AS number, how often, and the prefixes: all of them if none is named.
"""

from __future__ import annotations

from bgpipe import Message, Prefix, Update, parse_prefix
from bgpipe.stage import Stage

asn, count = 0, 1
prefixes: set[Prefix] = set()


def start(stage: Stage) -> None:
    global asn, count
    asn, count = int(stage.arguments[1]), int(stage.arguments[2])
    prefixes.update(map(parse_prefix, stage.arguments[3:]))


def update(m: Message) -> list[Update] | None:
    u = m.update
    if u.as_path is None:
        return None
    ours = [prefix for prefix in u.reach if not prefixes or prefix._replace(path_id=None) in prefixes]
    if not ours:
        return None
    hops = [list(hop) if isinstance(hop, tuple) else hop for hop in u.as_path.hops]
    longer = u.replace(reach=ours, withdrawn=[], attrs={"ASPATH": [asn] * count + hops})
    others = [prefix for prefix in u.reach if prefix not in ours]
    if others:  # they keep their path, in an UPDATE of their own
        return [u.replace(reach=others), longer]
    return [Update.make(withdrawn=u.withdrawn, context=u.context), longer] if u.withdrawn else [longer]
