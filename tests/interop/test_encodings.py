"""The same octets as scapy, for all that both can write: extended communities, capabilities, ROUTE-REFRESH.

scapy runs in a Python of its own, which is made once. ExaBGP's octets are in the vectors (test_vectors_families.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import FOLDER, REQUIRED

from bgpipe.wire import caps
from bgpipe.wire.body import body_from_json
from bgpipe.wire.ext_community import format_ext_community, parse_ext_community
from bgpipe.wire.message import ROUTE_REFRESH

pytestmark = pytest.mark.interop
SCAPY = "scapy>=2.6,<3"
COMMUNITIES = {
    "ext(0x00, 2, BGPPAExtCommTwoOctetASSpecific(global_administrator=65000, local_administrator=100000))": {
        "type": "TARGET",
        "value": "65000:100000",
    },
    "ext(0x40, 3, BGPPAExtCommTwoOctetASSpecific(global_administrator=65000, local_administrator=1))": {
        "type": "ORIGIN",
        "value": "65000:1",
        "nontransitive": True,
    },
    "ext(0x01, 2, BGPPAExtCommIPv4AddressSpecific(global_administrator=0xc0000201, local_administrator=7))": {
        "type": "IP4_TARGET",
        "value": "192.0.2.1:7",
    },
    "ext(0x02, 2, BGPPAExtCommFourOctetASSpecific(global_administrator=200000, local_administrator=7))": {
        "type": "AS4_TARGET",
        "value": "200000:7",
    },
    "ext(0x80, 6, BGPPAExtCommTrafficRate(id=1, rate=9600.0))": {"type": "FLOW_RATE_BYTES", "value": "1:9600"},
    "ext(0x80, 8, BGPPAExtCommRedirectAS2Byte(asn=65000, value=100))": {
        "type": "FLOW_REDIRECT_AS2",
        "value": "65000:100",
    },
}
CAPABILITIES = {
    "BGPCapORF(orf=[BGPCapORFBlock(afi=1, safi=1, entries=[tuples(orf_type=64, send_receive=3)])])": {
        "OUTBOUND_FILTERING": {
            "families": [{"af": "IPV4/UNICAST", "orfs": [{"type": "ADDRESS_PREFIX", "mode": "BOTH"}]}]
        }
    },
    "BGPCapGracefulRestart(restart_time=120, entries=[restart(afi=2, safi=1, flags=128)])": {
        "GRACEFUL_RESTART": {"time": 120, "families": ["IPV6/UNICAST/FORWARDING"]}
    },
    "BGPCapMultiprotocol(afi=25, safi=70)": {"MP": ["L2VPN/EVPNS"]},
    "BGPCapFourBytesASN(asn=4200000000)": {"AS4": 4200000000},
}
ADD = {"action": "ADD", "match": "DENY", "sequence": 5, "min": 8, "max": 24, "prefix": "10.0.0.0/8"}
REFRESHES = {
    "BGPRouteRefresh(afi=1, safi=1)": {"af": "IPV4/UNICAST"},
    "BGPRouteRefresh(afi=2, safi=1, subtype=1)": {"af": "IPV6/UNICAST", "subtype": "BoRR"},
    "BGPRouteRefresh(afi=1, safi=1, orf_data=[BGPORF(when_to_refresh=1, orf_type=64, entries=[BGPORFAddressPrefix("
    "action=0, match=1, sequence=5, min_len=8, max_len=24, prefix=BGPNLRI_IPv4(prefix='10.0.0.0/8'))])])": {
        "af": "IPV4/UNICAST",
        "orf": {"when": "IMMEDIATE", "filters": [{"type": "ADDRESS_PREFIX", "entries": [ADD]}]},
    },
}
PROGRAM = """
import json, logging, sys
logging.disable(50)
from scapy.contrib.bgp import *

def ext(high, low, value):
    return BGPPAExtCommunity(type_high=high, type_low=low, value=value)

tuples, restart = BGPCapORFBlock.ORFTuple, BGPCapGracefulRestart.GRTuple
print(json.dumps({text: bytes(eval(text)).hex() for text in json.load(sys.stdin)}))
"""


@pytest.fixture(scope="module")
def theirs() -> dict[str, str]:
    """scapy's octets for each of the texts."""
    venv = Path(os.environ.get("BGPIPE_PEERS", FOLDER)) / "scapy"
    if not (venv / ".complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        got = subprocess.run([venv / "bin/pip", "install", "-q", SCAPY], capture_output=True, text=True)
        if got.returncode and not REQUIRED:
            pytest.skip(f"pip install {SCAPY}: {got.stderr.strip().splitlines()[-1:]}")
        assert got.returncode == 0, got.stderr
        (venv / ".complete").touch()
    texts = json.dumps([*COMMUNITIES, *CAPABILITIES, *REFRESHES])
    made = subprocess.run(
        [venv / "bin/python", "-c", PROGRAM], input=texts, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)  # type: ignore[no-any-return]


def test_extended_communities(theirs: dict[str, str]) -> None:
    for text, item in COMMUNITIES.items():
        assert f"{parse_ext_community(item):016x}" == theirs[text]
        assert json.loads(format_ext_community(int(theirs[text], 16))) == item


def test_capabilities(theirs: dict[str, str]) -> None:
    for text, item in CAPABILITIES.items():
        assert caps.encode(caps.from_json(item)).hex() == theirs[text]


def test_route_refreshes(theirs: dict[str, str]) -> None:
    for text, item in REFRESHES.items():
        assert body_from_json(ROUTE_REFRESH, item).hex() == theirs[text]
