"""Prefixes that come and go: how often each was withdrawn and announced again by the same peer.

python examples/flaps.py updates.20260101.0000.bz2
"""

import sys
from collections import Counter

import bgpipe

away: set[tuple[str, str]] = set()
flaps: Counter[tuple[str, str]] = Counter()
for message in bgpipe.read(sys.argv[1]):
    for elem in message.elems():
        route = str(elem.peer_ip), str(elem.prefix)
        if elem.elem_type == "W":
            away.add(route)
        elif route in away:
            away.remove(route)
            flaps[route] += 1

for (peer, prefix), count in flaps.most_common(10):
    print(f"{count:>4} times  {prefix:<24} from {peer}")
print(f"{sum(flaps.values())} flaps of {len(flaps)} routes")
