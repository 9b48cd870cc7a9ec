"""OPEN: octets, errors, JSON, and what two of them agree on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.wire import caps
from bgpipe.wire.body import body_from_json
from bgpipe.wire.caps import Capability
from bgpipe.wire.context import NO_FAMILIES, WireContext
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from bgpipe.wire.message import OPEN, Message
from bgpipe.wire.negotiation import contexts, negotiate
from bgpipe.wire.open import AS_TRANS, Open, decode_params, encode_params

FIXED = "04fde9005ac0000201"  # AS 65001, hold time 90, 192.0.2.1


def body(params: str, length: int | None = None) -> bytes:
    octets = bytes.fromhex(params)
    return bytes.fromhex(FIXED) + bytes((len(octets) if length is None else length,)) + octets


def said(octets: bytes) -> str:
    return Message(OPEN, octets).format_json()


def test_fields() -> None:
    message = Open.decode(body("020e0104000100010200410400010000"))
    assert (message.my_as, message.asn, message.hold_time, message.bgp_id) == (65001, 65536, 90, "192.0.2.1")
    assert message.families == [IPV4_UNICAST]
    assert message.has(caps.ROUTE_REFRESH)
    assert message.role is None
    assert message.params is None
    assert message.encode() == body("020e0104000100010200410400010000")


def test_without_capabilities() -> None:
    message = Open.decode(body(""))
    assert message.asn == 65001
    assert message.families == [IPV4_UNICAST]
    assert message.format_json() == '{"bgp":4,"asn":65001,"id":"192.0.2.1","hold":90,"caps":{}}'
    assert Open.from_json(json.loads(message.format_json())) == message


def test_json_is_that_of_the_original() -> None:
    line = said(
        bytes.fromhex("045ba0005a0a000001") + b"\x14" + bytes.fromhex("02120104000100010104000200014104fa56ea01")
    )
    assert line == (
        '{"bgp":4,"asn":23456,"id":"10.0.0.1","hold":90,"caps":{"MP":["IPV4/UNICAST","IPV6/UNICAST"],"AS4":4200000001}}'
    )


@pytest.mark.parametrize(
    "params",
    [
        "02020200" + "0206410400010000",  # a parameter for each capability
        "0200",  # a parameter without any
        "02020200" + "02020200",  # one capability twice
        "020c010400020001010400010001",  # families in another order
        "020a45080002010300010103",
        "0206010400010101",  # MP with something in the reserved octet
        "ff00050200020200",  # RFC 9072, without need
        "ff0000",
    ],
)
def test_another_spelling_is_shown_and_comes_back_until_somebody_edits_it(params: str) -> None:
    octets = body(params, 255 if params.startswith("ff") else None)
    shown = json.loads(said(octets))
    assert shown["params"] == "0x" + params
    assert body_from_json(OPEN, shown) == octets
    assert Open.decode(octets).encode() == octets

    shown["hold"] = 30
    assert body_from_json(OPEN, shown)[9:] == octets[9:]
    shown["caps"]["ROLE"] = "PEER"
    edited = Open.from_json(shown)
    assert edited.role == 4
    assert decode_params(edited.encode()[10:]) == edited.capabilities


def test_many_capabilities_take_the_extended_form() -> None:
    capabilities = tuple(Capability(200 + number, bytes(60)) for number in range(5))
    message = Open(65001, 90, "192.0.2.1", capabilities)
    octets = message.encode()
    assert octets[9:16] == bytes.fromhex("ffff0139020136")
    assert Open.decode(octets) == message
    assert "params" not in message.to_json()
    assert len(encode_params((Capability(200, bytes(251)),))) == 255
    assert encode_params((Capability(200, bytes(252)),))[:1] == b"\xff"


@pytest.mark.parametrize(
    ("octets", "subcode"),
    [
        (bytes.fromhex("03fde9005ac000020100"), 1),
        (body("0106010400010001"), 4),
        (body("02060104000100"), 0),
        (body("0205010400010001"), 0),
        (body("0207010400010001"), 0),
        (body("", 3), 0),
        (body("0206010400010001", 7), 0),
        (body("ff00060200020200", 255), 0),
        (body("ff00050200030200", 255), 0),
        (body("ff00", 255), 0),
        (body("02024100"), 0),
        (body("02050903000000"), 0),
    ],
)
def test_errors_have_the_code_for_a_notification(octets: bytes, subcode: int) -> None:
    with pytest.raises(WireError) as caught:
        Open.decode(octets)
    assert (caught.value.code, caught.value.subcode) == (2, subcode)
    if subcode == 1:
        assert caught.value.data == b"\0\x04"
    with pytest.raises(WireError):
        _ = Message(OPEN, octets).open
    assert body_from_json(OPEN, json.loads(said(octets))) == octets  # nothing is lost all the same


def test_the_length_octet_of_the_extended_form_says_nothing_else() -> None:
    octets = body("ff00050200020200", 7)  # RFC 9072 section 2
    assert Open.decode(octets).capabilities == (Capability(2),)
    assert said(octets) == f'"0x{octets.hex()}"'
    with pytest.raises(WireError):
        Open.decode(body("ff00050200020200", 0))


def test_what_can_not_be_read_is_shown_as_far_as_it_can() -> None:
    assert said(body("02024100")) == '{"bgp":4,"asn":65001,"id":"192.0.2.1","hold":90,"caps":{"AS4":true}}'
    assert said(body("0106010400010001")) == (
        '{"bgp":4,"asn":65001,"id":"192.0.2.1","hold":90,"params":"0x0106010400010001"}'
    )
    assert said(b"\x04\x00") == '"0x0400"'


def test_add_path_that_is_neither_sent_nor_received_is_ignored() -> None:
    message = Open.decode(body("0206450400010104"))  # RFC 7911 section 4
    assert message.format_json().endswith('"caps":{"ADDPATH":"0x00010104"}}')


@pytest.mark.parametrize(
    ("message", "subcode"),
    [
        (Open(0, 90, "192.0.2.1"), 2),
        (Open(65001, 90, "192.0.2.1", (Capability(caps.AS4, bytes(4)),)), 2),
        (Open(0, 90, "192.0.2.1", (Capability(caps.AS4, (65001).to_bytes(4, "big")),)), 2),  # RFC 7607 section 2
        (Open(65001, 90, "0.0.0.0"), 3),
        (Open(65001, 1, "192.0.2.1"), 6),
        (Open(65001, 2, "192.0.2.1"), 6),
        (Open(65001, 0, "192.0.2.1", (Capability(caps.ROLE, b"\0"), Capability(caps.ROLE, b"\1"))), 11),
        (Open(65001, 0, "192.0.2.1", (Capability(caps.ROLE, b"\0\0"),)), 0),
    ],
)
def test_an_open_with_which_no_session_starts(message: Open, subcode: int) -> None:
    with pytest.raises(WireError) as caught:
        message.check()
    assert (caught.value.code, caught.value.subcode) == (2, subcode)


def test_an_open_with_which_a_session_starts() -> None:
    role = Capability(caps.ROLE, b"\3")
    for hold_time in (0, 3, 65535):
        Open(65001, hold_time, "192.0.2.1", (role, role)).check()


def test_json_input_without_as4_stays_without() -> None:
    message = Open.from_json({"asn": 65001, "id": "192.0.2.1", "hold": 90})
    assert message.capabilities == ()
    assert message.encode() == body("")


def test_json_input_with_a_large_as_number_gains_as4() -> None:
    message = Open.from_json({"asn": 4200000001, "caps": {"ROUTE_REFRESH": True}})
    assert (message.my_as, message.asn) == (AS_TRANS, 4200000001)
    assert message.capabilities == (Capability(2), Capability(65, bytes.fromhex("fa56ea01")))
    message = Open.from_json({"asn": 4200000001, "caps": {"AS4": 5}})
    assert (message.my_as, message.asn) == (AS_TRANS, 5)


def test_json_input_of_parameters_alone() -> None:
    assert Open.from_json({"asn": 65001, "params": "0x02020200"}).capabilities == (Capability(2),)
    assert Open.from_json({"asn": 65001, "params": "0x01020200"}).encode()[9:].hex() == "0401020200"
    assert Open.from_json({"params": "0x0102", "caps": {}}).encode()[9:] == b"\0"
    assert Open.from_json({"params": None, "other": 1}) == Open()


@pytest.mark.parametrize(
    "shown",
    [
        None,
        5,
        {"bgp": 3},
        {"asn": -1},
        {"asn": 1 << 32},
        {"asn": 1.0},
        {"asn": True},
        {"hold": 65536},
        {"id": "::1"},
        {"id": 5},
        {"id": "router"},
        {"caps": []},
        {"params": 5},
        {"params": "0x0"},
        {"params": "0x" + "01" * 256},
        {"caps": {f"CAP_{code}": ["0x" + "00" * 255] * 9 for code in range(200, 250)}},
        {"caps": {"CAP_200": ["0x" + "00" * 255] * 300}},
    ],
)
def test_mistakes_are_told(shown: object) -> None:
    with pytest.raises(TextError):
        Open.from_json(shown)


def test_with_capabilities() -> None:
    message = Open.decode(body("02020200" + "02020600"))
    assert message.params is not None
    fewer = message.with_capabilities([Capability(6)])
    assert fewer.encode() == body("02020600")


# What two OPENs agree on (reference: the capability context)


def opened(**shown: object) -> Open:
    return Open.from_json({"asn": 65001, "id": "192.0.2.1", "hold": 90, "caps": shown})


def test_negotiation() -> None:
    left = opened(
        MP=["IPV4/UNICAST", "IPV6/UNICAST"],
        ROUTE_REFRESH=True,
        EXTENDED_NEXTHOP=["IPV4/UNICAST/IPV6", "IPV4/MULTICAST/IPV6"],
        EXTENDED_MESSAGE=True,
        ROLE="CUSTOMER",
        GRACEFUL_RESTART="0x0078",
        AS4=65001,
        ADDPATH=["IPV4/UNICAST/BIDIR", "IPV6/UNICAST/SEND", "IPV4/FLOWSPEC/RECEIVE"],
        FQDN={"host": "left"},
        LLGR=["0x00010180000001", "0x00020180000002"],
    )
    right = opened(
        MP=["IPV6/UNICAST", "IPV4/FLOWSPEC"],
        ROUTE_REFRESH=True,
        EXTENDED_NEXTHOP=["IPV4/UNICAST/IPV6"],
        EXTENDED_MESSAGE=True,
        ROLE="PROVIDER",
        GRACEFUL_RESTART="0x0079",
        AS4=65002,
        ADDPATH=["IPV4/UNICAST/RECEIVE", "IPV6/UNICAST/SEND", "IPV4/FLOWSPEC/BIDIR"],
        FQDN={"host": "right"},
        LLGR=["0x00020180000002", "0x00020400000003"],
        ENHANCED_ROUTE_REFRESH=True,
    )
    agreement = negotiate(left, right)
    assert list(agreement.json.items()) == [
        ("MP", ["IPV6/UNICAST"]),
        ("ROUTE_REFRESH", True),
        ("EXTENDED_NEXTHOP", ["IPV4/UNICAST/IPV6"]),
        ("EXTENDED_MESSAGE", True),
        ("ROLE", "CUSTOMER"),
        ("GRACEFUL_RESTART", True),
        ("AS4", 65001),
        ("ADDPATH", ["IPV4/UNICAST/SEND", "IPV4/FLOWSPEC/RECEIVE"]),
        ("LLGR", {"families": [{"af": "IPV6/UNICAST", "forwarding": True, "time": 2}]}),
        ("FQDN", {"host": "left"}),
    ]
    assert agreement.contexts.right == WireContext(as4=True, add_path=frozenset({IPV4_UNICAST}), extended_message=True)
    assert agreement.contexts.left == WireContext(as4=True, add_path=frozenset({Family(1, 133)}), extended_message=True)


def test_negotiation_of_nothing() -> None:
    agreement = negotiate(opened(AS4=1, MP=["IPV4/UNICAST"]), opened(MP=["IPV6/UNICAST"]))
    assert agreement.capabilities == ()
    assert agreement.contexts.left == agreement.contexts.right == WireContext(as4=False, add_path=NO_FAMILIES)
    assert agreement.families == []
    assert negotiate(opened(), opened(AS4=1)).json == {}


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ([], [], ["IPV4/UNICAST"]),
        ([], ["IPV4/UNICAST", "IPV6/UNICAST"], ["IPV4/UNICAST"]),
        ([], ["IPV6/UNICAST"], []),
        (["IPV4/MULTICAST"], [], []),
        (["IPV6/UNICAST", "IPV4/UNICAST"], ["IPV4/UNICAST", "IPV6/UNICAST"], ["IPV4/UNICAST", "IPV6/UNICAST"]),
    ],
)
def test_a_speaker_that_names_no_family_has_ipv4_unicast(one: list[str], other: list[str], both: list[str]) -> None:
    """RFC 4760 section 8: and one that names others alone has not."""
    opens = [opened(MP=each) if each else opened(AS4=1) for each in (one, other)]
    for left, right in (opens, opens[::-1]):
        assert list(map(str, negotiate(left, right).families)) == both


@pytest.mark.parametrize(
    "value",
    [
        "4504" + "00010104",
        "4503" + "000101",
        "0106" + "000100010000",
        "4103" + "00fde9",
        "0506" + "000101010002",
        "490100",
    ],
    ids=["ADDPATH 4", "ADDPATH cut", "MP too long", "AS4 cut", "EXTENDED_NEXTHOP with a SAFI of 257", "FQDN cut"],
)
def test_a_value_that_cannot_be_read_counts_as_absent(value: str) -> None:
    """RFC 5492 section 3, RFC 7911 section 4: all else is agreed on."""
    fine = opened(MP=["IPV4/UNICAST"], ADDPATH=["IPV4/UNICAST/BIDIR"], AS4=65001)
    code = int(value[:2], 16)
    rest = tuple(capability for capability in fine.capabilities if capability.code != code)
    needs_check = fine.with_capabilities((*rest, *decode_params(bytes.fromhex(f"02{len(value) // 2:02x}{value}"))))
    for agreement in (negotiate(needs_check, fine), negotiate(fine, needs_check)):
        assert agreement == negotiate(fine.with_capabilities(rest), fine)


def test_contexts_of_preset_capabilities() -> None:
    right, left = contexts(caps.from_json({"AS4": 0, "ADDPATH": ["IPV6/UNICAST/BIDIR"]}))
    assert right == left
    assert IPV6_UNICAST in right.add_path
    assert IPV4_UNICAST not in right.add_path


# Every OPEN comes back

capability_values = st.one_of(
    st.builds(Capability, st.sampled_from(sorted(caps.TABLE)), st.binary(max_size=12)),
    st.builds(Capability, st.integers(0, 255), st.binary(max_size=255)),
    st.sampled_from(caps.from_json({"MP": ["IPV4/UNICAST", "IPV6/UNICAST", "L2VPN/EVPNS"], "AS4": 70000})),
)


@st.composite
def opens(draw: st.DrawFn) -> bytes:
    """OPEN bodies, with capabilities spread over parameters in any way."""
    groups = draw(st.lists(st.lists(capability_values, max_size=4), max_size=5))
    extended = draw(st.booleans()) or any(len(caps.encode(group)) > 255 for group in groups)
    width = 2 if extended else 1
    params = b"".join(
        b"\x02" + len(octets).to_bytes(width, "big") + octets for octets in (caps.encode(group) for group in groups)
    )
    if len(params) > 255 and not extended:
        params = params[:0]
    if extended:
        params = b"\xff" + len(params).to_bytes(2, "big") + params
    fixed = b"\x04" + draw(st.binary(min_size=8, max_size=8))
    return fixed + bytes((255 if extended else len(params),)) + params


@given(opens() | st.binary(max_size=40) | st.binary(max_size=40).map(lambda octets: b"\x04" + octets))
def test_every_open_comes_back_from_json(octets: bytes) -> None:
    line = said(octets)
    assert line.isascii()
    assert line.isprintable()
    assert body_from_json(OPEN, json.loads(line, parse_constant=pytest.fail)) == octets
    try:
        message = Open.decode(octets)
    except WireError:
        return
    assert message.encode() == octets or octets[9] != 255  # RFC 9072: any length octet but 0 says extended
