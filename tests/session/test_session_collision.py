"""Two connections between the same speakers: exactly one stays, however the octets run late, the other is told 6/7, and
no route is lost."""

from __future__ import annotations

import heapq
from random import Random

import pytest

from bgpipe.session.collision import COLLISION_WINDOW, losers, survivor
from bgpipe.session.fsm import FsmState
from bgpipe.session.session import CloseConnection, Deliver, Down, Established, Send, Session, Settings
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.open import Open


def test_survivor_is_the_same_from_both_sides() -> None:
    for one, other in ((("10.0.0.1", 1), ("9.0.0.2", 2)), (("10.0.0.1", 1), ("10.0.0.1", 2))):
        assert {survivor(*one, *other), survivor(*other, *one)} == {"ours", "theirs"}
    assert survivor("10.0.0.1", 1, "9.0.0.2", 2) == "ours"


ROUTES = [Message(UPDATE, bytes((0, 0, 0, 0, 24, 10, number, 0))) for number in range(10)]


class Speakers:
    """Two speakers that have called each other: two connections, whose octets take their time, in order. Over a session
    that comes up, each announces its routes."""

    def __init__(self, random: Random) -> None:
        self.random = random
        ids = random.sample(["10.0.0.1", "10.0.0.2", "192.0.2.1", "9.255.255.255"], 2)
        asns = random.choice([(65001, 65002), (65001, 65001)])
        settings = [Settings(asn=asn, bgp_id=bgp_id) for asn, bgp_id in zip(asns, ids, strict=True)]
        self.sessions = [[Session(each), Session(each)] for each in settings]
        """by speaker, then by connection: number N was opened by speaker N"""
        self.sent: list[list[tuple[int, int]]] = [[], []]
        """by connection: code and subcode of each NOTIFICATION"""
        self.delivered: dict[tuple[int, int], list[Message]] = {(n, c): [] for n in (0, 1) for c in (0, 1)}
        """by speaker and connection"""
        self._events: list[tuple[float, int, int, int, Message | str]] = []
        self._arrived = {(speaker, connection): 0.0 for speaker in (0, 1) for connection in (0, 1)}
        self._count = 0
        for connection in (0, 1):
            start = random.uniform(0, 0.05)
            for speaker in (0, 1):
                self.sessions[speaker][connection].start(0, passive=speaker != connection)
                self._post(start, speaker, connection, "connected")

    def _post(self, time: float, speaker: int, connection: int, what: Message | str) -> None:
        time = self._arrived[speaker, connection] = max(time, self._arrived[speaker, connection])
        self._count += 1
        heapq.heappush(self._events, (time, self._count, speaker, connection, what))

    def run(self) -> None:
        while self._events:
            now, _, speaker, connection, what = heapq.heappop(self._events)
            session = self.sessions[speaker][connection]
            if session.state is FsmState.IDLE:
                continue  # the connection is closed
            if isinstance(what, Message):
                session.received(what, now)
                if what.type_code == OPEN:
                    for loser in losers(session, self.sessions[speaker], now):
                        loser.collided(now)
            elif what == "connected":
                session.connected(now, called=speaker != connection)
            else:
                session.disconnected(now)
            for number, each in enumerate(self.sessions[speaker]):
                self._act(speaker, number, each, now)

    def _act(self, speaker: int, connection: int, session: Session, now: float) -> None:
        late = now + self.random.uniform(0, 0.05)
        for output in session.outputs():
            if isinstance(output, Send):
                if output.message.type_code == NOTIFICATION:
                    self.sent[connection].append((output.message.body[0], output.message.body[1]))
                self._post(late, 1 - speaker, connection, output.message)
            elif isinstance(output, Established):
                for route in ROUTES:
                    self._post(late, 1 - speaker, connection, route)
            elif isinstance(output, Deliver):
                self.delivered[speaker, connection].append(output.message)
            elif isinstance(output, CloseConnection):
                self._post(late, 1 - speaker, connection, "disconnected")

    @property
    def up(self) -> list[list[bool]]:
        return [[session.state is FsmState.ESTABLISHED for session in row] for row in self.sessions]


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 300, 50)], ids=str)
def test_simultaneous_opens(seeds: range) -> None:
    """300 of them, with up to 50 ms between the two connections, and as much for each message on its way."""
    for seed in seeds:
        speakers = Speakers(Random(seed))
        speakers.run()
        assert speakers.up in ([[True, False], [True, False]], [[False, True], [False, True]]), seed
        kept = speakers.up[0].index(True)
        assert speakers.sent[kept] == []
        assert set(speakers.sent[1 - kept]) == {(6, 7)}, "the loser is told why"
        assert speakers.delivered[0, kept] == speakers.delivered[1, kept] == ROUTES, "no route is lost"
        ours = speakers.sessions[0][kept]
        assert ours.local is not None
        assert ours.facts.peer_open is not None
        pair = (ours.local.bgp_id, ours.local.asn, ours.facts.peer_open.bgp_id, ours.facts.peer_open.asn)
        assert (survivor(*pair) == "ours") == (kept == 0)


PEER = Open(65002, 90, "192.0.2.2")


def session(*, called: bool, now: float = 0.0) -> Session:
    """One that has the peer's OPEN."""
    made = Session(Settings(asn=65001, bgp_id="192.0.2.1"))
    made.start(now, passive=called)
    made.connected(now, called=called)
    made.received(Message(OPEN, PEER.encode()), now)
    return made


def test_an_established_session_is_not_given_up_for_a_newcomer() -> None:
    old = session(called=False)
    old.received(Message(KEEPALIVE), 0)
    new = session(called=True, now=COLLISION_WINDOW + 1)
    assert losers(new, [old, new], COLLISION_WINDOW + 1) == [new]
    assert losers(new, [old, new], COLLISION_WINDOW - 1) == [old], (
        "both came at the same time: the higher identifier called"
    )


def test_a_second_call_of_the_same_side_goes() -> None:
    old, new = session(called=True), session(called=True)
    assert losers(new, [old], 1) == [new]


def test_sessions_with_other_peers_and_without_open_stay() -> None:
    waiting = Session(Settings(asn=65001, bgp_id="192.0.2.1"))
    waiting.start(0)
    waiting.connected(0)
    other = session(called=False)
    other.facts.peer_open = Open(65003, 90, "192.0.2.3")
    new = session(called=True)
    assert losers(new, [new, waiting, other], 1) == []


def test_the_loser_goes_down() -> None:
    loser = session(called=False)
    loser.outputs()
    loser.collided(1)
    assert [type(output) for output in loser.outputs()] == [Send, CloseConnection, Down]
