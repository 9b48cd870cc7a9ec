"""What tables of prefixes cost a route server: CPU time and memory of one process, without a session.

    python bench/bench_routes.py [--prefixes N] [--peers N] [--lists N] [--json]

The tables are random, with the lengths of real ones, and the same in each run. Lists have a community each, as the
communities of lists are for; `lists with the same attributes` are those of peers that have chosen untagged ones.
It prints; a slow machine is not a failure.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Callable
from typing import TypeVar

from bgpipe.routes.attributes import PLAIN, Attributes, UpdateGroup, head
from bgpipe.routes.budget import widen
from bgpipe.routes.exclusion import exclude
from bgpipe.routes.lookup import Lookup
from bgpipe.routes.packing import announce
from bgpipe.routes.peer_routes import PeerRoutes
from bgpipe.routes.policy import PrefixList, Subscription
from bgpipe.routes.prefixes import PrefixSet, parse_lines
from bgpipe.routes.table import Tables
from bgpipe.routes.union import unite
from bgpipe.wire.family import IPV4_UNICAST
from bgpipe.wire.prefix import Prefix

T = TypeVar("T")
LENGTHS = [24] * 60 + [23] * 8 + [22] * 12 + [21] * 5 + [20] * 5 + [19] * 4 + [18] * 2 + [17] + [16] * 2
CHOSEN = 5
"""Lists that a peer has chosen."""
OVERLAP = 15
"""One of so many prefixes of a list is in another one too."""
FORM = UpdateGroup(65000, "192.0.2.1", "2001:db8::1")
LOOKUPS = 100_000


class Figures:
    """What was measured: name to seconds of CPU, or to another number."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def time(self, name: str, call: Callable[[], T]) -> T:
        start = time.process_time()
        result = call()
        self.add(name + ", s", time.process_time() - start)
        return result

    def add(self, name: str, value: float) -> None:
        self.found[name] = round(value, 3)


def random_numbers(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        length = random.choice(LENGTHS)
        address = random.getrandbits(32)
        if 1 <= address >> 24 < 224 and address >> 24 != 127:
            found.add(address >> 32 - length << 32 - length + 8 | length)
    return list(found)


def one_list(figures: Figures, count: int) -> None:
    """A list of many lines: parse, unite, encode, look up, cut, widen."""
    prefixes = PrefixSet.of(random_numbers(count))
    text = "\n".join(prefixes)
    parsed = figures.time(f"parse {count:,} lines", lambda: parse_lines(text)).prefixes
    assert parsed == prefixes
    united = figures.time(f"unite {count:,}", lambda: unite(parsed))
    how = head(PLAIN, FORM, 1)
    assert how is not None
    packed = figures.time(f"encode {count:,}", lambda: announce(parsed.ipv4, 1, how))
    figures.add("UPDATEs", sum(map(len, packed.blocks)))
    hosts = PrefixSet.of(random.getrandbits(32) << 8 | 32 for _ in range(5000))
    figures.time("cut out 5,000 hosts", lambda: exclude(parsed, hosts))
    lookup = figures.time("index for lookups", lambda: Lookup(parsed))
    targets = [Prefix(1, random.getrandbits(32), 32) for _ in range(LOOKUPS)]
    start = time.process_time()
    for target in targets:
        lookup.longest(target)
    figures.add("a lookup, us", (time.process_time() - start) / LOOKUPS * 1e6)
    found = figures.time("widen to 10,000", lambda: widen({PLAIN: united}, 10_000))
    figures.add("routes", sum(map(len, found.routes.values())))
    figures.add("foreign addresses for each own", found.foreign / sum(1 << 32 - (n & 0xFF) for n in united.ipv4))


def peers(figures: Figures, count: int, lists: int, all_prefixes: int, tagged: bool) -> None:
    """Peers that have each chosen other lists: tables, streams, and one changed line."""
    kind = "each its own lists" if tagged else "lists with the same attributes"
    numbers = random_numbers(all_prefixes)
    size = all_prefixes // lists
    found = {}
    for place in range(lists):
        own = numbers[place * size : (place + 1) * size] + random.sample(numbers, size // OVERLAP)
        attributes = Attributes(frozenset({65000 << 16 | place})) if tagged else PLAIN
        found[str(place)] = PrefixList(str(place), PrefixSet.of(own), attributes)
    chosen = [Subscription(tuple(random.sample(sorted(found), CHOSEN))) for _ in range(count)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    tables = Tables(found)
    routes = [PeerRoutes(tables.of(each), FORM, tables.encodings) for each in chosen]
    figures.add(f"tables of {count} peers, {kind}, s", time.process_time() - start)
    start = time.process_time()
    octets = sum(len(block.octets) for each in routes for block in each.replay(IPV4_UNICAST) if block is not None)
    figures.add(f"streams of {count} peers, {kind}, s", time.process_time() - start)
    figures.add(f"routes a peer, {kind}", sum(each.table.count for each in routes) / count)
    figures.add(f"octets a peer, {kind}", octets / count)
    start = time.process_time()
    more = found["0"].prefixes | PrefixSet.parse(["198.51.100.77/32"])
    tables = tables.changed({"0": found["0"]._replace(prefixes=more)})
    told = [list(each.change(tables.of(subscription))) for each, subscription in zip(routes, chosen, strict=True)]
    figures.add(f"one line changed, {kind}, s", time.process_time() - start)
    figures.add(f"UPDATEs of it, {kind}", sum(len(block) for blocks in told for block in blocks if block is not None))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures.add(f"memory for {count} peers, {kind}, MB", (peak - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description="What tables of prefixes cost a route server.")
    parser.add_argument("--prefixes", type=int, default=1_000_000, help="lines of the long list")
    parser.add_argument("--peers", type=int, default=100, help="peers that have each chosen other lists")
    parser.add_argument("--lists", type=int, default=20, help="lists that there are")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    random.seed(1)
    figures = Figures()
    peers(figures, given.peers, given.lists, 741_000 * given.prefixes // 1_000_000, True)
    peers(figures, min(given.peers, 20), given.lists, 741_000 * given.prefixes // 1_000_000, False)
    one_list(figures, given.prefixes)
    if given.json:
        print(json.dumps(figures.found, indent=2))
    else:
        for name, value in figures.found.items():
            print(f"{name:60} {value:12,.3f}")


if __name__ == "__main__":
    main()
