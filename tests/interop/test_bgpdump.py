"""What we print of archives against what bgpdump prints, line by line.

bgpdump is a different program by other people, so what both read alike is probably right. Where they differ, the
difference has its name here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bgpipe.sample import write_sample

BGPDUMP = shutil.which("bgpdump")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(BGPDUMP is None, reason="bgpdump is not installed (Debian: apt install bgpdump)"),
]
UPDATES = (
    "updates.20131201.0000",
    "updates.20150401.0000",
    "updates.20190101.0000",
    "updates.20191231.longwithdraw",
    "updates.20260222.1530",
    "daemon.bird-mrtdump_bgp",
    "daemon.openbgpd_bgp",
    "daemon.quagga_bgp",
)
TABLES = (
    "bview.20160107.addpath4",
    "bview.20160107.addpath6",
    "bview.20180919.64k",
    "daemon.bird-mrtdump_rib",
    "daemon.bird6-mrtdump_rib",
    "daemon.openbgpd_rib_table-mp",
    "daemon.openbgpd_rib_table-v2",
    "daemon.quagga_rib",
    "bview.20020722.2337",
    "rib.20140530.2200",
    "rib6.20151101.0600.cut",
)


NOT_ONE_TABLE = ("daemon.bird-mrtdump_rib", "daemon.bird6-mrtdump_rib")
"""Archives with several tables: what is written is the last one."""


def bgpdump(path: Path) -> list[str]:
    assert BGPDUMP
    done = subprocess.run([BGPDUMP, "-m", str(path)], capture_output=True, text=True, errors="replace", check=False)
    return done.stdout.splitlines()


def ours(path: Path) -> list[str]:
    words = ["-l", "error", "read", "--pardon", str(path), "--", "stdout", "--format", "bgpdump"]
    done = subprocess.run([sys.executable, "-m", "bgpipe", *words], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", UPDATES)
def test_updates(name, data):
    path = data / f"{name}.bz2"
    assert ours(path) == bgpdump(path)


@pytest.mark.parametrize("name", TABLES)
def test_table(name, data):
    path = data / f"{name}.bz2"
    assert ours(path) == bgpdump(path)


@pytest.mark.parametrize("name", [name for name in TABLES if name not in NOT_ONE_TABLE])
def test_table_that_we_write(name, data, tmp_path):
    """bgpdump prints the same lines of it as of the archive that it was made of."""
    path, made = data / f"{name}.bz2", tmp_path / "made.mrt"
    words = ["-l", "error", "read", "--pardon", str(path), "--", "write", "--format", "rib", str(made)]
    subprocess.run([sys.executable, "-m", "bgpipe", *words], check=True)
    lines = Counter(bgpdump(made))
    assert lines == Counter(line.replace("TABLE_DUMP|", "TABLE_DUMP2|") for line in bgpdump(path))
    assert lines or name == "daemon.openbgpd_rib_table-mp"


def test_table_of_updates(data, tmp_path):
    """What is announced last for each peer and prefix, and not withdrawn, is in the table."""
    path, made = data / "updates.20190101.0000.bz2", tmp_path / "made.mrt"
    words = ["-l", "error", "read", str(path), "--", "write", "--format", "rib", str(made)]
    subprocess.run([sys.executable, "-m", "bgpipe", *words], check=True)
    left = {}
    for line in bgpdump(path):
        fields = line.split("|")
        key = fields[3], fields[5]
        if fields[2] == "W":
            left.pop(key, None)
        elif fields[2] == "A":
            left[key] = fields[6]
    found = {(fields[3], fields[5]): fields[6] for fields in (line.split("|") for line in bgpdump(made))}
    assert found == left


def test_aggregator_of_the_wrong_length(data):
    """TABLE_DUMP has 2-octet AS numbers, this entry an AGGREGATOR of 8 octets: bgpdump reads 6 of them as they come,
    to us it is malformed (RFC 7606 section 7.7)."""
    path = data / "daemon.openbgpd_rib_table.bz2"
    here, there = Counter(ours(path)), Counter(bgpdump(path))
    only_ours, only_theirs = here - there, there - here
    assert [line.replace("|NAG|0 253.232.192.168|", "|NAG||") for line in only_theirs] == list(only_ours)
    assert len(only_ours) == 1


@pytest.mark.parametrize("name", ["daemon.bird_bgp", "daemon.bird6_bgp"])
def test_path_identifiers_where_none_should_be(name, data):
    """An old BIRD wrote NLRI with path identifiers in records that say they have none: bgpdump takes the identifiers
    for prefixes, to us the NLRI are malformed. The state changes are the same; bgpdump tells the family of a peer
    without an address."""
    path = data / f"{name}.bz2"
    theirs = bgpdump(path)
    assert ours(path) == [line.replace("|::|", "|0.0.0.0|") for line in theirs if "|STATE|" in line]
    assert any("|0.0.0.0/0|" in line or "|::/0|" in line for line in theirs)


def test_the_old_type_bgp(data):
    """In its lines of the MRT type BGP, bgpdump leaves out the field of communities, and the prefix of a withdrawal has
    the address of the peer instead of its own."""
    path = data / "updates.19990903.1041.bz2"
    here, there = ours(path), bgpdump(path)
    assert len(here) == len(there) > 60000
    for line, other in zip(here, there, strict=True):
        fields, others = line.split("|"), other.split("|")
        assert (fields[0], others[0]) == ("BGP4MP", "BGP")
        if fields[2] == "A":
            assert fields[1:11] + fields[12:] == others[1:]
        elif fields[2] == "W":
            assert fields[1:5] == others[1:5]
            assert fields[5].split("/")[1] == others[5].split("/")[1]
        else:
            assert fields[1:] == others[1:]


def test_nlri_that_is_cut_short(data):
    """A prefix length stands at the end without a prefix: bgpdump prints what is before it, to us they are malformed
    (RFC 7606 section 5.3)."""
    path = data / "updates.20101107.trailingbits.bz2"
    assert ours(path) == []
    assert [line.split("|")[5] for line in bgpdump(path)] == ["11.13.0.0/13"]


def test_sample(tmp_path):
    for path in write_sample(tmp_path, messages=5000):
        assert ours(path) == bgpdump(path)
