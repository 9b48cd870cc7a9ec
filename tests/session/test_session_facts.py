"""What crosses a connection, as playbooks: who sends what, and what follows from it."""

from __future__ import annotations

import pytest

from bgpipe import accel
from bgpipe.session.codec import SessionCodec
from bgpipe.session.error_handler import ErrorHandler
from bgpipe.session.facts import End, Facts
from bgpipe.session.session import Established, Send, Session, Settings
from bgpipe.wire import caps
from bgpipe.wire.block import Block
from bgpipe.wire.caps import Capability, add_path, mp
from bgpipe.wire.context import AS2, AS4, WireContext
from bgpipe.wire.family import IPV4_UNICAST, IPV6_UNICAST
from bgpipe.wire.message import KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Message
from bgpipe.wire.notification import Notification
from bgpipe.wire.open import Open
from bgpipe.wire.update import Update

MP4, MP6 = (Capability(caps.MP, mp.encode(family)) for family in (IPV4_UNICAST, IPV6_UNICAST))
ALIVE = Message(KEEPALIVE, time=7)
SHUTDOWN = Message(NOTIFICATION, Notification.shutdown().encode(), time=9)


def wide(asn: int) -> Capability:
    return Capability(caps.AS4, asn.to_bytes(4, "big"))


def paths(direction: int) -> Capability:
    (value,) = add_path.encode({IPV4_UNICAST: direction})
    return Capability(caps.ADD_PATH, value)


def opening(asn: int, *capabilities: Capability, hold_time: int = 90) -> Message:
    return Message(OPEN, Open(asn, hold_time, f"192.0.2.{asn % 10}", capabilities).encode())


OURS, THEIRS = opening(65001, wide(65001), MP4, MP6), opening(65002, wide(65002), MP4, hold_time=30)


def update(path: list[int], context: WireContext = AS4) -> Message:
    attrs = {"ORIGIN": "IGP", "ASPATH": path, "NEXTHOP": "192.0.2.2"}
    return Message(UPDATE, Update.make(reach=["198.51.100.0/24"], attrs=attrs, context=context).body, context=context)


def play(*steps: tuple[str, Message], facts: Facts | None = None) -> Facts:
    """ "<": the peer sends this. ">": the peer gets it."""
    facts = facts or Facts()
    for direction, message in steps:
        (facts.on_received if direction == "<" else facts.on_sent)(message)
    return facts


def test_nothing_is_known_before_the_opens() -> None:
    facts = Facts(AS2)
    assert (facts.agreement, facts.families, facts.hold_time, facts.peer_kind) == (None, [], 0, None)
    assert not facts.established
    assert facts.receiving.assumed
    assert not facts.receiving.as4
    assert facts.sending == AS2


def test_both_opens_make_the_agreement() -> None:
    facts = play(("<", THEIRS))
    assert facts.agreement is None
    play((">", OURS), facts=facts)
    assert facts.families == [IPV4_UNICAST]
    assert facts.hold_time == 30
    assert facts.peer_kind == "ebgp"
    assert facts.receiving == facts.sending == WireContext()
    assert facts.agreed(caps.AS4)
    assert not facts.agreed(caps.ROUTE_REFRESH)


def test_add_path_by_direction() -> None:
    facts = play((">", opening(1, paths(add_path.RECEIVE))), ("<", opening(2, paths(add_path.SEND))))
    assert IPV4_UNICAST in facts.receiving.add_path
    assert IPV4_UNICAST not in facts.sending.add_path


@pytest.mark.parametrize("order", ["><><", "<><>", "><<>", "<<>>", ">><<"])
def test_established_when_both_have_sent_keepalive(order: str) -> None:
    """In any order in which each side sends its OPEN first, also in one burst."""
    left = {"<": [THEIRS, ALIVE], ">": [OURS, ALIVE]}
    facts = Facts()
    for direction in order:
        assert not facts.established
        play((direction, left[direction].pop(0)), facts=facts)
    assert facts.established_at == 7


def test_a_keepalive_without_an_open_counts_for_nothing() -> None:
    facts = play(("<", ALIVE), (">", OURS), (">", ALIVE), ("<", THEIRS))
    assert not facts.established


def test_a_second_open_counts_until_the_session_is_up_and_then_changes_nothing() -> None:
    facts = play((">", OURS), ("<", THEIRS), ("<", opening(65002, MP6)))
    assert not facts.receiving.as4
    assert facts.hold_time == 90
    play(("<", THEIRS), (">", ALIVE), ("<", ALIVE), facts=facts)
    before = facts.agreement, facts.receiving, facts.sending, facts.hold_time, facts.peer_open, facts.sent_open
    play(("<", opening(65009, MP6)), (">", opening(65009, MP6)), facts=facts)
    after = facts.agreement, facts.receiving, facts.sending, facts.hold_time, facts.peer_open, facts.sent_open
    assert after == before


def test_an_open_that_cannot_be_read_is_none() -> None:
    broken = Message(OPEN, THEIRS.body[:-1])
    assert play(("<", broken)).peer_open is None
    assert play(("<", THEIRS), ("<", broken)).peer_open == THEIRS.open


def test_the_first_notification_and_the_first_end_count() -> None:
    ours = Message(NOTIFICATION, Notification(4, 0).encode())
    facts = play((">", OURS), ("<", SHUTDOWN), (">", ours))
    assert facts.first_notification is not None
    assert facts.first_notification.side == "peer"
    assert facts.first_notification.notification == Notification.shutdown()
    facts.on_end("notification", "peer", "one")
    facts.on_end("closed", "us", "other")
    assert facts.end == End("notification", "peer", "one")


def test_who_retains_routes() -> None:
    retains = Capability(caps.GRACEFUL_RESTART, bytes.fromhex("4078"))
    assert play((">", opening(1, retains)), ("<", opening(2, retains))).retains
    assert not play((">", opening(1, retains)), ("<", opening(2))).retains
    assert not play((">", opening(1, retains))).retains


# reading: the context changes between two messages, never inside one


def messages(codec: SessionCodec, *sent: Message) -> list[Message]:
    found: list[Message] = []
    for item in codec.feed(b"".join(each.octets for each in sent), 7):
        found += item if isinstance(item, Block) else [item]
    return found


def test_a_burst_before_our_open_passes_untouched() -> None:
    """OPEN, KEEPALIVE, UPDATE in one read, before our OPEN went out: nobody knows how the UPDATE is to be read, so it
    is not judged, and not written anew for a peer that has agreed on something else."""
    codec = SessionCodec()
    narrow = update([65002, 64999], AS2)
    found = messages(codec, opening(65002), ALIVE, narrow)
    assert [each.type for each in found] == ["OPEN", "KEEPALIVE", "UPDATE"]
    early = found[2]
    assert early.context.assumed
    assert early.update.errors, "read with AS numbers of four octets it looks malformed"
    (verdict,) = ErrorHandler("kill", codec.facts).handle(early)
    assert verdict.item is early
    assert not verdict.errors
    other = SessionCodec(play((">", opening(1)), ("<", opening(2))))
    assert not other.facts.sending.as4
    assert other.encode(early) == narrow.octets
    codec.encode(opening(65001))
    (late,) = messages(codec, narrow)
    assert not late.context.assumed
    assert not late.update.errors
    assert late.update.origin_as == 64999


def test_a_burst_behind_our_open_is_read_as_agreed() -> None:
    codec = SessionCodec()
    codec.encode(opening(65001))
    found = messages(codec, opening(65002), ALIVE, update([65002, 64999], AS2))
    assert found[2].update.origin_as == 64999
    assert not found[2].context.as4


def test_an_open_inside_a_session_changes_no_reading() -> None:
    codec = SessionCodec()
    for each in (OURS, ALIVE):
        codec.encode(each)
    route = update([4200000001])
    found = messages(codec, THEIRS, ALIVE, route, opening(65002), route)
    assert [each.context.as4 for each in found if each.type_code == UPDATE] == [True, True]
    assert codec.encode(found[-1]) == route.octets


@pytest.mark.skipif(not accel.AVAILABLE, reason="blocks come from accel")
def test_there_are_no_blocks_before_the_agreement() -> None:
    route = update([65002])
    codec = SessionCodec()
    assert [type(item) for item in codec.feed(route.octets * 3, 7)] == [Message] * 3
    codec.encode(OURS)
    assert [type(item) for item in codec.feed(THEIRS.octets + route.octets * 3, 7)] == [Message, Block]


# the session asks the facts of its connection


def test_a_session_goes_by_the_open_that_was_sent() -> None:
    """A stage behind the speaker has edited it."""
    codec = SessionCodec()
    session = Session(Settings(asn=65001, bgp_id="192.0.2.1", capabilities=(wide(65001), MP4, MP6)))
    session.start(0)
    session.connected(0, facts=codec.facts)
    opened = [output.message for output in session.outputs() if isinstance(output, Send)]
    assert [each.type_code for each in opened] == [OPEN]
    codec.encode(opening(65001, MP6, hold_time=12))
    for each in messages(codec, opening(65002, wide(65002), MP4, MP6), ALIVE):
        session.received(each, 1)
        for output in session.outputs():
            if isinstance(output, Send):
                codec.encode(output.message)
            elif isinstance(output, Established):
                assert output.agreement == codec.facts.agreement
    assert session.hold_time == 12
    assert codec.facts.families == [IPV6_UNICAST]
    assert not codec.facts.receiving.as4
    assert session.deadline == 1 + 12 / 3


def test_a_keepalive_that_cannot_be_an_answer_ends_the_session() -> None:
    """It came while our OPEN was still on its way through a stage."""
    codec = SessionCodec()
    session = Session(Settings(asn=65001, bgp_id="192.0.2.1"))
    session.start(0)
    session.connected(0, facts=codec.facts)
    for each in messages(codec, THEIRS, ALIVE):
        session.received(each, 0)
    told = [output.message for output in session.outputs() if isinstance(output, Send)][-1]
    assert told.notification == Notification(5, 2)
