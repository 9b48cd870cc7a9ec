"""NOTIFICATION: names, shutdown communication, hard reset, JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpipe.wire.errors import TextError, WireError
from bgpipe.wire.message import NOTIFICATION, Message
from bgpipe.wire.notification import Notification


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("0102", {"code": 1, "subcode": 2, "name": "Message Header Error/Bad Message Length"}),
        ("0400", {"code": 4, "subcode": 0, "name": "Hold Timer Expired"}),
        (
            "02010004",
            {"code": 2, "subcode": 1, "name": "OPEN Message Error/Unsupported Version Number", "data": "0x0004"},
        ),
        ("06020568656c6c6f", {"code": 6, "subcode": 2, "name": "Cease/Administrative Shutdown", "text": "hello"}),
        ("060400", {"code": 6, "subcode": 4, "name": "Cease/Administrative Reset", "text": ""}),
        ("0602", {"code": 6, "subcode": 2, "name": "Cease/Administrative Shutdown"}),
        # a length that is not that of the text, no UTF-8, another subcode: not a shutdown communication
        (
            "06020468656c6c6f",
            {"code": 6, "subcode": 2, "name": "Cease/Administrative Shutdown", "data": "0x0468656c6c6f"},
        ),
        ("060201ff", {"code": 6, "subcode": 2, "name": "Cease/Administrative Shutdown", "data": "0x01ff"}),
        ("06030161", {"code": 6, "subcode": 3, "name": "Cease/Peer De-configured", "data": "0x0161"}),
        (
            "060906020161",
            {
                "code": 6,
                "subcode": 9,
                "name": "Cease/Hard Reset",
                "reset": {"code": 6, "subcode": 2, "name": "Cease/Administrative Shutdown", "text": "a"},
            },
        ),
        ("060906", {"code": 6, "subcode": 9, "name": "Cease/Hard Reset", "data": "0x06"}),
        ("c8c901", {"code": 200, "subcode": 201, "name": "Code 200/Subcode 201", "data": "0x01"}),
        ("0363", {"code": 3, "subcode": 99, "name": "UPDATE Message Error/Subcode 99"}),
    ],
)
def test_json(body: str, shown: dict[str, object]) -> None:
    notification = Notification.decode(bytes.fromhex(body))
    assert notification.to_json() == shown
    assert Notification.from_json(shown) == notification
    assert notification.encode().hex() == body


def test_text_in_any_language_is_one_ascii_line() -> None:
    notification = Notification.shutdown('Wartung: zur\u00fcck um 10\u2028\n"\\ \x7f')
    line = notification.format_json()
    assert line.isascii()
    assert line.isprintable()
    assert Notification.from_json(json.loads(line)) == notification
    assert str(notification).startswith("Cease/Administrative Shutdown: Wartung")


def test_hard_resets_in_each_other_are_opened_once() -> None:
    body = b"\x06\x09" * 2000
    shown = Notification.decode(body).to_json()
    assert shown["reset"]["data"] == "0x" + (b"\x06\x09" * 1998).hex()  # type: ignore[index]
    assert Notification.from_json(shown).encode() == body


@pytest.mark.parametrize(
    "shown",
    [
        None,
        [],
        {},
        {"code": 256},
        {"code": "6"},
        {"code": True},
        {"code": 6, "subcode": -1},
        {"code": 6, "subcode": 2, "text": "a", "data": "0x00"},
        {"code": 6, "subcode": 3, "text": "a"},
        {"code": 6, "subcode": 2, "text": "\u00fc" * 128},
        {"code": 6, "subcode": 2, "text": 5},
        {"code": 6, "subcode": 2, "data": "shutdown"},
        {"code": 6, "subcode": 2, "data": "0x" + "00" * 65515},
        {"code": 6, "subcode": 2, "reset": {"code": 1}},
        {"code": 6, "subcode": 9, "reset": {"code": 6, "subcode": 9, "reset": {"code": 1}}},
    ],
)
def test_mistakes_are_told(shown: object) -> None:
    with pytest.raises(TextError):
        Notification.from_json(shown)


def test_a_body_cut_short() -> None:
    with pytest.raises(WireError, match="at least 2"):
        Notification.decode(b"\x06")


def test_an_error_becomes_a_notification() -> None:
    error = WireError("BGP version 3", code=2, subcode=1, data=b"\0\x04")
    assert Notification.of(error) == Notification(2, 1, b"\0\x04")


@given(st.binary(min_size=2, max_size=300) | st.binary(max_size=300).map(lambda data: b"\x06\x02" + data))
def test_every_body_comes_back(body: bytes) -> None:
    message = Message(NOTIFICATION, body)
    assert Notification.from_json(json.loads(message.format_json())).encode() == body
    assert message.notification.encode() == body
