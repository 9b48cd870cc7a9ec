"""The first message of a peer that has called, and what is answered if it is no OPEN (RFC 4271 section 6)."""

from __future__ import annotations

import pytest

from bgpipe.session.greeting import Farewell, explain, read_open, say
from bgpipe.wire.errors import WireError
from bgpipe.wire.message import MARKER, OPEN, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.open import Open

HELLO = Message(OPEN, Open(65001, 90, "192.0.2.1").encode()).octets


def test_an_open_is_read_when_it_is_whole():
    assert [read_open(HELLO[:size]) for size in (0, 18, 19, len(HELLO) - 1)] == [None] * 4
    found = read_open(HELLO + b"more")
    assert found is not None
    assert found.asn == 65001


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: a", "1/1"),
        (MARKER + b"\0\x12\1", "1/2 0012"),
        (MARKER + b"\0\x13\x09", "1/3 09"),
        (MARKER + b"\0\x13\x04", "5/1"),
        (MARKER + b"\0\x17\x02" + bytes(4), "5/1"),
        (HELLO[:19] + b"\3" + HELLO[20:], "2/1 0004"),
    ],
)
def test_what_is_answered_to_something_else(octets, answer):
    with pytest.raises(WireError) as error:
        read_open(octets)
    code, _, data = answer.partition(" ")
    found = Notification.decode(explain(error.value)[19:])
    assert (f"{found.code}/{found.subcode}", found.data) == (code, bytes.fromhex(data))


def test_a_notification_has_no_answer():
    octets = say(Notification.shutdown("wrong address", 2))
    assert read_open(octets[:20]) is None
    with pytest.raises(Farewell, match="before its OPEN: Cease/Administrative Shutdown: wrong address") as error:
        read_open(octets)
    assert explain(error.value) == b""
