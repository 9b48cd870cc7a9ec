"""Archives as collectors and routers wrote them: how much we read of each, against bgpdump, and written again."""

from __future__ import annotations

import bz2
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import bgpipe
from bgpipe.formats.base import Block, Counts, Damage
from bgpipe.formats.mrt import MrtDecoder, MrtEncoder
from bgpipe.wire.errors import WireError
from bgpipe.wire.item import Item
from bgpipe.wire.message import UPDATE, Message
from vectors import SHARED

FILES = sorted(path.name.removesuffix(".bz2") for path in (SHARED / "data").glob("*.bz2"))
LARGE = {
    "bview.20020722.2337",
    "rib.20140530.2200",
    "rib6.20151101.0600.cut",
    "updates.20131201.0000",
    "updates.20190101.0000",
    "updates.20260222.1530",
}
NAMED = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in FILES]
each_file = pytest.mark.parametrize(
    "name", NAMED or [pytest.param("", marks=pytest.mark.skip(reason=f"no {SHARED.name}/data"))]
)

# (records, messages, state changes, skipped, damaged)
COUNTS = {
    "bview.20020722.2337": (115521, 73232, 0, 0, 0),
    "bview.20160107.addpath4": (32, 53, 0, 0, 0),
    "bview.20160107.addpath6": (32, 51, 0, 0, 0),
    "bview.20180919.64k": (2, 23, 0, 0, 0),
    "daemon.bird-mrtdump_bgp": (27, 15, 12, 0, 0),
    "daemon.bird-mrtdump_rib": (14, 16, 0, 0, 0),
    "daemon.bird6-mrtdump_rib": (9, 10, 0, 0, 0),
    "daemon.bird6_bgp": (29, 17, 12, 0, 0),
    "daemon.bird_bgp": (29, 17, 12, 0, 0),
    "daemon.openbgpd_bgp": (87, 71, 16, 0, 0),
    "daemon.openbgpd_rib_table": (31, 23, 0, 0, 0),
    "daemon.openbgpd_rib_table-mp": (31, 0, 0, 31, 0),
    "daemon.openbgpd_rib_table-v2": (24, 25, 0, 0, 0),
    "daemon.quagga_bgp": (67, 47, 20, 0, 0),
    "daemon.quagga_rib": (7, 3, 0, 0, 0),
    "rib.20140530.2200": (497408, 258546, 0, 0, 0),
    "rib6.20151101.0600.cut": (6871, 110082, 0, 0, 1),
    "updates.19990903.1041": (24242, 24238, 4, 0, 0),
    "updates.20101107.trailingbits": (1, 1, 0, 0, 0),
    "updates.20131201.0000": (45062, 45062, 0, 0, 0),
    "updates.20150401.0000": (1756, 1756, 0, 0, 0),
    "updates.20190101.0000": (54514, 54471, 43, 0, 0),
    "updates.20191231.longwithdraw": (1, 1, 0, 0, 0),
    "updates.20260222.1530": (49220, 49220, 0, 0, 0),
}
DIFFERENCES = {
    "daemon.bird_bgp": "NLRI with path identifiers in records that deny it: bgpdump makes default routes of them",
    "daemon.bird6_bgp": "NLRI with path identifiers in records that deny it: bgpdump makes default routes of them",
    "updates.20101107.trailingbits": "NLRI that end inside a prefix: bgpdump shows the prefix before it, "
    "we the whole body in hexadecimal",
}
"""Where the prefixes are not as many as bgpdump's: these have UPDATEs that can't be decoded (RFC 7606 section 5.3)."""


def items(octets: bytes, **options: bool) -> tuple[list[Item], Counts, list[Damage]]:
    damage: list[Damage] = []
    decoder = MrtDecoder(on_damage=damage.append, **options)
    found: list[Item] = []
    for pos in range(0, len(octets), 1 << 18):
        found += decoder.feed(octets[pos : pos + (1 << 18)])
    return [*found, *decoder.end()], decoder.counts, damage


def messages(octets: bytes, **options: bool) -> Iterator[Message]:
    for item in items(octets, **options)[0]:
        yield from item if isinstance(item, Block) else [item]


def prefixes(octets: bytes) -> tuple[int, int]:
    """How many are announced and withdrawn, and how many UPDATEs could not be decoded."""
    count = malformed = 0
    for message in messages(octets):
        if message.type_code == UPDATE:
            try:
                count += len(message.update.reach) + len(message.update.withdrawn)
            except WireError:
                malformed += 1
    return count, malformed


@pytest.fixture
def octets(name: str, data: Path) -> bytes:
    return bz2.decompress((data / f"{name}.bz2").read_bytes())


def test_the_table_has_every_file(data: Path) -> None:
    assert sorted(COUNTS) == FILES


@each_file
def test_records_are_read_to_the_last(name: str, octets: bytes) -> None:
    _, counts, damage = items(octets)
    assert (counts.records, counts.messages, counts.states, counts.skipped, counts.damaged) == COUNTS[name]
    assert [each.offset for each in damage] == ([12129281] if name.endswith(".cut") else [])


@each_file
@pytest.mark.skipif(shutil.which("bgpdump") is None, reason="bgpdump is not installed (Debian: apt install bgpdump)")
def test_prefixes_are_as_many_as_bgpdump_finds(name: str, data: Path, octets: bytes) -> None:
    command = ["bgpdump", "-m", str(data / f"{name}.bz2")]
    lines = subprocess.run(command, capture_output=True, check=False).stdout.splitlines()
    states = sum(b"|STATE|" in line for line in lines)
    count, malformed = prefixes(octets)
    assert states == COUNTS[name][2]
    assert (count != len(lines) - states) == (name in DIFFERENCES)
    assert (malformed > 0) == (name in DIFFERENCES)


@each_file
def test_what_is_written_is_read_as_the_same(name: str, octets: bytes) -> None:
    encode = MrtEncoder().encode
    once = b"".join(map(encode, items(octets, states=True)[0]))
    found, counts, damage = items(once, states=True)
    assert (counts.messages, counts.states) == COUNTS[name][1:3]
    assert damage == []
    assert b"".join(map(encode, found)) == once
    if COUNTS[name][1] < 80_000:
        for before, after in zip(messages(octets, states=True), messages(once, states=True), strict=True):
            assert (before.type, before.time, before.body, before.context, before.peer) == (
                after.type,
                after.time,
                after.body,
                after.context,
                after.peer,
            )


TABLES = [name for name in FILES if name.startswith(("rib", "bview.201")) or name.endswith(("table-v2", "quagga_rib"))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in TABLES]
)
def test_a_table_comes_back_octet_by_octet(name: str, octets: bytes, tmp_path: Path) -> None:
    source, made = tmp_path / "source.mrt", tmp_path / "made.rib"
    source.write_bytes(octets)
    bgpipe.write(made, bgpipe.read(source))
    found = made.read_bytes()
    assert octets.startswith(found)
    assert len(found) == len(octets) or "cut" in name  # of that one, the last record is torn
    assert len(octets) - len(found) < 65536
