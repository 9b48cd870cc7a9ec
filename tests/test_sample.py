"""The sample: the same seed gives the same octets, every record is whole, and every kind that it promises is there."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from random import Random
from struct import Struct

import pytest

from bgpipe.sample import grow, rib, updates, write_sample

MRT = Struct(">IHHI")


def records(octets: bytes) -> list[tuple[int, int, int, bytes]]:
    """(seconds, type, subtype, data) of each MRT record."""
    found = []
    pos = 0
    while pos < len(octets):
        seconds, kind, subtype, length = MRT.unpack_from(octets, pos)
        data = octets[pos + 12 : pos + 12 + length]
        assert len(data) == length
        found.append((seconds, kind, subtype, data))
        pos += 12 + length
    return found


@pytest.fixture(scope="module")
def made() -> list[tuple[int, int, int, bytes]]:
    rng = Random(5)
    return records(b"".join(updates(grow(rng), rng, 20_000)))


def test_same_seed_same_octets(tmp_path):
    first, again, other = (
        [path.read_bytes() for path in write_sample(tmp_path / name, messages=300, seed=seed, compress=False)]
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert first == again
    assert first != other


def test_updates_hold_every_kind(made):
    kinds = Counter((kind, subtype) for _, kind, subtype, _ in made)
    assert set(kinds) == {(17, 0), (17, 1), (17, 4), (17, 5), (17, 9)}
    headers = {0: 20, 1: 20, 4: 24, 5: 24, 9: 24}  # of IPv4 sessions, with the microseconds
    types = Counter(
        data[headers[subtype] + 18]
        for _, _, subtype, data in made
        if subtype in (1, 4, 9) and data[headers[subtype] :].startswith(b"\xff" * 16)
    )
    assert set(types) == {1, 2, 3, 4}


def test_time_goes_forward(made):
    times = [(seconds, int.from_bytes(data[:4], "big")) for seconds, _, _, data in made]
    assert times == sorted(times)
    assert all(microseconds < 1_000_000 for _, microseconds in times)


def test_number_of_messages(made):
    messages = sum(subtype not in (0, 5) for _, _, subtype, _ in made)
    assert 20_000 <= messages < 20_003


def test_rib_starts_with_its_peers_and_is_sorted():
    rng = Random(5)
    internet = grow(rng)
    first, *rest = records(b"".join(rib(internet, rng)))
    assert first[1:3] == (13, 1)
    assert int.from_bytes(first[3][6:8], "big") == len(internet.peers)
    assert {subtype for _, _, subtype, _ in rest} == {2, 4}
    assert len(rest) == sum(len(network.ipv4) + len(network.ipv6) for network in internet.networks)


def test_command_writes_both_files(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bgpipe.sample", str(tmp_path), "--messages", "50"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "updates.mrt.gz" in done.stdout
    assert len(records(gzip.decompress((tmp_path / "updates.mrt.gz").read_bytes()))) >= 50
    assert len(records(gzip.decompress((tmp_path / "rib.mrt.gz").read_bytes()))) > 1000
