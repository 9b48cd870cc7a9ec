"""Let only the prefixes of a list pass, and withdraw all others.

    bgpipe 192.0.2.1 -- py -R -A prefix_list.py customers.txt -- 198.51.100.1

The file has one prefix in a line, with `ge` and `le` for the lengths that are allowed under it, as routers have them:

    198.51.100.0/22
    203.0.113.0/24 le 25
    2001:db8::/32 ge 40 le 48

A line that starts with # is a comment. After a change, send bgpipe a SIGHUP.
"""

from __future__ import annotations

from bgpipe import Message, Prefix, parse_prefix
from bgpipe.stage import Stage

allowed: dict[tuple[int, int], dict[int, range]] = {}
"""By AFI and length, by address: the lengths that are allowed under it."""


def start(stage: Stage) -> None:
    with open(stage.arguments[1], encoding="utf-8") as file:
        for line in file:
            if words := line.partition("#")[0].split():
                add(parse_prefix(words[0]), dict(zip(words[1::2], map(int, words[2::2]), strict=True)))


def add(prefix: Prefix, bounds: dict[str, int]) -> None:
    least = bounds.get("ge", prefix.length)
    most = bounds.get("le", 128 if "ge" in bounds else prefix.length)
    allowed.setdefault((prefix.afi, prefix.length), {})[prefix.address] = range(least, most + 1)


def is_allowed(prefix: Prefix) -> bool:
    bits = 32 if prefix.afi == 1 else 128
    for length in range(prefix.length + 1):
        row = allowed.get((prefix.afi, length))
        lengths = row and row.get(prefix.address >> (bits - length) << (bits - length))
        if lengths and prefix.length in lengths:
            return True
    return False


def update(m: Message) -> None:
    others = [prefix for prefix in m.update.reach if not is_allowed(prefix)]
    if others:
        m.update = m.update.withdraw(others)
