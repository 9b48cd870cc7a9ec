"""Messages: framing, lazy decoding, the body as JSON, addresses and families as text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.wire.address import format_address, parse_address
from bgpipe.wire.body import body_from_json
from bgpipe.wire.context import MAX_MESSAGE
from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.family import IPV4_UNICAST, Family, parse_family
from bgpipe.wire.hexadecimal import format_hex, parse_hex
from bgpipe.wire.message import (
    KEEPALIVE,
    MARKER,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    UPDATE,
    Message,
    check_header,
    parse_type,
    split_messages,
)
from bgpipe.wire.notification import Notification
from bgpipe.wire.refresh import RouteRefresh
from bgpipe.wire.update import Update

PEER = bytes.fromhex("0000fde80000000000030001c000020100000000")


def header(length: int, type_code: int) -> bytes:
    return MARKER + length.to_bytes(2, "big") + bytes((type_code,))


def test_octets() -> None:
    message = Message(UPDATE, bytes(4))
    assert message.octets == header(23, UPDATE) + bytes(4)
    assert check_header(message.octets) == (23, UPDATE)
    assert check_header(b"before" + message.octets, 6) == (23, UPDATE)


@pytest.mark.parametrize(
    ("type_code", "lengths", "wrong"),
    [
        (OPEN, (29, 4096), (0, 18, 28, 4097)),
        (UPDATE, (23, 4096, 65535), (19, 22)),
        (NOTIFICATION, (21, 65535), (20,)),
        (KEEPALIVE, (19,), (18, 20)),
        (ROUTE_REFRESH, (23, 65535), (22,)),
        (99, (19, 65535), (18,)),
    ],
)
def test_lengths(type_code: int, lengths: tuple[int, ...], wrong: tuple[int, ...]) -> None:
    for length in lengths:
        assert check_header(header(length, type_code)) == (length, type_code)
    for length in wrong:
        with pytest.raises(WireError) as caught:
            check_header(header(length, type_code))
        assert (caught.value.code, caught.value.subcode) == (1, 2)
        assert caught.value.data == length.to_bytes(2, "big")
    with pytest.raises(WireError):
        check_header(header(4097, type_code), max_message=MAX_MESSAGE)


def test_a_marker_that_is_not_all_ones() -> None:
    for position in range(16):
        octets = bytearray(header(19, KEEPALIVE))
        octets[position] ^= 1
        with pytest.raises(WireError) as caught:
            check_header(bytes(octets))
        assert (caught.value.code, caught.value.subcode) == (1, 1)


def test_split_messages() -> None:
    stream = header(19, KEEPALIVE) + header(23, UPDATE) + bytes(4)
    assert list(split_messages(stream + header(19, KEEPALIVE)[:18])) == [(0, 19, KEEPALIVE), (19, 23, UPDATE)]
    assert list(split_messages(stream + header(23, UPDATE), 19)) == [(19, 23, UPDATE)]


def test_a_body_is_decoded_when_it_is_asked_for_and_once() -> None:
    message = Message(NOTIFICATION, b"\6\2")
    assert message.notification == Notification(6, 2)
    assert message.notification is message.notification
    assert Message(ROUTE_REFRESH, b"\0\2\1\1rest").refresh == RouteRefresh(Family(2, 1), 1, b"rest")
    update = Message(UPDATE, bytes(4))
    assert update.update is update.update
    with pytest.raises(TypeError, match="NOTIFY has no UPDATE body"):
        _ = message.update
    with pytest.raises(TypeError):
        _ = message.open
    with pytest.raises(TypeError):
        _ = update.notification
    with pytest.raises(TypeError):
        _ = update.refresh


def test_an_update_can_be_set() -> None:
    message = Message(UPDATE, bytes(4))
    assert message.update.withdrawn == []
    message.update = Update.make(withdrawn=["192.0.2.0/24"])
    assert message.body.hex() == "000418c000020000"
    assert [str(prefix) for prefix in message.update.withdrawn] == ["192.0.2.0/24"]
    with pytest.raises(TypeError):
        Message(KEEPALIVE).update = Update.make()


def test_tags_come_from_the_peer_header_until_they_are_touched() -> None:
    message = Message(KEEPALIVE, peer=PEER)
    assert message.peer is PEER
    assert message.tags == {"PEER_AS": "65000", "PEER_IP": "192.0.2.1", "INTERFACE": "3"}
    assert message.peer is None
    message.tags["X"] = "y"
    assert message.tags["X"] == "y"
    assert "X" not in Message(KEEPALIVE, peer=PEER).tags
    assert Message(KEEPALIVE).tags == {}


def test_names() -> None:
    assert [Message(code).type for code in (0, 1, 2, 3, 4, 5, 6)] == [
        *("INVALID", "OPEN", "UPDATE", "NOTIFY", "KEEPALIVE", "REFRESH", "Type(6)"),
    ]
    for code in range(256):
        assert parse_type(Message(code).type) == code
        assert parse_type(str(code)) == parse_type(hex(code)) == code
    assert parse_type(" notification ") == NOTIFICATION
    assert parse_type("Route-Refresh") == ROUTE_REFRESH
    for text in ("", "NOTHING", "256", "-1", "0x100", "Type()", "Type(300)", "1.0", "1" * 5000):
        with pytest.raises(TextError, match="unknown message type"):
            parse_type(text)
    assert repr(Message(UPDATE, bytes(4), direction="R", seq=7)) == "<Message R 7 UPDATE 4 octets>"
    assert Message(UPDATE, time=1_500_000).timestamp == 1.5


def test_a_refresh_that_is_too_short() -> None:
    with pytest.raises(WireError) as caught:
        RouteRefresh.decode(b"\0\1\0")
    assert (caught.value.code, caught.value.subcode) == (7, 1)


@given(st.integers(0, 255), st.binary(max_size=64))
def test_every_body_comes_back_from_json(type_code: int, body: bytes) -> None:
    text = Message(type_code, body).format_json()
    assert text.isascii()
    assert body_from_json(type_code, json.loads(text, parse_constant=pytest.fail)) == body


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
def test_addresses(octets: bytes) -> None:
    assert parse_address(format_address(octets)) == octets


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("c0000201", "192.0.2.1"),
        ("00" * 16, "::"),
        ("00" * 15 + "01", "::1"),
        ("00" * 12 + "00010000", "::1:0"),
        ("00" * 12 + "c0000201", "::c000:201"),
        ("00" * 10 + "ffff" + "c0000201", "::ffff:192.0.2.1"),
        ("20010db8" + "0000" * 2 + "0001" + "0000" * 2 + "0001", "2001:db8::1:0:0:1"),
        ("20010db8" + "0000" + "0001" * 5, "2001:db8:0:1:1:1:1:1"),
    ],
)
def test_addresses_have_the_form_of_rfc_5952(octets: str, text: str) -> None:
    assert format_address(bytes.fromhex(octets)) == text
    assert parse_address(text).hex() == octets


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "::1::", "fe80::1%eth0", "1.2.3.4\0", "\u0661.2.3.4"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(TextError, match="not an IP address"):
        parse_address(text)


@given(st.integers(0, 65535), st.integers(0, 255))
def test_families(afi: int, safi: int) -> None:
    assert parse_family(str(Family(afi, safi))) == Family(afi, safi)
    assert parse_family(f"{afi}/{safi}") == Family(afi, safi)


def test_family_texts() -> None:
    assert str(IPV4_UNICAST) == "IPV4/UNICAST"
    assert parse_family("ipv4/unicast") == IPV4_UNICAST
    assert str(Family(1000, 200)) == "AFI(1000)/SAFI(200)"
    for text in (
        "IPV4",
        "IPV4/",
        "IPV4/UNICAST/1",
        "IPV4/256",
        "65536/1",
        "AFI(/1",
        "IPV4/-1",
        "1/\u0661",
        "9" * 5000 + "/1",
    ):
        with pytest.raises(TextError):
            parse_family(text)


def test_hexadecimal() -> None:
    assert format_hex(b"\x00\xff") == "0x00ff"
    assert parse_hex("0x00FF") == parse_hex("00ff") == parse_hex("0X00fF") == b"\x00\xff"
    assert parse_hex("0x") == parse_hex("") == b""
    for text in ("0", "0x0", "0x 00", "00 ff", "0xgg", "00\n", "\u0660\u0660", "x" * 5000):
        with pytest.raises(TextError, match="hexadecimal") as caught:
            parse_hex(text)
        assert len(str(caught.value)) < 200
