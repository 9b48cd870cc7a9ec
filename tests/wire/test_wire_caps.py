"""Capabilities: their table, each file, and their JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.formats.json import JsonEncoder
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability, add_path, as4, extended_next_hop, fqdn, mp, role
from bgpipe.wire.cursor import Cursor
from bgpipe.wire.errors import ShortError, TextError, WireError
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from bgpipe.wire.message import OPEN, Message
from bgpipe.wire.open import Open


def encoded(shown: object) -> str:
    return caps.encode(caps.from_json(shown)).hex()


def shown(octets: str) -> dict[str, object]:
    return caps.to_json(caps.decode(Cursor(bytes.fromhex(octets))))


@pytest.mark.parametrize(
    ("octets", "json"),
    [
        ("010400010001010400020001", {"MP": ["IPV4/UNICAST", "IPV6/UNICAST"]}),
        ("0200", {"ROUTE_REFRESH": True}),
        ("0506000100010002", {"EXTENDED_NEXTHOP": ["IPV4/UNICAST/IPV6"]}),
        ("0600", {"EXTENDED_MESSAGE": True}),
        ("090102", {"ROLE": "RS-CLIENT"}),
        ("0901c8", {"ROLE": 200}),
        ("40020078", {"GRACEFUL_RESTART": {"time": 120, "families": []}}),
        ("4104fa56ea00", {"AS4": 4200000000}),
        ("410400000000", {"AS4": 0}),
        ("45080001010100020103", {"ADDPATH": ["IPV4/UNICAST/RECEIVE", "IPV6/UNICAST/BIDIR"]}),
        ("491407726f75746572310b6578616d706c652e636f6d", {"FQDN": {"host": "router1", "domain": "example.com"}}),
        ("49060461ff220a00", {"FQDN": {"host": "0x61ff220a"}}),
        ("490704 72c3b672 01 c3".replace(" ", ""), {"FQDN": {"host": "r\xf6r", "domain": "0xc3"}}),
        ("490804 f09f8c8d 02 3078".replace(" ", ""), {"FQDN": {"host": "\U0001f30d", "domain": "0x3078"}}),
        ("c80101c8020203c800", {"CAP_200": ["0x01", "0x0203", "0x"]}),
        ("01040bad00fe", {"MP": ["AFI(2989)/SAFI(254)"]}),
    ],
)
def test_both_ways(octets: str, json: dict[str, object]) -> None:
    assert shown(octets) == json
    assert encoded(json) == octets


def test_order_is_that_of_first_occurrence() -> None:
    assert list(shown("4104000000010200010400010001410400000002")) == ["AS4", "ROUTE_REFRESH", "MP"]


@pytest.mark.parametrize(
    ("octets", "json"),
    [
        ("0103000100", {"MP": "0x000100"}),
        ("4100", {"AS4": True}),
        ("09020001", {"ROLE": "0x0001"}),
        ("450400010100", {"ADDPATH": "0x00010100"}),
        ("4500", {"ADDPATH": True}),
        ("0506000101010002", {"EXTENDED_NEXTHOP": "0x000101010002"}),
        ("4903026162", {"FQDN": "0x026162"}),
        ("4104000000014100", {"AS4": ["0x00000001", "0x"]}),
    ],
)
def test_a_value_that_can_not_be_read_is_shown_raw_and_comes_back(octets: str, json: dict[str, object]) -> None:
    assert shown(octets) == json
    assert encoded(json) == octets


@pytest.mark.parametrize(
    ("json", "octets"),
    [
        ({"mp": ["ipv6/unicast", "IPV4/UNICAST", "IPV6/UNICAST"]}, "010400010001010400020001"),
        ({"MP": "IPV4/UNICAST"}, "010400010001"),
        ({"CAP_65": 1}, "410400000001"),
        ({"as4": "65001"}, "41040000fde9"),
        ({"ROLE": "rs_client"}, "090102"),
        ({"ADDPATH": "1/1/send"}, "450400010102"),
        ({"FQDN": {"domain": "d"}}, "4903000164"),
        ({"AS4": None, "MP": [], "ROUTE_REFRESH": False}, ""),
    ],
)
def test_input_may_be_said_in_other_ways(json: object, octets: str) -> None:
    assert encoded(json) == octets


@pytest.mark.parametrize(
    "json",
    [
        [],
        {"NO_SUCH": True},
        {"CAP_256": True},
        {"CAP_200": 5},
        {"CAP_200": "0xabc"},
        {"CAP_200": "0x" + "00" * 256},
        {"MP": ["IPV4"]},
        {"MP": [1]},
        {"MP": {"af": 1}},
        {"AS4": 1 << 32},
        {"AS4": -1},
        {"AS4": 1.5},
        {"ROLE": "BOSS"},
        {"ROLE": 256},
        {"ADDPATH": ["IPV4/UNICAST"]},
        {"ADDPATH": ["IPV4/UNICAST/BOTH"]},
        {"EXTENDED_NEXTHOP": ["IPV4/UNICAST/IPV9"]},
        {"FQDN": "router1"},
        {"FQDN": {"host": 1}},
        {"FQDN": {"host": "0x1"}},
        {"FQDN": {"host": "\ud800"}},
        {"FQDN": {"host": "a" * 200, "domain": "b" * 54}},
    ],
)
def test_mistakes_are_told(json: object) -> None:
    with pytest.raises(TextError):
        caps.from_json(json)


@pytest.mark.parametrize(
    ("form", "octets"),
    [
        (mp, "000100"),
        (mp, "0001000100"),
        (as4, "00"),
        (as4, ""),
        (role, ""),
        (role, "0000"),
        (add_path, "00010100"),
        (add_path, "00010104"),
        (add_path, "000101"),
        (extended_next_hop, "0001"),
        (fqdn, "046267"),
        (fqdn, "0462677064"),
        (fqdn, "00000f"),
        (fqdn, ""),
    ],
)
def test_values_that_can_not_be_read(form: caps.CapabilityForm, octets: str) -> None:
    with pytest.raises(WireError) as caught:
        form.decode(bytes.fromhex(octets))
    assert (caught.value.code, caught.value.subcode) == (2, 0)


def test_a_capability_cut_short() -> None:
    with pytest.raises(ShortError):
        caps.decode(Cursor(b"\x41\x04\x00"))


def test_many_families_are_chunked_by_what_fits() -> None:
    families = {Family(afi, 1): add_path.SEND for afi in range(1, 101)}
    assert [len(value) for value in add_path.encode(families)] == [252, 148]
    assert add_path.merge(add_path.encode(families)) == families
    pairs = [(Family(afi, 1), 2) for afi in range(1, 43)]
    assert [len(value) for value in extended_next_hop.encode(pairs)] == [252]
    assert [len(value) for value in extended_next_hop.encode([*pairs, (Family(43, 1), 2)])] == [252, 6]


def test_of_two_capabilities_that_name_one_family_the_first_counts() -> None:
    values = [bytes.fromhex("00010101"), bytes.fromhex("0001010200020102")]
    assert add_path.merge(values) == {IPV4_UNICAST: add_path.RECEIVE, IPV6_UNICAST: add_path.SEND}


def test_names() -> None:
    assert {caps.parse_name(caps.name(code)) for code in range(256)} == set(range(256))
    assert str(Capability(65, b"\0\0\0\1")) == "AS4 0x00000001"
    assert str(Capability(2)) == "ROUTE_REFRESH"


@given(st.lists(st.builds(Capability, st.integers(0, 255), st.binary(max_size=255)), max_size=8))
def test_json_of_what_json_says_is_the_same(capabilities: list[Capability]) -> None:
    json = caps.to_json(capabilities)
    assert caps.to_json(caps.from_json(json)) == json


GRACEFUL_RESTART = {
    "0078": {"time": 120, "families": []},
    "c0780001018000020100": {
        "time": 120,
        "restarted": True,
        "notification": True,
        "families": ["IPV4/UNICAST/FORWARDING", "IPV6/UNICAST"],
    },
    # shown as octets: a family cut short, reserved bits
    "8078": {"time": 120, "restarted": True, "families": []},
    "00780001": "0x00780001",
    "1078": "0x1078",
    "007800010101": "0x007800010101",
}


@pytest.mark.parametrize(("octets", "item"), GRACEFUL_RESTART.items())
def test_graceful_restart(octets, item):
    """RFC 4724 section 3, RFC 8538 section 2: the octets come back, and what can't be read ends no session."""
    capability = caps.Capability(caps.GRACEFUL_RESTART, bytes.fromhex(octets))
    assert caps.to_json([capability]) == {"GRACEFUL_RESTART": item}
    assert caps.from_json({"GRACEFUL_RESTART": item}) == (capability,)
    assert caps.from_json({"GRACEFUL_RESTART": "0x" + octets}) == (capability,)


def families(*entries: dict[str, object]) -> dict[str, object]:
    return {"families": list(entries)}


STRUCTURED = {
    "470e 00010180015180 00020400000e10".replace(" ", ""): {
        "LLGR": families({"af": "IPV4/UNICAST", "forwarding": True, "time": 86400}, {"af": "IPV6/MPLS", "time": 3600})
    },
    "4700": {"LLGR": families()},
    "470700010140015180": {"LLGR": "0x00010140015180"},  # a reserved bit
    "4703000101": {"LLGR": "0x000101"},
    "0310 00010001 02 40038001 00020001 01 4102".replace(" ", ""): {
        "OUTBOUND_FILTERING": families(
            {
                "af": "IPV4/UNICAST",
                "orfs": [{"type": "ADDRESS_PREFIX", "mode": "BOTH"}, {"type": 128, "mode": "RECEIVE"}],
            },
            {"af": "IPV6/UNICAST", "orfs": [{"type": "COVERING_PREFIXES", "mode": "SEND"}]},
        )
    },
    "0305 0001010100".replace(" ", ""): {"OUTBOUND_FILTERING": "0x0001010100"},  # the reserved octet
    "0306 000100010240".replace(" ", ""): {"OUTBOUND_FILTERING": "0x000100010240"},
    "0808 00010403 00028000".replace(" ", ""): {
        "MULTIPLE_LABELS": families({"af": "IPV4/MPLS", "count": 3}, {"af": "IPV6/MPLS_VPN", "count": 0})
    },
    "0803000104": {"MULTIPLE_LABELS": "0x000104"},
    "0703080001 0703000002".replace(" ", ""): {
        "BGPSEC": [
            {"version": 0, "direction": "SEND", "afi": "IPV4"},
            {"version": 0, "direction": "RECEIVE", "afi": "IPV6"},
        ]
    },
    "0703010001": {"BGPSEC": "0x010001"},  # a reserved bit
    "0700": {"BGPSEC": True},
    "4b11104652526f7574696e672f31302e322e31": {"VERSION": {"version": "FRRouting/10.2.1"}},
    "4b0100": {"VERSION": {"version": ""}},
    "4b0403220a1b": {"VERSION": {"version": '"\n\x1b'}},
    "4b0302ff00": {"VERSION": {"version": "0xff00"}},
    "4b03023078": {"VERSION": {"version": "0x3078"}},
    "4b0305ff00": {"VERSION": "0x05ff00"},
    "4b00": {"VERSION": True},
    "4c05 0001010004".replace(" ", ""): {"PATHS_LIMIT": families({"af": "IPV4/UNICAST", "limit": 4})},
    "0400 8200 8300 8100".replace(" ", ""): {
        "MULTIPLE_ROUTES": True,
        "PRE_OUTBOUND_FILTERING": True,
        "PRE_MULTISESSION": True,
        "PRE_OUTBOUND_FILTERING_129": True,
    },
}


@pytest.mark.parametrize(("octets", "json"), STRUCTURED.items())
def test_capabilities_with_a_structure(octets: str, json: dict[str, object]) -> None:
    assert shown(octets) == json
    assert encoded(json) == octets
    opened = Open(65001, 90, "192.0.2.1", tuple(caps.decode(Cursor(bytes.fromhex(octets)))))
    again = Open.decode(opened.encode())  # none of them ends a session
    assert again.encode() == opened.encode()
    line = JsonEncoder().encode(Message(OPEN, again.encode()))
    assert line.isascii()
    assert line.count(b"\n") == 1
    values = caps.decode(Cursor(bytes.fromhex(octets)))
    raw = {caps.name(code): [f"0x{value.hex()}" for value in caps.values(values, code)] for code, _ in values}
    assert encoded(raw) == octets


@pytest.mark.parametrize(
    "json",
    [
        {"LLGR": {"families": {}}},
        {"LLGR": {"families": [1]}},
        {"LLGR": families({"af": "IPV4/UNICAST", "time": 1 << 24})},
        {"LLGR": families({"af": "IPV4/UNICAST"})},
        {"LLGR": families({"af": "IPV4", "time": 1})},
        {"LLGR": families({"af": "IPV4/UNICAST", "time": 1, "forwarding": 1})},
        {"LLGR": families({"af": "IPV4/UNICAST", "time": 1, "more": 1})},
        {"OUTBOUND_FILTERING": families({"af": "IPV4/UNICAST", "orfs": [{"type": "PREFIX", "mode": "BOTH"}]})},
        {"OUTBOUND_FILTERING": families({"af": "IPV4/UNICAST", "orfs": [{"type": 64, "mode": "ALL"}]})},
        {"OUTBOUND_FILTERING": families({"af": "IPV4/UNICAST", "orfs": [{"type": 64, "mode": 1}] * 256})},
        {"MULTIPLE_LABELS": families({"af": "IPV4/MPLS", "count": 256})},
        {"BGPSEC": 5},
        {"BGPSEC": [{"version": 16, "direction": "SEND", "afi": "IPV4"}]},
        {"BGPSEC": [{"version": 0, "direction": "BOTH", "afi": "IPV4"}]},
        {"BGPSEC": [{"version": 0, "direction": "SEND", "afi": 1}]},
        {"BGPSEC": [{"version": 0, "direction": "SEND"}]},
        {"VERSION": "FRR"},
        {"VERSION": {"version": 1}},
        {"VERSION": {"version": "x" * 255}},
        {"VERSION": {"version": "\ud800"}},
        {"VERSION": {"software": "x"}},
    ],
    ids=str,
)
def test_mistakes_in_capabilities_with_a_structure(json: object) -> None:
    with pytest.raises(TextError):
        caps.from_json(json)


def test_many_entries_go_into_several_capabilities() -> None:
    entries = [{"af": f"AFI({afi})/UNICAST", "time": 1} for afi in range(100, 180)]
    found = caps.from_json({"LLGR": {"families": entries}})
    assert [len(capability.value) for capability in found] == [252, 252, 56]
    assert caps.to_json(found) == {"LLGR": {"families": entries}}


@pytest.mark.parametrize(
    "item",
    [
        [1],
        {"time": 4096},
        {"time": True},
        {"families": "IPV4/UNICAST"},
        {"families": [1]},
        {"families": ["IPV4/UNICAST/KEPT"]},
        {"restarted": 1},
        {"stale": 1},
    ],
)
def test_graceful_restart_of_another_form_is_refused(item):
    with pytest.raises(TextError):
        caps.from_json({"GRACEFUL_RESTART": item})
