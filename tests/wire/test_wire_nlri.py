"""NLRI that are kept as octets: told apart or not (RFC 7606 sections 5.3 and 5.4)."""

from __future__ import annotations

import pytest

from bgpipe.wire.attrs.attribute import Attribute
from bgpipe.wire.context import AS4, AS4_ADD_PATH, WireContext
from bgpipe.wire.errors import Reaction
from bgpipe.wire.family import Family, parse_family
from bgpipe.wire.nlri import check_nlri
from cases import all_cases

RD = "0000fde800000064"
VPN = "70" + "000011" + RD + "c00002"

GOOD = {
    "labeled, RFC 8277": ("IPV4/MPLS", "30" + "000011" + "c00002" + "18" + "800000"),
    "two labels": ("IPV4/MPLS", "50" + "000010" + "000011" + "c0000201"),
    "labeled IPv6": ("IPV6/MPLS", "98" + "000011" + "20010db8" + "00" * 12),
    "VPN, RFC 4364": ("IPV4/MPLS_VPN", VPN + VPN),
    "VPN default route": ("IPV6/MPLS_VPN", "58" + "000011" + RD),
    "EVPN, RFC 7432": ("L2VPN/EVPNS", "0302" + "0000" + "ff00"),
    "MCAST-VPN, RFC 6514": ("IPV6/MCAST_VPN", "0501" + "00"),
    "BGP-LS, RFC 9552": ("LS/LS", "0001" + "0003" + "000000" + "ffff" + "0000"),
    "mobile": ("IPV4/MUP", "01" + "0001" + "02" + "0000"),
    "Route Target membership, RFC 4684": ("IPV4/ROUTE_TARGET", "00" + "60" + "0000fde9" + "0002fde900000001"),
    "FlowSpec, RFC 8955": ("IPV4/FLOWSPEC", "03" + "010801" + "f0f1" + "00" * 241),
    "nothing": ("IPV4/MPLS_VPN", ""),
    "nobody knows": ("AFI(16397)/SAFI(241)", "ff"),
}
BAD = {
    "no room for a label": ("IPV4/MPLS", "17" + "000011"),
    "too long behind one label": ("IPV4/MPLS", "39" + "000011" + "c000020100"),
    "label cut": ("IPV4/MPLS", "30" + "0000"),
    "no room for a route distinguisher": ("IPV4/MPLS_VPN", "57" + "000011" + RD),
    "address too long": ("IPV4/MPLS_VPN", "79" + "000011" + RD + "c000020100"),
    "address cut": ("IPV6/MPLS_VPN", "d8" + "000011" + RD + "20010db8"),
    "EVPN header cut": ("L2VPN/EVPNS", "03"),
    "EVPN route cut": ("L2VPN/EVPNS", "0302" + "00"),
    "BGP-LS header cut": ("LS/LS", "000100"),
    "BGP-LS route cut": ("LS/LS", "0001" + "0004" + "000000"),
    "mobile header cut": ("IPV4/MUP", "010001"),
    "Route Target too long": ("IPV4/ROUTE_TARGET", "61" + "00" * 13),
    "FlowSpec cut": ("IPV4/FLOWSPEC", "04" + "010801"),
    "FlowSpec length cut": ("IPV6/FLOWSPEC", "f0"),
    "second one": ("IPV4/MPLS_VPN", VPN + "00"),
}


@pytest.mark.parametrize(("family", "octets"), GOOD.values(), ids=GOOD)
def test_sound(family, octets):
    assert check_nlri(bytes.fromhex(octets), parse_family(family), AS4) is None


@all_cases(("family", "octets"), BAD.values(), ids=BAD)
@all_cases(("code", "hop"), [(14, "04c000020100"), (15, "")])
def test_what_can_not_be_told_apart_ends_the_session(family, octets, code, hop):
    """RFC 7606 section 3(j): nobody knows what to withdraw. The octets keep their JSON form."""
    afi, safi = parse_family(family)
    one = Attribute(0x80, code, afi.to_bytes(2, "big") + bytes((safi,)) + bytes.fromhex(hop + octets), AS4)
    error = one.error()
    assert error is not None
    assert (error.subcode, error.reaction, error.data) == (9, Reaction.SESSION_RESET, one.encode())
    assert f'"data":"0x{octets}"' in one.format_json()


def test_path_identifiers():
    """RFC 7911 section 3; where all that is known is that there are some (RFC 8050), either reading will do."""
    vpn = Family(1, 128)
    context = WireContext(add_path=frozenset({vpn}))
    plain, numbered = bytes.fromhex(VPN * 2), bytes.fromhex(("00000007" + VPN) * 2)
    assert check_nlri(numbered, vpn, context) is None
    assert check_nlri(plain, vpn, AS4) is None
    assert check_nlri(plain, vpn, context) is not None
    assert check_nlri(numbered, vpn, AS4) is not None
    assert check_nlri(plain, vpn, AS4_ADD_PATH) is check_nlri(numbered, vpn, AS4_ADD_PATH) is None
    assert check_nlri(b"\1" + plain, vpn, AS4_ADD_PATH) is not None


@all_cases("family", ["IPV4/MPLS_VPN", "L2VPN/EVPNS", "LS/LS", "IPV4/FLOWSPEC", "IPV6/MCAST_VPN"])
@all_cases("size", [0, 1, 4, 9, 12, 16, 24, 32, 48, 255])
def test_next_hops_of_other_families(family, size):
    """RFC 7606 section 7.11: the length is that of one or two IP addresses, with route distinguishers or not."""
    afi, safi = parse_family(family)
    header = afi.to_bytes(2, "big") + bytes((safi, size))
    error = Attribute(0x80, 14, header + bytes(size + 1), AS4).error()
    possible = size in (4, 12, 16, 24, 32, 48) or (size == 0 and "FLOWSPEC" in family)
    assert (error is None) == possible
    assert error is None or error.reaction == Reaction.SESSION_RESET
