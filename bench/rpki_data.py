"""RPKI data for the speed table, as Routinator writes them.

    python bench/rpki_data.py ARCHIVE VRPS FILE

FILE gets so many VRPs and, for each tenth VRP, an ASPA. Half of the prefixes of the archive are covered: most by a VRP
of their origin, some by one of another AS or with a shorter maxLength. The rest is spread over the address space.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

import bgpipe

Vrp = tuple[str, int, int]


def routes(archive: str) -> tuple[dict[str, int], dict[int, set[int]]]:
    """The origin AS of each prefix of an archive, and the neighbours of each AS on paths, towards the collector."""
    origins: dict[str, int] = {}
    providers: dict[int, set[int]] = {}
    for message in bgpipe.read(archive, filter="UPDATE"):
        update = message.update
        hops = [hop for hop in update.as_path.hops if isinstance(hop, int)] if update.as_path is not None else []
        for prefix in update.reach:
            if hops:
                origins[str(prefix)] = hops[-1]
        for nearer, farther in pairwise(hops):
            if nearer != farther:
                providers.setdefault(farther, set()).add(nearer)
    return origins, providers


def vrps(origins: dict[str, int], count: int) -> Iterator[Vrp]:
    source = random.Random(11)
    for prefix, origin in origins.items():
        length = int(prefix.rpartition("/")[2])
        if source.random() < 0.5:
            yield prefix, length, origin if source.random() < 0.9 else origin + 1
            count -= 1
    for number in range(count):
        asn = source.randrange(1, 400_000)
        if number % 4:
            length = source.choice((16, 19, 20, 22, 23, 24, 24, 24))
            address = source.randrange(1 << 24, 223 << 24) >> 32 - length << 32 - length
            yield f"{IPv4Address(address)}/{length}", min(24, length + source.choice((0, 0, 0, 1, 2))), asn
        else:
            length = source.choice((32, 36, 40, 44, 48))
            address = (0x2000 | source.randrange(0x1000)) << 112 | source.getrandbits(48) << 64
            yield f"{IPv6Address(address >> 128 - length << 128 - length)}/{length}", 48, asn


def main() -> None:
    archive, count, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    origins, providers = routes(archive)
    roas = ",\n".join(
        f'    {{ "asn": "AS{asn}", "prefix": "{prefix}", "maxLength": {length}, "ta": "ripe" }}'
        for prefix, length, asn in vrps(origins, count)
    )
    known = sorted(providers)[: count // 10]
    filler = range(500_000, 500_000 + count // 10 - len(known))
    aspas = ",\n".join(
        f'    {{ "customer": "AS{each}", "providers": {json.dumps([f"AS{asn}" for asn in asns])}, "ta": "ripe" }}'
        for each, asns in [(each, sorted(providers[each])) for each in known] + [(each, [each + 1]) for each in filler]
    )
    head = '{\n  "metadata": {\n    "generated": 1771777000\n  },\n  "roas": [\n'
    path.write_text(f'{head}{roas}\n  ],\n  "routerKeys": [],\n  "aspas": [\n{aspas}\n  ]\n}}\n')


if __name__ == "__main__":
    main()
