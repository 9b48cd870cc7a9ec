"""RPKI data about the routes of a stream, as validators write them, and stages that keep routes, as in a session."""

from __future__ import annotations

import json
from array import array
from itertools import pairwise
from random import Random
from typing import Any

from bgpipe.formats.mrt import MrtDecoder
from bgpipe.routes.adj_rib_in import AdjRibIn
from bgpipe.routes.guard_checks import bogon_list
from bgpipe.rpki.files import FileReader
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.stages.base.revalidation import Revalidation
from bgpipe.wire.block import ENTRY, Block
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.message import UPDATE, Message
from bgpipe.wire.routes_apart import RoutesApart

SENDER = 7
"""The AS number of the peer that sends the messages of a session."""


class Kept:
    """The routes of a session that a stage keeps, without the session."""

    def __init__(self, sticky: bool) -> None:
        self.direction = "R"
        self.table = AdjRibIn(sticky)
        self._telling = False

    take = Revalidation.take
    forget = Revalidation.forget

    def before_item(self) -> None:
        pass

    def _schedule(self) -> None:
        pass

    def routes(self) -> dict[object, object]:
        """What is thought of each route, and its attributes."""
        found: dict[object, object] = {}
        scan = self.table.scan()
        while (routes := scan.step()) is not None:
            for route in routes:
                found[route.prefix] = route.state, self.table.attributes(route.attributes)
        return found


def keep_routes(stage: Any, sticky: bool) -> Kept:
    """Makes a stage keep the routes that it judges, as in a session."""
    kept = Kept(sticky)
    stage.revalidations = {"R": kept}
    stage.sender = lambda direction: SENDER
    return kept


def judge_again(stage: Any, new: Snapshot) -> None:
    """Other data count for a stage that keeps routes."""
    old = stage.rpki.snapshot
    stage.rpki.replace(new)
    list(stage.judge_again("R", [old, new]))


def messages_of(octets: bytes) -> list[Message]:
    decoder = MrtDecoder()
    items = [item for part in (decoder.feed(octets), decoder.end()) for item in part]
    return [message for item in items for message in (item if isinstance(item, Block) else [item])]


def random_data(octets: bytes, source: Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Entries of `roas` and of `aspas`, by which routes of the stream are valid, invalid and not found."""
    roas: list[dict[str, Any]] = []
    aspas: list[dict[str, Any]] = []
    for message in messages_of(octets):
        try:
            prefixes = RoutesApart(message.update).prefixes if message.type_code == UPDATE else []
            path = message.update.as_path if prefixes else None
        except WireError:
            continue
        hops = [asn for segment in path or () for asn in segment.ases]
        for prefix in prefixes:
            if hops and source.random() < 0.6:
                asn = source.choice((f"AS{hops[-1]}", hops[-1], "AS64999", 0))
                length = source.choice((prefix.length, prefix.length, 32 if prefix.afi == 1 else 128))
                shown = str(prefix._replace(path_id=None))
                roas.append({"prefix": shown, "asn": asn, "maxLength": length, "ta": "x"})
                if source.random() < 0.1:
                    roas[-1]["expires"] = source.choice((1, 2000, 5000))
        for provider, customer in pairwise(hops):
            if source.random() < 0.4:
                asns = [source.choice((provider, f"AS{provider}", 0, "AS64999")) for _ in range(source.randint(1, 4))]
                aspas.append({"customer": f"AS{customer}", "providers": asns, "ta": "x"})
    return roas, aspas


def files_of(roas: list[dict[str, Any]], aspas: list[dict[str, Any]], source: Random) -> list[bytes]:
    """The data as JSON and as CSV, and both with some octets that are others."""
    text = json.dumps({"roas": roas, "aspas": aspas}, indent=source.choice((None, 1))).encode()
    lines = ["ASN,IP Prefix,Max Length,Trust Anchor"]
    lines += ["{asn},{prefix},{maxLength},{ta}".format_map(each) for each in roas]
    found = [text, source.choice(("\n", "\r\n")).join([*lines, ""]).encode()]
    for octets in found[:]:
        broken = bytearray(octets)
        for _ in range(1 + len(broken) // 500):
            broken[source.randrange(len(broken))] = source.choice(b'{}[]",:\\ 0aAS./-\xc3\n\r')
        found.append(bytes(broken))
    return found


def read(octets: bytes, size: int) -> tuple[Snapshot, str]:
    """What a file says that comes in pieces of this size, and in words."""
    reader = FileReader(1000.0)
    try:
        for start in range(0, len(octets), size):
            reader.feed(octets[start : start + size])
        found = reader.finish()
    except TextError as error:
        return Snapshot(), str(error)
    snapshot = found.snapshot
    until = None if found.until is None else float(found.until)
    said = snapshot.ipv4.hex(), snapshot.ipv6.hex(), dict(snapshot.aspas), found[1:-1], until
    return snapshot, repr(said)


def torment_judges(octets: bytes, index: bytearray, tags: bytes, source: Random) -> None:
    """Indexes that no index function makes, and verdicts that nobody has said, in the functions that judge routes."""
    from bgpipe.accel import adj_rib_in, aspa, cut, guard, judge, rov, vrps

    count = len(index) // ENTRY.size
    index = index[: count * ENTRY.size]
    table = vrps.VrpTable(
        b"\0\0\0\0\0\x20\0\0\0\1" + b"\x50" + bytes(4) + b"\x18\0\0\xfd\xe9", bytes(16) + b"\0\x80\0\0\0\1"
    )
    paths = aspa.AspaTable(*(array("I", each).tobytes() for each in ((1, 65001), (1, 2), (0, 65002, 174))))
    wanted = None if source.random() < 0.5 else source.randbytes(count)
    choices = [source.random() < 0.5 for _ in range(8)]
    rov.judge_block(table, octets, index, tags, 1, 0, choices[0], choices[1], choices[2], choices[3], wanted)
    neighbours = [(True, choices[0], choices[1], source.randrange(3)) for _ in range(4)]
    key = source.choice((None, b'"A":"', b'"PEER_AS":"'))
    aspa.judge_block(paths, octets, index, tags, neighbours, key, choices[2], choices[3])
    positions = sorted(source.sample(range(count), source.randrange(count + 1)))
    said = [bytes(source.choices((0, 1, 2, 2, 3), k=source.choice((0, 1, 1, 2, 3, 900)))) for _ in positions]
    cut.cut_routes(octets, index, positions, None if choices[4] else said, choices[5])
    cut.part_routes(octets, index, index, positions, said, *choices[:4])
    judges = [
        judge.OriginJudge(table, 7, choices[0], choices[1], choices[2], choices[3]),
        aspa.PathJudge(paths if choices[4] else None, choices[5], choices[6], 65001, choices[7]),
    ]
    rib = adj_rib_in.Rib(choices[6])
    for each in judges:
        position = 0
        while position < count:
            position = rib.apply(octets, index, position, judge=each)[0] + 1
        rib.judge_routes(each, None, 0, rib.slot_count, choices[7])
    rib.take_withdrawals(4077, 9)
    rib.take_announcements(4077, 9)
    some = guard.AsnTable([(1, 5000), (64512, 65534)])
    found = guard.Filter(
        bogons=bogon_list().table,
        own=None,
        prefixes=None,
        origins=some,
        bogon_as=some,
        locked=some,
        scrubbed=[some, some, some],
        lengths=(8, 24, 16, 48),
        max_path=9,
        max_communities=3,
        no_default=True,
        first_as=choices[0],
        hops=choices[1],
        shutdown=True,
        blackhole=True,
        nothing=False,
        attributes=source.getrandbits(64),
        needed=0,
    )
    found.sender = source.choice((-1, 0, 65001))
    found.undecided(octets, index)


def torment_scanners(source: Random) -> None:
    """Text that no validator writes, and records that are none."""
    from bgpipe.accel import rpki_json, vrps

    words = (
        b'{"asn":',
        b'"AS1"',
        b',"prefix":"',
        b"192.0.2.0/24",
        b'"',
        b',"maxLength":',
        b"24",
        b"}",
        b",",
        b'{"customer":',
    )
    words += (
        b'"providers":[',
        b"]",
        b"[",
        b"4294967295",
        b"\\",
        b"2001:db8::/",
        b"::",
        b":",
        b"\n",
        b"1,",
        b'"expires":',
        b"\xff",
    )
    for _ in range(20):
        text = b"".join(source.choices(words, k=source.randrange(30)))
        scanner = rpki_json.Scanner(1000.0)
        start = source.randrange(len(text) + 2)
        scanner.scan(text, start)
        scanner.scan_aspas(text, start)
        places = [source.randrange(-1, 5) for _ in range(4)]
        scanner.scan_lines(text, start, *places, source.randrange(4))
        scanner.take()
    for width in (10, 22):
        records = source.randbytes(width * source.choice((0, 1, 5, 300)))
        merged = vrps.merge(width, b"", records, bytes(source.choices((0, 1), k=len(records) // width)), 5)[0]
        vrps.subtract(width, merged, records)
        vrps.find_impossible(width, records)
        table = vrps.VrpTable(*((merged, b"") if width == 10 else (b"", merged)))
        for afi, bits in ((1, 32), (2, 128)):
            table.judge_one(afi, source.getrandbits(64), source.getrandbits(64), source.randrange(bits + 1), 1)
        vrps.prefix_pdus(records, source.randrange(len(records) + 2), source.randrange(3))
