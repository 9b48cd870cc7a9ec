"""Sample archives, made from a seed: `python -m bgpipe.sample DIR` writes updates.mrt.gz and rib.mrt.gz.

A small internet is grown by preferential attachment, so that few networks have many links and most have one or two, as
in the real one. A collector peers with some of them; its sessions announce, withdraw, flap and reset. The numbers are
made up. The same seed gives the same octets.

The records are put together here octet by octet and not by the codec: what the codec reads back is a second opinion.
"""

from __future__ import annotations

import argparse
import gzip
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import accumulate
from pathlib import Path
from random import Random
from struct import Struct

START = 1_767_323_045
"""Seconds since 1970 of the first record: 2026-01-02 03:04:05."""
COLLECTOR_AS = 64496
COLLECTOR_IPV4 = IPv4Address("192.0.2.254").packed
COLLECTOR_IPV6 = IPv6Address("2001:db8::fe").packed
AS_TRANS = 23456

MRT = Struct(">IHHI")
MRT_ET = Struct(">IHHII")
TABLE_DUMP_V2, BGP4MP_ET = 13, 17
STATE_CHANGE, MESSAGE, MESSAGE_AS4, STATE_CHANGE_AS4, MESSAGE_AS4_ADD_PATH = 0, 1, 4, 5, 9
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
IDLE, CONNECT, OPEN_SENT, OPEN_CONFIRM, ESTABLISHED = 1, 2, 4, 5, 6

NETWORKS = 1500
TIER_1 = 8
"""Networks that all peer with each other, to which the others attach."""
PREFIX_LENGTHS_4 = (24, 24, 24, 24, 24, 24, 23, 23, 22, 22, 21, 20, 19, 18, 16)
PREFIX_LENGTHS_6 = (48, 48, 48, 48, 44, 40, 36, 32, 32, 29)


@dataclass(slots=True)
class Network:
    """One autonomous system of the made-up internet."""

    asn: int
    links: list[int] = field(default_factory=list)
    ipv4: list[bytes] = field(default_factory=list)
    """its prefixes as NLRI"""
    ipv6: list[bytes] = field(default_factory=list)
    prepends: int = 0


@dataclass(slots=True)
class SamplePeer:
    """One session of the collector."""

    network: int
    asn: int
    address: bytes
    as4: bool
    add_path: bool
    families: tuple[int, ...]
    """AFIs that it announces"""
    towards: list[int]
    """of each network, the next one on the way from it to this peer"""
    header: bytes = b""
    """the per-peer header of its BGP4MP records (RFC 6396 section 4.4.2)"""


@dataclass(slots=True)
class Internet:
    networks: list[Network]
    peers: list[SamplePeer]
    flapping: list[int]
    """running sums of how often each network is in the news, for Random.choices"""


def grow(rng: Random) -> Internet:
    """Networks, their links and prefixes, and the collector's peers."""
    numbers = rng.sample(range(1000, 64000), NETWORKS * 7 // 10)
    numbers += rng.sample(range(131072, 402000), NETWORKS - len(numbers))
    rng.shuffle(numbers)
    networks = [Network(asn) for asn in numbers]
    ends: list[int] = []  # every link's two ends: a choice from it prefers those with many links
    for new in range(NETWORKS):
        others = range(new) if new < TIER_1 else sorted({rng.choice(ends) for _ in range(rng.choice((1, 1, 2, 2, 3)))})
        for other in others:
            networks[new].links.append(other)
            networks[other].links.append(new)
            ends += (new, other)
    taken: set[bytes] = set()
    for network in networks:
        network.prepends = rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 2, 4))
        network.ipv4 = [_nlri_4(rng, taken) for _ in range(min(int(rng.paretovariate(0.9)), 80))]
        if rng.random() < 0.45:
            network.ipv6 = [_nlri_6(rng, taken) for _ in range(min(int(rng.paretovariate(1.2)), 40))]
    peers = [
        _peer(networks, number, index) for number, index in enumerate(rng.sample(range(TIER_1, NETWORKS // 4), 14))
    ]
    weights = [1 + len(network.ipv4) // 4 + (60 if rng.random() < 0.02 else 0) for network in networks]
    return Internet(networks, peers, list(accumulate(weights)))


def _nlri_4(rng: Random, taken: set[bytes]) -> bytes:
    while True:
        first = rng.randrange(1, 224)
        length = rng.choice(PREFIX_LENGTHS_4)
        octets = bytes((first,)) + rng.randbytes(3)
        nlri = _nlri(int.from_bytes(octets, "big"), 32, length)
        if first not in (10, 100, 127, 169, 172, 192, 198, 203) and nlri not in taken:
            taken.add(nlri)
            return nlri


def _nlri_6(rng: Random, taken: set[bytes]) -> bytes:
    while True:
        octets = bytes((rng.choice((0x24, 0x26, 0x28, 0x2A, 0x2C)),)) + rng.randbytes(15)
        nlri = _nlri(int.from_bytes(octets, "big"), 128, rng.choice(PREFIX_LENGTHS_6))
        if nlri not in taken:
            taken.add(nlri)
            return nlri


def _nlri(address: int, bits: int, length: int) -> bytes:
    size = (length + 7) // 8
    masked = address >> (bits - length) << (bits - length)
    return bytes((length,)) + (masked >> (bits - size * 8)).to_bytes(size, "big")


def _peer(networks: list[Network], number: int, index: int) -> SamplePeer:
    """Peer 9 has 2-octet AS numbers, peer 6 ADD-PATH, peer 2 carries both families; one in three speaks over IPv6."""
    ipv6 = number % 3 == 2 and number > 2
    address = IPv6Address(f"2001:db8::{number + 1:x}").packed if ipv6 else IPv4Address(f"192.0.2.{number + 1}").packed
    towards = [-1] * len(networks)  # shortest ways, found from the peer outwards
    towards[index] = index
    queue = deque((index,))
    while queue:
        here = queue.popleft()
        for other in networks[here].links:
            if towards[other] < 0:
                towards[other] = here
                queue.append(other)
    families = (2,) if ipv6 else (1, 2) if number == 2 else (1,)
    peer = SamplePeer(index, networks[index].asn, address, number != 9, number == 6, families, towards)
    if number == 9 and peer.asn > 65535:
        peer.asn = networks[index].asn = 64000
    size = 4 if peer.as4 else 2
    peer.header = (
        peer.asn.to_bytes(size, "big")
        + COLLECTOR_AS.to_bytes(size, "big")
        + (b"\0\0\0\2" if ipv6 else b"\0\0\0\1")
        + address
        + (COLLECTOR_IPV6 if ipv6 else COLLECTOR_IPV4)
    )
    return peer


def _attribute(flags: int, code: int, value: bytes) -> bytes:
    if len(value) > 255:
        return bytes((flags | 0x10, code)) + len(value).to_bytes(2, "big") + value
    return bytes((flags, code, len(value))) + value


def _path(segments: list[tuple[int, list[int]]], size: int) -> bytes:
    """AS_PATH segments (type, AS numbers) with AS numbers of `size` octets."""
    return b"".join(
        bytes((kind, len(ases)))
        + b"".join((AS_TRANS if asn >> size * 8 else asn).to_bytes(size, "big") for asn in ases)
        for kind, ases in segments
    )


@dataclass(slots=True)
class SampleRoute:
    """The path attributes of one route: those before MP_REACH_NLRI in order of type code, and those after it."""

    head: bytes
    tail: bytes
    next_hop: bytes


def make_route(internet: Internet, peer: SamplePeer, origin: int, afi: int, rng: Random, as4: bool) -> SampleRoute:
    """A route from `peer` to the network `origin`; no two calls need give the same."""
    networks = internet.networks
    path = [networks[origin].asn] * (1 + networks[origin].prepends)
    here = origin
    while here != peer.network:
        here = peer.towards[here]
        path.insert(0, networks[here].asn)
    if rng.random() < 0.25:  # another way round
        path.insert(1, networks[rng.randrange(TIER_1, 60)].asn)
    transit = [asn for asn in path if asn < 65536]
    segments = [(2, path)]
    aggregated = rng.random() < 0.02
    if aggregated:
        segments.append((1, sorted(networks[other].asn for other in networks[origin].links[:3])))
    head = [
        _attribute(0x40, 1, bytes((rng.choice((0, 0, 0, 0, 0, 0, 2, 2, 1)),))),
        _attribute(0x40, 2, _path(segments, 4 if as4 else 2)),
    ]
    next_hop = IPv6Address(f"2001:db8::{peer.network:x}").packed if afi == 2 else peer.address
    if afi == 1:
        head.append(_attribute(0x40, 3, next_hop))
    if rng.random() < 0.3:
        head.append(_attribute(0x80, 4, rng.choice((0, 0, 10, 20, 100, 1000)).to_bytes(4, "big")))
    if aggregated or rng.random() < 0.04:
        head.append(_attribute(0x40, 6, b""))
        asn = path[-1] if as4 or path[-1] < 65536 else AS_TRANS
        head.append(_attribute(0xC0, 7, asn.to_bytes(4 if as4 else 2, "big") + bytes((10, 0, *rng.randbytes(2)))))
    if transit and rng.random() < 0.7:
        pairs = sorted(
            {
                (rng.choice(transit), rng.choice((1, 100, 300, 666, 1000, 2000, 3001, 5002)))
                for _ in range(rng.randrange(1, 9))
            }
        )
        head.append(_attribute(0xC0, 8, b"".join(asn.to_bytes(2, "big") + n.to_bytes(2, "big") for asn, n in pairs)))
    tail = []
    if transit and rng.random() < 0.05:
        tail.append(_attribute(0xC0, 16, b"\0\2" + transit[0].to_bytes(2, "big") + rng.randbytes(4)))
    if not as4 and any(asn > 65535 for asn in path):
        tail.append(_attribute(0xC0, 17, _path(segments, 4)))
    if rng.random() < 0.25:
        triples = [(rng.choice(path), rng.randrange(1, 20), rng.randrange(70000)) for _ in range(rng.randrange(1, 5))]
        tail.append(_attribute(0xC0, 32, b"".join(n.to_bytes(4, "big") for triple in triples for n in triple)))
    if rng.random() < 0.03:
        tail.append(_attribute(0xC0, 35, peer.asn.to_bytes(4, "big")))
    return SampleRoute(b"".join(head), b"".join(tail), next_hop)


def _message(type_code: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + bytes((type_code,)) + body


def announce(route: SampleRoute, afi: int, nlri: bytes) -> bytes:
    """An UPDATE that announces."""
    if afi == 1:
        attributes = route.head + route.tail
        return _message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes + nlri)
    reach = _attribute(0x80, 14, b"\0\2\1\x10" + route.next_hop + b"\0" + nlri)
    attributes = route.head + reach + route.tail
    return _message(UPDATE, b"\0\0" + len(attributes).to_bytes(2, "big") + attributes)


def withdraw(afi: int, nlri: bytes) -> bytes:
    """An UPDATE that withdraws."""
    if afi == 1:
        return _message(UPDATE, len(nlri).to_bytes(2, "big") + nlri + b"\0\0")
    unreach = _attribute(0x80, 15, b"\0\2\1" + nlri)
    return _message(UPDATE, b"\0\0" + len(unreach).to_bytes(2, "big") + unreach)


def open_message(peer: SamplePeer) -> bytes:
    """What the peer says of itself (RFC 4271 section 4.2, RFC 5492)."""
    capabilities = b"".join(b"\1\4" + afi.to_bytes(2, "big") + b"\0\1" for afi in peer.families) + b"\2\0"
    if peer.as4:
        capabilities += b"\x41\4" + peer.asn.to_bytes(4, "big")
    if peer.add_path:
        capabilities += b"\x45\4\0\1\1\3"
    asn = peer.asn if peer.asn < 65536 else AS_TRANS
    parameter = bytes((2, len(capabilities))) + capabilities
    identifier = peer.address[-4:]
    return _message(
        OPEN, b"\4" + asn.to_bytes(2, "big") + b"\0\xb4" + identifier + bytes((len(parameter),)) + parameter
    )


class Clock:
    """Seconds and microseconds of one record after another."""

    def __init__(self, rng: Random, step: float) -> None:
        self.rng = rng
        self.step = step
        self.now = float(START)

    def tick(self) -> tuple[int, int]:
        self.now += self.rng.random() * self.step
        return int(self.now), int(self.now % 1 * 1e6)


def _record(clock: Clock, subtype: int, data: bytes) -> bytes:
    seconds, microseconds = clock.tick()
    return MRT_ET.pack(seconds, BGP4MP_ET, subtype, len(data) + 4, microseconds) + data


def _reset(clock: Clock, peer: SamplePeer) -> Iterator[bytes]:
    """A session that ends and comes back."""
    plain, states = (MESSAGE_AS4, STATE_CHANGE_AS4) if peer.as4 else (MESSAGE, STATE_CHANGE)
    yield _record(clock, plain, peer.header + _message(NOTIFICATION, b"\6\2\x0bmaintenance"))
    for old, new in ((ESTABLISHED, IDLE), (IDLE, CONNECT), (CONNECT, OPEN_SENT)):
        yield _record(clock, states, peer.header + bytes((0, old, 0, new)))
    yield _record(clock, plain, peer.header + open_message(peer))
    yield _record(clock, states, peer.header + bytes((0, OPEN_SENT, 0, OPEN_CONFIRM)))
    yield _record(clock, plain, peer.header + _message(KEEPALIVE))
    yield _record(clock, states, peer.header + bytes((0, OPEN_CONFIRM, 0, ESTABLISHED)))


def updates(internet: Internet, rng: Random, messages: int) -> Iterator[bytes]:
    """MRT records (BGP4MP_ET) with `messages` BGP messages or a few more, over about a quarter of an hour."""
    clock = Clock(rng, 1800 / max(messages, 1))
    numbers = range(len(internet.networks))
    routes: dict[tuple[int, int, int, int], SampleRoute] = {}
    resets = [
        internet.peers[number] for number in (9, 6, 0)
    ]  # half way through, so that a small sample has every kind of record too
    count = 0
    while count < messages:
        number = min(int(rng.expovariate(0.25)), len(internet.peers) - 1)  # some peers have much more to say
        peer = internet.peers[number]
        draw = rng.random()
        if draw < 0.0002 or (resets and count >= messages // 2):
            yield from _reset(clock, resets.pop() if resets else peer)
            count += 3
            continue
        subtype = MESSAGE_AS4_ADD_PATH if peer.add_path else MESSAGE_AS4 if peer.as4 else MESSAGE
        if draw < 0.01:
            count += 1
            yield _record(clock, subtype, peer.header + _message(KEEPALIVE))
            continue
        origin = rng.choices(numbers, cum_weights=internet.flapping)[0]
        afi = rng.choice(peer.families)
        network = internet.networks[origin]
        prefixes = network.ipv4 if afi == 1 else network.ipv6
        if not prefixes:
            continue
        first = rng.randrange(len(prefixes))
        some = prefixes[first : first + int(rng.paretovariate(1.0))]
        if peer.add_path:
            nlri = b"".join((1 + first % 3).to_bytes(4, "big") + prefix for prefix in some)
        else:
            nlri = b"".join(some)
        if draw < 0.12:
            octets = withdraw(afi, nlri)
        else:
            key = (number, origin, afi, rng.randrange(3))
            route = routes.get(key)
            if route is None:
                route = routes[key] = make_route(internet, peer, origin, afi, rng, peer.as4)
            octets = announce(route, afi, nlri)
        count += 1
        yield _record(clock, subtype, peer.header + octets)


def rib(internet: Internet, rng: Random) -> Iterator[bytes]:
    """MRT records (TABLE_DUMP_V2, RFC 6396 section 4.3): the peers, then every prefix with the routes to it."""

    def record(subtype: int, data: bytes) -> bytes:
        return MRT.pack(START, TABLE_DUMP_V2, subtype, len(data)) + data

    index = COLLECTOR_IPV4 + b"\0\0" + len(internet.peers).to_bytes(2, "big")
    for peer in internet.peers:
        index += (
            bytes((2 | (len(peer.address) == 16),)) + peer.address[-4:] + peer.address + peer.asn.to_bytes(4, "big")
        )
    yield record(1, index)
    for afi, subtype in ((1, 2), (2, 4)):
        peers = [(number, peer) for number, peer in enumerate(internet.peers) if afi in peer.families]
        table = sorted(
            (nlri[1:], nlri, origin)
            for origin, network in enumerate(internet.networks)
            for nlri in (network.ipv4 if afi == 1 else network.ipv6)
        )
        routes: dict[tuple[int, int], bytes] = {}
        for sequence, (_, nlri, origin) in enumerate(table):
            entries = []
            for number, peer in peers:
                if (origin * 7 + number) % 9 == 0:
                    continue  # no peer has everything
                attributes = routes.get((number, origin))
                if attributes is None:
                    route = make_route(internet, peer, origin, afi, rng, True)
                    reach = _attribute(0x80, 14, b"\x10" + route.next_hop) if afi == 2 else b""  # shortened: 4.3.4
                    attributes = routes[number, origin] = route.head + reach + route.tail
                originated = START - 60 * (sequence % 10000)
                entries.append(
                    number.to_bytes(2, "big")
                    + originated.to_bytes(4, "big")
                    + len(attributes).to_bytes(2, "big")
                    + attributes
                )
            yield record(
                subtype, sequence.to_bytes(4, "big") + nlri + len(entries).to_bytes(2, "big") + b"".join(entries)
            )


def write_sample(directory: Path, *, messages: int = 100_000, seed: int = 1, compress: bool = True) -> list[Path]:
    """Writes updates.mrt and rib.mrt, as .gz with `compress`; returns their paths."""
    rng = Random(seed)
    internet = grow(rng)
    directory.mkdir(parents=True, exist_ok=True)
    return [
        _write(directory, "updates.mrt", updates(internet, rng, messages), compress),
        _write(directory, "rib.mrt", rib(internet, rng), compress),
    ]


def _write(directory: Path, name: str, records: Iterable[bytes], compress: bool) -> Path:
    octets = b"".join(records)
    path = directory / (name + ".gz" if compress else name)
    path.write_bytes(gzip.compress(octets, 6, mtime=0) if compress else octets)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bgpipe.sample", description="Writes updates.mrt.gz and rib.mrt.gz."
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--messages", type=int, default=100_000, help="BGP messages in updates.mrt (100000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same octets (1)")
    parser.add_argument("--plain", action="store_true", help="do not compress")
    options = parser.parse_args()
    for path in write_sample(
        options.directory, messages=options.messages, seed=options.seed, compress=not options.plain
    ):
        print(f"{path}  {path.stat().st_size:,} octets")


if __name__ == "__main__":
    main()
