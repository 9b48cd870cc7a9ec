"""What messages tell about a session."""

from __future__ import annotations

from bgpipe.pipeline.tracker import Tracker
from bgpipe.session.facts import Facts
from bgpipe.wire.message import KEEPALIVE, OPEN, UPDATE, Message

SECOND = 1_000_000
MP_EOR = bytes.fromhex("00000006800f03000201")
BOTH_FAMILIES = bytes.fromhex("04fde8005a0a0000010e020c010400010001010400020001")


class Watcher:
    """A tracker, and what it has told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, tuple[int, ...]]] = []
        self.tracker = Tracker(self.hear)

    def hear(self, name: str, *, message: Message, direction: str, values: tuple[int, ...]) -> None:
        self.told.append((name.removeprefix("bgpfix/pipe."), direction, values))

    def see(
        self, direction: str, type_code: int, second: int, body: bytes = b""
    ) -> list[tuple[str, str, tuple[int, ...]]]:
        self.told.clear()
        self.tracker.see(Message(type_code, body, direction=direction, time=second * SECOND))
        return list(self.told)


def test_a_session_is_established_when_both_sides_are_alive():
    watcher = Watcher()
    assert watcher.see("R", OPEN, 10, BOTH_FAMILIES) == [("OPEN", "R", (10,))]
    assert watcher.see("R", KEEPALIVE, 11) == [("ALIVE", "R", (11,))]
    assert watcher.see("L", OPEN, 12, BOTH_FAMILIES) == [("OPEN", "L", (12,))]
    assert watcher.see("L", KEEPALIVE, 13) == [("ALIVE", "L", (13,)), ("ESTABLISHED", "L", (13,))]
    assert watcher.see("R", KEEPALIVE, 14) == [("ALIVE", "R", (14,))]


def test_once_a_second_and_line():
    watcher = Watcher()
    assert watcher.see("R", UPDATE, 5, b"\0\0\0\0\x08\x0a") == [("UPDATE", "R", (5,))]
    assert watcher.see("R", UPDATE, 5, b"\0\0\0\0\x08\x0a") == []
    assert watcher.see("R", UPDATE, 4, b"\0\0\0\0\x08\x0a") == []
    assert watcher.see("L", UPDATE, 5, b"\0\0\0\0\x08\x0a") == [("UPDATE", "L", (5,))]
    assert watcher.see("R", UPDATE, 6, b"\0\0\0\0\x08\x0a") == [("UPDATE", "R", (6,))]


def test_end_of_rib_for_each_family_and_for_all_that_both_know():
    watcher = Watcher()
    watcher.see("R", OPEN, 1, BOTH_FAMILIES)
    watcher.see("L", OPEN, 1, BOTH_FAMILIES)
    watcher.see("R", UPDATE, 2, b"\0\0\0\0\x08\x0a")
    assert watcher.see("R", UPDATE, 2, bytes(4)) == [("EOR_AF", "R", (1, 1))]
    assert watcher.see("R", UPDATE, 2, bytes(4)) == []
    assert watcher.see("R", UPDATE, 2, MP_EOR) == [("EOR_AF", "R", (2, 1)), ("EOR", "R", ())]


def test_where_there_was_no_open_one_family_is_all():
    watcher = Watcher()
    watcher.see("R", UPDATE, 2, b"\0\0\0\0\x08\x0a")
    assert watcher.see("R", UPDATE, 2, bytes(4)) == [("EOR_AF", "R", (1, 1)), ("EOR", "R", ())]


def test_short_updates_that_are_no_end_of_rib():
    watcher = Watcher()
    watcher.see("R", UPDATE, 2, b"\0\0\0\0\x08\x0a")
    for body in (b"", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\x03\x40\x01\x01", b"\0\0\0\x06\x80\x0f\x03\0\x01"):
        assert watcher.see("R", UPDATE, 2, body) == []


def test_end_of_rib_waits_for_the_session_to_be_established():
    """A speaker that hears KEEPALIVE announces End-of-RIB before that KEEPALIVE has left its line."""
    watcher = Watcher()
    facts = Facts()
    watcher.tracker.follow(facts)
    for tell, direction in ((facts.on_sent, "R"), (facts.on_received, "L")):
        tell(Message(OPEN, BOTH_FAMILIES))
        assert watcher.see(direction, OPEN, 1, BOTH_FAMILIES) == [("OPEN", direction, (1,))]
        tell(Message(KEEPALIVE))
    watcher.see("R", KEEPALIVE, 1)
    watcher = Watcher()
    watcher.tracker.follow(facts)
    assert watcher.see("R", UPDATE, 2, bytes(4)) == [("UPDATE", "R", (2,))]
    assert watcher.see("R", UPDATE, 2, MP_EOR) == []
    assert watcher.see("L", KEEPALIVE, 2) == [
        ("ALIVE", "L", (2,)),
        ("ESTABLISHED", "L", (2,)),
        ("EOR_AF", "R", (1, 1)),
        ("EOR_AF", "R", (2, 1)),
        ("EOR", "R", ()),
    ]


def test_a_proxied_session_is_established_when_both_connections_are():
    watcher = Watcher()
    left, right = Facts(), Facts()
    for facts in (left, right):
        watcher.tracker.follow(facts)
        facts.on_sent(Message(OPEN, BOTH_FAMILIES))
        facts.on_received(Message(OPEN, BOTH_FAMILIES))
    left.on_received(Message(KEEPALIVE))
    right.on_sent(Message(KEEPALIVE))
    assert watcher.see("R", KEEPALIVE, 1) == [("ALIVE", "R", (1,))]
    right.on_received(Message(KEEPALIVE))
    left.on_sent(Message(KEEPALIVE))
    assert watcher.see("L", KEEPALIVE, 1) == [("ALIVE", "L", (1,)), ("ESTABLISHED", "L", (1,))]
    assert watcher.tracker.hold_time == 90
