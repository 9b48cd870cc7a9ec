"""What our OPEN says to a peer, and what follows from it for what the peer is announced."""

from __future__ import annotations

import pytest
from bgplite import GRACEFUL, Client, as4, bgplite
from peers import IPV4, IPV6, notification

from bgpipe.routeserver.config import Bgp
from bgpipe.routeserver.settings import (
    DEFAULT,
    SessionOptions,
    check_capability,
    check_hold_time,
    check_role,
    session_settings,
)
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.open import Open

LISTS = "DefaultPrefixSource: cloud\nPrefixSources:\n  - {Name: cloud, Path: cloud.txt}\n"
ROUTES = {"1.0.0.0/24", "2606:4700::/32"}
PROVIDER, RS, RS_CLIENT, CUSTOMER, PEER = range(5)
BY_IPV6 = Capability(caps.EXTENDED_NEXT_HOP, b"\0\1\0\1\0\2")


def role(number: int) -> Capability:
    return Capability(caps.ROLE, bytes((number,)))


def offer(*capabilities: Capability) -> Open:
    return Open(65003, 90, "192.0.2.7", capabilities)


def answered(peer: Open | None, options: SessionOptions = DEFAULT, **bgp: object) -> list[Capability]:
    ours = Bgp(asn=65000, router_id="192.0.2.1", **bgp)
    return list(session_settings(ours, options, peer, remote_asn=65003, restarting=False).capabilities)


@pytest.mark.parametrize(
    ("theirs", "ours"), [(CUSTOMER, PROVIDER), (PROVIDER, CUSTOMER), (RS_CLIENT, RS), (RS, RS_CLIENT), (PEER, PEER)]
)
def test_our_role_answers_that_of_the_peer(theirs, ours):
    assert answered(offer(role(theirs))) == [role(ours)]


def test_a_peer_without_a_role_or_with_one_that_nobody_knows_gets_none():
    assert answered(offer(IPV4)) == [IPV4]
    assert answered(offer(IPV4, role(77))) == [IPV4]


def test_a_role_can_be_fixed():
    assert answered(offer(IPV4), SessionOptions(role="rs")) == [IPV4, role(RS)]
    assert answered(offer(role(CUSTOMER)), SessionOptions(role="rs")) == [role(RS)]
    assert answered(offer(role(CUSTOMER)), SessionOptions(role="none")) == []
    assert check_role("RS-Client") == "rs-client"
    with pytest.raises(ValueError, match="one of provider"):
        check_role("boss")


def test_each_capability_is_an_answer():
    add_path = Capability(caps.ADD_PATH, b"\0\1\1\2\0\2\1\1")
    unknown = Capability(200, b"x")
    extended = Capability(caps.EXTENDED_MESSAGE)
    assert answered(offer(IPV4, add_path, unknown, extended, BY_IPV6)) == [
        IPV4,
        BY_IPV6,
        extended,
        Capability(caps.ADD_PATH, b"\0\1\1\1"),  # we receive IPv4 paths, which the peer would send
    ]
    assert answered(offer(Capability(caps.ADD_PATH, b"\0\1\1\1"))) == []  # it receives, and we send none
    assert answered(offer(Capability(caps.EXTENDED_NEXT_HOP, b"\0\1\0\2\0\2"))) == []
    assert [each.code for each in answered(offer(GRACEFUL))] == [caps.GRACEFUL_RESTART]
    assert answered(offer(GRACEFUL), graceful_restart=False) == []


def test_capabilities_can_be_fixed_whatever_the_peer_offers():
    fixed = SessionOptions(capabilities=("IPV6", "AS4"))
    expected = [IPV6, Capability(caps.AS4, bytes(4))]
    assert answered(offer(), fixed) == expected
    assert answered(offer(IPV4, GRACEFUL), fixed) == expected
    assert answered(None, fixed) == expected  # a peer that we call
    assert check_capability("route_refresh") == "ROUTE_REFRESH"
    for text in ("DYNAMIC", "nonsense"):
        with pytest.raises(ValueError, match="capabilit"):
            check_capability(text)


def test_hold_time_and_as_number_can_be_fixed():
    options = SessionOptions(hold_time=9, local_asn=65010, send_hold_time=30)
    settings = session_settings(
        Bgp(asn=65000, router_id="192.0.2.1"), options, offer(), remote_asn=65003, restarting=False
    )
    assert (settings.hold_time, settings.asn, settings.send_hold) == (9, 65010, 30)
    for seconds in (1, 2, 65536):
        with pytest.raises(ValueError, match="0, or 3"):
            check_hold_time(seconds)


@pytest.mark.parametrize(("theirs", "marked"), [(CUSTOMER, True), (RS_CLIENT, True), (PEER, True), (PROVIDER, False)])
def test_what_goes_to_customers_and_peers_is_marked_where_roles_are_agreed(tmp_path, theirs, marked):
    """RFC 9234 section 5."""
    (tmp_path / "cloud.txt").write_text("\n".join(ROUTES))
    with bgplite(tmp_path, LISTS) as server:
        client = server.client(65003, IPV4, IPV6, as4(65003), role(theirs))
        client.until_complete()
        found = {client.routes[prefix].get("OTC", {}).get("value") for prefix in ROUTES}
        assert found == ({65000} if marked else {None})


def test_a_role_that_does_not_go_with_ours_is_refused(tmp_path):
    (tmp_path / "cloud.txt").write_text("\n".join(ROUTES))
    peers = "Peers:\n  - {Address: 127.77.0.3, RemoteAsn: 65003, Role: rs, LocalAsn: 65010, HoldTime: 30}\n"
    with bgplite(tmp_path, LISTS + peers) as server:
        refused = server.client(65003, IPV4, as4(65003), role(CUSTOMER), source="127.77.0.3")
        assert notification(refused.last) == (2, 11)
        client = server.client(65003, IPV4, as4(65003), role(RS_CLIENT), source="127.77.0.3")
        client.until_complete(1)
        assert client.open is not None
        assert (client.open.asn, client.open.hold_time, client.open.role) == (65010, 30, RS)
        assert client.routes["1.0.0.0/24"]["ASPATH"]["value"] == [65010]
        assert client.routes["1.0.0.0/24"]["OTC"]["value"] == 65010


def test_a_peer_with_two_octets_gets_as4_path(tmp_path):
    (tmp_path / "cloud.txt").write_text("\n".join(ROUTES))
    with bgplite(tmp_path, LISTS, environment={"Bgp__Asn": "4200000000"}) as server:
        client: Client = server.client(65003, IPV4, IPV6)
        client.until_complete()
        assert client.open is not None
        assert client.open.my_as == 23456
        for prefix in ROUTES:
            assert client.routes[prefix]["ASPATH"]["value"] == "0x02015ba0"  # one AS number of 2 octets, 23456
            assert client.routes[prefix]["AS4PATH"]["value"] == [4200000000]


def test_ipv4_routes_over_ipv6_have_our_ipv6_address_where_that_was_agreed(tmp_path):
    """RFC 8950, with NextHop: self."""
    (tmp_path / "cloud.txt").write_text("\n".join(ROUTES))
    bgp = "  NextHop: self\n"
    with bgplite(tmp_path, LISTS, bgp=bgp, environment={"Bgp__Listen__0": "::1"}) as server:
        server.address = ("::1", server.address[1])
        agreed = server.client(65003, IPV4, as4(65003), BY_IPV6, source="::1")
        agreed.until_complete(1)
        assert agreed.routes["1.0.0.0/24"]["MP_REACH"]["value"]["nexthop"] == "::1"
        server.clients.pop().peer.close()
        plain = server.client(65004, IPV4, as4(65004), source="::1")
        plain.until_complete(1)
        assert plain.routes["1.0.0.0/24"]["NEXTHOP"]["value"] == "10.99.0.1"
