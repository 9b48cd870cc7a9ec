"""UPDATEs made, edited, split, and written for another context than they were read in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.wire.attrs.attribute import Attribute
from bgpipe.wire.context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH, HEADER, WireContext
from bgpipe.wire.errors import Reaction, TextError, WireError
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from bgpipe.wire.prefix import parse_prefix
from bgpipe.wire.update import Update

ROUTE = {"ORIGIN": "IGP", "ASPATH": [65001, 70000], "NEXTHOP": "10.0.0.1"}
IPV4 = Update.make(reach=["192.0.2.0/24", "198.51.100.0/24"], attrs=ROUTE)
IPV6 = Update.make(reach=["2001:db8::/32"], withdrawn=["2001:db9::/32"], attrs=ROUTE, next_hop="2001:db8::1")


def shown(update: Update) -> dict:
    item = json.loads(update.format_json())
    if "attrs" in item:
        item["attrs"] = {name: attribute["value"] for name, attribute in item["attrs"].items()}
    return item


def test_make():
    assert shown(IPV4) == {"reach": ["192.0.2.0/24", "198.51.100.0/24"], "attrs": ROUTE}
    assert IPV4.errors == []
    assert Update.make().is_eor
    assert shown(Update.make(withdrawn=["10.0.0.0/8"])) == {"unreach": ["10.0.0.0/8"]}
    assert shown(Update.make(reach=[parse_prefix("10.0.0.0/8")], next_hop="10.0.0.1")) == {
        "reach": ["10.0.0.0/8"],
        "attrs": {"NEXTHOP": "10.0.0.1"},
    }
    assert Update.make(attrs={4: 7, "med": None}).med is None


def test_make_ipv6():
    assert list(IPV6.attrs) == [14, 15, 1, 2, 3]  # RFC 7606 section 5.1: first
    assert IPV6.next_hop == "2001:db8::1"
    assert (IPV6.reach, IPV6.withdrawn) == ([parse_prefix("2001:db8::/32")], [parse_prefix("2001:db9::/32")])
    assert IPV6.family == IPV6_UNICAST


def test_ipv4_by_an_ipv6_next_hop():
    """RFC 8950."""
    update = Update.make(reach=["192.0.2.0/24"], attrs={"ORIGIN": "IGP", "ASPATH": []}, next_hop="2001:db8::1")
    assert update.family == IPV4_UNICAST
    assert (update.nlri, update.reach) == ([], [parse_prefix("192.0.2.0/24")])
    assert update.errors == []


def test_what_cannot_be_made():
    with pytest.raises(TextError, match="next_hop"):
        Update.make(reach=["2001:db8::/32"], attrs=ROUTE)
    with pytest.raises(TextError, match="next_hop"):
        Update.make(reach=["2001:db8::/32"], attrs=ROUTE, next_hop="10.0.0.1")
    with pytest.raises(TextError, match="NOSUCH"):
        Update.make(attrs={"NOSUCH": 1})
    with pytest.raises(TextError, match="ORIGIN"):
        Update.make(attrs={"ORIGIN": "X"})
    with pytest.raises(TextError, match="IP address"):
        Update.make(next_hop="router")
    with pytest.raises(TextError, match="unknown attribute"):
        Update.make(attrs={256: "0x00"})


def test_replace_keeps_what_is_not_named():
    needs_check = Update.from_json(
        {
            "reach": ["192.0.2.0/24"],
            "attrs": {
                "MED": {"flags": "OX", "value": 5},
                "ATTR_99": {"flags": "OTP7", "value": "0x0102"},
                "ORIGIN": {"flags": "TP", "value": "IGP"},
            },
        }
    )
    update = Update(needs_check)
    assert update.replace() == update
    edited = update.replace(attrs={"MED": 6, "ORIGIN": None, "COMMUNITY": ["65000:1"]})
    assert json.loads(edited.format_json()) == {
        "reach": ["192.0.2.0/24"],
        "attrs": {
            "MED": {"flags": "OX", "value": 6},
            "ATTR_99": {"flags": "OTP7", "value": "0x0102"},
            "COMMUNITY": {"flags": "OT", "value": ["65000:1"]},
        },
    }
    assert json.loads(update.replace(attrs={"MED": {"flags": "O", "value": 6}}).format_json())["attrs"]["MED"] == {
        "flags": "O",
        "value": 6,
    }
    assert update.med == 5


def test_replace_prefixes_and_next_hops():
    assert shown(IPV4.replace(reach=["10.0.0.0/8"])) == {"reach": ["10.0.0.0/8"], "attrs": ROUTE}
    assert shown(IPV4.replace(reach=[], withdrawn=["10.0.0.0/8"]))["unreach"] == ["10.0.0.0/8"]
    assert IPV4.replace(next_hop="10.0.0.9").next_hop == "10.0.0.9"
    more = IPV6.replace(reach=["2001:db8::/32", "2001:dba::/32"])
    assert (len(more.reach), more.next_hop, more.withdrawn) == (2, "2001:db8::1", IPV6.withdrawn)
    assert list(more.attrs) == list(IPV6.attrs)
    assert IPV6.replace(next_hop="2001:db8::9").next_hop == "2001:db8::9"
    gone = IPV6.replace(reach=[], withdrawn=[])
    assert list(gone.attrs) == [1, 2, 3]
    both = IPV6.replace(reach=["10.0.0.0/8", "2001:db8::/32"])
    assert list(map(str, both.reach)) == ["10.0.0.0/8", "2001:db8::/32"]


def test_replace_with_path_identifiers():
    update = Update.make(reach=["#7#10.0.0.0/8"], attrs=ROUTE, context=AS4_ADD_PATH)
    assert list(map(str, update.reach)) == ["#7#10.0.0.0/8"]
    assert list(map(str, update.replace(reach=["#8#11.0.0.0/8"]).reach)) == ["#8#11.0.0.0/8"]
    six = Update.make(reach=["#7#::/0"], withdrawn=["#8#::/0"], next_hop="::1", context=AS4_ADD_PATH)
    assert (list(map(str, six.reach)), list(map(str, six.withdrawn))) == (["#7#::/0"], ["#8#::/0"])


# Another context


def test_the_same_context_gives_the_same_octets():
    assert IPV4.encode() is IPV4.body
    assert IPV4.encode(AS4) is IPV4.body
    assert IPV4.encode(WireContext()) is IPV4.body
    assert IPV4.encode(AS4._replace(extended_message=True)) == IPV4.body


def test_two_octets_and_back():
    """RFC 6793 section 4.2."""
    aggregated = IPV4.replace(attrs={"AGGREGATOR": {"flags": "OT", "value": {"asn": 80000, "addr": "10.0.0.9"}}})
    narrow = Update(aggregated.encode(AS2), AS2)
    assert shown(narrow)["attrs"] == ROUTE | {
        "ASPATH": [65001, 23456],
        "AGGREGATOR": {"asn": 23456, "addr": "10.0.0.9"},
        "AS4PATH": [65001, 70000],
        "AS4AGGREGATOR": {"asn": 80000, "addr": "10.0.0.9"},
    }
    assert narrow.attrs[17].flags == narrow.attrs[18].flags == 0xC0
    assert narrow.errors == []
    assert narrow.encode(AS4) == aggregated.body


def test_small_as_numbers_need_no_as4_path():
    update = IPV4.replace(attrs={"ASPATH": [1, [2, 3]]})
    narrow = Update(update.encode(AS2), AS2)
    assert list(narrow.attrs) == [1, 2, 3]
    assert narrow.encode(AS4) == update.body


def test_as4_path_that_came_with_four_octets_is_dropped():
    update = IPV4.replace(attrs={"AS4PATH": [1, 2], "ASPATH": [{"confed_sequence": [9]}, 1, 70000]})
    narrow = Update(update.encode(AS2), AS2)
    assert shown(narrow)["attrs"]["AS4PATH"] == [1, 70000]
    assert shown(narrow)["attrs"]["ASPATH"] == [{"confed_sequence": [9]}, 1, 23456]


def test_path_identifiers_come_and_go():
    update = Update.make(
        reach=["#7#10.0.0.0/8"], withdrawn=["#8#11.0.0.0/8", "#9#::/0"], attrs=ROUTE, context=AS4_ADD_PATH
    )
    plain = Update(update.encode(AS2), AS2)
    assert (list(map(str, plain.reach)), list(map(str, plain.withdrawn))) == (["10.0.0.0/8"], ["11.0.0.0/8", "::/0"])
    again = Update(plain.encode(AS2_ADD_PATH), AS2_ADD_PATH)
    assert list(map(str, again.reach + again.withdrawn)) == ["#0#10.0.0.0/8", "#0#11.0.0.0/8", "#0#::/0"]


def test_what_cannot_be_read_passes_as_it_is():
    needs_check = Update.from_json({"attrs": {"ASPATH": {"flags": "T", "value": "0x0201"}, "MP_REACH": "0x00"}})
    assert Update(needs_check).encode(AS2) == needs_check
    unstructured = bytes.fromhex("00000002") + b"\x40\x01"
    assert Update(unstructured).encode(AS2) == unstructured


# Splitting


def says(update: Update) -> tuple[set[str], set[str]]:
    return set(map(str, update.reach)), set(map(str, update.withdrawn))


def check_split(update: Update, bodies: list[bytes], context: WireContext) -> None:
    """Together they say what `update` says; each fits, and each that announces has all other attributes."""
    reach, withdrawn = set(), set()
    others = {code: one for code, one in update.attrs.items() if code not in (14, 15)}
    for body in bodies:
        assert len(body) + HEADER <= context.max_message
        part = Update(body, context)
        announced, gone = says(part)
        assert announced or gone
        assert not (announced and gone)
        if announced:
            assert {code: one for code, one in part.attrs.items() if code not in (14, 15)} == others
        reach |= announced
        withdrawn |= gone
    assert (reach, withdrawn) == says(update)


def test_short_ones_are_not_split():
    assert IPV4.encode_split() == [IPV4.body]


@pytest.mark.parametrize("context", [AS4, AS4_ADD_PATH], ids=["plain", "add-path"])
def test_splitting(context):
    """RFC 4271 section 4.1, RFC 8654."""
    mark = "#5#" if context is AS4_ADD_PATH else ""
    big = Update.make(
        reach=[f"{mark}10.{i >> 8}.{i & 255}.0/24" for i in range(3000)]
        + [f"{mark}2001:db8:{i:x}::/48" for i in range(900)],
        withdrawn=[f"{mark}11.{i >> 8}.{i & 255}.0/24" for i in range(2000)]
        + [f"{mark}2001:db9:{i:x}::/48" for i in range(1200)],
        attrs=ROUTE,
        next_hop="2001:db8::1",
        context=context,
    )
    bodies = big.encode_split()
    assert len(bodies) >= len(big.body) // 4096
    check_split(big, bodies, context)
    assert max(map(len, bodies)) > 4000
    assert big.encode_split(context._replace(extended_message=True)) == [big.body]


def test_what_cannot_be_split():
    """RFC 8654 section 4: such a route is not announced."""
    heavy = IPV4.replace(attrs={"ATTR_99": "0x" + "00" * 4096})
    with pytest.raises(WireError) as caught:
        heavy.encode_split()
    assert caught.value.reaction == Reaction.TREAT_AS_WITHDRAW
    assert len(heavy.encode_split(AS4._replace(extended_message=True))) == 1
    with pytest.raises(WireError):
        heavy.replace(reach=[]).encode_split()
    raw = Update.make(attrs={"MP_REACH": {"af": "LS/LS", "nh": "0x0a000001", "data": "0x" + "00" * 4096}})
    with pytest.raises(WireError):
        raw.encode_split()


def test_families_with_a_codec_are_split_between_routes():
    routes = [{"id": 7, "rd": "65000:1", "prefix": f"10.0.{i}.0/24", "labels": [i]} for i in range(250)]
    context = AS4._replace(add_path=frozenset({Family(1, 128)}))
    update = Update.make(
        attrs=ROUTE | {"MP_REACH": {"af": "IPV4/MPLS_VPN", "nexthop": "192.0.2.1", "routes": routes}}, context=context
    )
    bodies = update.encode_split()
    assert len(bodies) == 2
    assert [len(route.members) for body in bodies for route in Update(body, context).routes] == [3] * 250


@given(st.integers(0, 1200), st.integers(0, 1200), st.integers(3000, 4096))
def test_splits_are_whole(announced, gone, filler):
    update = Update.make(
        reach=[f"10.{i >> 8}.{i & 255}.0/24" for i in range(announced)],
        withdrawn=[f"11.{i >> 8}.{i & 255}.0/24" for i in range(gone)],
        attrs=ROUTE | {"ATTR_99": "0x" + "00" * filler},
    )
    try:
        bodies = update.encode_split()
    except WireError:
        assert filler > 4000 or not announced
        return
    if len(bodies) > 1:
        check_split(update, bodies, AS4)


def test_attributes_can_be_given_as_they_are():
    one = Attribute(0xE0, 99, b"\1\2", AS4)
    assert IPV4.replace(attrs={99: one}).attrs[99] == one


def test_withdraw():
    update = IPV4.replace(withdrawn=["10.0.0.0/8"])
    first, second = update.reach
    assert shown(update.withdraw([first])) == {
        "reach": ["198.51.100.0/24"],
        "unreach": ["10.0.0.0/8", "192.0.2.0/24"],
        "attrs": ROUTE,
    }
    assert shown(update.withdraw()) == {"unreach": ["10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24"]}
    assert update.withdraw([second, first]) == update.withdraw()
    assert set(IPV6.withdraw().withdrawn) == {*IPV6.withdrawn, *IPV6.reach}
    assert IPV6.withdraw().reach == []
    assert update.withdraw([parse_prefix("11.0.0.0/8")]) == update
    assert Update(bytes(4)).withdraw() == Update(bytes(4))
    bare = Update.make(attrs=ROUTE)
    assert bare.withdraw() == bare  # and no End-of-RIB


def multicast(kind: str, *prefixes: str, family: str = "IPV4/MULTICAST") -> dict:
    hop = {"nexthop": "192.0.2.1" if family.startswith("IPV4") else "2001:db8::1"} if kind == "MP_REACH" else {}
    return {kind: {"flags": "O", "value": {"af": family} | hop | {"prefixes": list(prefixes)}}}


def test_prefixes_stay_in_their_family():
    attrs = ROUTE | multicast("MP_REACH", "192.0.2.0/24")
    both = Update(Update.from_json({"reach": ["192.0.2.0/24", "10.0.0.0/8"], "attrs": attrs}))
    assert both.replace(reach=both.reach, withdrawn=both.withdrawn) == both
    unicast, only, again = both.reach
    assert unicast == again
    less = shown(both.replace(reach=[only, "198.51.100.0/24"]))
    assert less["reach"] == ["10.0.0.0/8"]
    assert less["attrs"]["MP_REACH"]["prefixes"] == ["198.51.100.0/24"]  # a new one goes where its kin is
    less = shown(both.withdraw([unicast]))
    assert (less["reach"], less["unreach"]) == (["10.0.0.0/8"], ["192.0.2.0/24"])
    assert "MP_REACH" not in less["attrs"]
    assert less["attrs"]["MP_UNREACH"] == {"af": "IPV4/MULTICAST", "prefixes": ["192.0.2.0/24"]}
    withdrawn = {"unreach": ["192.0.2.0/24", "10.0.0.0/8"], "attrs": {"MP_UNREACH": less["attrs"]["MP_UNREACH"]}}
    assert shown(both.withdraw()) == shown(both.withdraw(both.reach)) == withdrawn


def test_ipv4_by_an_ipv6_next_hop_stays_so():
    native = Update.make(reach=["192.0.2.0/24", "10.0.0.0/8"], attrs=ROUTE, next_hop="2001:db8::1")
    first, second = native.reach
    left = shown(native.replace(reach=[second]))
    assert "reach" not in left
    assert left["attrs"]["MP_REACH"]["prefixes"] == ["10.0.0.0/8"]
    assert "MP_UNREACH" in shown(native.withdraw([first]))["attrs"]


def test_two_families_are_too_many():
    mixed = Update.make(
        attrs=ROUTE | multicast("MP_REACH", "2001:db8::/32", family="IPV6/MULTICAST"), withdrawn=["2001:db8:1::/48"]
    )
    for attempt in (mixed.withdraw, lambda: mixed.withdraw(mixed.reach)):
        with pytest.raises(TextError, match=r"two families|IPV6/UNICAST and IPV6/MULTICAST"):
            attempt()


def test_other_nlri_stay():
    evpn = Update.make(reach=["10.0.0.0/8"], attrs=ROUTE | {14: "0x00194604c0000201000102"})
    assert evpn.attrs[14].value.family.afi == 25
    kept = evpn.withdraw(evpn.reach)
    assert kept.attrs[14] == evpn.attrs[14]
    assert (kept.reach, kept.withdrawn) == ([], evpn.reach)
    gone = evpn.withdraw()
    assert gone.attrs[15].octets == bytes.fromhex("001946 0102")
    assert list(gone.attrs) == [15]
    with pytest.raises(TextError, match="prefixes of"):
        evpn.replace(reach=["2001:db8::/32"], next_hop="2001:db8::1")
