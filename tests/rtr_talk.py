"""Conversations of the RTR client with a cache, without a socket: what the client says, and how much it has."""

from __future__ import annotations

from collections.abc import Iterable

from bgpipe.rpki.rtr import Apply, Close, NoData, Note, RtrClient, Send, State
from bgpipe.rpki.rtr_pdu import (
    PduType,
)
from bgpipe.rpki.snapshot import Snapshot
from bgpipe.rpki.vrps import Vrp
from bgpipe.wire.prefix import parse_prefix
from rtr_cache import (
    cache_response,
    end_of_data,
    payload,
)

VRPS = [
    Vrp(parse_prefix("192.0.2.0/24"), 25, 64500),
    Vrp(parse_prefix("2001:db8::/32"), 48, 64501),
    Vrp(parse_prefix("0.0.0.0/0"), 0, 0),
    Vrp(parse_prefix("::/0"), 128, 4294967295),
]
DATA = Snapshot.of(VRPS, {64500: [64501, 64502], 64510: [0]})
PLAIN = Snapshot.of(VRPS)
MORE = Snapshot.of([*VRPS[1:], Vrp(parse_prefix("198.51.100.0/24"), 24, 64502)], {64500: [64503]})
SESSION = 4711


class Talk:
    """A client and what it says. Time passes only when the test says so."""

    def __init__(self, client: RtrClient | None = None) -> None:
        self.client = client or RtrClient()
        self.now = 0.0
        self.sent: list[bytes] = []
        self.closes: list[Close] = []
        self.notes: list[str] = []
        self.lacks: list[str] = []
        self.holds = False
        """whether what is to be applied waits"""
        self.waiting: Apply | None = None

    def do(self, actions: Iterable[object]) -> None:
        for action in actions:
            match action:
                case Send(octets):
                    self.sent.append(octets)
                case Note(text):
                    self.notes.append(text)
                case NoData(text):
                    self.lacks.append(text)
                case Close():
                    self.closes.append(action)
                case Apply():
                    self.waiting = action
                    if not self.holds:
                        self.apply()

    def apply(self) -> None:
        assert self.waiting is not None
        changes, base = self.waiting
        self.waiting = None
        self.do(self.client.applied(changes.apply(base), self.now))

    def open(self) -> None:
        self.do(self.client.opened(self.now))

    def get(self, *pdus: bytes) -> None:
        self.do(self.client.received(b"".join(pdus), self.now))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.client.tick(self.now))

    def lose(self) -> None:
        self.do(self.client.closed(self.now))

    def last(self) -> bytes:
        return self.sent[-1]

    def error(self) -> tuple[int, bytes]:
        """The code of the Error Report sent last, and the PDU that it gives back."""
        octets = self.last()
        assert octets[1] == PduType.ERROR_REPORT
        assert int.from_bytes(octets[4:8], "big") == len(octets)
        size = int.from_bytes(octets[8:12], "big")
        return int.from_bytes(octets[2:4], "big"), octets[12 : 12 + size]


def full(version: int = 2, data: Snapshot = DATA, *, session: int = SESSION, serial: int = 1) -> bytes:
    return cache_response(version, session) + payload(version, data) + end_of_data(version, session, serial)


def up(version: int = 2, data: Snapshot = DATA, **more: object) -> Talk:
    """A conversation that is in order."""
    talk = Talk(RtrClient(version, **more))  # type: ignore[arg-type]
    talk.open()
    talk.get(full(version, data))
    assert talk.client.state is State.IDLE
    return talk
