"""Sessions as playbooks: what happens, what comes out, by the clock that the test holds."""

from __future__ import annotations

import pytest

from bgpipe.session.damping import Damping
from bgpipe.session.fsm import OTHERWISE, TABLE, FsmEvent, FsmState, step
from bgpipe.session.session import (
    CloseConnection,
    Deliver,
    Down,
    Established,
    OpenConnection,
    Output,
    Send,
    Session,
    Settings,
)
from bgpipe.session.timers import FsmTimer
from bgpipe.wire import caps
from bgpipe.wire.caps import Capability
from bgpipe.wire.errors import WireError
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.open import AS_TRANS, Open

AS4 = (Capability(caps.AS4, b"\0\0\0\0"),)
PEER = Open(65002, 30, "192.0.2.2", (Capability(caps.AS4, (65002).to_bytes(4, "big")),))
END_OF_RIB = Message(UPDATE, b"\0\0\0\0")


def opened(peer: Open = PEER) -> Message:
    return Message(OPEN, peer.encode())


def told(outputs: list[Output]) -> list[str]:
    """Outputs in short: message types in capitals, NOTIFICATIONs with their numbers."""
    words = []
    for output in outputs:
        if isinstance(output, Send):
            sent = output.message
            numbers = f" {sent.body[0]}/{sent.body[1]}" if sent.type_code == NOTIFICATION else ""
            words.append(sent.type + numbers)
        else:
            words.append(type(output).__name__)
    return words


def active(**settings: object) -> Session:
    return Session(Settings(**({"asn": 65001, "bgp_id": "192.0.2.1", "capabilities": AS4} | settings)))  # type: ignore[arg-type]


def established(session: Session, now: float = 0.0, peer: Open = PEER) -> Session:
    session.start(now)
    session.connected(now)
    session.received(opened(peer), now)
    session.received(Message(KEEPALIVE), now)
    assert session.state is FsmState.ESTABLISHED
    session.outputs()
    return session


def test_active_session_comes_up() -> None:
    session = active()
    session.start(0)
    assert told(session.outputs()) == ["OpenConnection"]
    session.connected(1)
    assert told(session.outputs()) == ["OPEN"]
    assert session.state is FsmState.OPEN_SENT
    session.received(opened(), 2)
    assert told(session.outputs()) == ["KEEPALIVE"]
    assert session.state is FsmState.OPEN_CONFIRM
    session.received(Message(KEEPALIVE), 3)
    (up,) = session.outputs()
    assert isinstance(up, Established)
    assert up.agreement.contexts.right.as4
    assert session.hold_time == 30


def test_open_carries_four_octet_as_number() -> None:
    session = active(asn=4200000001)
    session.start(0)
    session.connected(0)
    connect, sent = session.outputs()
    assert isinstance(connect, OpenConnection)
    assert isinstance(sent, Send)
    assert sent.message.open.my_as == AS_TRANS
    assert sent.message.open.asn == 4200000001


def test_passive_speaker_waits_and_mirrors() -> None:
    session = Session(Settings(passive=True, capabilities=AS4))
    session.start(0, passive=True)
    session.connected(0)
    assert session.outputs() == []
    session.received(opened(), 1)
    outputs = session.outputs()
    assert told(outputs) == ["OPEN", "KEEPALIVE"]
    assert isinstance(outputs[0], Send)
    assert outputs[0].message.open.asn == 65002
    assert outputs[0].message.open.bgp_id == "192.0.2.1"
    session.received(Message(KEEPALIVE), 1)
    assert session.state is FsmState.ESTABLISHED


def test_passive_speaker_speaks_first_in_the_end() -> None:
    session = Session(Settings(asn=65001, bgp_id="192.0.2.1", passive=True, open_wait=10))
    session.start(0, passive=True)
    session.connected(0)
    session.tick(10)
    assert told(session.outputs()) == ["OPEN"]
    session.tick(20)
    assert told(session.outputs()) == ["NOTIFY 4/0", "CloseConnection", "Down"]


def test_keepalives_go_out_at_a_third_of_the_hold_time() -> None:
    session = established(active())
    session.tick(9.9)
    assert session.outputs() == []
    session.tick(10)
    assert told(session.outputs()) == ["KEEPALIVE"]
    session.sent(15)
    session.tick(20)
    assert session.outputs() == []
    session.tick(25)
    assert told(session.outputs()) == ["KEEPALIVE"]


def test_keepalives_and_attempts_have_jitter() -> None:
    """RFC 4271 section 10."""
    factors = iter((1.0, 0.75, 0.9, 0.8))
    session = active()
    session.jitter = lambda: next(factors)
    established(session)  # the first for the attempt to connect, the next for the first KEEPALIVE
    assert session.deadline == 0.75 * 10
    session.tick(7.5)
    assert told(session.outputs()) == ["KEEPALIVE"]
    assert session.deadline == 7.5 + 0.9 * 10
    session.sent(10)
    assert session.deadline == 10 + 0.8 * 10


def test_a_silent_peer_is_given_up() -> None:
    session = established(active())
    session.received(END_OF_RIB, 20)
    assert told(session.outputs()) == ["Deliver"]
    session.tick(49)
    session.outputs()
    session.tick(50)
    assert told(session.outputs()) == ["NOTIFY 4/0", "CloseConnection", "Down"]
    assert session.state is FsmState.IDLE


def test_hold_time_zero_runs_no_timers() -> None:
    session = established(active(hold_time=0))
    assert session.deadline is None
    session.tick(1e9)
    assert session.outputs() == []


def test_a_peer_that_takes_nothing_is_given_up() -> None:
    session = established(active(send_hold=10))
    session.progressed(5)
    session.received(END_OF_RIB, 14)
    session.outputs()
    session.tick(14.9)
    assert session.state is FsmState.ESTABLISHED
    session.tick(15)
    assert told(session.outputs())[-3:] == ["NOTIFY 8/0", "CloseConnection", "Down"]


def test_send_hold_time_is_at_least_eight_minutes() -> None:
    assert established(active()).send_hold == 480
    assert established(active(hold_time=300), peer=Open(65002, 300, "192.0.2.2")).send_hold == 600


@pytest.mark.parametrize(
    ("settings", "peer", "numbers"),
    [
        ({"remote_asn": 65003}, PEER, "2/2"),
        ({}, Open(0, 30, "192.0.2.2"), "2/2"),
        ({}, Open(65002, 30, "0.0.0.0"), "2/3"),
        ({"asn": 65002}, Open(65002, 30, "192.0.2.1"), "2/3"),
        ({}, Open(65002, 1, "192.0.2.2"), "2/6"),
        ({}, Open(65002, 2, "192.0.2.2"), "2/6"),
        ({"remote_hold": 60}, PEER, "2/6"),
        ({"remote_hold": 60}, Open(65002, 0, "192.0.2.2"), "2/6"),
        (
            {"capabilities": (Capability(caps.ROLE, b"\0"),)},
            Open(65002, 30, "192.0.2.2", (Capability(caps.ROLE, b"\0"),)),
            "2/11",
        ),
    ],
)
def test_unacceptable_open(settings: dict[str, object], peer: Open, numbers: str) -> None:
    session = active(**settings)
    session.start(0)
    session.connected(0)
    session.outputs()
    session.received(opened(peer), 0)
    assert told(session.outputs()) == [f"NOTIFY {numbers}", "CloseConnection", "Down"]


def test_unknown_version_names_ours() -> None:
    session = active()
    session.start(0)
    session.connected(0)
    session.outputs()
    session.received(Message(OPEN, b"\x03" + PEER.encode()[1:]), 0)
    sent = session.outputs()[0]
    assert isinstance(sent, Send)
    assert sent.message.body == b"\x02\x01\x00\x04"


@pytest.mark.parametrize(
    ("fault", "numbers"),
    [
        (WireError("marker", code=1, subcode=1), "1/1"),
        (WireError("length", code=1, subcode=2, data=b"\0\x12"), "1/2"),
        (WireError("bad list", code=3, subcode=1), "3/1"),
        (WireError("bad refresh", code=7, subcode=1), "7/1"),
    ],
)
def test_faults_while_established(fault: WireError, numbers: str) -> None:
    session = established(active())
    session.fault(fault, 1)
    outputs = session.outputs()
    assert told(outputs) == [f"NOTIFY {numbers}", "CloseConnection", "Down"]
    assert isinstance(outputs[0], Send)
    assert outputs[0].message.body[2:] == fault.data


def test_unknown_type_names_it() -> None:
    session = established(active())
    session.received(Message(77), 1)
    outputs = session.outputs()
    assert told(outputs) == ["NOTIFY 1/3", "CloseConnection", "Down"]
    assert isinstance(outputs[0], Send)
    assert outputs[0].message.body[2:] == b"\x4d"


@pytest.mark.parametrize(
    ("received", "numbers"), [([END_OF_RIB], "5/1"), ([opened(), END_OF_RIB], "5/2"), ([opened(), opened()], "5/2")]
)
def test_messages_out_of_turn(received: list[Message], numbers: str) -> None:
    session = active()
    session.start(0)
    session.connected(0)
    for each in received:
        session.received(each, 0)
    assert told(session.outputs())[-3:] == [f"NOTIFY {numbers}", "CloseConnection", "Down"]


def test_open_while_established_is_out_of_turn() -> None:
    session = established(active())
    session.received(opened(), 1)
    assert told(session.outputs()) == ["NOTIFY 5/3", "CloseConnection", "Down"]


def test_stop_says_why() -> None:
    session = established(active(text="back at 10:00"))
    session.stop(1)
    send, _, down = session.outputs()
    assert isinstance(send, Send)
    assert send.message.notification.text == "back at 10:00"
    assert isinstance(down, Down)
    assert down.sent == Notification.shutdown("back at 10:00")
    assert session.deadline is None


def test_notification_is_not_answered() -> None:
    session = established(active())
    session.received(Message(NOTIFICATION, Notification.shutdown("maintenance").encode()), 1)
    disconnect, down = session.outputs()
    assert isinstance(disconnect, CloseConnection)
    assert isinstance(down, Down)
    assert down.received is not None
    assert "maintenance" in down.reason


def test_route_refresh_is_delivered() -> None:
    session = established(active())
    session.received(Message(ROUTE_REFRESH, b"\0\x01\0\x01"), 1)
    (out,) = session.outputs()
    assert isinstance(out, Deliver)


def test_refresh_of_the_wrong_length_is_told_to_who_knows_marks() -> None:
    """RFC 7313 section 5: it applies where the peer's OPEN has the capability, whatever ours has."""
    mark = Message(ROUTE_REFRESH, b"\0\x01\x01\x01" + b"orf")
    session = established(active())
    session.received(mark, 1)
    assert isinstance(session.outputs()[0], Deliver)
    session = established(active(), peer=PEER.with_capabilities((Capability(caps.ENHANCED_ROUTE_REFRESH),)))
    session.received(mark, 1)
    outputs = session.outputs()
    assert told(outputs) == ["NOTIFY 7/1", "CloseConnection", "Down"]
    assert isinstance(outputs[0], Send)
    assert outputs[0].message.body[2:] == mark.octets


def test_failures_are_damped_and_not_forgotten_at_established() -> None:
    session = active()
    now, waits = 0.0, []
    session.start(now)
    for _ in range(10):
        session.connected(now)
        session.received(opened(), now)
        session.received(Message(KEEPALIVE), now)
        assert session.state is FsmState.ESTABLISHED
        session.fault(WireError("fatal", code=3, subcode=1), now + 1)
        deadline = session.deadline
        assert deadline is not None
        waits.append(deadline - now - 1)
        now = deadline
        session.tick(now)
        assert session.state is FsmState.CONNECT
    assert waits == [5, 10, 20, 40, 80, 160, 240, 240, 240, 240]


def test_a_long_life_clears_the_damping() -> None:
    damping = Damping()
    assert [damping.failed(10), damping.failed(299), damping.failed(300)] == [5, 10, 5]


def test_passive_session_waits_again_after_failure() -> None:
    session = active()
    session.start(0, passive=True)
    session.connected(0)
    session.received(opened(), 0)
    session.disconnected(1)
    assert session.state is FsmState.IDLE
    session.tick(6)
    assert session.state is FsmState.ACTIVE


def test_a_connection_lost_before_the_peer_spoke() -> None:
    session = active()
    session.start(0)
    session.connected(0)
    session.outputs()
    session.disconnected(1)
    assert told(session.outputs()) == ["CloseConnection", "Down"]
    assert session.state is FsmState.ACTIVE, "the peer may call"
    session.tick(120)
    assert session.state is FsmState.ACTIVE
    session.tick(121)
    assert told(session.outputs()) == ["OpenConnection"]


def test_a_connection_lost_while_open_is_delayed() -> None:
    session = active(passive=True)
    session.start(0)
    session.connected(0)
    session.disconnected(1)
    assert session.state is FsmState.ACTIVE
    session.connected(2)
    session.disconnected(3)
    assert session.state is FsmState.IDLE


def test_collision_loser_says_so() -> None:
    session = active()
    session.start(0)
    session.connected(0)
    session.outputs()
    session.collided(1)
    assert told(session.outputs()) == ["NOTIFY 6/7", "CloseConnection", "Down"]


def test_every_state_answers_every_event_with_actions_that_exist() -> None:
    for state in FsmState:
        for event in FsmEvent:
            actions, after = step(state, event)
            assert all(callable(getattr(Session, action)) for action in actions)
            assert after in TABLE
    assert set(OTHERWISE) == set(FsmState)


def test_no_timer_outlives_a_session() -> None:
    session = established(active())
    session.disconnected(1)
    assert session.deadline is not None
    assert session.timers.running(FsmTimer.IDLE_HOLD)
    assert not session.timers.running(FsmTimer.HOLD)
