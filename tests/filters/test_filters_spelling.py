"""Filters in the spellings of other tools, and names of communities."""

from __future__ import annotations

import pytest
from filter_messages import FULL, says, update

from bgpipe.wire.communities import WELL_KNOWN_COMMUNITIES
from bgpipe.wire.message import UPDATE, Message
from cases import all_cases

SPELLINGS = {
    # of Cisco, bgpstream
    "aspath ~ _15169$": True,
    "aspath ~ ^65001_": True,
    "aspath ~ _6939_": True,
    "aspath ~ _64501_": True,
    "aspath ~ _693_": False,
    "aspath ~ ^65001$": False,
    'aspath ~ "_(174|6939)_"': True,
    r"aspath ~ _6939[_,]": True,
    "path ~ _15169$": True,
    # of bgpdump
    'aspath ~ "65001 6939"': True,
    'aspath ~ "^65001 65001 6939 .* 15169$"': True,
    r'aspath ~ "\{64500,64501\}"': True,
    r'aspath ~ "6939\s"': True,
    'aspath == "65001 65001 6939 {64500,64501} 15169"': True,
    'aspath == "65001, 65001, 6939, [64500, 64501], 15169"': True,
    'aspath == "AS65001 AS15169"': False,
    # AS numbers
    "as_origin == AS15169": True,
    "origin_as == as15169": True,
    "origin_asn == 15169": True,
    "origin_asn == 0.15169": True,
    "as_origin == 1.0": False,
    "aspath == AS6939": True,
    "aspath[0] == AS65001": True,
    "aspath ~ AS15169": True,
    "aspath ~ AS1516": False,
    "otc == AS65001": True,
    # communities
    "community == 65001:*": True,
    "community == *:123": True,
    "community == 6500:*": False,
    "community == 174:*": False,
    "community ~ 65001:*": True,
    "community ~ 5001:*": False,
    "communities ~ ^65001:": True,
    "community ~ :123$": True,
    "community ~ :12$": False,
    "community ~ '^\"3356'": False,
    "community ~ '^\"65001'": True,
    "community ~ ':1\"$'": False,
    "community ~ _3356:": True,
    "community ~ _356:": False,
    'community ~ "65001:1 3356:123"': True,
    "community == no-export": False,
    "large_community == 65001:*:3": True,
    "large_community == 65001:2:*": True,
    "large_community == 65001:3:*": False,
    # peers
    "tag[peer_as] == AS007": True,
    "tag[Peer_AS] == 007": True,
    "tag[peer_ip] == 192.0.2.9": True,
    "peer_asn == 7": True,
    "peer_as >= AS7": True,
    "peer_asn > 7": False,
    "peer_ip == 192.0.2.9": True,
    "peer_ip ~ 192.0.2.0/24": True,
    "peer_ip ~ 192.0.2.0/29": False,
    "peer_ip ~ 2001:db8::/32": False,
    "next_hop == 192.0.2.1": True,
}


@all_cases(("filter", "expected"), SPELLINGS.items())
def test_spellings_of_other_tools(filter, expected):
    message = Message(UPDATE, FULL.body)
    message.tags = {"PEER_AS": "007", "PEER_IP": "192.0.2.9"}
    assert says(filter, message) is expected
    assert says(f"!({filter})", message) is not expected


@pytest.mark.parametrize(("name", "community"), WELL_KNOWN_COMMUNITIES.items())
def test_names_of_communities(name, community):
    message = update({"COMMUNITY": ["1:2", community]}, reach=["10.1.0.0/16"])
    assert says(f"community == {name}", message)
    assert says(f"community ~ {name.upper()}", message)
    assert not says(f"community == {name}")
