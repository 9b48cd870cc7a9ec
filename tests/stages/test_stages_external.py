"""The parts of stages with an external program: the queue, blocks in parts, the bypass, the watchdog."""

from __future__ import annotations

import asyncio
import itertools
import math

import pytest
from sessions import make_open, make_update

from bgpipe.net.backoff import MAX_DELAY, backoff
from bgpipe.net.send_queue import PIECE, SendQueue, rest, single_out
from bgpipe.pipeline.pipeline import Pipeline
from bgpipe.pipeline.tracker import Tracker
from bgpipe.stages.base import pace, watchdog
from bgpipe.stages.base.watchdog import StallWatchdog
from bgpipe.wire.block import ENTRY, NO_PEER, Block
from bgpipe.wire.flags import FLAG_AS4
from bgpipe.wire.item import MESSAGE_OVERHEAD
from bgpipe.wire.message import KEEPALIVE, UPDATE, Message


def block(*messages: Message) -> Block:
    octets, index = b"", bytearray()
    for message in messages:
        index += ENTRY.pack(0, 0, len(octets), NO_PEER, len(message.octets), FLAG_AS4, 0)
        octets += message.octets
    return Block(octets, index)


def test_send_queue():
    queue, item = SendQueue(), Message(KEEPALIVE)
    assert not queue
    for octets in (b"a", b"bc", bytes(PIECE), b"d"):
        queue.put(octets, item)
    assert queue.size == PIECE + 4
    assert queue.give(1) == b"a"
    assert queue.give(None) == b"bc" + bytes(PIECE)
    assert len(queue) == 1
    queue.confirm(3 + PIECE)
    assert (len(queue), queue.size, queue.taken) == (1, 1, 3 + PIECE)
    queue.put(b"copy", item, keep=False)
    assert queue.messages == 2
    assert queue.clear() == [item]
    assert (len(queue), queue.size) == (0, 0)


def test_a_queue_weighs_what_it_holds_in_memory():
    queue, whole = SendQueue(), block(*(make_update(number) for number in range(500)))
    few = whole.part(100, 102)
    assert few.weight > len(whole.octets)  # it holds the octets of all
    queue.put(b"12345", few)
    assert 5 + 2 * (23 + ENTRY.size) <= queue.weight < 1000
    queue.put(b"123", whole)
    assert queue.weight >= 8 + whole.weight
    queue.put(b"1", make_update(1))
    assert queue.weight >= 9 + whole.weight + len(make_update(1).body) + MESSAGE_OVERHEAD
    queue.give(2)
    queue.confirm(8)
    assert queue.weight < 1000
    (left,) = queue.clear()
    assert isinstance(left, Message)
    assert queue.weight == 0


def test_what_a_partner_has_not_taken_is_not_lost_with_it():
    queue, items = SendQueue(), [make_update(number) for number in range(3)]
    for item in items:
        queue.put(b"12345", item)
    assert queue.give(None) == b"12345" * 3
    queue.confirm(7)
    assert (len(queue), queue.size, queue.taken) == (0, 10, 7)
    queue.begin()
    assert (queue.give(None), queue.taken) == (b"12345" * 2, 5)
    queue.confirm(5)
    queue.begin()
    queue.put_first(b"open", items[0])
    assert queue.holds(items[0])
    assert queue.clear() == [items[0], items[2]]


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0])
def test_pieces_are_all_of_it(monkeypatch, seconds):
    """However long each takes; those that take long are followed by shorter ones."""
    clock = itertools.count()
    monkeypatch.setattr(pace, "thread_time", lambda: next(clock) * seconds)
    made = pace.Pace()
    octets = bytes(range(256)) * 8192
    pieces = list(made.pieces(octets))
    assert b"".join(pieces) == octets
    assert max(map(len, pieces)) <= pace.MOST
    assert made.size == {0.0: pace.MOST, 0.01: 16 << 10, 1.0: pace.LEAST}[seconds]


def test_singled_out():
    alive, plain = Message(KEEPALIVE), make_update(1)
    for messages, shape in (
        ([plain, plain], [2]),
        ([alive], ["KEEPALIVE"]),
        ([make_open(65001), plain, plain], ["OPEN", 2]),
        ([plain, plain, alive, plain], [2, "KEEPALIVE", 1]),
        ([alive, alive, plain], ["KEEPALIVE", "KEEPALIVE", 1]),
    ):
        parts = list(single_out(block(*messages)))
        assert [part.type if isinstance(part, Message) else len(part) for part in parts] == shape
    assert list(single_out(plain)) == [plain]


def test_rest():
    whole = block(*map(make_update, range(5)))
    assert rest(whole, whole) is None
    left = rest(whole, Block(whole.octets, whole.part(1, 2).index + whole.part(3, 5).index))
    assert [message.body[-1] for message in left] == [0, 2]


def test_backoff():
    assert all(0.5 <= backoff(1) <= 1 for _ in range(100))
    assert all(MAX_DELAY / 2 <= backoff(100) <= MAX_DELAY for _ in range(100))
    assert len({backoff(5) for _ in range(10)}) > 1, "many who have lost the same server don't come back together"


class Watched:
    """A stage that does nothing but be watched."""

    watched = "RL"

    def __init__(self) -> None:
        self.pipeline = Pipeline()
        self.waiting = self.taken = 0
        self.held = self.holding = False
        self.stalls = 0
        self.said: list[str] = []

    def call_later(self, seconds: float, function: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, function)

    def on_stall(self) -> None:
        self.stalls += 1
        self.waiting = 0

    def on_silence(self, direction: str) -> None:
        self.said.append(direction)
        self.pipeline.lines[direction].left += 1


class Loop:
    """Time that passes when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, object]] = []
        monkeypatch.setattr(watchdog.asyncio, "get_running_loop", lambda: self)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: object) -> asyncio.TimerHandle:
        self._timers.append((self.now + seconds, call))
        return self  # type: ignore[return-value]

    def cancel(self) -> None:
        self._timers.clear()

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and min(self._timers, key=lambda timer: timer[0])[0] <= end:
            timer = min(self._timers, key=lambda timer: timer[0])
            self._timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()  # type: ignore[operator]
        self.now = end

    @property
    def is_quiet(self) -> bool:
        return not self._timers


def test_stall(monkeypatch):
    loop, ward = Loop(monkeypatch), Watched()
    watch = StallWatchdog(ward, 10.0)
    ward.waiting = 5
    watch.begin()
    loop.pass_by(8)
    ward.waiting = 6  # progress
    loop.pass_by(8)
    assert ward.stalls == 0
    ward.held = True  # it waits for us
    loop.pass_by(60)
    assert ward.stalls == 0
    ward.held = False
    loop.pass_by(9)
    assert ward.stalls == 0
    loop.pass_by(2)
    assert ward.stalls == 1
    loop.pass_by(2)
    assert loop.is_quiet, "with nothing to wait for, no timer runs"


def test_never_stalled(monkeypatch):
    loop, ward = Loop(monkeypatch), Watched()
    ward.waiting = 5
    watch = StallWatchdog(ward, 0.0)
    watch.begin()
    loop.pass_by(10_000)
    assert ward.stalls == 0
    watch.close()
    assert loop.is_quiet


def test_held_up_ourselves(monkeypatch):
    """A process that was stopped for a while finds nobody stalled when it goes on."""
    loop, ward = Loop(monkeypatch), Watched()
    ward.waiting = 5
    StallWatchdog(ward, 10.0).begin()
    loop.pass_by(5)
    loop.now += 3600
    loop.pass_by(8)
    assert ward.stalls == 0
    loop.pass_by(4)
    assert ward.stalls == 1


@pytest.mark.parametrize("answers", [True, False])
def test_a_keepalive_that_does_not_come_back(monkeypatch, answers):
    """That is a stall, whether or not those before came back."""
    loop, ward = Loop(monkeypatch), Watched()
    watch = StallWatchdog(ward, 10.0)
    if answers:
        watch.on_given("R", 0, keepalive=True)
        watch.begin()
        loop.pass_by(1)
        watch.on_answer(session=True)
        ward.pipeline.lines["R"].left += 1
        loop.pass_by(100)
        assert ward.stalls == 0
        assert loop.is_quiet
    watch.on_given("R", 0, keepalive=True)
    watch.begin()
    loop.pass_by(12)
    assert ward.stalls == 1


def test_an_open_that_does_not_come_back(monkeypatch):
    """There is no session yet, and none would ever be."""
    loop, ward = Loop(monkeypatch), Watched()
    watch = StallWatchdog(ward, 10.0)
    watch.on_given("R", 0, keepalive=False)
    watch.begin()
    loop.pass_by(9)
    assert ward.stalls == 0
    loop.pass_by(3)
    assert ward.stalls == 1


def test_a_queue_that_grows_is_no_progress(monkeypatch):
    """What waits changes only by what the partner takes."""
    loop, ward = Loop(monkeypatch), Watched()
    ward.waiting = 1
    StallWatchdog(ward, 10.0).begin()
    loop.pass_by(12)
    assert ward.stalls == 1


def test_a_keepalive_behind_much_else(monkeypatch, hold_time):
    """Its time begins when the partner has got it."""
    loop, ward = Loop(monkeypatch), Watched()
    ward.pipeline.tracker.established = True
    watch = StallWatchdog(ward, 10.0)
    ward.waiting = 1
    watch.on_given("R", 60, keepalive=True)
    watch.begin()
    for _ in range(30):
        loop.pass_by(5)
        ward.taken += 1
        ward.waiting += 1
    assert ward.stalls == 0


def test_keepalives_are_not_said_for_ever(monkeypatch):
    """A partner that gives back UPDATEs and eats KEEPALIVEs is stalled after the hold time."""
    monkeypatch.setattr(Tracker, "hold_time", 30)
    loop, ward = Loop(monkeypatch), Watched()
    ward.pipeline.tracker.established = True
    watch = StallWatchdog(ward, 10.0)
    watch.on_given("R", 0, keepalive=True)
    watch.begin()
    for second in range(40):
        loop.pass_by(1)
        if not ward.stalls:
            watch.on_answer(session=False)
            if second % 10 == 0:
                watch.on_given("R", 0, keepalive=True)
    assert ward.stalls == 1
    assert len(ward.said) == 3


@pytest.fixture
def hold_time(monkeypatch):
    monkeypatch.setattr(Tracker, "hold_time", 90)


def test_a_peer_that_hears_nothing(monkeypatch, hold_time):
    loop, ward = Loop(monkeypatch), Watched()
    ward.pipeline.tracker.established = True
    watch = StallWatchdog(ward, math.inf)
    for _ in range(3):
        watch.on_given("R", 0, keepalive=True)
        watch.begin()
        loop.pass_by(28)
        assert ward.said == []
        loop.pass_by(2)
        assert ward.said == ["R"], "within a third of the hold time"
        ward.said.clear()
        loop.pass_by(300)
        assert ward.said == [], "one for one"
    watch.on_given("L", 0, keepalive=True)
    watch.begin()
    loop.pass_by(20)
    ward.pipeline.lines["L"].left += 1
    loop.pass_by(300)
    assert ward.said == [], "it has heard something"


def test_a_line_that_is_held(monkeypatch, hold_time):
    """Nobody knows what would come: both peers are kept, as long as it takes."""
    loop, ward = Loop(monkeypatch), Watched()
    ward.pipeline.tracker.established = True
    ward.holding, ward.waiting = True, 5
    StallWatchdog(ward, math.inf).begin()
    loop.pass_by(100)
    assert sorted(ward.said) == ["L", "L", "L", "R", "R", "R"]


def test_without_a_session_nothing_is_said(monkeypatch):
    loop, ward = Loop(monkeypatch), Watched()
    ward.holding, ward.waiting = True, 5
    StallWatchdog(ward, math.inf).begin()
    loop.pass_by(1000)
    assert ward.said == []


def test_what_events_of_a_session_depend_on_comes_alone_and_the_rest_stays_together():
    withdraw, end = bytes.fromhex("000418c633640000"), bytes(4)
    end_ipv6 = bytes.fromhex("00000006800f03000201")
    bodies = [withdraw, withdraw, end, withdraw, end_ipv6, withdraw, withdraw]
    messages = [Message(UPDATE, body, time=1) for body in bodies]
    messages.insert(1, Message(KEEPALIVE, b"", time=1))
    parts = list(single_out(block(*messages)))
    assert [len(part) if isinstance(part, Block) else part.body for part in parts] == [1, b"", 1, end, 1, end_ipv6, 2]
    assert next(single_out(messages[0])) is messages[0]
    whole = block(*messages[-2:])
    assert list(single_out(whole)) == [whole]
