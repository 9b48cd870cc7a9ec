"""Our reading of archives against bgpdump's, line by line: every prefix with its attributes, every state change.

bgpdump is a different program by other people, so what both read alike is probably right. Where they differ, the
difference has its name here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

import pytest

import bgpipe
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
    "rib6.20151101.0600.cut",
)
IPV6 = re.compile(r"[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*")


def same_text(line: str) -> str:
    """A line in one spelling of what both mean.

    bgpdump shortens a single group of zeros in IPv6 addresses too, which RFC 5952 section 4.2.2 rules out; it writes
    an absent next hop as 255.255.255.255, and we the unspecified one that an entry of a RIB without a next hop gets.
    """
    if "::" in line or ":0:" in line:
        line = IPV6.sub(lambda found: str(ip_address(found[0])), line)
    kind, time, letter, peer, rest = line.split("|", 4)
    rest = rest.replace("|255.255.255.255|", "||").replace("|::|", "||")
    return "|".join((kind, time, letter, peer.replace("0.0.0.0", "::"), rest))


def bgpdump(path: Path) -> Counter[str]:
    assert BGPDUMP
    done = subprocess.run([BGPDUMP, "-m", str(path)], capture_output=True, text=True, errors="replace", check=False)
    return Counter(map(same_text, done.stdout.splitlines()))


def ours(path: Path) -> Counter[str]:
    return Counter(same_text(str(elem)) for message in bgpipe.read(path, states=True) for elem in message.elems())


@pytest.mark.parametrize("name", UPDATES)
def test_updates(name, data):
    path = data / f"{name}.bz2"
    assert ours(path) == bgpdump(path)


def without_time(lines: Counter[str]) -> Counter[str]:
    """An UPDATE that was made of several entries of a RIB has the time of the first one's record."""
    untimed: Counter[str] = Counter()
    for line, count in lines.items():
        untimed[line.split("|", 2)[2]] += count
    return untimed


@pytest.mark.parametrize("name", TABLES)
def test_table(name, data):
    path = data / f"{name}.bz2"
    assert without_time(ours(path)) == without_time(bgpdump(path))


def test_aggregator_of_the_wrong_length(data):
    """TABLE_DUMP has 2-octet AS numbers, this entry an AGGREGATOR of 8 octets: bgpdump reads 6 of them as they come,
    to us it is malformed (RFC 7606 section 7.7)."""
    path = data / "daemon.openbgpd_rib_table.bz2"
    only_ours, only_theirs = ours(path) - bgpdump(path), bgpdump(path) - ours(path)
    assert [line.replace("|NAG|0 253.232.192.168|", "|NAG||") for line in only_theirs] == list(only_ours)
    assert len(only_ours) == 1


@pytest.mark.parametrize("name", ["daemon.bird_bgp", "daemon.bird6_bgp"])
def test_path_identifiers_where_none_should_be(name, data):
    """An old BIRD wrote NLRI with path identifiers in records that say they have none: bgpdump takes the identifiers
    for prefixes, to us the NLRI are malformed. The state changes are the same."""
    path = data / f"{name}.bz2"
    theirs = bgpdump(path)
    assert ours(path) == Counter({line: count for line, count in theirs.items() if "|STATE|" in line})
    assert any("|0.0.0.0/0|" in line or "|::/0|" in line for line in theirs)


def test_sample(tmp_path):
    for path in write_sample(tmp_path, messages=5000):
        assert ours(path) == bgpdump(path)
