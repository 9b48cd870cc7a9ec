"""The right NOTIFICATION for each fault, sent and seen: one connection for each code and subcode.

Those that are no answer to a message are in other modules: 4/0 and 8/0 in test_live_stalls.py, 6/2 in
test_live_lifecycle.py, 6/7 in test_live_collisions.py; 6/9 in
tests/stages/test_stages_speaker.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from peers import ALIVE, Bgpipe, announcement, bgpipe, greeting, kind, notification, place, wait_until

from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.message import HEADER, MARKER, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.notification import NAMES, Notification

OPENING = greeting(
    65001, 90, "192.0.2.1", Capability(caps.ROUTE_REFRESH), Capability(caps.ROLE, b"\3"), Capability(70, b"")
)
REFRESH = MARKER + b"\0\x17\5\0\1\0\1"


def edited(octets: bytes, at: int, new: bytes) -> bytes:
    return octets[:at] + new + octets[at + len(new) :]


def update(body: str) -> bytes:
    return Message(UPDATE, bytes.fromhex(body)).octets


GOOD_ATTRS = "40010100 4002060201 0000fde9 400304c0000201"
FAULTS = {
    # state: what is sent there, code, subcode, data
    "marker": ("open", edited(OPENING, 3, b"\0"), 1, 1, b""),
    "length of 18": ("open", edited(OPENING, 16, b"\0\x12"), 1, 2, b"\0\x12"),
    "length of 4097": ("up", edited(announcement("203.0.113.0/24"), 16, b"\x10\x01"), 1, 2, b"\x10\x01"),
    "KEEPALIVE of 20": ("up", edited(ALIVE, 16, b"\0\x14") + b"\0", 1, 2, b"\0\x14"),
    "OPEN of 28": ("open", edited(OPENING[:28], 16, b"\0\x1c"), 1, 2, b"\0\x1c"),
    "UPDATE of 22": ("up", MARKER + b"\0\x16\2\0\0\0", 1, 2, b"\0\x16"),
    "type 9": ("up", edited(ALIVE, 18, b"\x09"), 1, 3, b"\x09"),
    "type 0": ("open", edited(ALIVE, 18, b"\0"), 1, 3, b"\0"),
    "version 3": ("open", edited(OPENING, 19, b"\3"), 2, 1, b"\0\4"),
    "peer AS": ("open", greeting(65009), 2, 2, b""),
    "identifier 0.0.0.0": ("open", edited(OPENING, 24, bytes(4)), 2, 3, b""),
    "optional parameter 9": ("open", Message(OPEN, OPENING[19:28] + b"\3\x09\1\0").octets, 2, 4, b""),
    "hold time 1": ("open", edited(OPENING, 22, b"\0\1"), 2, 6, b""),
    "hold time 2": ("open", edited(OPENING, 22, b"\0\2"), 2, 6, b""),
    "capability missing": ("open", greeting(65001), 2, 7, None),
    "role": (
        "open",
        greeting(65001, 90, "192.0.2.1", Capability(caps.ROUTE_REFRESH), Capability(caps.ROLE, b"\0")),
        2,
        11,
        b"",
    ),
    "withdrawn routes too long": ("up", update("0010 0000"), 3, 1, None),
    "MP_REACH cut": ("up", update("0000 0006 800e03000201"), 3, 9, None),
    "prefix of 33 bits": ("up", update("0000 0014" + GOOD_ATTRS + "21cb007100 80"), 3, 10, None),
    "UPDATE for an OPEN": ("open", announcement("203.0.113.0/24"), 5, 1, None),
    "UPDATE before KEEPALIVE": ("confirm", announcement("203.0.113.0/24"), 5, 2, None),
    "second OPEN": ("up", OPENING, 5, 3, None),
    "ROUTE-REFRESH of 22": ("up", edited(REFRESH[:-1], 16, b"\0\x16"), 1, 2, b"\0\x16"),
    "begin of ROUTE-REFRESH, of 24": ("up", MARKER + b"\0\x18\5\0\1\1\1\0", 7, 1, None),
}


@pytest.fixture(scope="module")
def speaker() -> Iterator[Bgpipe]:
    host, port = place()
    words = ["speaker", "--asn", "65055", "--remote-asn", "65001", "--require", "ROUTE_REFRESH", "--id", "192.0.2.55"]
    caps_said = '{"ROLE":"provider","ENHANCED_ROUTE_REFRESH":true}'
    with bgpipe("--caps", caps_said, "--", "listen", "--many", f"{host}:{port}", "--", *words, "--active") as running:
        yield running


@pytest.mark.parametrize(("state", "octets", "code", "subcode", "data"), FAULTS.values(), ids=FAULTS)
def test_sent(speaker: Bgpipe, state: str, octets: bytes, code: int, subcode: int, data: bytes | None) -> None:
    peer = speaker.dial()
    assert kind(peer.hear()) == OPEN
    if state != "open":
        peer.say(OPENING)
        assert peer.hear() == ALIVE
    if state == "up":
        peer.say(ALIVE)
    peer.say(octets)
    last = [each for each in peer.hear_end() if kind(each) == NOTIFICATION]
    assert [notification(each) for each in last] == [(code, subcode)]
    if data is not None:
        assert last[0][HEADER + 2 :] == data


SEEN = [(code, subcode) for code, (_, subcodes) in NAMES.items() for subcode in subcodes or (0,)]


@pytest.mark.parametrize(("code", "subcode"), SEEN)
def test_seen(speaker: Bgpipe, code: int, subcode: int) -> None:
    """What a peer says as its last word is in the log, by its name, on one line."""
    peer = speaker.dial()
    assert kind(peer.hear()) == OPEN
    peer.say(OPENING, ALIVE)
    assert peer.hear() == ALIVE
    before = len(speaker.log)
    words = Notification(code, subcode, b"\x0cso\nlong\x1b[2J " if code == 6 else b"").encode()
    peer.say(Message(NOTIFICATION, words).octets)
    peer.close()
    name = NAMES[code][1].get(subcode, NAMES[code][0])
    wait_until("it is in the log", lambda: name in speaker.log[before:])
    assert "\x1b" not in speaker.log


@pytest.mark.parametrize("length", [128, 255])
def test_text_of_a_shutdown(speaker: Bgpipe, length: int) -> None:
    """RFC 8203, RFC 9003: all of it is in the log, on one line, with control characters escaped."""
    text = (f"{length} \n\x1b[2J\x07\u202e\x00" * length).encode()[:length].decode(errors="ignore")
    peer = speaker.dial()
    peer.say(OPENING, ALIVE)
    assert kind(peer.hear()) == OPEN
    assert peer.hear() == ALIVE
    peer.say(Message(NOTIFICATION, bytes((6, 2, length)) + text.encode().ljust(length, b".")).octets)
    peer.close()
    speaker.waits_for_log(f"session ended.*Administrative Shutdown: {length} ")
    (line,) = (line for line in speaker.log.split("\n") if f"Shutdown: {length} " in line and "session ended" in line)
    assert line.isprintable()
    assert line.count("[2J") == text.count("[2J")
